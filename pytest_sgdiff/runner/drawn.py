"""What launches drew, judged against the launches of a baseline; pictures beside the times."""

from __future__ import annotations

from dataclasses import replace

from pytest_sgdiff.data import OTHER_PICTURE, Baseline, Quality, Reference, Warned
from pytest_sgdiff.engines.outputs import saves
from pytest_sgdiff.quality.judge import judge_quality
from pytest_sgdiff.quality.noise import accepts_anything, as_first_recorded, with_more_noise, worst
from pytest_sgdiff.quality.odd import FEWEST_PAIRED, FEWEST_RECORDED, odd_launch, results
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.quality.reference import reference_of
from pytest_sgdiff.quality.views import with_odd_views, with_views
from pytest_sgdiff.runner.collect import LaunchSet
from pytest_sgdiff.runner.job import Job

_SAID = frozenset({"no-library", "no-samples", "no-reference", "flawed", "odd-launch"})
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
        odd, several = _odd_of(now, then, fewest=FEWEST_PAIRED)
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error))
    found = replace(_judged(now, collected, reference), results=several)
    # What differs by more than even the odd launch does is another picture in any case.
    return found if odd is None or found.other_picture else with_odd_views(odd, then.drawn)


def recorded_pictures(job: Job, collected: LaunchSet, baseline: Baseline | None) -> Quality:
    """What launches of a new baseline drew, beside what those of the one before did; with the reference that they
    make, or that they are added to. What is extended keeps its reference, even if nothing can be added to it."""
    off = job.case.quality.mode == "off" and not job.extend
    reference = None if baseline is None or off else job.reference_for(baseline)
    old = reference if job.extend else None
    # What is added must be of the first recording: by the noise of earlier additions each could be farther away.
    quality = _judged(job, collected, reference if old is None else as_first_recorded(old))
    if quality.code in {"off", "no-output", "no-library", "no-samples"} or _nothing_read(quality):
        return replace(quality, reference=old)
    try:
        odd, several = _odd_of(job, collected, fewest=FEWEST_RECORDED)
        if odd is not None:
            return with_odd_views(odd, collected.drawn)
        fresh = reference_of(collected.drawn)
    except DamagedError as error:
        return Quality(code="flawed", flaw="unreadable", said=str(error), reference=old)
    if fresh is None and old is not None and quality.other_picture:
        # As where none is drawn any more: nothing to add.
        return quality
    if fresh is None:
        return replace(quality, code="no-samples", reference=old)
    seen = with_views(quality, reference, collected.drawn)
    return replace(seen, results=several, reference=fresh if old is None else _extended(old, fresh, quality))


def _odd_of(job: Job, collected: LaunchSet, *, fewest: int) -> tuple[Quality | None, int]:
    """The odd launch of a reference, if there is one, and how many different results the launches have."""
    if job.case.quality.mode != "lossless":
        return None, 1
    odd = odd_launch(collected.drawn, fewest=fewest)
    return odd, results(collected.drawn) if odd is None else 1


def _nothing_read(quality: Quality) -> bool:
    """Whether an output could not be read, so that there is no reference of it; what was left out is no reason."""
    return quality.code == "flawed" and quality.flaw not in ("left-out", "outdated")


def _extended(old: Reference, fresh: Reference, seen: Quality) -> Reference:
    """The reference stays the picture that it is; what other sessions show is its noise, too, up to what was accepted
    of them."""
    if len(old.outputs) != len(fresh.outputs):
        return old
    outputs = []
    for place, (kept, new) in enumerate(zip(old.outputs, fresh.outputs, strict=True)):
        own = seen.similarity if place == seen.output else None
        outputs.append(with_more_noise(kept, (new.noise, own)))
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


def noisy(quality: Quality | None) -> tuple[Warned, ...]:
    """A warning where the noise of the launches that pictures are compared with, or that are recorded, accepts any
    picture; or as much as several results of the engine with one seed are from one another."""
    if quality is None:
        return ()
    kept = () if quality.reference is None else tuple(output.noise for output in quality.reference.outputs)
    of_same = (quality.noise,) if quality.code == "same" else ()
    noise = next((one for one in (*kept, *of_same) if accepts_anything(one)), None)
    results = quality.results
    if noise is None and results > 1:
        noise = worst(one for one in (*kept, quality.noise) if one is not None)
    if noise is None:
        return ()
    return (Warned(code="noisy-pictures", quality=Quality(code=quality.code, noise=noise, results=results)),)


def blank_frames(collected: LaunchSet) -> tuple[Warned, ...]:
    """A warning about each output of a recording of which some frames show nothing: from then on they are what the case
    draws. Of several launches the one with most of them."""
    outputs = [one for drawn in collected.drawn[:1] for one in drawn.samples or ()]
    found = []
    for place, first in enumerate(outputs):
        same = [one.samples[place] for one in collected.drawn if one.samples and place < len(one.samples)]
        most = max(same, key=lambda sample: sample.blank_frames or 0, default=first)
        if most.blank_frames:
            found.append(Warned(code="blank-frames", names=(most.name,), frames=most.blank_frames, of=most.frames))
    return tuple(found)
