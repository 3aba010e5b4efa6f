"""The run for the action github-action-benchmark, which draws benchmarks over the commits of a repository.

Its tool `customSmallerIsBetter` (https://github.com/benchmark-action/github-action-benchmark#examples) reads a list of
objects with `name`, `unit` and `value`, and with `range` and `extra` as text.
"""

from __future__ import annotations

import json
import statistics
from typing import Any

from pytest_sgdiff.data import CaseResult, Run
from pytest_sgdiff.metrics import cost, more_is_better
from pytest_sgdiff.printable import printable_json
from pytest_sgdiff.reports import numbers
from pytest_sgdiff.reports.exported import Exported, engine_of, exported, machine_of, once
from pytest_sgdiff.reports.shown import shown_run


class GithubBenchmarkReport:
    """Each metric of each case as an entry, `CASE METRIC (MACHINE)`, in s or bytes."""

    suffix = ".benchmark.json"

    def render(self, run: Run) -> str:
        """The list. Raises ValueError for a number that is not finite."""
        entries = [_entry(result, one) for result in once(shown_run(run)) for one in exported(result) if one.now > 0]
        return printable_json(json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _entry(result: CaseResult, one: Exported) -> dict[str, Any]:
    inverse = more_is_better(one.metric)
    values = [cost(one.metric, value) for value in one.values]
    engine = engine_of(result)
    facts = [f"sglang {engine}" if engine else "", numbers.plural(len(values), "launch")]
    facts += [f"{numbers.signed(one.ratio - 1)} against the baseline"] if one.ratio is not None else []
    entry = {
        "name": f"{result.case} {one.metric} ({machine_of(result) or 'unknown machine'})",
        # The action is told that less is better of all of them.
        "unit": f"1/({one.unit})" if inverse else one.unit,
        "value": cost(one.metric, one.now),
        "extra": "\n".join(filter(None, facts)),
    }
    if len(values) > 1:
        entry["range"] = f"± {statistics.stdev(values):.3g}"
    return entry
