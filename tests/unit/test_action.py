"""The scripts of the action, each run as GitHub runs it: in a checkout, with its variables, and with hostile inputs."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sgdiff.history.store import Figure, append_figures

ROOT = Path(__file__).parents[2]
ACTIONS = [ROOT / "action.yml", ROOT / "action" / "comment" / "action.yml"]
WORKFLOWS = [*sorted((ROOT / ".github/workflows").glob("*.yml")), *sorted((ROOT / "examples/workflows").glob("*.yml"))]

PYTHON = """#!/bin/bash
# Python, whose venv has all that pip would install, and whose pip notes what it is asked for.
home=$(dirname -- "$0")
case "$*" in
"-I -m venv "*)
    mkdir -p -- "$4/bin"
    cp -- "$0" "$4/bin/python"
    printf '#!/bin/bash\\nexec %q "$@"\\n' {engine} > "$4/bin/sglang"
    printf '#!/bin/bash\\nexec %q "$@"\\n' {bin}/pytest > "$4/bin/pytest"
    printf '#!/bin/bash\\nexec %q "$@"\\n' {bin}/sgdiff > "$4/bin/sgdiff"
    chmod +x -- "$4/bin/"*
    ;;
"-I -m pip "*)
    printf '%s\\n' "$@" . >> {log}
    if [[ " $* " == *" wheel "* ]]; then touch -- "${{@: -2:1}}/sglang-0.5.17-py3-none-any.whl"; fi
    ;;
