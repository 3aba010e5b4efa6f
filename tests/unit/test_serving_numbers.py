"""What is read of a server's life, and of loading: from logs, lines of the performance log, and requests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff.data import Case, Launch, Location, Request, Served
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.inspect import inspect_launch
from pytest_sgdiff.engines.load import load_ms, says_loaded
from pytest_sgdiff.engines.log import examine, tells
from pytest_sgdiff.engines.perf_dump import DumpError, parse
from tests.serverlife import served_case

READY = "[11-29 23:45:21] [server-load] workers_ready_monotonic_ns=24249737611277"
GRAPHS = (
    "[11-29 23:45:21] [Diffusion BCG] enabled by default for LTX2TwoStagePipeline; pass --enable-breakable-cuda-graph"
)
NATIVE = "[11-29 23:45:21] Using pipeline from model_index.json: WanPipeline"
LINE = {
    "request_id": "8ad1",
    "tag": "pipeline_stage_metrics",
    "stages": [
        {"name": "DenoisingStage", "execution_time_ms": 90.0},
        {"name": "DecodingStage", "execution_time_ms": 9.0},
    ],
    "steps": [40.0, 41.0],
    "total_duration_ms": 100.0,
    "memory_snapshots": {"after_forward": {"peak_allocated_mb": 3011.5}},
}


def request(number: int, **changes: Any) -> Request:
    dump = json.dumps({**LINE, "request_id": f"id-{number}", "total_duration_ms": 100.0 + number})
    fields: dict[str, Any] = {
        "number": number,
        "path": "/v1/videos",
        "warmup": number == 0,
        "client_ms": 150.0 + number,
        "id": f"id-{number}",
        "status": 200,
        "dump": dump,
        **changes,
    }
    return Request(**fields)


def life(*requests: Request, **changes: Any) -> Launch:
    fields: dict[str, Any] = {
        "case": "wan",
        "number": 0,
        "argv": ("sglang", "serve"),
        "log": NATIVE,
        "ending": "stopped",
        "returncode": -15,
        "started_ns": 24_200_000_000_000,
        "wall_s": 100.0,
        "served": Served(
            http_s=40.0,
            loaded_s=39.0,
            ready_s=41.0,
            measured_s=45.0,
            answers={"/model_info": {"architectures": ["WanPipeline"]}},
            healthy_after=True,
        ),
        "requests": requests or tuple(map(request, range(4))),
        **changes,
    }
    return Launch(**fields)


def read(launch: Launch, case: Case | None = None) -> Any:
    args = {"prompt": "a cat in a field", "num-frames": 5}
    return ENGINES["sglang-serve"].read(launch, case or served_case(args=args))


def test_a_line_of_the_performance_log_is_read_as_the_dump_of_its_request() -> None:
    dump = parse(json.dumps(LINE))
    assert (dump.request_id, dump.total_ms, dump.steps_ms, dump.generation) == ("8ad1", 100.0, (40.0, 41.0), "B")
    assert [(stage.name, stage.duration_ms) for stage in dump.stages] == [("DenoisingStage", 90), ("DecodingStage", 9)]
    with pytest.raises(DumpError):
        parse(json.dumps({**LINE, "steps": [40.0, "x"]}))


def test_the_value_of_a_launch_is_the_median_of_its_measured_requests() -> None:
    reading = read(life())
    assert reading.problems == ()
    assert (reading.metrics["e2e"], reading.metrics["client_e2e"], reading.metrics["queue"]) == (102.0, 152.0, 50.0)
    assert [one.metrics["client_e2e"] for one in reading.requests] == [150.0, 151.0, 152.0, 153.0]
    # From the log's line where it is known, which is later than the client's first answer may be.
    assert reading.metrics["load"] == 39_000.0
    assert reading.metrics["warmup"] == 6_000.0


def test_the_image_that_a_served_model_encodes_within_denoising_is_a_stage_and_no_pause() -> None:
    args = {"prompt": "a cat in a field", "num-frames": 5}
    case = served_case(args=args, model="Wan-AI/Wan2.2-TI2V-5B-Diffusers", assets={"image-path": "cat.png"})
    metrics = read(life(), case).requests[1].metrics
    assert (metrics["stage:ImageEncodingBeforeSteps"], metrics["denoise"]) == (9.0, 81.0)
    assert "stage:ImageEncodingBeforeSteps" not in read(life()).requests[1].metrics


def test_a_metric_that_one_request_lacks_is_absent() -> None:
    without = json.dumps({**LINE, "request_id": "id-2", "steps": []})
    reading = read(life(*(replace(request(n), dump=without) if n == 2 else request(n) for n in range(4))))
    assert "denoise_steps" not in reading.metrics
    assert "e2e" in reading.metrics


@pytest.mark.parametrize(
    ("log", "started_ns", "wall_s", "expected"),
    [
        (READY, 24_200_000_000_000, 100.0, 49_737.611277),
        # Another boot's clock, or a line of a run that was copied together with this one.
        (READY, 24_300_000_000_000, 100.0, None),
        (READY, 1, 100.0, None),
        (READY, None, 100.0, None),
        (f"prompt: {READY}", 24_200_000_000_000, 100.0, None),
        ("", 24_200_000_000_000, 100.0, None),
    ],
)
def test_loading_ends_when_the_engine_says_so_by_the_clock_of_its_host(
    log: str, started_ns: int | None, wall_s: float, expected: float | None
) -> None:
    launch = Launch(case="a", number=0, argv=(), log=log, started_ns=started_ns, wall_s=wall_s)
    assert load_ms(launch, examine(log)) == (None if expected is None else pytest.approx(expected))


def test_a_generation_has_its_loading_time_too() -> None:
    case = Case(name="a", location=Location(path="c.yaml", line=1, column=1), model="m", warmup="off")
    dump = json.dumps(LINE)
    launch = Launch(
        case="a", number=0, argv=(), log=f"{READY}\n{NATIVE}", started_ns=24_200_000_000_000, returncode=0, dump=dump
    )
    reading = ENGINES["sglang-generate"].read(launch, case)
    assert reading.problems == ()
    assert reading.metrics["load"] == pytest.approx(49_737.611277)
    older = ENGINES["sglang-generate"].read(replace(launch, log=NATIVE), case)
    assert "load" not in older.metrics


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (READY, True),
        ("[11-29 23:41:42] Starting FastAPI server.", True),
        ("\x1b[92m[11-29 23:41:42] Starting FastAPI server.\x1b[0;0m", True),
        ("Starting FastAPI server.", False),
        ("[11-29 23:41:42] prompt: Starting FastAPI server.", False),
    ],
)
def test_only_the_engines_own_record_says_that_it_is_loaded(line: str, expected: bool) -> None:
    assert says_loaded(line) is expected


def test_what_a_server_chose_by_itself_is_found_in_a_log_that_was_shortened() -> None:
    assert tells(GRAPHS)
    assert tells(READY)
    assert read(life(log=f"{NATIVE}\n{GRAPHS}")).chosen == ("breakable-cuda-graph",)
    asked = life(log=f"{NATIVE}\n{GRAPHS}", argv=("sglang", "serve", "--enable-breakable-cuda-graph"))
    assert read(asked).chosen == ()
    resolved = '[11-29 23:45:21] server_args: {"enable_breakable_cuda_graph": true}'
    assert read(life(log=f"{resolved}\n{NATIVE}")).chosen == ("breakable-cuda-graph",)


@pytest.mark.parametrize(
    ("changes", "codes"),
    [
        ({"log": ""}, ["native-unproved"]),
        ({"served": Served(http_s=1.0, ready_s=2.0, healthy_after=True)}, ["no-model-info"]),
        ({"requests": tuple(map(request, range(3)))}, ["requests-missing"]),
        ({"requests": tuple(map(request, range(1, 4)))}, ["warmup"]),
        ({"requests": (request(0), request(1), request(2), request(3, id="another"))}, ["other-request"]),
        ({"requests": (request(0, dump=None), *map(request, range(1, 4)))}, ["no-request-dump"]),
        ({"ending": "exited", "returncode": 0}, ["server-ended"]),
        ({"ending": "exited", "returncode": None}, ["server-ended"]),
        ({"ending": "exited", "returncode": None, "served": None, "requests": ()}, ["cut-off"]),
        ({"ending": "interrupted"}, ["interrupted"]),
        ({"ending": "timeout"}, ["timeout"]),
        ({"ending": "timeout", "served": Served(http_s=1.0), "requests": ()}, ["server-not-ready"]),
    ],
)
def test_what_is_missing_of_a_life_is_a_problem(changes: dict[str, Any], codes: list[str]) -> None:
    reading = read(life(**changes))
    assert [one.code for one in reading.problems] == codes
    assert reading.metrics == {}


def test_what_ran_in_a_recorded_life_is_told_without_its_case() -> None:
    found = inspect_launch(life())
    assert (found.backend, found.pipeline, found.warmup, found.problems) == (
        "sglang",
        "WanPipeline",
        "proven",
        (),
    )
    assert found.metrics["client_e2e"] == 152.0
    assert [one.warmup for one in found.requests] == [True, False, False, False]
    broken = inspect_launch(
        life(request(0), request(1, failure="job", state="failed", message="CUDA error", dump=None))
    )
    (flaw,) = broken.problems
    assert flaw.problem is not None
    assert (flaw.problem.code, flaw.problem.request, flaw.problem.state) == ("request-failed", 1, "failed")


@pytest.mark.parametrize(("ending", "code"), [("timeout", "request-timeout"), ("exited", "server-ended")])
def test_the_request_of_a_load_that_was_never_answered_is_named_and_not_the_last_one(ending: str, code: str) -> None:
    sent = [request(number, warmup=number == 0, load="c2" if number > 3 else "") for number in range(8)]
    sent[5] = replace(sent[5], client_ms=None, dump=None, status=None)
    (problem, *_) = read(life(*sent, ending=ending)).problems
    assert (problem.code, problem.phase, problem.request) == (code, "request", 5)


@pytest.mark.parametrize("client_ms", [0.0, -5.0])
def test_a_request_that_took_no_time_did_not_end_well(client_ms: float) -> None:
    sent = [request(number) for number in range(4)]
    sent[2] = replace(sent[2], client_ms=client_ms)
    (problem,) = read(life(*sent)).problems
    assert (problem.code, problem.number, problem.wanted) == ("requests-missing", 2, ("3",))


def test_a_figure_that_no_float_holds_is_absent() -> None:
    most = 1.7e308
    loads = [request(number, client_ms=most, load="c2", sent_s=1.0, dump=None) for number in range(4, 8)]
    plan = served_case().launches
    case = served_case(
        args={"prompt": "a cat in a field", "num-frames": 5}, launches=replace(plan, concurrency=(2,), load_requests=4)
    )
    found = read(life(*map(request, range(4)), *loads), case)
    assert found.problems == ()
    assert not [name for name in found.metrics if name.startswith("latency")]
    huge = read(life(request(0), *(request(number, client_ms=most) for number in (1, 2, 3))))
    assert huge.metrics["e2e"] == 102.0
    even = read(
        life(request(0), *(request(n, client_ms=most) for n in (1, 2))),
        served_case(args=case.args, launches=replace(plan, requests=2)),
    )
    assert "client_e2e" not in even.metrics
