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
from pytest_sgdiff.upstream.export_baselines import export_upstream
from pytest_sgdiff.upstream.import_baselines import import_upstream
from pytest_sgdiff.upstream.published import GUIDE, published_references
from pytest_sgdiff.upstream.scenarios import Scenario, gpus_of

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


def imported(*cases: Case, **options: Any) -> tuple[dict[str, Baseline], tuple[str, ...]]:
    found, report, _ = import_upstream(H100, cases, source=SOURCE, engine_version="0.5.23", **options)
    return {baseline.measurement.case: baseline for baseline in found}, report


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
    found, report = imported(default_gpus=1)
    assert not [
        (case, name)
        for case, baseline in found.items()
        for name, value in baseline.measurement.launches[0].metrics.items()
        if value <= 0
    ]
    dropped = "zero or null, so not measured: dropped"
    assert f"sana_wm_ti2v: expected_avg_denoise_ms, expected_median_denoise_ms {dropped}" in report
    assert f"longlive2_t2v: stages_ms.LongLive2ImageVAEEncodingStage {dropped}" in report
    assert "flux2_modelopt_fp8_t2i: holds no number: not imported" in report  # e2e was 0.0, and never checked
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
    (baseline,), _, _ = import_upstream(document, [], source="x")
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
    found, report, _ = import_upstream(document, [], source="x", default_gpus=1)
    launches = {baseline.measurement.case: baseline.measurement.launches[0] for baseline in found}
    stage = {"stage:LTX2AVDenoisingStage": 9172.61}
    assert launches["upstream.odd"].metrics == {"e2e": 10160.35, "denoise": 9172.61, **stage}
    assert launches["upstream.odd"].steps_ms == ()
    assert launches["upstream.near"].metrics["denoise_steps"] == 9220.0
    told = "are 15534.6 ms together, longer than the 9172.61 ms of denoising around them"
    assert report == (f"odd: denoise_step_ms {told}: dropped, they come from another run",)


def test_scenarios_on_an_unknown_number_of_gpus_are_named_and_placed_only_on_request() -> None:
    scenarios = {
        name: {"expected_e2e_ms": 700.0} for name in ("llada_image_bf16_edit", "new_2gpu", "llada_image_bf16_t2i")
    }
    document = {"metadata": {"hardware": "H100"}, "scenarios": scenarios}
    found, report, _ = import_upstream(document, [], source="x")
    assert [baseline.measurement.case for baseline in found] == ["upstream.new_2gpu"]
    assert report[-1] == (
        "not imported, because their number of GPUs is unknown (give --gpus): "
        "llada_image_bf16_edit, llada_image_bf16_t2i"
    )
    placed, report, _ = import_upstream(document, [], source="x", default_gpus=1)
    assert [baseline.measurement.machine.count for baseline in placed] == [1, 2, 1]
    assert not [line for line in report if "how many GPUs" in line]


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
        ("a_case_that_upstream_adds", None),
    ],
)
def test_the_number_of_gpus_is_what_upstreams_suite_says(name: str, gpus: int | None) -> None:
    assert gpus_of(name) == gpus


# ---------------------------------------------------------------------------------------------------------- matching


def test_a_scenario_that_is_equal_in_everything_is_the_reference_of_the_case() -> None:
    found, report = imported(case(), known=KNOWN)
    assert found["ltx2"].measurement.launches[0].metrics["e2e"] == 6781.14
    assert "upstream.ltx_2_two_stage_t2v" not in found
    assert not [line for line in report if "is not ltx2" in line]


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
    found, report = imported(case(gpus=gpus, args={**case().args, **change}), known=KNOWN)
    assert "ltx2" not in found
    assert "upstream.ltx_2_two_stage_t2v" in found
    assert f"ltx_2_two_stage_t2v: is not ltx2: {difference}" in report


def test_what_upstream_does_not_tell_is_a_difference() -> None:
    """Upstream runs its cases at the models' default sizes, which its files do not name."""
    found, report = imported(case(), replace(case("shape"), model="tencent/Hunyuan3D-2", gpus=1, args={}))
    assert not {"ltx2", "shape"} & set(found)
    assert (
        "ltx_2_two_stage_t2v: is not ltx2: width 768 in the case, not stated upstream; height 512 in the case, not "
        "stated upstream; num-frames 121 in the case, not stated upstream"
    ) in report
    (shape,) = [line for line in report if "is not shape" in line]
    assert shape.endswith("upstream ran it with paint, without warmup")