*) exec {python} "$@" ;;
esac
"""


@dataclass
class Job:
    """A job on a machine: a workspace whose path holds blanks and quotes, and what the steps before left."""

    folder: Path
    outputs: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def workspace(self) -> Path:
        return self.folder / "my work's $HOME"

    @property
    def temp(self) -> Path:
        return self.folder / "runner temp"

    @property
    def results(self) -> Path:
        return self.temp / "sgdiff" / "results"

    def prepare(self) -> None:
        self.workspace.mkdir()
        self.temp.mkdir()
        python = self.folder / "python"
        words = {
            "python": shlex.quote(sys.executable),
            "bin": shlex.quote(str(Path(sys.executable).parent)),
            "engine": shlex.quote(str(ROOT / "tests" / "fake_bin" / "sglang")),
            "log": shlex.quote(str(self.folder / "pip.log")),
        }
        python.write_text(PYTHON.format(**words))
        python.chmod(0o755)

    def ready(self, pytest: str = "") -> None:
        """As after "Install the plugin"; `pytest` is what stands in for that."""
        for name in ("results", "history", "wheel"):
            (self.temp / "sgdiff" / name).mkdir(parents=True)
        subprocess.run([self.folder / "python", "-I", "-m", "venv", self.temp / "sgdiff" / "tool"], check=True)
        if pytest:
            (self.temp / "sgdiff" / "tool" / "bin" / "pytest").write_text(f"#!/bin/bash\n{pytest}\n")

    def installed(self) -> list[list[str]]:
        """What pip was asked for, call by call."""
        return [call.split("\n") for call in (self.folder / "pip.log").read_text().split("\n.\n") if call]

    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTEST_ADDOPTS": "-p pytest_sgdiff.plugin -p xdist.plugin",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_ACTION_PATH": str(ROOT),
            "GITHUB_OUTPUT": str(self.folder / "output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary"),
            "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temp),
            "SGDIFF_NVML_FILE": str(ROOT / "tests" / "data" / "nvml" / "h200-x4.json"),
            "SGDIFF_LOCK_DIR": str(self.folder / "locks"),
        }

    def value(self, text: str, inputs: Mapping[str, str]) -> str:
        """What GitHub makes of a value with expressions; only look-ups are known here."""

        def found(match: re.Match[str]) -> str:
            kind, _, name = match[1].strip().partition(".")
            if kind == "inputs":
                return inputs[name]
            step, _, output = name.removeprefix("").partition(".outputs.")
            assert kind == "steps", match[0]
            return self.outputs.get(step, {}).get(output, "")

        return re.sub(r"\$\{\{(.+?)\}\}", found, text)

    def run(self, name: str, *, action: int = 0, env: Mapping[str, str] | None = None, **given: str) -> Any:
        """Run the step of this name with these inputs (`base_commit` for base-commit), the others by default."""
        whole = yaml.safe_load(ACTIONS[action].read_text())
        inputs = {one: str(about.get("default", "")) for one, about in whole["inputs"].items()}
        inputs |= {"python": str(self.folder / "python")} if action == 0 else {}
        inputs |= {one.replace("_", "-"): value for one, value in given.items()}
        (step,) = [step for step in whole["runs"]["steps"] if step["name"] == name]
        variables = {one: self.value(str(text), inputs) for one, text in step.get("env", {}).items()}
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        (self.folder / "output").write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            cwd=self.workspace,
            env={**self.environment(), **variables, **(env or {})},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        lines = (self.folder / "output").read_text().splitlines()
        self.outputs[step.get("id", name)] = dict(line.split("=", 1) for line in lines)
        return done


@pytest.fixture
def job(tmp_path: Path) -> Job:
    one = Job(tmp_path)
    one.prepare()
    return one


def steps() -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """Every step of every workflow and action, with its file."""
    for page in WORKFLOWS:
        for one in yaml.safe_load(page.read_text())["jobs"].values():
            yield from ((page, step) for step in one["steps"])
    for page in ACTIONS:
        yield from ((page, step) for step in yaml.safe_load(page.read_text())["runs"]["steps"])


def test_no_script_holds_an_expression() -> None:
    """GitHub pastes expressions into scripts: a title, a branch or an input could end the command that it stands in."""
    scripts = [(page.name, step["run"]) for page, step in steps() if "run" in step]
    assert len(scripts) > 20
    assert [one for one in scripts if "${{" in one[1]] == []


def test_every_action_of_others_is_pinned_to_a_commit() -> None:
    used = {step["uses"] for _, step in steps() if "uses" in step and not step["uses"].startswith("./")}
    assert len(used) >= 6
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []
    # One commit of each, so that a new version is one search and replace.
    assert len({one.partition("@")[0] for one in used}) == len(used)


def test_no_checkout_leaves_the_token_on_disk() -> None:
    kept = [page for page, step in steps() if "checkout@" in step.get("uses", "") and not _forgets(step)]
    assert kept == []


def _forgets(step: Mapping[str, Any]) -> bool:
    return step.get("with", {}).get("persist-credentials") is False


def test_what_workflows_give_to_the_action_it_takes() -> None:
    taken = {
        f"./sgdiff{page.parent.as_posix().removeprefix(ROOT.as_posix())}": set(
            yaml.safe_load(page.read_text())["inputs"]
        )
        for page in ACTIONS
    }
    calls = [(step["uses"], set(step["with"])) for _, step in steps() if step.get("uses", "").startswith("./")]
    assert len(calls) == 8
    assert [(uses, given) for uses, given in calls if not given <= taken[uses]] == []


def test_the_page_about_ci_has_every_input_and_no_other() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    inputs = set(yaml.safe_load(ACTIONS[0].read_text())["inputs"])
    table = page.partition("| input | what it is |\n")[2].partition("\n\n")[0]
    named = [re.findall(r"`([a-z-]+)`", row.split("|")[1]) for row in table.splitlines()[1:]]
    assert {name for names in named for name in names} == inputs
    (shown,) = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(- uses.*?)```", page, re.DOTALL)]
    assert set(shown[0]["with"]) <= inputs


def test_the_actions_follow_the_schema_of_github() -> None:
    schema = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-actions"]
    done = subprocess.run([*schema, *map(str, ACTIONS)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_shellcheck_has_nothing_to_say_of_their_scripts(tmp_path: Path) -> None:
    """actionlint looks at those of workflows alone."""
    scripts = [step["run"] for page, step in steps() if page in ACTIONS and "run" in step]
    assert len(scripts) >= 8
    for number, script in enumerate(scripts):
        (tmp_path / f"{number}.sh").write_text(script)
    program = Path(sys.executable).parent / "shellcheck"
    checked = subprocess.run([program, "-s", "bash", *sorted(tmp_path.glob("*.sh"))], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


CASE = """cases:
  tiny:
    summary: the smallest case
    marks: [pr]
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}
    args: {prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: 42}
    launches: {baseline: 5, checkpoints: [1, 3, 5]}
    timeout: 60s
