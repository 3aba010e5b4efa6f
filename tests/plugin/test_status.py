"""What a run shows while it goes on: on a terminal, in a pipe, with the options that change it."""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TextIO, cast

import pytest

from pytest_sgdiff import gpus
from pytest_sgdiff.files import temp_dirs
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason
from pytest_sgdiff.plugin.live import StatusBoard, status_folder, status_writer
from pytest_sgdiff.plugin.screen import Screen
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.runner.progress import Progress
from tests.factories import WAN_STAGES
from tests.plugin.conftest import Project
from tests.terminal import Terminal, received


class Shown:
    """A run on a terminal: `screens` is every distinct picture that stood there, `code` its exit code."""

    def __init__(self, *arguments: str, columns: int, rows: int, until: Callable[[Shown], bool] | None) -> None:
        master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        command = [sys.executable, "-m", "pytest", "-p", "pytest_sgdiff.plugin", "-p", "xdist.plugin", *arguments]
        env = {name: value for name, value in os.environ.items() if name != "COLUMNS"} | {"TERM": "xterm"}
        self.process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=env)
        os.close(slave)
        self.raw, self.screens = "", [""]
        terminal = Terminal(columns or 80, rows or 24)
        # On Linux a terminal whose last user has gone is an error to read.
        with contextlib.suppress(OSError):
            decoder = codecs.getincrementaldecoder("utf-8")()
            while piece := os.read(master, 1 << 16):
                data = decoder.decode(piece)
                self.raw += data
                terminal.feed(data)
                if terminal.text != self.screens[-1]:
                    self.screens.append(terminal.text)
                if until is not None and until(self):
                    until, self.interrupted_at = None, time.monotonic()
                    self.process.send_signal(signal.SIGINT)
        os.close(master)
        self.code = self.process.wait(timeout=30)

    @property
    def last(self) -> str:
        """What stands there in the end."""
        return self.screens[-1]

    def lines(self, pattern: str) -> list[str]:
        """The lines of all pictures that match as a whole, each once, in order."""
        found = (line for screen in self.screens for line in screen.splitlines() if re.fullmatch(pattern, line))
        return list(dict.fromkeys(found))


def on_a_terminal(
    *arguments: str, columns: int = 150, rows: int = 40, until: Callable[[Shown], bool] | None = None
) -> Shown:
    """Run pytest on a pseudo-terminal; interrupt it when `until` says so."""
    return Shown("--sgdiff-gpus=4", *arguments, columns=columns, rows=rows, until=until)


