"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sgdiff.options import SETTINGS
from tests.factories import NO_OTHER_PLUGINS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def shown_run(page: str) -> list[str]:
    """The lines of the page's first block that shows a run: its command, then what is printed, omissions left out."""
    block = next(text for text in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL) if "…" in text)
    return [line for line in block.splitlines() if line and line != "…"]


def commands() -> list[list[str]]:
    """All command lines of the README, without their comments."""
    lines = [line for kind, text in BLOCKS if kind == "console" for line in text.splitlines() if line.startswith("$ ")]
    return [shlex.split(line[2:], comments=True) for line in lines]


def test_the_shown_runs_print_what_is_shown_in_that_order() -> None:
    printed_by: dict[str, list[str]] = {}
    for page in ("README.md", "docs/reports.md", "docs/attribution.md"):
        shown = shown_run((ROOT / page).read_text(encoding="utf-8"))
        if shown[0] not in printed_by:
            argv = [sys.executable, "-m", *shlex.split(shown[0][2:])]
            env = {**os.environ, **NO_OTHER_PLUGINS}
            done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100)
            assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
            printed_by[shown[0]] = done.stdout.splitlines()
        printed = iter(printed_by[shown[0]])
        for line in shown[1:]:
            assert line in printed, f"{page}: not printed, or not in this order: {line}"


def test_the_shown_rerecord_and_its_diff_are_what_the_commands_give(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "baselines.md").read_text(encoding="utf-8")
    update, diff = (
        shlex.split(line[2:]) for line in page.split("```console\n")[1].split("```")[0].splitlines() if line
    )
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    env = {name: value for name, value in os.environ.items() if name != "CI"} | dict(NO_OTHER_PLUGINS)

    def run(*argv: str) -> str:
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("git", "init", "--quiet")
    run("git", "add", "examples")
    author = ("-c", "user.name=someone", "-c", "user.email=someone@example.com")
    run("git", *author, "commit", "--quiet", "--message", "as bundled")
    commit = run("git", "rev-parse", "--short=12", "HEAD").strip()
    run(sys.executable, "-m", *update)
    # Of each run its own: when it was, at which commit, and the hash of a file that says so.
    own = re.compile(r'^(index [0-9a-f]{7}\.\.|\+    "at": "2|\+    "commit": ").*')
    printed = run(*diff).splitlines()
    shown = page.split("```diff\n")[1].split("```")[0].splitlines()
    assert len(shown) == len(printed)
    for line, whole in zip(shown, printed, strict=True):
        if own.match(whole):
            assert own.sub(r"\1", line) == own.sub(r"\1", whole)
        elif line.endswith(" …"):
            assert whole.startswith(line.removesuffix(" …"))
            assert len(whole) > len(line)
        else:
            assert line == whole
    assert f'+    "commit": "{commit}",' in printed


def test_every_shown_option_exists() -> None:
    known = {setting.option for setting in SETTINGS}
    used = {word.partition("=")[0] for command in commands() for word in command if word.startswith("--sgdiff")}
    assert used
    assert used <= known


def test_the_demo_explains_the_exit_code_of_a_gate_on_any_terminal() -> None:
    command = [sys.executable, "examples/demo.py"]
    env = {**os.environ, **NO_OTHER_PLUGINS, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == (
        "A gate would exit with 1: a case regressed, or a launch cannot be trusted: the gate holds the change back."
    )


def test_every_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_the_options_page_is_what_pytest_prints() -> None:
    from tests.plugin.optionspage import text

    assert (ROOT / "docs" / "options.md").read_text(encoding="utf-8") == text()


def test_contributing_names_every_folder_of_the_package_and_every_folder_of_tests() -> None:
    told = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (ROOT / "pytest_sgdiff").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert [name for name in sorted(modules) if not name.startswith("__") and f"`{name}`" not in told] == []
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/test_*.py")}
    assert [name for name in sorted(folders) if f"`tests/{name}`" not in told] == []
