"""Metrics read from real dumps of sglang 0.5.17 and from dumps built for the other generations."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_sgdiff.data import PerfDump, Stage
from pytest_sgdiff.engines.perf_dump import parse
from pytest_sgdiff.metrics import is_denoising, is_stage, metric_class, metrics_of, title, unit
from pytest_sgdiff.metrics.table import METRICS

DUMPS = Path(__file__).parents[1] / "data" / "dumps"


def real(name: str) -> dict[str, float]:
    return metrics_of(parse((DUMPS / f"{name}.json").read_text()))


def dump(*stages: tuple[str, float], steps: tuple[float, ...] = (), **fields: object) -> PerfDump:
    given = {"generation": "B", "tag": "cli_generate", "timestamp": None, "total_ms": 1000.0, **fields}
    return PerfDump(stages=tuple(Stage(name=n, duration_ms=ms) for n, ms in stages), steps_ms=steps, **given)


def test_a_real_native_launch_has_every_metric_in_the_order_people_read_them() -> None:
    found = real("real-0.5.17-h200-warm")
    assert list(found) == [
        "denoise",
        "denoise_steps",
        "denoise_gap",
        "e2e",
        "peak_memory",
        "stage:InputValidationStage",
        "stage:TextEncodingStage",
        "stage:LatentPreparationStage",
        "stage:TimestepPreparationStage",
        "stage:DenoisingStage",
        "stage:DecodingStage",
    ]
    assert found["e2e"] == pytest.approx(1091.1411)
    assert found["denoise"] == pytest.approx(957.9444)
    assert found["denoise_steps"] == pytest.approx(949.8, abs=5)
    assert found["peak_memory"] == 3011.53


def test_a_real_pause_shows_in_the_gap_and_not_in_the_steps() -> None:
    calm, paused = real("real-0.5.17-h200-warm"), real("real-0.5.17-h200-pause")
    assert paused["denoise_gap"] == pytest.approx(432, abs=2)
    assert 0 < calm["denoise_gap"] < 10
    assert paused["denoise_steps"] == pytest.approx(calm["denoise_steps"], rel=0.01)


@pytest.mark.parametrize("name", ["real-0.5.17-h200-diffusers", "real-0.5.17-h200-fallback"])
def test_the_diffusers_backend_has_no_denoising_metric(name: str) -> None:
    found = real(name)
    assert not {"denoise", "denoise_steps", "denoise_gap"} & set(found)
    assert found["e2e"] > 0
    assert "stage:DiffusersExecutionStage" in found


def test_a_launch_on_the_cpu_has_no_peak_memory() -> None:
    assert "peak_memory" not in real("real-0.5.17-cpu-warm")


def test_two_denoising_stages_are_summed() -> None:
    found = metrics_of(
        dump(("LTX2AVDenoisingStage", 5249.82), ("LTX2UpsampleStage", 2.65), ("LTX2RefinementStage", 635.98))
    )
    assert found["denoise"] == pytest.approx(5885.80)


def test_the_stage_before_denoising_is_not_denoising() -> None:
    shape = dump(("Hunyuan3DShapeBeforeDenoisingStage", 54.28), ("Hunyuan3DShapeDenoisingStage", 1698.03))
    assert metrics_of(shape)["denoise"] == 1698.03


def test_steps_without_a_denoising_stage_are_the_denoising() -> None:
    found = metrics_of(dump(("LLaDAImageTextConditioningStage", 9.0), steps=(10.0, 20.0)))
    assert (found["denoise"], found["denoise_steps"]) == (30.0, 30.0)
    assert "denoise_gap" not in found


def test_a_stage_without_steps_has_no_gap() -> None:
    found = metrics_of(dump(("DenoisingStage", 500.0)))
    assert found["denoise"] == 500.0
    assert not {"denoise_steps", "denoise_gap"} & set(found)


def test_a_slightly_negative_gap_stays_as_it_is() -> None:
    assert metrics_of(dump(("DenoisingStage", 29.5), steps=(10.0, 20.0)))["denoise_gap"] == -0.5


PEAK = {"after_forward": {"peak_allocated_mb": 100.0}, "runtime_peak": {"peak_allocated_mb": 200.0}}


@pytest.mark.parametrize(
    ("generation", "memory", "expected"),
    [
        ("A", {}, None),
        ("B", PEAK, 100.0),
        ("C1", PEAK, 100.0),
        ("C2", PEAK, 200.0),
        ("B", {"after_forward": {"peak_allocated_mb": 0.0}}, None),
        ("B", {"before_forward": {"peak_allocated_mb": 5.0}}, None),
        ("C2", {"after_forward": {"peak_allocated_mb": 100.0}}, None),
        ("C2", {"runtime_peak": {"peak_reserved_mb": 300.0}}, None),
    ],
)
def test_peak_memory_is_read_by_generation_and_never_zero(
    generation: str, memory: dict[str, dict[str, float]], expected: float | None
) -> None:
    assert metrics_of(dump(generation=generation, memory=memory)).get("peak_memory") == expected


@pytest.mark.parametrize(
    ("name", "stage", "denoising"),
    [
        ("DenoisingStage", True, True),
        ("LTX2RefinementStage", True, True),
        ("DmdDenoisingStage", True, True),
        ("LingBotWorldCausalDMDDenoisingStage", True, True),
        ("QwenImageLayeredBeforeDenoisingStage", True, False),
        ("WanAnimate2BeforeDenoisingStage", True, False),
        ("ltx2_lora_switch_stage2", True, False),
        ("DiffusersExecutionStage", True, False),
        ("Scheduler.return_result.spill_arrays", False, False),
        ("SchedulerClient.materialize_file_refs", False, False),
        ("per_frame_generation", False, False),
    ],
)
def test_names_of_real_engines_are_told_apart(name: str, stage: bool, denoising: bool) -> None:
    assert is_stage(name) is stage
    assert is_denoising(name) is denoising


def test_entries_that_are_no_stages_are_no_metrics() -> None:
    assert not [name for name in real("real-0.5.17-h200-warm") if "Scheduler" in name]


def test_every_metric_has_class_unit_and_title() -> None:
    assert [(m.name, m.metric_class, m.unit) for m in METRICS] == [
        ("denoise", "primary", "ms"),
        ("denoise_steps", "primary", "ms"),
        ("denoise_core", "primary", "ms"),
        ("denoise_excess", "pause", "ms"),
        ("denoise_gap", "pause", "ms"),
        ("pause", "pause", "ms"),
        ("e2e", "primary", "ms"),
        ("stage", "stage", "ms"),
        ("peak_memory", "memory", "MiB"),
        ("client_e2e", "primary", "ms"),
        ("queue", "stage", "ms"),
        ("load", "stage", "ms"),
        ("warmup", "stage", "ms"),
        ("nightly_latency", "primary", "ms"),
        ("throughput", "stage", "1/s"),
        ("latency_p50", "stage", "ms"),
        ("latency_p95", "stage", "ms"),
        ("latency_p99", "stage", "ms"),
    ]
    assert (metric_class("peak_memory"), unit("peak_memory"), title("peak_memory")) == ("memory", "MiB", "peak memory")
    stage = "stage:TextEncodingStage"
    assert (metric_class(stage), unit(stage), title(stage)) == ("stage", "ms", "TextEncodingStage")
