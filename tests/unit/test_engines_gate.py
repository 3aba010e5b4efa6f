"""Which launches count: real ones of 0.5.17, ones built for every version, and every way in which a launch fails."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import (
    Case,
    EngineInfo,
    Expect,
    Launch,
    LaunchFiles,
    Location,
    OutputFile,
    OutputSize,
    Ports,
    Reading,
)
from pytest_sgdiff.data.failures import (
    CommandRefused,
    ExceptionRaised,
    Failure,
    OutOfMemory,
    PortTaken,
    UnknownModel,
)
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.inspect import inspect, inspect_launch
from pytest_sgdiff.engines.inspection import FlawCode, LaunchFlaw
from tests.factories import figures

DATA = Path(__file__).parents[1] / "data"
ENGINE = ENGINES["sglang-generate"]
VIDEO = OutputFile(name="a_cat.mp4", size_bytes=1234)
NATIVE = "[11-23 16:34:30] Using pipeline from model_index.json: WanPipeline"
WARM = "[11-23 16:35:20] The server is fired up and ready to roll!"
DUMP = (DATA / "dumps" / "real-0.5.17-h200-sync.json").read_text()


def case(**changes: Any) -> Case:
    given: dict[str, Any] = {
        "name": "wan",
        "location": Location(path="cases/wan.yaml", line=3, column=3),
        "model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "timeout_s": 1800.0,
        **changes,
    }
    return Case(**given)


def launch(log: str = f"{NATIVE}\n{WARM}", **changes: Any) -> Launch:
    given: dict[str, Any] = {
        "case": "wan",
        "number": 0,
        "argv": ("sglang", "generate"),
        "returncode": 0,
        "log": log,
        "dump": DUMP,
        "outputs": (VIDEO,),
        **changes,
    }
    return Launch(**given)


def kept(name: str, **changes: Any) -> Launch:
    """A launch whose log, and dump if there is one, are files of tests/data."""
    dump = DATA / "dumps" / f"{name}.json"
    text = dump.read_text() if dump.exists() else None
    return launch((DATA / "logs" / f"{name}.log").read_text(), **{"dump": text, **changes})


def found(reading: Reading) -> list[dict[str, Any]]:
    """The problems' codes and figures; what they quote, and what helps, is asserted where it is meant."""
    beside = ("kind", "evidence", "cause", "about")
    return [{k: v for k, v in figures(one).items() if k not in beside} for one in reading.problems]


def kinds(reading: Reading) -> list[str]:
    return [problem.kind for problem in reading.problems]


# ------------------------------------------------------------------------------------------------------ real launches


def test_a_real_native_launch_counts() -> None:
    reading = ENGINE.read(kept("real-0.5.17-h200-warm"), case(args={"num-inference-steps": 20}))
    assert reading.problems == ()
    assert (reading.backend, reading.pipeline, reading.warmup) == ("sglang", "WanPipeline", "proven")
    assert reading.attention == ("torch_sdpa",)
    assert reading.metrics["denoise"] == pytest.approx(957.94, abs=0.01)
    assert reading.dump is not None


def test_a_real_fallback_is_invalid_quotes_its_lines_and_gives_no_number() -> None:
    reading = ENGINE.read(kept("real-0.5.17-h200-fallback"), case(warmup="off"))
    assert (kinds(reading), found(reading)) == (["invalid"], [{"code": "diffusers-ran"}])
    assert reading.problems[0].cause == "backend"
    assert reading.metrics == {}
    assert reading.dump is not None
    evidence = reading.problems[0].evidence
    assert any("has no native sglang support. Falling back to diffusers backend." in line for line in evidence)
    assert evidence[-1] == "perf dump: DiffusersExecutionStage 698.9 ms"


def test_a_real_diffusers_launch_counts_where_the_case_declares_it_and_nowhere_else() -> None:
    ran = kept("real-0.5.17-h200-diffusers")
    assert ENGINE.read(ran, case(backend="diffusers", warmup="off")).problems == ()
    assert found(ENGINE.read(ran, case(warmup="off"))) == [{"code": "diffusers-ran", "asked": True}]


def test_a_native_launch_is_invalid_where_the_case_declares_diffusers() -> None:
    assert found(ENGINE.read(launch(), case(backend="diffusers"))) == [{"code": "native-ran"}]


def test_a_real_lost_port_is_one_problem_with_its_reason() -> None:
    reading = ENGINE.read(kept("real-0.5.17-h200-port-lost", returncode=1, outputs=()), case())
    assert kinds(reading) == ["launch-failed"]
    assert found(reading) == [{"code": "exit-code", "number": 1, "failure": PortTaken(port=30005)}]
    assert any("EADDRINUSE" in line for line in reading.problems[0].evidence)
    assert reading.problems[0].cause == "port"


def test_a_real_cold_launch_is_invalid_unless_the_case_wants_no_warmup() -> None:
    cold = kept("real-0.5.17-h200-cold")
    reading = ENGINE.read(cold, case())
    assert found(reading) == [{"code": "warmup", "warmup": "none"}]
    assert reading.problems[0].cause == "warmup"
    assert ENGINE.read(cold, case(warmup="off")).problems == ()


def test_a_real_launch_on_the_cpu_counts() -> None:
    reading = ENGINE.read(kept("real-0.5.17-cpu-warm"), case(gpus=0, args={"num-inference-steps": 8}))
    assert reading.problems == ()
    assert "peak_memory" not in reading.metrics


