from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import (
    CaseResult,
    Environment,
    GpuEvent,
    GpuSeries,
    LaunchRecord,
    Machine,
    MetricChoice,
    Verdict,
    Watch,
)
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.reports import case_text, facts, numbers
from pytest_sgdiff.reports.html import HtmlReport, charts
from pytest_sgdiff.reports.html.sparks import sparks
from pytest_sgdiff.reports.html.svg import Plot, Scale, domain, ticks, value_axis
from tests import factories


def regressed_launches() -> Plot:
    result = factories.regressed()
    plot = charts.launches(result, next(v for v in result.verdicts if v.primary))
    assert plot is not None
    return plot


def test_every_launch_is_a_point_and_slower_ones_stand_higher() -> None:
    plot = regressed_launches()
    old = [mark for mark in plot.marks if mark.kind == "baseline"]
    new = [mark for mark in plot.marks if mark.kind == "now regressed"]
    assert (len(old), len(new)) == (10, 5)
    assert max(mark.y for mark in new) < min(mark.y for mark in old)
    assert max(mark.x for mark in old) < min(mark.x for mark in new)
    assert new[0].label == "launch 0: 86.08 s"


def test_the_limit_line_lies_between_the_baseline_and_launches_beyond_it() -> None:
    plot = regressed_launches()
    (limit,) = [line for line in plot.lines if line.kind == "limit"]
    assert all(mark.y < limit.y1 for mark in plot.marks if mark.kind == "now regressed")
    assert all(mark.y > limit.y1 for mark in plot.marks if mark.kind == "baseline")
    assert "allowed +1.2 %" in [text.text for text in plot.texts]


def test_the_spread_of_the_baseline_is_a_band_around_its_centre() -> None:
    plot = regressed_launches()
    (band,), (centre,) = plot.boxes, [line for line in plot.lines if line.kind == "centre"]
    assert band.kind == "spread"
    assert band.y + band.height / 2 == pytest.approx(centre.y1, abs=0.2)


def test_a_screen_reader_hears_the_numbers_of_the_picture() -> None:
    assert regressed_launches().description == (
        "Baseline: 10 launches, 81.26 s to 82.24 s. Now: 5 launches, 85.74 s to 86.51 s. Allowed up to 82.73 s."
    )


def test_a_launch_that_does_not_count_is_a_cross_with_its_reason() -> None:
    result = factories.undecided()
    plot = charts.launches(result, result.verdicts[0])
    assert plot is not None
    (cross,) = [mark for mark in plot.marks if mark.shape == "cross"]
    assert cross.label.endswith("discarded: a foreign process ran on GPU 0: python (pid 4711)")


def test_launches_without_a_baseline_are_drawn_alone_and_nothing_without_values() -> None:
    result = factories.without_baseline()
    plot = charts.launches(result, result.verdicts[0])
    assert plot is not None
    assert [mark.kind for mark in plot.marks] == ["now no-baseline"]
    assert charts.launches(result, factories.verdict("stage:NoSuchStage")) is None


def test_stages_show_old_against_new_in_order_and_leave_out_slivers() -> None:
    metrics = {"stage:InputValidationStage": 0.04, "stage:DenoisingStage": 80000.0, "stage:DecodingStage": 700.0}
    before = (factories.record(metrics=metrics),)
    after = (factories.record(metrics={**metrics, "stage:DenoisingStage": 100000.0, "denoise": 100000.0}),)
    plot = charts.stages(factories.result(launches=after, baseline_records=before))
    assert plot is not None
    assert plot.description == "DenoisingStage 80.00 s → 100.0 s; DecodingStage 700 ms → 700 ms"
    assert [(box.kind, box.width) for box in plot.boxes[:2]] == [("baseline", 288.0), ("now", 360.0)]


def paused_stages(*verdicts: str, stages: tuple[str, ...] = ("DenoisingStage",), lack: str = "") -> str:
    """The stages of a case whose launches now pause for half a second: 1.032 s -> 1.565 s with 1.024 s -> 1.101 s in
    steps."""

    def launch(denoise: float, steps: float) -> LaunchRecord:
        shares = {f"stage:{name}": denoise / len(stages) for name in stages}
        metrics = {"denoise": denoise, "denoise_steps": steps, "stage:TextEncodingStage": 50.0, **shares}
        metrics["stage:DecodingStage"] = 35.0
        return factories.record(metrics={name: value for name, value in metrics.items() if name != lack})

    plot = charts.stages(
        factories.result(
            launches=(launch(1565.0, 1101.0),),
            baseline_records=(launch(1032.0, 1024.0),),
            verdicts=tuple(
                # As judged: of one launch, its own figures.
                factories.verdict(metric, primary=i == 0, baseline=then, now=now)
                for i, metric in enumerate(verdicts)
                for then, now in [(1024.0, 1101.0) if metric == "denoise_steps" else (1032.0, 1565.0)]
            ),
        )
    )
    assert plot is not None
    return plot.description


