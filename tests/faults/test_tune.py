"""`sgdiff tune` with the stand-in engine: a space with a known best, two equal variants, one that needs too much memory
and one that falls back; killed or interrupted in the middle, and after a full disk, it goes on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.factories import NO_OTHER_PLUGINS
from tests.plugin.conftest import CASE, FAKE_BIN
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.faults

NVML = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"
SGDIFF = Path(sys.executable).with_name("sgdiff")
TUNE = ("tune", "tiny", "--gpus", "1", "--axes", "compile,attention", "--memory", "40GiB", "--report", "tuned.json")
# The real flags of the variants; the case as it is written takes 1016 ms.
ENGINE = """#!/bin/sh
case " $* " in
*" --regional-compile "*) play=slow:0.5+memory:50000 ;;
*" --enable-torch-compile "*) play=slow:0.7+memory:20000 ;;
*" --attention-backend fa "*) play=slow:0.85+memory:9000 ;;
*" --attention-backend torch_sdpa "*) play=slow:0.85+memory:9000 ;;
*" --attention-backend torch_cudnn_sdpa "*) play=fallback ;;
*) play=memory:3000 ;;
esac
case "$1" in version | --version) ;; *)
    if [ -e "{here}/hold" ]; then echo $$ >> "{here}/held"; exec sleep 600; fi
    if [ -e "{here}/full" ]; then echo "OSError: [Errno 28] No space left on device: '/c/x.so'" >&2; exit 1; fi ;;
esac
SGDIFF_FAKE_SCENARIO=$play exec {fake}/sglang "$@"
"""
CONFTEST = """
def pytest_sgdiff_command(case, command):
    # A hook of the project acts on every variant.
    with open("launched", "a") as file:
        file.write(case.id + "\\n")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "tiny.yaml").write_text(CASE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    engine = tmp_path / "engine"
    engine.write_text(ENGINE.format(here=tmp_path, fake=FAKE_BIN))
    engine.chmod(0o755)
    return tmp_path


def environment(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SGDIFF_", "CUDA_", "PYTEST_"))}
    return {
        **kept,
        **NO_OTHER_PLUGINS,
        "SGDIFF_NVML_FILE": str(NVML),
        "SGDIFF_LOCK_DIR": str(project / "locks"),
        "XDG_CACHE_HOME": str(project / ".cache"),
        "SGDIFF_ENGINE_CMD": str(project / "engine"),
    }


def tune(project: Path, *more: str, words: Sequence[str] = TUNE) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SGDIFF, *words, *more], cwd=project, env=environment(project), capture_output=True, text=True, check=False
    )


def launched(project: Path) -> list[str]:
    return (project / "launched").read_text().splitlines()


