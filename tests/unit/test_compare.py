"""`sgdiff compare`: real launches side by side, and what is not to be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.compare.compare import Comparison, compare
from pytest_sgdiff.compare.sides import Side, baseline_side, dump_side, recording_side
from pytest_sgdiff.data import Baseline, Environment, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.reports.comparison import render_json, render_markdown, render_text

EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings" / "h200"


def recorded(case: str, *numbers: int) -> Side:
    launches = recordings.read_launches(EXAMPLES, case)
    return recording_side(case, [launch for launch in launches if not numbers or launch.number in numbers])


def dump(**changes: Any) -> str:
    document: dict[str, Any] = {
        "tag": "cli_generate",
        "total_duration_ms": 1000.0,
        "steps": [
            {"name": "TextEncodingStage", "duration_ms": 50.0},
            {"name": "DenoisingStage", "duration_ms": 800.0},
            {"name": "DecodingStage", "duration_ms": 140.0},
        ],
        "denoise_steps_ms": [{"step": 0, "duration_ms": 398.0}, {"step": 1, "duration_ms": 400.0}],
        "memory_checkpoints": {"after_forward": {"peak_allocated_mb": 20_000.0}},
        "meta": {"model": "Wan-AI/Wan2.2-T2V-A14B-Diffusers"},
    }
    return json.dumps({**document, **changes})


def stages(**durations: float) -> list[dict[str, Any]]:
    return [{"name": name, "duration_ms": duration} for name, duration in durations.items()]


def statuses(comparison: Comparison) -> dict[str, str]:
    return {row.metric: row.status for row in comparison.rows}


# ---------------------------------------------------------------------------------------------- three launches or more


def test_a_really_slower_engine_is_slower_by_the_rule() -> None:
    comparison = compare(recorded("tiny_wan_leave_out"), recorded("tiny_wan_slower"))
    assert (comparison.by, comparison.exit_code) == ("rule", 1)
    assert statuses(comparison)["denoise_steps"] == statuses(comparison)["e2e"] == "slower"
    row = next(row for row in comparison.rows if row.metric == "denoise_steps")
    assert row.ratio == pytest.approx(1.08, abs=0.01)
    assert row.low is not None
    assert 1.05 < row.low < row.ratio


def test_the_same_engine_against_itself_is_similar() -> None:
    comparison = compare(recorded("tiny_wan_slower", 0, 1, 4), recorded("tiny_wan_slower", 2, 3, 0))
    assert comparison.exit_code == 0
    assert statuses(comparison)["denoise_steps"] == "similar"
    assert "slower" not in statuses(comparison).values()


# ------------------------------------------------------------------------------------------------------ fewer launches


@pytest.mark.parametrize(
    ("change", "slower"),
    [
        ({}, set()),
        ({"total_duration_ms": 1020.0}, set()),
        ({"total_duration_ms": 1020.1}, {"e2e"}),
        ({"steps": stages(TextEncodingStage=50.0, DenoisingStage=650.0, DecodingStage=259.0)}, set()),
        ({"steps": stages(TextEncodingStage=50.0, DenoisingStage=650.0, DecodingStage=261.0)}, {"stage:DecodingStage"}),
        ({"memory_checkpoints": {"after_forward": {"peak_allocated_mb": 20_399.0}}}, set()),
        ({"memory_checkpoints": {"after_forward": {"peak_allocated_mb": 20_401.0}}}, {"peak_memory"}),
    ],
)
def test_of_single_launches_differences_are_held_against_tolerances(change: dict[str, Any], slower: set[str]) -> None:
    old = {"steps": stages(TextEncodingStage=50.0, DenoisingStage=650.0, DecodingStage=140.0)}
    new = {**old, **change}
    comparison = compare(dump_side("old", dump(**old)), dump_side("new", dump(**new)))
    assert comparison.by == "tolerance"
    assert {metric for metric, status in statuses(comparison).items() if status == "slower"} == slower
    assert comparison.exit_code == (1 if slower else 0)
    back = compare(dump_side("new", dump(**new)), dump_side("old", dump(**old)))
    assert back.exit_code == 0


def test_a_slowdown_that_is_a_pause_says_so() -> None:
    paused = stages(TextEncodingStage=50.0, DenoisingStage=1300.0, DecodingStage=140.0)
    comparison = compare(dump_side("old", dump()), dump_side("new", dump(steps=paused, total_duration_ms=1500.0)))
    why = {row.metric: row.why for row in comparison.rows}
    assert why["e2e"] == "more than 2 %, 500 ms of it a pause: launch again"
    assert statuses(comparison)["denoise_steps"] == "similar"
    assert why["denoise_gap"] == "not held against a tolerance"


def test_a_stage_that_only_one_side_has_is_shown_without_a_judgement() -> None:
    more = stages(TextEncodingStage=50.0, DenoisingStage=800.0, DecodingStage=140.0, LTX2UpsampleStage=9.0)
    comparison = compare(dump_side("old", dump()), dump_side("new", dump(steps=more)))
    row = next(row for row in comparison.rows if row.metric == "stage:LTX2UpsampleStage")
    assert (row.old, row.new, row.status, row.why) == (None, 9.0, "unknown", "only in the new")


def test_memory_of_two_engine_generations_is_not_judged() -> None:
    newer = {"warmup_peak": {"peak_allocated_mb": 1.0}, "runtime_peak": {"peak_allocated_mb": 30_000.0}}
    comparison = compare(dump_side("old", dump()), dump_side("new", dump(memory_checkpoints=newer)))
    row = next(row for row in comparison.rows if row.metric == "peak_memory")
    assert (row.status, row.why) == ("unknown", "the engines take the peak at different places")


# ------------------------------------------------------------------------------------------------------- not comparable


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"meta": {"model": "Wan-AI/Wan2.2-TI2V-5B-Diffusers"}},
         "model: Wan2.2-T2V-A14B-Diffusers against Wan2.2-TI2V-5B-Diffusers"),
        ({"denoise_steps_ms": [{"step": 0, "duration_ms": 800.0}]}, "denoising steps: 2 against 1"),
        ({"steps": stages(DiffusersExecutionStage=900.0), "denoise_steps_ms": []},
         "backend: sglang against diffusers"),
    ],
)  # fmt: skip
def test_dumps_of_other_work_are_not_compared(changes: dict[str, Any], difference: str) -> None:
    old, new = dump_side("a.json", dump()), dump_side("b.json", dump(**changes))
    comparison = compare(old, new)
    assert comparison.exit_code == 2
    assert comparison.rows == ()
    assert render_text(comparison).splitlines()[-1] == (
        f"not comparable: {difference} (compare like with like, or say --anyway)"
    )
    anyway = compare(old, new, anyway=True)
    assert anyway.exit_code in (0, 1)
    assert anyway.rows
    assert f"not the same: {difference}" in render_text(anyway).splitlines()


def test_the_same_checkpoint_in_another_folder_is_the_same_model() -> None:
    elsewhere = dump(meta={"model": "/models/cache/Wan2.2-T2V-A14B-Diffusers/"})
    assert compare(dump_side("old", dump()), dump_side("new", elsewhere)).exit_code == 0


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"argv": ("sglang", "generate", "--width=1280")}, "width: 832 against 1280"),
        ({"machine": Machine(kind="gpu", product="NVIDIA H200", count=2)},
         "machine: 1 x NVIDIA H200 against 2 x NVIDIA H200"),
        ({"environment": Environment(sync_stages=False)}, "stage timers: synchronised against not synchronised"),
    ],
)  # fmt: skip
def test_recordings_of_other_work_are_not_compared(change: dict[str, Any], difference: str) -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    comparison = compare(recording_side("old", [launch]), recording_side("new", [replace(launch, **change)]))
    assert (comparison.differences, comparison.exit_code) == ((difference,), 2)


def test_other_gpus_are_told_by_the_command_line_where_the_machine_is_not() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    two = replace(launch, machine=None, argv=(*launch.argv, "--num-gpus=2"))
    comparison = compare(recording_side("old", [launch]), recording_side("new", [two]))
    assert (comparison.differences, comparison.exit_code) == (("GPUs: 1 against 2",), 2)


def test_a_launch_without_a_command_line_is_compared_by_its_dump() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    bare = replace(launch, argv=(), env={})
    assert compare(recording_side("old", [bare]), recording_side("new", [launch])).exit_code == 0


def test_two_ways_of_the_same_work_are_compared_and_named() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    sdpa = launch.argv[launch.argv.index("--attention-backend") + 1]
    other = tuple("fa" if word == sdpa else word for word in launch.argv)
    fast = replace(launch, argv=(*other, "--enable-torch-compile", "--output-path=elsewhere"))
    comparison = compare(recording_side("old", [launch]), recording_side("new", [fast]))
    assert comparison.exit_code == 0
    assert comparison.ways == (
        "--attention-backend: torch_sdpa in the old, fa in the new",
        "--enable-torch-compile: not set in the old, set in the new",
    )
    assert f"another flag: {comparison.ways[0]}" in render_text(comparison).splitlines()
    assert f"- another flag: {comparison.ways[0]}" in render_markdown(comparison).splitlines()
    assert json.loads(render_json(comparison))["ways"] == list(comparison.ways)
    assert compare(dump_side("old", dump()), recording_side("new", [fast]), anyway=True).ways == ()


def test_references_of_two_scenarios_are_not_compared() -> None:
    def published(scenario: str) -> Side:
        one = replace(baseline().measurement, workload=Workload(digest="", fields={"scenario": scenario}))
        return baseline_side(scenario, replace(baseline(kind="reference", source="a page"), measurement=one))

    assert compare(published("wan_t2v"), published("wan_t2v")).exit_code == 0
    assert compare(published("wan_t2v"), published("wan_i2v")).differences == ("scenario: wan_t2v against wan_i2v",)


def baseline(**changes: Any) -> Baseline:
    measurement = Measurement(
        case="wan22",
        machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
        workload=Workload(
            digest="d",
            fields={
                "model": "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
                "backend": "sglang",
                "args": {"width": 832, "height": 480},
            },
        ),
        launches=tuple(
            LaunchRecord(
                number=n,
                metrics={"e2e": 1000.0 + n, "denoise": 800.0 + n},
                steps_ms=(399.0, 400.0),
                environment=Environment(sync_stages=True),
            )
            for n in range(3)
        ),
    )
    return Baseline(measurement=measurement, recorded=Recorded(at="", command=""), engine_version="0.5.17", **changes)


def test_a_dump_is_compared_with_a_baseline_by_what_both_tell() -> None:
    comparison = compare(baseline_side("wan22.json", baseline()), dump_side("new.json", dump()))
    assert (comparison.by, comparison.exit_code) == ("tolerance", 0)
    assert comparison.old.facts == {
        "model": "Wan2.2-T2V-A14B-Diffusers",
        "backend": "sglang",
        "denoising steps": "2",
        "width": "832",
        "height": "480",
        "stage timers": "synchronised",
        "machine": "1 x NVIDIA H200",
        "GPUs": "1",
    }
    assert comparison.untold == ("GPUs", "size", "stage timers")
    slow = compare(baseline_side("wan22.json", baseline()), dump_side("new.json", dump(total_duration_ms=1100.0)))
    assert slow.exit_code == 1


def test_a_recording_of_another_size_is_not_compared_with_a_baseline() -> None:
    comparison = compare(baseline_side("wan22.json", baseline()), recorded("tiny_sd15_fallback"))
    assert comparison.exit_code == 2
    assert "width: 832 against 256" in comparison.differences


def test_a_published_reference_is_named_as_one() -> None:
    side = baseline_side("x.json", baseline(kind="reference", source="a guide"))
    assert side.notes == ("published numbers, without spread",)
    assert "stage timers" not in side.facts
    assert compare(side, side).untold == ("stage timers",)


def test_what_both_tell_is_not_called_unknown() -> None:
    assert compare(recorded("tiny_wan_slower"), recorded("tiny_wan_slower")).untold == ()
    assert compare(baseline_side("wan22.json", baseline()), recorded("tiny_wan_slower")).untold == ()


# ------------------------------------------------------------------------------------------------------ what is no side


def test_what_is_no_dump_is_named() -> None:
    with pytest.raises(RecordingError) as caught:
        dump_side("x.json", "{}")
    assert str(caught.value).startswith("x.json: ")
    assert str(caught.value).endswith("; give a file that --perf-dump-path wrote")


def test_a_recording_in_which_nothing_ran_is_named_with_the_reason() -> None:
    with pytest.raises(RecordingError) as caught:
        recorded("tiny_wan_port_lost")
    assert str(caught.value) == (
        "tiny_wan_port_lost: no launch gave numbers "
        "(launch 0 left out: the log shows a failure: port 30005 was already in use)"
    )
    with pytest.raises(RecordingError, match=r"^nothing: no launch gave numbers \(it is empty\)$"):
        recording_side("nothing", [])


def test_a_launch_whose_exit_code_is_not_known_is_left_out() -> None:
    first, second = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[:2]
    side = recording_side("kept", [first, replace(second, returncode=None)])
    assert [launch.number for launch in side.launches] == [first.number]
    assert side.notes == (f"launch {second.number} left out: its exit code is not known",)


def test_a_launch_that_was_cut_off_says_so() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    unproven = 'server_args: {"warmup": true, "warmup_mode": "request"}'
    killed = replace(launch, returncode=None, dump=None, log=unproven)
    with pytest.raises(RecordingError) as caught:
        recording_side("killed", [killed])
    assert str(caught.value) == (
        f"killed: no launch gave numbers (launch {launch.number} left out: "
        "the launch was cut off: it has neither an exit code nor a perf dump)"
    )


def test_launches_of_different_work_in_one_recording_are_named() -> None:
    first, second = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[:2]
    with pytest.raises(RecordingError) as caught:
        recording_side("mixed", [first, replace(second, argv=("sglang", "--width", "640"))])
    assert str(caught.value) == "mixed: its launches differ in width: 832 and 640; compare them singly"


def test_another_process_on_the_gpu_is_noted() -> None:
    assert recorded("tiny_wan_contended").notes == ("launch 0: another process was on its GPU (pid 5138)",)


# -------------------------------------------------------------------------------------------------------------- formats


SLOWER = stages(TextEncodingStage=50.2, DenoisingStage=840.0, DecodingStage=140.3, LTX2UpsampleStage=3.0)


def slower() -> Comparison:
    new = dump(steps=SLOWER, total_duration_ms=1045.5)
    return compare(dump_side("old.json", dump()), dump_side("new.json", new))


def test_text_shows_a_line_for_each_metric_and_ends_with_the_conclusion() -> None:
    lines = render_text(slower()).splitlines()
    paused = "slower: more than 2 %, 40 ms of it a pause: launch again"
    assert lines[:10] == [
        "old  old.json (1 launch)",
        "new  new.json (1 launch)",
        "not told by both, so it may differ: GPUs, size, stage timers",
        "",
        "  metric                        old        new  change  95 % interval",
        f"  denoise                    800 ms     840 ms  +5.0 %                 {paused}",
        "  denoise (sum of steps)     798 ms     798 ms   0.0 %                 similar: within 2 %",
        "  denoise gap               2.00 ms    42.0 ms       -                 similar: not held against a tolerance",
        f"  e2e                       1.000 s    1.046 s  +4.6 %                 {paused}",
        "  peak memory             19.53 GiB  19.53 GiB   0.0 %                 similar: within 2 % and 128 MiB",
    ]
    assert lines[-2:] == ["", "slower: denoise +5.0 %, e2e +4.6 %"]


def test_markdown_has_the_tables_of_upstreams_script() -> None:
    lines = render_markdown(slower()).splitlines()
    assert lines[:6] == [
        "### Performance Comparison Report",
        "",
        "#### 1. High-level Summary",
        "| Metric | Baseline | New | Diff | Status |",
        "| :--- | :--- | :--- | :--- | :--- |",
        "| **Denoise** | 800.00 ms | 840.00 ms | **+40.00 ms (+5.0%)** | ❌ (Slower) |",
    ]
    start = lines.index("#### 2. Stage Breakdown")
    assert lines[start + 1 : start + 6] == [
        "| Stage Name | Baseline (ms) | New (ms) | Diff (ms) | Diff (%) | Status |",
        "| :--- | :--- | :--- | :--- | :--- | :--- |",
        "| DenoisingStage | 800.00 | 840.00 | +40.00 | +5.0% | ⚪️ |",
        "| DecodingStage | 140.00 | 140.30 | +0.30 | +0.2% | ⚪️ |",
        "| LTX2UpsampleStage | - | 3.00 | - | - | - |",
    ]
    assert "TextEncodingStage" not in "\n".join(lines)  # 0.2 ms of 50: as upstream, not worth a row
    same = render_markdown(compare(dump_side("a", dump(steps=[])), dump_side("b", dump(steps=[]))))
    assert "*No significant stage differences found.*" in same


def test_json_says_the_same_in_numbers() -> None:
    document = json.loads(render_json(slower()))
    assert document["exit_code"] == 1
    assert document["by"] == "tolerance"
    assert document["old"] == {
        "label": "old.json",
        "launches": 1,
        "engine": None,
        "facts": {"model": "Wan2.2-T2V-A14B-Diffusers", "denoising steps": "2", "backend": "sglang"},
        "notes": [],
    }
    row = next(row for row in document["rows"] if row["metric"] == "e2e")
    assert (row["old"], row["new"], row["ratio"], row["status"]) == (1000.0, 1045.5, 1.0455, "slower")
