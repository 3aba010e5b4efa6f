"""What the pages show is right: case files load, commands have the options that they are shown with, Python compiles.

What a page shows as printed is tested where it is made (`tests/plugin/test_readme.py`, `test_tutorial_page.py`), and
hooks and fixtures are run (`test_extending_page.py`).
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from pytest_sgdiff.cases.keys import CASE
from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.cli import build_parser, main
from pytest_sgdiff.engines.flags.translate import NEWEST, table_flags
from pytest_sgdiff.lint import advise
from pytest_sgdiff.options import SETTINGS

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
OPTIONS = {setting.option: setting for setting in SETTINGS}
OPERATORS = {"|", "||", "&&", ";", ">", "2>&1", "&", "-c"}


class Block(NamedTuple):
    """A fenced block: its language, empty if it names none, and its text."""

    language: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for language, body in re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL):
        yield Block(language, body)


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command line of ours that a page shows, from the program's name on."""
    text = (ROOT / page).read_text(encoding="utf-8")
    unfenced = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for line in unfenced.splitlines() if line.startswith("    ")]
    for block in blocks(page):
        joined = block.text.replace("\\\n", " ").splitlines()
        lines += [line[2:] for line in joined if line.startswith("$ ")] if block.language == "console" else joined
    for line in lines:
        yield from ours(line.strip())
    for block in blocks(page):
        for words in word_lists(block):
            if "pytest" in words:
                yield words[words.index("pytest") :]
    for span in re.findall(r"(?<!`)`((?:pytest|sgdiff) [^`]+)`", unfenced):
        yield from ours(" ".join(span.split()))


