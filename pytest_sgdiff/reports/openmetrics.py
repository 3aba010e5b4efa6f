"""The run as metrics for Prometheus: a file for the textfile collector of its node exporter, which is OpenMetrics, too.

Both formats (https://prometheus.io/docs/specs/om/open_metrics_spec/,
https://prometheus.io/docs/instrumenting/exposition_formats/) read the same text: only gauges, in base units.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_sgdiff.data import OUTCOMES, Run
from pytest_sgdiff.reports.exported import engine_of, exported, machine_of, once, started_s
from pytest_sgdiff.reports.shown import shown_run

_HELP: Mapping[str, str] = {
    "sgdiff_run_started_seconds": "When the run began, in seconds since 1970.",
    "sgdiff_run_elapsed_seconds": "How long the run took.",
    "sgdiff_run_cases": "Cases that were selected, and those of them that were measured.",
    "sgdiff_case_outcome": "1 for the outcome of the case, 0 for every other.",
    "sgdiff_case_launches": "Launches of the case that count.",
    "sgdiff_case_engine": "1, with the version of the engine and the commit of the checkout.",
    "sgdiff_metric_seconds": "Times: the centre over the launches that count, of this run and of the baseline.",
    "sgdiff_metric_bytes": "Memory, likewise.",
    "sgdiff_metric_value": "Metrics in other units, likewise.",
    "sgdiff_metric_ratio": "This run over the baseline, the ends of its 95 % interval, and the largest that passes.",
}
_FAMILIES = {"s": "sgdiff_metric_seconds", "bytes": "sgdiff_metric_bytes"}

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]


class OpenMetricsReport:
    """Gauges of a run, each family with its help."""

    suffix = ".prom"

    def render(self, run: Run) -> str:
        """The metrics, ended by the line that OpenMetrics wants and Prometheus takes for a comment."""
        run = shown_run(run)
        families: dict[str, dict[str, str]] = {}
        for name, labels, value in _samples(run):
            shown = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
            # A family's samples stand together, each set of labels once.
            families.setdefault(name, {}).setdefault(
                shown, f"{name}{{{shown}}} {value!r}" if shown else f"{name} {value!r}"
            )
        lines = []
        for name, text in _HELP.items():
            if name in families:
                lines += [f"# HELP {name} {text}", f"# TYPE {name} gauge", *families[name].values()]
        return "\n".join([*lines, "# EOF"]) + "\n"


def _samples(run: Run) -> Iterator[Sample]:
    yield "sgdiff_run_started_seconds", {}, started_s(run)
    yield "sgdiff_run_elapsed_seconds", {}, run.elapsed_s
    yield "sgdiff_run_cases", {"state": "selected"}, float(run.selected)
    yield "sgdiff_run_cases", {"state": "measured"}, float(run.measured)
    for result in once(run):
        case = {"case": result.case, "file": result.location.path, "machine": machine_of(result)}
        for outcome in OUTCOMES:
            yield "sgdiff_case_outcome", {**case, "outcome": outcome}, float(outcome == result.outcome)
        yield "sgdiff_case_launches", case, float(sum(launch.counts for launch in result.launches))
        yield "sgdiff_case_engine", {**case, "engine_version": engine_of(result), "commit": run.commit or ""}, 1.0
        for one in exported(result):
            place = {**case, "metric": one.metric}
            family = _FAMILIES.get(one.unit, "sgdiff_metric_value")
            unit = {} if one.unit in _FAMILIES else {"unit": one.unit}
            yield family, {**place, **unit, "side": "now"}, one.now
            if one.baseline is not None:
                yield family, {**place, **unit, "side": "baseline"}, one.baseline
            bounds = {"estimate": one.ratio, "low": one.low, "high": one.high, "allowed": one.allowed}
            for bound, ratio in bounds.items():
                if ratio is not None:
                    yield "sgdiff_metric_ratio", {**place, "bound": bound}, ratio


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
