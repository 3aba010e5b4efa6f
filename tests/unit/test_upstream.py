"""SGLang's own baseline files: references where they fit, named scenarios otherwise, zeros never."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines.file_format import from_text, to_text
from pytest_sgdiff.data import Baseline, Case, LaunchRecord, Location, Machine
from pytest_sgdiff.errors import BaselineError, WireError
from pytest_sgdiff.reports import refusal_text
from pytest_sgdiff.upstream.export_baselines import export_upstream
from pytest_sgdiff.upstream.import_baselines import Imported, import_upstream
from pytest_sgdiff.upstream.published import GUIDE, published_references
from pytest_sgdiff.upstream.refusals import Refusal, Why
from pytest_sgdiff.upstream.scenarios import Scenario, gpus_of
from tests.golden import check_golden

# Eight of the 84 scenarios of perf_baselines/h100.json of 0.5.23, as they are.
H100 = json.loads((Path(__file__).parents[1] / "data" / "upstream_h100_0.5.23.json").read_text())
SOURCE = "sglang 0.5.23, perf_baselines/h100.json"


def case(name: str = "ltx2", **changes: Any) -> Case:
    fields: dict[str, Any] = {
        "name": name,
        "location": Location(path="cases/x.yaml", line=1, column=1),
        "model": "Lightricks/LTX-2",
        "gpus": 2,
        "args": {
            "width": 768,
            "height": 512,
            "num-frames": 121,
            "num-inference-steps": 43,
            "enable-cfg-parallel": True,
        },
    }
    return Case(**{**fields, **changes})


KNOWN: Mapping[str, Scenario] = {
    "ltx_2_two_stage_t2v": Scenario(
        gpus=2,
        model="Lightricks/LTX-2",
        args={"width": 768, "height": 512, "num-frames": 121, "enable-cfg-parallel": True},
    )
}


def imported(*cases: Case, **options: Any) -> tuple[dict[str, Baseline], Imported]:
    found = import_upstream(H100, cases, source=SOURCE, engine_version="0.5.23", **options)
    return {baseline.measurement.case: baseline for baseline in found.baselines}, found


def reading(document: Any, **options: Any) -> tuple[tuple[Baseline, ...], dict[str, Why]]:
    """The baselines of a document, and why what was left out, by its key."""
    found = import_upstream(document, [], source="x", **options)
    return found.baselines, {refusal_text.key(refusal.path): refusal.why for refusal in found.refusals}


def test_a_scenario_becomes_a_reference_with_its_numbers_and_its_source() -> None:
    found, _ = imported()
    ltx = found["upstream.ltx_2_two_stage_t2v"]
    assert (ltx.kind, ltx.source, ltx.engine_version) == ("reference", SOURCE, "0.5.23")
    assert ltx.measurement.machine == Machine(kind="gpu", product="NVIDIA H100 80GB HBM3", count=2)
    assert ltx.recorded.at == "2026-10-18"
    (launch,) = ltx.measurement.launches
    assert launch.metrics["e2e"] == 6781.14
    assert launch.metrics["denoise"] == pytest.approx(5249.82 + 635.98)  # both stages of a two-stage pipeline
    assert launch.metrics["peak_memory"] == 54736.0
    assert len(launch.steps_ms) == 43
    assert launch.metrics["denoise_steps"] == pytest.approx(sum(launch.steps_ms))
    assert launch.metrics["stage:LTX2AVDecodingStage"] == 219.51
    assert "stage:per_frame_generation" not in launch.metrics
    assert from_text(to_text(ltx)) == ltx


def test_zeros_and_nulls_are_dropped_and_reported() -> None:
    found, whole = imported(default_gpus=1)
    assert not [
        (case, name)
        for case, baseline in found.items()
        for name, value in baseline.measurement.launches[0].metrics.items()
        if value <= 0
    ]
    told = {refusal.path[1:]: refusal.why for refusal in whole.refusals}
    assert told[("sana_wm_ti2v", "expected_avg_denoise_ms")] is Why.EMPTY
    assert told[("sana_wm_ti2v", "expected_median_denoise_ms")] is Why.EMPTY
    assert told[("longlive2_t2v", "stages_ms", "LongLive2ImageVAEEncodingStage")] is Why.EMPTY
    assert told[("flux2_modelopt_fp8_t2i",)] is Why.NUMBERLESS  # e2e was 0.0, and never checked
    assert "upstream.flux2_modelopt_fp8_t2i" not in found
    assert "stage:LongLive2ImageVAEEncodingStage" not in found["upstream.longlive2_t2v"].measurement.launches[0].metrics


def test_a_denoising_stage_that_is_zero_leaves_no_sum_over_the_rest() -> None:
    document = {
        "metadata": {"hardware": "CI H100"},
        "scenarios": {
            "x_2gpu": {
                "stages_ms": {"LTX2AVDenoisingStage": 0.0, "LTX2RefinementStage": 600.0},
                "denoise_step_ms": {"0": 100.0, "1": None, "2": 100.0},
                "expected_e2e_ms": 700.0,
            }
        },
    }
    (baseline,), _ = reading(document)
    assert baseline.measurement.launches[0].metrics == {"e2e": 700.0, "stage:LTX2RefinementStage": 600.0}
    assert baseline.measurement.launches[0].steps_ms == ()


def test_steps_that_do_not_fit_into_the_loop_around_them_are_dropped_and_reported() -> None:
    # As ltx_2.3_one_stage_ti2v of h100.json of 0.5.23, but for the number of steps.
    odd = {
        "stages_ms": {"LTX2AVDenoisingStage": 9172.61},
        "denoise_step_ms": {"0": 7767.28, "1": 7767.28},
        "expected_e2e_ms": 10160.35,
    }
    near = {**odd, "denoise_step_ms": {"0": 4610.0, "1": 4610.0}}  # half a per cent more
    document = {"metadata": {"hardware": "H100"}, "scenarios": {"odd": odd, "near": near}}
    found = import_upstream(document, [], source="x", default_gpus=1)
    launches = {baseline.measurement.case: baseline.measurement.launches[0] for baseline in found.baselines}
    stage = {"stage:LTX2AVDenoisingStage": 9172.61}
    assert launches["upstream.odd"].metrics == {"e2e": 10160.35, "denoise": 9172.61, **stage}
    assert launches["upstream.odd"].steps_ms == ()
    assert launches["upstream.near"].metrics["denoise_steps"] == 9220.0
    path = ("scenarios", "odd", "denoise_step_ms")
    assert found.refusals == (Refusal(path=path, why=Why.OTHER_RUN, found=("15534.6", "9172.61")),)


def test_a_file_that_has_some_of_the_steps_has_no_sum_of_them() -> None:
    # As 5090.json of 0.5.23 has it of 50 steps.
    some = {"denoise_step_ms": {"0": 95.07, "10": 344.0, "49": 347.31}, "expected_e2e_ms": 18255.39}
    (baseline,), refused = reading({"metadata": {"hardware": "RTX 5090"}, "scenarios": {"a_1gpu": some}})
    assert baseline.measurement.launches[0].metrics == {"e2e": 18255.39}
    assert refused == {"scenarios.a_1gpu.denoise_step_ms": Why.SAMPLED}


def test_keys_that_no_metric_stands_for_are_named_once_with_how_often_they_are_there() -> None:
    scenario = {"expected_e2e_ms": 1.0, "load_peak_vram_mb": 5.0, "notes": "x", "estimated_full_test_time_s": 3}
    document = {"metadata": {"hardware": "H100"}, "scenarios": {"a_1gpu": scenario, "b_1gpu": scenario}}
    found = import_upstream(document, [], source="x")
    assert found.refusals == (Refusal(path=("scenarios", "*", "load_peak_vram_mb"), why=Why.NO_METRIC, found=("2",)),)


def test_scenarios_on_an_unknown_number_of_gpus_are_named_and_placed_only_on_request() -> None:
    scenarios = {name: {"expected_e2e_ms": 700.0} for name in ("one", "new_2gpu", "other")}
    document = {"metadata": {"hardware": "H100"}, "scenarios": scenarios}
    found, refused = reading(document)
    assert [baseline.measurement.case for baseline in found] == ["upstream.new_2gpu"]
    assert refused == {"scenarios.one": Why.NO_GPUS, "scenarios.other": Why.NO_GPUS}
    placed, refused = reading(document, default_gpus=1)
    assert [baseline.measurement.machine.count for baseline in placed] == [1, 2, 1]
    assert refused == {}


@pytest.mark.parametrize(
    ("name", "gpus"),
    [
        # Listed among upstream's cases for one GPU.
        ("qwen_image_t2i", 1),
        ("wan2_1_t2v_1.3b", 1),
        ("ltx_2_3_hq_pipeline", 1),
        # The name does not say that it is among those for two.
        ("ltx_2.3_one_stage_ti2v", 2),
        ("wan2_1_t2v_1.3b_cfg_parallel", 2),
        ("fsdp-inference", 2),
        ("mova_360p_tp2", 2),
        ("qwen_image_t2i_2_gpus_extra_high", 2),
        ("wan2_1_t2v_1_3b_lora_1gpu", 1),
        # Of the suites for other hardware.
        ("wan22_modelopt_nvfp4_t2v", 1),
        ("flux_image_t2i_npu", 1),
        ("wan2_1_t2v_1.3b_1_npu", 1),
        ("mova_360p_ti2va_2npu", 2),
        ("zimage_image_t2i_musa", 1),
        ("wan2_2_t2v_a14b_2gpu_musa", 2),
        ("a_case_that_upstream_adds", None),
    ],
)
def test_the_number_of_gpus_is_what_upstreams_suite_says(name: str, gpus: int | None) -> None:
    assert gpus_of(name) == gpus


# ---------------------------------------------------------------------------------------------------------- matching


def test_a_scenario_that_is_equal_in_everything_is_the_reference_of_the_case() -> None:
    found, whole = imported(case(), known=KNOWN)
    assert found["ltx2"].measurement.launches[0].metrics["e2e"] == 6781.14
    assert "upstream.ltx_2_two_stage_t2v" not in found
    assert whole.remarks == ()


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"gpus": 4}, "4 GPUs in the case, 2 upstream"),
        ({"width": 1024}, "width 1024 in the case, 768 upstream"),
        ({"num-frames": 25}, "num-frames 25 in the case, 121 upstream"),
        ({"num-inference-steps": 40}, "num-inference-steps 40 in the case, 43 upstream"),
        ({"ulysses-degree": 2}, "ulysses-degree 2 in the case, not set upstream"),
    ],
)
def test_a_scenario_that_differs_stays_a_scenario_and_says_why(change: dict[str, Any], difference: str) -> None:
    gpus = change.pop("gpus", 2)
    found, whole = imported(case(gpus=gpus, args={**case().args, **change}), known=KNOWN)
    assert "ltx2" not in found
    assert "upstream.ltx_2_two_stage_t2v" in found
    assert f"ltx_2_two_stage_t2v: is not ltx2: {difference}" in whole.remarks


def test_what_upstream_does_not_tell_is_a_difference() -> None:
    """Upstream runs its cases at the models' default sizes, which its files do not name."""
    found, whole = imported(case(), replace(case("shape"), model="tencent/Hunyuan3D-2", gpus=1, args={}))
    assert not {"ltx2", "shape"} & set(found)
    assert (
        "ltx_2_two_stage_t2v: is not ltx2: width 768 in the case, not stated upstream; height 512 in the case, not "
        "stated upstream; num-frames 121 in the case, not stated upstream"
    ) in whole.remarks
    (shape,) = [line for line in whole.remarks if "is not shape" in line]
    assert shape.endswith("upstream ran it with paint, without warmup")


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "this is no baseline file of SGLang's: it has no mapping 'scenarios'"),
        ({"schema": 1}, "this is no baseline file of SGLang's: it has no mapping 'scenarios'"),
        ({"scenarios": {}, "metadata": 3}, "metadata: must be a mapping, got 3"),
        ({"scenarios": {}, "metadata": {"hardware": "MI300X"}},
         "metadata.hardware: names none of H100, H200, B200, 5090, B60, A2 64GB, Ascend A3, S5000, got 'MI300X'"),
        ({"scenarios": {"x": 3}, "metadata": {"hardware": "H100"}}, "scenarios.x: must be a mapping, got 3"),
        ({"scenarios": {}, "metadata": {"hardware": "H100"}, "runner_overrides": [1]},
         "runner_overrides: must be a mapping, got [1]"),
        ({"scenarios": {}, "metadata": {"hardware": "H100"}, "runner_overrides": {"b200-di": 3}},
         "runner_overrides.b200-di: must be a mapping, got 3"),
        ({"scenarios": {"x": {}}, "metadata": {"hardware": "H100"}, "runner_overrides": {"p": {"x": 3}}},
         "runner_overrides.p.x: must be a mapping, got 3"),
        ({"scenarios": {"x": {}}, "metadata": {"hardware": "H100"}, "runner_overrides": {"p": {"x": {"stages_ms": 3}}}},
         "runner_overrides.p.x.stages_ms: must be a mapping, got 3"),
    ],
)  # fmt: skip
def test_what_is_no_such_file_is_named(document: Any, message: str) -> None:
    with pytest.raises(WireError) as caught:
        import_upstream(document, [], source="x")
    assert str(caught.value) == message