"""


def test_a_pull_request_is_measured_from_an_installation_to_the_report(job: Job) -> None:
    cases = job.workspace / "now" / "cases"
    cases.mkdir(parents=True)
    (cases / "tiny.yaml").write_text(CASE)
    (job.workspace / "base" / "python").mkdir(parents=True)
    inputs = {
        "folder": "now",
        "marks": "pr",
        "engine": "./now/python[diffusion]",
        "base": "base/python",
        "base_commit": "0123456789abcdef0123456789abcdef01234567",
        "gpus": "1",
    }
    for name in (
        *("Install the plugin", "Install the base engine", "Install the engine", "Show the leases of this machine"),
        "Measure and judge",
    ):
        done = job.run(name, **inputs)
        assert done.returncode == 0, done.stdout
    assert "measured 1 of 1 · 1 pass" in done.stdout
    report = json.loads((job.results / "report.json").read_text())
    assert [case["outcome"] for case in report["cases"]] == ["pass"]
    root = job.temp / "sgdiff"
    (against,) = [word for word in shlex.split(report["command"]) if word.startswith("--sgdiff-against=")]
    assert shlex.split(against.partition("=")[2]) == [str(root / "base" / "bin" / "sglang")]
    kept = sorted(path.name for path in job.results.iterdir())
    assert kept == ["junit.xml", "recording", "report.html", "report.json", "report.md"]
    assert job.outputs["install"]["results"] == str(job.results)
    # The plugin comes from this very checkout: no index has to know it.
    wheel = str(root / "wheel" / "sglang-0.5.17-py3-none-any.whl[diffusion]")
    asked = [call[-1] for call in job.installed()]
    assert asked == [
        f"{ROOT}[html]",
        str(job.workspace / "base" / "python"),
        wheel,
        "./now/python[diffusion]",
    ]


def test_a_base_engine_from_the_cache_is_not_built_again(job: Job) -> None:
    job.ready()
    (job.temp / "sgdiff" / "wheel" / "sglang-0.5.17-py3-none-any.whl").write_text("")
    done = job.run("Install the base engine", base="base/python", constraints="limits.txt")
    assert done.returncode == 0, done.stdout
    (call,) = job.installed()
    assert call[-4:-1] == ["install", "--constraint", "limits.txt"]


def test_each_environment_is_a_new_one(job: Job) -> None:
    job.run("Install the plugin")
    for old in ("now", "base", "results", "history", "wheel"):
        (job.temp / "sgdiff" / old).mkdir(exist_ok=True)
        (job.temp / "sgdiff" / old / "left").write_text("by a job before")
    assert job.run("Install the plugin").returncode == 0
    assert list((job.temp / "sgdiff").rglob("left")) == []


SPITEFUL = [
    '"; touch pwned; "',
    "$(touch pwned)",
    "`touch pwned`",
    "' ; touch pwned #",
    "--rootdir=/ -p evil",
    "a\\",
    "*",
    "${IFS}",
]


@pytest.mark.parametrize("text", SPITEFUL)
def test_a_spiteful_input_is_one_word_of_one_option(job: Job, text: str) -> None:
    job.ready('printf \'%s\\0\' "$@" > "$RUNNER_TEMP/arguments"')
    (job.workspace / text.replace("/", "_")).mkdir()
    file = f"./{text}" if text.startswith("-") else text
    given = {
        "marks": text,
        "select": text,
        "gpus": text,
        "gpu_timeout": text,
        "lock_dir": text,
        "engine_command": text,
        "arguments": f"-x\n\n-o=addopts={text}",
        "cases": f"cases\n{file}\n",
        "assets": text.replace("/", "_"),
        "folder": text.replace("/", "_"),
    }
    done = job.run("Measure and judge", **given)
    assert done.returncode == 0, done.stdout
    words = (job.temp / "arguments").read_text().split("\0")[:-1]
    assert words[-3:] == ["--", "cases", file]
    assert {
        f"-m={text}",
        f"-k={text}",
        f"--sgdiff-gpus={text}",
        f"--sgdiff-gpu-timeout={text}",
        f"--sgdiff-lock-dir={text}",
        f"--sgdiff-engine-cmd={text}",
        "-x",
        f"-o=addopts={text}",
        f"--sgdiff-assets={job.workspace / text.replace('/', '_')}",
    } <= set(words)
    assert "--sgdiff-strict" in words
    assert not list(job.folder.rglob("pwned"))


@pytest.mark.parametrize("text", ["../../etc", "a b", "x\nresults=/etc", "$(id)", "a/b", "nightly@1"])
def test_a_name_that_would_leave_the_key_of_a_cache_is_refused(job: Job, text: str) -> None:
    assert job.run("Install the plugin", history=text).returncode == 4
    assert job.run("Install the plugin", base_commit=text).returncode == 4
    assert not (job.folder / "pip.log").exists()


def test_an_engine_is_a_requirement_and_no_option_of_pip(job: Job) -> None:
    job.ready()
    for text in ("--index-url=https://example.org sglang", "sglang==0.5.17\n-e ."):
        assert job.run("Install the engine", engine=text).returncode == 4
    assert not (job.folder / "pip.log").exists()


def test_a_case_file_is_no_option_of_pytest(job: Job) -> None:
    done = job.run("Measure and judge", cases="cases\n-pevil", replay="measured/recording")
    assert (done.returncode, "names files and folders, no options: -pevil" in done.stdout) == (4, True)


def test_a_recording_is_judged_without_gpus_and_without_an_engine(job: Job) -> None:
    job.ready("printf '%s\\n' \"$@\"")
    words = job.run("Measure and judge", replay="measured/recording", engine="sglang", record="true").stdout.split("\n")
    assert f"--sgdiff-replay={job.workspace}/measured/recording" in words
    assert [word for word in words if word.startswith(("--sgdiff-gpus", "--sgdiff-engine", "--sgdiff-update"))] == []


def test_candidates_are_recorded_and_not_written_into_the_history(job: Job) -> None:
    job.ready("printf '%s\\n' \"$@\"")
    words = job.run("Measure and judge", record="true", history="nightly").stdout.split("\n")
    assert "--sgdiff-update" in words
    assert [word for word in words if word.startswith("--sgdiff-history")] == []
    judged = job.run("Measure and judge", history="nightly").stdout.split("\n")
    assert f"--sgdiff-history={job.temp / 'sgdiff' / 'history' / 'history.db'}" in judged


def test_a_token_for_models_has_one_name_and_its_own_step(job: Job) -> None:
    job.ready("env")
    machines = {"HF_TOKEN": "that of the machine"}
    given = job.run("Measure and judge", hf_token="hf_of_the_job", env=machines).stdout.split("\n")
    assert [line for line in given if "hf_of_the_job" in line] == ["HF_TOKEN=hf_of_the_job"]
    assert "HF_TOKEN=that of the machine" in job.run("Measure and judge", env=machines).stdout.split("\n")
    whole = yaml.safe_load(ACTIONS[0].read_text())["runs"]["steps"]
    assert [step["name"] for step in whole if "inputs.hf-token" in str(step)] == ["Measure and judge"]


def test_the_exit_code_of_the_gate_is_that_of_the_step(job: Job) -> None:
    job.ready("exit 2")
    assert job.run("Measure and judge").returncode == 2


def test_only_runs_of_the_branch_add_to_the_history() -> None:
    (step,) = [step for _, step in steps() if step.get("name") == "Keep the history"]
    refused = set(re.findall(r"github\.event_name != '(\w+)'", step["if"]))
    assert refused == {"pull_request", "pull_request_target", "workflow_run"}
    assert "inputs.record != 'true'" in step["if"]


def test_a_job_comments_itself_on_pull_requests_of_its_own_repository_only() -> None:
    """Of a fork that was deleted the event names no repository, which is none of ours either."""
    (step,) = [step for _, step in steps() if step.get("name") == "Comment on the pull request"]
    assert "&& github.event.pull_request.head.repo.full_name == github.repository" in step["if"]


def test_a_history_is_found_by_its_whole_name_in_the_cache() -> None:
    """A key is looked for by how it begins: `nightly-` would also begin that of a history `nightly-h100`."""
    caches = [step["with"] for page, step in steps() if page in ACTIONS and "istory" in step["name"] and "uses" in step]
    assert len(caches) == 3
    begin = "sgdiff-history-${{ inputs.history }}@"
    # No name holds it: `test_a_name_that_would_leave_the_key_of_a_cache_is_refused`.
    assert [one["restore-keys"] for one in caches if "restore-keys" in one] == [begin, begin]
    assert {one["key"] for one in caches} == {begin + "${{ github.run_id }}-${{ github.run_attempt }}"}
    assert len({one["path"] for one in caches}) == 1


def test_the_base_engine_is_kept_before_the_code_of_a_pull_request_is_built() -> None:
    names = [step["name"] for step in yaml.safe_load(ACTIONS[0].read_text())["runs"]["steps"]]
    assert names.index("Keep the base engine") < names.index("Install the engine") < names.index("Measure and judge")


def night(number: int, *, case: str = "wan", value: float, workload: str = "one", metric: str = "denoise") -> Figure:
    return Figure(
        run=f"{workload}-{number}",
        at=f"2026-11-{number:02}T02:00:00+00:00",
        case=case,
        machine="nvidia-h200-x1",
        workload=workload,
        metric=metric,
        value=value,
    )


def test_the_trend_is_drawn_of_the_latest_settings_of_each_case(job: Job) -> None:
    job.ready()
    history = job.temp / "sgdiff" / "history" / "history.db"
    nights = [night(number, value=1000.0 if number < 8 else 1100.0) for number in range(1, 13)]
    former = [night(number, value=10.0, workload="which came before") for number in range(1, 3)]
    names = ["a|b`c", "::error::x", "<img src=x>", "two\nlines"]
    foreign = [night(number, case=name, value=5.0) for name in names for number in (1, 2)]
    append_figures(history, [*nights, *former, *foreign])
    done = job.run("Draw the trend", history="nightly")
    assert done.returncode == 0, done.stdout
    drawn = (job.results / "trend.md").read_text().splitlines()
    assert (job.folder / "summary").read_text().splitlines() == drawn
    assert (job.results / "history.db").read_bytes() == history.read_bytes()
    assert "<svg" in (job.results / "trend.html").read_text()
    assert drawn[:3] == [
        "### Trend",
        "",
        "| case | machine | metric | up to 30 runs | latest | latest three against the best three |",
    ]
    assert drawn[4] == "| `wan` | `nvidia-h200-x1` | `denoise` | ▁▁▁▁▁▁▁█████ | 1.100 s | +10.0 % |"
    assert len(drawn) == 9
    assert all(line.count("|") == 7 and line.count("`") == 6 for line in drawn[4:])


def test_a_slower_night_in_the_trend_fails_no_run_of_its_own_and_a_broken_page_does(job: Job) -> None:
    job.ready()
    history = job.temp / "sgdiff" / "history" / "history.db"
    append_figures(history, [night(number, value=1000.0) for number in (1, 2)])
    tool = job.temp / "sgdiff" / "tool" / "bin" / "sgdiff"
    for code, expected in ((0, 0), (1, 0), (2, 1)):
        tool.write_text(f"#!/bin/bash\nexit {code}\n")
        assert job.run("Draw the trend", history="nightly").returncode == expected


def test_a_broken_history_of_the_cache_is_set_aside_and_kept(job: Job) -> None:
    job.ready()
    history = job.temp / "sgdiff" / "history" / "history.db"
    assert job.run("Set a broken history aside", history="nightly").returncode == 0
    history.write_bytes(b"no history" * 900)
    done = job.run("Set a broken history aside", history="nightly")
    assert (done.returncode, "::warning" in done.stdout) == (0, True)
    assert not history.exists()
    assert (job.results / "history-broken.db").read_bytes() == b"no history" * 900
    append_figures(history, [night(1, value=1000.0)])
    assert job.run("Set a broken history aside", history="nightly").returncode == 0
    assert history.exists()


def test_the_wheel_of_a_base_engine_is_found_by_its_folder_too(job: Job) -> None:
    keys = {step["with"]["key"] for _, step in steps() if "base engine" in step.get("name", "") and "uses" in step}
    (key,) = keys
    assert "${{ inputs.base-commit }}-${{ steps.install.outputs.base }}" in key
    names = set()
    for base in ("base/python", "other/python", "base/python"):
        assert job.run("Install the plugin", base=base).returncode == 0
        names.add(job.outputs["install"]["base"])
    assert len(names) == 2


def test_a_history_that_is_none_is_named_and_no_history_is_no_picture(job: Job) -> None:
    job.ready()
    assert job.run("Draw the trend", history="nightly").returncode == 0
    assert not (job.results / "trend.md").exists()
    (job.temp / "sgdiff" / "history" / "history.db").write_text("no history")
    assert job.run("Draw the trend", history="nightly").returncode == 1


@pytest.mark.parametrize("page", sorted((ROOT / "examples/workflows").glob("pr-gate.yml")))
def test_the_base_of_an_ab_run_is_what_the_change_is_merged_into(page: Path, tmp_path: Path) -> None:
    jobs = yaml.safe_load(page.read_text())["jobs"]
    (script,) = [step["run"] for step in jobs["ab"]["steps"] if step.get("id") == "base"]
    now = tmp_path / "now"
    tell = ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", "-C", str(now)]
    environment = {"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(tmp_path / "output"), "HOME": str(tmp_path)}

    def git(*words: str) -> str:
        return subprocess.run([*tell, *words], env=environment, check=True, capture_output=True, text=True).stdout

    subprocess.run(["git", "init", "-q", "-b", "main", str(now)], env=environment, check=True)
    git("commit", "-q", "--allow-empty", "-m", "an old base")
    git("checkout", "-q", "-b", "change")
    git("commit", "-q", "--allow-empty", "-m", "the change")
    git("checkout", "-q", "main")
    git("commit", "-q", "--allow-empty", "-m", "what others did since")
    merged_into = git("rev-parse", "HEAD").strip()
    git("merge", "-q", "--no-ff", "--no-edit", "change")
    git("checkout", "-q", "--detach")
    # Also on a machine that keeps its workspace.
    for _ in range(2):
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "output").read_text().split("\n")[-2] == f"commit={merged_into}"
