"""A forked command is to the plugin what the program itself would be: arguments, files, exit, signals, and its tag."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable

import pytest

from pytest_sgdiff.files.procfs import environment
from pytest_sgdiff.launch.process_group import TAG, members
from tests.engine.conftest import Forked
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.engine

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(forked: Forked, tmp_path: pathlib.Path) -> Start:
    """A function (text of a program, arguments) -> its forked process, which leads a session and has the tag `t`."""

    def run(text: str, *arguments: str, **options: object) -> subprocess.Popen[str]:
        program = tmp_path / "program.py"
        program.write_text(text)
        command = forked(str(program), f"of-{tmp_path.name}")
        variables = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", TAG: "t"}
        return subprocess.Popen(
            [command, *arguments],
            cwd=tmp_path,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            **options,  # type: ignore[call-overload]
        )

    return run


def test_it_has_the_arguments_folder_environment_and_files_of_the_command(start: Start, tmp_path: pathlib.Path) -> None:
    with (tmp_path / "kept").open("w") as kept:
        number = kept.fileno()
        text = "import os, sys\nprint(sys.argv[1:], os.getcwd(), os.environ['%s'])\nos.write(%d, b'here')\n"
        process = start(text % (TAG, number), "a b", "--c", pass_fds=(number,))
        output, _ = process.communicate(timeout=60)
    assert output == f"['a b', '--c'] {tmp_path} t\n"
    assert (tmp_path / "kept").read_text() == "here"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("import sys; sys.exit(7)", 7, ""),
        ("import sys; sys.exit('no')", 1, "no\n"),
        ("raise ValueError('broken')", 1, "ValueError: broken\n"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL, ""),
    ],
)
def test_it_ends_as_the_program_does(start: Start, text: str, code: int, said: str) -> None:
    process = start(text)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == code
    assert output.endswith(said)


WAITS = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("told", flush=True), sys.exit(3)))
print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_a_signal_to_the_command_reaches_the_program(start: Start) -> None:
    process = start(WAITS)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=60)
    assert (output, process.returncode) == ("told\n", 3)


def test_the_program_is_of_the_launch_and_does_not_outlive_a_killed_command(start: Start) -> None:
    process = start(WAITS)
    assert process.stdout is not None
    program = int(process.stdout.readline())
    assert f"{TAG}=t".encode() in (environment(program, os.getuid()) or b"").split(b"\0")
    assert {process.pid, program} <= members(process.pid, "t")
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not alive(program), otherwise="the program outlived its command")


def test_another_setting_of_what_the_engine_was_imported_with_is_refused(
    forked: Forked, tmp_path: pathlib.Path
) -> None:
    program = tmp_path / "program.py"
    program.write_text("")
    command = forked(str(program), "refused")
    done = subprocess.run([command], env={**os.environ, "OMP_NUM_THREADS": "7"}, capture_output=True, text=True)
    assert done.returncode == 3
    assert "OMP_NUM_THREADS" in done.stderr