# ------------------------------------------------------------------------------------------------------ every version


@pytest.mark.parametrize("release", range(8, 24))
def test_a_good_launch_of_every_version_counts(release: int) -> None:
    reading = ENGINE.read(kept(f"constructed-0.5.{release}-native"), case(args={"num-inference-steps": 4}))
    assert reading.problems == ()
    assert ("peak_memory" in reading.metrics) is (release > 8)
    # 0.5.20 brought a peak over all ranks.
    assert reading.metrics.get("peak_memory") == (None if release == 8 else 3011.53 if release < 20 else 3055.25)


@pytest.mark.parametrize("release", [13, 23])
def test_both_denoising_stages_of_a_two_stage_pipeline_are_summed(release: int) -> None:
    wanted = Expect(
        pipeline="LTX2TwoStagePipeline",
        stages=("LTX2AVDenoisingStage", "LTX2RefinementStage"),
        output=OutputSize(width=768, height=512, frames=121),
    )
    reading = ENGINE.read(kept(f"constructed-0.5.{release}-ltx2-two-stage"), case(expect=wanted))
    assert reading.problems == ()
    assert reading.metrics["denoise"] == pytest.approx(
        reading.metrics["stage:LTX2AVDenoisingStage"] + reading.metrics["stage:LTX2RefinementStage"]
    )


@pytest.mark.parametrize("release", [8, 13, 14, 18, 23])
def test_a_failed_request_is_a_failure_although_the_engine_exits_with_0(release: int) -> None:
    reading = ENGINE.read(kept(f"constructed-0.5.{release}-request-error", outputs=()), case())
    words = "The size of tensor a (16) must match the size of tensor b (20)"
    assert kinds(reading)[:2] == ["launch-failed", "launch-failed"]
    assert found(reading)[:2] == [
        {"code": "failure-in-log", "number": 0, "failure": ExceptionRaised(type="RuntimeError", message=words)},
        {"code": "no-dump", "number": 0},
    ]


@pytest.mark.parametrize("release", [15, 23])
def test_compilation_that_turned_on_server_warmup_is_not_warmed_up(release: int) -> None:
    reading = ENGINE.read(kept(f"constructed-0.5.{release}-compile-without-warmup", dump=DUMP), case())
    assert found(reading) == [{"code": "warmup", "warmup": "server"}]


# ------------------------------------------------------------------------------------------------- endings and dumps


def test_a_timeout_is_a_timeout_and_nothing_else() -> None:
    reading = ENGINE.read(launch("one\ntwo", ending="timeout", returncode=-15, dump=None), case())
    assert (kinds(reading), found(reading)) == (["timeout"], [{"code": "timeout", "seconds": 1800}])
    assert reading.problems[0].cause == "time"
    assert reading.problems[0].evidence == ("one", "two")


def test_a_timeout_names_a_known_cause() -> None:
    log = "[11-23 16:33:59] Worker 1 cannot safely continue after a multi-rank OOM\ntorch.OutOfMemoryError: CUDA"
    reading = ENGINE.read(launch(log, ending="timeout", dump=None), case())
    assert found(reading) == [{"code": "timeout", "seconds": 1800, "failure": OutOfMemory()}]
    assert reading.problems[0].cause == "memory"


def test_an_interrupted_launch_failed() -> None:
    reading = ENGINE.read(launch(ending="interrupted"), case())
    assert (kinds(reading), found(reading)) == (["launch-failed"], [{"code": "interrupted"}])


@pytest.mark.parametrize(
    ("returncode", "code", "number", "cause"),
    [(-9, "signal", 9, "killed"), (-11, "signal", 11, None), (-250, "signal", 250, None), (2, "exit-code", 2, None)],
)
def test_another_exit_code_is_a_failure_even_with_a_good_dump(
    returncode: int, code: str, number: int, cause: str | None
) -> None:
    reading = ENGINE.read(launch(returncode=returncode), case())
    assert (kinds(reading), found(reading)) == (["launch-failed"], [{"code": code, "number": number}])
    assert reading.problems[0].cause == cause
    assert reading.metrics == {}


def test_a_launch_whose_exit_code_is_not_known_does_not_count() -> None:
    reading = ENGINE.read(launch(returncode=None), case())
    assert (kinds(reading), found(reading)) == (["invalid"], [{"code": "no-exit-code"}])
    assert reading.problems[0].cause == "exit-code"
    assert reading.metrics == {}


def test_a_launch_that_was_cut_off_is_not_said_to_have_exited() -> None:
    reading = ENGINE.read(launch("Loading\n", returncode=None, dump=None, outputs=None), case())
    assert (kinds(reading), found(reading)) == (["launch-failed"], [{"code": "cut-off"}])
    assert (reading.problems[0].cause, reading.problems[0].evidence) == ("cut-off", ("Loading",))


