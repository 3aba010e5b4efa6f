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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from types import SimpleNamespace
from typing import TextIO, cast

import pytest

from pytest_sgdiff import gpus
from pytest_sgdiff.files import temp_dirs
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason
from pytest_sgdiff.plugin.live import StatusBoard, status_folder, status_writer
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
        # pytest's own helper of tests wants no colours, and a width that is not the terminal's.
        env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "PY_COLORS")}
        env["TERM"] = "xterm"
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
                    until = None
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
    cases.write_text(re.sub(r"launches: .*", "launches: {baseline: 3, checkpoints: [1]}", cases.read_text()))
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
    ticks = shown.lines(re.escape(line).replace(r"\{\}", r"\d s"))
    assert len(ticks) > 1
    assert ticks == sorted(ticks) == shown.lines("  cases/.*loading.*")
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
    assert long.run_apart("--sgdiff-gpus=4", "-n", "1").ret == pytest.ExitCode.INTERRUPTED
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
    result = long.run_apart("--sgdiff-gpus=4", "cases", "-n1")
    said = [line for line in result.outlines if line.startswith("  cases")]
    assert said == ["  cases/tiny.yaml::tiny: GPU 0, launch 1 of up to 1, about 6 min"]
    assert result.outlines[result.outlines.index(said[0]) + 1].startswith("cases/tiny.yaml::tiny  GPU 0 ")
    assert "\x1b" not in result.stdout.str()


def test_waiting_for_gpus_names_who_has_them_and_an_interrupt_takes_the_block_away(long: Project) -> None:
    pool = gpus.Pool(gpus.resolve("4"), run_id="other", folder=str(long.root / "locks"))
    with pool.lease(4, timeout_s=5, tag="wan22"):
        # It ends while the other run still has the GPUs.
        shown = on_a_terminal("cases", until=lambda now: "1 s so far" in now.raw)
        assert shown.code == pytest.ExitCode.INTERRUPTED
    held = WaitReason(code="held", gpus=(0, 1, 2, 3), tag="wan22", pid=os.getpid())
    wait = Wait(aim="gpus", count=1, reasons=(held,))
    assert {line.rpartition(", ")[0] for line in shown.lines("  cases/.* s so far")} == {
        f"  cases/tiny.yaml::tiny  {wait}"
    }
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
    """A board on a pseudo-terminal in this process, with one case that runs; it looks when the test says so."""

    def __init__(self, pytester: pytest.Pytester, *arguments: str, columns: int, file: TextIO | None, ci: bool) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self._tty = os.fdopen(slave, "w")
        self.settings = cast(Settings, SimpleNamespace(run_id=f"test-{os.getpid()}", ci=ci))
        self._patch = pytest.MonkeyPatch()
        self._patch.setattr(sys, "stdout", file or self._tty)
        try:
            self.config = pytester.parseconfigure(*arguments)
            self.board = StatusBoard(self.config, self.settings)
            self._loop = self.board.pytest_runtestloop()
            next(self._loop)
        except BaseException:
            self._patch.undo()
            raise
        self.tell("loading")

    def tell(self, stage: str, at: float = 100.0) -> None:
        """News of the case."""
        write = status_writer(self.settings, worker="main")
        write(Progress(node_id="cases/a.yaml::a", at=at, launch=1, of=5, stage=stage))

    def looked(self, now: float = 100.0) -> str:
        """What the terminal got after two looks, between which pytest was silent."""
        for _ in range(2):
            self.board.look(now)
        return self.written

    @contextlib.contextmanager
    def hook(self, name: str = "pytest_runtest_logstart", **arguments: object) -> Iterator[None]:
        """What pytest does within one of its hooks."""
        around = getattr(self.board, name)(**arguments)
        next(around)
        yield
        with contextlib.suppress(StopIteration):
            around.send(None)

    def end(self) -> None:
        """The last test is over."""
        with contextlib.suppress(StopIteration):
            self._loop.send(None)

    @property
    def written(self) -> str:
        """What the terminal got until now."""
        return received(self._master, self._tty.fileno())

    def close(self) -> None:
        """Hang up."""
        self.end()
        self._patch.undo()
        self._tty.close()
        os.close(self._master)


@pytest.fixture
def make_board(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Board]]:
    """Makes boards that do not look by themselves, for a run with options."""
    made: list[Board] = []
    monkeypatch.setattr("pytest_sgdiff.plugin.live.POLL_S", 3600.0)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    for name in ("NO_COLOR", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)

    def make(*options: str, columns: int = 80, file: TextIO | None = None, ci: bool = False) -> Board:
        made.append(Board(pytester, "--capture=fd", *options, columns=columns, file=file, ci=ci))
        return made[-1]

    yield make
    for board in made:
        board.close()