@pytest.mark.parametrize("section", ["stages_ms", "denoise_step_ms"])
@pytest.mark.parametrize("value", [True, 1, 7.5, "x", [1], [{}]])
def test_a_section_of_another_kind_is_named(section: str, value: Any) -> None:
    document = {"metadata": {"hardware": "H100"}, "scenarios": {"a": {section: value}}}
    with pytest.raises(WireError, match=f"^scenarios.a.{section}: must be a mapping") as caught:
        import_upstream(document, [], source="x", default_gpus=1)
    assert caught.value.path == ("scenarios", "a", section)


def test_numbers_beyond_any_measured_one_are_dropped() -> None:
    scenario = {
        "expected_e2e_ms": 10**400,
        "stages_ms": {"DenoisingStage": 1e308, "RefinementStage": 1e308, "DecodingStage": 5.0},
        "deep": {"a": {"b": 10**400}},
    }
    document = {"metadata": {"hardware": "H100"}, "scenarios": {"a": scenario}}
    (reference,), refused = reading(document, default_gpus=1)
    (launch,) = reference.measurement.launches
    assert "e2e" not in launch.metrics
    assert "denoise" not in launch.metrics
    assert launch.metrics["stage:DecodingStage"] == 5.0
    assert refused["scenarios.a.expected_e2e_ms"] is Why.EMPTY


