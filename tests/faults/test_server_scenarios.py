"""Every fault that a server can have, played by the stand-in through its real process: its life is judged as it
deserves, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import LaunchPlan
from pytest_sgdiff.gpus import ports
from tests.serverlife import Block, lived, served_case
from tests.waiting import wait_for

pytestmark = pytest.mark.faults

pytest.importorskip("aiohttp")
ROOT = Path(__file__).parents[2]
VERSIONS = ("0.5.17", "0.5.18", "0.5.23")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_life_in_which_all_went_well_counts(tmp_path: Path, version: str) -> None:
    life = lived(tmp_path, version=version)
    assert life.reading.problems == ()
    assert (life.launch.ending, life.reading.warmup, life.reading.backend) == ("stopped", "proven", "sglang")
    assert [one.warmup for one in life.launch.requests] == [True, False, False, False]
    metrics = life.reading.metrics
    assert metrics["denoise_steps"] == pytest.approx(8 * 50.8, rel=0.01)
    assert metrics["load"] > 0
    assert metrics["warmup"] > 0
    assert set(metrics) >= {"client_e2e", "queue", "e2e", "peak_memory", "stage:DecodingStage"}
    # Of the request, and not of all requests so far.
    assert metrics["peak_memory"] == 3011.53
    assert life.launch.served is not None
    assert (life.launch.served.listener, life.launch.served.healthy_after) == ("own", True)
    assert ports.free(life.ports)


def test_what_a_server_says_while_it_is_ended_is_no_failure(tmp_path: Path) -> None:
    life = lived(tmp_path)
    assert "scheduler is dead" in (tmp_path / "ending.log").read_text()
    assert "scheduler is dead" not in life.launch.log


@pytest.mark.parametrize(
    ("scenario", "version", "kind", "code", "figures"),
    [
        ("lies", "0.5.23", "launch-failed", "request-failed", {"how": "status", "status": 503, "phase": "warmup"}),
        ("refuses:0", "0.5.17", "launch-failed", "request-failed", {"how": "status", "status": 500, "request": 0}),
        ("refuses:2", "0.5.23", "launch-failed", "request-failed", {"how": "status", "status": 500, "request": 2}),
        ("job-failed:3", "0.5.23", "launch-failed", "request-failed", {"how": "job", "state": "failed", "status": 200}),
        ("empty:1", "0.5.17", "launch-failed", "request-failed", {"how": "content", "request": 1}),
        ("dies:2", "0.5.17", "launch-failed", "server-ended", {"number": 1, "phase": "request", "request": 2}),
        ("dies:0", "0.5.17", "launch-failed", "server-ended", {"number": 1, "phase": "warmup", "request": 0}),
        ("load-oom", "0.5.17", "launch-failed", "server-ended", {"number": 1, "phase": "start", "cause": "memory"}),
        ("port-lost", "0.5.17", "launch-failed", "server-ended", {"number": 1, "cause": "port"}),
        ("no-model", "0.5.17", "launch-failed", "server-ended", {"number": 1, "phase": "start"}),
        ("killed", "0.5.17", "launch-failed", "server-ended", {"number": -9, "cause": "killed"}),
        ("broken", "0.5.23", "launch-failed", "server-unhealthy", {"phase": "readiness"}),
        ("unhealthy-after", "0.5.23", "launch-failed", "server-unhealthy", {"phase": "after"}),
        ("other-id:2", "0.5.17", "invalid", "other-request", {"request": 2}),
        ("torn-dump", "0.5.17", "invalid", "bad-dump", {"request": 0}),
        (
            "says-diffusers",
            "0.5.17",
            "invalid",
            "diffusers-ran",
            {"evidence": ("/model_info: architectures ['DiffusersPipeline']",)},
        ),
        ("fallback", "0.5.17", "invalid", "diffusers-ran", {"asked": False}),
        ("no-model-info", "0.5.23", "invalid", "no-model-info", {}),
        ("warmup-open", "0.5.17", "invalid", "warmup", {"warmup": "failed"}),
        ("warmup-open", "0.5.23", "invalid", "warmup", {"warmup": "failed"}),
    ],
)
def test_a_life_in_which_something_went_wrong_has_no_metrics_and_its_reason(
    tmp_path: Path, scenario: str, version: str, kind: str, code: str, figures: dict[str, Any]
) -> None:
    life = lived(tmp_path, scenario, version=version, dump_s=0.2 if "dump" in scenario else 10.0)
    assert life.reading.metrics == {}
    first = life.reading.problems[0]
    assert (first.kind, first.code, {name: getattr(first, name) for name in figures}) == (kind, code, figures)
    assert ports.free(life.ports)


@pytest.mark.parametrize(
    ("scenario", "version", "code", "figures"),
    [
        # 0.5.17 says 200 to /health meanwhile, and blocks every other path.
        ("unready", "0.5.17", "server-not-ready", {"found": ("/v1/models",), "phase": "readiness"}),
        ("unready", "0.5.23", "server-not-ready", {"found": ("/health",), "phase": "readiness", "status": 503}),
        ("silent", "0.5.23", "server-not-ready", {"found": ("/health",), "phase": "start", "status": None}),
        ("stuck:0", "0.5.17", "request-timeout", {"request": 0, "phase": "warmup"}),
        ("stuck:2", "0.5.23", "request-timeout", {"request": 2, "phase": "request"}),
    ],
)
def test_a_server_that_hangs_is_ended_at_the_time_limit(
    tmp_path: Path, scenario: str, version: str, code: str, figures: dict[str, Any]
) -> None:
    life = lived(tmp_path, scenario, version=version, case=served_case(timeout_s=6.0))
    first = life.reading.problems[0]
    assert (life.launch.ending, first.kind, first.code) == ("timeout", "timeout", code)
    assert {name: getattr(first, name) for name in figures} == figures
    assert ports.free(life.ports)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    life = lived(tmp_path, "deaf", grace_s=0.5)
    assert (life.launch.ending, life.launch.returncode) == ("stopped", -signal.SIGKILL)
    assert life.reading.problems == ()
    assert ports.free(life.ports)


def test_a_process_that_keeps_the_port_is_found_by_the_port(tmp_path: Path) -> None:
    """It has left the session, has no parent and carries no mark: only its port tells of it."""
    kept = tmp_path / "kept"
    life = lived(tmp_path, "keeps", env={"SGDIFF_FAKE_KEPT": str(kept)})
    try:
        assert life.reading.problems == ()
        assert not ports.free(life.ports)
    finally:
        os.kill(int(kept.read_text()), signal.SIGKILL)


def test_a_server_whose_pytest_is_killed_is_ended(tmp_path: Path) -> None:
    block = Block(tmp_path)
    code = (
        "from pathlib import Path\nfrom types import SimpleNamespace as Block\nfrom pytest_sgdiff.data import Ports\n"
        "from tests.serverlife import lived\n"
        f"lived(Path({str(tmp_path)!r}), 'stuck:1', block=Block(ports={block.ports!r}))\n"
    )
    log = tmp_path / "engine.log"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as owner:
        # It has the measured request that it never answers.
        wait_for(lambda: log.exists() and log.read_text().count("Metrics dumped to:") == 1)
        owner.kill()
    wait_for(lambda: ports.free(block.ports), otherwise="the server lives on")


def test_a_run_that_is_given_up_leaves_no_server(tmp_path: Path) -> None:
    block = Block(tmp_path)
    log = tmp_path / "engine.log"
    with pytest.raises(KeyboardInterrupt):
        lived(tmp_path, "stuck:1", block=block, abandoned=lambda: log.read_text().count("Metrics dumped to:") == 1)
    assert ports.free(block.ports)


def test_a_request_without_a_dump_is_found(tmp_path: Path) -> None:
    life = lived(tmp_path, "lost-dump:2", dump_s=0.2)
    assert [(one.code, one.request) for one in life.reading.problems] == [("no-request-dump", 2)]


def test_another_process_that_has_the_port_gets_no_request(tmp_path: Path) -> None:
    block = Block(tmp_path)
    code = (
        "import http.server as h, sys\n"
        "class Any(h.BaseHTTPRequestHandler):\n"
        "    def do_GET(self): self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()\n"
        "server = h.HTTPServer(('127.0.0.1', int(sys.argv[1])), Any)\n"
        "print('listens', flush=True)\n"
        "server.serve_forever()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(block.ports.http)], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()
            # It answers while the server loads, whose turn to find its port taken comes later.
            life = lived(tmp_path, "silent", block=block)
        finally:
            other.kill()
    assert [one.code for one in life.reading.problems] == ["foreign-server"]
    assert life.launch.requests == ()


def test_graphs_that_a_server_turned_on_by_itself_are_its_own_choice(tmp_path: Path) -> None:
    assert lived(tmp_path, "graphs", version="0.5.23").reading.chosen == ("breakable-cuda-graph",)


def test_a_model_of_another_kind_gets_no_request(tmp_path: Path) -> None:
    case = served_case(args={"prompt": "a curious raccoon in a field", "num-inference-steps": 8})
    life = lived(tmp_path, case=case)
    assert [(one.code, one.said) for one in life.reading.problems] == [("other-task", "T2V")]
    assert life.launch.requests == ()


@pytest.mark.parametrize("version", ["0.5.17", "0.5.23"])
def test_images_edits_and_meshes_are_asked_for_too(tmp_path: Path, version: str) -> None:
    from PIL import Image

    image = tmp_path / "cat.png"
    Image.new("RGB", (64, 64), "white").save(image)
    prompt = {"prompt": "a curious raccoon in a field", "num-inference-steps": 8}
    cases = {
        "image": served_case(model="tiny/image", args={**prompt, "width": 128, "height": 128}),
        "edit": served_case(model="tiny/edit", args=prompt, assets={"image-path": "cat.png"}),
        "mesh": served_case(model="tencent/Hunyuan3D-2", args=prompt, assets={"image-path": "cat.png"}),
    }
    for kind, case in cases.items():
        folder = tmp_path / kind
        folder.mkdir()
        life = lived(folder, version=version, case=case, assets={flag: str(image) for flag in case.assets})
        assert life.reading.problems == (), kind
        assert len(life.launch.requests) == 4
        assert "e2e" in life.reading.metrics
        # Where a request cannot ask for a dump, the performance log tells of it.
        told = {one.dump is not None and '"tag": "pipeline_stage_metrics"' in one.dump for one in life.launch.requests}
        assert told == {kind == "mesh" or (kind == "edit" and version == "0.5.17")}


def test_the_case_says_how_many_requests_there_are(tmp_path: Path) -> None:
    case = served_case(launches=LaunchPlan(requests=5), warmup="off")
    life = lived(tmp_path, case=case)
    assert [one.warmup for one in life.launch.requests] == [False] * 5
    assert "warmup" not in life.reading.metrics


def test_a_load_follows_the_measured_requests(tmp_path: Path) -> None:
    plan = LaunchPlan(requests=2, concurrency=(1, 4), rate=(50.0,), load_requests=6)
    life = lived(tmp_path, case=served_case(launches=plan))
    assert life.reading.problems == ()
    assert [one.load for one in life.launch.requests] == [""] * 3 + ["c1"] * 6 + ["c4"] * 6 + ["r50"] * 6
    assert [one.dump is None for one in life.launch.requests] == [False] * 3 + [True] * 18
    assert len({one.fields["prompt"] for one in life.launch.requests}) == 21
    for load in ("c1", "c4", "r50"):
        found = [life.reading.metrics[f"{name}:{load}"] for name in ("latency_p50", "latency_p95", "latency_p99")]
        assert found == sorted(found)
        assert life.reading.metrics[f"throughput:{load}"] > 0
    # Those of a load are in no other metric.
    measured = [one.client_ms for one in life.launch.requests[1:3]]
    assert life.reading.metrics["client_e2e"] == pytest.approx(sum(one or 0 for one in measured) / 2)


def test_a_stalled_server_is_late_for_every_request_that_waits(tmp_path: Path) -> None:
    """Its requests are sent at their own times, and their time begins when they were due."""
    plan = LaunchPlan(requests=1, rate=(40.0,), load_requests=8)
    # It stands still with the second request of the load, for as long as all others take to come.
    life = lived(tmp_path, "stalls:3", case=served_case(launches=plan))
    assert life.reading.problems == ()
    under_load = [one for one in life.launch.requests if one.load]
    due = [one.intended_s or 0 for one in under_load]
    assert due == sorted(due)
    ended = [at + (one.client_ms or 0) / 1000 for at, one in zip(due, under_load, strict=True)]
    # All end after the last was due: none was held back, and each waited from its own moment on.
    assert min(ended[1:]) >= due[-1]


def test_a_request_that_fails_under_load_spoils_the_launch(tmp_path: Path) -> None:
    plan = LaunchPlan(requests=1, concurrency=(2,), load_requests=4)
    life = lived(tmp_path, "refuses:4", case=served_case(launches=plan))
    assert [(one.code, one.request) for one in life.reading.problems] == [("request-failed", 4)]
    assert life.reading.metrics == {}
