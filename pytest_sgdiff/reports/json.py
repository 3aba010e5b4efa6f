"""The JSON report, for programs: everything that a verdict rests on. Its schema is docs/report.schema.json.

Ratios, margins and spreads are fractions (0.04 is 4 %), times are ms or s and memory is MiB as the names say. What is
not known is null. GPU samples are summed up per launch; the recording of the launch holds them all.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping
from typing import Any

from pytest_sgdiff.data import (
    OUTCOMES,
    AcceptanceUse,
    CaseResult,
    GpuSeries,
    LaunchRecord,
    Problem,
    Profiled,
    Run,
    Verdict,
)
from pytest_sgdiff.printable import printable_json
from pytest_sgdiff.reports import (
    accept_text,
    attribution_text,
    case_text,
    disturbance_text,
    finding_text,
    launch_notes,
    next_text,
    noise_text,
    problem_text,
    profile_text,
    quality_text,
    reason_text,
    warning_text,
)

SCHEMA = 1


class JsonReport:
    """One object: the run, its cases worst first, and the history that the trend rests on."""

    suffix = ".json"

    def render(self, run: Run) -> str:
        """The report as indented JSON. Raises ValueError for a number that is not finite."""
        return printable_json(json.dumps(_run(run), indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


def _run(run: Run) -> dict[str, Any]:
    outcomes = dict(case_text.counts(run))
    return {
        "schema": SCHEMA,
        "generator": {"name": "pytest-sgdiff", "version": run.plugin_version},
        "started_at": run.started_at,
        "elapsed_s": run.elapsed_s,
        "command": run.command,
        "commit": run.commit,
        "header": list(run.header),
        "selected": run.selected,
        "measured": run.measured,
        "outcomes": {outcome: outcomes.get(outcome, 0) for outcome in OUTCOMES},
        "unmeasured": [{"node_id": case.node_id, "why": case.why} for case in run.unmeasured],
        "gaps": _gaps(run),
        "interrupted": run.interrupted,
        "gpu_busy": run.gpu_busy,
        "relations": [{**_plain(relation), "why": reason_text.relation(relation)} for relation in run.relations],
        "acceptances": [_acceptance(use) for use in run.acceptances],
        "cases": [_case(result) for result in case_text.worst_first(run.results)],
        "history": _plain(run.history),
        "trends": _plain(run.trends),
        # Of the time when change points needed a package: schema 1 keeps its fields.
        "trends_missing": "",
    }


def _gaps(run: Run) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for case in run.unmeasured:
        found.setdefault(case.gap, []).append(case.node_id)
    return found


def _case(result: CaseResult) -> dict[str, Any]:
    return {
        "case": result.case,
        "node_id": result.node_id,
        "file": result.location.path,
        "line": result.location.line,
        "outcome": result.outcome,
        "accepted": result.accepted,
        "acceptances": [_acceptance(use) for use in result.acceptances],
        "headline": case_text.headline(result),
        "reason": reason_text.reason(result),
        "reason_code": result.reason_code,
        "reason_figures": _set(result.reason),
        "decided_by": list(result.decided_by),
        "next_step": next_text.words(result.next_step),
        "next_step_figures": None if result.next_step is None else _set(result.next_step),
        "summary": result.summary,
        "faster_than": _plain(result.faster_than),
        "measured": result.measured,
        "recorded": result.recorded,
        "elapsed_s": result.elapsed_s,
        "machine": _plain(result.machine),
        "gpu_indices": list(result.gpu_indices),
        "workload": _plain(result.workload),
        "verdicts": [_verdict(verdict, result) for verdict in case_text.by_importance(result.verdicts)],
        "launches": [_launch(launch) for launch in result.launches],
        "baseline": _baseline(result),
        "quality": _quality(result),
        "problems": [_problem(one) for one in result.problems],
        "warnings": list(warning_text.of_case(result)),
        "warning_codes": [one.code for one in result.warnings],
        "changed": _plain(result.changed),
        "noise": noise_text.words(result.noise),
        "noise_figures": _plain(result.noise),
        "where": attribution_text.line(result),
        "attribution": _plain(result.attribution),
        "profile_words": profile_text.head(result.profile),
        "profile": None if result.profile is None else _profile(result.profile),
        "command": result.command,
        "folder": result.folder,
    }


def _acceptance(use: AcceptanceUse) -> dict[str, Any]:
    return {**_plain(use.acceptance), "state": use.state, "near": use.near, "words": accept_text.words(use)}


def _verdict(verdict: Verdict, result: CaseResult) -> dict[str, Any]:
    return {**_plain(verdict), "why": finding_text.why(verdict, paired=result.paired)}


def _quality(result: CaseResult) -> dict[str, Any] | None:
    """What became of the pictures, without the pictures themselves."""
    quality = result.quality
    if quality is None:
        return None
    plain = _plain(dataclasses.replace(quality, views=(), reference=None))
    del plain["views"], plain["reference"]
    for key, seen in (("similarity", quality.similarity), ("noise", quality.noise)):
        if seen is not None:
            plain[key]["psnr_db"] = seen.psnr_db
    return {**plain, "other_picture": quality.other_picture, "words": quality_text.words(quality, paired=result.paired)}


def _baseline(result: CaseResult) -> dict[str, Any] | None:
    if result.baseline_recorded is None:
        return None
    return {
        "path": result.baseline_path,
        "recorded": _plain(result.baseline_recorded),
        "source": result.baseline_source,
        "engine_version": result.baseline_engine,
        "launches": result.baseline_launches,
        "values": [_plain(launch.metrics) for launch in result.baseline_records],
    }


def _launch(launch: LaunchRecord) -> dict[str, Any]:
    kept = {field.name: _plain(getattr(launch, field.name)) for field in dataclasses.fields(launch)}
    kept["excluded"] = None if launch.counts else reason_text.discarded(launch)
    kept["problem"] = None if launch.problem is None else _problem(launch.problem)
    kept["disturbances"] = [{**_set(one), "words": disturbance_text.words(one)} for one in launch.disturbances]
    if launch.watch is not None:
        series = [_series(series) for series in launch.watch.gpus]
        notes = list(launch_notes.notes(launch.watch))
        events = list(map(disturbance_text.event, launch.watch.gpu_events))
        kept["watch"] = {**kept["watch"], "gpus": series, "notes": notes, "events": events}
    return kept


def _profile(profile: Profiled) -> dict[str, Any]:
    problem = None if profile.problem is None else _problem(profile.problem)
    return {**_plain(profile), "problem": problem}


def _problem(problem: Problem) -> dict[str, Any]:
    return {**_plain(problem), "message": problem_text.message(problem)}


def _set(value: Any) -> dict[str, Any]:
    """A value's code and the figures that are set."""
    fields = [(field, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return {field.name: _plain(held) for field, held in fields if field.name == "code" or held != field.default}


def _series(series: GpuSeries) -> dict[str, Any]:
    clocks = [mhz for mhz in series.sm_mhz if mhz is not None]
    reasons = [mask for mask in series.reasons if mask is not None]
    seen = 0
    for mask in reasons:
        seen |= mask
    return {
        "gpu_uuid": series.gpu_uuid,
        "samples": len(series.at_s),
        "sm_mhz_median": statistics.median_low(clocks) if clocks else None,
        "sm_mhz_min": min(clocks, default=None),
        "power_w_max": max((watt for watt in series.power_w if watt is not None), default=None),
        "temperature_c_max": max((degree for degree in series.temperature_c if degree is not None), default=None),
        "memory_mb_max": max((size for size in series.memory_mb if size is not None), default=None),
        "reasons_seen": seen if reasons else None,
    }


def _plain(value: Any) -> Any:
    """Dataclasses, mappings and tuples as dicts and lists. (`files.wire` checks as well, and no report needs that.)"""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value