@dataclass
class Recording:
    """What the first test records for all: a run in a pipe with -vv that writes the baseline of `cases/tiny.yaml`."""

    baseline: Path = Path()
    text: str = ""
    lines: Sequence[str] = ()
    junit: str = ""


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Filled by `long`, which needs the fixtures of a test."""
    return Recording()


@pytest.fixture
def long(project: Project, recording: Recording) -> Project:
    """A project whose launches took 6 minutes for their baseline, with a test that is no case."""
    cases = project.root / "cases/tiny.yaml"
    cases.write_text(re.sub(r"launches: .*", "launches: {baseline: 3, looks: [1]}", cases.read_text()))
    # Other runs on this host have folders of their own in the usual place.
    project.setenv("TMPDIR", str(project.root))
    project.write("test_other.py", "def test_other():\n    print('mine')\n")
    if not recording.text:
        result = project.run_apart(
            "--sgdiff-gpus=4",
            "--sgdiff-update",
            "-vv",
            "--no-summary",
            "--junit-xml=j.xml",
            "-ojunit_logging=all",
            "-ojunit_family=xunit2",
        )
        (kept,) = (project.root / "baselines").rglob("tiny.json")
        recording.baseline = kept.relative_to(project.root)
        recording.text = re.sub(r'"wall_s": [0-9.]+', '"wall_s": 360.0', kept.read_text())
        recording.lines, recording.junit = result.outlines, (project.root / "j.xml").read_text()
    project.write(str(recording.baseline), recording.text)
    return project


def test_vv_tells_every_stage_and_keeps_pytest_s_own_lines_whole(long: Project, recording: Recording) -> None:
    head = "  cases/tiny.yaml::tiny: GPU 0, launch {} of 3"
    said = [line.split(" after ")[0] for line in recording.lines if line.startswith("  cases")]
    assert said == [line for n in "123" for line in (head.format(n), *(f"{head.format(n)}, {s}" for s in WAN_STAGES))]
    assert [line for line in recording.lines if "PASSED" in line and not re.search(r"::\w+ PASSED +\[", line)] == []
    assert sum("PASSED" in line for line in recording.lines) == 2
    assert "mine" in recording.junit
    assert "launch 1 of" not in recording.junit


def test_a_terminal_shows_a_line_that_ticks_and_leaves_no_trace(long: Project) -> None:
    long.setenv("SGDIFF_FAKE_SLEEP_S", "1.8")
    shown = on_a_terminal("cases", "test_other.py")
    line = "  cases/tiny.yaml::tiny  GPU 0, launch 1 of up to 1, loading, {} of about 6 min"
    assert shown.lines("  cases/.*loading.*")[:2] == [line.format("0 s"), line.format("1 s")]
    assert shown.code == 0
    lines = shown.last.splitlines()
    first = lines.index("collected 2 items")
    assert lines[first + 1] == "sgdiff: 1 case selected"
    assert lines[first + 2].startswith("cases/tiny.yaml::tiny  GPU 0 ")
    assert re.fullmatch(r"test_other.py \. +\[100%\]", lines[first + 4])
    assert [line for line in lines[first:] if "launch 1 of" in line] == []
    assert list(long.root.glob("sgdiff-status-*")) == []


def test_a_run_that_ends_before_its_first_test_leaves_no_folder(long: Project) -> None:
    long.write("cases/tiny.yaml", "cases: {tiny: {}}")
    assert long.run("--sgdiff-gpus=4", "-n", "1").ret == pytest.ExitCode.INTERRUPTED
    assert list(long.root.glob("sgdiff-status-*")) == []


def test_a_terminal_shows_every_case_that_runs_on_a_worker(long: Project) -> None:
    long.write("cases/more.yaml", (long.root / "cases/tiny.yaml").read_text().replace("tiny:", "more:"))
    long.setenv("SGDIFF_FAKE_SLEEP_S", "1.5")
    shown = on_a_terminal("-n2", "cases")
    one = r"\n  cases/(?:more|tiny).yaml::\w{4}  GPU \d, launch 1 of up to 1, loading, \d s"
    assert [screen for screen in shown.screens if len(re.findall(one, screen)) == 2]
    assert [line for line in shown.last.splitlines() if line.startswith("  cases")] == []
    assert shown.code == 1  # more.yaml has no baseline


def test_a_pipe_gets_one_line_per_launch_under_xdist(long: Project) -> None:
    result = long.run("--sgdiff-gpus=4", "cases", "-n1")
    said = [line for line in result.outlines if line.startswith("  cases")]
    assert said == ["  cases/tiny.yaml::tiny: GPU 0, launch 1 of up to 1, about 6 min"]
    assert result.outlines[result.outlines.index(said[0]) + 1].startswith("cases/tiny.yaml::tiny  GPU 0 ")
    assert "\x1b" not in result.stdout.str()


def test_waiting_for_gpus_names_who_has_them_and_an_interrupt_takes_the_block_away(long: Project) -> None:
    pool = gpus.Pool(gpus.resolve("4"), run_id="other", folder=str(long.root / "locks"))
    with pool.lease(4, timeout_s=5, tag="wan22"):
        shown = on_a_terminal("cases", until=lambda now: "1 s so far" in now.raw)
        assert time.monotonic() - shown.interrupted_at < 5
    held = WaitReason(code="held", gpus=(0, 1, 2, 3), tag="wan22", pid=os.getpid())
    wait = Wait(aim="gpus", count=1, reasons=(held,))
    assert shown.lines("  cases/.* 0 s so far") == [f"  cases/tiny.yaml::tiny  {wait}, 0 s so far"]
    assert "so far" not in shown.last
    assert "KeyboardInterrupt" in shown.last
    assert shown.code == 2
    assert list(long.root.glob("sgdiff-status-*")) == []


def test_a_reader_that_has_seen_enough_does_no_harm(long: Project) -> None:
    run = f"{sys.executable} -m pytest -p pytest_sgdiff.plugin --sgdiff-gpus=4 --sgdiff-out=out cases"
    done = subprocess.run(
        ["/bin/bash", "-c", f"{run} | sed '/launch 1 of/q'"], capture_output=True, text=True, check=False
    )
    assert done.stdout.endswith("  cases/tiny.yaml::tiny: GPU 0, launch 1 of up to 1, about 6 min\n")
    assert done.stderr == ""
    assert (long.root / "out/tiny/00/perf.json").exists()


# ------------------------------------------------------------------------------------------- the board by itself


class Board:
    """A board on a pseudo-terminal in this process, with one case that runs. Use as a context, then close it."""

    def __init__(self, pytester: pytest.Pytester, *arguments: str, columns: int, file: TextIO | None, ci: bool) -> None:
        self.config = pytester.parseconfigure(*arguments)
        self.settings = cast(Settings, SimpleNamespace(run_id=f"test-{os.getpid()}", ci=ci))
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._tty = os.fdopen(slave, "w")
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        self._writer = terminal and terminal._tw
        if self._writer:
            self._before, self._writer._file = self._writer._file, file or self._tty
        self.board = StatusBoard(self.config, self.settings)
        self._loop = self.board.pytest_runtestloop()

    def __enter__(self) -> Board:
        next(self._loop)
        self.tell("loading")
        return self

    def tell(self, stage: str) -> None:
        """News of the case."""
        write = status_writer(self.settings, worker="main")
        write(Progress(node_id="cases/a.yaml::a", at=time.monotonic(), launch=1, of=5, stage=stage))

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(StopIteration):
            self._loop.send(None)
        if self._writer:
            assert not isinstance(self._writer._file, Screen)
            self._writer._file = self._before

    def close(self) -> None:
        """Hang up."""
        self._tty.close()
        os.close(self._master)

    def written(self, wanted: str = "", *, within_s: float = 2.0) -> str:
        """What the terminal got until it got what is wanted, or for that long."""
        found, end = "", time.monotonic() + within_s
        while time.monotonic() < end and not (wanted and wanted in found):
            time.sleep(0.02)
            found += received(self._master, self._tty.fileno())
        return found


@pytest.fixture
def make_board(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Board]]:
    """Makes boards that look often, for a run with options."""
    made: list[Board] = []
    monkeypatch.setattr("pytest_sgdiff.plugin.live.POLL_S", 0.02)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def make(*options: str, columns: int = 80, file: TextIO | None = None, ci: bool = False) -> Board:
        made.append(Board(pytester, "--capture=fd", *options, columns=columns, file=file, ci=ci))
        return made[-1]

    yield make
    for board in made:
        board.close()


@pytest.mark.parametrize("options", [[], ["--no-summary"], ["-v"], ["--color=yes"]])
def test_a_terminal_gets_a_block(make_board: Callable[..., Board], options: list[str]) -> None:
    with make_board(*options) as board:
        assert board.written("so far") == "  cases/a.yaml::a  launch 1 of up to 5, loading, 0 s so far\r"
    assert board.written(within_s=0.1) == "\r\x1b[J"


@pytest.mark.parametrize("options", [["--color=no"], ["-s"], ["--capture=tee-sys"]])
def test_a_terminal_gets_lines_where_escapes_are_unwanted_or_tests_write_themselves(
    make_board: Callable[..., Board], options: list[str]
) -> None:
    with make_board(*options) as board:
        assert board.written("\n") == "  cases/a.yaml::a: launch 1 of up to 5\r\n"


@pytest.mark.parametrize(("term", "ci"), [("dumb", False), ("xterm", True)])
def test_a_dumb_terminal_and_one_of_ci_get_lines(
    make_board: Callable[..., Board], monkeypatch: pytest.MonkeyPatch, term: str, ci: bool
) -> None:
    monkeypatch.setenv("TERM", term)
    with make_board(ci=ci) as board:
        assert board.written("\n") == "  cases/a.yaml::a: launch 1 of up to 5\r\n"


@pytest.mark.parametrize("options", [["-q"], ["-qq"], ["--collect-only"], ["-p", "no:terminal"]])
def test_whoever_asks_for_silence_gets_it(make_board: Callable[..., Board], options: list[str]) -> None:
    with make_board(*options) as board:
        assert board.written(within_s=0.15) == ""
    assert not status_folder(board.settings).exists()


def test_the_folder_of_a_killed_run_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    make_board: Callable[..., Board], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, lock = temp_dirs.make("sgdiff-status-", "living")
    killed = tmp_path / "sgdiff-status-2026-01-01T00-00-00-1"
    killed.mkdir()
    (killed / "main.jsonl").write_text("{}\n")
    with make_board() as board:
        assert sorted(tmp_path.iterdir()) == sorted((Path(living), status_folder(board.settings)))
    assert list(tmp_path.iterdir()) == [Path(living)]
    os.close(lock)


@pytest.mark.parametrize("what", ["link", "file", "dangling link", "folder of another user"])
def test_what_others_put_in_the_place_of_the_folder_is_not_used(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    """Its name is made of the time and the process, and the system's folder is open to all."""
    if what == "folder of another user" and os.getuid() != 0:
        pytest.skip("only root can give a folder to another user")
    shared, precious = tmp_path / "shared", tmp_path / "precious"
    shared.mkdir()
    precious.mkdir()
    folder = shared / "sgdiff-status-guessed"
    if what == "link":
        folder.symlink_to(precious)
    elif what == "file":
        folder.write_text("")
    elif what == "dangling link":
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        folder.mkdir()
        (folder / "main.jsonl").symlink_to(precious / "main.jsonl")
        os.chown(folder, 1002, 1002)
    monkeypatch.setattr(tempfile, "tempdir", str(shared))
    monkeypatch.setattr("pytest_sgdiff.plugin._run_id", lambda config: "guessed")
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: {folder}, where this run's processes" in result.stderr.str()
    assert "name another folder for temporary files with TMPDIR" in result.stderr.str()
    assert list(precious.iterdir()) == []
    assert not (tmp_path / "elsewhere").exists()


