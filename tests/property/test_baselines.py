"""Baseline files: what is written is read back equal, and the text settles at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines.file_format import MistakeError, from_text, to_text
from pytest_sgdiff.data import Baseline, Environment, LaunchRecord, Machine, Measurement, Recorded, Watch, Workload
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.data_files import case_id, file_name
from tests.examples import examples
from tests.property.strategies import json_values, values

TIMES = st.floats(1e-6, 1e7)
NAMES = st.sampled_from(["e2e", "denoise", "peak_memory", "stage:DecodingStage", "stage:ltx2_lora_switch_stage2"])
LAUNCHES = st.builds(
    LaunchRecord,
    number=st.integers(0, 99),
    metrics=st.dictionaries(NAMES, TIMES, min_size=1) | st.just({"denoise_gap": -0.03, "e2e": 1.0}),
    steps_ms=st.lists(TIMES, max_size=4).map(tuple),
    started_at=values(str | None),
    wall_s=st.none() | TIMES,
    session=values(str | None),
    environment=values(Environment),
    watch=st.none() | values(Watch),
    warmup=values(str | None),
    pipeline=values(str | None),
    auto_tuned=st.lists(st.text(max_size=5), max_size=2).map(tuple),
    alone=st.none() | st.booleans(),
)
MEASUREMENTS = st.builds(
    Measurement,
    case=st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}(\[.{1,6}\])?", fullmatch=True),
    machine=values(Machine),
    workload=values(Workload),
    launches=st.lists(LAUNCHES, min_size=1, max_size=4).map(tuple),
)
BASELINES = st.builds(
    lambda measurement, recorded, version: baselines.renew(None, measurement, recorded, engine_version=version),
    MEASUREMENTS,
    values(Recorded),
    values(str | None),
)


@examples(50)
@given(baseline=BASELINES)
def test_a_baseline_is_read_back_as_it_was_renewed(baseline: Baseline) -> None:
    text = to_text(baseline)
    back = from_text(text)
    assert to_text(back) == text
    assert back == baseline


@examples(15)
@given(baseline=BASELINES)
def test_a_baseline_is_found_under_its_own_name_only(baseline: Baseline) -> None:
    measurement = baseline.measurement
    with TemporaryDirectory() as folder:
        path = baselines.save(Path(folder), baseline)
        assert baselines.find(Path(folder), measurement.machine, measurement.case) == replace(baseline, path=str(path))
        assert baselines.others(Path(folder), measurement.case) == (measurement.machine.slug,)
        assert [p.name for p in path.parent.iterdir()] == [path.name]


@examples(30)
@given(old=BASELINES, new=MEASUREMENTS, recorded=values(Recorded))
def test_nothing_of_the_old_values_survives_but_the_best(old: Baseline, new: Measurement, recorded: Recorded) -> None:
    renewed = baselines.renew(old, new, recorded, engine_version=None)
    alone = baselines.renew(None, new, recorded, engine_version=None)
    assert renewed.measurement == alone.measurement
    assert all(renewed.best[name] <= centre for name, centre in alone.best.items())


@examples(100)
@given(name=st.text(min_size=1))
def test_every_case_has_a_file_name_of_its_own(name: str) -> None:
    safe = file_name(name)
    assert case_id(safe) == name
    assert "/" not in safe
    assert not safe.startswith(".")
    assert safe.isascii()


def edits(document: Any) -> st.SearchStrategy[tuple[tuple[str | int, ...], Any]]:
    """A place in the document and something else to put there."""
    places = [path for path in json_text.read(json_text.write(document)).lines if path]
    return st.tuples(st.sampled_from(places), json_values(allow_nan=True))


@examples(50)
@given(drawn=st.data(), baseline=BASELINES)
def test_a_file_edited_by_hand_is_read_or_named_and_never_a_crash(drawn: st.DataObject, baseline: Baseline) -> None:
    import json

    document = json_text.read(to_text(baseline)).value
    path, value = drawn.draw(edits(document))
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    text = json.dumps(document, indent=1)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.json"
        file.write_text(text)
        try:
            read = baselines.load(file)
        except BaselineError as error:
            line = int(str(error).removeprefix(f"{file}:").partition(":")[0])
        else:
            line = 1
            assert read.measurement.launches
    assert 1 <= line <= text.count("\n") + 1


@examples(100)
@given(text=st.text() | json_values().map(str))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        baseline = from_text(text)
    except MistakeError as mistake:
        line = mistake.line
    else:
        line = 1
        assert baseline.measurement.launches
    assert line >= 1
