"""Baselines: their place, their text, how they are renewed, and what is wrong with a bad one."""

from __future__ import annotations

import difflib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines import file_format
from pytest_sgdiff.baselines.review import review
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.data import (
    Baseline,
    Case,
    Disturbance,
    Environment,
    GpuProcess,
    GpuSeries,
    LaunchPlan,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    Recorded,
    Watch,
    Workload,
)
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.errors import BaselineError, WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.reports.text import renewal
from pytest_sgdiff.watch import disturbances
from tests.factories import figures

ROOT = Path(__file__).parents[2]
H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
WORKLOAD = Workload(
    digest="a30d34e8e4887557", fields={"args": {"width": 832, "prompt": "A raccoon"}, "warmup": "request"}
)
FIX = "(restore the file with git, or record it again with --sgdiff-update)"
# The sum of steps, the pause before them and the peak memory of five real launches on one H200.
STEPS = (1019.281, 1033.114, 1016.405, 1024.871, 1027.66)
GAPS = (0.519, 512.32, 0.491, -0.03, 0.55)


def launch(number: int, *, session: str = "s1", factor: float = 1.0, watch: Watch | None = None) -> LaunchRecord:
    steps, gap = STEPS[number % 5] * factor, GAPS[number % 5]
    return LaunchRecord(
        number=number,
        metrics={
            "denoise": steps + gap,
            "denoise_steps": steps,
            "denoise_gap": gap,
            "e2e": steps + gap + 90,
            "stage:InputValidationStage": 0.0583050004,
            "peak_memory": 2109.64,
        },
        steps_ms=(steps / 2, steps / 2),
        started_at=f"2026-11-23T17:{18 + number:02d}:01Z",
        wall_s=62.202,
        session=session,
        environment=Environment(
            gpu_uuids=("GPU-1",), driver="580.159.04", engine_version="0.5.17", host=f"host-{session}", sync_stages=True
        ),
        watch=watch,
        warmup="proven",
        pipeline="WanPipeline",
        folder=f"/tmp/out/case/{number:02d}",
    )


def measurement(count: int = 5, *, case: str = "tiny_wan", session: str = "s1", factor: float = 1.0) -> Measurement:
    launches = tuple(launch(number, session=session, factor=factor) for number in range(count))
    return Measurement(case=case, machine=H200, workload=WORKLOAD, launches=launches)


def recorded(session: str = "s1") -> Recorded:
    return Recorded(
        at="2026-11-23T17:25:00Z",
        command="pytest --sgdiff-gpus=1 --sgdiff-update",
        commit="5c1d2e7",
        sessions=(session,),
    )


def baseline(session: str = "s1", **changes: object) -> Baseline:
    return baselines.renew(None, measurement(session=session, **changes), recorded(session), engine_version="0.5.17")


# ------------------------------------------------------------------------------------------------------------ places


@pytest.mark.parametrize(
    ("case", "name"),
    [
        ("ltx2_twostage_t2v", "ltx2_twostage_t2v.json"),
        ("ltx2.3_twostage_ti2v_2gpus", "ltx2.3_twostage_ti2v_2gpus.json"),
        ("firered_1_1[cfg]", "firered_1_1[cfg].json"),
        ("x[a/b c]", "x[a%2Fb%20c].json"),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd.json"),
    ],
)
def test_a_baseline_lies_in_its_machines_folder_under_its_cases_name(case: str, name: str) -> None:
    assert baselines.path_for(Path("baselines"), H200, case) == Path("baselines/nvidia-h200-x1") / name


def test_what_was_saved_is_found_again(tmp_path: Path) -> None:
    saved = baseline()
    path = baselines.save(tmp_path, saved)
    assert path == tmp_path / "nvidia-h200-x1" / "tiny_wan.json"
    assert baselines.find(tmp_path, H200, "tiny_wan") == replace(saved, path=str(path))
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["nvidia-h200-x1", "tiny_wan.json"]


def test_nothing_is_found_where_nothing_was_recorded(tmp_path: Path) -> None:
    baselines.save(tmp_path, baseline())
    assert baselines.find(tmp_path, replace(H200, count=2), "tiny_wan") is None
    assert baselines.find(tmp_path, H200, "other") is None
    assert baselines.others(tmp_path, "other") == ()
    assert baselines.others(tmp_path / "nowhere", "tiny_wan") == ()


def test_other_machines_that_have_a_baseline_are_named(tmp_path: Path) -> None:
    for count in (4, 1):
        machine = replace(H200, count=count)
        baselines.save(tmp_path, replace(baseline(), measurement=replace(measurement(case="a[cfg]"), machine=machine)))
    assert baselines.others(tmp_path, "a[cfg]") == ("nvidia-h200-x1", "nvidia-h200-x4")
    assert baselines.only_machine(tmp_path, "a[cfg]") is None
    baselines.path_for(tmp_path, H200, "a[cfg]").unlink()
    assert baselines.only_machine(tmp_path, "a[cfg]") == replace(H200, count=4)


def test_a_corrupt_baseline_that_alone_could_tell_the_machine_cannot_be_recorded_anew(tmp_path: Path) -> None:
    path = baselines.save(tmp_path, baseline())
    path.write_text("{}")
    with pytest.raises(BaselineError) as caught:
        baselines.only_machine(tmp_path, "tiny_wan")
    assert str(caught.value) == (
        f"{path}:1: this is not a baseline of pytest-sgdiff: it has no key 'schema' (restore the file with git: only "
        "this file names the machine, the recording does not)"
    )