def test_files_of_older_versions_without_memory_are_read() -> None:
    """Up to 0.5.14 one perf_baselines.json for all GPUs; scenarios had no VRAM figures."""
    old = {name: value for name, value in H100["scenarios"]["wan2_2_ti2v_5b"].items() if "peak" not in name}
    document = {"metadata": {"hardware": "CI H100 80GB pool"}, "scenarios": {"wan2_2_ti2v_5b": old}}
    (baseline,), refused = reading(document)
    assert "peak_memory" not in baseline.measurement.launches[0].metrics
    assert baseline.measurement.launches[0].metrics["denoise"] == 12704.94
    assert refused == {}


@pytest.mark.parametrize(
    ("hardware", "name", "product", "folder"),
    [
        ("CI Intel Arc Pro B60 (24 GiB) pool: bmg", "a_2_gpus", "Intel Arc Pro B60", "intel-arc-pro-b60-x2"),
        ("CI B200 pool", "a_1gpu", "NVIDIA B200", "nvidia-b200-x1"),
        ("CI RTX 5090 pool", "a_1gpu", "NVIDIA GeForce RTX 5090", "nvidia-geforce-rtx-5090-x1"),
        ("CI A2 64GB pool", "a_2npu", "Huawei Ascend A2", "huawei-ascend-a2-x2"),
        ("Ascend A3", "a_1npu", "Huawei Ascend A3", "huawei-ascend-a3-x1"),
        ("CI S5000 pool", "a_2gpu_musa", "Moore Threads MTT S5000", "moore-threads-mtt-s5000-x2"),
    ],
)  # fmt: skip
def test_files_of_other_hardware_are_read(tmp_path: Path, hardware: str, name: str, product: str, folder: str) -> None:
    scenario = {"expected_e2e_ms": 9000.0, "expected_load_ms": 30000.0}
    document = {"metadata": {"hardware": hardware}, "scenarios": {name: scenario}}
    (baseline,), refused = reading(document)
    assert refused == {}
    machine = baseline.measurement.machine
    assert (machine.kind, machine.product) == ("gpu", product)
    assert baseline.measurement.launches[0].metrics == {"e2e": 9000.0, "load": 30000.0}
    path = baselines.save(tmp_path, baseline)
    assert path == tmp_path / folder / f"upstream.{name}.json"
    assert baselines.load(path).measurement == baseline.measurement
    assert baselines.check(tmp_path, {}) == ()
    assert list(export_upstream([baseline]).document["scenarios"]) == [name]


