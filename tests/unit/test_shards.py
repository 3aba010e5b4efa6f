"""What a shard says of itself beside its launches, and what a judge makes of shards that did not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import Reason, SelectedTest, Selection, Shard, ShardGap, ShardReport, Unmeasured
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.plugin.shards import job
from pytest_sgdiff.recordings import shards
from pytest_sgdiff.runner.replay import with_gap
from tests import factories

ONE, TWO = Shard(number=1, of=2), Shard(number=2, of=2)
SELECTION = Selection(
    of=2,
    tests=(
        SelectedTest(test="cases/a.yaml::big", case="big", definition="0" * 16, shard=1),
        SelectedTest(test="cases/a.yaml::tiny", case="tiny", definition="1" * 16, shard=2),
        SelectedTest(test="test_own.py::test_it", shard=2),
    ),
)


def begun(root: Path, shard: Shard = TWO, selection: Selection = SELECTION) -> Path:
    shards.begin(root, selection, ShardReport(shard=shard, selection="", run="monday-41@host"))
    return root


def test_what_a_shard_was_to_measure_is_there_before_it_measures_anything(tmp_path: Path) -> None:
    found = shards.read_shards(begun(tmp_path))
    assert found is not None
    assert found.selection == SELECTION
    assert (found.unreported, found.unfinished) == ((1,), (2,))
    assert found.gap("cases/a.yaml::tiny", "tiny") == ShardGap(shard=TWO, began=True)
    assert found.gap("cases/a.yaml::big", "big") == ShardGap(shard=ONE, began=False)


def test_what_became_of_each_test_is_there_when_it_ends(tmp_path: Path) -> None:
    died = Unmeasured(node_id="test_own.py::test_it", why="its worker died", gap="worker-died")
    shards.end(begun(tmp_path), TWO, ["cases/a.yaml::tiny"], [died])
    found = shards.read_shards(tmp_path)
    assert found is not None
    assert found.unfinished == ()
    assert found.gap("cases/a.yaml::tiny", "tiny") is None
    assert found.gap("test_own.py::test_it", "x") == ShardGap(shard=TWO, began=True, unmeasured=died)
    # From another folder pytest calls the test otherwise.
    assert found.gap("a.yaml::tiny", "tiny") is None
    assert found.gap("a.yaml::big", "big") == ShardGap(shard=ONE, began=False)
    assert found.gap("cases/b.yaml::other", "other") is None


def test_a_test_that_its_shard_says_nothing_of_was_not_run(tmp_path: Path) -> None:
    shards.end(begun(tmp_path), TWO, [], [])
    found = shards.read_shards(tmp_path)
    assert found is not None
    gap = found.gap("cases/a.yaml::tiny", "tiny")
    assert gap is not None
    assert (gap.began, gap.unmeasured and gap.unmeasured.gap) == (True, "not-run")


def test_the_selection_is_one_file_whichever_shard_writes_it(tmp_path: Path) -> None:
    (name,) = (path.name for path in begun(tmp_path / "a", ONE).glob("selection-*"))
    assert [path.name for path in begun(tmp_path / "b").glob("selection-*")] == [name]
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_shard_that_runs_again_leaves_nothing_of_its_earlier_run(tmp_path: Path) -> None:
    shards.end(begun(tmp_path), TWO, ["cases/a.yaml::tiny"], [])
    begun(tmp_path, selection=replace(SELECTION, tests=SELECTION.tests[:2]))
    found = shards.read_shards(tmp_path)
    assert found is not None
    assert (len(found.selection.tests), found.unfinished) == (2, (2,))
    assert len(list(tmp_path.iterdir())) == 2


def test_two_shards_do_not_share_a_folder(tmp_path: Path) -> None:
    begun(tmp_path, ONE)
    with pytest.raises(RecordingError, match=r"holds the recording of shard 1/2: give each shard a folder of its own"):
        begun(tmp_path)


def test_a_recording_of_no_shard_has_none(tmp_path: Path) -> None:
    assert shards.read_shards(tmp_path) is None


def changed(path: Path, **fields: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("shard-2-of-2.json", {"shard": {"number": 1, "of": 2}}, "is the report of shard 1/2"),
        ("shard-2-of-2.json", {"shard": {"number": 3, "of": 2}}, "is the report of shard 3/2"),
        ("shard-2-of-2.json", {"selection": "../../etc/passwd"}, "selection: must be 16 hex digits"),
        ("shard-2-of-2.json", {"selection": "f" * 16}, "selection-ffffffffffffffff.json: is not there"),
        ("shard-2-of-2.json", {"ran": "all of them"}, "shard-2-of-2.json:1: ran: must be a list"),
        ("shard-2-of-2.json", {"schema": 2}, "schema: must be 1, got 2"),
        ("selection", {"of": 1}, "was changed, or is incomplete: its content has another digest"),
    ],
)
def test_a_report_that_was_tampered_with_is_named(
    tmp_path: Path, name: str, fields: dict[str, object], told: str
) -> None:
    (path,) = begun(tmp_path).glob(f"{name}*")
    changed(path, **fields)
    with pytest.raises(RecordingError) as error:
        shards.read_shards(tmp_path)
    assert told in str(error.value)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("torn", [b'{"shard": {"num', b"", b"\xff\xfe", b"[" * 200_000, b"[]", b"null"])
def test_a_report_that_is_torn_is_named(tmp_path: Path, torn: bytes) -> None:
    (begun(tmp_path) / "shard-2-of-2.json").write_bytes(torn)
    with pytest.raises(RecordingError, match=r"shard-2-of-2\.json"):
        shards.read_shards(tmp_path)


@pytest.mark.parametrize("name", ["shard-2-of-2.json", "selection"])
def test_a_link_in_place_of_a_report_is_not_followed(tmp_path: Path, name: str) -> None:
    (path,) = begun(tmp_path / "a").glob(f"{name}*")
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RecordingError, match="is a link, and links are not followed"):
        shards.read_shards(tmp_path / "a")


def test_reports_of_two_selections_are_not_mixed(tmp_path: Path) -> None:
    begun(tmp_path, ONE)
    for path in begun(tmp_path / "b", selection=replace(SELECTION, tests=SELECTION.tests[1:])).iterdir():
        path.rename(tmp_path / path.name)
    with pytest.raises(RecordingError, match="are of different selections"):
        shards.read_shards(tmp_path)


def test_a_shard_belongs_to_the_job_that_its_scheduler_names_or_somebody_does() -> None:
    assert job({"HOME": "/", "GITHUB_RUN_ID": "17", "BUILD_TAG": ""}) == {"GITHUB_RUN_ID": "17"}
    assert job({"SLURM_ARRAY_JOB_ID": "18", "SGDIFF_JOB": "17"}) == {"SGDIFF_JOB": "17"}


# ---------------------------------------------------------------------------------------------------------- the judge

SHARD = Shard(number=3, of=4)
WHY = Unmeasured(node_id="x", why="its worker died", gap="worker-died")
EMPTY = factories.regressed(outcome="invalid", reason=Reason(code="empty-recording"), verdicts=(), measured=False)


@pytest.mark.parametrize(
    ("gap", "reason"),
    [
        (ShardGap(shard=SHARD, began=False), Reason(code="shard-unreported", shard="3/4")),
        (ShardGap(shard=SHARD, began=True), Reason(code="shard-killed", shard="3/4")),
        (
            ShardGap(shard=SHARD, began=True, unmeasured=WHY),
            Reason(code="shard-unmeasured", shard="3/4", error="its worker died"),
        ),
        (
            ShardGap(shard=SHARD, began=True, launches=0, of=5),
            Reason(code="shard-incomplete", shard="3/4", launches=0, of=5),
        ),
    ],
)
def test_a_case_without_launches_is_invalid_for_the_sake_of_its_shard(gap: ShardGap, reason: Reason) -> None:
    result = with_gap(EMPTY, gap)
    assert (result.outcome, result.reason, result.measured) == ("invalid", reason, False)
    assert result.next_step is not None
    assert (result.next_step.code, result.next_step.command) == ("run-shard", "--sgdiff-shard=3/4")


def test_launches_of_a_killed_shard_count_where_they_settle_the_case() -> None:
    killed = ShardGap(shard=SHARD, began=True)
    settled = factories.regressed()
    assert with_gap(settled, killed) == settled
    for reason in (
        Reason(launches=2, of=5),
        Reason(code="short-recording", launches=2, of=5),
        Reason(code="no-more-launches"),
        Reason(code="environment", disturbed=1),
    ):
        cut_off = replace(settled, outcome="inconclusive", reason=reason)
        assert with_gap(cut_off, killed).reason.code == "shard-killed"
    noisy = replace(settled, outcome="inconclusive")  # all launches are there, and cannot tell
    assert with_gap(noisy, killed) == noisy


def test_a_compared_case_of_a_killed_shard_is_settled_by_no_fewer_launches_than_it_plans() -> None:
    killed, passed = ShardGap(shard=SHARD, began=True), factories.regressed(outcome="pass", measured=True)
    assert with_gap(passed, killed, planned=5) == passed
    one = replace(passed, launches=passed.launches[:1])
    assert with_gap(one, killed) == one
    cut_off = with_gap(one, killed, planned=5)
    assert (cut_off.outcome, cut_off.reason.code, cut_off.measured) == ("invalid", "shard-killed", False)


def test_a_case_that_its_shard_could_not_launch_has_the_result_that_it_had_there(tmp_path: Path) -> None:
    busy = Reason(code="environment", error="2 GPUs busy for 60 s")
    name = "cases/a.yaml::tiny"
    shards.end(begun(tmp_path), TWO, [name], [], {name: busy})
    found = shards.read_shards(tmp_path)
    assert found is not None
    gap = found.gap(name, "tiny")
    assert gap == ShardGap(shard=TWO, began=True, unlaunched=busy)
    result = with_gap(EMPTY, gap)
    assert (result.outcome, result.reason, result.measured) == ("inconclusive", busy, False)


def test_launches_of_a_shard_do_not_count_where_others_of_it_are_missing() -> None:
    result = with_gap(factories.regressed(outcome="pass"), ShardGap(shard=SHARD, began=True, launches=2, of=5))
    assert (result.outcome, result.reason.code) == ("invalid", "shard-incomplete")


def test_launches_of_a_shard_that_never_reported_never_count() -> None:
    result = with_gap(factories.regressed(outcome="pass", recorded=True), ShardGap(shard=SHARD, began=False))
    assert (result.outcome, result.reason.code) == ("invalid", "shard-unreported")
    assert not result.measured
    assert not result.recorded
