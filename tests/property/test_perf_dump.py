"""Whatever bytes a crashed or half-finished writer leaves, reading a dump gives a dump or one DumpError."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.engines.inspect import inspect
from pytest_sgdiff.engines.perf_dump import DumpError, parse
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.metrics import metrics_of
from pytest_sgdiff.reports import inspect_text

REAL = (Path(__file__).parents[1] / "data" / "dumps" / "real-0.5.17-h200-warm.json").read_text()

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
dump_like = st.fixed_dictionaries(
    {},
    optional={
        "tag": anything,
        "total_duration_ms": st.floats() | anything,
        "steps": st.lists(st.fixed_dictionaries({"name": anything, "duration_ms": anything}), max_size=3) | anything,
        "denoise_steps_ms": st.lists(st.fixed_dictionaries({"step": anything, "duration_ms": anything}), max_size=3),
        "memory_checkpoints": st.dictionaries(st.text(max_size=5), anything, max_size=3) | anything,
        "meta": anything,
    },
)


@given(st.integers(min_value=0, max_value=len(REAL) - 1))
def test_a_dump_torn_anywhere_is_refused(cut: int) -> None:
    with pytest.raises(DumpError, match=r"^the perf dump is "):
        parse(REAL[:cut])


@given(dump_like | anything)
def test_any_json_gives_finite_positive_metrics_or_a_dump_error(content: object) -> None:
    try:
        dump = parse(json.dumps(content))
    except DumpError:
        return
    found = metrics_of(dump)
    assert found["e2e"] > 0
    assert all(abs(value) < float("inf") for value in found.values())


@given(st.text() | dump_like.map(json.dumps), st.text())
def test_inspection_never_raises_and_is_json_with_words_for_whatever_is_wrong(dump: str, log: str) -> None:
    found = inspect(dump, log)
    json.dumps(to_plain(found), allow_nan=False)
    assert all(map(inspect_text.words, found.problems))