@pytest.mark.parametrize("hardware", ["RTX 5090D", "GB200", "NVIDIA GH200 480GB", "NVIDIA A2", "RTX A3000", "B2000"])
def test_a_product_of_a_similar_name_is_another(hardware: str) -> None:
    with pytest.raises(WireError) as caught:
        import_upstream({"metadata": {"hardware": hardware}, "scenarios": {}}, [], source="x")
    assert caught.value.path == ("metadata", "hardware")


def test_what_was_not_imported_is_counted_by_reason() -> None:
    scenarios = {"a": {"expected_e2e_ms": 1.0}, "b": {"expected_e2e_ms": 0.0}}
    document = {"metadata": {"hardware": "H100"}, "scenarios": scenarios}

    def counted(**options: Any) -> tuple[str, ...]:
        return refusal_text.summary(import_upstream(document, [], source="x", **options).refusals)

    assert counted() == ("1 needs --gpus N", "1 holds no number")
    document["scenarios"] = {**scenarios, "c": {"expected_e2e_ms": 1.0}, "d": {}}
    assert counted() == ("2 need --gpus N", "2 hold no number")
    assert counted(default_gpus=1) == ("2 hold no number",)


# ------------------------------------------------------------------------------------------------------------- pools

POOLS: dict[str, Any] = {
    "metadata": {"hardware": "CI B200 pool"},
    "runner_overrides": {
        "b200-di": {"flux_1gpu": {"expected_e2e_ms": 1334.16}},
        "b200-cirrascale1-0123": {"flux_1gpu": {"expected_e2e_ms": 1574.32, "stages_ms": {"DecodingStage": 9.0}}},
    },
    "scenarios": {
        "flux_1gpu": {
            "expected_e2e_ms": 1400.0,
            "expected_load_ms": 30000.0,
            "denoise_step_ms": {"0": 10.0, "1": 20.0},
            "stages_ms": {"DenoisingStage": 31.0, "DecodingStage": 8.0},
        }
    },
}


