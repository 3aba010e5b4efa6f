"""Traces of the engine's profiler: real ones are read, others are refused, and what changed between two is found.

The traces in tests/data/traces are real, with fewer fields and events: two steps of a tiny Wan on the CPU (0.5.17 and
0.5.23), and a small transformer on an H200, once with a gelu that is computed eight times.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import ProfileRow, ProfileSummary
from pytest_sgdiff.profiling import row_changes, trace_events, trace_summary
from pytest_sgdiff.profiling.row_changes import changes, comparable, fewest
from pytest_sgdiff.profiling.trace_events import TraceError, events
from pytest_sgdiff.profiling.trace_summary import summary_of

TRACES = Path(__file__).parents[1] / "data" / "traces"
ATTENTION = "aten::_scaled_dot_product_flash_attention_for_cpu"
STAGES = (
    *("InputValidationStage", "TextEncodingStage", "LatentPreparationStage", "TimestepPreparationStage"),
    *("DenoisingStage", "DecodingStage"),
)


def real(name: str, *, stages: tuple[str, ...] = ()) -> ProfileSummary:
    with (TRACES / f"{name}.trace.json.gz").open("rb") as file:
        summary = summary_of(file, reach="stages", stages=stages)
    assert summary is not None
    return summary


def event(name: str, start: float, took: float, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": "cpu_op", "name": name, "pid": 1, "tid": 1, "ts": start, "dur": took, **more}


def text(*found: Mapping[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 1, "traceEvents": list(found), "traceName": "x"}).encode()


def read(content: bytes, **more: Any) -> ProfileSummary | None:
    return summary_of(io.BytesIO(content), reach="stages", **more)


def self_ms(summary: ProfileSummary | None) -> dict[str, float]:
    assert summary is not None
    return {row.name: row.self_ms for row in summary.rows}


@pytest.mark.parametrize("version", ["0.5.17", "0.5.23"])
def test_real_traces_have_stages_steps_and_operators(version: str) -> None:
    summary = real(f"wan_{version}", stages=STAGES)
    assert (summary.clock, summary.steps, tuple(summary.stages_ms)) == ("cpu", (0, 1), STAGES)
    attention = [row for row in summary.rows if row.name == ATTENTION]
    # Six layers, two steps, with and without guidance; self-attention and cross-attention.
    assert [(row.stage, row.count) for row in attention] == [("DenoisingStage", 24)] * 2
    assert all(
        len(row.steps_ms) == 2 and sum(row.steps_ms) == pytest.approx(row.self_ms, abs=1e-3) for row in attention
    )


def test_annotated_stages_have_their_names_without_a_dump() -> None:
    stage = event("STAGE TextEncodingStage", 0, 10, cat="user_annotation")
    summary = read(text(stage, event("op", 5, 1)))
    assert summary is not None
    assert (summary.stages_ms, summary.rows[0].stage) == ({"TextEncodingStage": 0.01}, "TextEncodingStage")


def test_on_a_gpu_an_operator_has_the_time_of_its_kernels() -> None:
    base, slower = real("h200_base"), real("h200_slower_gelu")
    assert (base.clock, base.steps) == ("device", tuple(range(6)))
    gelu = next(row for row in base.rows if row.name == "aten::gelu")
    kernel = next(row for row in base.rows if row.part == "kernel" and "GeluCUDA" in row.name)
    assert (gelu.stage, gelu.count, gelu.self_ms) == ("DenoisingStage", kernel.count, kernel.self_ms)
    found = changes(base, slower)
    operators, kernels = ([row for row in found.rows if row.part == part] for part in ("operator", "kernel"))
    assert (operators[0].name, operators[0].shape) == ("aten::gelu", "[1, 4096, 2048]")
    assert (operators[0].now_count, operators[0].first, operators[0].last) == (8 * gelu.count, 0, 5)
    assert "GeluCUDA" in kernels[0].name
    assert found.typical == pytest.approx(1, abs=0.02)


def test_kernels_of_a_graph_stand_in_the_stage_in_which_they_ran() -> None:
    rows = [row for row in real("h200_base").rows if row.name == "(launched by no operator)"]
    assert [(row.stage, row.count) for row in rows] == [("DenoisingStage", 2)]


def test_self_time_is_without_the_calls_inside() -> None:
    outer = event("outer", 0, 100)
    found = read(text(outer, event("inner", 10, 30), event("inner", 50, 20), event("leaf", 15, 5)))
    assert self_ms(found) == {"outer": 0.05, "inner": 0.045, "leaf": 0.005}
    # On another thread nothing is inside.
    assert self_ms(read(text(outer, event("inner", 10, 30, tid=2)))) == {"outer": 0.1, "inner": 0.03}


def test_a_call_without_an_end_counts_until_the_end_of_the_one_that_it_is_in() -> None:
    function = {"cat": "python_function"}
    summary = read(
        text(
            event("outermost", 0, 1000, **function),
            event("redispatch", 100, 50, **function),
            # The profiler saw no end of it: it lasts until the trace does.
            event("unended", 110, 890, **function),
            event("later", 200, 300, **function),
            event("aten::mm", 250, 40),
        )
    )
    assert self_ms(summary) == {
        "outermost": 0.65,
        "redispatch": 0.01,
        "unended": 0.04,
        "later": 0.26,
        "aten::mm": 0.04,
    }


def test_the_order_of_events_in_the_file_does_not_matter() -> None:
    found = [event("outer", 0, 100), event("inner", 10, 30), event("leaf", 15, 5)]
    assert self_ms(read(text(*found))) == self_ms(read(text(*reversed(found))))


def test_a_call_that_was_held_up_stands_beside_its_row() -> None:
    calls = [event("op", 1000 * number, 10) for number in range(9)]
    summary = read(text(*calls, event("op", 9000, 5010)))
    assert summary is not None
    (row,) = summary.rows
    assert (row.count, row.self_ms, row.held_ms) == (10, 0.19, 4.91)


def test_a_stage_without_a_name_goes_by_its_file() -> None:
    frame = event("x/executors/pipeline_executor.py(1): _run_stage_with_executor_hooks", 0, 9, cat="python_function")
    inside = event("x/pipelines_core/stages/text_encoding.py(3): forward", 1, 5, cat="python_function")
    summary = read(text(frame, inside, event("op", 2, 1)))
    assert summary is not None
    assert tuple(summary.stages_ms) == ("text_encoding",)


def test_steps_of_the_steps_profiler_have_their_own_numbers() -> None:
    marks = [event(f"ProfilerStep#{n}", 100 * n, 100, cat="user_annotation") for n in (1, 2, 3)]
    summary = read(text(*marks, *(event("op", 100 * n + 1, n) for n in (1, 2, 3))))
    assert summary is not None
    assert (summary.steps, summary.rows[0].steps_ms) == ((1, 2, 3), (0.001, 0.002, 0.003))


def test_steps_end_where_the_loop_says_so_if_nothing_runs_one() -> None:
    ends = [event("denoising_dmd.py(9): step_profile", at, 1, cat="python_function") for at in (99, 199)]
    summary = read(text(event("op", 5, 1), event("op", 105, 2), event("op", 205, 4), *ends))
    assert summary is not None
    (row,) = (row for row in summary.rows if row.part == "operator")
    assert (summary.steps, row.steps_ms) == ((0, 1), (0.001, 0.002))


def test_a_list_of_events_alone_is_a_trace_too() -> None:
    assert self_ms(read(json.dumps([event("op", 0, 1)]).encode())) == {"op": 0.001}


def test_a_trace_without_operators_is_none() -> None:
    assert read(text()) is None
    assert read(text(event("f", 0, 1, cat="python_function"))) is None


@pytest.mark.parametrize(
    "strange",
    [
        *({"name": 7}, {"name": None}, {"cat": None}, {"ts": None}, {"ts": "1"}, {"ts": True}, {"dur": -1}),
        *({"dur": 10**400}, {"ts": 1e300}, {"ph": "B"}),
    ],
    ids=str,
)
def test_an_event_that_is_none_is_passed_over(strange: Mapping[str, Any]) -> None:
    assert self_ms(read(text(event("op", 0, 1), {**event("op", 5, 1), **strange}))) == {"op": 0.001}


@pytest.mark.parametrize(
    "args",
    [None, [], {"External id": "x"}, {"External id": -1}, {"External id": 1 << 70}, {"Input Dims": "x"}],
    ids=str,
)
def test_strange_arguments_are_none(args: Any) -> None:
    assert self_ms(read(text(event("op", 0, 1, args=args)))) == {"op": 0.001}


WHOLE = text(*(event("op", number, 1) for number in range(50)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"no trace at all",
        b"{}",
        b'{"traceEvents": {}}',
        WHOLE[:-60],
        WHOLE[:700],
        b'{"traceEvents": [{"ph": "X", "ts": NaN}]}',
        b'{"traceEvents": [' + b"[" * 100_000,
        b'{"traceEvents": [{"a": ' + b"9" * 5000 + b"}]}",
        gzip.compress(WHOLE)[:-20],
        gzip.compress(WHOLE)[:40],
        gzip.compress(WHOLE[:-60]),
        b"\x1f\x8b garbage",
        bytes([*gzip.compress(WHOLE)[:60], 0, 1, 2, 3, *gzip.compress(WHOLE)[64:]]),
    ],
    ids=lambda content: f"{len(content)} bytes of {content[:2]!r}",
)
def test_what_is_no_whole_trace_is_torn(content: bytes) -> None:
    with pytest.raises(TraceError) as caught:
        read(content)
    assert caught.value.code == "torn"


@pytest.mark.parametrize(
    ("module", "limit", "value", "code"),
    [
        (trace_events, "TRACE_LIMIT", 1000, "too-large"),
        (trace_summary, "CALLS_LIMIT", 10, "too-large"),
        (trace_events, "EVENT_LIMIT", 20, "torn"),
    ],
)
def test_a_trace_beyond_a_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, module: Any, limit: str, value: int, code: str
) -> None:
    monkeypatch.setattr(module, limit, value)
    monkeypatch.setattr(trace_events, "_CHUNK", 64)
    with pytest.raises(TraceError) as caught:
        read(WHOLE)
    assert caught.value.code == code


def test_a_bomb_of_names_counts_as_few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_summary, "KEYS_LIMIT", 5)
    summary = read(text(*(event(f"op{number}", 10 * number, 1) for number in range(50))))
    assert summary is not None
    assert sum(row.count for row in summary.rows) == 50
    assert len(summary.rows) == 6


def test_a_piece_may_end_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = list(events(io.BytesIO(WHOLE)))
    for chunk in (1, 7, 64):
        monkeypatch.setattr(trace_events, "_CHUNK", chunk)
        assert list(events(io.BytesIO(WHOLE))) == expected


def test_a_large_trace_is_read_in_little_memory() -> None:
    filler = json.dumps({**event("f", 0, 1, cat="ac2g"), "args": {"pad": "x" * 10_000}}).encode() + b",\n"

    def pieces() -> Iterator[bytes]:
        yield b'{"traceEvents": ['
        yield from (filler for _ in range(1500))
        yield json.dumps(event("op", 0, 1)).encode() + b"]}"

    class Pieces(io.RawIOBase):
        def __init__(self) -> None:
            self._left, self._made = b"", pieces()

        def read(self, size: int = -1) -> bytes:
            while len(self._left) < size and (piece := next(self._made, b"")):
                self._left += piece
            given, self._left = self._left[:size], self._left[size:]
            return given

        def seek(self, at: int, whence: int = 0) -> int:
            self.__init__()  # type: ignore[misc]
            return 0

    read(text(event("op", 0, 1)))  # what is imported on first use is not of the trace
    tracemalloc.start()
    try:
        summary = summary_of(Pieces(), reach="stages")  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert self_ms(summary) == {"op": 0.001}
    assert peak < 10 << 20 < 1500 * len(filler)


def rows(*told: tuple[str, int, float], steps: tuple[int, ...] = (), **more: Any) -> ProfileSummary:
    found = tuple(
        ProfileRow(
            part="operator",
            name=name,
            stage="DenoisingStage",
            count=count,
            self_ms=ms,
            steps_ms=tuple(ms / len(steps) for _ in steps),
        )
        for name, count, ms in told
    )
    return ProfileSummary(reach="stages", clock="cpu", rows=found, steps=steps, **more)


EVEN = tuple((f"op{number}", 10, 100.0) for number in range(10))


def test_a_row_stands_out_of_a_machine_that_is_slower_as_a_whole() -> None:
    now = (("op0", 10, 100.0 * 1.2 + 30), *((name, count, ms * 1.2) for name, count, ms in EVEN[1:]))
    found = changes(rows(*EVEN), rows(*now))
    assert found.typical == pytest.approx(1.2)
    assert (found.rows[0].name, found.rows[0].change_ms, found.rows[0].beyond_ms) == ("op0", 50, 30)


def test_a_row_of_one_side_counts_as_a_whole() -> None:
    found = changes(rows(*EVEN), rows(*EVEN[1:], ("new", 10, 40.0)))
    assert {(row.name, row.then_ms, row.now_ms) for row in found.rows} == {("op0", 100.0, None), ("new", None, 40.0)}
    assert found.stage == "DenoisingStage"


def test_a_row_that_may_be_in_the_rest_of_a_side_is_not_said_to_be_gone() -> None:
    then = rows(*EVEN, ("small", 1, 5.0), rest_ms={"operator": 30.0})
    found = changes(then, rows(*EVEN, ("small", 1, 5.0), ("new", 1, 9.0), ("large", 1, 90.0)))
    assert [row.name for row in found.rows] == ["large"]


def test_the_stage_that_grew_most_is_named() -> None:
    then, now = rows(*EVEN), rows(*EVEN[1:], ("op0", 10, 140.0))
    assert (changes(then, now).stage, changes(now, then).stage) == ("DenoisingStage", "DenoisingStage")
    assert changes(then, then).stage == ""


def test_what_is_kept_beside_a_baseline_is_short() -> None:
    whole = rows(*((f"op{number}", 1, float(number)) for number in range(200)))
    kept = trace_summary.trimmed(whole)
    assert len(kept.rows) == trace_summary.ROWS_BESIDE
    assert sum(row.self_ms for row in kept.rows) + kept.rest_ms["operator"] == sum(row.self_ms for row in whole.rows)


def test_what_did_not_change_is_not_listed() -> None:
    assert changes(rows(*EVEN), rows(*EVEN)).rows == ()


def test_only_steps_of_both_are_compared_where_steps_alone_were_profiled() -> None:
    old = ProfileRow(part="operator", name="op", count=2, self_ms=9, steps_ms=(4, 5))
    new = ProfileRow(part="operator", name="op", count=3, self_ms=19, steps_ms=(4, 8, 7))
    then = ProfileSummary(reach="steps", clock="cpu", steps=(1, 2), rows=(old,))
    now = ProfileSummary(reach="steps", clock="cpu", steps=(1, 2, 3), rows=(new,))
    found = changes(then, now)
    (row,) = found.rows
    assert (found.steps, row.then_ms, row.now_ms, row.first, row.last) == ((1, 2), 9, 12, 2, 2)


def test_profiles_of_another_reach_clock_or_other_steps_are_not_comparable() -> None:
    one = rows(*EVEN, steps=(0, 1))
    assert comparable(one, rows(*EVEN, steps=(1, 2)))
    assert not comparable(one, rows(*EVEN, steps=(2, 3)))
    assert not comparable(one, ProfileSummary(reach="steps", clock="cpu", rows=one.rows, steps=one.steps))
    assert not comparable(one, ProfileSummary(reach="stages", clock="device", rows=one.rows, steps=one.steps))


def test_the_fewest_steps_that_hold_a_change_are_named() -> None:
    assert row_changes.fewest([0.1, 0.0, 5.0, 4.0, 0.2], share=0.9) == (2, 3)
    assert row_changes.fewest([1.0, 1.0, 1.0], share=0.9) == (0, 2)


def test_the_fewest_neighbouring_steps_are_those_that_trying_all_of_them_finds() -> None:
    draw = random.Random(20)
    for _ in range(300):
        values = [float(draw.randint(-3, 9)) for _ in range(draw.randint(1, 12))]
        if sum(values) <= 0:
            continue
        spans = [(i, j) for i in range(len(values)) for j in range(i, len(values))]
        holding = [(i, j) for i, j in spans if sum(values[i : j + 1]) >= 0.9 * sum(values)]
        assert fewest(values, share=0.9) == min(holding, key=lambda span: (span[1] - span[0], span[0]))


def test_steps_of_a_long_profile_are_each_seen_a_few_times() -> None:
    class Counted(float):
        made = 0

        def __radd__(self, other: float) -> Counted:
            Counted.made += 1
            return Counted(float(other) + float(self))

        def __add__(self, other: float) -> Counted:
            Counted.made += 1
            return Counted(float(self) + float(other))

    assert fewest([Counted(1.0)] * 2000, share=0.9) == (0, 1799)
    assert Counted.made <= 4000
