"""What launches drew, judged against the launches of a baseline; pictures beside the times."""

from __future__ import annotations

from dataclasses import replace

from pytest_sgdiff.data import OTHER_PICTURE, Baseline, Quality, Reference, Warned
from pytest_sgdiff.engines.outputs import saves
from pytest_sgdiff.quality.judge import judge_quality, reference_of, with_views, worst
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.runner.collect import LaunchSet
from pytest_sgdiff.runner.job import Job

_SAID = frozenset({"no-library", "no-samples", "no-reference", "flawed"})
"""Why pictures were not compared although they were to be."""

_LOOKED_AT = OTHER_PICTURE | {"allowed", "lossy"}
"""What a report shows the pictures of, beside those of a recording."""


def pictures(job: Job, collected: LaunchSet, baseline: Baseline | None) -> Quality:
    """What became of the pictures of the launches that count. Raises BaselineError for a reference that is wrong."""
    reference = None if baseline is None or job.case.quality.mode == "off" else job.reference_for(baseline)
    return _judged(job, collected, reference)


def paired_pictures(now: Job, then: LaunchSet, collected: LaunchSet) -> Quality:
    """The same of an A/B run, whose reference are the launches of the base engine."""
    try:
        reference = None if now.case.quality.mode == "off" else reference_of(then.drawn)
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error))
    return _judged(now, collected, reference)


def recorded_pictures(job: Job, collected: LaunchSet, baseline: Baseline | None) -> Quality:
    """What launches of a new baseline drew, beside what those of the one before did; with the reference that they
    make, or that they are added to. What is extended keeps its reference, even if nothing can be added to it."""
    off = job.case.quality.mode == "off" and not job.extend
    reference = None if baseline is None or off else job.reference_for(baseline)
    old = reference if job.extend else None
    quality = _judged(job, collected, reference)
    if quality.code in {"off", "no-output", "no-library", "no-samples", "flawed"}:
        return replace(quality, reference=old)
    try:
        fresh = reference_of(collected.drawn)
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error), reference=old)
    if fresh is None and old is not None and quality.other_picture:
        # As where none is drawn any more: nothing to add.
        return quality
    if fresh is None:
        return replace(quality, code="no-samples", reference=old)
    seen = with_views(quality, reference, collected.drawn)
    return replace(seen, reference=fresh if old is None else _extended(old, fresh, quality))


def _extended(old: Reference, fresh: Reference, seen: Quality) -> Reference:
    """The reference stays the picture that it is; what other sessions show is its noise, too."""
    if len(old.outputs) != len(fresh.outputs):
        return old
    outputs = []
    for place, (kept, new) in enumerate(zip(old.outputs, fresh.outputs, strict=True)):
        own = seen.similarity if place == seen.output else None
        outputs.append(replace(kept, noise=worst(one for one in (kept.noise, new.noise, own) if one is not None)))
    return Reference(outputs=tuple(outputs), launches=old.launches + fresh.launches)


def _judged(job: Job, collected: LaunchSet, reference: Reference | None) -> Quality:
    try:
        found = judge_quality(job.case.quality, reference, collected.drawn, saves=saves(job.case))
        # The pictures of all cases of a large suite would take gigabytes: these are to be looked at.
        return with_views(found, reference, collected.drawn) if found.code in _LOOKED_AT else found
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error))


def not_compared(quality: Quality | None) -> tuple[Warned, ...]:
    """A warning where pictures were to be compared and were not."""
    if quality is None or quality.code not in _SAID:
        return ()
    if quality.code == "no-reference" and quality.reference is not None:
        # It is recorded with these launches.
        return ()
    return (Warned(code="not-compared", quality=replace(quality, views=(), reference=None)),)
