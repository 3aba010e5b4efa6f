"""What docs/tutorial.md shows is what its launches give: they were recorded, and are judged again here."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
LAUNCHES = ROOT / "tests" / "data" / "tutorial"
"""The launches of each step of the page, on the real engine; paths and the hash of the host's name were changed."""


def shown(heading: str) -> list[list[str]]:
    """The console blocks of a section, as their lines without omissions; the command of each comes first."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    found = re.findall(r"^```console\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return [[line for line in block.splitlines() if line and line != "…"] for block in found]


@pytest.fixture
def tutorial(project: Project) -> Project:
    """The folder of the tutorial: its case, and nothing else."""
    (case,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (project.root / "cases" / "tiny.yaml").unlink()
    project.write("cases/wan21.yaml", case)
    project.setenv("COLUMNS", "80")
    return project


def assert_printed(lines: Iterable[str], result: pytest.RunResult) -> None:
    """Each line was printed, in this order. Of lines of a live run the words count, in whatever columns."""
    printed = iter([" ".join(line.split()) for line in result.stdout.lines])
    for line in lines:
        words = " ".join(line.split())
        if not words.startswith("next "):  # It repeats the options of the run.
            assert words in printed, f"not printed, or not in this order: {line}"


def replayed(project: Project, step: str, *options: str) -> pytest.RunResult:
    return project.run(f"--sgdiff-replay={LAUNCHES / step}", *options)


def test_the_dry_run_shows_the_command_line(tutorial: Project) -> None:
    check, dry = shown("2. Write a case")
    assert check[0] == "$ sgdiff cases --check"
    assert dry[0] == "$ pytest --sgdiff-dry-run"
    assert_printed(dry[1:], tutorial.run("--sgdiff-dry-run"))


def test_each_step_prints_what_the_page_shows(tutorial: Project) -> None:
    (first,) = shown("3. Measure it once")
    result = replayed(tutorial, "first")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert_printed(first[1:], result)

    record = shown("4. Record a baseline")[0]
    assert shlex.split(record[0])[-1] == "--sgdiff-update"
    result = replayed(tutorial, "record", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.OK, result.stdout.str()
    assert_printed(record[1:], result)

    # The baseline that the run wrote: a replay's differs in when, and by which command, it was recorded.
    shutil.rmtree(tutorial.root / "baselines")
    shutil.copytree(LAUNCHES / "baselines", tutorial.root / "baselines")
    for heading, step, code in (("5. Gate", "unchanged", 0), ("6. See it fail", "slower", 1)):
        (block,) = shown(heading)
        assert block[0] == "$ pytest --sgdiff-gpus=none"
        result = replayed(tutorial, step)
        assert result.ret == code
        assert_printed(block[1:], result)