@pytest.mark.parametrize("verdicts", [("denoise_steps", "pause", "e2e"), ("e2e", "pause"), ("e2e", "denoise_steps")])
def test_a_pause_is_not_drawn_as_denoising_where_the_verdict_is_net_of_it(verdicts: tuple[str, ...]) -> None:
    assert paused_stages(*verdicts) == (
        "TextEncodingStage 50.0 ms → 50.0 ms; DenoisingStage (sum of steps) 1.024 s → 1.101 s;"
        " DecodingStage 35.0 ms → 35.0 ms"
    )


def test_steps_of_several_denoising_stages_are_one_row() -> None:
    shown = paused_stages("denoise_steps", "pause", stages=("DenoisingStage", "LTX2RefinementStage"))
    assert shown == (
        "TextEncodingStage 50.0 ms → 50.0 ms; denoise (sum of steps) 1.024 s → 1.101 s; DecodingStage 35.0 ms → 35.0 ms"
    )


@pytest.mark.parametrize(
    ("verdicts", "lack"),
    [
        (("denoise",), ""),
        (("denoise", "denoise_steps"), ""),
        (("denoise_steps", "stage:DenoisingStage"), ""),
        (("e2e",), ""),
        (("denoise_steps",), "denoise_steps"),
    ],
)
def test_a_denoising_stage_judged_as_it_is_is_drawn_so(verdicts: tuple[str, ...], lack: str) -> None:
    assert "; DenoisingStage 1.032 s → 1.565 s; " in paused_stages(*verdicts, lack=lack)


def test_the_step_profile_is_the_median_over_launches_with_their_range() -> None:
    launches = tuple(factories.record(i, steps_ms=(ms, 50.0, 50.0)) for i, ms in enumerate((900.0, 100.0, 100.0)))
    result = factories.result(launches=launches, baseline_records=(factories.record(steps_ms=(90.0, 40.0, 40.0)),))
    plot = charts.steps(result)
    assert plot is not None
    assert [path.kind for path in plot.paths] == ["range", "baseline", "now"]
    assert plot.description == "3 steps, the median one 50.0 ms; in the baseline 40.0 ms"
    assert charts.steps(factories.fallback()) is None


@pytest.mark.parametrize(("now", "shape"), [(85000.0, "dot"), (163500.0, "right"), (40875.0, "left")])
def test_a_change_beyond_the_axis_becomes_an_arrow_at_its_edge(now: float, shape: str) -> None:
    plot = charts.forest(factories.verdict(now=now), reach=0.1)
    assert plot is not None
    assert plot.marks[0].shape == shape
    assert 6 <= plot.marks[0].x <= 174


def test_an_interval_picture_tells_change_interval_and_limit_in_words() -> None:
    verdict = next(v for v in factories.regressed().verdicts if v.primary)
    plot = charts.forest(verdict, reach=0.1)
    assert plot is not None
    assert plot.description == "denoise +5.3 %, 95 % interval +4.6 .. +6.0 %, 1.2 % allowed"
    assert charts.forest(factories.verdict(baseline=None, ratio=None), reach=0.1) is None


def test_scales_keep_outliers_at_the_edge_and_domains_are_never_empty() -> None:
    scale = Scale(low=0, high=10, start=100, end=0)
    assert [scale.at(value) for value in (-5, 0, 2.5, 10, 99)] == [100, 100, 75, 0, 0]
    low, high = domain([7.0])
    assert low < 7.0 < high
    assert domain([0.0]) == (-1.0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "unit", "labels"),
    [
        (81000.0, 87000.0, "ms", ["82 s", "84 s", "86 s"]),
        (2030.0, 2190.0, "ms", ["2.05 s", "2.10 s", "2.15 s"]),
        (31.0, 38.0, "ms", ["32 ms", "34 ms", "36 ms", "38 ms"]),
        (22000.0, 22700.0, "MiB", ["21.6 GiB", "21.8 GiB", "22.0 GiB"]),
        (0.1, 0.9, "ms", ["0.2 ms", "0.4 ms", "0.6 ms", "0.8 ms"]),
    ],
)
def test_axes_have_round_labels_in_the_unit_shown(low: float, high: float, unit: str, labels: list[str]) -> None:
    lines, texts = value_axis(Scale(low=low, high=high, start=100, end=0), unit, left=60, right=350)
    assert [text.text for text in texts] == labels
    assert len(lines) == len(labels)


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0.0, 10.0) == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert all(-3.2 <= tick <= 4.7 for tick in ticks(-3.2, 4.7))