def ranking(project: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((project / "tuned.json").read_text())
    return {**told, "variants": {one["variant"]: one for one in told["variants"]}}


@pytest.fixture
def strays(project: Path) -> Iterator[None]:
    yield
    for pid in held(project):
        if alive(pid):
            os.kill(pid, signal.SIGKILL)


def held(project: Path) -> list[int]:
    path = project / "held"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@contextlib.contextmanager
def hanging_after_one(project: Path, words: Sequence[str]) -> Iterator[subprocess.Popen[str]]:
    """A search whose engines hang from the end of its first launch on, while one of them does."""
    with subprocess.Popen(
        words,
        cwd=project,
        env=environment(project),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stderr is not None
        next(line for line in command.stderr if line.startswith("  as-written: "))
        (project / "hold").touch()
        wait_for(lambda: held(project), otherwise="no engine was launched")
        yield command


def test_the_best_is_found_and_a_kill_in_the_middle_costs_one_round(project: Path, strays: None) -> None:
    with hanging_after_one(project, [str(SGDIFF), *TUNE]) as killed:
        killed.kill()
    hanging = held(project)
    before = launched(project)
    (project / "hold").unlink()
    # Nobody is left of the killed command that would keep its GPUs.
    done = tune(project)
    assert done.returncode == 0, done.stderr
    assert not any(map(alive, hanging))
    told = ranking(project)
    found = told["variants"]
    assert (told["code"], told["best"]) == ("decided", "compile")
    assert told["variants"]["compile"]["group"] == 1
    assert found["fa"]["group"] == found["sdpa"]["group"] == 2
    assert found["as-written"]["group"] == 3
    assert found["compile-regional"]["dropped"]["code"] == "memory"
    assert found["cudnn-sdpa"]["dropped"]["problem"]["code"] == "diffusers-ran"
    assert told["front"] == ["compile", "fa", "as-written"]
    # Of the case itself one launch counted before the kill, one was killed, and one was made again.
    assert before == ["tiny[as-written]"] * 2
    assert launched(project).count("tiny[as-written]") == 3
    # Once more: everything is known.
    count = len(launched(project))
    again = tune(project, "--report", "again.json")
    assert (again.returncode, len(launched(project))) == (0, count)
    assert json.loads((project / "again.json").read_text())["variants"] == list(found.values())
    # With other limits what was measured stands, and what needs too much now is given up.
    less = tune(project, "--memory", "10GiB", "--within", "5%")
    assert less.returncode == 0, less.stderr
    told = ranking(project)
    assert (told["variants"]["compile"]["dropped"]["code"], told["best"] in ("fa", "sdpa")) == ("memory", True)
    assert "tiny[compile]" not in launched(project)[count:]
    # Of something else it is another search.
    other = tune(project, "--metric", "e2e")
    assert (other.returncode, "--restart" in other.stderr) == (2, True)


# A shell starts background jobs with SIGINT ignored, and nohup with SIGHUP, which children inherit.
INTERRUPTIBLE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pytest_sgdiff.cli import main
sys.exit(main(sys.argv[1:]))
"""
SMALL = (*TUNE, "--only", "compile", "--launches", "2")


def state(project: Path) -> list[dict[str, Any]]:
    """Each line of what a search keeps; one that is cut off fails."""
    text = (project / ".sgdiff" / "tune" / "tiny" / "state.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def tries(project: Path) -> list[tuple[str, str | None]]:
    """What came of launches, in order: the variant, and why it does not count."""
    return [
        (one["came"]["variant"], (one["came"].get("dropped") or {}).get("code"))
        for one in state(project)
        if "came" in one
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_in_the_middle_of_a_launch_ends_the_engine_and_costs_nothing_else(
    project: Path, strays: None, number: signal.Signals
) -> None:
    with hanging_after_one(project, [sys.executable, "-c", INTERRUPTIBLE, *SMALL]) as command:
        command.send_signal(number)
        assert command.stderr is not None
        said = command.stderr.read()
        assert command.wait() == 130
    assert "the same command goes on" in said
    # The engine has ended with the command, and not later.
    assert not any(map(alive, held(project)))
    before = state(project)
    # The launch that was interrupted is none, and its round is over with the time that it took.
    assert tries(project) == [("as-written", None)]
    rounds = [one["begun"] for one in before if "begun" in one]
    assert rounds == [one["spent"] for one in before if "spent" in one] == [1, 2]
    (project / "hold").unlink()
    done = tune(project, words=SMALL)
    assert done.returncode in (0, 1), done.stderr
    # What was measured before stands, and is measured no second time.
    assert state(project)[: len(before)] == before
    assert ranking(project)["variants"]["as-written"]["launches"] == 2
    assert launched(project).count("tiny[as-written]") == 3


def test_a_full_disk_counts_against_no_variant(project: Path) -> None:
    (project / "full").touch()
    full = tune(project, words=SMALL)
    assert (full.returncode, "make room" in full.stderr) == (2, True), full.stderr
    assert tries(project) == []
    again = tune(project, words=SMALL)
    assert (again.returncode, tries(project)) == (2, [])
    (project / "full").unlink()
    done = tune(project, words=SMALL)
    assert done.returncode in (0, 1), done.stderr
    assert {name for name, code in tries(project) if code is None} == {"as-written", "compile"}


def test_a_file_whose_path_has_brackets_is_measured_by_several_workers(project: Path) -> None:
    (project / "cases" / "tiny.yaml").unlink()
    (project / "cases" / "a[1]").mkdir()
    compiled = "    matrix: {how: {plain: {}, compiled: {args: {enable-torch-compile: true}}}}\n"
    (project / "cases" / "a[1]" / "tiny.yaml").write_text(CASE + compiled)
    done = tune(project, words=("tune", "tiny", "--gpus", "2", "--launches", "2", "--report", "tuned.json"))
    assert done.returncode in (0, 1), done.stderr
    assert {one["launches"] > 0 for one in ranking(project)["variants"].values()} == {True}


# The real flags of variants of a matrix, and what they draw.
PICTURES = """#!/bin/sh
case " $* " in
*" --attention-backend fa "*) play=slow:0.6+memory:50000+picture:1 ;;
*" --attention-backend sage_attn "*) play=slow:0.7+picture:2 ;;
*" --num-inference-steps 10 "*) play=picture:3 ;;
*" --enable-torch-compile "*) play=slow:0.8+encoder:60+picture:1 ;;
*) play=memory:50000+picture:1 ;;
esac
SGDIFF_FAKE_SCENARIO=$play exec {fake}/sglang "$@"
"""


def test_reports_agree_on_a_matrix_with_another_request_and_a_case_that_does_not_fit(project: Path) -> None:
    (project / "engine").write_text(PICTURES.format(fake=FAKE_BIN))
    how = "plain: {}, compiled: {args: {enable-torch-compile: true}}, short: {args: {num-inference-steps: 10}}, "
    how += "fa: {args: {attention-backend: fa}}, sage: {args: {attention-backend: sage_attn}, marks: [lossy]}"
    (project / "cases" / "tiny.yaml").write_text(f"{CASE}    matrix: {{how: {{{how}}}}}\n")
    forms = ("tuned.json", "tuned.txt", "tuned.md", "tuned.html")
    words = ("tune", "tiny", "--gpus", "1", "--memory", "40GiB", "--launches", "2", "--allow-lossy")
    done = tune(project, *(f"--report={form}" for form in forms), "--write=cases/mine.yaml", words=words)
    assert done.returncode in (0, 1), done.stderr
    told = ranking(project)
    found = told["variants"]
    # Half of the steps draw something else by design.
    assert (found["short"]["quality"]["code"], found["short"]["lossy"], found["short"]["dropped"]) == (
        *("other-request", False, None),
    )
    assert (told["of_written"], found["plain"]["dropped"]["code"]) == ("given-up", "memory")
    assert (told["given_up_faster"], told["best_lossless"]) == ("fa", "compiled")
    assert "compiled" in told["long_requests"]
    assert (told["front"], told["lossless_front"]) == (["short"], ["compiled"])
    assert {len(one["tries"]) for one in found.values()} <= {1, 2}
    assert all(one["launches"] == len(one["tries"]) for one in found.values())
    assert "faster_than" not in (project / "cases" / "mine.yaml").read_text()
    headline = told["headline"]
    for form in forms[1:]:
        text = (project / form).read_text().replace("\\", "")
        assert headline in text
        assert all(note in text for note in told["notes"]), form
        assert "short (other steps)" in text


def test_engines_end_with_a_killed_command_that_ignored_ctrl_c(project: Path, strays: None) -> None:
    """As what a script starts in the background does."""
    (project / "hold").touch()
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        killed = subprocess.Popen([SGDIFF, *TUNE], cwd=project, env=environment(project), stderr=subprocess.DEVNULL)
    finally:
        signal.signal(signal.SIGINT, ignored)
    with killed:
        wait_for(lambda: held(project), otherwise="no engine was launched")
        killed.kill()
    wait_for(lambda: not any(map(alive, held(project))), otherwise="an engine runs on")


def test_a_state_that_was_cut_off_loses_no_launch_and_one_that_failed_is_tried_again(project: Path) -> None:
    words = (*TUNE, "--only", "compile,cudnn-sdpa")
    done = tune(project, words=words)
    assert done.returncode == 0, done.stderr
    before, known = launched(project), tries(project)
    assert ("cudnn-sdpa", "failed") in known
    path = project / ".sgdiff" / "tune" / "tiny" / "state.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    # In the line of the first launch of the last round but one, and all that came later.
    at = [number for number, line in enumerate(lines) if line.startswith('{"begun"')][-2] + 2
    path.write_text("".join(lines[:at]) + lines[at][:30])
    again = tune(project, words=words)
    assert (again.returncode, again.stderr.count("incomplete")) == (0, 1), again.stderr
    assert launched(project) == before
    assert sorted(map(str, tries(project))) == sorted(map(str, known))
    retried = tune(project, "--retry", "cudnn-sdpa", words=words)
    assert retried.returncode == 0, retried.stderr
    assert launched(project) == [*before, "tiny[cudnn-sdpa]"]
    assert tries(project)[-1] == ("cudnn-sdpa", "failed")
