"""The nouns of the project as frozen dataclasses, in the order in which data flows.

    Case ─engine.command→ Command ─launcher→ Launch ─engine.read→ Reading ─┐
                                                                           ├─judge→ Verdict, CaseResult
    Baseline ──────────────────────────────────────────────────────────────┘

Units sit in names (`_ms`, `_mb` which is MiB as the engine counts it, `_s`). Paths are strings: this module and all
pure modules above it know no file system. A value that is not known is None and a metric that was not measured is
absent; neither is ever 0.0. Everything here crosses process borders as plain builtins through `pytest_sgdiff.wire`.
"""

from __future__ import annotations

from pytest_sgdiff.data.cases import (
    NIGHTLY_BASELINE,
    OUTCOMES,
    Advice,
    ArgValue,
    Backend,
    Case,
    Expect,
    FasterThan,
    LaunchPlan,
    Location,
    MetricChoice,
    MetricClass,
    Outcome,
    OutputSize,
    Requires,
    Scalar,
)
from pytest_sgdiff.data.findings import Doubt, Finding, FindingCode, ReasonCode, RelationCode, StepFinding
from pytest_sgdiff.data.launches import (
    Command,
    EngineInfo,
    Environment,
    Gpu,
    GpuFacts,
    GpuProcess,
    GpuSeries,
    GpuState,
    Launch,
    LaunchFiles,
    Machine,
    OutputFile,
    Ports,
    Watch,
    Workload,
)
from pytest_sgdiff.data.measurements import (
    Baseline,
    Cause,
    LaunchRecord,
    Measurement,
    PerfDump,
    Problem,
    Reading,
    Recorded,
    Stage,
)
from pytest_sgdiff.data.results import (
    CaseResult,
    ChangePoint,
    Decision,
    HistoryPoint,
    Relation,
    Run,
    Trend,
    Unmeasured,
    Verdict,
)

__all__ = [
    "NIGHTLY_BASELINE",
    "OUTCOMES",
    "Advice",
    "ArgValue",
    "Backend",
    "Baseline",
    "Case",
    "CaseResult",
    "Cause",
    "ChangePoint",
    "Command",
    "Decision",
    "Doubt",
    "EngineInfo",
    "Environment",
    "Expect",
    "FasterThan",
    "Finding",
    "FindingCode",
    "Gpu",
    "GpuFacts",
    "GpuProcess",
    "GpuSeries",
    "GpuState",
    "HistoryPoint",
    "Launch",
    "LaunchFiles",
    "LaunchPlan",
    "LaunchRecord",
    "Location",
    "Machine",
    "Measurement",
    "MetricChoice",
    "MetricClass",
    "Outcome",
    "OutputFile",
    "OutputSize",
    "PerfDump",
    "Ports",
    "Problem",
    "Reading",
    "ReasonCode",
    "Recorded",
    "Relation",
    "RelationCode",
    "Requires",
    "Run",
    "Scalar",
    "Stage",
    "StepFinding",
    "Trend",
    "Unmeasured",
    "Verdict",
    "Watch",
    "Workload",
]
