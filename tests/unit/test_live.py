"""How progress is told: news and the time in, lines out; and how pytest and the status share a terminal."""

from __future__ import annotations

import contextlib
import io
import os
import pty
import struct
import termios
from collections.abc import Iterator
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path

import pytest

from pytest_sgdiff.engines.stages import ENDING, LOADING, WARMUP, stage_reached
from pytest_sgdiff.plugin.live import Out
from pytest_sgdiff.reports.progress_text import STATE_LINES, Narrator, block, cells, exactly, roughly
from pytest_sgdiff.runner.progress import Progress, Running, followed
from tests.factories import WAN_STAGES
from tests.terminal import Terminal, received

WAN = Progress(
    node_id="cases/wan22.yaml::wan22_t2v_a14b_720p",
    at=100.0,
    gpus=(0, 1, 2, 3),
    launch=2,
    of=5,
    stage=LOADING,
    expected_s=360.0,
)
LTX = Progress(
    node_id="cases/ltx2.yaml::ltx2", at=160.0, waits_for="waiting for 2 GPUs: GPU 0,1: held by x (process 7)"
)
RECORDINGS = Path(__file__).parents[2] / "examples" / "recordings" / "h200"


def running(*progress: Progress) -> Running:
    """The case after this news."""
    state = None
    for one in progress:
        state = followed(state, one)
    assert state is not None
    return state


# ------------------------------------------------------------------------------------------------ the engine's log


@pytest.mark.parametrize("recording", ["tiny_wan_unchanged", "tiny_wan_cold"])
def test_a_real_log_tells_its_stages_in_order(recording: str) -> None:
    log = (RECORDINGS / recording / "00" / "engine.log").read_text()
    stages = [LOADING]
    for line in log.splitlines():
        stage = stage_reached(line.strip(), stages[-1])
        if stage != stages[-1]:
            stages.append(stage)
    assert stages == [LOADING, *WAN_STAGES]
    assert stages[-1] == ENDING


def test_a_warmup_line_that_comes_late_does_not_take_the_launch_back() -> None:
    late = "Warmup requests: 100%|##| 1/1 [00:03<00:00,  3.47s/req, warmup req (832x480x17f, 1/20 steps)]"
    assert stage_reached(late, "DenoisingStage") == "DenoisingStage"
    assert stage_reached(late, LOADING) == WARMUP


# ------------------------------------------------------------------------------------------------------- the block


def test_a_block_has_a_line_per_case_with_names_as_one_column() -> None:
    denoising = replace(WAN, at=130.0, stage="DenoisingStage")
    assert block([running(WAN, denoising), running(LTX)], 172.9, columns=140, rows=24) == [
        f"  {WAN.node_id}  GPUs 0,1,2,3, launch 2 of up to 5, DenoisingStage, 1 min 12 s of about 6 min",
        "  cases/ltx2.yaml::ltx2                  waiting for 2 GPUs: GPU 0,1: held by x (process 7), 12 s so far",
    ]


def test_a_narrow_block_says_everything_in_more_lines() -> None:
    lines = block([running(WAN)], 112.0, columns=40, rows=24)
    assert lines == [
        "  cases/wan22.yaml::wan22_t2v_a14b_720p",
        "    GPUs 0,1,2,3, launch 2 of up to 5,",
        "    loading, 12 s of about 6 min",
    ]
    assert block([running(WAN)], 112.0, columns=30, rows=24) == [
        "  cases/wan22.yaml::wan22_t2v",
        "    _a14b_720p",
        "    GPUs 0,1,2,3, launch 2 of",
        "    up to 5, loading, 12 s of",
        "    about 6 min",
    ]


def test_a_wait_with_many_reasons_is_cut_and_keeps_the_time() -> None:
    holders = ", ".join(f"GPU {number}: held by case{number} (process {4000 + number})" for number in range(40))
    many = replace(LTX, waits_for=f"waiting for 8 GPUs: {holders}")
    for columns in (20, 40, 80):
        name, *state = block([running(many)], 172.0, columns=columns, rows=24)[-STATE_LINES - 1 :]
        assert len(state) == STATE_LINES
        assert " ".join(map(str.strip, state)).endswith("..., 12 s so far")
        assert name.endswith("ltx2")