def test_gpu_curves_take_the_lowest_clock_the_total_power_and_the_fullest_memory() -> None:
    one = factories.gpu_series("GPU-1")
    two = dataclasses.replace(one, gpu_uuid="GPU-2", sm_mhz=(1200,) * 10, memory_mb=(100,) * 10)
    clock, power, memory = sparks(factories.record(watch=Watch(gpus=(one, two))))
    assert clock.description == "SM clock 1200 to 1200 MHz"
    assert power.description == "power 248 to 1376 W"
    assert memory.description == "memory 645 to 22100 MiB"


def test_a_slowed_gpu_gives_the_curve_a_ground_and_says_so() -> None:
    watch = Watch(gpus=(factories.gpu_series(reasons=0x40),))
    clock = sparks(factories.record(watch=watch))[0]
    assert {box.kind for box in clock.boxes} == {"throttle"}
    assert clock.description == "SM clock 1965 to 1980 MHz, slowed down meanwhile"
    assert sparks(factories.record(watch=Watch(gpus=(factories.gpu_series(reasons=0x4),))))[0].boxes == []


def test_counters_that_the_driver_does_not_tell_have_no_curve() -> None:
    silent = GpuSeries(
        gpu_uuid="GPU-1", at_s=(0.0, 1.0), sm_mhz=(1980, None), power_w=(None, None), memory_mb=(None, None)
    )
    assert [plot.title for plot in sparks(factories.record(watch=Watch(gpus=(silent,))))] == ["SM clock"]
    assert sparks(factories.record(watch=None)) == []
    assert sparks(factories.record(watch=Watch(gpus=(GpuSeries(gpu_uuid="GPU-1"),)))) == []


def test_thousands_of_samples_become_no_more_points_than_the_curve_has_room_for() -> None:
    many = 3000
    series = GpuSeries(gpu_uuid="GPU-1", at_s=tuple(i / 5 for i in range(many)), sm_mhz=(1980,) * (many - 1) + (345,))
    (clock,) = sparks(factories.record(watch=Watch(gpus=(series,))))
    assert clock.description == "SM clock 345 to 1980 MHz"
    assert clock.paths[0].d.count("L") < 70


def test_facts_leave_out_what_is_not_known() -> None:
    assert ("driver", "580.82.07") in facts.machine_facts(factories.result())
    assert ("hardware", "4 × NVIDIA H100 80GB HBM3") in facts.machine_facts(factories.result())
    bare = factories.result(machine=None, workload=None, launches=(LaunchRecord(number=0),), baseline_recorded=None)
    assert facts.machine_facts(bare) == [("stage timers", "not synchronised")]
    assert facts.baseline_facts(bare) == facts.workload_facts(bare) == []


def test_facts_tell_what_the_machine_was_set_to_and_where_the_launch_ran() -> None:
    environment = Environment(mem_clock_max_mhz=2619, persistence=False, cpu_count=64, launch_cpus="0-31")
    told = facts.machine_facts(factories.result(launches=(factories.record(environment=environment),)))
    assert {
        ("memory clock, highest", "2619 MHz"),
        ("persistence mode", "off"),
        ("CPUs", "64"),
        ("CPUs of the launch", "0-31"),
    } <= set(told)


def test_settings_of_the_engine_stand_as_its_log_has_them() -> None:
    settings = {"backend": "auto", "num_gpus": 1, "warmup": True, "lora_path": None, "resolutions": [[832, 480]]}
    result = factories.result(launches=(factories.record(server_args=settings),))
    assert facts.engine_facts(result) == [
        ("backend", "auto"),
        ("num_gpus", "1"),
        ("warmup", "true"),
        ("resolutions", "[[832, 480]]"),
    ]
    page = HtmlReport().render(factories.run(result))
    assert "<summary>Settings that the engine resolved (4)</summary>" in page
    assert "<dt>resolutions</dt><dd>[[832, 480]]</dd>" in page
    assert "Settings that the engine resolved" not in HtmlReport().render(factories.run(factories.result()))


