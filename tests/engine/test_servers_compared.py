"""Two real servers against one another, and one under load: whose numbers come out, and whether they are right."""

from __future__ import annotations

import itertools
import pathlib
import random
import statistics
from dataclasses import replace

import pytest

from pytest_sgdiff.data import Launch, Request
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import Checkpoint, Forked
from tests.realproject import Project

pytestmark = pytest.mark.engine

CASE = """
cases:
  tiny:
    model: {model}
    gpus: 0
    engine: sglang-serve
    env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1"}}
    args:
      prompt: A curious raccoon in a field of tall sunflowers at noon
      seed: 42
      width: 64
      height: 64
      num-frames: 1
      fps: 16
      num-inference-steps: 4
      warmup-mode: "off"
    expect: {{pipeline: WanPipeline, output: {{width: 64, height: 64}}}}
    # A CPU that does other things is no measuring instrument: only gross slowdowns are to be told.
    metrics: {{primary: denoise, gate: [denoise], allow: {{denoise: 30%}}, detect: {{denoise: 60%}}}}
    launches: {{{launches}}}
    timeout: 5m
"""

SLOWER = """
import runpy
import sys

# The same command line; each of its steps is more work.
sys.argv[1:] = [word.replace("/baseline/", "/slower/") for word in sys.argv[1:]]
sys.argv[0] = {plain!r}
runpy.run_path({plain!r}, run_name="__main__")
"""


def project(folder: pathlib.Path, engine: str, model: pathlib.Path, launches: str) -> Project:
    (folder / "pytest.ini").write_text("[pytest]\n")
    made = Project(folder=folder, engine=engine, gpus="none")
    made.write_case(CASE.format(model=model, launches=launches))
    return made


def test_a_server_that_is_really_slower_than_the_base_is_found(
    engine: str, plain: str, forked: Forked, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    checkpoint("slower")
    program = tmp_path / "slower.py"
    program.write_text(SLOWER.format(plain=plain))
    slower = forked(str(program), "slower-sglang")
    made = project(tmp_path, slower, checkpoint("baseline"), "requests: 1")
    ran = made.pytest(f"--sgdiff-against={engine}", "--sgdiff-out=kept")
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("regressed", 1), ran.output
    assert ran.case["decided_by"] == ["denoise_steps"]
    (primary,) = [verdict for verdict in ran.case["verdicts"] if verdict["primary"]]
    assert primary["ratio"] > 3

    sides = [recordings.read_launches(tmp_path / "kept" / side, "tiny") for side in ("against", "")]
    lives = [one for pair in zip(*sides, strict=True) for one in pair]
    assert len(lives) >= 6
    for one in lives:
        assert one.served is not None
        assert (one.served.listener, one.ending, [sent.warmup for sent in one.requests]) == (
            "own",
            "stopped",
            [True, False],
        )
    # One at a time on one lease: whichever began later had the other's ports.
    in_turn = sorted(lives, key=lambda one: _span(one)[0])
    assert all(_span(then)[1] < _span(now)[0] for then, now in itertools.pairwise(in_turn))
    assert len({one.argv[one.argv.index("--port") + 1] for one in lives}) == 1
    # The order within a pair turns round (ABBA).
    assert ["against" in str(one.folder) for one in in_turn[:6]] == [True, False, False, True, True, False]


def _span(launch: Launch) -> tuple[float, float]:
    assert launch.started_ns is not None
    assert launch.wall_s is not None
    return launch.started_ns / 1e9, launch.started_ns / 1e9 + launch.wall_s


def test_what_a_real_server_does_under_load_follows_from_its_requests(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    """More requests a second are due than it can answer: each is sent when it is due, and waits from then on."""
    load = "requests: 1, concurrency: [1, 4], rate: [50], load_requests: 6"
    made = project(tmp_path, engine, checkpoint("baseline"), load)
    ran = made.pytest("--sgdiff-out=kept")
    assert ran.case is not None
    assert (ran.case["outcome"], ran.case["problems"]) == ("no-baseline", []), ran.output
    (shown,) = ran.case["launches"]
    (launch,) = recordings.read_launches(tmp_path / "kept", "tiny")
    by_load = {
        name: [one for one in launch.requests if one.load == name] for name in dict.fromkeys(("c1", "c4", "r50"))
    }
    for name, sent in by_load.items():
        assert len(sent) == 6
        began = [one.sent_s if one.intended_s is None else one.intended_s for one in sent]
        ended = [at + (one.client_ms or 0) / 1000 for at, one in zip(began, sent, strict=True) if at is not None]
        waited = sorted(one.client_ms or 0 for one in sent)
        found = {metric.partition(":")[0]: value for metric, value in shown["metrics"].items() if metric.endswith(name)}
        assert found == {
            "throughput": pytest.approx(6 / (max(ended) - min(at for at in began if at is not None))),
            "latency_p50": pytest.approx(statistics.median(waited)),
            # Between the two slowest: a quarter of the way up at 95 of 100, nearly all of it at 99.
            "latency_p95": pytest.approx(waited[4] + 0.75 * (waited[5] - waited[4])),
            "latency_p99": pytest.approx(waited[4] + 0.95 * (waited[5] - waited[4])),
        }
    assert _most_at_once(by_load["c1"]) == 1
    assert _most_at_once(by_load["c4"]) == 4

    due = [one.intended_s or 0 for one in by_load["r50"]]
    draws = random.Random(1)
    gaps = [draws.expovariate(50) for _ in due]
    assert [b - a for a, b in itertools.pairwise(due)] == pytest.approx(gaps[1:])
    # The server takes one after the other, and none of them was held back for that.
    assert _most_at_once(by_load["r50"]) > 4
    assert all((one.sent_s or 0) >= at for one, at in zip(by_load["r50"], due, strict=True))

    replayed = replace(made, gpus="", engine="no-engine-here").pytest("--sgdiff-replay=kept")
    assert replayed.case is not None
    assert replayed.case["launches"][0]["metrics"] == shown["metrics"]
    assert replayed.case["launches"][0]["requests"] == shown["requests"]


def _most_at_once(sent: list[Request]) -> int:
    """How many of them were on their way at a time."""
    turns = []
    for one in sent:
        begin = one.sent_s if one.intended_s is None else one.intended_s
        turns += [(begin or 0, 1), ((begin or 0) + (one.client_ms or 0) / 1000, -1)]
    return max(itertools.accumulate(step for _, step in sorted(turns)))