# ---------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "this is no baseline file of SGLang's: it has no mapping 'scenarios'"),
        ({"schema": 1}, "this is no baseline file of SGLang's: it has no mapping 'scenarios'"),
        ({"scenarios": {}, "metadata": 3}, "metadata: must be a mapping, got 3"),
        ({"scenarios": {}, "metadata": {"hardware": "MI300X"}},
         "metadata.hardware: names none of H100, H200, B200, 5090, B60, got 'MI300X'"),
        ({"scenarios": {}, "metadata": {"hardware": "NVIDIA GH200 480GB"}},
         "metadata.hardware: names none of H100, H200, B200, 5090, B60, got 'NVIDIA GH200 480GB'"),
        ({"scenarios": {"x": 3}, "metadata": {"hardware": "H100"}}, "scenarios.x: must be a mapping, got 3"),
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
    (reference,), report, _ = import_upstream(document, [], source="x", default_gpus=1)
    (launch,) = reference.measurement.launches
    assert "e2e" not in launch.metrics
    assert "denoise" not in launch.metrics
    assert launch.metrics["stage:DecodingStage"] == 5.0
    assert "a: expected_e2e_ms zero or null, so not measured: dropped" in report


def test_files_of_older_versions_without_memory_are_read() -> None:
    """Up to 0.5.14 one perf_baselines.json for all GPUs; scenarios had no VRAM figures."""
    old = {name: value for name, value in H100["scenarios"]["wan2_2_ti2v_5b"].items() if "peak" not in name}
    document = {"metadata": {"hardware": "CI H100 80GB pool"}, "scenarios": {"wan2_2_ti2v_5b": old}}
    (baseline,), report, _ = import_upstream(document, [], source="sglang 0.5.13, perf_baselines.json")
    assert "peak_memory" not in baseline.measurement.launches[0].metrics
    assert baseline.measurement.launches[0].metrics["denoise"] == 12704.94
    assert report == ()


def test_the_file_of_intel_gpus_is_read(tmp_path: Path) -> None:
    document = {
        "metadata": {"hardware": "CI Intel Arc Pro B60 (24 GiB) pool: bmg-multigen-models"},
        "scenarios": {"zimage_image_t2i_2_gpus": {"expected_e2e_ms": 9000.0}},
    }
    (baseline,), report, missed = import_upstream(document, [], source="perf_baselines/xpu_b60.json")
    assert (report, missed) == ((), ())
    assert baseline.measurement.machine == Machine(kind="gpu", product="Intel Arc Pro B60", count=2)
    path = baselines.save(tmp_path, baseline)
    assert path == tmp_path / "intel-arc-pro-b60-x2" / "upstream.zimage_image_t2i_2_gpus.json"
    assert baselines.load(path).measurement == baseline.measurement
    assert baselines.check(tmp_path, {}) == ()
    assert list(export_upstream([baseline])["scenarios"]) == ["zimage_image_t2i_2_gpus"]


def test_what_was_not_imported_is_counted_by_reason() -> None:
    scenarios = {"a": {"expected_e2e_ms": 1.0}, "b": {"expected_e2e_ms": 0.0}}
    document = {"metadata": {"hardware": "H100"}, "scenarios": scenarios}
    assert import_upstream(document, [], source="x")[2] == ("1 needs --gpus N", "1 holds no number")
    document["scenarios"] = {**scenarios, "c": {"expected_e2e_ms": 1.0}, "d": {}}
    assert import_upstream(document, [], source="x")[2] == ("2 need --gpus N", "2 hold no number")
    assert import_upstream(document, [], source="x", default_gpus=1)[2] == ("2 hold no number",)


def test_overrides_for_single_runners_are_reported() -> None:
    _, report, _ = import_upstream({**H100, "runner_overrides": {"b200-2": {"x": {}}}}, [], source="x")
    assert (
        report[-1]
        == "runner_overrides: not imported: they belong to other machines, whose baselines have other folders"
    )


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
    document = export_upstream(tuple(found.values()))
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
    again, report, _ = import_upstream(document, [], source=SOURCE, default_gpus=1)
    assert {b.measurement.case: b.measurement.launches for b in again} == {
        name: baseline.measurement.launches for name, baseline in found.items()
    }
    assert report == ()  # no zeros: what was not measured is absent


def test_of_several_launches_the_medians_are_exported() -> None:
    found, _ = imported()
    one = found["upstream.ltx_2_two_stage_t2v"]
    launches = tuple(
        LaunchRecord(number=n, metrics={"e2e": e2e}, steps_ms=steps)
        for n, (e2e, steps) in enumerate(
            [(100.0, (1.0, 9.0)), (300.0, (2.0, 8.0)), (120.0, (3.0, 4.0)), (110.0, (5.0,))]
        )
    )
    several = replace(one, measurement=replace(one.measurement, case="mine", launches=launches))
    scenario = export_upstream([several])["scenarios"]["mine"]
    assert scenario == {
        "stages_ms": {},
        "denoise_step_ms": {"0": 2.0, "1": 8.0},
        "expected_e2e_ms": 115.0,
        "expected_avg_denoise_ms": 5.0,
        "expected_median_denoise_ms": 5.0,
    }


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
    assert "references" not in export_upstream([ours])["metadata"]["description"]


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