def test_a_failure_of_which_the_exit_code_is_not_known_is_told_without_one() -> None:
    log = f"{NATIVE}\n{WARM}\n[11-23 16:33:59] ZMQ bind failed for port 5562, retrying with port 5604"
    reading = ENGINE.read(launch(log, returncode=None, dump=None), case())
    assert found(reading) == [{"code": "failure-in-log", "failure": PortTaken(port=5562)}, {"code": "no-dump"}]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"dump": None}, {"code": "no-dump", "number": 0}),
        ({"dump": None, "stale_dump": True}, {"code": "stale-dump", "number": 0}),
        (
            {"dump": DUMP[: DUMP.index('"steps"') + 9]},
            {
                "code": "bad-dump",
                "message": "the perf dump is incomplete: Expecting value at line 7 column 12 (character 212 of 212)",
            },
        ),
        (
            {"dump": '{"total_duration_ms": 0, "steps": [], "tag": "cli_generate"}'},
            {"code": "bad-dump", "message": "total_duration_ms is 0: nothing was measured"},
        ),
        ({"outputs": ()}, {"code": "no-output"}),
        (
            {"outputs": (VIDEO, OutputFile(name="b.mp4", size_bytes=0))},
            {"code": "empty-output", "found": ("b.mp4",)},
        ),
        (
            {"log": f"{NATIVE}\n{WARM}\n[11-23 16:33:59] ZMQ bind failed for port 5562, retrying with port 5604"},
            {"code": "failure-in-log", "number": 0, "failure": PortTaken(port=5562)},
        ),
        ({"log": WARM}, {"code": "native-unproved"}),
    ],
)
def test_each_lack_of_proof_is_named(changes: dict[str, Any], problem: dict[str, Any]) -> None:
    reading = ENGINE.read(launch(**changes), case())
    assert found(reading) == [problem]
    assert reading.metrics == {}


def test_outputs_that_were_not_looked_for_or_not_to_be_saved_are_not_missed() -> None:
    assert ENGINE.read(launch(outputs=None), case()).problems == ()
    assert ENGINE.read(launch(outputs=()), case(args={"save-output": False})).problems == ()
    assert ENGINE.read(launch(outputs=()), case(args={"no-save-output": True})).problems == ()


def test_a_dump_of_the_worker_counts() -> None:
    reading = ENGINE.read(launch(dump=DUMP.replace("cli_generate", "server_perf_dump")), case())
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("line", "stages"),
    [
        ("[11-23 16:34:29] Falling back to diffusers backend", False),
        ("[11-23 16:34:29] Could not resolve it for model 'x'. Falling back to diffusers backend.", False),
        ("[11-23 16:34:29] Using diffusers backend for model 'x' (explicitly requested)", False),
        ("[11-23 16:34:29] Loaded diffusers pipeline: WanPipeline", False),
        ("Falling back to diffusers backend", False),
        ("[11-23 16:34:31] Using pipeline from model_index.json: DiffusersPipeline", False),
        ("[11-23 16:34:31] ✓ Using explicitly specified pipeline: x (class: DiffusersPipeline)", False),
        ("a line, and Using pipeline from model_index.json: DiffusersPipeline in it", False),
        ("a line", True),
    ],
)
def test_each_sign_of_the_diffusers_backend_is_enough_beside_every_sign_of_the_native_one(
    line: str, stages: bool
) -> None:
    document = json.loads(DUMP)
    document["steps"] += [{"name": "DiffusersExecutionStage", "duration_ms": 1.0}] * stages
    ran = launch(f"{NATIVE}\n{WARM}\n{line}", dump=json.dumps(document))
    reading = ENGINE.read(ran, case())
    assert (reading.backend, reading.metrics) == ("diffusers", {})
    assert [problem.cause for problem in reading.problems] == ["backend"]
    wanted = ENGINE.read(ran, case(backend="diffusers"))
    assert (wanted.backend, wanted.problems) == ("diffusers", ())


# -------------------------------------------------------------------------------------------------- what a case expects


@pytest.mark.parametrize(
    ("expect", "problem"),
    [
        (
            Expect(pipeline="LTX2Pipeline"),
            {"code": "other-pipeline", "wanted": ("LTX2Pipeline",), "found": ("WanPipeline",)},
        ),
        (
            Expect(stages=("DenoisingStage", "LTX2RefinementStage")),
            {"code": "stages-missing", "wanted": ("LTX2RefinementStage",)},
        ),
        (Expect(output=OutputSize(width=1280)), {"code": "other-size", "wanted": ("1280",), "found": ("832",)}),
        (Expect(output=OutputSize(frames=81)), {"code": "other-size", "wanted": ("81",), "found": ("17",)}),
        (Expect(attention="fa"), {"code": "other-attention", "wanted": ("fa",), "found": ("torch_sdpa",)}),
    ],
)
def test_what_the_case_expects_must_be_seen(expect: Expect, problem: dict[str, Any]) -> None:
    reading = ENGINE.read(kept("real-0.5.17-h200-warm"), case(expect=expect))
    (seen,) = found(reading)
    if expect.stages:
        assert "DenoisingStage" in seen.pop("found")
    assert (kinds(reading), seen) == (["invalid"], problem)


EVERYTHING = Expect(
    pipeline="WanPipeline",
    stages=("TextEncodingStage", "DenoisingStage"),
    output=OutputSize(width=832, height=480, frames=17),
    attention="torch_sdpa",
)


def seen(log: str, expect: Expect = EVERYTHING, **changes: Any) -> list[tuple[str | None, str | None]]:
    """What of `expect` was not seen in a launch, and why it counts for nothing."""
    reading = ENGINE.read(launch(log, **changes), case(expect=expect))
    assert (reading.metrics == {}) is bool(reading.problems)
    return [(problem.about, problem.cause) for problem in reading.problems]


def test_a_real_launch_proves_everything_that_a_case_can_expect() -> None:
    assert seen(kept("real-0.5.17-h200-warm").log) == []