def test_no_line_of_a_block_reaches_the_edge() -> None:
    wide = replace(WAN, node_id="cases/長い名前の長い名前の事例.yaml::長い名前")
    for columns in range(20, 140):
        lines = block([running(WAN), running(LTX), running(wide)], 170.0, columns=columns, rows=100)
        assert max(map(cells, lines)) < columns
        assert "長い名前の長い名前の事例" in "".join(line.strip() for line in lines)


def test_a_block_of_more_cases_than_rows_counts_the_rest() -> None:
    cases = [running(replace(WAN, node_id=f"cases/a.yaml::case{number}")) for number in range(9)]
    lines = block(cases, 101.0, columns=120, rows=6)
    assert lines[-1] == "  and 6 more"
    assert [line.split()[0] for line in lines[:-1]] == [f"cases/a.yaml::case{number}" for number in range(3)]
    assert block(cases, 101.0, columns=120, rows=2) == []


def test_no_name_of_a_foreign_process_breaks_the_block() -> None:
    nasty = replace(LTX, waits_for="waiting for 1 GPU: GPU 0: busy, process 7 (py\x1b[2J\nthon\r, 3 MiB)")
    (line,) = block([running(nasty)], 160.0, columns=200, rows=24)
    assert line.endswith("waiting for 1 GPU: GPU 0: busy, process 7 (py thon , 3 MiB), 0 s so far")


def test_an_a_b_run_tells_the_engines_apart_and_times_each_launch() -> None:
    base = replace(WAN, side="base", launch=1, of=8, expected_s=None)
    now = replace(base, side="current", at=150.0)
    assert block([running(base, now)], 155.0, columns=140, rows=24) == [
        f"  {WAN.node_id}  GPUs 0,1,2,3, current engine, launch 1 of up to 8, loading, 5 s so far",
    ]


# ------------------------------------------------------------------------------------------------- lines that stay


def test_a_log_gets_a_line_per_launch_and_one_per_minute_of_silence() -> None:
    narrator, said = Narrator(), []
    state = running(WAN)
    said.append((100, narrator.news("gw0", state, 100.0)))
    for second in range(101, 300):
        if second == 130:
            state = followed(state, replace(WAN, at=130.0, stage="DenoisingStage"))
            said.append((second, narrator.news("gw0", state, 130.0)))
        said.append((second, narrator.tick("gw0", state, float(second))))
    still = f"  still running: {WAN.node_id}: GPUs 0,1,2,3, launch 2 of up to 5, DenoisingStage, "
    assert [(second, line) for second, line in said if line] == [
        (100, "  cases/wan22.yaml::wan22_t2v_a14b_720p: GPUs 0,1,2,3, launch 2 of up to 5, about 6 min"),
        (160, still + "60 s of about 6 min"),
        (220, still + "2 min of about 6 min"),
        (280, still + "3 min of about 6 min"),
    ]


def test_a_wait_is_told_when_it_lasts_and_then_once_a_minute() -> None:
    narrator, state = Narrator(), running(LTX)
    said = [(160, narrator.news("main", state, 160.0))]
    for second in range(161, 240):
        if second == 165:
            # What is waited for may change often.
            state = followed(
                state, replace(LTX, at=165.0, waits_for="waiting for 2 GPUs: GPU 1: held by y (process 8)")
            )
            said.append((second, narrator.news("main", state, 165.0)))
        said.append((second, narrator.tick("main", state, float(second))))
    assert [(second, line) for second, line in said if line] == [
        (170, "  cases/ltx2.yaml::ltx2: waiting for 2 GPUs: GPU 1: held by y (process 8), 10 s so far"),
        (230, "  cases/ltx2.yaml::ltx2: waiting for 2 GPUs: GPU 1: held by y (process 8), 70 s so far"),
    ]