def test_a_file_copied_from_another_machine_or_case_is_not_used(tmp_path: Path) -> None:
    path = baselines.save(tmp_path, baseline())
    copy = baselines.path_for(tmp_path, H200, "other_case")
    copy.write_text(path.read_text())
    with pytest.raises(BaselineError) as caught:
        baselines.find(tmp_path, H200, "other_case")
    assert str(caught.value) == (
        f"{copy}: is the baseline of nvidia-h200-x1/tiny_wan.json: move it there, or record this one again"
    )


# -------------------------------------------------------------------------------------------------------------- text


def test_the_text_is_one_line_for_each_launch_and_each_metric() -> None:
    text = file_format.to_text(baseline())
    lines = text.splitlines()
    assert '    "denoise_steps": [1019.281, 1033.114, 1016.405, 1024.871, 1027.66],' in lines
    assert '    "stage:InputValidationStage": [0.0583, 0.0583, 0.0583, 0.0583, 0.0583]' in lines
    assert lines.count('    "engine_version": "0.5.17",') == 0  # deeper: it is in every_launch.environment, once
    assert text.count("580.159.04") == text.count("WanPipeline") == text.count('"session"') == 1
    assert [line for line in lines if '"number"' in line][3:] == [
        '    {"number": 3, "started_at": "2026-11-23T17:21:01Z", "steps_ms": [512.436, 512.436], "wall_s": 62.202},',
        '    {"number": 4, "started_at": "2026-11-23T17:22:01Z", "steps_ms": [513.83, 513.83], "wall_s": 62.202}',
    ]
    assert "/tmp/out" not in text
    assert text.endswith("}\n")
    keys = "best case engine every_launch kind launches machine metrics recorded schema workload"
    assert list(json.loads(text)) == keys.split()


def test_a_rerecord_changes_one_line_for_each_launch_and_metric_and_the_provenance() -> None:
    old = baseline()
    new = baselines.renew(old, measurement(session="s2", factor=1.01), recorded("s2"), engine_version="0.5.17")
    diff = list(difflib.unified_diff(*(file_format.to_text(b).splitlines() for b in (old, new)), lineterm="", n=0))
    added = [line for line in diff if line.startswith("+") and not line.startswith("+++")]
    # 5 launches, 4 of 6 metrics that changed, the session twice and the host's hash; `best` stays what it was.
    assert len(added) <= 5 + 4 + 3, "\n".join(added)


def rerecorded(old: Baseline) -> tuple[Case, Baseline]:
    """The bundled case `tiny_wan_leave_out`, and a baseline of its recorded launches in place of the old one."""
    (case,) = [c for c in read_cases(ROOT / "examples/cases/demo.yaml", ROOT) if c.id == "tiny_wan_leave_out"]
    launches = []
    for entry in recordings.read_launches(ROOT / "examples/recordings/h200", case.id):
        reading = ENGINES[case.engine].read(entry, case)
        assert reading.dump is not None
        launches.append(
            LaunchRecord(
                number=entry.number,
                metrics=reading.metrics,
                steps_ms=reading.dump.steps_ms,
                started_at=entry.started_at,
                wall_s=entry.wall_s,
                session=entry.session,
                environment=entry.environment,
                watch=entry.watch,
                warmup=reading.warmup,
                pipeline=reading.pipeline,
                generation=reading.dump.generation,
                auto_tuned=reading.auto_tuned,
            )
        )
    fresh = replace(old.measurement, launches=tuple(launches))
    return case, baselines.renew(old, fresh, recorded(), engine_version="0.5.17")


def test_the_figures_in_the_docs_are_what_an_update_of_other_work_shows() -> None:
    old = baselines.load(ROOT / "examples/baselines/nvidia-h200-x1/tiny_wan_leave_out.json")
    case, new = rerecorded(old)
    was = old.measurement
    older = tuple(replace(one, environment=replace(one.environment, engine_version="0.5.16")) for one in was.launches)
    other = replace(was.workload, digest="0", fields={**was.workload.fields, "args.seed": 43})
    old = replace(old, engine_version="0.5.16", measurement=replace(was, launches=older, workload=other))
    told = renewal(review(new, old, case.metrics, looks=(1, 3, 5), location=case.location)).splitlines()
    shown = (ROOT / "docs/baselines.md").read_text().split("```\nexamples/cases/demo.yaml:27: ")[1].split("```")[0]
    left_out = [line for line in told if "Stage" in line]
    assert ["examples/cases/demo.yaml:27: " + shown.splitlines()[0], *shown.splitlines()[1:]] == [
        line for line in told if line not in left_out
    ]
    assert len(left_out) == 5


def test_small_figures_keep_three_digits_and_never_become_zero() -> None:
    assert [file_format.rounded(v) for v in (1052.18570200003, 0.0069910000206, 0.00004, 2109.64, -0.0304, 0.0)] == [
        1052.186, 0.00699, 0.00004, 2109.64, -0.0304, 0.0
    ]  # fmt: skip


