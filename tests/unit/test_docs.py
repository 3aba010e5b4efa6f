"""The pages about the code and the rule: links lead to places, named files exist, figures stand in the evidence."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "examples" / "README.md"])


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_each_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)\s]*)\)", read(page)):
        if not target.startswith(("http:", "https:", "mailto:")):
            file = page.parent / target if target else page
            assert file.exists(), target
            assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", ["docs/how-a-run-works.md", "CONTRIBUTING.md"])
def test_each_file_of_the_package_that_is_named_beside_a_link_exists(page: str) -> None:
    links = re.findall(r"\[([^\]]*)\]\((?:\.\./)?pytest_sgdiff/[^)]*\)", read(ROOT / page))
    named = [name for text in links for name in re.findall(r"`([^`]+)`", text)]
    assert len(named) >= 10
    assert [name for name in named if not (ROOT / "pytest_sgdiff" / name).exists()] == []


def test_a_run_is_told_in_15_to_25_steps_each_with_its_folder() -> None:
    steps = re.split(r"^\d+\. ", read(ROOT / "docs" / "how-a-run-works.md"), flags=re.MULTILINE)[1:]
    assert 15 <= len(steps) <= 25
    assert [step.splitlines()[0] for step in steps if "](../pytest_sgdiff/" not in step] == []


def test_the_page_to_read_before_trusting_the_gate_is_short() -> None:
    assert len(read(ROOT / "docs" / "decision.md").split()) <= 1500


def test_each_figure_of_that_page_stands_in_the_evidence() -> None:
    def figures(page: str) -> set[str]:
        return set(re.findall(r"\d+(?:\.\d+)?(?= %)", read(ROOT / "docs" / page)))

    assert len(figures("decision.md")) > 30
    assert figures("decision.md") - figures("decision-evidence.md") == set()