def test_waiting_to_be_alone_names_the_launch_that_waits() -> None:
    narrator = Narrator()
    state = running(WAN, replace(WAN, at=200.0, launch=3, stage="", waits_for="waiting to be alone beside ltx2"))
    narrator.news("main", state, 200.0)
    assert narrator.tick("main", state, 210.0) == (
        "  cases/wan22.yaml::wan22_t2v_a14b_720p: waiting to be alone beside ltx2, GPUs 0,1,2,3, launch 3 of up to 5, "
        "10 s so far"
    )
    state = followed(state, replace(WAN, at=211.0, launch=3))
    assert narrator.news("main", state, 211.0) == (
        "  cases/wan22.yaml::wan22_t2v_a14b_720p: GPUs 0,1,2,3, launch 3 of up to 5, about 6 min"
    )


@pytest.mark.parametrize(("verbosity", "told"), [(0, []), (1, ["DenoisingStage"]), (2, ["warmup", "DenoisingStage"])])
def test_stages_are_told_from_v_on_and_short_ones_from_vv_on(verbosity: int, told: list[str]) -> None:
    narrator, state = Narrator(verbosity=verbosity), running(WAN)
    narrator.news("main", state, 100.0)
    lines = [narrator.tick("main", state, 100.0)]
    for at, stage in ((101.0, "warmup"), (101.2, "DenoisingStage")):
        state = followed(state, replace(WAN, at=at, stage=stage))
        lines.append(narrator.news("main", state, 101.5))
    lines += [narrator.tick("main", state, 101.5), narrator.tick("main", state, 102.0)]
    head = "  cases/wan22.yaml::wan22_t2v_a14b_720p: GPUs 0,1,2,3, launch 2 of up to 5, "
    times = {"warmup": "1.0 s", "DenoisingStage": "1.2 s"}
    assert [line for line in lines if line] == [f"{head}{stage} after {times[stage]}" for stage in told]


def test_a_launch_in_place_of_a_disturbed_one_goes_beyond_the_plan_and_a_recording_counts_exactly() -> None:
    narrator = Narrator()
    line = narrator.news("main", running(replace(WAN, gpus=(3,), launch=6, expected_s=None)), 100.0)
    assert line == "  cases/wan22.yaml::wan22_t2v_a14b_720p: GPU 3, launch 6 of up to 6"
    line = narrator.news("main", running(replace(WAN, gpus=(), launch=1, of=10, exact=True)), 100.0)
    assert line == "  cases/wan22.yaml::wan22_t2v_a14b_720p: launch 1 of 10, about 6 min"


@pytest.mark.parametrize(
    ("seconds", "ticking", "rough"),
    [(0.4, "0 s", "0 s"), (59.9, "59 s", "60 s"), (99.6, "1 min 39 s", "2 min"), (4320, "1 h 12 min", "1 h 12 min")],
)
def test_durations_tick_on_a_terminal_and_are_round_in_a_log(seconds: float, ticking: str, rough: str) -> None:
    assert (exactly(seconds), roughly(seconds)) == (ticking, rough)


# ------------------------------------------------------------------------------------------------ on the terminal


class Tty:
    """A pseudo-terminal on which pytest writes with `pytest`, and the status with `out`."""

    def __init__(self, columns: int = 40, rows: int = 10) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.terminal = Terminal(columns or 80, rows or 24)
        self.out = Out(self.file)

    def pytest(self, text: str) -> None:
        """Write as pytest does."""
        self.file.write(text)
        self.file.flush()

    @property
    def seen(self) -> str:
        """The text on the terminal now."""
        self.terminal.feed(received(self._master, self.file.fileno()))
        return self.terminal.text

    def close(self) -> None:
        """Hang up."""
        self.out.close()
        self.file.close()
        os.close(self._master)


@pytest.fixture
def tty() -> Iterator[Tty]:
    made = Tty()
    yield made
    made.close()