BLOCK = "\x1b[J\x1bD\x1b[1A\x1b7\r\r\n  cases/a.yaml::a  launch 1 of up to 5, loading, 0 s so far\x1b8"
GONE = "\x1b[J"
LINE = "  cases/a.yaml::a: launch 1 of up to 5\r\n"


@pytest.mark.parametrize("options", [[], ["--no-summary"], ["-v"], ["--color=yes"]])
def test_a_terminal_gets_a_block(make_board: Callable[..., Board], options: list[str]) -> None:
    board = make_board(*options)
    assert board.looked() == BLOCK
    assert board.looked() == ""
    board.end()
    assert board.written == GONE


OTHERS_WRITE = [["-s"], ["--capture=tee-sys"], ["--setup-show"], ["--log-cli-level=INFO"], ["-o", "log_cli=true"]]


@pytest.mark.parametrize("options", [["--color=no"], *OTHERS_WRITE])
def test_a_terminal_gets_lines_where_escapes_are_unwanted_or_others_write(
    make_board: Callable[..., Board], options: list[str]
) -> None:
    board = make_board(*options)
    assert board.looked() == LINE
    board.end()
    assert board.written == ""


@pytest.mark.parametrize("without", ["logging", "setuponly"])
def test_a_terminal_gets_a_block_without_a_part_of_pytest(make_board: Callable[..., Board], without: str) -> None:
    assert make_board("-p", f"no:{without}").looked() == BLOCK


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}, {"NO_COLOR": "1"}, {"PY_COLORS": "0"}, {"CI": "true"}])
def test_a_dumb_terminal_and_one_of_ci_get_lines(
    make_board: Callable[..., Board], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert make_board(ci="CI" in variables).looked() == LINE


@pytest.mark.parametrize("options", [["-q"], ["-qq"], ["--collect-only"], ["-p", "no:terminal"]])
def test_whoever_asks_for_silence_gets_it(make_board: Callable[..., Board], options: list[str]) -> None:
    board = make_board(*options)
    with board.hook():
        assert board.looked() == ""
    assert board.looked() == ""
    board.end()
    assert not status_folder(board.settings).exists()


def test_another_reporter_in_the_place_of_pytest_s_gets_nothing(make_board: Callable[..., Board]) -> None:
    """Nobody knows what it does with the terminal."""
    board = make_board()
    board.end()
    manager = board.config.pluginmanager
    manager.unregister(name="terminalreporter")
    manager.register(SimpleNamespace(), "terminalreporter")
    other = StatusBoard(board.config, board.settings)
    loop = other.pytest_runtestloop()
    next(loop)
    board.tell("loading")
    other.look(100.0)
    other.look(100.0)
    with contextlib.suppress(StopIteration):
        loop.send(None)
    assert board.written == ""


@pytest.mark.parametrize(
    "hook",
    [
        *("pytest_runtest_logstart", "pytest_runtest_logfinish", "pytest_collectreport", "pytest_internalerror"),
        *("pytest_testnodeready", "pytest_testnodedown", "pytest_xdist_node_collection_finished"),
    ],
)
def test_the_block_is_gone_while_pytest_writes_and_until_it_was_silent_for_a_look(
    make_board: Callable[..., Board], hook: str
) -> None:
    board = make_board()
    assert board.looked() == BLOCK
    with board.hook(hook):
        assert board.written == GONE
        assert board.looked() == ""
    board.board.look(100.0)
    assert board.written == ""  # xdist writes after some of its hooks
    board.board.look(100.0)
    assert board.written == BLOCK


def test_the_block_is_gone_within_hooks_of_hooks(make_board: Callable[..., Board]) -> None:
    board = make_board()
    with board.hook():
        with board.hook("pytest_internalerror"):
            pass
        assert board.looked() == ""
    assert board.looked() == BLOCK


def test_an_error_of_another_plugin_in_a_hook_is_not_kept_back(make_board: Callable[..., Board]) -> None:
    board = make_board()
    around = board.board.pytest_runtest_logstart()
    next(around)
    with pytest.raises(BrokenPipeError, match="another pipe"):
        around.throw(BrokenPipeError("another pipe"))
    assert board.looked() == BLOCK


def test_the_folder_of_a_killed_run_is_removed_by_the_next_and_that_of_a_living_one_is_not(
    make_board: Callable[..., Board], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, lock = temp_dirs.make("sgdiff-status-", "living")
    killed = tmp_path / "sgdiff-status-2026-01-01T00-00-00-1"
    killed.mkdir()
    (killed / "main.jsonl").write_text("{}\n")
    board = make_board()
    assert sorted(tmp_path.iterdir()) == sorted((Path(living), status_folder(board.settings)))
    board.end()
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
    assert f"ERROR: {folder}, where " in result.stderr.str()
    assert "name another folder for temporary files with TMPDIR" in result.stderr.str()
    assert list(precious.iterdir()) == []
    assert not (tmp_path / "elsewhere").exists()


def test_a_reader_that_leaves_while_a_hook_runs_ends_nothing(make_board: Callable[..., Board]) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        board = make_board(file=file)
        around = board.board.pytest_runtest_logstart()
        next(around)
        os.close(reading)
        with pytest.raises(StopIteration):
            around.throw(BrokenPipeError())
        print("for nobody", file=file, flush=True)
        board.end()


@pytest.mark.parametrize(("columns", "blocks"), [(19, 0), (20, 1)])
def test_a_terminal_too_narrow_for_a_block_shows_none(
    make_board: Callable[..., Board], columns: int, blocks: int
) -> None:
    assert make_board(columns=columns).looked().count("\x1b7") == blocks


def test_no_block_stands_below_a_line_that_reaches_the_edge(make_board: Callable[..., Board]) -> None:
    """Whether the cursor is still in that line, terminals do not agree."""
    board = make_board(columns=80)
    writer = board.config.get_terminal_writer()
    writer.write("x" * 80, flush=True)
    assert board.looked() == "x" * 80
    writer.write("x", flush=True)
    assert board.looked() == "x" + BLOCK


def test_a_file_without_a_descriptor_gets_lines(make_board: Callable[..., Board]) -> None:
    file = io.StringIO()
    make_board(file=file).looked()
    assert file.getvalue() == "  cases/a.yaml::a: launch 1 of up to 5\n"


def test_half_a_line_of_news_is_passed_over(make_board: Callable[..., Board]) -> None:
    board = make_board("--color=no", "-vv")
    with (status_folder(board.settings) / "main.jsonl").open("a") as file:
        file.write('{"node_id": "cases/a.ya\n')
    board.tell("warmup", at=101.0)
    assert board.looked() == LINE + "  cases/a.yaml::a: launch 1 of up to 5, warmup after 1.0 s\r\n"


def test_a_debugger_has_the_terminal_to_itself(make_board: Callable[..., Board]) -> None:
    board = make_board()
    board.looked()
    board.board.pytest_enter_pdb()
    assert board.written == GONE
    board.tell("warmup")
    assert board.looked() == ""
    board.board.pytest_leave_pdb()
    assert "warmup, 0 s so far" in board.looked()


def report(when: str, outcome: str) -> pytest.TestReport:
    return pytest.TestReport("cases/a.yaml::a", ("cases/a.yaml", 1, "a"), {}, outcome, None, when)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("when", "outcome", "over"), [("setup", "passed", False), ("setup", "skipped", True), ("call", "failed", True)]
)
def test_a_test_that_is_over_is_shown_no_longer(
    make_board: Callable[..., Board], when: str, outcome: str, over: bool
) -> None:
    board = make_board()
    board.looked()
    board.tell("shutting down")
    with board.hook("pytest_runtest_logreport", report=report(when, outcome)):
        assert board.written == GONE
    assert ("shutting down" in board.looked()) is not over


def test_what_a_dead_worker_ran_is_shown_no_longer(make_board: Callable[..., Board]) -> None:
    """xdist reports its test in its name, in no phase."""
    board = make_board()
    write = status_writer(board.settings, worker="gw1")
    write(Progress(node_id="cases/b.yaml::b", at=100.0, launch=2, of=5, stage="loading"))
    assert board.looked().count("loading") == 2
    dead = report("???", "failed")
    dead.node = SimpleNamespace(gateway=SimpleNamespace(id="gw1"))  # type: ignore[attr-defined]
    with board.hook("pytest_runtest_logreport", report=dead):
        assert board.written == GONE
    assert board.looked() == BLOCK


def test_lines_of_a_case_begin_below_the_line_that_pytest_writes(make_board: Callable[..., Board]) -> None:
    board = make_board("--color=no")
    writer = board.config.get_terminal_writer()
    writer.write("test_b.py .")
    with board.hook("pytest_runtest_setup", item=SimpleNamespace(stash={}, fixturenames=["sgdiff"])):
        pass
    assert board.looked() == "test_b.py .\r\n" + LINE
    assert writer.width_of_current_line == 0


def test_another_test_goes_on_in_the_line_that_pytest_writes(make_board: Callable[..., Board]) -> None:
    board = make_board("--color=no")
    board.config.get_terminal_writer().write("test_b.py .")
    with board.hook("pytest_runtest_setup", item=SimpleNamespace(stash={}, fixturenames=["tmp_path"])):
        pass
    assert board.config.get_terminal_writer().width_of_current_line == len("test_b.py .")


def test_under_xdist_a_line_comes_below_the_dots_of_other_tests(make_board: Callable[..., Board]) -> None:
    board = make_board("--color=no", "-p", "xdist.plugin", "--dist=load", "--tx=popen")
    board.config.get_terminal_writer().write("..")
    assert board.looked() == "..\r\n" + LINE
    assert board.looked(160.0).startswith("  still running: cases/a.yaml::a")
