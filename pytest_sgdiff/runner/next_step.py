"""What to do about the outcome of a case. Pure; `reports/next_text.py` has the words."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import Baseline, Cause, Changed, NextStep, Outcome, Verdict
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.inherited import is_work
from pytest_sgdiff.judging.judge import gone
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.judging.rules.three_way import CONFIRM_LAUNCHES


def next_step(
    outcome: Outcome,
    command: str,
    *,
    cause: Cause | None = None,
    disturbed: bool = False,
    settled_by: NextStep | None = None,
    looks: int = CONFIRM_LAUNCHES,
    changed: Sequence[Changed] = (),
) -> NextStep | None:
    """What to do about the outcome, with the `command` that records a baseline; None if there is nothing to do.

    `cause` is that of an invalid launch; `disturbed` says that the machine, not noise, left the case inconclusive,
    `settled_by` what settles it where no repetition does; `looks` is how many launches the case takes at most;
    `changed` are the variables that its launches inherited otherwise than the baseline's.
    """
    match outcome:
        case "no-baseline":
            work = tuple(one for one in changed if one.recorded and is_work(one.name))
            return NextStep(code="restore-environment" if work else "record", command=command, changed=work)
        case "regressed":
            return NextStep(code="accept", command=command)
        case "improved":
            return NextStep(code="keep-gain", command=command)
        case "inconclusive" if disturbed:
            # More launches in the baseline do not make the machine quiet.
            return NextStep(code="wait-for-quiet")
        case "inconclusive" if settled_by is not None:
            return settled_by
        case "inconclusive" if looks < CONFIRM_LAUNCHES:
            return NextStep(code="more-checkpoints", launches=CONFIRM_LAUNCHES)
        case "inconclusive":
            return NextStep(code="repeat")
        case "invalid":
            return NextStep(code="read-log") if cause is None else NextStep(code="fix", cause=cause)
        case "pass":
            return None


def settles(verdicts: Sequence[Verdict], baseline: Baseline, command: str) -> NextStep | None:
    """What settles a case that no repetition settles: mostly a new baseline, by `command`; None where one may."""
    if baseline.kind == "reference":
        return NextStep(code="own-baseline", command=command)
    if lost := tuple(v.metric for v in gone(verdicts)):
        return NextStep(code="accept-removal", metrics=lost, command=command)
    # The case asks for three launches or more, so the file is of another plan, or was edited.
    if len(counted(baseline.measurement.launches)) < BASELINE_LAUNCHES:
        return NextStep(code="few-launches", command=command)
    opened = [v for v in verdicts if v.outcome == "inconclusive" and v.deciding]
    if any(v.baseline is None and v.now is None for v in opened):
        return NextStep(code="correct-gate")
    if any(v.finding.code == "host-decides" for v in opened):
        # More launches show more of the host.
        return NextStep(code="larger-case")
    lacking = tuple(v.metric for v in opened if None in v.baseline_values)
    return NextStep(code="incomplete-baseline", metrics=lacking, command=command) if lacking else None