def test_launches_of_two_hosts_keep_their_own_environment(tmp_path: Path) -> None:
    first = baseline()
    both = baselines.renew(first, measurement(2, session="s2"), recorded("s2"), engine_version="0.5.17", extend=True)
    back = baselines.load(baselines.save(tmp_path, both)).measurement.launches
    assert [entry.environment.host for entry in back] == ["host-s1"] * 5 + ["host-s2"] * 2
    assert {entry.environment.driver for entry in back} == {"580.159.04"}
    assert [entry.session for entry in back] == ["s1"] * 5 + ["s2"] * 2


def test_a_metric_that_some_launches_lack_is_null_in_the_file_and_absent_in_the_launch() -> None:
    launches = list(measurement(3).launches)
    launches[1] = replace(launches[1], metrics={"e2e": 1100.0})
    new = baselines.renew(None, replace(measurement(3), launches=tuple(launches)), recorded(), engine_version="0.5.17")
    text = file_format.to_text(new)
    assert '"denoise_steps": [1019.281, null, 1016.405]' in text
    assert file_format.from_text(text).measurement.values["denoise_steps"] == (1019.281, None, 1016.405)
    assert "denoise_steps" not in file_format.from_text(text).measurement.launches[1].metrics


def edited(old: str, new: str) -> tuple[str, int]:
    """The text of a good baseline with one edit, and the line of the edit."""
    text = file_format.to_text(baseline())
    assert text.count(old) == 1, text.count(old)
    return text.replace(old, new), text[: text.index(old)].count("\n") + 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("1033.114, 1016.405", "0.0, 1016.405",
         "metrics.denoise_steps[1]: must be greater than zero, got 0.0: what was not measured is null"),
        ("1033.114, 1016.405", "-1033.114, 1016.405",
         "metrics.denoise_steps[1]: must be greater than zero, got -1033.114: what was not measured is null"),
        ("1033.114, 1016.405", "NaN, 1016.405", "metrics.denoise_steps[1]: must be a finite number, got nan"),
        ("1033.114, 1016.405", "1e999, 1016.405", "metrics.denoise_steps[1]: must be a finite number, got inf"),
        ("1033.114, 1016.405", '"x", 1016.405', "metrics.denoise_steps[1]: must be a finite number, got 'x'"),
        ("1033.114, 1016.405", "1016.405", "metrics.denoise_steps: has 4 values for 5 launches"),
        ("[1019.281, 1033.114, 1016.405, 1024.871, 1027.66]", "[null, null, null, null, null]",
         "metrics.denoise_steps: holds no value"),
        ('"schema": 1', '"schema": 0', "schema: is 0, which cannot be converted to 1"),
        ('"schema": 1', '"schema": "1"', "schema: must be a whole number, got '1'"),
        ('"kind": "recorded"', '"kind": "good"', "kind: must be one of 'recorded', 'reference', got 'good'"),
        ('"kind": "recorded"', '"kind": "reference"', "source: a reference must say where it was published"),
        ('"number": 3', '"number": "3"', "launches[3].number: must be a whole number, got '3'"),
        ('"number": 3', '"nombre": 3', "launches[3]: has the unknown key 'nombre'"),
        ('"driver": "580.159.04"', '"driver": 580', "every_launch.environment.driver: must be text, got 580"),
        ('"kind": "recorded"', '"kind": "recorded", "shema": 1', "has the unknown key 'shema'"),
        ('"count": 1', '"count": true', "machine.count: must be a whole number, got True"),
        ('"digest": "a30d34e8e4887557"', '"digest": null', "workload.digest: must be text, got None"),
    ],
)  # fmt: skip
def test_a_hand_edit_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    text, line = edited(old, new)
    path = tmp_path / "tiny_wan.json"
    path.write_text(text)
    with pytest.raises(BaselineError) as caught:
        baselines.load(path)
    # The source of a reference stands nowhere, so its message names the first line.
    assert str(caught.value) == f"{path}:{1 if message.startswith('source') else line}: {message} {FIX}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "not JSON: Expecting value"),
        ("[]\n", 1, "this is not a baseline of pytest-sgdiff: it has no key 'schema'"),
        ('{"scenarios": {}}\n', 1, "this is not a baseline of pytest-sgdiff: it has no key 'schema'"),
        ('{\n"schema": 1,\n"launches": []}\n', 3, "launches: must be a list of at least one launch"),
        ('{"schema": 1,\n"launches": [{"number": 0, "metrics": {}}]}', 2, "launches[0]: has the unknown key 'metrics'"),
        ('{"schema": 1, "launches": [3]}\n', 1, "launches[0]: must be a mapping of LaunchRecord's fields, got 3"),
        ('{"schema": 1, "launches": [{"number": 0}], "every_launch": 3}', 1,
         "every_launch: must be a mapping of LaunchRecord's fields, got 3"),
        ('{"schema": 1, "launches": [{"number": 0, "environment": 3}]}', 1,
         "launches[0].environment: must be a mapping of Environment's fields, got 3"),
        ('{"schema": 1, "launches": [{"number": 0}]}', 1, "case: is missing"),
        ('{\n<<<<<<< HEAD\n"schema": 1', 2, "an unresolved merge conflict"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_baseline_is_named_with_its_line(tmp_path: Path, text: str, line: int, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(BaselineError) as caught:
        baselines.load(path)
    assert str(caught.value) == f"{path}:{line}: {message} {FIX}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(b"\xff\xfe{}")
    with pytest.raises(BaselineError) as caught:
        baselines.load(path)
    assert str(caught.value) == f"{path}:1: is not UTF-8 text {FIX}"
    path.write_bytes('{\n"case": "wän"}'.encode("latin-1"))
    with pytest.raises(BaselineError, match=r"x\.json:2: is not UTF-8 text"):
        baselines.load(path)
    with pytest.raises(BaselineError, match="is not a regular file"):
        baselines.load(tmp_path)


def test_a_file_cut_off_anywhere_is_an_error_and_never_another_baseline() -> None:
    text = file_format.to_text(baseline())
    for end in range(0, len(text) - 2, 7):
        with pytest.raises(file_format.MistakeError):
            file_format.from_text(text[:end])


# ----------------------------------------------------------------------------------------------------------- schemas


def test_an_older_schema_is_taken_to_the_current_one_step_by_step() -> None:
    """As it will be when schema 2 comes: its step is named in UPGRADES, and files of schema 1 are still read."""
    document = json_text.read(file_format.to_text(baseline())).value
    old = {**{key: value for key, value in document.items() if key != "engine"}, "sglang": "0.5.17"}

    def rename(plain: dict[str, object]) -> dict[str, object]:
        return {("engine" if key == "sglang" else key): value for key, value in plain.items()}

    def number_machines(plain: dict[str, object]) -> dict[str, object]:
        return {**plain, "machines": 1}

    steps = {1: rename, 2: number_machines}
    assert file_format.upgrade(old, steps=steps, current=2) == {**document, "schema": 2}
    assert file_format.upgrade(old, steps=steps, current=3) == {**document, "schema": 3, "machines": 1}
    assert file_format.upgrade(document) == document
    with pytest.raises(WireError, match=r"^schema: is 1, which cannot be converted to 3$"):
        file_format.upgrade(old, steps={2: rename}, current=3)


# ---------------------------------------------------------------------------------------------------------- renewing


def test_all_values_are_replaced_together_even_where_the_old_ones_were_better() -> None:
    new = baselines.renew(baseline(), measurement(factor=1.05), recorded("s2"), engine_version="0.5.18")
    assert new.measurement.values["denoise_steps"] == tuple(round(v * 1.05, 3) for v in STEPS)
    assert new.engine_version == "0.5.18"


def test_the_best_centre_ever_recorded_stays() -> None:
    first = baseline(factor=1.02)
    assert first.best["denoise_steps"] == round(1024.871 * 1.02, 3)
    second = baselines.renew(first, measurement(factor=1.0), recorded(), engine_version="0.5.17")
    third = baselines.renew(second, measurement(factor=1.05), recorded(), engine_version="0.5.18")
    assert second.best["denoise_steps"] == third.best["denoise_steps"] == 1024.871
    assert "denoise_gap" not in third.best  # a pause has no best: it may be nothing, or less


def test_the_best_is_that_of_all_recordings_and_not_of_the_last_two(tmp_path: Path) -> None:
    """Each metric has its own best, whichever recording it is of, and however often the file was replaced since."""
    fastest = {"denoise_steps": (1.02, 1.0, 1.03, 1.05, 1.04), "e2e": (0.9, 1.1, 1.2, 1.15, 1.3)}
    for number in range(5):
        fresh = measurement(session=f"s{number}")
        factors = {name: factor[number] for name, factor in fastest.items()}
        launches = tuple(
            replace(one, metrics={**one.metrics, **{name: one.metrics[name] * by for name, by in factors.items()}})
            for one in fresh.launches
        )
        fresh = replace(fresh, launches=launches)

        def renewed(old: Baseline | None, fresh: Measurement = fresh, session: str = f"s{number}") -> Baseline:
            return baselines.renew(old, fresh, recorded(session), engine_version="0.5.17")

        path = baselines.update(tmp_path, H200, "tiny_wan", renewed)
    best = baselines.load(path).best
    alone = baselines.centres(measurement())
    assert best["denoise_steps"] == alone["denoise_steps"]
    assert best["e2e"] == pytest.approx(0.9 * alone["e2e"], abs=0.001)
    assert best["peak_memory"] == alone["peak_memory"]


def test_a_baseline_that_says_nothing_of_the_best_is_one_of_the_recordings() -> None:
    first = replace(baseline(), best={})
    second = baselines.renew(first, measurement(factor=1.05), recorded("s2"), engine_version="0.5.17")
    assert second.best["denoise_steps"] == 1024.871


def test_the_best_starts_anew_with_another_workload_or_sync_flag() -> None:
    slower = measurement(factor=1.5)
    other = replace(slower, workload=replace(WORKLOAD, digest="ffff"))
    assert baselines.renew(baseline(), other, recorded(), engine_version=None).best["denoise_steps"] > 1500
    unsynced = replace(
        slower,
        launches=tuple(replace(x, environment=replace(x.environment, sync_stages=False)) for x in slower.launches),
    )
    assert baselines.renew(baseline(), unsynced, recorded(), engine_version=None).best["denoise_steps"] > 1500
    elsewhere = replace(baseline(), measurement=replace(measurement(), machine=replace(H200, count=2)))
    assert baselines.renew(elsewhere, slower, recorded(), engine_version=None).best["denoise_steps"] > 1500
    published = replace(baseline(), kind="reference", source="a guide")
    assert baselines.renew(published, slower, recorded(), engine_version=None).best["denoise_steps"] > 1500


def test_disturbed_launches_and_numbers_that_are_none_stay_out() -> None:
    launches = list(measurement(3).launches)
    launches[0] = replace(launches[0], disturbances=(Disturbance(code="heat"),))
    launches[2] = replace(launches[2], metrics={**launches[2].metrics, "peak_memory": 0.0})
    new = baselines.renew(None, replace(measurement(), launches=tuple(launches)), recorded(), engine_version=None)
    assert [entry.number for entry in new.measurement.launches] == [0, 1]
    assert new.measurement.values["peak_memory"] == (2109.64, None)
    assert new.measurement.values["denoise_gap"] == (512.32, 0.491)


def test_without_a_launch_that_counts_there_is_no_baseline() -> None:
    spoiled = tuple(replace(x, disturbances=(Disturbance(code="heat"),)) for x in measurement().launches)
    with pytest.raises(BaselineError) as caught:
        baselines.renew(None, replace(measurement(), launches=spoiled), recorded(), engine_version="0.5.17")
    assert str(caught.value) == "tiny_wan: no launch counts, so no baseline can be made of them"


def test_another_session_extends_a_baseline() -> None:
    both = baselines.renew(
        baseline(), measurement(3, session="s2", factor=1.01), recorded("s2"), engine_version="0.5.17", extend=True
    )
    assert [entry.number for entry in both.measurement.launches] == list(range(8))
    assert both.recorded.sessions == ("s1", "s2")
    assert both.measurement.values["denoise_steps"] == STEPS + tuple(round(v * 1.01, 3) for v in STEPS[:3])
    alone = baselines.renew(None, measurement(), recorded(), engine_version="0.5.17", extend=True)
    assert len(alone.measurement.launches) == 5


def test_a_launch_that_is_in_the_baseline_already_does_not_extend_it() -> None:
    old = replace(baseline(), path="baselines/nvidia-h200-x1/tiny_wan.json")
    other = measurement(2, session="s2")
    again = replace(other, launches=(*other.launches, launch(3)))
    with pytest.raises(BaselineError) as caught:
        baselines.renew(old, again, recorded("s2"), engine_version="0.5.17", extend=True)
    assert str(caught.value) == (
        "baselines/nvidia-h200-x1/tiny_wan.json: cannot be extended: the launch of 2026-11-23T17:21:01Z is in it "
        "already; add launches of another day or node"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine": replace(H200, count=2)}, "the baseline is of nvidia-h200-x1, the launches of nvidia-h200-x2"),
        (
            {"workload": Workload(digest="ffff", fields={**WORKLOAD.fields, "warmup": "off"})},
            "the case asks for a different workload now (warmup was request, and is off)",
        ),
        ({"launches": (LaunchRecord(number=0, metrics={"e2e": 1.0}),)},
         "one was recorded with synchronised stage timers and the other without"),
    ],
)  # fmt: skip
def test_launches_that_are_not_comparable_do_not_extend_a_baseline(change: dict[str, object], message: str) -> None:
    old = replace(baseline(), path="baselines/nvidia-h200-x1/tiny_wan.json")
    with pytest.raises(BaselineError) as caught:
        baselines.renew(old, replace(measurement(), **change), recorded(), engine_version="0.5.17", extend=True)
    assert str(caught.value) == (
        f"baselines/nvidia-h200-x1/tiny_wan.json: cannot be extended: {message}; replace it with --sgdiff-update=all"
    )


def test_launches_of_another_engine_do_not_extend_a_baseline_nor_a_reference() -> None:
    with pytest.raises(BaselineError, match=r"recorded with sglang 0\.5\.17, the launches with 0\.5\.18; replace it"):
        baselines.renew(baseline(), measurement(), recorded(), engine_version="0.5.18", extend=True)
    published = replace(baseline(), kind="reference", source="a guide")
    with pytest.raises(BaselineError, match="a published reference has no launches to add to"):
        baselines.renew(published, measurement(), recorded(), engine_version="0.5.17", extend=True)


def test_of_the_gpu_series_three_samples_at_work_are_kept() -> None:
    series = GpuSeries(
        gpu_uuid="GPU-1",
        at_s=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
        sm_mhz=(345, 1980, 1965, 1950, 1935, 345),
        mem_mhz=(3201, None, 3201, 3201, 3201, 3201),
        power_w=(80.0, 688.04, 690.0, None, 691.0, 80.0),
        temperature_c=(40, 60, 61, 62, 63, 41),
        util_pct=(0, 100, 99, 98, 97, None),
        memory_mb=(645, 2000, 2100, 2200, 2300, 645),
        reasons=(1, 4, None, 0, 32, 1),
    )
    twice = GpuSeries(gpu_uuid="GPU-2", at_s=(0.0, 1.0), util_pct=(100, 100), sm_mhz=(1980, 1980))
    watch = Watch(
        gpus=(series, twice), foreign=(GpuProcess(gpu_uuid="GPU-1", pid=1),), alone=True, co_runners=("b",), cost_ms=3.0
    )
    one = replace(measurement(), launches=(launch(0, watch=watch),))
    kept = baselines.renew(None, one, recorded(), engine_version=None).measurement.launches[0]
    assert kept.watch == Watch(
        gpus=(
            GpuSeries(
                gpu_uuid="GPU-1",
                at_s=(1.0, 2.0, 3.5),
                sm_mhz=(1980, 1965, 1942),
                mem_mhz=(None, 3201, 3201),
                power_w=(688.0, 690.0, 691.0),
                temperature_c=(60, 61, 62),
                util_pct=(100, 99, 98),
                memory_mb=(2000, 2100, 2250),
                reasons=(4, None, 32),
            ),
        ),
        alone=True,
        co_runners=("b",),
    )
    assert kept.folder is None


def test_the_clocks_of_a_baseline_are_what_the_watch_compares_with(tmp_path: Path) -> None:
    def seen(sm_mhz: int) -> Watch:
        return Watch(
            gpus=(
                GpuSeries(
                    gpu_uuid="GPU-1", at_s=(0.0, 1.0, 2.0), sm_mhz=(sm_mhz,) * 3, util_pct=(100,) * 3, reasons=(4,) * 3
                ),
            )
        )

    one = replace(measurement(), launches=(launch(0, watch=seen(1980)),))
    path = baselines.save(tmp_path, baselines.renew(None, one, recorded(), engine_version=None))
    kept = [entry.watch for entry in baselines.load(path).measurement.launches]
    assert disturbances(seen(1965), baseline=kept) == ()
    assert len(disturbances(seen(1500), baseline=kept)) == 1


def test_a_gpu_is_at_work_from_half_of_its_time_on() -> None:
    series = GpuSeries(gpu_uuid="GPU-1", at_s=(0.0, 1.0, 2.0, 3.0), sm_mhz=(1, 2, 3, 4), util_pct=(49, 50, 50, 50))
    one = replace(measurement(), launches=(launch(0, watch=Watch(gpus=(series,))),))
    (kept,) = baselines.renew(None, one, recorded(), engine_version=None).measurement.launches[0].watch.gpus
    assert (kept.at_s, kept.sm_mhz) == ((1.0, 2.0, 3.0), (2, 3, 4))


def test_a_step_profile_of_two_hundred_steps_is_kept() -> None:
    longest = replace(launch(0), steps_ms=(1.0,) * 200)
    one = replace(measurement(), launches=(longest,))
    kept = baselines.renew(None, one, recorded(), engine_version=None).measurement.launches[0]
    assert kept.steps_ms == longest.steps_ms


def test_a_step_profile_too_long_for_a_line_is_left_out() -> None:
    long = replace(launch(0), steps_ms=(1.0,) * 201)
    kept = baselines.renew(None, replace(measurement(), launches=(long,)), recorded(), engine_version=None)
    assert kept.measurement.launches[0].steps_ms == ()
    assert kept.measurement.launches[0].metrics["denoise_steps"] == 1019.281


# ----------------------------------------------------------------------------------------------------------- writing


def test_what_load_would_refuse_is_not_written(tmp_path: Path) -> None:
    path = baselines.save(tmp_path, baseline())
    before = path.read_text()
    bad = replace(baseline(), best={"e2e": 0.0})
    with pytest.raises(BaselineError) as caught:
        baselines.save(tmp_path, bad)
    assert str(caught.value) == (
        f"{path}: not written: best.e2e: must be greater than zero, got 0.0: what was not measured is null"
    )
    with pytest.raises(BaselineError, match=r"not written: best\.e2e: must be a finite number, got nan"):
        baselines.save(tmp_path, replace(baseline(), best={"e2e": float("nan")}))
    assert path.read_text() == before


def test_other_cases_files_stay_untouched(tmp_path: Path) -> None:
    other = baselines.save(tmp_path, baseline(case="other"))
    stamp = other.stat().st_mtime_ns
    baselines.save(tmp_path, baseline())
    assert other.stat().st_mtime_ns == stamp


# ---------------------------------------------------------------------------------------------------------- checking


def complaints(root: Path, launches: dict[str, int]) -> list[tuple[str, dict[str, Any]]]:
    """What is wrong with the files themselves: the path, and the code with its figures. Cases by id with the launches
    that their baselines take."""
    here = Location(path="x.yaml", line=1, column=1)
    here = Location(path="x.yaml", line=1, column=1)
    cases = {
        name: Case(name=name, location=here, model="m", launches=LaunchPlan(baseline=count))
        for name, count in launches.items()
    }
    of_cases = ("finds", "weak", "other-work", "no-primary")
    flaws = [flaw for flaw in baselines.check(root, cases) if flaw.code not in of_cases]
    beside = ("level", "path", "line")
    return [(f.path, {k: v for k, v in figures(f).items() if k not in beside}) for f in flaws]


def test_sound_baselines_have_nothing_to_complain_about(tmp_path: Path) -> None:
    baselines.save(tmp_path, baseline())
    for case in ("published", "upstream.ltx_2_two_stage_t2v"):
        baselines.save(tmp_path, replace(baseline(case=case), kind="reference", source="a guide"))
    assert complaints(tmp_path, {"tiny_wan": 5, "published": 10}) == []


def test_a_suite_is_what_lies_in_its_place_and_can_be_read(tmp_path: Path) -> None:
    """The noise of a copy would count twice."""
    saved = baselines.save(tmp_path, baseline())
    (saved.parent / "copied.json").write_text(saved.read_text())
    (saved.parent / "torn.json").write_text("{")
    baselines.save(tmp_path, replace(baseline(), measurement=replace(measurement(), machine=replace(H200, count=2))))
    assert [one.path for one in baselines.suite(tmp_path, H200)] == [str(saved)]


def test_check_names_everything_that_is_wrong(tmp_path: Path) -> None:
    short = replace(
        baseline(case="short"),
        best={},
        engine_version=None,
        recorded=Recorded(at="", command="by hand"),
        measurement=Measurement(
            case="short",
            machine=H200,
            workload=WORKLOAD,
            launches=(
                LaunchRecord(number=0, metrics={"e2e": 1.0}),
                replace(launch(1), metrics={"e2e": 1.0, "denoise": 0.9}),
            ),
        ),
    )
    paths = {name: baselines.path_for(tmp_path, H200, name) for name in ("corrupt", "gone", "moved", "short")}
    baselines.save(tmp_path, short)
    baselines.save(tmp_path, baseline(case="gone"))
    paths["moved"].write_text(file_format.to_text(baseline()))
    paths["corrupt"].write_text(file_format.to_text(baseline(case="corrupt")).replace("1033.114,", "0,", 1))
    stray = tmp_path / "nvidia-h200-x1" / ".tmp-4711"
    stray.write_text("{")
    found = complaints(tmp_path, {"corrupt": 5, "moved": 5, "short": 5, "tiny_wan": 5})
    corrupt, why = found[0][0], found[0][1]["why"]
    assert (corrupt, found[0][1]["code"]) == (str(paths["corrupt"]), "unreadable")
    assert why.endswith(f"must be greater than zero, got 0.0: what was not measured is null {FIX}")
    short = str(paths["short"])
    assert found[1:] == [
        (str(paths["gone"]), {"code": "no-case", "name": "gone"}),
        (str(paths["moved"]), {"code": "misplaced", "name": "nvidia-h200-x1/tiny_wan.json"}),
        (short, {"code": "few-launches", "number": 2, "of": 5}),
        (short, {"code": "missing-values", "name": "denoise", "names": ("0",)}),
        (short, {"code": "no-provenance"}),
        (short, {"code": "launch-without-provenance", "number": 0}),
        (short, {"code": "no-engine"}),
        (str(stray), {"code": "stray"}),
    ]


def test_check_names_figures_that_cannot_be(tmp_path: Path) -> None:
    launches = tuple(
        replace(launch(number), metrics={"denoise_gap": gap, "denoise_steps": 1019.281}, steps_ms=steps, wall_s=wall_s)
        for number, (gap, steps, wall_s) in enumerate(
            [(-1.5, (500.0, 0.0, -1.0), 62.2), (-2.5, (500.0,), 0.0), (-1.001, (500.0,), -3.0)]
        )
    )
    odd = replace(
        baseline(),
        best={},
        recorded=Recorded(at="last Monday", command="", sessions=("s1",)),
        measurement=Measurement(case="tiny_wan", machine=H200, workload=Workload(digest=""), launches=launches),
    )
    path = baselines.save(tmp_path, odd)
    seen = complaints(tmp_path, {"tiny_wan": 3})
    assert {place for place, _ in seen} == {str(path)}
    assert [figures for _, figures in seen] == [
        {"code": "no-times", "names": ("denoise", "e2e", "client_e2e")},
        {"code": "negative-gap", "value": -1.001},
        {"code": "no-moment", "name": "last Monday"},
        {"code": "no-command"},
        {"code": "no-digest"},
        {"code": "impossible-step", "number": 0, "names": ("1", "2")},
        {"code": "impossible-wall", "number": 1, "value": 0.0},
        {"code": "impossible-wall", "number": 2, "value": -3.0},
    ]


def test_check_finds_what_was_edited_by_hand(tmp_path: Path) -> None:
    path = baselines.save(tmp_path, baseline())
    good = path.read_text()
    path.write_text(good.replace('"width": 832', '"width": 848'))
    assert complaints(tmp_path, {"tiny_wan": 5}) == [(str(path), {"code": "edited-workload"})]
    (session,) = baselines.load(path).recorded.sessions
    path.write_text(good.replace(f'"sessions": ["{session}"]', '"sessions": ["another"]'))
    lacking = {"code": "lacking-sessions", "names": (session,)}
    assert complaints(tmp_path, {"tiny_wan": 5}) == [(str(path), lacking)]
    best = baselines.load(path).best["denoise_steps"]
    path.write_text(good.replace(f'"denoise_steps": {best}', '"denoise_steps": 2000.0', 1))
    edited = {"code": "edited-best", "name": "denoise_steps", "value": 2000.0, "expected": round(best, 3)}
    assert complaints(tmp_path, {"tiny_wan": 5}) == [(str(path), edited)]


def test_check_names_launches_that_stand_in_a_file_twice(tmp_path: Path) -> None:
    launches = (*measurement(2).launches, replace(launch(1), number=2))
    path = baselines.save(tmp_path, replace(baseline(), best={}, measurement=replace(measurement(), launches=launches)))
    twice = {"code": "launch-twice", "number": 2, "of": 1, "name": launch(1).started_at}
    assert complaints(tmp_path, {"tiny_wan": 3}) == [(str(path), twice)]


@pytest.mark.parametrize("gaps", [(-0.4, -0.9, -1.0), (-1.0, -1.0, -1.0), (-512.0, 0.3, -2.0)])
def test_a_gap_may_be_below_zero_by_the_noise_of_clocks_or_now_and_then(
    tmp_path: Path, gaps: tuple[float, ...]
) -> None:
    launches = tuple(
        replace(launch(number), metrics={**launch(number).metrics, "denoise_gap": gap})
        for number, gap in enumerate(gaps)
    )
    baselines.save(tmp_path, replace(baseline(), best={}, measurement=replace(measurement(), launches=launches)))
    assert complaints(tmp_path, {"tiny_wan": 3}) == []


@pytest.mark.parametrize(
    ("at", "good"),
    [
        ("2026-11-23T17:20:54Z", True),
        ("2026-11-24T07:39:11+00:00", True),
        ("2026-11-23", False),
        ("2026-13-23T17:20:54Z", False),
    ],
)
def test_a_date_without_a_time_does_not_say_when(tmp_path: Path, at: str, good: bool) -> None:
    path = baselines.save(tmp_path, replace(baseline(), recorded=replace(recorded(), at=at)))
    wrong = (str(path), {"code": "no-moment", "name": at})
    assert complaints(tmp_path, {"tiny_wan": 5}) == ([] if good else [wrong])


# --------------------------------------------------------------------------------------------------------- reviewing


def test_a_candidate_that_lacks_a_session_of_the_tree_is_compared_as_a_whole() -> None:
    """Only one that has all launches of the tree and more is an extension."""
    case = Case(name="tiny_wan", location=Location(path="x.yaml", line=1, column=1), model="m")
    first = baseline("s1")

    def extended(session: str) -> Baseline:
        later = measurement(3, session=session)
        moved = tuple(replace(one, started_at=f"2026-11-24T0{one.number}:00:0{session[1]}Z") for one in later.launches)
        fresh = replace(later, launches=moved)
        return baselines.renew(first, fresh, recorded(session), engine_version="0.5.17", extend=True)

    assert [
        len(review(extended("s2"), old, case.metrics, looks=(5,), location=case.location).launches)
        for old in (first, extended("s3"))
    ] == [3, 8]


# ---------------------------------------------------------------------------------------------------------- applying


def test_candidates_that_are_put_in_place_keep_the_best_ever(tmp_path: Path) -> None:
    baselines.save(tmp_path, replace(baseline(), best={"denoise": 900.0, "e2e": 2000.0, "gone": 1.0}))
    candidate = replace(baseline("s2"), best={"denoise": 1000.0, "denoise_steps": 990.0, "e2e": 1100.0})
    (path,) = baselines.apply(tmp_path, [candidate])
    assert baselines.load(path) == replace(
        candidate, path=str(path), best={"denoise": 900.0, "denoise_steps": 990.0, "e2e": 1100.0}
    )
    # Of another workload the old best says nothing.
    other = replace(candidate, measurement=replace(candidate.measurement, workload=Workload(digest="ffff")))
    (path,) = baselines.apply(tmp_path, [other])
    assert baselines.load(path).best == candidate.best


def test_launches_that_a_candidate_does_not_know_are_not_lost(tmp_path: Path) -> None:
    first = baseline()

    def extended(session: str) -> Baseline:
        return baselines.renew(
            first, measurement(session=session), recorded(session), engine_version="0.5.17", extend=True
        )

    path = baselines.save(tmp_path, extended("s2"))
    before = path.read_bytes()
    other = baseline("s9", case="a_case_before")
    with pytest.raises(BaselineError) as caught:
        list(baselines.apply(tmp_path, [other, extended("s3")]))
    assert str(caught.value) == (
        f"{path}: the candidate lacks the launches of session s2; nothing was changed. To extend the current "
        "baseline, repeat the run with --sgdiff-update=extend"
    )
    assert list(baselines.every(tmp_path)) == [path]
    assert path.read_bytes() == before
    # What was recorded as a whole replaces as a whole, also where it is of several sessions.
    whole = replace(baseline("s3"), recorded=replace(recorded(), sessions=("s3", "s4")))
    assert list(baselines.apply(tmp_path, [whole])) == [path]
    assert baselines.load(path).recorded.sessions == ("s3", "s4")


def test_a_corrupt_file_is_replaced_by_a_candidate_and_one_of_a_newer_schema_is_not(tmp_path: Path) -> None:
    path = baselines.save(tmp_path, baseline())
    path.write_text(path.read_text()[:200])
    assert list(baselines.apply(tmp_path, [baseline("s2")])) == [path]
    assert baselines.load(path).recorded.sessions == ("s2",)
    newer = path.read_text().replace('"schema": 1', '"schema": 7')
    path.write_text(newer)
    line = newer.split('"schema"')[0].count("\n") + 1
    with pytest.raises(BaselineError) as caught:
        list(baselines.apply(tmp_path, [baseline(case="a_case_before"), baseline("s3")]))
    assert str(caught.value) == (
        f"{path}:{line}: schema: is 7, written by a newer pytest-sgdiff; this one reads up to 1: update pytest-sgdiff"
    )
    assert list(baselines.every(tmp_path)) == [path]
    assert path.read_text() == newer
