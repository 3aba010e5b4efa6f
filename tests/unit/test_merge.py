"""`sgdiff merge`: each launch once, conflicts named, all or nothing."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.data import (
    ConflictCode,
    Launch,
    LostShard,
    Merged,
    SelectedTest,
    Selection,
    Shard,
    ShardGap,
    ShardReport,
    Unmeasured,
)
from pytest_sgdiff.errors import MergeConflictError, RecordingError
from pytest_sgdiff.recordings import launch_files, shards
from pytest_sgdiff.recordings import merge_write as merging
from pytest_sgdiff.recordings.layout import folder_of_test, own_place
from pytest_sgdiff.recordings.merge import merge
from pytest_sgdiff.recordings.store import read_launches, write_launch

CASES: Mapping[str, int] = {"a": 1, "b": 2, "c[cfg]": 3, "d": 4}
"""Case -> the shard that measures it."""

LAUNCH = Launch(case="a", number=0, argv=("sglang",), returncode=0, log="done\n", dump="{}", session="monday")


def selection(cases: Mapping[str, int] = CASES, *, of: int = 4, definition: str = "0" * 16) -> Selection:
    tests = [
        SelectedTest(test=f"cases/x.yaml::{case}", case=case, definition=definition, shard=shard)
        for case, shard in sorted(cases.items())
    ]
    return Selection(of=of, tests=tuple(tests))


def shard(
    root: Path,
    number: int,
    chosen: Selection | None = None,
    *,
    launches: int = 1,
    run: str = "monday",
    ended: bool = True,
    job: Mapping[str, str] | None = None,
    replayed: bool = False,
    measures: str = "a",
) -> Path:
    """The recording of a shard, as a run leaves it. `measures` is the case of a test in Python."""
    chosen = chosen or selection()
    folder, own = root / f"{number}", Shard(number=number, of=chosen.of)
    begun = ShardReport(shard=own, selection="", run=f"{run}@host", job=job or {}, replayed=replayed)
    shards.begin(folder, chosen, begun)
    ran = [one for one in chosen.tests if one.shard == number]
    for one in ran:
        place = folder if one.case else own_place(folder, one.test)
        for launch in range(launches):
            made = replace(LAUNCH, case=one.case or measures, number=launch, session=run, wall_s=float(launch))
            write_launch(place, made)
    if ended:
        shards.end(folder, own, [one.test for one in ran], [])
    return folder


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a power cut leaves no test here can tell, and a busy disk takes a second for each recording."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def four(tmp_path: Path) -> list[Path]:
    """The recordings of four shards."""
    return [shard(tmp_path, number, launches=2) for number in range(1, 5)]


def conflicts(folders: list[Path], out: Path) -> list[tuple[ConflictCode, str, str]]:
    """What keeps them from being joined: each with the last two names of its paths. Nothing is written."""
    before = sorted(out.parent.iterdir())
    with pytest.raises(MergeConflictError) as error:
        merge(folders, out)
    assert sorted(out.parent.iterdir()) == before
    return [(one.code, *("/".join(Path(path).parts[-2:]) for path in one.paths)) for one in error.value.conflicts]


def content(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


# -------------------------------------------------------------------------------------------------------------- joined


def test_each_launch_is_joined_as_it_is(four: list[Path], tmp_path: Path) -> None:
    merged = merge(four, tmp_path / "out")
    assert merged == Merged(cases=4, launches=8, of=4, reported=(1, 2, 3, 4))
    expected: dict[str, bytes] = {}
    for folder in four:
        expected |= content(folder)
    assert content(tmp_path / "out") == expected
    merge(four[::-1], tmp_path / "reversed")
    assert content(tmp_path / "reversed") == expected
    found = shards.read_shards(tmp_path / "out")
    assert found is not None
    assert (found.unreported, found.unfinished) == ((), ())
    assert [launch.number for launch in read_launches(tmp_path / "out", "c[cfg]")] == [0, 1]


def test_merged_recordings_can_be_merged_again(four: list[Path], tmp_path: Path) -> None:
    merge(four, tmp_path / "all")
    merge(four[:2], tmp_path / "first")
    merge([tmp_path / "first", *four[1:]], tmp_path / "again")
    assert content(tmp_path / "again") == content(tmp_path / "all")


def test_a_launch_that_is_there_twice_is_one(four: list[Path], tmp_path: Path) -> None:
    shutil.copytree(four[0], tmp_path / "copy")
    (tmp_path / "link").symlink_to(four[1])  # somebody chose it
    assert merge([*four, tmp_path / "copy", four[2], tmp_path / "link"], tmp_path / "out").launches == 8


def test_what_is_there_already_is_the_same_result(four: list[Path], tmp_path: Path) -> None:
    first = merge(four, tmp_path / "out")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert merge(four, tmp_path / "out") == replace(first, there_already=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == stamps


@pytest.mark.parametrize("more", ["notes.txt", "a/00/perf.json", "a/07/engine.log"])
def test_nothing_is_overwritten(four: list[Path], tmp_path: Path, more: str) -> None:
    merge(four, tmp_path / "out")
    (tmp_path / "out" / more).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / more).write_text("mine")
    before = content(tmp_path / "out")
    with pytest.raises(RecordingError, match="is not empty, and holds something else"):
        merge(four, tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_an_empty_folder_may_be_there(four: list[Path], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert merge(four, tmp_path / "out").launches == 8


def test_the_base_engine_of_an_a_b_run_and_repeated_tests_come_too(tmp_path: Path) -> None:
    folder = shard(tmp_path, 1, selection(of=1, cases={"a": 1}))
    for side in ("against", "again/x_1"):
        write_launch(folder / side, LAUNCH)
    (folder / "baselines" / "nvidia-h200-x1").mkdir(parents=True)
    assert merge([folder], tmp_path / "out").launches == 3
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"a", "against", "again"}


def test_what_a_killed_launch_left_is_joined_as_it_is(tmp_path: Path) -> None:
    folder = shard(tmp_path, 1, selection(of=1, cases={"a": 1}), ended=False)
    (folder / "a" / "01" / "work").mkdir(parents=True)
    (folder / "a" / "01" / "engine.log").write_text("Loading")
    (folder / "a" / "02").mkdir()
    (folder / "a" / "00" / "launch.json").write_text('{"schema": 1, "case')
    merged = merge([folder], tmp_path / "out")
    assert (merged.launches, merged.unfinished) == (3, (Shard(number=1, of=1),))
    assert merged.damaged == (str(folder / "a" / "00" / "launch.json"),)
    with pytest.raises(RecordingError, match="not JSON"):
        read_launches(tmp_path / "out", "a")


def test_what_is_no_launch_is_left_out_and_named(four: list[Path], tmp_path: Path) -> None:
    (four[0] / "report.html").write_text("x")
    (four[0] / "a" / "notes").mkdir()
    os.mkfifo(four[0] / "fifo")
    merged = merge(four, tmp_path / "out")
    assert merged.left_out == tuple(str(four[0] / name) for name in ("a/notes", "fifo", "report.html"))
    write_launch(four[1], replace(LAUNCH, case="old"))
    assert merge(four, tmp_path / "again").strays == (str(four[1] / "old" / "00"),)


def traced(folder: Path, case: str = "a", content: bytes = b"trace") -> Path:
    """What a profiled launch of a case leaves in a recording; gives its trace."""
    write_launch(folder / "profile", replace(LAUNCH, case=case))
    trace = folder / "profile" / case / "traces" / "1.trace.json.gz"
    trace.parent.mkdir()
    trace.write_bytes(content)
    return trace


def kept(launch: Path, name: str = "cat.png") -> Path:
    """A file that a launch wrote and that was kept."""
    path = launch / "outputs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"picture")
    return path


def test_profiled_launches_with_their_traces_and_outputs_that_were_kept_come_too(
    four: list[Path], tmp_path: Path
) -> None:
    mine = [traced(four[0]), kept(four[0] / "a" / "00"), kept(four[0] / "a" / "01", "frames/1.png")]
    write_launch(four[0] / "profile" / "against", LAUNCH)
    (four[0] / "profile" / "a" / "traces" / "notes").write_text("x")
    (four[0] / "a" / "00" / "notes").write_text("x")
    merged = merge(four, tmp_path / "out")
    assert (merged.cases, merged.launches, merged.profiled) == (4, 8, 2)
    assert merged.left_out == tuple(str(four[0] / name) for name in ("a/00/notes", "profile/a/traces/notes"))
    there = content(tmp_path / "out")
    assert {str(path.relative_to(four[0])) for path in mine} < set(there)
    assert "profile/against/a/00/launch.json" in there
    merge([tmp_path / "out"], tmp_path / "again")
    assert content(tmp_path / "again") == there


def test_a_test_in_python_may_measure_the_case_of_another_shard(tmp_path: Path) -> None:
    chosen = Selection(
        of=2,
        tests=(
            SelectedTest(test="cases/x.yaml::a", case="a", definition="0" * 16, shard=1),
            SelectedTest(test="test_own.py::test_a[x/y]", shard=2),
        ),
    )
    two = [shard(tmp_path, number, chosen, launches=number) for number in (1, 2)]
    merged = merge(two, tmp_path / "out")
    assert (merged.launches, merged.gaps, merged.strays) == (3, (), ())
    own = own_place(tmp_path / "out", "test_own.py::test_a[x/y]")
    assert [len(read_launches(root, "a")) for root in (tmp_path / "out", own)] == [1, 2]
    # What is missing is of the test that made it.
    shutil.rmtree(own_place(two[1], "test_own.py::test_a[x/y]") / "a" / "01")
    (lost,) = merge(two, tmp_path / "lacking").gaps
    assert (lost.test, lost.gap.launches, lost.gap.of) == ("test_own.py::test_a[x/y]", 1, 2)
    found = shards.read_shards(tmp_path / "lacking")
    assert found is not None
    assert [found.gap(row.test, "a") for row in chosen.tests] == [None, lost.gap]
    # In the folder of another shard it does not belong.
    own_place(two[1], "test_own.py::test_a[x/y]").parent.rename(two[0] / "again")
    name = f"{folder_of_test('test_own.py::test_a[x/y]')}/a"
    assert ("other-shard", name, "1/shard-1-of-2.json") in conflicts(two, tmp_path / "other")


def test_a_case_is_copied_with_all_that_a_replay_of_it_reads(four: list[Path], tmp_path: Path) -> None:
    traced(four[0])
    kept(four[0] / "a" / "00")
    write_launch(four[0] / "against", LAUNCH)
    write_launch(four[0], replace(LAUNCH, case="other"))
    launch_files.copy_case(four[0], tmp_path / "out" / "x", "a", below=four[0], into=tmp_path / "out")
    expected = {name: text for name, text in content(four[0]).items() if "/a/" in f"/{name}" and "/" in name}
    assert content(tmp_path / "out" / "x") == expected
    assert len({name.partition("/")[0] for name in expected}) == 3


@pytest.mark.parametrize("test", ["test_x.py::test_it[" + "a" * 400 + "]", "../../up.py::test", "t.py::test_ä"])
def test_the_folder_of_a_test_is_a_name_of_its_own_that_every_file_system_has_room_for(test: str) -> None:
    name = folder_of_test(test)
    assert name.isascii()
    assert len(name) < 100
    assert "/" not in name
    assert folder_of_test(test + "x") != name


# ------------------------------------------------------------------------------------------------------ what is missing


def test_a_shard_that_never_reported_is_named_with_what_it_had_to_measure(four: list[Path], tmp_path: Path) -> None:
    merged = merge([four[0], tmp_path / "nowhere", four[2], four[3]], tmp_path / "out")
    assert merged.unreported == (LostShard(shard=Shard(number=2, of=4), tests=(selection().tests[1],)),)
    assert (merged.cases, merged.reported, merged.absent) == (3, (1, 3, 4), (str(tmp_path / "nowhere"),))


def test_launches_whose_report_was_removed_are_of_a_shard_that_never_reported(four: list[Path], tmp_path: Path) -> None:
    (four[1] / "shard-2-of-4.json").unlink()
    merged = merge(four, tmp_path / "out")
    assert (merged.launches, merged.plain) == (8, (str(four[1]),))
    assert [lost.shard for lost in merged.unreported] == [Shard(number=2, of=4)]


def test_a_test_without_a_result_is_named_unless_it_needs_none(tmp_path: Path) -> None:
    folder = shard(tmp_path, 1, selection(of=1, cases={"a": 1, "b": 1, "c": 1}))
    names = [f"cases/x.yaml::{case}" for case in "abc"]
    died = Unmeasured(node_id=names[1], why="its worker died", gap="worker-died")
    elsewhere = Unmeasured(node_id=names[2], why="needs one of H100", gap="gpus")
    shards.end(folder, Shard(number=1, of=1), names[:1], [died, elsewhere])
    (lost,) = merge([folder], tmp_path / "out").gaps
    assert (lost.test, lost.gap.unmeasured) == (names[1], died)


@pytest.mark.parametrize("side", ["", "against"])
def test_launches_that_a_shard_recorded_and_that_are_not_there_are_missed(
    tmp_path: Path, side: str, capsys: pytest.CaptureFixture[str]
) -> None:
    one = selection(of=1, cases={"a": 1, "b": 1})
    folder = shard(tmp_path, 1, one, launches=3)
    for number in range(2):
        write_launch(folder / "against", replace(LAUNCH, number=number))
    write_launch(folder, replace(LAUNCH, case="old"))  # of an earlier run
    shards.end(folder, Shard(number=1, of=1), [row.test for row in one.tests], [])
    shutil.copytree(folder, tmp_path / "whole")
    shutil.rmtree(folder / side / "a" / "01")
    missed = ShardGap(shard=Shard(number=1, of=1), began=True, launches=4, of=5)
    assert [(lost.test, lost.gap) for lost in merge([folder], tmp_path / "out").gaps] == [("a", missed)]
    assert merge([folder, tmp_path / "whole"], tmp_path / "joined").gaps == ()
    for out, expected in (("out", missed), ("joined", None)):
        found = shards.read_shards(tmp_path / out)
        assert found is not None
        assert [found.gap(row.test, str(row.case)) for row in one.tests] == [expected, None]
    shutil.rmtree(tmp_path / "out")
    assert main(["merge", str(folder), "--out", str(tmp_path / "out")]) == 1
    assert "incomplete: a (shard 1/1 recorded 5 launches of this case, and 4 are here)" in capsys.readouterr().out


def test_a_report_that_does_not_count_its_launches_misses_none(tmp_path: Path) -> None:
    folder = shard(tmp_path, 1, selection(of=1, cases={"a": 1}), launches=2)
    report = folder / "shard-1-of-1.json"
    plain = json.loads(report.read_text())
    assert plain.pop("launches") == {"a": 2}
    report.write_text(json.dumps(plain))
    shutil.rmtree(folder / "a" / "01")
    assert merge([folder], tmp_path / "out").gaps == ()


def test_recordings_of_no_shards_are_joined_and_nobody_knows_what_is_missing(tmp_path: Path) -> None:
    write_launch(tmp_path / "x", LAUNCH)
    write_launch(tmp_path / "y", replace(LAUNCH, case="b"))
    merged = merge([tmp_path / "x", tmp_path / "y"], tmp_path / "out")
    assert (merged.cases, merged.of) == (2, None)


def test_nothing_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordingError, match="no recording is there"):
        merge([tmp_path / "empty", tmp_path / "nowhere"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# ----------------------------------------------------------------------------------------------------------- conflicts


def test_shards_of_two_counts(four: list[Path], tmp_path: Path) -> None:
    other = shard(tmp_path / "of", 2, selection({"b": 2}, of=8))
    assert conflicts([four[0], other], tmp_path / "out") == [
        ("shard-count", "1/shard-1-of-4.json", "2/shard-2-of-8.json")
    ]


@pytest.mark.parametrize(
    ("chosen", "code"),
    [
        (selection({**CASES, "e": 2}), "selection"),
        (selection({case: at for case, at in CASES.items() if case != "d"}), "selection"),
        (selection(definition="1" * 16), "definition"),
        (selection({**CASES, "a": 2, "b": 1}), "assignment"),
    ],
)
def test_shards_that_selected_otherwise(
    four: list[Path], tmp_path: Path, chosen: Selection, code: ConflictCode
) -> None:
    other = shard(tmp_path / "other", 2, chosen)
    found = conflicts([four[0], other], tmp_path / "out")
    assert {one for one, *_ in found} == {code}
    assert found[0][1:] == ("1/shard-1-of-4.json", "2/shard-2-of-4.json")


def test_selections_that_differ_in_nothing_that_they_say(four: list[Path], tmp_path: Path) -> None:
    """A judge refuses them: it compares the files."""
    chosen = selection()
    other = shard(tmp_path / "other", 2, replace(chosen, tests=chosen.tests[::-1]))
    found = conflicts([four[0], other], tmp_path / "out")
    assert found == [("selection-file", "1/shard-1-of-4.json", "2/shard-2-of-4.json")]


@pytest.mark.parametrize("session", ["tuesday", None])
@pytest.mark.parametrize("side", ["", "against", "profile"])
def test_launches_of_another_run_in_the_folder_of_a_shard(
    four: list[Path], tmp_path: Path, side: str, session: str | None
) -> None:
    for number in (7, 8):
        write_launch(four[0] / side, replace(LAUNCH, number=number, session=session))
    with pytest.raises(MergeConflictError) as error:
        merge(four, tmp_path / "out")
    (found,) = error.value.conflicts
    assert (found.code, found.case, found.said) == ("other-run", "a", (session or "", "monday@host"))
    assert found.paths == (str(four[0] / side / "a" / "07"), str(four[0] / "shard-1-of-4.json"))
    assert found.shards == (Shard(number=1, of=4),)


@pytest.mark.parametrize("session", ["tuesday", None])
def test_a_shard_of_a_replay_says_of_which_runs_its_launches_are(tmp_path: Path, session: str | None) -> None:
    one = selection(of=1, cases={"a": 1, "b": 1})
    folder = shard(tmp_path, 1, one, ended=False, replayed=True)
    write_launch(folder, replace(LAUNCH, case="b", session=session))
    assert merge([folder], tmp_path / "killed").launches == 2
    shards.end(folder, Shard(number=1, of=1), [row.test for row in one.tests], [])
    assert merge([folder], tmp_path / "out").launches == 2
    write_launch(folder, replace(LAUNCH, number=1, session="wednesday"))
    assert conflicts([folder], tmp_path / "no") == [("other-run", "a/01", "1/shard-1-of-1.json")]


@pytest.mark.parametrize("session", ["monday", "tuesday", None])
def test_a_shard_of_an_older_version_says_nothing_of_whose_launches_it_has(tmp_path: Path, session: str | None) -> None:
    folder = shard(tmp_path, 1, selection(of=1, cases={"a": 1}))
    write_launch(folder, replace(LAUNCH, session=session))
    path = folder / "shard-1-of-1.json"
    report = json.loads(path.read_text())
    assert report.pop("replayed") is False
    path.write_text(json.dumps(report))
    assert merge([folder], tmp_path / "out").launches == 1


def test_a_shard_that_ran_twice(four: list[Path], tmp_path: Path) -> None:
    again = shard(tmp_path / "again", 1, run="tuesday", launches=2)
    found = conflicts([*four, again], tmp_path / "out")
    assert ("shard-twice", "1/shard-1-of-4.json", "1/shard-1-of-4.json") in found
    assert ("launch", "a/00", "a/00") in found


def test_a_recording_that_was_copied_before_and_after_its_shard_ended(tmp_path: Path) -> None:
    early = shard(tmp_path / "early", 1, selection(of=1, cases={"a": 1}), ended=False)
    late = shard(tmp_path / "late", 1, selection(of=1, cases={"a": 1}))
    assert conflicts([early, late], tmp_path / "out") == [("shard-twice", "1/shard-1-of-1.json", "1/shard-1-of-1.json")]


def test_shards_of_two_jobs(tmp_path: Path) -> None:
    """What is left of last night in a folder that a shard of this night did not reach."""
    folders = [shard(tmp_path, n, job={"SLURM_ARRAY_JOB_ID": str(17 + n // 2)}) for n in (1, 2)]
    assert [code for code, *_ in conflicts(folders, tmp_path / "out")] == ["job"]


def test_launches_of_another_shards_case(four: list[Path], tmp_path: Path) -> None:
    write_launch(four[0], replace(LAUNCH, case="b", number=5))
    assert ("other-shard", "1/b", "1/shard-1-of-4.json") in conflicts(four, tmp_path / "out")


@pytest.mark.parametrize("file", ["launch.json", "perf.json", "engine.log"])
def test_two_launches_of_one_number(four: list[Path], tmp_path: Path, file: str) -> None:
    shutil.copytree(four[0], tmp_path / "copy")
    with (tmp_path / "copy" / "a" / "01" / file).open("a") as opened:
        opened.write(" ")
    assert conflicts([*four, tmp_path / "copy"], tmp_path / "out") == [("launch", "a/01", "a/01")]


def test_two_folders_of_one_number(four: list[Path], tmp_path: Path) -> None:
    shutil.copytree(four[0] / "a" / "01", four[0] / "a" / "1")
    assert conflicts(four, tmp_path / "out") == [("launch", "a/01", "a/1")]


def test_a_launch_under_two_numbers(four: list[Path], tmp_path: Path) -> None:
    shutil.copytree(four[0], tmp_path / "copy")
    (tmp_path / "copy" / "a" / "01").rename(tmp_path / "copy" / "a" / "02")
    assert conflicts([*four, tmp_path / "copy"], tmp_path / "out") == [("renumbered", "a/01", "a/02")]


@pytest.mark.parametrize("session", ["tuesday", None])
def test_launches_of_two_runs_of_a_case(tmp_path: Path, session: str | None) -> None:
    write_launch(tmp_path / "x", LAUNCH)
    write_launch(tmp_path / "y", replace(LAUNCH, number=1, session=session))
    assert conflicts([tmp_path / "x", tmp_path / "y"], tmp_path / "out") == [("two-runs", "a/00", "a/01")]


# ------------------------------------------------------------------------------------------------------------- hostile


def link(root: Path) -> None:
    shutil.rmtree(root / "a")
    (root / "a").symlink_to("/etc")


def link_as_launch(root: Path) -> None:
    (root / "a" / "07").symlink_to("/etc")


def link_as_log(root: Path) -> None:
    (root / "a" / "00" / "engine.log").unlink()
    (root / "a" / "00" / "engine.log").symlink_to("/etc/passwd")


def link_beside_a_log(root: Path) -> None:
    (root / "a" / "00" / "work").symlink_to("/etc")


def link_at_the_top(root: Path) -> None:
    (root / "latest").symlink_to("/etc")


def fifo_as_dump(root: Path) -> None:
    (root / "a" / "00" / "perf.json").unlink()
    os.mkfifo(root / "a" / "00" / "perf.json")


def folder_as_record(root: Path) -> None:
    (root / "a" / "00" / "launch.json").unlink()
    (root / "a" / "00" / "launch.json").mkdir()


def huge_dump(root: Path) -> None:
    os.truncate(root / "a" / "00" / "perf.json", (1 << 24) + 1)


def log_beyond_the_disk(root: Path) -> None:
    os.truncate(root / "a" / "00" / "engine.log", 1 << 42)


def huge_trace(root: Path) -> None:
    os.truncate(traced(root), (1 << 28) + 1)


def link_as_trace(root: Path) -> None:
    traced(root).unlink()
    (root / "profile" / "a" / "traces" / "1.trace.json").symlink_to("/etc/passwd")


def link_as_traces(root: Path) -> None:
    write_launch(root / "profile", LAUNCH)
    (root / "profile" / "a" / "traces").symlink_to("/etc")


def fifo_as_trace(root: Path) -> None:
    traced(root).unlink()
    os.mkfifo(root / "profile" / "a" / "traces" / "1.trace.json")


def link_as_profile(root: Path) -> None:
    (root / "profile").symlink_to("/etc")


def link_among_outputs(root: Path) -> None:
    kept(root / "a" / "00").unlink()
    (root / "a" / "00" / "outputs" / "cat.png").symlink_to("/etc/passwd")


def fifo_among_outputs(root: Path) -> None:
    kept(root / "a" / "00").unlink()
    os.mkfifo(root / "a" / "00" / "outputs" / "cat.png")


def deep_outputs(root: Path) -> None:
    kept(root / "a" / "00", "/".join(["deep"] * 9) + "/cat.png")


def outputs_beyond_the_disk(root: Path) -> None:
    os.truncate(kept(root / "a" / "00"), 1 << 42)


def huge_report(root: Path) -> None:
    os.truncate(root / "shard-1-of-4.json", (1 << 24) + 1)


def link_as_report(root: Path) -> None:
    (root / "shard-1-of-4.json").unlink()
    (root / "shard-1-of-4.json").symlink_to("/etc/passwd")


HOSTILE: list[tuple[Callable[[Path], None], str]] = [
    (link, "is a link"),
    (link_as_launch, "is a link"),
    (link_as_log, "is a link"),
    (link_beside_a_log, "is a link"),
    (link_at_the_top, "is a link"),
    (fifo_as_dump, "is not a regular file"),
    (folder_as_record, "is not a regular file"),
    (huge_dump, "has more than 16777216 bytes"),
    (log_beyond_the_disk, "MiB are free there"),
    (huge_trace, "has more than 268435456 bytes"),
    (link_as_trace, "is a link"),
    (link_as_traces, "is a link"),
    (link_as_profile, "is a link"),
    (fifo_as_trace, "is not a regular file"),
    (link_among_outputs, "is a link"),
    (fifo_among_outputs, "is not a regular file"),
    (deep_outputs, "lies in 8 folders"),
    (outputs_beyond_the_disk, "MiB are free there"),
    (huge_report, "has more than 16777216 bytes"),
    (link_as_report, "is a link"),
]


@pytest.mark.parametrize(("spoil", "told"), HOSTILE, ids=lambda value: getattr(value, "__name__", ""))
def test_what_must_not_be_read_leaves_nothing(
    four: list[Path], tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    spoil(four[0])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(RecordingError, match=told):
        merge(four, tmp_path / "out")
    assert sorted(tmp_path.iterdir()) == before


def test_more_outputs_than_a_launch_writes_are_refused(
    four: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_files, "OUTPUTS_MANY", 1)
    kept(four[0] / "a" / "00")
    assert merge(four, tmp_path / "one").launches == 8
    kept(four[0] / "a" / "00", "dog.png")
    with pytest.raises(RecordingError, match="has more than 1 files"):
        merge(four, tmp_path / "out")


def test_traces_of_one_launch_that_differ(four: list[Path], tmp_path: Path) -> None:
    traced(four[0])
    shutil.copytree(four[0], tmp_path / "copy")
    assert merge([*four, tmp_path / "copy"], tmp_path / "same").profiled == 1
    (tmp_path / "copy" / "profile" / "a" / "traces" / "1.trace.json.gz").write_bytes(b"other")
    found = conflicts([*four, tmp_path / "copy"], tmp_path / "out")
    assert found == [("launch", "traces/1.trace.json.gz", "traces/1.trace.json.gz")]


def test_names_that_lead_out_of_the_folder_stay_names(tmp_path: Path) -> None:
    chosen = selection({"../../escaped": 1}, of=1)
    merge([shard(tmp_path / "in", 1, chosen)], tmp_path / "deep" / "out")
    assert [path.name for path in (tmp_path / "deep" / "out").iterdir() if path.is_dir()] == ["%2E.%2F..%2Fescaped"]
    assert not list(tmp_path.glob("**/escaped"))


@pytest.mark.parametrize("place", ["1", "1/out", "."])
def test_a_place_among_the_recordings_is_refused(four: list[Path], tmp_path: Path, place: str) -> None:
    with pytest.raises(RecordingError, match="name another folder with --out"):
        merge(four, tmp_path / place)


def test_a_file_in_place_of_a_folder_is_refused(four: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(RecordingError, match="is no folder"):
        merge(four, tmp_path / "file")
    with pytest.raises(RecordingError, match="is no folder"):
        merge([*four, tmp_path / "file"], tmp_path / "out")


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RecordingError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["full disk", "interrupted"],
)
def test_what_ends_in_the_middle_leaves_nothing(
    four: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    raised: type[BaseException],
) -> None:
    copies: list[Path] = []
    real = merging.copy

    def fails(source: Path, target: Path, *, below: Path, into: Path) -> None:
        copies.append(target)
        if len(copies) == 7:
            raise fault
        real(source, target, below=below, into=into)

    monkeypatch.setattr(merging, "copy", fails)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(raised):
        merge(four, tmp_path / "out")
    assert len(copies) == 7
    assert sorted(tmp_path.iterdir()) == before


def test_what_somebody_else_puts_there_meanwhile_stays(
    four: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def late(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "theirs").write_text("x")
        real(source, target)

    monkeypatch.setattr(merging.os, "rename", late)
    with pytest.raises(RecordingError, match="something else was put there meanwhile"):
        merge(four, tmp_path / "out")
    assert content(tmp_path / "out") == {"theirs": b"x"}
    assert not list(tmp_path.glob(f"{merging.HALF}*"))


# --------------------------------------------------------------------------------------------------------- the command


def test_the_exit_code_says_what_became_of_it(
    four: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["merge", *map(str, four), "--out", str(out)]) == 0
    assert main(["merge", *map(str, four), "--out", str(out)]) == 0
    assert main(["merge", *map(str, four[1:]), "--out", str(tmp_path / "three")]) == 1
    assert capsys.readouterr().err == ""
    assert main(["merge", *map(str, four[1:]), "--out", str(out)]) == 2
    (four[0] / "a" / "00" / "perf.json").write_text("[]")
    shutil.copytree(four[0], tmp_path / "copy")
    (four[0] / "a" / "00" / "perf.json").write_text("{}")
    assert main(["merge", *map(str, four), str(tmp_path / "copy"), "--out", str(tmp_path / "no")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{four[0]}/a/00 and {tmp_path}/copy/a/00" in printed.err
    assert not (tmp_path / "no").exists()


def test_an_interrupt_ends_it_without_a_traceback(
    four: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(merging, "copy", interrupted)
    assert main(["merge", *map(str, four), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "sgdiff merge: interrupted; nothing was written\n"
    assert not list(tmp_path.glob(f"{merging.HALF}*"))
