"""The workflows, and what the documentation tells people to type, hold what the plugin and GitHub understand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pytest_sgdiff.cases.assets import SOURCES
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cli import build_parser
from pytest_sgdiff.plugin.options import SETTINGS

ROOT = Path(__file__).parents[2]
WORKFLOWS = [ROOT / ".github/workflows/ci.yml", *sorted((ROOT / "examples/workflows").glob("*.yml"))]
PAGES = [*WORKFLOWS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/README.md"]


def test_workflows_follow_the_schema_of_github() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_actionlint_looks_at_every_workflow() -> None:
    job = yaml.safe_load(WORKFLOWS[0].read_text())["jobs"]["workflows"]
    (command,) = [step["run"] for step in job["steps"] if "run" in step]
    seen = {path for word in command.split() if word.endswith(".yml") for path in ROOT.glob(word)}
    assert seen == set(WORKFLOWS)


def gates() -> list[tuple[str, str]]:
    """Every command line that measures, in the shipped workflows and on the page about CI, with its page."""
    found = []
    for page in (*WORKFLOWS[1:], ROOT / "docs" / "ci.md"):
        joined = re.sub(r"\s*\\\n\s*|\n\s+(?=--)", " ", page.read_text())
        found += [
            (page.name, line) for line in joined.splitlines() if re.search(r"pytest .*--sgdiff-(gpus|replay)=", line)
        ]
    return found


def test_every_gate_that_we_ship_is_strict() -> None:
    assert len(gates()) >= 8
    assert [f"{page}: {line}" for page, line in gates() if "--sgdiff-strict" not in line] == []


def test_an_engine_that_is_built_from_a_checkout_gets_its_tags() -> None:
    jobs = yaml.safe_load((ROOT / "examples/workflows/pr-gate.yml").read_text())["jobs"]
    built = [job for job in jobs.values() if any("/python[diffusion]" in step.get("run", "") for step in job["steps"])]
    checkouts = [s for job in built for s in job["steps"] if s.get("uses", "").startswith("actions/checkout")]
    assert len(checkouts) == 2
    assert {step["with"]["fetch-depth"] for step in checkouts} == {0}
    gitlab = (ROOT / "docs" / "ci.md").read_text().partition("## GitLab")[2].partition("## Jenkins")[0]
    (job, *_) = re.findall(r"```yaml\n(.*?)```", gitlab, re.DOTALL)
    assert yaml.safe_load(job)["sgdiff"]["variables"]["GIT_DEPTH"] == "0"


@pytest.mark.parametrize(("workflow", "mark"), [("pr-gate.yml", "pr"), ("nightly.yml", "nightly")])
def test_a_workflow_fetches_what_its_cases_need(workflow: str, mark: str) -> None:
    cases = [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in read_cases(file, ROOT)]
    needed = {name for case in cases if mark in case.marks for name in case.assets.values()}
    text = (ROOT / "examples" / "workflows" / workflow).read_text()
    fetched = {Path(name).name for name in re.findall(r'--output "\$GITHUB_WORKSPACE/assets/([^"]+)"', text)}
    assert needed == fetched
    assert all(SOURCES[name] in text for name in fetched)


GH = """#!/bin/bash
# Lists comments by the filter that it is given, as `gh` does of two pages, and notes what else it is asked for.
if [[ $* == *--jq* ]]; then
    printf '%s\\n' "${*: -1}" > filter
    cat ids
else
    printf '%s\\n' "$*" > asked
fi
"""


@pytest.mark.parametrize(
    ("ids", "asked"),
    [
        ("", "pr comment 7 --body-file comment.md"),
        ("31\n42\n", "api --silent --method PATCH repos/org/repo/issues/comments/31 --field body=@comment.md"),
    ],
)
def test_the_comment_of_the_gate_is_found_by_its_mark(tmp_path: Path, ids: str, asked: str) -> None:
    jobs = yaml.safe_load((ROOT / "examples/workflows/pr-gate.yml").read_text())["jobs"]
    (script,) = [step["run"] for step in jobs["comment"]["steps"] if "run" in step]
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "ids").write_text(ids)
    (tmp_path / "report.md").write_text("## 1 of 2 cases got slower\n")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "GH_REPO": "org/repo", "NUMBER": "7"}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "asked").read_text() == f"{asked}\n"
    assert (tmp_path / "comment.md").read_text() == "<!-- pytest-sgdiff -->\n## 1 of 2 cases got slower\n"
    # Of a bot: whoever could plant the mark would have their comment rewritten.
    assert (tmp_path / "filter").read_text() == (
        '.[] | select(.user.type == "Bot" and (.body | startswith("<!-- pytest-sgdiff -->"))) | .id\n'
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_option_exists(page: Path) -> None:
    used = set(re.findall(r"--sgdiff-[a-z-]+\b(?! …)", page.read_text()))
    assert used <= {setting.option for setting in SETTINGS}


def test_every_command_that_the_pages_name_exists_with_its_options() -> None:
    (commands,) = (action.choices for action in build_parser()._actions if isinstance(action.choices, dict))
    shown = [
        (page.name, command)
        for page in PAGES
        for found in re.findall(r"`(sgdiff [^`]+)`|^(?: {4}|\$ )(sgdiff .+)$", page.read_text(), flags=re.MULTILINE)
        for command in found
        if command
    ]
    assert len(shown) > 20
    for page, command in shown:
        _, name, *words = command.split()
        used = {word.partition("=")[0] for word in words if word.startswith("--") and word[2:]}
        assert name in commands, f"{page}: {command}"
        # An action of a command has options of its own.
        parser = commands[name]
        for actions in (action.choices for action in parser._actions if isinstance(action.choices, dict)):
            assert not words or words[0] in actions, f"{page}: {command}"
            parser = actions[words[0]] if words else parser
        assert used <= set(parser._option_string_actions), f"{page}: {command}"


def test_targets_of_the_projects_own_workflow_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    used = set(re.findall(r"\bmake ([a-z-]+) PYTHON", (ROOT / ".github/workflows/ci.yml").read_text()))
    assert {"test", "test-engine"} <= used <= targets


@pytest.mark.parametrize("page", WORKFLOWS, ids=lambda page: page.name)
def test_jobs_are_bounded_in_time_and_may_only_read_unless_they_say_so(page: Path) -> None:
    workflow = yaml.safe_load(page.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("page", WORKFLOWS[1:], ids=lambda page: page.name)
def test_what_was_measured_is_uploaded_though_a_case_failed(page: Path) -> None:
    jobs = yaml.safe_load(page.read_text())["jobs"]
    uploads = {
        f"{name}: {step['with']['name']}": step.get("if")
        for name, job in jobs.items()
        for step in job["steps"]
        if step.get("uses", "").startswith("actions/upload-artifact@")
    }
    assert uploads
    assert uploads == dict.fromkeys(uploads, "${{ !cancelled() }}")


def test_snippets_of_the_documentation_are_whole_yaml() -> None:
    (snippet,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), flags=re.DOTALL)
    jobs = yaml.safe_load(snippet)
    assert set(jobs) == {"sgdiff", "sgdiff-judge"}
    assert "--sgdiff-report=report.html" in jobs["sgdiff"]["script"][-1]
    needed = [rule["if"] for rule in jobs["sgdiff"]["rules"]]
    assert jobs["sgdiff-judge"]["rules"] == [{"if": condition, "when": "always"} for condition in needed]