def word_lists(block: Block) -> Iterator[list[str]]:
    """The lists of words in a block of YAML or Python: commands of a container, arguments of a process."""
    if block.language == "python":
        for node in ast.walk(ast.parse(block.text)):
            if isinstance(node, ast.List):
                yield [one.value for one in node.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    elif block.language == "yaml" and "apiVersion:" in block.text:
        waiting = list(yaml.safe_load_all(block.text))
        while waiting:
            value = waiting.pop()
            if isinstance(value, list) and all(isinstance(one, str) for one in value):
                yield value
            elif isinstance(value, dict | list):
                waiting += value.values() if isinstance(value, dict) else value


def ours(line: str) -> Iterator[list[str]]:
    """The command in a line, if it has one of ours; what is left out or optional is no command yet."""
    if not re.search(r"\b(?:pytest|sgdiff) [-\w./$]", line) or re.search(r"…|\.\.\.|\[-", line):
        return
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return  # Prose with an apostrophe.
    for place, word in enumerate(words):
        if word.rpartition("/")[2] in ("pytest", "sgdiff"):
            rest = words[place:]
            end = next((i for i, one in enumerate(rest) if one in OPERATORS), len(rest))
            yield [word.rpartition("/")[2], *rest[1:end]]
            return


def refused(words: list[str]) -> str:
    """What `sgdiff` says against these words; empty if it takes them."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            build_parser().parse_args(words)
        except SystemExit as ended:
            return said.getvalue() if ended.code else ""
    return ""


def case_files(text: str) -> Iterator[str]:
    """A block as case files: as it stands if it is one, or with a case around each part of one; nothing otherwise."""
    if re.search(r"^(cases|defaults):", text, re.MULTILINE):
        yield text
        return
    keys = re.findall(r"^(\w+):", text, re.MULTILINE)
    if keys and set(keys) <= set(CASE.keys):
        parts = [text] if len(set(keys)) == len(keys) else text.splitlines()
        for part in parts:
            body = "".join(f"    {line}\n" for line in part.splitlines())
            model = "" if "model" in keys else "    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers\n"
            yield f"cases:\n  one:\n{model}{body}"


@pytest.mark.parametrize("page", NAMES)
def test_each_case_that_is_shown_loads_and_can_work(page: str) -> None:
    for block in blocks(page):
        if block.language not in ("yaml", ""):
            continue
        for text in case_files(block.text):
            for case in load_cases("shown.yaml", text):
                found = advise(case, engine=table_flags(NEWEST)) if case.engine.startswith("sglang") else ()
                assert [str(one) for one in found if one.level == "error"] == []


@pytest.mark.parametrize("page", NAMES)
def test_each_case_file_that_is_shown_whole_is_one_that_nothing_is_said_against(page: str) -> None:
    """Whoever copies it is not to begin with warnings."""
    for text in [block.text for block in blocks(page) if block.language == "yaml"]:
        for case in load_cases("shown.yaml", text) if text in case_files(text) else ():
            known = table_flags(NEWEST) if case.engine.startswith("sglang") else None
            assert [one.slug for one in advise(case, engine=known) if known is not None] == []


def test_no_page_installs_what_no_index_has() -> None:
    """Until there is a release."""
    pages = [page for page in NAMES if page != "CHANGELOG.md"]
    assert [page for page in pages if re.search(r"pip install [\"']?pytest-sgdiff", (ROOT / page).read_text())] == []


@pytest.mark.parametrize("page", NAMES)
def test_each_command_that_is_shown_parses(page: str) -> None:
    for program, *words in commands(page):
        if program == "pytest":
            for word in words:
                option, given, _ = word.partition("=")
                if option.startswith("--sgdiff"):
                    assert option in OPTIONS, f"{page}: no option {option}"
                    setting = OPTIONS[option]
                    assert given or not setting.metavar or setting.nargs, f"{page}: {option} needs a value"
                    assert not given or setting.metavar or setting.nargs, f"{page}: {option} takes no value"
            continue
        complaint = refused(words)
        # A command that is only named, perhaps with an option, lacks its arguments: that it has it is enough.
        lacks = re.search(r"arguments are required|expected one argument", complaint)
        named = lacks and all(one.startswith("-") for one in words[1:])
        assert not complaint or named, f"{page}: sgdiff {shlex.join(words)}: {complaint}"


@pytest.mark.parametrize("page", NAMES)
def test_each_block_of_json_python_or_yaml_is_one(page: str) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)
        elif block.language == "python":
            ast.parse(block.text, page)
        elif block.language == "yaml" and not list(case_files(block.text)):
            assert list(yaml.safe_load_all(block.text))


SHOWN = {
    "README.md": "plugin/test_readme.py",
    "docs/attribution.md": "plugin/test_readme.py",
    "docs/decision-evidence.md": "unit/test_docs_examples.py",
    "docs/noise.md": "unit/test_docs_examples.py",
    "docs/reports.md": "plugin/test_readme.py",
    "docs/servers.md": "plugin/test_servers.py",
    "docs/tuning.md": "plugin/test_two_gpus_replayed.py",
    "docs/tutorial.md": "plugin/test_tutorial_page.py",
}
"""Pages that show what a command prints -> the tests that run it."""


def outputs(page: str) -> list[list[str]]:
    """The blocks of a page that show a command and what it prints, line by line."""
    lines = [block.text.splitlines() for block in blocks(page) if block.language == "console"]
    return [block for block in lines if any(line and not line.startswith("$ ") for line in block)]


def test_what_a_page_shows_as_printed_is_run_by_a_test() -> None:
    assert {page for page in NAMES if outputs(page)} == set(SHOWN)
    for page, module in SHOWN.items():
        assert Path(page).name in (ROOT / "tests" / module).read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [page for page, module in SHOWN.items() if module.endswith(Path(__file__).name)])
def test_each_shown_judgement_is_what_the_numbers_before_it_give(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    numbers = [block.text for block in blocks(page) if block.language == "json"]
    shown = outputs(page)
    assert len(numbers) == len(shown) > 0
    for rows, (command, *printed) in zip(numbers, shown, strict=True):
        words = shlex.split(command.removeprefix("$ "))
        Path(words[-1]).write_text(rows)
        assert main(words[1:]) == 1
        assert capsys.readouterr().out.splitlines() == printed


def test_each_file_that_is_shown_imports_what_it_uses(tmp_path: Path) -> None:
    """Blocks whose first line names a file are whole files."""
    for number, block in enumerate(block for page in NAMES for block in blocks(page)):
        if block.language == "python" and block.text.startswith("# "):
            (tmp_path / f"shown_{number}.py").write_text(block.text)
    assert len(list(tmp_path.iterdir())) >= 8
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--select=F", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_pages_show_what_these_tests_look_for() -> None:
    shown = [command for page in NAMES for command in commands(page)]
    assert {words[1] for words in shown if words[0] == "sgdiff"} >= {"cases", "inspect", "baselines", "trend"}
    assert sum(words[0] == "pytest" for words in shown) >= 20
    assert sum("--sgdiff-strict" in words for words in commands("docs/clusters.md")) == 4, (
        "of each scheduler one, and the judge of shards"
    )
    assert sum(bool(list(case_files(block.text))) for page in NAMES for block in blocks(page)) >= 6
