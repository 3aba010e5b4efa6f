"""How progress is told: news and the time in, lines out; and how pytest and the status share a terminal."""

from __future__ import annotations

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

from pytest_sgdiff.plugin.screen import Screen
from pytest_sgdiff.runner.progress import (
    Narrator,
    Progress,
    Running,
    block,
    cells,
    exactly,
    followed,
    roughly,
    stage_reached,
)
from tests.factories import WAN_STAGES
from tests.terminal import Terminal, received

WAN = Progress(
    node_id="cases/wan22.yaml::wan22_t2v_a14b_720p",
    at=100.0,
    gpus=(0, 1, 2, 3),
    launch=2,
    of=5,
    stage="loading",
    expected_s=360.0,
)
LTX = Progress(
    node_id="cases/ltx2.yaml::ltx2", at=160.0, stage="waiting for 2 GPUs: GPU 0,1: held by x (process 7)", waits=True
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
    stages = ["loading"]
    for line in log.splitlines():
        stage = stage_reached(line.strip(), stages[-1])
        if stage != stages[-1]:
            stages.append(stage)
    assert stages == ["loading", *WAN_STAGES]


def test_a_warmup_line_that_comes_late_does_not_take_the_launch_back() -> None:
    late = "Warmup requests: 100%|##| 1/1 [00:03<00:00,  3.47s/req, warmup req (832x480x17f, 1/20 steps)]"
    assert stage_reached(late, "DenoisingStage") == "DenoisingStage"
    assert stage_reached(late, "loading") == "warmup"


# ------------------------------------------------------------------------------------------------------- the block


def test_a_block_has_a_line_per_case_with_names_as_one_column() -> None:
    denoising = replace(WAN, at=130.0, stage="DenoisingStage")
    assert block([running(WAN, denoising), running(LTX)], 172.9, columns=140, rows=24) == [
        f"  {WAN.node_id}  GPUs 0,1,2,3, launch 2 of up to 5, DenoisingStage, 1 min 12 s of about 6 min",
        "  cases/ltx2.yaml::ltx2                  waiting for 2 GPUs: GPU 0,1: held by x (process 7), 12 s so far",
    ]


def test_a_narrow_block_keeps_the_name_and_the_time() -> None:
    lines = block([running(WAN)], 112.0, columns=30, rows=24)
    assert lines == ["  cases/wan22.yaml::wan22_t2v", "    _a14b_720p", "    G..., 12 s of about 6 min"]
    assert "".join(line.strip() for line in lines[:2]) == WAN.node_id


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
    nasty = replace(LTX, stage="waiting for 1 GPU: GPU 0: busy, process 7 (py\x1b[2J\nthon\r, 3 MiB)")
    (line,) = block([running(nasty)], 160.0, columns=200, rows=24)
    assert line.endswith("waiting for 1 GPU: GPU 0: busy, process 7 (py thon , 3 MiB), 0 s so far")


def test_an_a_b_run_tells_the_engines_apart_and_times_each_launch() -> None:
    base = replace(WAN, engine="base engine", launch=1, of=8, expected_s=None)
    now = replace(base, engine="current engine", at=150.0)
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
            state = followed(state, replace(LTX, at=165.0, stage="waiting for 2 GPUs: GPU 1: held by y (process 8)"))
            said.append((second, narrator.news("main", state, 165.0)))
        said.append((second, narrator.tick("main", state, float(second))))
    assert [(second, line) for second, line in said if line] == [
        (170, "  cases/ltx2.yaml::ltx2: waiting for 2 GPUs: GPU 1: held by y (process 8), 10 s so far"),
        (230, "  cases/ltx2.yaml::ltx2: waiting for 2 GPUs: GPU 1: held by y (process 8), 70 s so far"),
    ]


def test_waiting_to_be_alone_names_the_launch_that_waits() -> None:
    narrator = Narrator()
    state = running(WAN, replace(WAN, at=200.0, launch=3, stage="waiting to be alone beside ltx2", waits=True))
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


# ------------------------------------------------------------------------------------------------------ the screen


class Tty:
    """A pseudo-terminal with a `Screen` on it; `seen` is what stands there."""

    def __init__(self, columns: int = 40, rows: int = 10) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.file = os.fdopen(slave, "w", encoding="utf-8")
        self.terminal = Terminal(columns or 80, rows or 24)
        self.screen = Screen(self.file)

    @property
    def seen(self) -> str:
        """The text on the terminal now."""
        self.terminal.feed(received(self._master, self.file.fileno()))
        return self.terminal.text

    def close(self) -> None:
        """Hang up."""
        self.screen.close()
        self.file.close()
        os.close(self._master)


@pytest.fixture
def tty() -> Iterator[Tty]:
    made = Tty()
    yield made
    made.close()


def test_a_block_stands_below_an_unfinished_line_and_leaves_no_trace(tty: Tty) -> None:
    tty.screen.write("tests/test_a.py .")
    tty.screen.show(["  one", "  two"])
    assert tty.seen == "tests/test_a.py .\n  one\n  two"
    tty.screen.show(["  one, 1 s"])
    assert tty.seen == "tests/test_a.py .\n  one, 1 s"
    tty.screen.write(".")
    assert tty.seen == "tests/test_a.py .."
    tty.screen.show(["  two"])
    tty.screen.write("\nnext line\n")
    tty.screen.show(["  three"])
    assert tty.seen == "tests/test_a.py ..\nnext line\n  three"
    tty.screen.close()
    assert tty.seen == "tests/test_a.py ..\nnext line"


def test_a_block_leaves_no_trace_of_an_unfinished_line_that_wraps_at_the_bottom_of_the_screen(tty: Tty) -> None:
    before = "".join(f"line {number}\n" for number in range(12))
    long = "\x1b[32m" + "tests/test_a.py " + "." * 64 + "\x1b[0m"
    tty.screen.write(before + long)
    plain = tty.seen
    for _ in range(3):
        tty.screen.show(["  one", "  two", "  three"])
        tty.screen.write("")
    assert tty.seen == plain


def test_an_interrupt_echoed_into_the_block_leaves_no_trace(tty: Tty) -> None:
    tty.screen.write("start\n")
    tty.screen.show(["  " + "x" * 37, "  " + "y" * 37])
    assert "xxx" in tty.seen
    tty.terminal.feed("^C")
    tty.screen.close()
    assert tty.seen == "start"


def test_a_line_comes_in_between_and_pytest_goes_on_with_its_own() -> None:
    file = io.StringIO()
    screen = Screen(file)
    screen.write("cases/a.yaml::x ")
    screen.line("  launch 1")
    screen.line("  launch 2")
    screen.write("PASSED")
    screen.line("  launch 3")
    screen.write("\nend\n")
    screen.line("  launch 4")
    screen.write("rest\n")
    assert file.getvalue() == (
        "cases/a.yaml::x \n  launch 1\n  launch 2\ncases/a.yaml::x PASSED\n  launch 3\nend\n  launch 4\nrest\n"
    )


@pytest.mark.parametrize("rows_and_columns", [(0, 0), (10, 0), (0, 40)])
def test_a_terminal_without_a_size_is_taken_for_a_usual_one(rows_and_columns: tuple[int, int]) -> None:
    rows, columns = rows_and_columns
    tty = Tty(columns, rows)
    assert tty.screen.size() == (columns or 80, rows or 24)
    tty.close()


def test_a_reader_that_has_gone_away_raises_nothing() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as file:
        screen = Screen(file)
        os.close(reading)
        assert screen.write("for nobody\n") == len("for nobody\n")
        screen.line("for nobody")
        screen.show(["for nobody"])
        screen.close()


def test_a_full_disk_is_pytest_s_to_report_and_not_the_status_s() -> None:
    with open("/dev/full", "w") as file:
        screen = Screen(file)
        with pytest.raises(OSError, match="No space left"):
            screen.write("pytest's own\n")
        screen.line("the status's")
        screen.close()


def test_a_name_that_the_terminal_cannot_show_is_escaped() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w", encoding="ascii") as file:
        screen = Screen(file)
        screen.line("cases/日.yaml")
        screen.close()
    assert os.read(reading, 100) == b"cases/\\u65e5.yaml\n"
    os.close(reading)
