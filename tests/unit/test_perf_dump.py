"""Perf dumps: every generation is read, and what cannot be a measurement is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.engines.perf_dump import DumpError, parse

DUMPS = Path(__file__).parents[1] / "data" / "dumps"


def good(**changes: Any) -> dict[str, Any]:
    top: dict[str, Any] = {
        "timestamp": "2026-01-20T08:54:23.530155+00:00",
        "request_id": "19b63cc2-4529-4b9a-9aa7-33a0783dcda2",
        "commit_hash": "N/A",
        "tag": "cli_generate",
        "total_duration_ms": 6695.8,
        "steps": [{"name": "DenoisingStage", "duration_ms": 6460.79}, {"name": "DecodingStage", "duration_ms": 27.55}],
        "denoise_steps_ms": [{"step": 0, "duration_ms": 45.2}, {"step": 1, "duration_ms": 107.1}],
        "meta": {"prompt": "A cat sitting on a bench", "model": "black-forest-labs/FLUX.1-dev"},
    }
    top.update(changes)
    return {key: value for key, value in top.items() if value is not ...}


def checkpoint(peak: float = 53044.04, **more: float) -> dict[str, float]:
    return {
        "allocated_mb": 34838.05,
        "reserved_mb": 62406.0,
        "peak_allocated_mb": peak,
        "peak_reserved_mb": 62406.0,
        **more,
    }


HOST = {"peak_host_anon_mb": 0.0}
B = {"before_forward": checkpoint(33905.64), "after_forward": checkpoint()}
C1 = {name: checkpoint(**HOST) for name in ("before_forward", "after_forward", "load_peak", "runtime_peak")}
C2 = {**C1, "warmup_peak": checkpoint(**HOST)}


@pytest.mark.parametrize(
    ("generation", "memory"),
    [
        ("A", ...),
        ("B", B),
        ("B", {}),
        # 0.5.19 fills load_peak's allocated fields with what is allocated now: they tell nothing apart.
        ("C1", C1),
        ("C1", {"after_forward": checkpoint(**HOST)}),
        ("C2", C2),
    ],
)
def test_the_generation_is_told_by_the_memory_checkpoints(generation: str, memory: Any) -> None:
    assert parse(json.dumps(good(memory_checkpoints=memory))).generation == generation


def test_a_dump_is_read_in_full() -> None:
    dump = parse(json.dumps(good(memory_checkpoints=B)))
    assert dump.tag == "cli_generate"
    assert dump.timestamp == "2026-01-20T08:54:23.530155+00:00"
    assert dump.total_ms == 6695.8
    assert [(stage.name, stage.duration_ms) for stage in dump.stages] == [
        ("DenoisingStage", 6460.79),
        ("DecodingStage", 27.55),
    ]
    assert dump.steps_ms == (45.2, 107.1)
    assert dump.memory["after_forward"]["peak_allocated_mb"] == 53044.04
    assert dump.model == "black-forest-labs/FLUX.1-dev"


def test_a_dump_written_by_the_worker_is_as_good() -> None:
    dump = parse(json.dumps(good(tag="server_perf_dump", meta={"model": "Lightricks/LTX-2"}, memory_checkpoints=C2)))
    assert (dump.tag, dump.model) == ("server_perf_dump", "Lightricks/LTX-2")


@pytest.mark.parametrize("prompt", ["a cat", ["a cat"], None, ...])
def test_the_prompt_may_be_text_a_list_or_missing(prompt: Any) -> None:
    meta = {"model": "m"} if prompt is ... else {"prompt": prompt, "model": "m"}
    assert parse(json.dumps(good(meta=meta))).model == "m"


@pytest.mark.parametrize("path", sorted(DUMPS.glob("*.json")), ids=lambda path: path.stem)
def test_every_kept_dump_parses_and_says_its_generation(path: Path) -> None:
    dump = parse(path.read_text())
    assert dump.total_ms > 0
    version = path.stem.split("-")[1]
    release = int(version.split(".")[2])
    cuda = "cpu" not in path.stem
    expected = "A" if release < 9 else "B" if release < 19 or not cuda else "C1" if release == 19 else "C2"
    assert dump.generation == expected


TEXT = json.dumps(good(), indent=2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the perf dump is empty"),
        (" \n", "the perf dump is empty"),
        (TEXT[:200], "the perf dump is incomplete: Expecting value at line 7 column 12 (character 200 of 200)"),
        (
            '{"total_duration_ms": 1}{',
            "the perf dump is incomplete: Extra data at line 1 column 25 (character 24 of 25)",
        ),
        ("[]", "the perf dump is no JSON object: []"),
        ("null", "the perf dump is no JSON object: null"),
        ('{"total_duration_ms": NaN}', "the perf dump holds NaN, which is no number"),
        ('{"total_duration_ms": -Infinity}', "the perf dump holds -Infinity, which is no number"),
        ('{"total_duration_ms": 1e999}', "total_duration_ms is not finite"),
        (
            '{"total_duration_ms": 1, "total_duration_ms": 2}',
            "the perf dump has the key 'total_duration_ms' twice in one object",
        ),
        ("[" * 100_000, "the perf dump is nested too deeply"),
    ],
)
def test_text_that_is_no_dump_is_refused(text: str, message: str) -> None:
    with pytest.raises(DumpError) as caught:
        parse(text)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"total_duration_ms": ...}, "the perf dump has no total_duration_ms"),
        ({"total_duration_ms": None}, "total_duration_ms is no number: null"),
        ({"total_duration_ms": "6695.8"}, 'total_duration_ms is no number: "6695.8"'),
        ({"total_duration_ms": True}, "total_duration_ms is no number: true"),
        ({"total_duration_ms": 0}, "total_duration_ms is 0: nothing was measured"),
        ({"total_duration_ms": -3.5}, "total_duration_ms is negative: -3.5"),
        ({"total_duration_ms": 10**400}, "total_duration_ms is not finite"),
        ({"steps": None}, "steps is no list: null"),
        ({"steps": {"DenoisingStage": 6460.79}}, 'steps is no list: {"DenoisingStage": 6460.79}'),
        ({"steps": ["DenoisingStage"]}, 'steps[0] is no JSON object: "DenoisingStage"'),
        ({"steps": [{"duration_ms": 1.0}]}, "steps[0] has no name"),
        ({"steps": [{"name": "A"}]}, "steps[0] (A) has no duration_ms"),
        ({"steps": [{"name": "A", "duration_ms": None}]}, "steps[0] (A) duration_ms is no number: null"),
        ({"steps": [{"name": "A", "duration_ms": -1.0}]}, "steps[0] (A) duration_ms is negative: -1"),
        (
            {"steps": [{"name": "A", "duration_ms": 1.0}, {"name": "A", "duration_ms": 2.0}]},
            "steps holds the stage 'A' twice",
        ),
        ({"denoise_steps_ms": [45.2]}, "denoise_steps_ms[0] is no JSON object: 45.2"),
        ({"denoise_steps_ms": [{"duration_ms": 1.0}]}, "denoise_steps_ms[0] has no step number: null"),
        ({"denoise_steps_ms": [{"step": -1, "duration_ms": 1.0}]}, "denoise_steps_ms[0] has no step number: -1"),
        ({"denoise_steps_ms": [{"step": True, "duration_ms": 1.0}]}, "denoise_steps_ms[0] has no step number: true"),
        (
            {"denoise_steps_ms": [{"step": 0, "duration_ms": 1.0}, {"step": 0, "duration_ms": 1.0}]},
            "denoise_steps_ms[1] has the step number 0 after 0",
        ),
        ({"denoise_steps_ms": [{"step": 0}]}, "denoise_steps_ms[0] has no duration_ms"),
        ({"memory_checkpoints": []}, "memory_checkpoints is no JSON object: []"),
        ({"memory_checkpoints": {"x": 1}}, "memory_checkpoints.x is no JSON object: 1"),
        (
            {"memory_checkpoints": {"x": {"peak_allocated_mb": "big"}}},
            'memory_checkpoints.x.peak_allocated_mb is no number: "big"',
        ),
    ],
)
def test_content_that_cannot_be_a_measurement_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DumpError) as caught:
        parse(json.dumps(good(**changes)))
    assert str(caught.value) == message


def test_a_dump_of_absurd_size_is_refused_unread() -> None:
    with pytest.raises(DumpError, match="has 8000001 characters, more than any real one"):
        parse("x" * 8_000_001)


# -------------------------------------------------------------------------------------------------- parts and the whole


@pytest.mark.parametrize(
    ("total", "what", "parts", "valid"),
    [
        (1000.0, "steps", [600.0, 400.0], True),
        (1000.0, "steps", [600.0, 410.0], True),
        (1000.0, "steps", [600.0, 411.0], False),
        (10.0, "steps", [6.0, 9.0], True),
        (10.0, "steps", [6.0, 9.1], False),
        (10.0, "steps", [1100.0], False),
        (1000.0, "denoise_steps_ms", [600.0, 410.0], True),
        (1000.0, "denoise_steps_ms", [600.0, 411.0], False),
    ],
)
def test_a_total_holds_its_parts_but_for_the_noise_of_clocks(
    total: float, what: str, parts: list[float], valid: bool
) -> None:
    key, name = ("step", int) if what == "denoise_steps_ms" else ("name", lambda at: f"Stage{at}")
    entries = [{key: name(at), "duration_ms": part} for at, part in enumerate(parts)]
    text = json.dumps({"total_duration_ms": total, what: entries})
    if valid:
        assert parse(text).total_ms == total
    else:
        with pytest.raises(DumpError, match=r"^total_duration_ms is .*, less than its "):
            parse(text)


def test_what_is_timed_beside_the_pipeline_is_no_part_of_the_total() -> None:
    beside = [{"name": "Scheduler.return_result.spill_arrays", "duration_ms": 5000.0}]
    assert parse(json.dumps({"total_duration_ms": 1000.0, "steps": beside})).total_ms == 1000.0


@pytest.mark.parametrize(
    ("checkpoints", "generation"),
    [
        ({"after_forward": {"peak_allocated_mb": 1.0}}, "B"),
        ({"load_peak": {"peak_reserved_mb": 1.0}}, "C1"),
        ({"runtime_peak": {"peak_reserved_mb": 1.0}}, "C1"),
        ({"after_forward": {"peak_host_anon_mb": 0.0}}, "C1"),
        ({"runtime_peak": {"peak_reserved_mb": 1.0}, "warmup_peak": {"peak_reserved_mb": 1.0}}, "C2"),
    ],
)
def test_each_sign_of_a_generation_is_enough(checkpoints: dict[str, Any], generation: str) -> None:
    assert parse(json.dumps({"total_duration_ms": 1.0, "memory_checkpoints": checkpoints})).generation == generation


def test_a_reading_that_was_not_taken_is_absent() -> None:
    checkpoints = {"after_forward": {"peak_allocated_mb": None, "peak_reserved_mb": 2.0}}
    dump = parse(json.dumps({"total_duration_ms": 1.0, "memory_checkpoints": checkpoints}))
    assert dump.memory == {"after_forward": {"peak_reserved_mb": 2.0}}