def test_each_pool_of_machines_has_a_reference_of_what_was_measured_there(tmp_path: Path) -> None:
    found, refused = reading(POOLS)
    assert refused == {}
    metrics = {one.measurement.case: dict(one.measurement.launches[0].metrics) for one in found}
    assert {case: of for case, of in metrics.items() if "[" in case} == {
        "upstream.flux_1gpu[b200-di]": {"e2e": 1334.16},
        "upstream.flux_1gpu[b200-cirrascale1-0123]": {"e2e": 1574.32, "stage:DecodingStage": 9.0},
    }
    pool = next(one for one in found if one.measurement.case == "upstream.flux_1gpu[b200-di]")
    assert dict(pool.measurement.workload.fields) == {"scenario": "flux_1gpu", "pool": "b200-di"}
    assert pool.measurement.machine.slug == "nvidia-b200-x1"
    for one in found:
        assert baselines.load(baselines.save(tmp_path, one)).measurement == one.measurement
    assert baselines.check(tmp_path, {}) == ()


def test_pools_are_exported_as_they_came_the_longer_name_first() -> None:
    document = {
        **POOLS,
        "runner_overrides": {"b200": POOLS["runner_overrides"]["b200-di"], **POOLS["runner_overrides"]},
    }
    found, _ = reading(document)
    exported = export_upstream(found)
    assert exported.refusals == ()
    overrides = exported.document["runner_overrides"]
    assert overrides == document["runner_overrides"]
    # Upstream takes the first that a runner's name begins with.
    assert list(overrides) == ["b200-cirrascale1-0123", "b200-di", "b200"]
    assert exported.document["scenarios"]["flux_1gpu"]["stages_ms"] == {"DenoisingStage": 31.0, "DecodingStage": 8.0}


