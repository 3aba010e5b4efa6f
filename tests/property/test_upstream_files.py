"""Whatever stands in a file that calls itself upstream's: what cannot be used is named, and nothing is raised but that
it is no such file."""

from __future__ import annotations

import contextlib
import csv
import io
import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.errors import OptionError, WireError
from pytest_sgdiff.reports.refusal_text import message
from pytest_sgdiff.upstream.export_baselines import export_upstream
from pytest_sgdiff.upstream.import_baselines import import_upstream
from pytest_sgdiff.upstream.nightly import check_nightly, generation_of
from pytest_sgdiff.upstream.nightly_results import COLUMNS, read_results, read_table
from tests.examples import examples

numbers = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(10**400))
anything = st.recursive(
    numbers, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KEYS = (
    "case_id",
    "framework",
    "latency_s",
    "latency_samples_s",
    "server_latency_s",
    "server_stage_medians_ms",
    "error",
)
results = (
    st.dictionaries(st.sampled_from(KEYS), anything | st.sampled_from(["sglang", "a", 1.5]), max_size=7) | anything
)
times = st.sampled_from(["2026-10-07T01:02:03Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]) | anything
nights = st.fixed_dictionaries(
    {"results": st.lists(results, max_size=3)},
    optional={"timestamp": times, "run_id": anything, "commit_sha": anything, "methodology": anything},
)


@examples(60)
@given(nights)
def test_points_of_a_night_are_measurements(document: dict[str, Any]) -> None:
    found = read_results(document)
    assert all(math.isfinite(point.value) and point.value > 0 for point in found.points)
    assert all(message(refusal) for refusal in found.refusals)
    assert found.points or found.refusals or not document["results"] or "timestamp" in document


@examples(40)
@given(st.lists(st.lists(st.text(max_size=8) | st.just("1.5"), min_size=5, max_size=8), max_size=4))
def test_points_of_a_table_are_measurements(rows: list[list[str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *rows])
    found = read_table(text.getvalue())
    assert all(math.isfinite(point.value) and point.value > 0 for point in found.points)
    assert all(message(refusal) and refusal.line for refusal in found.refusals)


SCENARIO = ("stages_ms", "denoise_step_ms", "expected_e2e_ms", "expected_load_ms", "expected_avg_denoise_ms", "notes")
steps = st.dictionaries(st.sampled_from(["0", "1", "7", "x", "DenoisingStage"]), numbers, max_size=3)
scenario = st.dictionaries(st.sampled_from(SCENARIO), numbers | steps, max_size=5)
named = st.dictionaries(st.sampled_from(["a_1gpu", "b_2npu", "c"]), scenario, max_size=3)
documents = st.fixed_dictionaries(
    {"metadata": st.just({"hardware": "CI B200 pool"}), "scenarios": named},
    optional={
        "runner_overrides": st.dictionaries(st.sampled_from(["b200-di", "a b", ""]), named | numbers, max_size=2)
    },
)


@examples(60)
@given(documents)
def test_what_is_imported_can_be_exported(document: dict[str, Any]) -> None:
    try:
        found = import_upstream(document, [], source="x")
    except WireError:
        return
    assert all(message(refusal) for refusal in found.refusals)
    if found.baselines:
        exported = export_upstream(found.baselines)
        for one in exported.document["scenarios"].values():
            assert one["expected_e2e_ms"] > 0
            assert one["expected_load_ms"] > 0
            assert {"stages_ms", "denoise_step_ms", "expected_avg_denoise_ms", "expected_median_denoise_ms"} <= set(one)


ENTRY = ("num_gpus", "prompt", "fps", "sglang_request_extra", "num_inference_steps", "more")
entries = st.builds(
    lambda more, framework: {"id": "a", "model": "m", "frameworks": {"sglang": framework}, **more},
    st.dictionaries(st.sampled_from(ENTRY), anything, max_size=4),
    st.dictionaries(st.sampled_from(["serve_args", "extra_env", "x"]), anything | st.just("--warmup"), max_size=3)
    | anything,
)


@examples(60)
@given(st.lists(entries, max_size=2))
def test_a_comparison_is_compared_or_refused(cases: list[dict[str, Any]]) -> None:
    with contextlib.suppress(OptionError):
        generation_of({"cases": cases})
        assert len(check_nightly([], {"cases": cases})) >= bool(cases)