def test_a_terminal_too_narrow_for_a_block_shows_none(make_board: Callable[..., Board]) -> None:
    with make_board(columns=19) as board:
        assert board.written(within_s=0.15) == ""


def test_a_file_without_a_descriptor_gets_lines(make_board: Callable[..., Board]) -> None:
    file = io.StringIO()
    with make_board(file=file) as board:
        board.written(within_s=0.15)
    assert file.getvalue() == "  cases/a.yaml::a: launch 1 of up to 5\n"


def test_half_a_line_of_news_is_passed_over(make_board: Callable[..., Board]) -> None:
    with make_board("--color=no", "-vv") as board:
        with (status_folder(board.settings) / "main.jsonl").open("a") as file:
            file.write('{"node_id": "cases/a.ya\n')
        board.tell("warmup")
        assert "launch 1 of up to 5, warmup after 0.0 s\r\n" in board.written("warmup after 0.0 s\r\n")


def test_a_debugger_has_the_terminal_to_itself(make_board: Callable[..., Board]) -> None:
    with make_board() as board:
        board.written("so far")
        board.board.pytest_enter_pdb()
        assert board.written(within_s=0.1) == "\r\x1b[J"
        board.tell("warmup")
        assert board.written(within_s=0.15) == ""
        board.board.pytest_leave_pdb()
        assert "warmup, 0 s so far" in board.written("so far")


def test_a_test_that_is_over_is_shown_no_longer(make_board: Callable[..., Board]) -> None:
    with make_board() as board:
        board.written("so far")
        board.tell("shutting down")
        report = pytest.TestReport("cases/a.yaml::a", ("cases/a.yaml", 1, "a"), {}, "passed", None, "call")
        board.board.pytest_runtest_logreport(report)
        assert board.written(within_s=0.15).endswith("\r\x1b[J")