@pytest.mark.parametrize(
    ("phrase", "instead", "missing"),
    [
        (
            "Using pipeline from model_index.json: WanPipeline",
            "Using a pipeline",
            [(None, None), ("pipeline", "unproved")],
        ),
        ("Sampling params:", "Params:", [("width", "unproved"), ("height", "unproved"), ("frames", "unproved")]),
        ("  width: 832", "  width: -1", [("width", "unproved")]),
        ("  width: 832", "  width: None", [("width", "unproved")]),
        ("  width: 832", "  width: 0", [("width", "unproved")]),
        ("  width: 832", "  width: 832.5", [("width", "unproved")]),
        ("  width: 832", "  size: 832", [("width", "unproved")]),
        ("  height: 480", "  height: ?", [("height", "unproved")]),
        ("  height: 480", "  height: 48", [("height", "contradicted")]),
        ("  num_frames: 17", "  num_frames: N/A", [("frames", "unproved")]),
        ("  num_frames: 17", "  num_frames: 18", [("frames", "contradicted")]),
        ("  num_frames: 17", "  num_frames: 17\n  num_frames: 18", [("frames", "contradicted")]),
        ("ttention", "nothing", [("attention", "unproved")]),
        ("model_index.json: WanPipeline", "model_index.json: LTX2Pipeline", [("pipeline", "contradicted")]),
        (
            "Loading pipeline modules...",
            "Using pipeline from model_index.json: LTX2Pipeline",
            [("pipeline", "contradicted")],
        ),
    ],
)
def test_what_a_case_expects_and_nothing_proves_does_not_count(
    phrase: str, instead: str, missing: list[tuple[str | None, str | None]]
) -> None:
    log = kept("real-0.5.17-h200-warm").log
    assert phrase in log
    assert seen(log.replace(phrase, instead)) == missing


@pytest.mark.parametrize(
    ("lines", "missing"),
    [
        (["Attention backends for text_encoder: fa"], [("attention", "unproved")]),
        (["Attention backends for vae: fa"], [("attention", "unproved")]),
        (["Attention backends for transformer: default"], [("attention", "unproved")]),
        (["Attention backends for transformer: fa", "Attention backends for text_encoder: torch_sdpa"], []),
        (["Attention backends for transformer: fa", "Attention backends for transformer_2: fa, torch_sdpa"], []),
        (
            ["Attention backends for transformer: fa", "Attention backends for transformer_2: torch_sdpa"],
            [("attention", "contradicted")],
        ),
        (["Using fa attention backend"], []),
        (["Attention backends for transformer: fa", "Using torch_sdpa attention backend"], []),
        (
            ["Attention backends for transformer: torch_sdpa", "Using fa attention backend"],
            [("attention", "contradicted")],
        ),
        (["Attention backends for hy3dshape_model: fa"], []),
    ],
)
def test_every_denoiser_must_use_the_attention_backend_that_is_expected(
    lines: list[str], missing: list[tuple[str | None, str | None]]
) -> None:
    log = "\n".join([NATIVE, WARM, *(f"[11-23 16:34:31] {line}" for line in lines)])
    assert seen(log, Expect(attention="fa")) == missing


def test_a_diffusers_case_proves_its_pipeline_too() -> None:
    diffusers = kept("real-0.5.17-h200-diffusers")
    wanted = case(backend="diffusers", warmup="off", expect=Expect(pipeline="DiffusersPipeline"))
    assert ENGINE.read(diffusers, wanted).problems == ()
    silent = replace(diffusers, log="\n".join(line for line in diffusers.log.split("\n") if "DiffusersP" not in line))
    assert [(problem.about, problem.cause) for problem in ENGINE.read(silent, wanted).problems] == [
        ("pipeline", "unproved")
    ]


def test_a_diffusers_case_proves_its_attention_backend_too() -> None:
    diffusers = kept("real-0.5.17-h200-diffusers")
    wanted = case(backend="diffusers", warmup="off", expect=Expect(attention="fa"))
    assert [(problem.about, problem.cause) for problem in ENGINE.read(diffusers, wanted).problems] == [
        ("attention", "unproved")
    ]
    # A flag alone asks only that nothing speaks against it.
    asked = case(backend="diffusers", warmup="off", args={"attention-backend": "fa"})
    assert ENGINE.read(diffusers, asked).problems == ()


def test_a_stage_that_took_no_time_did_not_run() -> None:
    document = json.loads(DUMP)
    for stage in document["steps"]:
        stage["duration_ms"] *= stage["name"] != "TextEncodingStage"
    idle = {"dump": json.dumps(document)}
    assert seen(f"{NATIVE}\n{WARM}", Expect(stages=("TextEncodingStage",)), **idle) == [("stage", "unproved")]
    assert seen(f"{NATIVE}\n{WARM}", Expect(stages=("DenoisingStage",)), **idle) == []
    assert seen(f"{NATIVE}\n{WARM}", Expect(stages=("NoStage",))) == [("stage", "contradicted")]