def test_a_pool_without_its_scenario_is_not_exported() -> None:
    found, _ = reading(POOLS)
    exported = export_upstream([one for one in found if "[" in one.measurement.case])
    assert exported.document["scenarios"] == {}
    assert "runner_overrides" not in exported.document
    assert {refusal.path: (refusal.why, refusal.found) for refusal in exported.refusals} == {
        ("upstream.flux_1gpu[b200-di]",): (Why.NO_BASE, ("flux_1gpu",)),
        ("upstream.flux_1gpu[b200-cirrascale1-0123]",): (Why.NO_BASE, ("flux_1gpu",)),
    }


def test_overrides_that_cannot_be_placed_are_named() -> None:
    overrides = {"b200": {"gone": {"expected_e2e_ms": 1.0}, "flux_1gpu": {"expected_e2e_ms": 0.0}}, "a pool/x": {}}
    found, refused = reading({**POOLS, "runner_overrides": overrides})
    assert [one.measurement.case for one in found] == ["upstream.flux_1gpu"]
    assert refused == {
        "runner_overrides.b200.gone": Why.NO_SUCH_SCENARIO,
        "runner_overrides.b200.flux_1gpu.expected_e2e_ms": Why.EMPTY,
        "runner_overrides.b200.flux_1gpu": Why.NUMBERLESS,
        "runner_overrides.a pool/x": Why.NO_NAME,
    }


def test_a_refusal_has_words_and_a_place() -> None:
    examples = {
        Why.NO_METRIC: ("2",),
        Why.NOT_A_NUMBER: ("'many'",),
        Why.WRONG_KIND: ("a mapping", "3"),
        Why.FAILED: ("a", "Timed out after 1200s"),
        Why.OTHER_FRAMEWORK: ("vllm-omni",),
        Why.NO_TIME: ("yesterday",),
        Why.NO_NAME: ("a b",),
        Why.NOT_THE_MEDIAN: ("3", "2"),
        Why.OTHER_RUN: ("15534.6", "9172.61"),
        Why.SAMPLED: ("6", "50 or more"),
        Why.LACKS: ("expected_e2e_ms", "expected_load_ms"),
        Why.AS_ZERO: ("expected_avg_denoise_ms",),
        Why.NO_BASE: ("flux",),
    }
    path = ("results", 3, "latency_s")
    lines = [refusal_text.message(Refusal(path=path, why=why, found=examples.get(why, ()))) for why in Why]
    check_golden("refusal", [*lines, refusal_text.message(Refusal(path=(), why=Why.MISSING))])


# ---------------------------------------------------------------------------------------------------------- published


def firered(name: str, **args: Any) -> Case:
    size = {"width": 1024, "height": 1024, "num-inference-steps": 40}
    return case(name, model="FireRedTeam/FireRed-Image-Edit-1.1", args={**size, **args})


def test_the_published_firered_numbers_are_references_of_the_cases_that_ask_for_the_same_work() -> None:
    cases = [
        firered("edit", **{"enable-cfg-parallel": True, "ulysses-degree": 1}),
        firered("ring", **{"ring-degree": 2}),
    ]
    found, report = published_references(cases)
    named = {baseline.measurement.case: baseline for baseline in found}
    numbers = {name: dict(baseline.measurement.launches[0].metrics) for name, baseline in named.items()}
    assert numbers == {
        "upstream.firered_1_0[ulysses]": {"denoise": 13419.15},
        "upstream.firered_1_0[cfg]": {"denoise": 10955.9},
        "upstream.firered_1_1[ulysses]": {"denoise": 13414.72},
        "edit": {"denoise": 10934.21},
    }
    assert report == (
        (
            "firered_1_1[ulysses]: is not edit: ulysses-degree 1 in the case, 2 upstream; "
            "enable-cfg-parallel True in the case, not set upstream"
        ),
        (
            "firered_1_1[ulysses]: is not ring: ulysses-degree not set in the case, 2 upstream; "
            "ring-degree 2 in the case, not set upstream"
        ),
    )
    cfg = named["edit"]
    assert (cfg.kind, cfg.source) == ("reference", GUIDE)
    assert cfg.measurement.workload.fields["model"] == cases[0].model
    assert cfg.measurement.machine.slug == "nvidia-h100-80gb-hbm3-x2"


