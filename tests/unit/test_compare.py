"""`sgdiff compare`: real launches side by side, and what is not to be compared."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cli.compare import sides
from pytest_sgdiff.compare.compare import UPSTREAM, Comparison, Row, Unlike, Way, compare
from pytest_sgdiff.compare.sides import Note, Side, baseline_side, dump_side, recording_side
from pytest_sgdiff.data import Baseline, Environment, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.data.failures import PortTaken
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.metrics import title
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.reports import comparison as comparison_text
from pytest_sgdiff.reports.comparison import render_json, render_markdown, render_text

DUMPS = Path(__file__).parents[1] / "data" / "compare"
GOLDEN = Path(__file__).parent / "golden" / "compare.txt"
EXAMPLES = Path(__file__).parents[2] / "examples" / "recordings" / "h200"


def recorded(case: str, *numbers: int) -> Side:
    launches = recordings.read_launches(EXAMPLES, case)
    return recording_side(case, [launch for launch in launches if not numbers or launch.number in numbers])


def kept(*names: str) -> Side:
    """Recorded launches of one checkpoint as one side."""
    sides = [dump_side(name, (DUMPS / f"{name}.json").read_text()) for name in names]
    return replace(sides[0], launches=tuple(launch for side in sides for launch in side.launches))


def row_of(comparison: Comparison, metric: str) -> Row:
    return next(row for row in comparison.rows if row.metric == metric)


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
    assert statuses(comparison)["denoise_core"] == statuses(comparison)["e2e"] == "slower"
    row = next(row for row in comparison.rows if row.metric == "denoise_core")
    assert row.ratio == pytest.approx(1.08, abs=0.01)
    assert row.low is not None
    assert 1.05 < row.low < row.ratio


def test_the_same_engine_against_itself_is_not_slower() -> None:
    comparison = compare(recorded("tiny_wan_slower", 0, 1, 4), recorded("tiny_wan_slower", 2, 3, 0))
    assert comparison.exit_code == 0
    assert statuses(comparison)["denoise_core"] == "not-slower"
    assert "slower" not in statuses(comparison).values()


# ------------------------------------------------------------------------------------------------------ fewer launches


@pytest.mark.parametrize(
    ("old", "new"),
    [("tiny_wan-04", "tiny_wan-03"), ("firered-05", "firered-04"), ("firered-05", "firered-03"),
     ("hunyuan3d-05", "hunyuan3d-03")],
)  # fmt: skip
def test_two_launches_of_one_engine_are_neither_slower_nor_faster(old: str, new: str) -> None:
    """They differ by 2, 36, 24 and 70 per cent."""
    for comparison in (compare(kept(old), kept(new)), compare(kept(new), kept(old))):
        assert (comparison.by, comparison.result, comparison.exit_code) == ("prior", "cannot-tell", 0)
        assert not {"slower", "faster"} & set(statuses(comparison).values())


def test_a_pause_of_one_side_is_named_and_makes_nothing_faster() -> None:
    """Ten per cent more layers, and the rare pause in the old launch only: its e2e is 1.5 times as long."""
    for slow in ("firered-slow-00", "firered-slow-01"):
        comparison = compare(kept("firered-04"), kept(slow))
        assert statuses(comparison)["denoise_steps"] == statuses(comparison)["e2e"] == "cannot-tell"
        assert statuses(comparison)["stage:DenoisingStage"] == "not-judged"
        assert "faster" not in statuses(comparison).values()
        pause = row_of(comparison, "pause")
        assert (pause.status, pause.finding.code, pause.finding.baseline) == ("cannot-tell", "pause-on-one-side", True)
        assert pause.finding.longest == pytest.approx(482, abs=1)
        back = row_of(compare(kept(slow), kept("firered-04")), "pause")
        assert (back.finding.code, back.finding.baseline) == ("pause-on-one-side", False)
        # What a slower engine of this kind does show in one launch.
        assert (statuses(comparison)["peak_memory"], comparison.exit_code) == ("slower", 1)


def test_a_stage_that_is_a_tenth_slower_is_shown_as_a_difference_to_be_confirmed() -> None:
    comparison = compare(kept("wan22-04"), kept("wan22-slow-00"))
    stage = row_of(comparison, "stage:DenoisingStage")
    assert (stage.ratio, stage.status) == (pytest.approx(1.103, abs=0.0005), "not-judged")
    steps = row_of(comparison, "denoise_steps")
    assert (steps.status, steps.suspect, steps.finding.code) == ("cannot-tell", True, "few-launches-beyond")
    assert steps.ratio == pytest.approx(1.105, abs=0.0005)
    assert comparison.result == "cannot-tell"


def test_what_few_launches_can_show_follows_from_the_rule() -> None:
    side = recorded("tiny_wan_held_up")
    few = [compare(replace(side, launches=side.launches[:n]), replace(side, launches=side.launches[-m:]))
           for n, m in ((1, 1), (1, 3), (3, 1), (3, 3))]  # fmt: skip
    primary, *_ = (comparison.shown[0] for comparison in few[:1])
    assert primary.metric == "denoise_steps"
    # As ModeratedRule has it: the prior's spread for both, eight degrees of freedom, one in ten thousand.
    assert primary.noise == pytest.approx(0.0811, abs=0.0002)
    assert [comparison.shown[0].shows for comparison in few[:3]] == [None, 0.25, None]
    assert [comparison.by for comparison in few] == ["prior", "prior", "prior", "rule"]
    assert few[3].shown[0].shows is not None
    assert all(comparison.needed == 5 for comparison in few)
    assert primary.more == pytest.approx(0.0551, abs=0.0005)
    stage = few[0].shown[1]
    assert stage.metric_class == "stage"
    assert stage.noise is not None
    assert stage.noise > 4 * primary.noise


def test_no_launch_of_its_own_is_slower_however_slow_it_is() -> None:
    """A host can hold up one launch by any amount; memory is held up by nobody."""
    slow = dump(total_duration_ms=9000.0, steps=stages(TextEncodingStage=50.0, DenoisingStage=8800.0),
                denoise_steps_ms=[{"step": 0, "duration_ms": 4400.0}, {"step": 1, "duration_ms": 4390.0}])  # fmt: skip
    comparison = compare(dump_side("old", dump()), dump_side("new", slow))
    assert (statuses(comparison)["denoise_steps"], comparison.exit_code) == ("cannot-tell", 0)
    assert row_of(comparison, "denoise_steps").suspect
    larger = dump(memory_checkpoints={"after_forward": {"peak_allocated_mb": 22_000.0}})
    assert compare(dump_side("old", dump()), dump_side("new", larger)).exit_code == 1
    alike = dump(memory_checkpoints={"after_forward": {"peak_allocated_mb": 20_010.0}})
    assert statuses(compare(dump_side("old", dump()), dump_side("new", alike)))["peak_memory"] == "not-slower"


def test_one_launch_against_a_baseline_can_pass_and_not_be_faster() -> None:
    three = recorded("tiny_wan_leave_out")
    passed = compare(three, recorded("tiny_wan_slower", 0))
    assert passed.by == "prior"
    assert "slower" not in {row.status for row in passed.rows if row.metric_class != "memory"}
    slower = recorded("tiny_wan_slower")
    back = compare(slower, replace(three, launches=three.launches[:1]))
    assert statuses(back)["denoise_core"] == "not-slower"
    # Three of the five paused: that one does not is nothing to ask about, by the rule of the gate.
    assert statuses(back)["pause"] == "not-slower"
    assert "faster" not in statuses(back).values()


def test_a_change_that_lies_outside_the_stages_is_a_pause_without_steps_too() -> None:
    old, new = (dump(denoise_steps_ms=[], total_duration_ms=ms) for ms in (1000.0, 1500.0))
    row = row_of(compare(dump_side("old", old), dump_side("new", new)), "e2e")
    assert (row.status, row.suspect, row.finding.code) == ("cannot-tell", False, "change-is-a-pause")
    assert row.finding.longest == 500.0


def test_a_stage_that_only_one_side_has_is_shown_without_a_judgement() -> None:
    more = stages(TextEncodingStage=50.0, DenoisingStage=800.0, DecodingStage=140.0, LTX2UpsampleStage=9.0)
    comparison = compare(dump_side("old", dump()), dump_side("new", dump(steps=more)))
    row = row_of(comparison, "stage:LTX2UpsampleStage")
    assert (row.old, row.new, row.status, row.finding.code) == (None, 9.0, "not-judged", "new-only")
    gone = row_of(compare(dump_side("old", dump(steps=more)), dump_side("new", dump())), "stage:LTX2UpsampleStage")
    assert (gone.status, gone.finding.code, gone.deciding) == ("cannot-tell", "stage-gone", True)


def test_memory_of_two_engine_generations_is_not_judged() -> None:
    newer = {"warmup_peak": {"peak_allocated_mb": 1.0}, "runtime_peak": {"peak_allocated_mb": 30_000.0}}
    sides = dump_side("old", dump()), dump_side("new", dump(memory_checkpoints=newer))
    for comparison in (compare(*sides), compare(*sides, tolerances=UPSTREAM)):
        row = row_of(comparison, "peak_memory")
        assert (row.status, row.finding.code) == ("not-judged", "other-checkpoint")
        assert comparison.exit_code == 0


# ------------------------------------------------------------------------------------------------ upstream's tolerances


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
def test_upstreams_tolerances_judge_where_they_are_asked_for(change: dict[str, Any], slower: set[str]) -> None:
    old = {"steps": stages(TextEncodingStage=50.0, DenoisingStage=650.0, DecodingStage=140.0)}
    new = {**old, **change}
    comparison = compare(dump_side("old", dump(**old)), dump_side("new", dump(**new)), tolerances=UPSTREAM)
    assert comparison.by == "tolerance"
    assert {metric for metric, status in statuses(comparison).items() if status == "slower"} == slower
    assert comparison.exit_code == (1 if slower else 0)
    assert (comparison.result, comparison.needed) == ("slower" if slower else "similar", None)
    back = compare(dump_side("new", dump(**new)), dump_side("old", dump(**old)), tolerances=UPSTREAM)
    assert back.exit_code == 0


def test_upstreams_tolerances_judge_any_number_of_launches() -> None:
    three = compare(recorded("tiny_wan_leave_out"), recorded("tiny_wan_slower"), tolerances=UPSTREAM)
    assert (three.by, three.exit_code) == ("tolerance", 1)
    assert statuses(three)["denoise_gap"] == "not-judged"


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
        f"not comparable: {difference} (compare equal workloads, or add --anyway)"
    )
    anyway = compare(old, new, anyway=True)
    assert anyway.exit_code in (0, 1)
    assert anyway.rows
    assert f"not the same: {difference}" in render_text(anyway).splitlines()


def test_the_same_checkpoint_in_another_folder_is_the_same_model() -> None:
    elsewhere = dump(meta={"model": "/models/cache/Wan2.2-T2V-A14B-Diffusers/"})
    assert compare(dump_side("old", dump()), dump_side("new", elsewhere)).exit_code == 0


ONE_H200, TWO_H200 = (Machine(kind="gpu", product="NVIDIA H200", count=count) for count in (1, 2))


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"argv": ("sglang", "generate", "--width=1280")}, Unlike(name="width", old="832", new="1280")),
        ({"machine": TWO_H200}, Unlike(name="machine", old=ONE_H200, new=TWO_H200)),
        ({"environment": Environment(sync_stages=False)}, Unlike(name="stage timers", old=True, new=False)),
    ],
)  # fmt: skip
def test_recordings_of_other_work_are_not_compared(change: dict[str, Any], difference: Unlike) -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    comparison = compare(recording_side("old", [launch]), recording_side("new", [replace(launch, **change)]))
    assert (comparison.differences, comparison.exit_code) == ((difference,), 2)


def test_other_gpus_are_told_by_the_command_line_where_the_machine_is_not() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    two = replace(launch, machine=None, argv=(*launch.argv, "--num-gpus=2"))
    comparison = compare(recording_side("old", [launch]), recording_side("new", [two]))
    assert (comparison.differences, comparison.exit_code) == ((Unlike(name="GPUs", old=1, new=2),), 2)


def test_a_launch_without_a_command_line_is_compared_by_its_dump() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    bare = replace(launch, argv=(), env={})
    assert compare(recording_side("old", [bare]), recording_side("new", [launch])).exit_code == 0


def test_two_ways_of_the_same_work_are_compared_and_named() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    sdpa = launch.argv[launch.argv.index("--attention-backend") + 1]
    other = tuple("fa" if word == sdpa else word for word in launch.argv)
    fast = replace(launch, argv=(*other, "--enable-torch-compile", "--output-path=elsewhere", "--input-save-path", "a"))
    comparison = compare(recording_side("old", [launch]), recording_side("new", [fast]))
    assert comparison.exit_code == 0
    assert comparison.ways == (
        Way(kind="flag", name="attention-backend", old="torch_sdpa", new="fa"),
        Way(kind="flag", name="enable-torch-compile", old=None, new=""),
    )
    first, second = map(comparison_text.way, comparison.ways)
    assert f"different flag: {first}" in render_text(comparison).splitlines()
    assert f"- different flag: {first}" in render_markdown(comparison).splitlines()
    assert json.loads(render_json(comparison))["ways"] == [first, second]
    assert compare(dump_side("old", dump()), recording_side("new", [fast]), anyway=True).ways == ()


def test_references_of_two_scenarios_are_not_compared() -> None:
    def published(scenario: str) -> Side:
        one = replace(baseline().measurement, workload=Workload(digest="", fields={"scenario": scenario}))
        return baseline_side(scenario, replace(baseline(kind="reference", source="a page"), measurement=one))

    assert compare(published("wan_t2v"), published("wan_t2v")).exit_code == 0
    (found,) = compare(published("wan_t2v"), published("wan_i2v")).differences
    assert found == Unlike(name="scenario", old="wan_t2v", new="wan_i2v")


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
    assert (comparison.by, comparison.exit_code) == ("prior", 0)
    assert comparison.old.facts == {
        "model": "Wan2.2-T2V-A14B-Diffusers",
        "backend": "sglang",
        "denoising steps": 2,
        "width": "832",
        "height": "480",
        "stage timers": True,
        "machine": ONE_H200,
        "GPUs": 1,
    }
    assert comparison.untold == ("GPUs", "size", "stage timers")
    slow = compare(baseline_side("wan22.json", baseline()), dump_side("new.json", dump(total_duration_ms=1100.0)))
    assert (slow.result, slow.exit_code) == ("cannot-tell", 0)


def test_a_recording_of_another_size_is_not_compared_with_a_baseline() -> None:
    comparison = compare(baseline_side("wan22.json", baseline()), recorded("firered_slower"))
    assert comparison.exit_code == 2
    assert Unlike(name="width", old="832", new="512") in comparison.differences


def test_a_published_reference_only_shows_differences() -> None:
    published = baseline_side("x.json", baseline(kind="reference", source="a guide"))
    for factor in (0.5, 1.0, 3.0):
        launches = tuple(
            replace(launch, metrics={name: factor * v for name, v in launch.metrics.items()})
            for launch in baseline().measurement.launches
        )
        now = baseline_side(
            "new.json", replace(baseline(), measurement=replace(baseline().measurement, launches=launches))
        )
        comparison = compare(published, now)
        assert (comparison.by, comparison.result, comparison.needed) == ("reference", "cannot-tell", None)
        assert row_of(comparison, "e2e").ratio == pytest.approx(factor)


def test_a_published_reference_is_named_as_one() -> None:
    side = baseline_side("x.json", baseline(kind="reference", source="a guide"))
    assert side.notes == (Note(code="published"),)
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
    (note,) = (lost := recorded("tiny_wan_port_lost")).notes
    assert (lost.launches, note.code, note.launch, note.discarded) == ((), "flaw", 0, True)
    assert note.flaw is not None
    assert (note.flaw.code, note.flaw.failure) == ("failure", PortTaken(port=30005))
    with pytest.raises(RecordingError) as caught:
        sides(EXAMPLES / "tiny_wan_port_lost", {})
    label = str(EXAMPLES / "tiny_wan_port_lost")
    assert str(caught.value) == f"{label}: no launch gave numbers ({comparison_text.note(note)})"
    assert recording_side("nothing", []) == Side(label="nothing", launches=())


def test_a_launch_whose_exit_code_is_not_known_is_left_out() -> None:
    first, second = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[:2]
    side = recording_side("kept", [first, replace(second, returncode=None)])
    assert [launch.number for launch in side.launches] == [first.number]
    assert side.notes == (Note(code="no-exit-code", launch=second.number, discarded=True),)


def test_a_launch_that_was_cut_off_says_so() -> None:
    launch = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[0]
    unproven = 'server_args: {"warmup": true, "warmup_mode": "request"}'
    killed = replace(launch, returncode=None, dump=None, log=unproven)
    side = recording_side("killed", [killed])
    assert (side.launches, side.notes) == ((), (Note(code="cut-off", launch=launch.number, discarded=True),))


def test_launches_of_different_work_in_one_recording_are_named() -> None:
    first, second = recordings.read_launches(EXAMPLES, "tiny_wan_unchanged")[:2]
    with pytest.raises(RecordingError) as caught:
        recording_side("mixed", [first, replace(second, argv=("sglang", "--width", "640"))])
    assert str(caught.value) == "mixed: its launches differ in width: 832 and 640; compare them singly"


def test_another_process_on_the_gpu_is_noted() -> None:
    assert recorded("tiny_wan_contended").notes == (Note(code="foreign-process", launch=0, pids=(5138,)),)


# -------------------------------------------------------------------------------------------------------------- formats


SLOWER = stages(TextEncodingStage=50.2, DenoisingStage=840.0, DecodingStage=140.3, LTX2UpsampleStage=3.0)


def slower() -> Comparison:
    new = dump(
        steps=SLOWER, total_duration_ms=1045.5, memory_checkpoints={"after_forward": {"peak_allocated_mb": 22e3}}
    )
    return compare(dump_side("old.json", dump()), dump_side("new.json", new))


def test_the_words_of_a_comparison() -> None:
    """Text and Markdown of the recorded examples, in one golden file: `UPDATE_GOLDEN=1` writes it again, for review."""
    compared = {
        "two launches of one engine": compare(kept("tiny_wan-04"), kept("tiny_wan-03")),
        "a pause in the old launch, more layers in the new": compare(kept("firered-04"), kept("firered-slow-00")),
        "a slower expert": compare(kept("wan22-04"), kept("wan22-slow-00")),
        "upstream's tolerances": compare(kept("wan22-04"), kept("wan22-slow-00"), tolerances=UPSTREAM),
        "the rule": compare(recorded("tiny_wan_leave_out"), recorded("tiny_wan_slower")),
        "another stage": slower(),
    }
    text = "".join(
        f"== {name}\n{render_text(comparison)}\n{render_markdown(comparison)}\n"
        for name, comparison in compared.items()
    )
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_text_markdown_and_json_say_the_same() -> None:
    comparison = slower()
    document = json.loads(render_json(comparison))
    text, markdown = render_text(comparison), render_markdown(comparison)
    assert (document["exit_code"], document["by"], document["result"]) == (1, "prior", "slower")
    assert text.splitlines()[-1] == markdown.splitlines()[-1]
    assert [row["status"] for row in document["rows"]] == list(statuses(comparison).values())
    for row in document["rows"]:
        line = next(line for line in text.splitlines() if line.startswith(f"  {title(row['metric'])}  "))
        assert line.endswith(row["why"])
    assert document["old"] == {
        "label": "old.json",
        "launches": 1,
        "engine": None,
        "facts": {"model": "Wan2.2-T2V-A14B-Diffusers", "denoising steps": "2", "backend": "sglang"},
        "notes": [],
    }
    row = next(row for row in document["rows"] if row["metric"] == "peak_memory")
    assert (row["old"], row["new"], row["status"]) == (20_000.0, pytest.approx(22_000.0), "slower")
    assert row["ratio"] == pytest.approx(1.1)
    start = markdown.splitlines().index("#### 2. Stage Breakdown")
    assert markdown.splitlines()[start + 1 : start + 3] == [
        "| Stage Name | Baseline (ms) | New (ms) | Diff (ms) | Diff (%) | Status |",
        "| :--- | :--- | :--- | :--- | :--- | :--- |",
    ]
    assert "TextEncodingStage" not in markdown.partition("<details>")[0]  # 0.2 ms of 50: as upstream, not worth a row
    same = render_markdown(compare(dump_side("a", dump(steps=[])), dump_side("b", dump(steps=[]))))
    assert "*No significant stage differences found.*" in same