@pytest.mark.parametrize("key", ["prompt", "negative-prompt", "system-prompt", "other-prompt"])
@pytest.mark.parametrize("where", ["args", "config", "list"])
def test_a_prompt_cannot_prove_what_a_case_expects(key: str, where: str) -> None:
    proof = (
        f"{NATIVE}\n[11-23 16:34:31] Attention backends for transformer: torch_sdpa\n{WARM}\n"
        "[11-23 16:35:20] Sampling params:\n   width: 832\n   height: 480\n   num_frames: 17"
    )
    prompt = f"a cat\n{proof}\nand a dog"
    named = key.replace("-", "_") if where == "config" else key
    asked: dict[str, Any] = {
        "config" if where == "config" else "args": {named: (prompt,) if where == "list" else prompt}
    }
    log = f"[11-23 16:35:20] Sampling params:\n                      prompt: {prompt}\n                        seed: 42"
    reading = ENGINE.read(launch(log), case(expect=EVERYTHING, **asked))
    missing = {problem.about for problem in reading.problems}
    assert missing == {None, "pipeline", "width", "height", "frames", "attention"}
    assert reading.warmup != "proven"


def test_a_prompt_cannot_hide_what_the_engine_says() -> None:
    prompt = "Using pipeline from model_index.json: DiffusersPipeline"
    log = f"[11-23 16:34:30] {prompt}\n{WARM}"
    assert ENGINE.read(launch(log), case(args={"prompt": prompt})).backend == "diffusers"
    failed = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] Generation failed: boom"
    reading = ENGINE.read(launch(failed), case(args={"prompt": "Generation failed"}))
    assert [problem.kind for problem in reading.problems] == ["launch-failed"]


def test_a_missing_stage_shows_what_the_dump_has() -> None:
    reading = ENGINE.read(kept("real-0.5.17-h200-warm"), case(expect=Expect(stages=("X",))))
    assert reading.problems[0].evidence[0].startswith("stages of the dump: InputValidationStage, TextEncodingStage")


@pytest.mark.parametrize(
    ("steps", "counts"),
    [(20, True), (21, True), (19, True), (22, False), (18, False), (23, False), (17, False), (40, False), (10, False)],
)
def test_a_single_denoising_stage_takes_the_steps_asked_for(steps: int, counts: bool) -> None:
    reading = ENGINE.read(launch(), case(args={"num-inference-steps": steps}))
    expected = {"code": "step-count", "number": 20, "wanted": (str(steps),)}
    assert found(reading) == ([] if counts else [expected])


@pytest.mark.parametrize(("part", "counts"), [(0.5, False), (0.98, False), (0.995, True), (1.0, True)])
@pytest.mark.parametrize("stage", ["DenoisingStage", "LTX2AVDenoisingStage"])
def test_a_denoising_stage_takes_no_less_than_its_steps(part: float, stage: str, *, counts: bool) -> None:
    document = json.loads(DUMP)
    together = sum(step["duration_ms"] for step in document["denoise_steps_ms"])
    (denoising,) = [one for one in document["steps"] if one["name"] == "DenoisingStage"]
    denoising.update(name=stage, duration_ms=part * together)
    reading = ENGINE.read(launch(dump=json.dumps(document)), case())
    took, steps = round(part * together, 3), round(together, 3)
    expected = {"code": "steps-too-long", "found": (stage,), "took_ms": took, "steps_ms": steps}
    assert found(reading) == ([] if counts else [expected])


@pytest.mark.parametrize(
    ("stage", "counted"),
    [("DenoisingStage", True), ("LTX2AVDenoisingStage", True), ("DmdDenoisingStage", False), ("OddStage", False)],
)
def test_only_plain_denoising_stages_take_as_many_steps_as_asked_for(stage: str, counted: bool) -> None:
    ran = launch(dump=DUMP.replace('"DenoisingStage"', f'"{stage}"'))
    assert bool(ENGINE.read(ran, case(args={"num-inference-steps": 40})).problems) is counted


def test_steps_of_a_two_stage_pipeline_are_not_counted() -> None:
    two = kept("constructed-0.5.23-ltx2-two-stage")
    assert ENGINE.read(two, case(args={"num-inference-steps": 40})).problems == ()


def test_a_diffusers_case_of_which_nothing_tells_the_backend_does_not_count() -> None:
    bare = launch("[11-23 16:34:30] hello", dump='{"total_duration_ms": 1000.0}')
    reading = ENGINE.read(bare, case(backend="diffusers", warmup="off"))
    assert (reading.backend, [problem.kind for problem in reading.problems]) == (None, ["invalid"])


def test_the_last_words_of_a_crash_are_not_its_frames() -> None:
    frames = "\n".join(f"frame #{number}: c10::x() + 0x80 (0x7f in /lib/libc10.so)" for number in range(20))
    reading = ENGINE.read(launch(f"[11-23 16:34:30] at work\n{frames}", returncode=-6, dump=None), case())
    assert reading.problems[0].evidence == ("[11-23 16:34:30] at work",)


# ----------------------------------------------------------------------------------------------------------- attention


@pytest.mark.parametrize(
    ("asked", "line", "code"),
    [
        ("fa", "Attention backends for transformer: fa", None),
        ("fa3", "Using FlashAttention (FA3 for hopper, FA4 for blackwell) backend", None),
        ("fa", "Using FlashAttention2 backend", None),
        (
            "sage_attn",
            "Attention backends for transformer: fa",
            "other-attention",
        ),
        (
            "sage_attn",
            "Sage Attention backend failed to import. Falling back to Flash Attention.",
            "attention-fell-back",
        ),
        (
            "fa",
            "Native component transformer: WanTransformer3DModel is loaded, performance may be sub-optimal",
            "component-attention",
        ),
    ],
)
def test_the_attention_backend_asked_for_must_be_the_one_used(asked: str, line: str, code: str | None) -> None:
    log = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] {line}"
    reading = ENGINE.read(launch(log), case(args={"attention-backend": asked}))
    assert [(one.code, one.wanted) for one in reading.problems] == ([] if code is None else [(code, (asked,))])
    assert all(f"[11-23 16:34:31] {line}" in problem.evidence for problem in reading.problems)


