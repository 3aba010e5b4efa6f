"""The run as points for InfluxDB and what reads its line protocol (Telegraf, VictoriaMetrics, QuestDB).

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_sgdiff.data import Run
from pytest_sgdiff.reports.exported import engine_of, exported, machine_of, once, started_s
from pytest_sgdiff.reports.shown import shown_run

Field = float | int | str | None


class InfluxReport:
    """One line for the run (`sgdiff_run`), for each case (`sgdiff_case`) and for each of its metrics (`sgdiff_metric`),
    all at the time at which the run began. Times are in s, memory is in bytes, as the tag `unit` says."""

    suffix = ".lp"

    def render(self, run: Run) -> str:
        """The lines, that of the run first."""
        return "".join(f"{line}\n" for line in _lines(shown_run(run)))


def _lines(run: Run) -> Iterator[str]:
    at = round(started_s(run) * 1e9)
    counted = {"selected": run.selected, "measured": run.measured, "elapsed_s": run.elapsed_s}
    yield _line("sgdiff_run", {}, {**counted, "commit": run.commit}, at)
    for result in once(run):
        tags = {"case": result.case, "file": result.location.path, "machine": machine_of(result)}
        counts = sum(launch.counts for launch in result.launches)
        named = {"engine_version": engine_of(result) or None, "commit": run.commit}
        yield _line("sgdiff_case", tags, {"outcome": result.outcome, "launches": counts, **named}, at)
        for one in exported(result):
            fields: dict[str, Field] = {
                "now": one.now,
                "baseline": one.baseline,
                "ratio": one.ratio,
                "low": one.low,
                "high": one.high,
                "allowed": one.allowed,
                "outcome": one.outcome,
                "launches": len(one.values),
                **named,
            }
            yield _line("sgdiff_metric", {**tags, "metric": one.metric, "unit": one.unit}, fields, at)


def _line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], at: int) -> str:
    # An empty tag is no tag, and a field that is not known is none.
    shown = "".join(f",{key}={_tag(value)}" for key, value in sorted(tags.items()) if value)
    values = ",".join(f"{key}={_field(value)}" for key, value in fields.items() if value is not None)
    return f"{measurement}{shown} {values} {at}"


def _tag(value: str) -> str:
    """A backslash in front of a separator would take it into the value, and nothing escapes a backslash: it is written
    as a slash."""
    return re.sub(r"([ ,=])", r"\\\1", value.replace("\\", "/").replace("\n", " "))


def _field(value: float | int | str) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return f"{value}i" if isinstance(value, int) else repr(value)
