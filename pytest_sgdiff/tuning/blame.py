"""Whose fault it is that a variant was not measured: its own settings', other work's beside it, or of something that
would keep any variant from being measured."""

from __future__ import annotations

from pytest_sgdiff.data import CaseResult, Dropped, TuneTrouble, Variant
from pytest_sgdiff.data.failures import NoRoom
from pytest_sgdiff.engines.model_files import lack_of_model
from pytest_sgdiff.tuning.rounds import Ending
from pytest_sgdiff.watch import disturbances

TAKES_MEMORY = ("foreign-process", "hidden-memory")
"""What may leave a launch too little memory of its GPUs."""


def trouble_of(variant: Variant, ending: Ending, *, model: str) -> TuneTrouble | None:
    """What kept a variant from being measured that is no fault of its own; None where it was measured, or its own
    settings are at fault. `model` is that of the case as it is written. Where that case has no result, no variant will
    have one; where the model cannot be had, none will run."""
    name, result = variant.name, ending.result
    if result is None:
        if ending.full:
            return TuneTrouble(code="disk", variant=name, why=ending.why)
        return (
            TuneTrouble(code="project", variant=name, why=ending.why) if ending.broke or not variant.settings else None
        )
    if result.reason.error:
        return TuneTrouble(code="gpus", variant=name, why=result.reason.error)
    for problem in result.problems:
        if isinstance(problem.failure, NoRoom):
            return TuneTrouble(code="disk", variant=name, problem=problem)
        lack = lack_of_model(problem.failure, model)
        # A file or a repository that is missing may be one that only this variant needs.
        if lack == "denied" or (lack == "missing" and not variant.settings):
            return TuneTrouble(code="model", variant=name, problem=problem)
    return None


def disturbed_by(result: CaseResult) -> Dropped | None:
    """That a launch failed because of other work: it had taken the port, or memory of the GPUs; else None."""
    for problem in result.problems:
        if problem.cause == "port" or (problem.cause == "memory" and _shared(result)):
            return Dropped(code="disturbed", problem=problem)
    return None


def _shared(result: CaseResult) -> bool:
    watches = (one.watch for one in result.launches if one.problem is not None)
    return any(one.code in TAKES_MEMORY for watch in watches if watch is not None for one in disturbances(watch))
