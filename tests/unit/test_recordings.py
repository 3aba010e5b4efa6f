"""Recorded launches: our own folders come back as they were, and no other form is read."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import Environment, GpuEvent, GpuSeries, Launch, Machine, OutputFile, Watch, Workload
from pytest_sgdiff.errors import ForeignLaunchError, RecordingError
from pytest_sgdiff.launch import log_text
from pytest_sgdiff.recordings import store as recordings

DUMP = '{\n  "tag": "cli_generate",\n  "total_duration_ms": 1143.6868760000038\n}'
LAUNCH = Launch(
    case="firered_1_1[cfg]",
    number=3,
    argv=("sglang", "generate", "--seed", "42"),
    env={"SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1"},
    started_at="2026-11-23T17:18:01.185Z",
    wall_s=62.2025,
    returncode=0,
    log="Loading:  20%|##\rLoading: 100%|##\nmetrics dumped to µ\n",
    dump=DUMP,
    outputs=(OutputFile(name="a.mp4", size_bytes=12345),),
    machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
    environment=Environment(gpu_uuids=("GPU-1",), driver="580.159.04", engine_version="0.5.17", sync_stages=True),
    watch=Watch(gpus=(GpuSeries(gpu_uuid="GPU-1", at_s=(0.0, 0.2), sm_mhz=(1980, None)),), alone=True),
    workload=Workload(digest="d", fields={"args": {"seed": 42}}),
    session="2026-11-23T17-18-00",
)


def only(root: Path) -> Launch:
    (launch,) = recordings.read_launches(root, "tiny")
    return launch


# -------------------------------------------------------------------------------------------------------- our folders


def test_a_launch_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = recordings.write_launch(tmp_path, LAUNCH)
    assert folder == tmp_path / "firered_1_1[cfg]" / "03" == recordings.launch_folder(tmp_path, LAUNCH.case, 3)
    assert sorted(path.name for path in folder.iterdir()) == ["engine.log", "launch.json", "perf.json"]
    assert (folder / "perf.json").read_text() == DUMP
    assert recordings.read_launches(tmp_path, LAUNCH.case) == (replace(LAUNCH, folder=str(folder)),)
    assert recordings.case_ids(tmp_path) == (LAUNCH.case,)


def test_a_launch_that_failed_has_no_dump_and_keeps_its_ending(tmp_path: Path) -> None:
    failed = replace(LAUNCH, dump=None, stale_dump=True, returncode=None, ending="timeout", outputs=())
    recordings.write_launch(tmp_path, LAUNCH)
    folder = recordings.write_launch(tmp_path, failed)
    assert not (folder / "perf.json").exists()  # the earlier launch's dump would pass for this one's
    assert recordings.read_launches(tmp_path, LAUNCH.case) == (replace(failed, folder=str(folder)),)


def test_the_log_that_a_launch_left_in_its_folder_stays_as_it_is(tmp_path: Path) -> None:
    folder = recordings.launch_folder(tmp_path, LAUNCH.case, LAUNCH.number)
    folder.mkdir(parents=True)
    (folder / "engine.log").write_bytes(b"all of \xff it\n")
    recordings.write_launch(tmp_path, replace(LAUNCH, log="part of it", folder=str(folder)))
    assert (folder / "engine.log").read_bytes() == b"all of \xff it\n"
    assert recordings.read_launches(tmp_path, LAUNCH.case)[0].log == "all of \ufffd it\n"


def test_launches_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 100, 0):
        recordings.write_launch(tmp_path, replace(LAUNCH, case="tiny", number=number))
    (tmp_path / "tiny" / "notes").mkdir()
    (tmp_path / "README.md").write_text("what this is")
    (tmp_path / "logs").mkdir()
    assert [launch.number for launch in recordings.read_launches(tmp_path, "tiny")] == [0, 2, 10, 100]
    assert recordings.case_ids(tmp_path) == ("tiny",)
    assert recordings.read_launches(tmp_path, "other") == ()


def test_a_folder_may_be_renamed_to_another_case(tmp_path: Path) -> None:
    recordings.write_launch(tmp_path, LAUNCH)
    (tmp_path / "firered_1_1[cfg]").rename(tmp_path / "tiny")
    (tmp_path / "tiny" / "03").rename(tmp_path / "tiny" / "07")
    assert (only(tmp_path).case, only(tmp_path).number) == ("tiny", 7)


def test_what_a_newer_version_added_is_ignored(tmp_path: Path) -> None:
    path = recordings.write_launch(tmp_path, LAUNCH) / "launch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "weather": "rain"}))
    assert recordings.read_launches(tmp_path, LAUNCH.case)[0].argv == LAUNCH.argv


def test_what_an_older_recording_says_of_a_gpu_in_a_line_is_an_event(tmp_path: Path) -> None:
    launch = replace(LAUNCH, watch=Watch(to_be_alone=True))
    path = recordings.write_launch(tmp_path, launch) / "launch.json"
    record = json.loads(path.read_text())
    record["watch"] = {"to_be_alone": True}
    record["watch"]["events"] = ["GPU-5d1e: Xid 79", "GPU-5d1e: held back by heat for 250 ms"]
    path.write_text(json.dumps(record))
    watch = recordings.read_launches(tmp_path, LAUNCH.case)[0].watch
    assert watch is not None
    assert watch.gpu_events == (
        GpuEvent(kind="xid", gpu_uuid="GPU-5d1e", number=79),
        GpuEvent(kind="heat", gpu_uuid="GPU-5d1e", ms=250),
    )
    again = recordings.write_launch(tmp_path / "again", replace(launch, watch=watch))
    assert "Xid" not in (again / "launch.json").read_text()
    assert recordings.read_launches(tmp_path / "again", LAUNCH.case)[0].watch == watch


FIX = "(remove the launch from the recording, or record it again)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "1: not JSON: Expecting property name enclosed in double quotes"),
        ("[]", "1: must be a mapping of Launch's fields, got []"),
        ('{"case": "a",\n"number": 0}', "1: schema: must be 1, got null: read it with the version that wrote it"),
        ('{"schema": 2}', "1: schema: must be 1, got 2: read it with the version that wrote it"),
        ('{"schema": 1, "case": "a", "argv": [],\n"number": "0"}', "2: number: must be a whole number, got '0'"),
        ('{"schema": 1, "case": "a", "number": 0, "argv": [],\n "wall_s": NaN}',
         "2: wall_s: must be a finite number, got nan"),
        ('{"schema": 1, "case": "a", "number": 0}', "1: argv: is missing"),
    ],
)  # fmt: skip
def test_a_spoilt_record_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    path = recordings.write_launch(tmp_path, LAUNCH) / "launch.json"
    path.write_text(text)
    with pytest.raises(RecordingError) as caught:
        recordings.read_launches(tmp_path, LAUNCH.case)
    assert str(caught.value) == f"{path}:{message} {FIX}"


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (recordings.case_ids, lambda root: recordings.read_launches(root, "tiny")):
        with pytest.raises(RecordingError) as caught:
            read(tmp_path / "nowhere")
        assert str(caught.value) == (
            f"{tmp_path / 'nowhere'}: no such folder; --sgdiff-replay needs a folder that --sgdiff-out wrote"
        )


def test_a_folder_that_holds_no_launch_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny" / "00").mkdir(parents=True)
    with pytest.raises(RecordingError) as caught:
        recordings.read_launches(tmp_path, "tiny")
    assert str(caught.value) == (
        f"{tmp_path / 'tiny' / '00'}: is not a launch: it has neither launch.json nor perf.json nor a log; "
        "remove it from the recording"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file where a folder should be")
    with pytest.raises(RecordingError) as caught:
        recordings.write_launch(tmp_path, replace(LAUNCH, case="tiny"))
    assert str(caught.value) == (
        f"{tmp_path / 'tiny' / '03'}: cannot be written: {tmp_path / 'tiny'}: is no folder; move it away, or name "
        "another folder with --sgdiff-out"
    )


# ------------------------------------------------------------------------------------------ launches without a record


def folder_of(root: Path, **files: str) -> Path:
    """The folder of a launch without launch.json; `x_json` is the text of x.json."""
    folder = root / "tiny" / "00"
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return folder


def test_of_a_launch_during_which_pytest_was_killed_there_is_its_log(tmp_path: Path) -> None:
    folder = recordings.new_launch_folder(tmp_path, "tiny", 0)
    (folder / "engine.log").write_text("started\n")
    (folder / "work").mkdir()
    (folder / "work" / "perf.json").write_text(DUMP)
    (folder / ".tmp-1").write_text("{")
    assert only(tmp_path) == Launch(case="tiny", number=0, argv=(), log="started\n", folder=str(folder))


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({"perf_json": DUMP}, "perf.json"),
        ({"perf_json": DUMP, "engine_log": "ended\n"}, "perf.json"),
        ({"perf_json": DUMP, "meta_json": "{}", "stdout_log": "", "stderr_log": "", "gpu_csv": ""}, "perf.json"),
        ({"meta_json": "{}", "stdout_log": "no dump\n"}, "stdout.log"),
        ({"meta_json": "{}", "engine_log": "no dump\n"}, "meta.json"),
        ({"engine_log": "", "stderr_log": ""}, "stderr.log"),
        ({"run_log": ""}, "run.log"),
    ],
)
def test_a_launch_that_another_tool_recorded_is_refused(tmp_path: Path, files: dict[str, str], found: str) -> None:
    folder = folder_of(tmp_path, **files)
    recordings.write_launch(tmp_path, replace(LAUNCH, case="tiny", number=1))
    assert recordings.case_ids(tmp_path) == ("tiny",)
    for read in (
        lambda: recordings.read_launches(tmp_path, "tiny"),
        lambda: recordings.read_launch(folder, case="tiny", number=0),
    ):
        with pytest.raises(ForeignLaunchError) as caught:
            read()
        assert (caught.value.folder, caught.value.found) == (folder, found)


def test_what_a_launch_that_another_tool_recorded_lacks_is_named() -> None:
    assert str(ForeignLaunchError("rec/tiny/00", "stdout.log")) == (
        "rec/tiny/00: contains stdout.log but no launch.json: another tool made this launch, or --sgdiff-out did not "
        'finish it; write a launch.json as docs/recordings.md shows ("Launches made without this tool"), or remove '
        "the folder from the recording"
    )


def test_a_launch_written_as_the_page_shows_is_read(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "recordings.md").read_text()
    (record,) = re.findall(r"## Launches made without this tool\n.*?```json\n(.*?)```", page, re.DOTALL)
    folder = folder_of(tmp_path, perf_json=DUMP, engine_log="ended\n", launch_json=record)
    assert only(tmp_path) == Launch(
        case="tiny",
        number=0,
        argv=("sglang", "generate", "--model-path", "Wan-AI/Wan2.2-T2V-A14B-Diffusers"),
        returncode=0,
        log="ended\n",
        dump=DUMP,
        machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
        environment=Environment(engine_version="0.5.17", sync_stages=True),
        folder=str(folder),
    )


# ----------------------------------------------------------------------------------------- what others put in the way


def _project(tmp_path: Path) -> tuple[Path, Path]:
    """A recording, and a folder outside of it that has what a recording has."""
    for name in ("rec", "outside"):
        recordings.write_launch(tmp_path / name, replace(LAUNCH, case="tiny", number=0, log="from outside"))
    return tmp_path / "rec", tmp_path / "outside"


@pytest.mark.parametrize("place", ["tiny", "tiny/00", "tiny/00/launch.json", "tiny/00/perf.json", "tiny/00/engine.log"])
@pytest.mark.parametrize("to", ["the same of another recording", "/dev/zero", "/proc/self/environ", "nowhere"])
def test_a_link_in_a_recording_is_named_and_not_followed(tmp_path: Path, place: str, to: str) -> None:
    root, outside = _project(tmp_path)
    path = root / place
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    path.symlink_to(outside / place if to.startswith("the") else to)
    reads = [lambda: recordings.read_launches(root, "tiny")]
    if "." not in place:
        reads += [lambda: recordings.case_ids(root), lambda: recordings.forget_launches(root, "tiny")]
        reads += [lambda: recordings.new_launch_folder(root, "tiny", 0)]
    for read in reads:
        with pytest.raises(RecordingError, match=f"{path}: is a link"):
            read()
    assert path.is_symlink()
    assert recordings.read_launches(outside, "tiny")


@pytest.mark.parametrize("name", ["engine.log", "perf.json", "launch.json"])
def test_a_fifo_in_a_recording_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    root, _ = _project(tmp_path)
    folder = root / "tiny" / "00"
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(RecordingError, match=f"{folder / name}: is not a regular file"):
        recordings.read_launches(root, "tiny")


@pytest.mark.parametrize("name", ["perf.json", "launch.json"])
def test_a_file_of_any_size_takes_no_memory(tmp_path: Path, name: str) -> None:
    root, _ = _project(tmp_path)
    with (root / "tiny" / "00" / name).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(RecordingError, match=f"{name}: has more than"):
        recordings.read_launches(root, "tiny")


def test_a_log_of_any_size_is_looked_through_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_text, "SCAN_LIMIT", 1 << 21)
    root, _ = _project(tmp_path)
    log = root / "tiny" / "00" / "engine.log"
    with log.open("wb") as file:
        file.write(b"the beginning\n")
        file.truncate(1 << 40)
        file.seek(0, os.SEEK_END)
        file.write(b"\nthe end\n")
    (launch,) = recordings.read_launches(root, "tiny")
    assert launch.log.startswith("the beginning\n")
    assert launch.log.endswith("\nthe end\n")


def test_only_launches_of_this_plugin_are_forgotten(tmp_path: Path) -> None:
    root, _ = _project(tmp_path)
    kept = {"2024/photos/a.jpg": "mine", "7/thesis.txt": "mine", "notes": "mine", "08/work/x": "mine"}
    for name, text in kept.items():
        (root / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "tiny" / name).write_text(text)
    (root / "tiny" / "00" / "work").mkdir()
    recordings.new_launch_folder(root, "tiny", 1)  # of a run that was killed
    recordings.forget_launches(root, "tiny")
    left = {str(path.relative_to(root / "tiny")): path.read_text() for path in root.rglob("*") if path.is_file()}
    assert left == kept
    assert not (root / "tiny" / "00").exists()
    assert not (root / "tiny" / "01").exists()


@pytest.mark.parametrize("name", ["notes.txt", "backup.log", "meta.json", "photos/a.jpg", "work", "engine.log.bak"])
def test_a_launch_beside_other_files_is_not_removed(tmp_path: Path, name: str) -> None:
    root, _ = _project(tmp_path)
    recordings.write_launch(root, replace(LAUNCH, case="tiny", number=1))
    strange = root / "tiny" / "01" / name
    strange.parent.mkdir(exist_ok=True)
    strange.write_text("mine")
    with pytest.raises(
        RecordingError, match="this plugin did not write; move it away, or name another folder with --sgdiff-out"
    ):
        recordings.forget_launches(root, "tiny")
    assert strange.read_text() == "mine"
    assert (root / "tiny" / "00" / "launch.json").exists()  # nothing is removed before everything was looked at


def test_a_launch_never_comes_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "tiny" / "03").mkdir(parents=True)
    (tmp_path / "tiny" / "03" / "thesis.txt").write_text("mine")
    with pytest.raises(RecordingError, match=r"contains thesis\.txt, which does not belong to a launch"):
        recordings.new_launch_folder(tmp_path, "tiny", 3)
    assert recordings.new_launch_folder(tmp_path, "tiny", 4).is_dir()


def test_a_launch_is_not_written_through_a_link(tmp_path: Path) -> None:
    root, outside = _project(tmp_path)
    shutil.rmtree(root / "tiny")
    (root / "tiny").symlink_to(outside / "tiny")
    with pytest.raises(RecordingError, match="is a link"):
        recordings.write_launch(root, replace(LAUNCH, case="tiny", number=5))
    (root / "tiny").unlink()
    (root / "tiny" / "05").mkdir(parents=True)
    for name in ("engine.log", "perf.json", "launch.json"):
        (root / "tiny" / "05" / name).symlink_to(outside / "tiny" / "00" / name)
    before = [path.read_bytes() for path in sorted((outside / "tiny" / "00").iterdir())]
    recordings.write_launch(root, replace(LAUNCH, case="tiny", number=5))
    assert [path.read_bytes() for path in sorted((outside / "tiny" / "00").iterdir())] == before
    assert not any(path.is_symlink() for path in (root / "tiny" / "05").iterdir())