@pytest.mark.parametrize(
    ("change", "remark"),
    [
        ({"gpus": 4}, "4 GPUs in the case, 2 upstream"),
        ({"width": 512}, "width 512 in the case, 1024 upstream"),
        ({"num-inference-steps": 20}, "num-inference-steps 20 in the case, 40 upstream"),
    ],
)
def test_a_published_number_is_no_reference_of_a_case_of_its_name_that_asks_for_other_work(
    change: dict[str, Any], remark: str
) -> None:
    gpus = change.pop("gpus", 2)
    other = replace(firered("firered_1_1", **{"ulysses-degree": 2, **change}), variant="ulysses", gpus=gpus)
    found, report = published_references([other])
    assert "upstream.firered_1_1[ulysses]" in {baseline.measurement.case for baseline in found}
    assert f"firered_1_1[ulysses]: is not firered_1_1[ulysses]: {remark}" in report


def test_the_shipped_baselines_are_sound_and_references_only() -> None:
    root = Path(__file__).parents[2] / "baselines"
    shipped = [baselines.load(path) for path in baselines.every(root)]
    assert {baseline.kind for baseline in shipped} == {"reference"}
    assert {baseline.measurement.workload.fields["model"] for baseline in shipped} == {
        "FireRedTeam/FireRed-Image-Edit-1.0",
        "FireRedTeam/FireRed-Image-Edit-1.1",
    }
    assert {baseline.measurement.case: dict(baseline.measurement.launches[0].metrics) for baseline in shipped} == {
        "firered_1_0[cfg]": {"denoise": 10955.9},
        "firered_1_0[ulysses]": {"denoise": 13419.15},
        "firered_1_1[cfg]": {"denoise": 10934.21},
        "firered_1_1[ulysses]": {"denoise": 13414.72},
    }


# ------------------------------------------------------------------------------------------------------------- export


def test_what_was_imported_is_exported_as_it_was() -> None:
    found, _ = imported(default_gpus=1)
    exported = export_upstream(tuple(found.values()))
    document = exported.document
    demanded = ("expected_avg_denoise_ms", "expected_median_denoise_ms")
    stepless = {name for name, scenario in H100["scenarios"].items() if not scenario["denoise_step_ms"]}
    assert {refusal.path: (refusal.why, refusal.found) for refusal in exported.refusals} == {
        (f"upstream.{name}",): (Why.AS_ZERO, demanded) for name in stepless - {"flux2_modelopt_fp8_t2i"}
    }
    assert document["metadata"]["hardware"] == "NVIDIA H100 80GB HBM3"
    assert document["metadata"]["last_updated"] == "2026-10-18"
    assert document["metadata"]["description"].endswith(
        f"{len(found)} of {len(found)} are references, with the numbers as published; "
        "the average and median of the steps are those of the published steps."
    )
    assert set(document["scenarios"]) == set(H100["scenarios"]) - {"flux2_modelopt_fp8_t2i"}
    ours, theirs = (d["scenarios"]["ltx_2_two_stage_t2v"] for d in (document, H100))
    assert ours["expected_e2e_ms"] == theirs["expected_e2e_ms"]
    steps = ours["denoise_step_ms"].values()
    assert ours["expected_avg_denoise_ms"] == round(sum(steps) / len(steps), 2) != theirs["expected_avg_denoise_ms"]
    assert ours["denoise_step_ms"] == theirs["denoise_step_ms"]
    assert ours["runtime_peak_allocated_mb"] == theirs["runtime_peak_allocated_mb"]
    assert ours["stages_ms"] == {name: ms for name, ms in theirs["stages_ms"].items() if name != "per_frame_generation"}
    assert ours["expected_load_ms"] == theirs["expected_load_ms"]
    again = import_upstream(document, [], source=SOURCE, default_gpus=1)
    assert {b.measurement.case: b.measurement.launches for b in again.baselines} == {
        name: baseline.measurement.launches for name, baseline in found.items()
    }
    # No zeros but where the loader wants a number: what was not measured is absent.
    zeros = {refusal.path[1:] for refusal in again.refusals}
    assert zeros == {(name, key) for name in document["scenarios"] if name in stepless for key in demanded}