def test_an_encoder_may_use_another_attention_backend() -> None:
    lines = "[11-23 16:34:31] Attention backends for text_encoder: torch_sdpa\n"
    log = f"{NATIVE}\n{WARM}\n{lines}[11-23 16:34:31] Attention backends for transformer: fa"
    assert ENGINE.read(launch(log), case(args={"attention-backend": "fa"})).problems == ()


@pytest.mark.parametrize(
    "asking",
    [
        {"args": {"attention-backend": "fa", "component-attention-backends": "transformer=sage_attn"}},
        {"args": {"component-attention-backends.transformer": "sage_attn"}},
        {"config": {"attention_backend": "sage_attn"}},
        {"config": {"component_attention_backends": {"transformer": "sage_attn"}}},
    ],
)
def test_the_backend_of_the_transformer_is_the_one_asked_for_in_any_spelling(asking: dict[str, Any]) -> None:
    used = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] Attention backends for transformer: fa"
    assert found(ENGINE.read(launch(used), case(**asking))) == [
        {"code": "other-attention", "wanted": ("sage_attn",), "found": ("fa",)}
    ]


@pytest.mark.parametrize(
    "args",
    [
        {"attention-backend": "fa", "attention-backend-override": "sage_attn"},
        {"attention-backend": "fa", "component-attention-backends.transformer.self": "sage_attn"},
        {"attention-backend": "auto"},
    ],
)
def test_a_backend_that_changes_later_or_by_role_is_not_held_against_the_log(args: dict[str, str]) -> None:
    used = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] Attention backends for transformer: sage_attn"
    assert ENGINE.read(launch(used), case(args=args)).problems == ()


def test_expected_attention_needs_proof_and_a_flag_only_no_contradiction() -> None:
    assert ENGINE.read(launch(), case(args={"attention-backend": "fa"})).problems == ()
    assert found(ENGINE.read(launch(), case(expect=Expect(attention="fa")))) == [
        {"code": "attention-unproved", "wanted": ("fa",)}
    ]


def test_attention_that_nobody_asked_for_may_fall_back() -> None:
    log = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] FlashAttention is not supported; falling back to Torch SDPA."
    assert ENGINE.read(launch(log), case()).problems == ()


def test_failed_compilation_is_invalid_where_it_was_asked_for() -> None:
    log = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] Failed to apply torch.compile to transformer: boom"
    assert ENGINE.read(launch(log), case()).problems == ()
    assert found(ENGINE.read(launch(log), case(args={"enable-torch-compile": True}))) == [{"code": "compile-failed"}]


# --------------------------------------------------------------------------------------------- robustness, inspection


def test_a_prompt_that_sounds_like_a_fallback_is_not_one() -> None:
    prompt = "a sign that says Falling back to diffusers backend and Generation failed"
    log = f"{NATIVE}\n{WARM}\n[11-23 16:34:31] generating {prompt} now"
    assert ENGINE.read(launch(log), case(args={"prompt": prompt})).problems == ()


def test_evidence_is_short_however_long_the_log_is() -> None:
    log = "\n".join(f"[11-23 16:34:31] Generation failed: {number}" + "x" * 1000 for number in range(500))
    evidence = ENGINE.read(launch(f"{NATIVE}\n{WARM}\n{log}"), case()).problems[0].evidence
    assert (len(evidence), max(map(len, evidence))) == (9, 300)
    assert evidence[4] == "… 492 more lines …"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("real-0.5.17-h200-warm", ("sglang", "WanPipeline", "proven", "B", "cli_generate", 0)),
        ("real-0.5.17-h200-fallback", ("diffusers", "DiffusersPipeline", "none", "B", "cli_generate", 1)),
        ("real-0.5.17-h200-diffusers", ("diffusers", "DiffusersPipeline", "none", "B", "cli_generate", 0)),
        ("real-0.5.17-h200-port-lost", (None, None, "unproven", None, None, 2)),
        ("constructed-0.5.19-native", ("sglang", "WanPipeline", "proven", "C1", "cli_generate", 0)),
        ("constructed-0.5.23-native", ("sglang", "WanPipeline", "proven", "C2", "cli_generate", 0)),
    ],
)
def test_inspection_says_what_ran(name: str, expected: tuple[Any, ...]) -> None:
    ran = kept(name)
    found = inspect(ran.dump, ran.log)
    assert (
        *(found.backend, found.pipeline, found.warmup, found.generation, found.tag),
        len(found.problems),
    ) == (expected)
    assert bool(found.metrics) is (ran.dump is not None)


def test_inspection_works_with_a_dump_or_a_log_alone() -> None:
    ran = kept("real-0.5.17-h200-warm")
    dump_only, log_only = inspect(ran.dump, None), inspect(None, ran.log)
    assert log_only.warmup == "proven"
    assert (dump_only.backend, dump_only.pipeline, dump_only.warmup) == ("sglang", None, None)
    assert (log_only.backend, log_only.generation, log_only.metrics) == ("sglang", None, {})
    fallback = inspect(kept("real-0.5.17-h200-fallback").dump, None)
    assert fallback.backend == "diffusers"
    assert fallback.problems == (LaunchFlaw(code="diffusers-ran"),)


