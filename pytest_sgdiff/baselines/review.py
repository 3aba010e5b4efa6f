"""A new baseline as its reviewer sees it: beside the one it replaces, and with what it will find. Pure.

`--sgdiff-update` shows it when it records, `sgdiff baselines diff` of candidates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import (
    Baseline,
    CaseResult,
    Difference,
    Finding,
    Location,
    Measurement,
    MetricChoice,
    MetricClass,
    Reason,
    Verdict,
)
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.inherited import changes
from pytest_sgdiff.judging.judge import differences, judge
from pytest_sgdiff.judging.power import first_figures, with_figures_of
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import Series, own_series

Priors = Mapping[MetricClass, Prior]


def figures(
    now: Measurement,
    own: Sequence[Series],
    old: Baseline | None,
    choice: MetricChoice,
    *,
    looks: Sequence[int],
    apart: tuple[Difference, ...] = (),
    priors: Priors | None = None,
) -> tuple[Verdict, ...]:
    """Verdicts, for show, on the launches `now` of a baseline, of which `own` are the `own_series`, against the old.

    Where the two are `apart`, by what `differences` found, there is no verdict; whoever reviews the change wants to see
    its size all the same.
    """
    if old is None:
        return first_figures(own, looks=looks, priors=priors)
    found = judge(now, old, choice, looks=looks, priors=priors)
    if apart:
        found = tuple(
            replace(
                v,
                outcome="no-baseline",
                finding=Finding(code="not-comparable"),
                allow=None,
                detect=None,
                excluded=None,
                best_ratio=None,
                suspect=False,
            )
            for v in found
        )
    return with_figures_of(own, found, looks=looks, priors=priors)


def review(
    candidate: Baseline,
    old: Baseline | None,
    choice: MetricChoice,
    *,
    looks: Sequence[int],
    location: Location,
    priors: Priors | None = None,
) -> CaseResult:
    """A candidate beside what lies in the tree. Of one that extends it, the launches that it adds are compared.
    `location` is the place of its case, or of the candidate where that is gone."""
    case = candidate.measurement.case
    added = _added(candidate, old)
    apart: tuple[Difference, ...] = ()
    reason = Reason(code="recorded", launches=len(added.launches))
    if old is not None and len(added.launches) < len(candidate.measurement.launches):
        reason = replace(reason, added_to=len(old.measurement.launches))
    elif old is not None:
        apart = differences(added.machine, added.workload, added.launches[0].environment, old, launches=added.launches)
        reason = replace(reason, replaces=True, differences=apart)
    sides = (counted(old.measurement.launches if old else ()), counted(added.launches))
    changed = changes(*([launch.environment for launch in side] for side in sides)) if old else ()
    return CaseResult(
        case=case,
        node_id=f"{location.path}::{case}",
        location=location,
        outcome="pass",
        reason=reason,
        machine=added.machine,
        workload=added.workload,
        launches=added.launches,
        verdicts=figures(added, own_series(candidate, choice), old, choice, looks=looks, apart=apart, priors=priors),
        changed=changed,
        baseline_path=old.path if old else None,
        baseline_recorded=old.recorded if old else None,
        baseline_engine=old.engine_version if old else None,
        baseline_source=old.source if old else "",
        baseline_records=old.measurement.launches if old else (),
        baseline_launches=len(old.measurement.launches) if old else 0,
        recorded=True,
        measured=True,
    )


def _added(candidate: Baseline, old: Baseline | None) -> Measurement:
    known = set(old.recorded.sessions) if old else set()
    launches = candidate.measurement.launches
    if known < set(candidate.recorded.sessions):
        launches = tuple(launch for launch in launches if launch.session not in known) or launches
    return replace(candidate.measurement, launches=launches)