def test_of_several_launches_the_medians_are_exported() -> None:
    found, _ = imported()
    one = found["upstream.ltx_2_two_stage_t2v"]
    launches = tuple(
        LaunchRecord(number=n, metrics={"e2e": e2e, "load": 3000.0, "stage:A": 0.0012}, steps_ms=steps)
        for n, (e2e, steps) in enumerate(
            [(100.0, (1.0, 9.0)), (300.0, (2.0, 8.0)), (120.0, (3.0, 4.0)), (110.0, (5.0,))]
        )
    )
    several = replace(one, measurement=replace(one.measurement, case="mine", launches=launches))
    scenario = export_upstream([several]).document["scenarios"]["mine"]
    assert scenario == {
        # Less than a hundredth is not nothing.
        "stages_ms": {"A": 0.0012},
        "expected_load_ms": 3000.0,
        "denoise_step_ms": {"0": 2.0, "1": 8.0},
        "expected_e2e_ms": 115.0,
        "expected_avg_denoise_ms": 5.0,
        "expected_median_denoise_ms": 5.0,
    }


@pytest.mark.parametrize(
    ("product", "metrics", "lacking"),
    [
        ("NVIDIA H200", {"e2e": 1.0}, ("expected_load_ms",)),
        ("NVIDIA H200", {"denoise": 1.0}, ("expected_e2e_ms", "expected_load_ms")),
        ("NVIDIA H200", {"e2e": 1.0, "load": 2.0}, ()),
        # Upstream does not check the load there.
        ("Huawei Ascend A3", {"e2e": 1.0}, ()),
        ("Huawei Ascend A3", {"load": 1.0}, ("expected_e2e_ms",)),
    ],
)
def test_what_upstreams_checks_would_fail_for_lack_of_a_number_is_not_exported(
    product: str, metrics: dict[str, float], lacking: tuple[str, ...]
) -> None:
    one = imported()[0]["upstream.ltx_2_two_stage_t2v"]
    launch = LaunchRecord(number=0, metrics=metrics, steps_ms=(1.0,))
    machine = Machine(kind="gpu", product=product, count=1)
    mine = replace(one.measurement, case="mine", machine=machine, launches=(launch,))
    exported = export_upstream([replace(one, measurement=mine)])
    assert list(exported.document["scenarios"]) == ([] if lacking else ["mine"])
    told = [Refusal(path=("mine",), why=Why.LACKS, found=lacking)] if lacking else []
    assert list(exported.refusals) == told


def test_two_baselines_of_one_name_do_not_overwrite_each_other() -> None:
    published = imported()[0]["upstream.ltx_2_two_stage_t2v"]
    ours = replace(
        published,
        measurement=replace(published.measurement, case="ltx_2_two_stage_t2v"),
        path="a.json",
        kind="recorded",
    )
    with pytest.raises(BaselineError) as caught:
        export_upstream([ours, replace(published, path="b.json")])
    assert str(caught.value) == "two baselines would be the scenario 'ltx_2_two_stage_t2v': a.json and b.json"
    assert "references" not in export_upstream([ours]).document["metadata"]["description"]


def test_baselines_of_two_products_do_not_go_into_one_file() -> None:
    found, _ = imported()
    one = found["upstream.ltx_2_two_stage_t2v"]
    other = replace(
        one, measurement=replace(one.measurement, machine=Machine(kind="gpu", product="NVIDIA H200", count=2))
    )
    with pytest.raises(BaselineError) as caught:
        export_upstream([one, other])
    assert str(caught.value) == (
        "upstream has one file for each GPU product, these are of NVIDIA H100 80GB HBM3, NVIDIA H200: name one machine"
    )