START = "[11-23 16:34:31] Starting server...\n"
AMBIGUOUS = CommandRefused(message="ambiguous option: --warmup")


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        ("usage: sglang generate\nsglang generate: error: ambiguous option: --warmup", AMBIGUOUS),
        ("error: unrecognized arguments: --with", CommandRefused(message="unrecognized arguments: --with")),
        (
            f"{START}Exception: Generate subcommand is not yet supported for model: m/x",
            UnknownModel(model="m/x"),
        ),
        (
            f"{START}ValueError: Could not get model info for m/x",
            ExceptionRaised(type="ValueError", message="Could not get model info for m/x"),
        ),
    ],
)
def test_inspection_sees_an_engine_that_never_came_to_its_request(log: str, cause: Failure) -> None:
    expected = (LaunchFlaw(code="failure", failure=cause),)
    assert inspect(None, log).problems == expected
    # A perf dump beside such a log is an older launch's.
    assert inspect(kept("real-0.5.17-h200-warm").dump, log).problems == expected


def test_inspection_takes_an_exception_on_the_way_to_a_whole_request_for_no_failure() -> None:
    ran = kept("real-0.5.17-h200-warm")
    caught = "Traceback (most recent call last):\nModuleNotFoundError: No module named 'sageattention'\n"
    assert inspect(None, caught + ran.log).problems == ()
    # At the end of a process that had answered its request, too.
    assert inspect(None, ran.log + "\n" + caught).problems == ()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (
            "[11-23 16:34:31] Sage Attention backend failed to import. Falling back to Flash Attention.",
            "attention-fell-back",
        ),
        (
            "[11-23 16:34:31] Native component transformer: X is loaded, performance may be sub-optimal",
            "diffusers-component",
        ),
        ("[11-23 16:34:31] Failed to apply torch.compile to transformer: boom", "compile-failed"),
        ("[11-23 16:34:31] Falling back to diffusers backend", "diffusers-ran"),
        ("[11-23 16:34:31] Generation failed: boom", "failure"),
    ],
)
def test_inspection_shows_whatever_is_wrong_with_a_launch(line: str, code: FlawCode) -> None:
    ran = kept("real-0.5.17-h200-warm")
    said = line.partition("] ")[2]
    [problem] = inspect(ran.dump, f"{line}\n{ran.log}").problems
    assert problem.code == code
    assert problem.line.endswith(said)
    # A prompt that says so, alone or as one of several, is none.
    document = json.loads(ran.dump or "")
    for prompt in (f"a sign: {said}", ["a cat", f"a sign: {said}"]):
        document["meta"]["prompt"] = prompt
        echo = f"[11-23 16:34:31] to do: a sign: {said}\n{ran.log}"
        assert inspect(json.dumps(document), echo).problems == ()


def test_inspection_shows_what_is_wrong_with_a_dump() -> None:
    (flaw,) = inspect('{"total_duration_ms": 0}', None).problems
    assert (flaw.code, flaw.line.partition(" ")[0]) == ("bad-dump", "total_duration_ms")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ending": "timeout", "returncode": None}, LaunchFlaw(code="timeout")),
        ({"ending": "interrupted", "returncode": None}, LaunchFlaw(code="interrupted")),
        ({"returncode": 3}, LaunchFlaw(code="exit-code", number=3)),
        ({"stale_dump": True}, LaunchFlaw(code="stale-dump")),
        ({"dump": None}, LaunchFlaw(code="no-dump")),
        ({}, None),
    ],
)
def test_inspection_of_a_launch_says_how_it_ended(changes: dict[str, Any], expected: LaunchFlaw | None) -> None:
    ran = kept("real-0.5.17-h200-warm")
    assert inspect_launch(replace(ran, **changes)).problems == (() if expected is None else (expected,))


def test_a_launch_that_failed_is_not_blamed_for_its_missing_dump_too() -> None:
    lost = inspect_launch(kept("real-0.5.17-h200-port-lost"))
    assert [flaw.code for flaw in lost.problems] == ["failure", "warmup"]


def test_inspection_says_what_a_log_does_not_prove() -> None:
    ran = kept("real-0.5.17-h200-warm")
    empty = (LaunchFlaw(code="empty-log"),)
    assert inspect(ran.dump, "").problems == inspect(None, "\n").problems == empty
    quiet = LaunchFlaw(code="native-unproved")
    assert inspect(ran.dump, START).problems == (quiet,)
    asked = f'{START}server_args: {{"warmup": true, "warmup_mode": "request"}}'
    assert inspect(ran.dump, asked).problems == (quiet, LaunchFlaw(code="warmup", warmup="asked"))
    cut = (LaunchFlaw(code="cut-off"),)
    assert inspect(None, START).problems == cut
    assert inspect(None, asked).problems == cut
    assert inspect(ran.dump, None).problems == inspect(None, ran.log).problems == ()


