"""The pages about the code and the rule: links lead to places, named files exist, figures stand in the evidence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sgdiff.metrics.table import METRICS

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


NIGHTS = {
    "CV 1 %": "every CV 1 %",
    "realistic mixture": "realistic mixture",
    "public nights": "nights of the public history",
    "CV 2 %": "every CV 2 %",
    "pauses in 5 of 14 launches": "pauses in 5 of 14 launches",
    "host delays 7 of 16 launches": "no pauses, the host holds up 7 of 16 launches",
}
"""Noise as the page names it -> as the benchmark prints it."""


def rows(page: str, header: str) -> list[list[str]]:
    """The cells of the table of a page with this header."""
    table = read(ROOT / "docs" / page).partition(header)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def printed(heading: str, *, lines: int) -> list[list[str]]:
    """The lines below a heading of the benchmark's tables, as words; `5 %` is one."""
    below = read(ROOT / "docs" / "decision-evidence.md").partition(f"   {heading}\n")[2]
    return [line.replace(" %", "%").split() for line in below.splitlines()[:lines]]


def test_the_error_rates_on_that_page_are_those_of_the_evidence() -> None:
    shown = rows("decision.md", "| noise | baseline | nights with a false alarm | 5 % slowdowns that fail |")
    assert len(shown) == 11
    for noise, size, alarms, found in shown:
        names, figures = printed(f"{NIGHTS[noise]}, baseline of {size}", lines=2)
        night = dict(zip(names, figures, strict=True))
        assert night["rule"] == "pytest-sgdiff"
        assert (alarms.partition(" (")[0], found) == tuple(night[n].replace("%", " %") for n in ("nights", "+5%"))


def test_the_detectable_slowdowns_on_that_page_are_those_of_the_evidence() -> None:
    header = "| baseline launches | CV 0.5 % | CV 1 % | CV 1.5 % | CV 2 % |"
    shown = {size: found for size, *found in rows("decision.md", header)}
    _, *table = printed("primary metric of 10000 ms", lines=5)
    sizes = {size: [one.replace("%", " %") for one in found[2::2]] for size, *found in table}
    assert shown == {size: sizes[size] for size in ("5", "10")}


def test_the_site_is_built_and_every_page_has_its_place_in_it(tmp_path: Path) -> None:
    """mkdocs is strict: a wrong link or anchor, and a page that the navigation lacks, end the build. With `--quiet` it
    would see no warning.
    """
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    built = {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert built >= {page.stem for page in (ROOT / "docs").glob("*.md")} - {"README"} | {"index"}
    # What a code host shows as a file of the repository is no dead link here.
    page = (tmp_path / "site" / "how-a-run-works.html").read_text(encoding="utf-8")
    assert "../pytest_sgdiff/" not in page
    assert 'href="project/contributing.html"' in (tmp_path / "site" / "index.html").read_text(encoding="utf-8")


def test_the_index_names_every_page_once() -> None:
    index = read(ROOT / "docs" / "README.md")
    linked = re.findall(r"^\d+\. \[[^\]]*\]\(([^)#]+)\)", index, re.MULTILINE)
    assert sorted(one for one in linked if "/" not in one) == sorted(
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md"
    )
    numbers = [int(number) for number in re.findall(r"^(\d+)\. ", index, re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


TERMS = (
    *(
        "auto-tuned",
        "candidate",
        "checkpoint",
        "core of steps",
        "creep",
        "CV",
        "degrees of freedom",
        "excess",
        "foreign",
    ),
    *(
        "held up",
        "hold-up",
        "host decides",
        "informational",
        "level",
        "minimum detectable slowdown",
        "needs confirmation",
    ),
    *("net of pauses", "noise between launches", "outlier", "pause", "perf dump", "prior", "published", "reference"),
    *("ruled out", "session drift", "stage timers", "throttle", "two modes", "warmup"),
)
"""Words of the field, or of this plugin, that stand in messages and reports."""


def test_what_reports_and_messages_say_is_explained_among_the_words() -> None:
    table = read(ROOT / "docs" / "README.md").partition("| word | meaning |")[2]
    words = [word.strip() for row in re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE) for word in row.split(",")]
    assert len(words) == len(set(words))
    said = [file.read_text(encoding="utf-8") for file in (ROOT / "tests" / "unit" / "golden").glob("*.txt")]
    said += [read(file) for file in (ROOT / "pytest_sgdiff" / "reports").glob("*.py")]
    for term in TERMS:
        assert any(term in text for text in said), f"{term} is said nowhere"
        assert any(word.startswith(term) for word in words), term
    titles = {metric.title for metric in METRICS if metric.title} - {"load", "queue", "denoise", "e2e"}
    assert {title for title in titles if title not in words and not title.startswith("latency of")} == set()


def test_the_page_about_noise_has_the_figures_of_the_page_about_the_rule() -> None:
    header = "| baseline launches | CV 0.5 % | CV 1 % | CV 1.5 % | CV 2 % |"
    ten = {size: found for size, *found in rows("decision.md", header)}["10"]
    shown = rows("noise.md", "| CV of denoising | what a baseline of ten finds | what to do |")
    assert [found.removesuffix(" and more") for _, found, _ in shown] == ten


def test_error_rates_on_other_pages_are_those_of_the_page_about_the_rule() -> None:
    rule, noise, tools = (
        " ".join(read(ROOT / "docs" / f"{name}.md").split()) for name in ("decision", "noise", "comparison")
    )
    header = "| noise | baseline | nights with a false alarm | 5 % slowdowns that fail |"
    public = [
        alarms.partition(" (")[0] for kind, _, alarms, _ in rows("decision.md", header) if kind == "public nights"
    ]
    assert f"public nights {' to '.join(one.removesuffix(' %') for one in public)} % of nights" in noise
    assert "pytest-benchmark with `mean:5%` in 93.8 %" in rule
    assert "`mean:5%` raises a false alarm in 93.8 %" in tools
    assert "six retries never alarm, and find at most 0.025 % of 5 % slowdowns" in rule
    assert "six retries never raise a false alarm, and find at most 0.025 % of slowdowns of 5 %" in tools
