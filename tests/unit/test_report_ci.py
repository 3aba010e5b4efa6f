"""The workflows, and what the documentation tells people to type, hold what the plugin and GitHub understand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sgdiff.cases.assets import SOURCES
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.cli import build_parser
from pytest_sgdiff.options import SETTINGS

ROOT = Path(__file__).parents[2]
OURS = ROOT / ".github" / "workflows"
EXAMPLES = sorted((ROOT / "examples/workflows").glob("*.yml"))
WORKFLOWS = [*sorted(OURS.glob("*.yml")), *EXAMPLES]
PAGES = [*WORKFLOWS, *sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "examples/README.md"]


def test_workflows_follow_the_schema_of_github() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, *map(str, WORKFLOWS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def linted(command: str) -> set[Path]:
    """The files that a command line names, with those of its folders."""
    named = {path for word in command.split()[1:] if not word.startswith("-") for path in ROOT.glob(word)}
    return named | {file for folder in named if folder.is_dir() for file in folder.rglob("*.yml")}


def test_actionlint_and_zizmor_look_at_every_workflow() -> None:
    job = yaml.safe_load((OURS / "ci.yml").read_text())["jobs"]["workflows"]
    (command,) = [step["run"] for step in job["steps"] if "run" in step]
    assert linted(command) >= set(WORKFLOWS)
    lint = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert lint is not None
    (actionlint,) = re.findall(r"actionlint .*", lint[1])
    assert linted(actionlint) >= set(WORKFLOWS)
    (zizmor,) = re.findall(r"zizmor .*", lint[1])
    assert linted(zizmor) >= {*WORKFLOWS, ROOT / "action.yml", ROOT / "action" / "comment" / "action.yml"}


def jobs_of(name: str) -> dict[str, Any]:
    jobs: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "workflows" / name).read_text())["jobs"]
    return jobs


def holds(condition: str, context: dict[str, Any]) -> bool:
    """What GitHub makes of a condition of `==`, `!=`, `&&`, `||` and places of the context; what is missing is ''."""

    def place(found: re.Match[str]) -> str:
        value: Any = context
        for name in found[0].split("."):
            value = value.get(name, "") if isinstance(value, dict) else ""
        return repr(value)

    text = re.sub(r"'[^']*'|[a-z][\w.]*", lambda found: found[0] if found[0][0] == "'" else place(found), condition)
    return bool(eval(text.replace("&&", " and ").replace("||", " or "), {"__builtins__": {}}))


@pytest.mark.parametrize("repository", ["org/repo", "fork/repo", None])
@pytest.mark.parametrize("label", ["run-sgdiff", "documentation"])
@pytest.mark.parametrize("action", ["opened", "synchronize", "reopened", "labeled"])
def test_a_fork_is_measured_for_the_commit_that_was_labelled_and_for_no_later_push(
    action: str, label: str, repository: str | None
) -> None:
    """The labels that a pull request has stay when it is pushed to; only the event of adding one is about a commit."""
    head = {"repo": None if repository is None else {"full_name": repository}}
    event: dict[str, Any] = {
        "action": action,
        "pull_request": {"number": 7, "head": head, "labels": [{"name": "run-sgdiff"}]},
    }
    if action == "labeled":
        event["label"] = {"name": label}
    context = {"github": {"event": event, "repository": "org/repo"}}
    runs = holds(jobs_of("pr-gate.yml")["ab"]["if"], context)
    if action == "labeled":
        assert runs is (label == "run-sgdiff")
    else:
        assert runs is (repository == "org/repo")
    assert holds(jobs_of("pr-gate.yml")["check"]["if"], context) is (action != "labeled" or label == "run-sgdiff")


def test_the_code_of_a_fork_reaches_machines_of_its_own_only() -> None:
    runs_on = jobs_of("pr-gate.yml")["ab"]["runs-on"]
    condition, same, other = re.fullmatch(r"\$\{\{ fromJSON\((.+) && '(.+)' \|\| '(.+)'\) \}\}", runs_on).groups()  # type: ignore[union-attr]
    for repository, expected in (("org/repo", same), ("fork/repo", other)):
        head = {"repo": {"full_name": repository}}
        context = {"github": {"event": {"pull_request": {"head": head}}, "repository": "org/repo"}}
        assert (same if holds(condition, context) else other) == expected
    assert "sgdiff-ephemeral" in other
    assert "sgdiff-ephemeral" not in same


def test_a_label_that_is_not_ours_ends_no_run() -> None:
    group = yaml.safe_load((ROOT / "examples/workflows/pr-gate.yml").read_text())["concurrency"]["group"]
    assert "github.event.action == 'labeled' && github.event.label.name != 'run-sgdiff'" in group
    assert "format('-{0}', github.run_id)" in group


def test_a_job_that_may_write_runs_nothing_of_a_pull_request() -> None:
    """Neither its checkout nor what it measured; the commit of the base or of the default branch has its action."""
    seen = set()
    for page in EXAMPLES:
        for name, job in yaml.safe_load(page.read_text())["jobs"].items():
            if "write" not in job.get("permissions", {}).values():
                continue
            seen.add((page.name, name))
            assert job["runs-on"] == "ubuntu-latest"
            assert not any("run" in step for step in job["steps"])
            (checkout,) = [step for step in job["steps"] if "checkout@" in step.get("uses", "")]
            ref = checkout["with"]["ref"]
            based = "${{ env.SGDIFF_COMMIT || github.event.pull_request.base.sha }}"
            assert ref == (based if page.name == "pr-gate.yml" else "${{ env.SGDIFF_COMMIT }}")
            # That would run with the rights of the default branch, and so reads a fork's artifact in memory alone.
            downloads = [step for step in job["steps"] if "download-artifact@" in step.get("uses", "")]
            assert len(downloads) == (page.name == "pr-gate.yml")
    assert seen == {("pr-gate.yml", "comment"), ("pr-comment.yml", "comment")}


def test_no_workflow_runs_with_the_rights_of_the_base_on_the_code_of_a_fork() -> None:
    events = {page.name: set(yaml.safe_load(page.read_text())[True]) for page in WORKFLOWS}
    assert [name for name, on in events.items() if "pull_request_target" in on or "issue_comment" in on] == []
    assert [name for name, on in events.items() if "workflow_run" in on] == ["pr-comment.yml"]


def test_the_comment_workflow_follows_the_gate_by_its_name() -> None:
    comment, gate = (
        yaml.safe_load((ROOT / "examples/workflows" / name).read_text()) for name in ("pr-comment.yml", "pr-gate.yml")
    )
    assert comment[True]["workflow_run"]["workflows"] == [gate["name"]]


def test_secrets_go_to_the_step_that_measures_and_to_no_other() -> None:
    for page in WORKFLOWS:
        text = page.read_text()
        steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
        given = [step["uses"] for step in steps if "secrets." in step.get("with", {}).get("hf-token", "")]
        assert set(given) <= {"./sgdiff"}
        assert text.count("secrets.") == len(given)


def gates() -> list[tuple[str, str]]:
    """Every command line that measures, in the action, the GitLab example and on the page about CI, with its page."""
    found = []
    for page in (ROOT / "examples" / "gitlab-ci.yml", ROOT / "docs" / "ci.md"):
        joined = re.sub(r"\s*\\\n\s*|\n\s+(?=--)", " ", page.read_text())
        found += [
            (page.name, line) for line in joined.splitlines() if re.search(r"pytest .*--sgdiff-(gpus|replay)=", line)
        ]
    return found


def test_every_gate_that_we_ship_is_strict() -> None:
    """Those of the action: `test_a_spiteful_input_is_one_word_of_one_option`."""
    assert len(gates()) >= 4
    assert [f"{page}: {line}" for page, line in gates() if "--sgdiff-strict" not in line] == []


def test_an_engine_that_is_built_from_a_checkout_gets_its_tags() -> None:
    checkouts = [
        (page.name, step["with"])
        for page in EXAMPLES
        for job in yaml.safe_load(page.read_text())["jobs"].values()
        if any("engine" in step.get("with", {}) for step in job["steps"])
        for step in job["steps"]
        if "checkout@" in step.get("uses", "")
    ]
    assert len(checkouts) == 8
    assert [one for one in checkouts if one[1].get("fetch-depth") != 0] == []
    gitlab = yaml.safe_load((ROOT / "examples" / "gitlab-ci.yml").read_text())
    assert gitlab["sgdiff"]["variables"]["GIT_DEPTH"] == "0"


@pytest.mark.parametrize(("workflow", "mark"), [("pr-gate.yml", "pr"), ("nightly.yml", "nightly")])
def test_a_workflow_fetches_what_its_cases_need(workflow: str, mark: str) -> None:
    cases = [case for file in sorted((ROOT / "cases").glob("*.yaml")) for case in read_cases(file, ROOT)]
    needed = {name for case in cases if mark in case.marks for name in case.assets.values()}
    text = (ROOT / "examples" / "workflows" / workflow).read_text()
    fetched = {Path(name).name for name in re.findall(r'--output "\$GITHUB_WORKSPACE/assets/([^"]+)"', text)}
    assert needed == fetched
    assert all(SOURCES[name].url in text for name in fetched)


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
    used = set(re.findall(r"\bmake ([a-z-]+) PYTHON", (OURS / "ci.yml").read_text()))
    assert {"test", "test-engine", "dist"} <= used <= targets


@pytest.mark.parametrize("page", WORKFLOWS, ids=lambda page: page.name)
def test_jobs_are_bounded_in_time_and_may_only_read_unless_they_say_so(page: Path) -> None:
    workflow = yaml.safe_load(page.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_what_was_measured_is_uploaded_though_a_case_failed() -> None:
    steps = yaml.safe_load((ROOT / "action.yml").read_text())["runs"]["steps"]
    uploads = [step["if"] for step in steps if "upload-artifact@" in step.get("uses", "")]
    assert len(uploads) == 2
    assert [condition for condition in uploads if "!cancelled() && " not in condition] == []


def test_the_gitlab_example_is_what_gitlab_reads_and_judges_only_what_was_measured() -> None:
    page = ROOT / "examples" / "gitlab-ci.yml"
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.gitlab-ci", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    jobs = yaml.safe_load(page.read_text())
    needed = [rule["if"] for rule in jobs["sgdiff"]["rules"]]
    assert jobs["sgdiff-judge"]["rules"] == [{"if": condition, "when": "always"} for condition in needed]


@pytest.mark.parametrize(
    ("tag", "file", "heading", "code"),
    [
        ("v0.3.0", "0.3.0", "## 0.3.0, 2027-01-31", 0),
        ("v0.3.0", "0.3.1.dev1+gabcdef0", "## 0.3.0, 2027-01-31", 1),
        ("v0.3.0", "0.3.0", "## 0.3.0, unreleased", 1),
        ("v0.3.0", "0.3.0", "## 0x3.0, 2027-01-31", 1),
    ],
)
def test_a_release_is_what_its_tag_and_the_changelog_say(
    tmp_path: Path, tag: str, file: str, heading: str, code: int
) -> None:
    steps = yaml.safe_load((OURS / "release.yml").read_text())["jobs"]["build"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name", "").startswith("Compare")]
    (tmp_path / "dist").mkdir()
    for name in (f"pytest_sgdiff-{file}-py3-none-any.whl", f"pytest_sgdiff-{file}.tar.gz"):
        (tmp_path / "dist" / name).touch()
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n{heading}\n")
    env = {"PATH": "/usr/bin:/bin", "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tmp_path, env=env, capture_output=True, check=False)
    assert done.returncode == code


def test_the_job_that_publishes_runs_nothing_of_the_checkout_and_has_no_password() -> None:
    workflow = yaml.safe_load((OURS / "release.yml").read_text())
    jobs = workflow["jobs"]
    assert {name for name, job in jobs.items() if "id-token" in job.get("permissions", {})} == {"publish"}
    assert jobs["publish"]["environment"] == "pypi"
    used = [step.get("uses", "run").partition("@")[0] for step in jobs["publish"]["steps"]]
    assert used == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert not any("cache" in step.get("with", {}) for job in jobs.values() for step in job["steps"])