def test_a_block_stands_below_the_line_of_pytest_which_goes_on_where_it_was(tty: Tty) -> None:
    tty.pytest("tests/test_a.py .")
    tty.out.show(["  one", "  two"])
    assert tty.seen == "tests/test_a.py .\n  one\n  two"
    tty.out.show(["  one, 1 s"])
    assert tty.seen == "tests/test_a.py .\n  one, 1 s"
    tty.out.show([])
    tty.pytest(".")
    assert tty.seen == "tests/test_a.py .."
    tty.out.show(["  two"])
    tty.out.show([])
    tty.pytest("\nnext line\n")
    tty.out.show(["  three"])
    assert tty.seen == "tests/test_a.py ..\nnext line\n\n  three"


@pytest.mark.parametrize("unfinished", ["", "test_a.py .", "\x1b[32mtest_a.py " + "." * 60 + "\x1b[0m"])
@pytest.mark.parametrize("above", range(12))
def test_a_block_leaves_no_trace_wherever_on_the_screen_pytest_is(unfinished: str, above: int) -> None:
    tty, plain = Tty(), Terminal(40, 10)
    text = "".join(f"line {number}\n" for number in range(above)) + unfinished
    tty.pytest(text)
    plain.feed(text.replace("\n", "\r\n"))
    for _ in range(3):
        tty.out.show(["  one", "  two", "  three"])
        assert tty.seen.splitlines()[-3:] == ["  one", "  two", "  three"]
        tty.out.show([])
        assert tty.seen == plain.text
    tty.pytest(".")
    plain.feed(".")
    assert tty.seen == plain.text
    tty.close()


def test_a_terminal_made_narrower_keeps_no_trace_of_a_wider_block() -> None:
    file, narrower = io.StringIO(), Terminal(20, 10)
    out = Out(file)
    out.show(["  " + "x" * 37, "  " + "y" * 37])
    narrower.feed("start " + file.getvalue())
    assert narrower.text.count("\n") == 4
    file.seek(0)
    file.truncate()
    out.show(["  z"])
    narrower.feed(file.getvalue())
    assert narrower.text == "start\n  z"


def test_an_echo_of_ctrl_c_leaves_nothing_of_the_block(tty: Tty) -> None:
    tty.pytest("start\n")
    tty.out.show(["  " + "x" * 37, "  " + "y" * 37])
    assert "xxx" in tty.seen
    tty.terminal.feed("^C")
    tty.out.show([])
    assert tty.seen == "start\n^C"


@pytest.mark.parametrize("rows_and_columns", [(0, 0), (10, 0), (0, 40)])
def test_a_terminal_without_a_size_is_taken_for_a_usual_one(rows_and_columns: tuple[int, int]) -> None:
    rows, columns = rows_and_columns
    tty = Tty(columns, rows)
    assert tty.out.size() == (columns or 80, rows or 24)
    tty.close()
    assert tty.out.size() == (80, 24)


def test_a_reader_that_has_gone_away_raises_nothing_for_pytest_either() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        out = Out(file)
        assert not out.outlive_reader()
        os.close(reading)
        out.put("for nobody")
        assert out.outlive_reader()
        file.write("for nobody\n")
        file.flush()
        assert not out.outlive_reader()


def test_a_full_disk_is_pytest_s_to_report_and_not_the_status_s() -> None:
    with contextlib.suppress(OSError), open("/dev/full", "w") as file:
        out = Out(file)
        out.put("the status's\n")
        assert not out.outlive_reader()
        file.write("pytest's own\n")
        with pytest.raises(OSError, match="No space left"):
            file.flush()


def test_a_name_that_the_terminal_cannot_show_is_escaped() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii") as file:
        out = Out(file)
        out.put("cases/日.yaml\n")
        out.close()
    assert os.read(reading, 100) == b"cases/\\u65e5.yaml\n"
    os.close(reading)


def test_a_stream_without_a_descriptor_is_written_itself_and_left_open() -> None:
    file = io.StringIO()
    out = Out(file)
    out.put("line\n")
    assert (file.getvalue(), out.outlive_reader(), out.size()) == ("line\n", False, (80, 24))
    out.close()
    assert not file.closed
