"""Recorded launches: our own folders come back as they were, those of scripts as far as they tell."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Environment, GpuProcess, GpuSeries, Launch, Machine, OutputFile, Watch, Workload
from pytest_sgdiff.errors import RecordingError
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


def folder_of(root: Path, **files: str | dict[str, Any] | None) -> Path:
    """A launch folder as a script leaves it; `meta` is meta.json, `x_log` is x.log, `gpu` is gpu.csv."""
    folder = root / "tiny" / "00"
    folder.mkdir(parents=True)
    names = {"perf": "perf.json", "meta": "meta.json", "gpu": "gpu.csv"}
    for key, content in files.items():
        path = folder / names.get(key, key.replace("_log", ".log"))
        path.write_text(content if isinstance(content, str) else json.dumps(content), newline="")
    return folder


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


CURE = "(take the launch out of the recording, or record it anew)"


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
    assert str(caught.value) == f"{path}:{message} {CURE}"


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (recordings.case_ids, lambda root: recordings.read_launches(root, "tiny")):
        with pytest.raises(RecordingError) as caught:
            read(tmp_path / "nowhere")
        assert str(caught.value) == (
            f"{tmp_path / 'nowhere'}: no such folder; --sgdiff-replay takes one that --sgdiff-out wrote"
        )


def test_a_folder_that_holds_no_launch_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny" / "00").mkdir(parents=True)
    with pytest.raises(RecordingError) as caught:
        recordings.read_launches(tmp_path, "tiny")
    assert str(caught.value) == (
        f"{tmp_path / 'tiny' / '00'}: is no launch: it has neither launch.json nor perf.json nor a log; "
        "take it out of the recording"
    )


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "tiny").write_text("a file where a folder should be")
    with pytest.raises(RecordingError) as caught:
        recordings.write_launch(tmp_path, replace(LAUNCH, case="tiny"))
    assert str(caught.value) == (
        f"{tmp_path / 'tiny' / '03'}: cannot be written: {tmp_path / 'tiny'}: is no folder; move it away, or name "
        "another folder with --sgdiff-out"
    )


# --------------------------------------------------------------------------------------------------- scripts' folders


def test_a_dump_and_a_log_are_enough(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, perf=DUMP, run_log="started\nended\n")
    assert only(tmp_path) == Launch(
        case="tiny", number=0, argv=(), returncode=0, log="started\nended\n", dump=DUMP, folder=str(folder)
    )


def test_of_a_launch_without_dump_and_exit_code_the_ending_is_not_known(tmp_path: Path) -> None:
    folder_of(tmp_path, engine_log="Exit code: 1\n")
    assert only(tmp_path).returncode is None


def test_logs_are_put_one_after_the_other(tmp_path: Path) -> None:
    folder_of(tmp_path, perf=DUMP, stderr_log="bar 1\rbar 2", stdout_log="line", another_log="last\n")
    assert only(tmp_path).log == "line\nbar 1\rbar 2\nlast\n"


# As the synchronised H200 recordings were noted; shortened.
META = {
    "argv": ["/bench/engine/bin/sglang", "generate", "--seed", "42"],
    "start": "2026-11-23T17:18:01.185Z",
    "end": "2026-11-23T17:19:03.387Z",
    "wall_s": 62.202,
    "rc": 0,
    "env": {
        "CUDA_HOME": "/usr/local/cuda",
        "HF_TOKEN": "hf_secretsecret",
        "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1",
    },
    "gpu": {"name": "NVIDIA H200", "uuid": "GPU-1", "driver": "580.159.04", "persistence": 1, "count": 1, "mig": None},
    "versions": {"sglang": "0.5.17", "torch": "2.11.0", "torch.version.cuda": "13.0"},
    "host": {"cpus": 16, "kernel": "6.18"},
    "before": {"power_limit_w": 700.0, "throttle_mask": 1},
    "foreign": None,
}
CSV = """\
time,sm_mhz,mem_mhz,power_w,temperature_c,throttle_mask,util_gpu_pct,memory_used_mib,load1,pid:mib
2026-11-23T17:18:00.972Z,345,3201,80.46,41,1,0,615,1.3,
2026-11-23T17:18:01.372Z,345,3201,80.46,41,1,0,615,1.3,
2026-11-23T17:18:01.572Z,1980,,689.1,66,4,100,1337,3.5,5138:714;1137:518
2026-11-23T17:19:03.572Z,1980,3201,80.4,41,0,0,615,1.3,
2026-11-23T17:19
"""


def test_what_a_script_noted_is_understood(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, perf=DUMP, engine_log="token hf_secretsecret\n", meta=META, gpu=CSV)
    assert only(tmp_path) == Launch(
        case="tiny",
        number=0,
        argv=("/bench/engine/bin/sglang", "generate", "--seed", "42"),
        env={"HF_TOKEN": "<redacted>", "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1"},
        started_at="2026-11-23T17:18:01.185Z",
        wall_s=62.202,
        returncode=0,
        log="token <redacted>\n",
        dump=DUMP,
        machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
        environment=Environment(
            gpu_uuids=("GPU-1",),
            driver="580.159.04",
            cuda="13.0",
            power_limit_w=700.0,
            persistence=True,
            cpu_count=16,
            engine_version="0.5.17",
            torch_version="2.11.0",
            sync_stages=True,
        ),
        watch=Watch(  # only samples of the launch's own time; processes named there are not foreign by that alone
            gpus=(
                GpuSeries(
                    gpu_uuid="GPU-1",
                    at_s=(0.2, 0.4),
                    sm_mhz=(345, 1980),
                    mem_mhz=(3201, None),
                    power_w=(80.46, 689.1),
                    temperature_c=(41, 66),
                    util_pct=(0, 100),
                    memory_mb=(615, 1337),
                    reasons=(1, 4),
                ),
            )
        ),
        folder=str(folder),
        session="script of 2026-11-23",
    )


def test_other_spellings_of_the_same_notes_are_understood(tmp_path: Path) -> None:
    meta = {
        "cmd": "sglang generate --prompt 'a b'",
        "returncode": 1,
        "start_utc": "2026-11-23T16:33:28Z",
        "env_extra": {"SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "true"},
    }
    folder_of(tmp_path, meta=meta)
    (tmp_path / "tiny" / "00" / "stdout.log").touch()
    launch = only(tmp_path)
    assert launch.argv == ("sglang", "generate", "--prompt", "a b")
    assert (launch.returncode, launch.started_at) == (1, "2026-11-23T16:33:28Z")
    assert launch.environment.sync_stages
    assert (launch.machine, launch.watch) == (None, None)  # nobody looked: not the same as nothing seen


@pytest.mark.parametrize(
    ("notes", "foreign"),
    [
        (
            {
                "foreign": {
                    "pid": 5138,
                    "what": "matrix products",
                    "seen_before": [{"pid": 5138, "used_mib": 584, "cmdline": "python3 contend.py"}],
                    "nvidia-smi": "5138, python3",
                    "seen_after": [{"pid": 5138, "used_mib": 714}],
                }
            },
            (
                GpuProcess(gpu_uuid="GPU-1", pid=5138, name="python3 contend.py", used_mb=584, when="start"),
                GpuProcess(gpu_uuid="GPU-1", pid=5138, name="matrix products", used_mb=714, when="end"),
            ),
        ),
        ({"foreign": {"pid": 7, "what": "a job"}}, (GpuProcess(gpu_uuid="GPU-1", pid=7, name="a job"),)),
        (
            {"contend": True},
            (GpuProcess(gpu_uuid="GPU-1", pid=0, name="a contending process that the recording script started"),),
        ),
    ],
)
def test_a_foreign_process_that_was_noted_is_kept(
    tmp_path: Path, notes: dict[str, Any], foreign: tuple[GpuProcess, ...]
) -> None:
    folder_of(tmp_path, perf=DUMP, meta={**META, **notes})
    watch = only(tmp_path).watch
    assert watch is not None
    assert watch.foreign == foreign


def test_counters_that_are_not_told_are_none(tmp_path: Path) -> None:
    lines = [CSV.splitlines()[0], "2026-11-23T17:18:02.000Z,[N/A],3201,nan,,0x4,inf,615,1.3,"]
    folder_of(tmp_path, perf=DUMP, meta=META, gpu="\n".join(lines))
    watch = only(tmp_path).watch
    assert watch is not None
    assert watch.gpus == (
        GpuSeries(
            gpu_uuid="GPU-1",
            at_s=(0.8,),
            sm_mhz=(None,),
            mem_mhz=(3201,),
            power_w=(None,),
            temperature_c=(None,),
            util_pct=(None,),
            memory_mb=(615,),
            reasons=(None,),
        ),
    )


def test_a_long_series_is_thinned_out_without_losing_work_or_reasons(tmp_path: Path) -> None:
    lines = [CSV.splitlines()[0]]
    for i in range(1000):
        at = f"2026-11-23T17:18:{2 + i // 20:02d}.{i % 20 * 50:03d}Z"
        # One sample of a thousand was at work, another one says that it was hot.
        lines.append(
            f"{at},{1980 if i == 500 else 345},3201,80,41,{32 if i == 803 else 0},{99 if i == 500 else 0},615,1,"
        )
    folder_of(tmp_path, perf=DUMP, meta=META, gpu="\n".join(lines))
    watch = only(tmp_path).watch
    assert watch is not None
    (series,) = watch.gpus
    assert len(series.at_s) <= 120
    assert series.sm_mhz.count(1980) == series.util_pct.count(99) == series.reasons.count(32) == 1
    assert series.sm_mhz.index(1980) == series.util_pct.index(99)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("{", "1: not JSON: Expecting property name enclosed in double quotes"),
        ("[1]", "1: must be a mapping of Notes's fields, got [1]"),
        ('{\n"rc": "0"}', "2: rc: must be a whole number, got '0'"),
        ('{\n"cmd": "sglang --prompt \'a cat"}', "2: cmd: is no command line: No closing quotation"),
        ('{"gpu":\n {"name": 5}}', "2: gpu.name: must be text, got 5"),
    ],
)
def test_notes_that_cannot_be_read_are_named_with_their_line(tmp_path: Path, meta: str, message: str) -> None:
    folder = folder_of(tmp_path, perf=DUMP, meta=meta)
    with pytest.raises(RecordingError) as caught:
        only(tmp_path)
    cure = "(correct it, or delete it: a launch can be read without)"
    assert str(caught.value) == f"{folder / 'meta.json'}:{message} {cure}"


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


@pytest.mark.parametrize("name", ["engine.log", "perf.json", "launch.json", "meta.json", "gpu.csv", "stdout.log"])
def test_a_fifo_in_a_recording_keeps_nobody_waiting(tmp_path: Path, name: str) -> None:
    root, _ = _project(tmp_path)
    folder = root / "tiny" / "00"
    if name in ("meta.json", "gpu.csv", "stdout.log"):
        (folder / "launch.json").unlink()
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    with pytest.raises(RecordingError, match=f"{folder / name}: is no regular file"):
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
    with pytest.raises(RecordingError, match="none of ours; move it away, or name another folder with --sgdiff-out"):
        recordings.forget_launches(root, "tiny")
    assert strange.read_text() == "mine"
    assert (root / "tiny" / "00" / "launch.json").exists()  # nothing is removed before everything was looked at


def test_a_launch_never_comes_among_other_files(tmp_path: Path) -> None:
    (tmp_path / "tiny" / "03").mkdir(parents=True)
    (tmp_path / "tiny" / "03" / "thesis.txt").write_text("mine")
    with pytest.raises(RecordingError, match=r"holds thesis\.txt, which is of no launch"):
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