def test_a_machine_is_one_line_of_what_is_known_of_it() -> None:
    assert facts.fingerprint(factories.result()) == (
        "4 × NVIDIA H100 80GB HBM3, driver 580.82.07, CUDA 13.0, 700 W, sglang 0.5.17, torch 2.11.0"
    )
    cpu = Machine(kind="cpu", product="AMD EPYC", count=8)
    bare = (factories.record(environment=Environment(host="0123456789ab")),)
    assert facts.fingerprint(factories.result(machine=cpu, launches=bare)) == "AMD EPYC, 8 CPUs, host 0123456789ab"
    assert facts.fingerprint(factories.result(machine=None, launches=())) == ""


def test_remarks_on_a_launch_name_what_was_seen_beside_it() -> None:
    watch = Watch(
        gpus=(factories.gpu_series(),),
        foreign=(factories.foreign_process(),),
        co_runners=("firered_1_1[cfg]",),
        gpu_events=(GpuEvent(kind="other", text="Xid 43 on GPU 0"),),
    )
    record = factories.record(
        watch=watch, warmup="unproven", alone=None, disturbances=(factories.disturbed("a foreign process"),)
    )
    assert facts.launch_facts(record) == (
        "discarded: a foreign process; warmup unproven; at the same time as firered_1_1[cfg];"
        " process python (pid 4711) meanwhile; Xid 43 on GPU 0; 61 °C at most;"
        " at its power cap in 7 of 7 samples, normal at full load"
    )
    told = factories.record(watch=watch, disturbances=(factories.foreign(),))
    assert "(pid 4711)" not in facts.launch_facts(told)
    # Another process is not taken for the one that was told.
    others = factories.record(watch=watch, disturbances=(factories.foreign(pid=47112),))
    assert "(pid 4711)" in facts.launch_facts(others)


def test_points_are_the_values_that_were_judged_where_the_verdict_carries_them() -> None:
    launches = (factories.record(0), factories.record(1, disturbances=(factories.foreign(),)), factories.record(2))
    verdict = factories.verdict("pause", baseline=12.0, now=231.0, now_values=(12.0, 450.0))
    plot = charts.launches(factories.result(launches=launches, baseline_records=()), verdict)
    assert plot is not None
    assert [mark.label for mark in plot.marks] == ["launch 0: 12.0 ms", "launch 2: 450 ms"]


# ------------------------------------------------------------------------------------------------- core and excess


def held_up() -> tuple[CaseResult, Verdict]:
    """Five launches of the host that holds up its launches, against five of its baseline."""
    path = Path(__file__).parents[1] / "data" / "h200_host_launches.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    here = Environment(gpu_uuids=("GPU-1",), sync_stages=True)
    then, now = (
        tuple(
            LaunchRecord(number=i, metrics=one["metrics"], steps_ms=tuple(one["steps_ms"]), environment=here)
            for i, one in enumerate(data[side][:5])
        )
        for side in ("baseline", "gate")
    )
    old = factories.baseline()
    measured = replace(old.measurement, launches=now)
    baseline = replace(old, measurement=replace(old.measurement, launches=then))
    verdicts = judge(measured, baseline, MetricChoice(gate=("denoise",)), looks=(1, 3, 5))
    result = replace(
        factories.regressed(), outcome="pass", launches=now, baseline_records=then, verdicts=verdicts, decided_by=()
    )
    return result, verdicts[0]


def test_the_step_chart_marks_the_core_and_what_lies_above_it() -> None:
    result, core = held_up()
    plot = charts.steps(result)
    assert plot is not None
    by_kind = {path.kind: path for path in plot.paths}
    assert (by_kind["core"].label, by_kind["excess"].label) == ("core", "excess")
    assert by_kind["core"].d.count("L") == 19
    assert by_kind["excess"].d.count("L") == 39
    assert core.metric == "denoise_core"
    assert plot.description.endswith("; denoise (core of steps) 1.004 s to 1.032 s; denoise excess 3.68 ms to 138 ms")


def test_launches_that_were_judged_by_their_sum_have_no_core_to_draw() -> None:
    result, _ = held_up()
    plot = charts.steps(replace(result, verdicts=()))
    assert plot is not None
    assert {path.kind for path in plot.paths} == {"range", "baseline", "now"}
    assert "core" not in plot.description


def test_the_stages_show_the_core_that_was_judged() -> None:
    result, core = held_up()
    plot = charts.stages(result)
    assert plot is not None
    assert f"DenoisingStage (core of steps) {numbers.quantity(core.baseline, 'ms')}" in plot.description


def test_the_headline_says_what_the_core_leaves_out() -> None:
    result, _ = held_up()
    assert case_text.phrase(result).endswith("held up in 1 of 5 launches (steps took 54 to 82 ms instead of 50)")