def test_a_command_hands_over_private_folders_and_ports() -> None:
    files = LaunchFiles(
        workdir="/w", output_dir="/w/out", perf_dump="/w/perf.json", perf_log_dir="/w/log", config="/w/config.json"
    )
    made = ENGINE.command(
        case(config={"paint_enable": False}, env={"SGLANG_CACHE_DIT_ENABLED": "true"}, args={"prompt": "a cat"}),
        info=EngineInfo(command=("/venv/bin/sglang",), version="0.5.17"),
        files=files,
        ports=Ports(http=31000, scheduler=31005, master=31055),
    )
    assert made.argv == (
        *("/venv/bin/sglang", "generate", "--model-path", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"),
        *("--prompt", "a cat", "--config", "/w/config.json", "--warmup-mode", "request"),
        *("--perf-dump-path", "/w/perf.json", "--output-path", "/w/out"),
        *("--master-port", "31055", "--scheduler-port", "31005", "--port", "31000", "--strict-ports"),
    )
    assert made.env == {"SGLANG_CACHE_DIT_ENABLED": "true", "SGLANG_PERF_LOG_DIR": "/w/log"}
    assert made.files == {"/w/config.json": '{"paint_enable": false}\n'}
    assert {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(made.unset)
    old = ENGINE.command(
        replace(case(), warmup="off"),
        info=EngineInfo(command=("sglang",), version="0.5.9"),
        files=files,
        ports=Ports(http=1, scheduler=2, master=3),
    )
    assert "--strict-ports" not in old.argv
    assert old.files == {}


# --------------------------------------------------------------------------------------------------- conditioning cache
# Two launches of the real 0.5.23 on the CPU, without and with `--disable-conditioning-cache`.

CACHED, ENCODED = "real-0.5.23-cpu-cached", "real-0.5.23-cpu-encoded"
HIT = "[11-29 17:50:49] Conditioning cache hit: UMT5EncoderModel.forward"
OFF = 'server_args: {"disable_conditioning_cache": true}'
ON = 'server_args: {"disable_conditioning_cache": false, "conditioning_cache_max_size_mb": 512.0}'


def cpu_case(**changes: Any) -> Case:
    return case(gpus=0, **{"args": {"num-inference-steps": 4}, **changes})


def caused_by_the_cache(reading: Reading) -> bool:
    return [problem.cause for problem in reading.problems if problem.cause == "conditioning-cache"] != []


def test_a_real_launch_that_found_its_encodings_in_the_cache_does_not_count() -> None:
    reading = ENGINE.read(kept(CACHED), cpu_case())
    (problem,) = reading.problems
    assert (problem.kind, problem.cause, reading.metrics) == ("invalid", "conditioning-cache", {})
    assert problem.evidence == (
        'server_args: "disable_conditioning_cache": false, "conditioning_cache_max_size_mb": 512.0',
    )
    assert reading.conditioning_cache is True


def test_a_real_launch_with_the_cache_off_counts_with_the_time_of_its_encoder() -> None:
    reading = ENGINE.read(kept(ENCODED), cpu_case())
    assert (reading.problems, reading.conditioning_cache) == ((), False)
    assert reading.metrics["stage:TextEncodingStage"] > 50
    cached = ENGINE.read(kept(CACHED), cpu_case(args={"num-inference-steps": 4, "disable-conditioning-cache": False}))
    assert cached.metrics["stage:TextEncodingStage"] < 5


@pytest.mark.parametrize(
    "changes",
    [
        {"args": {"num-inference-steps": 4, "disable-conditioning-cache": False}},
        {"args": {"num-inference-steps": 4, "conditioning-cache-max-size-mb": 256}},
        {"args": {"num-inference-steps": 4}, "config": {"disable_conditioning_cache": False}},
        {"args": {"num-inference-steps": 4}, "warmup": "off"},
    ],
)
def test_a_case_may_ask_for_the_cache_and_without_warmup_it_is_empty(changes: dict[str, Any]) -> None:
    reading = ENGINE.read(kept(CACHED), cpu_case(**changes))
    assert (reading.problems, reading.conditioning_cache) == ((), True)


@pytest.mark.parametrize(
    ("lines", "argv", "refused"),
    [
        ((ON,), (), True),
        ((ON.replace("512.0", "0.0"),), (), False),
        ((OFF,), (), False),
        # At log level debug the engine also says when it finds something.
        ((OFF, HIT), (), True),
        ((HIT,), (), True),
        # A prompt that speaks of it proves nothing.
        ((OFF, "prompt: Conditioning cache hit: UMT5EncoderModel.forward"), (), False),
        # Engines before 0.5.21 say nothing of it.
        ((), (), False),
        # What an engine resolved counts for more than what it was asked for.
        ((ON,), ("--disable-conditioning-cache",), True),
    ],
)
def test_the_cache_is_told_by_the_log(lines: tuple[str, ...], argv: tuple[str, ...], refused: bool) -> None:
    log = "\n".join([NATIVE, *lines, WARM])
    reading = ENGINE.read(launch(log, argv=("sglang", "generate", *argv)), case(gpus=0))
    assert caused_by_the_cache(reading) is refused


def test_where_the_log_says_nothing_the_command_line_does() -> None:
    assert ENGINE.read(launch(argv=("sglang", "--disable-conditioning-cache")), case()).conditioning_cache is False
    assert ENGINE.read(launch(), case()).conditioning_cache is None


@pytest.mark.parametrize(
    "changes", [{"args": {"warmup-mode": "request"}, "warmup": "off"}, {"args": {"conditioning-cache-max-size-mb": 0}}]
)
def test_a_warmup_by_the_engines_own_flag_fills_the_cache_too(changes: dict[str, Any]) -> None:
    log = "\n".join([NATIVE, ON, WARM])
    assert caused_by_the_cache(ENGINE.read(launch(log), case(gpus=0, **changes)))
