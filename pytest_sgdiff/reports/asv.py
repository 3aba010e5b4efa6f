"""The run as a file of results of airspeed velocity: what `asv` keeps for one commit on one machine.

The format is that of asv's `Results.load` (asv/results.py, version 2 of the file).
"""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Mapping
from typing import Any

from pytest_sgdiff.data import CaseResult, Run
from pytest_sgdiff.printable import printable_json
from pytest_sgdiff.reports.exported import Exported, exported, once, started_s
from pytest_sgdiff.reports.shown import shown_run

VERSION = 2
NO_COMMIT = "0" * 40
"""Git's own name for no commit."""
COLUMNS = (
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples"),
)


class AsvReport:
    """Each metric of each case as a benchmark, `CASE.METRIC`, in s or bytes. Another workload is another version of the
    benchmark, whose results asv does not compare."""

    suffix = ".asv.json"

    def render(self, run: Run) -> str:
        """The file. Raises ValueError for a number that is not finite."""
        run = shown_run(run)
        started = round(started_s(run) * 1000)
        results: dict[str, Any] = {}
        for result in once(run):
            for one in exported(result):
                results.setdefault(benchmark(result, one), _columns(result, one, started))
        machine = _machine(run)
        document = {
            "commit_hash": run.commit or NO_COMMIT,
            "date": started,
            "env_name": "sglang",
            "env_vars": {},
            "params": {"machine": machine, "gpu": machine},
            "python": "",
            "requirements": {},
            "result_columns": list(COLUMNS),
            "results": results,
            "durations": {},
            "version": VERSION,
        }
        return printable_json(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def benchmark(result: CaseResult, one: Exported) -> str:
    """The name of a benchmark, which is part of addresses and of names of files."""
    return re.sub(r"[^\w.\[\]-]+", "_", f"{result.case}.{one.metric}")


def _columns(result: CaseResult, one: Exported, started: int) -> list[object]:
    workload = result.workload.digest if result.workload else None
    return [[one.now], [], workload, started, None, *_stats(one.values), [list(one.values)]]


def _stats(values: tuple[float, ...]) -> list[object]:
    """The 99 % interval of the mean, by Student's t, quartiles, and how many values of one measurement each; nothing
    known of one value alone."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return [None] * 6
    middle, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(stdtrit(len(values) - 1, 0.995)) * error
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [[figure] for figure in (middle - reach, middle + reach, first, third, 1, len(values))]


def _machine(run: Run) -> str:
    """The kind of GPU: how many of them a case uses is a part of the case."""
    products: Mapping[str, None] = dict.fromkeys(result.machine.product for result in run.results if result.machine)
    return re.sub(r"[^\w.-]+", "-", " and ".join(sorted(products)).lower()) or "unknown"
