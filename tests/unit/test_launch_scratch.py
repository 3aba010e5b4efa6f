"""The folder for a launch's temporary files: its own while it lives, gone afterwards."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.launch.scratch import scratch


@pytest.fixture
def tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_launch_has_a_folder_of_its_own_and_leaves_nothing(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "a/b")
    monkeypatch.setenv("LOGNAME", "a/b")
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    with scratch() as (one, _), scratch() as (other, _):
        assert one["TMPDIR"] != other["TMPDIR"]
        assert one["TORCHINDUCTOR_CACHE_DIR"] == str(tmp / "torchinductor_a_b")
        Path(one["TMPDIR"], "left").write_text("")
        assert sorted(map(str, tmp.iterdir())) == sorted((one["TMPDIR"], other["TMPDIR"]))
    assert list(tmp.iterdir()) == []
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/cache")
    with scratch() as (env, _):
        assert env["TORCHINDUCTOR_CACHE_DIR"] == "/cache"


def test_what_a_killed_run_left_is_removed_once_its_launch_has_ended(tmp: Path) -> None:
    owner = """if True:
        import subprocess, tempfile, sys, time
        from pytest_sgdiff.launch.scratch import scratch
        tempfile.tempdir = sys.argv[1]
        with scratch() as (env, lock):
            print(subprocess.Popen(["sleep", "60"], pass_fds=(lock,), stdout=subprocess.DEVNULL).pid, flush=True)
            time.sleep(60)
    """
    run = subprocess.Popen([sys.executable, "-c", owner, str(tmp)], stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    launch = int(run.stdout.readline())
    (left,) = tmp.iterdir()
    run.kill()
    run.communicate()
    with scratch():
        assert left.exists(), "its launch lives"
    descriptor = os.pidfd_open(launch)
    os.kill(launch, signal.SIGKILL)
    select.select([descriptor], [], [], 5)
    os.close(descriptor)
    with scratch():
        assert not left.exists()


def test_no_room_for_it_is_told_with_the_fix(tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp / "gone"))
    with pytest.raises(SgdiffError) as caught, scratch():
        pass
    assert str(caught.value) == (
        "there is no folder for the launch's temporary files: No such file or directory; free some space, or name "
        "another folder with TMPDIR"
    )
