"""Whatever a trace holds, it is summed up or refused as a trace: nothing else comes of foreign bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.data import ProfileSummary
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.profiling.row_changes import changes
from pytest_sgdiff.profiling.trace_events import TraceError
from pytest_sgdiff.profiling.trace_summary import summary_of

NAMES = (
    *("aten::gelu", "STAGE DenoisingStage", "ProfilerStep#3"),
    *("a.py(1): _run_denoising_step", "b.py(2): step_profile"),
)
ARGS: dict[str, st.SearchStrategy[Any]] = {
    "External id": st.integers(-1, 5),
    "Input Dims": st.just([[2], [], 3]),
}
EVENTS = st.fixed_dictionaries(
    {
        "ph": st.sampled_from(("X", "M")),
        "cat": st.sampled_from(("cpu_op", "kernel", "python_function", "user_annotation", None)),
        "name": st.sampled_from(NAMES) | st.text(max_size=5),
        "pid": st.integers(0, 2) | st.text(max_size=2),
        "tid": st.integers(0, 2),
        "ts": st.integers(-5, 50) | st.floats(allow_nan=False) | st.none(),
        "dur": st.integers(-1, 30) | st.floats(allow_nan=False, allow_infinity=False) | st.none(),
        "args": st.fixed_dictionaries({}, optional=ARGS) | st.none(),
    }
)


def text(found: list[dict[str, Any]]) -> bytes:
    return json.dumps({"traceEvents": found}).encode()


@given(st.lists(EVENTS, max_size=12), st.lists(EVENTS, max_size=12))
def test_any_events_are_summed_up_and_compared(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    sides = []
    for found in (one, other):
        with contextlib.suppress(TraceError):  # Infinity is no JSON
            sides.append(summary_of(io.BytesIO(text(found)), reach="stages"))
    for side in sides:
        if side is not None:
            assert all(math.isfinite(row.self_ms) and row.self_ms >= 0 for row in side.rows)
            assert from_plain(ProfileSummary, to_plain(side)) == side
    if len(sides) == 2 and sides[0] is not None and sides[1] is not None:
        told = changes(sides[0], sides[1])
        to_plain(told)


WHOLE = text([{"ph": "X", "cat": "cpu_op", "name": f"op{n}", "pid": 1, "tid": 1, "ts": n, "dur": 1} for n in range(30)])


@given(st.booleans(), st.integers(0, len(WHOLE)), st.binary(max_size=6), st.integers(0, len(WHOLE)))
def test_damaged_bytes_are_refused_as_a_trace(packed: bool, at: int, put: bytes, end: int) -> None:
    whole = gzip.compress(WHOLE, mtime=0) if packed else WHOLE
    damaged = (whole[:at] + put + whole[at + len(put) :])[: max(at, end)]
    with contextlib.suppress(TraceError):
        summary_of(io.BytesIO(damaged), reach="stages")
