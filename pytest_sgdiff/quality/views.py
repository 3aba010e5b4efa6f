"""What reports show of outputs: those of now beside those of the reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import OutputSample, Quality, Reference, ReferenceOutput, View
from pytest_sgdiff.quality import limits
from pytest_sgdiff.quality.reference import Drawn, alike
from pytest_sgdiff.quality.similarity import difference_picture


def with_views(quality: Quality, reference: Reference | None, drawn: Sequence[Drawn]) -> Quality:
    """With outputs of the launch that the figures are of, or of the first, beside those of the reference: the one that
    the figures are of, and the first ones up to VIEWS_AT_MOST.

    Raises DamagedError for a picture that cannot be read back."""
    shown = next((one for one in drawn if one.launch == quality.launch), drawn[0])
    kept = [] if reference is None else [output.sample for output in reference.outputs]
    samples = shown.samples or ()
    places = range(max(len(kept), len(samples)))
    there = [place for place in places if _picture(kept, place) or _picture(samples, place)]
    first = [place for place in there if place == quality.output] + [one for one in there if one != quality.output]
    chosen = sorted(first[: limits.VIEWS_AT_MOST])
    views = tuple(_view(place, kept, samples) for place in chosen)
    return replace(quality, views=views, unseen=len(there) - len(views))


def with_odd_views(quality: Quality, drawn: Sequence[Drawn]) -> Quality:
    """The odd launch of a recording beside the first one that is another. Raises as `with_views`."""
    usual = next(one for one in drawn if one.launch != quality.launch)
    outputs = tuple(ReferenceOutput(sample=sample) for sample in usual.samples or ())
    return with_views(quality, Reference(outputs=outputs), drawn)


def _picture(samples: Sequence[OutputSample], place: int) -> bytes:
    return samples[place].picture if place < len(samples) else b""


def _view(place: int, kept: Sequence[OutputSample], samples: Sequence[OutputSample]) -> View:
    then = kept[place] if place < len(kept) else OutputSample()
    now = samples[place] if place < len(samples) else OutputSample()
    difference, gain = b"", 1
    if then.picture and now.picture and alike((then,), (now,)):
        difference, gain = difference_picture(then, now)
    return View(
        output=place,
        then=then.picture,
        now=now.picture,
        difference=difference,
        gain=gain,
        shown=now.shown or then.shown,
    )
