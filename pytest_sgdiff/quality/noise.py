"""What of a difference between two samples is noise: that of a baseline's own launches, and what is always accepted.

There is no limit that holds for all models: one of them draws the same bits each time, another one varies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from pytest_sgdiff.data import Measure, Reference, ReferenceOutput, Similarity
from pytest_sgdiff.data.pictures import decibels

ROUNDING_MSE: Final = 1.0
"""A difference of one level (of 255) in every pixel is rounding: PSNR 48.1 dB."""

BLOCK_ROUNDING_MSE: Final = 16.0
"""The same of the block of 16 x 16 pixels that differs most: four levels, which nobody sees (PSNR 36.1 dB)."""

NOISE_FACTOR: Final = 4.0
"""How many times the largest squared difference between two launches of the baseline is still noise: twice the
difference itself."""

BOX_ROUNDING: Final = 1e-3
"""By which part of its diagonal the bounding box of a mesh may move."""

AREA_ROUNDING: Final = 0.01
"""By which part the area of a mesh's surface may change."""

REGION_SHARE: Final = 0.5
"""Which share of the points of a region of a mesh may lack the other surface, or face the other way: 8 of 16.
Of the samples of `SPACING_FACTOR` at most 2 of 16 lacked it, and 5 of 16 faced the other way, those of the plate."""

REGION_AT_MOST: Final = 0.9
"""Which share is not accepted beside any noise: a whole region."""

COLOUR_ROUNDING: Final = 8.0
"""By how many levels of 255 the colours of a region of a mesh may differ."""

SPACING_FACTOR: Final = 1.5
"""Two samples of the same surface are as far from one another as the points of one are; how many times as far is no
change. Two samples of 2048 points with other seeds were 0.73 to 1.04 times as far from one another: a sphere, a torus,
two boxes, a cone, a thin cylinder and a thin plate, 28 pairs each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A figure by which two samples differ: how it is called, whether it is a squared difference, what of it is always
    accepted, and what is never."""

    measure: Measure
    squared: bool = False
    least: float = 0.0
    most: float = math.inf

    def of(self, seen: Similarity) -> float | None:
        """The figure, larger where the two differ more."""
        return {
            "psnr": seen.mse,
            "block": seen.block_mse,
            "box": seen.box,
            "area": seen.area,
            "uncovered": seen.uncovered,
            "chamfer": seen.chamfer,
            "turned": seen.turned,
            "colour": seen.colour,
        }[self.measure]

    def accepted(self, noise: float | None, *, spacing: float) -> float:
        """What is accepted beside so much noise. By `spacing` two samples of one surface are apart anyway."""
        own = SPACING_FACTOR * spacing if self.measure == "chamfer" else 0.0
        factor = NOISE_FACTOR if self.squared else math.sqrt(NOISE_FACTOR)
        return min(self.most, max(self.least, own, factor * (noise or 0.0)))

    def shown(self, value: float) -> float | None:
        """As people read it: a squared difference in decibels."""
        return decibels(value) if self.squared else value


FIGURES: Final = (
    Figure(measure="psnr", squared=True, least=ROUNDING_MSE),
    # A part of the picture that is too small for the figures of all of it.
    Figure(measure="block", squared=True, least=BLOCK_ROUNDING_MSE),
    Figure(measure="box", least=BOX_ROUNDING),
    Figure(measure="area", least=AREA_ROUNDING),
    Figure(measure="uncovered", least=REGION_SHARE, most=REGION_AT_MOST),
    Figure(measure="chamfer"),
    Figure(measure="turned", least=REGION_SHARE, most=REGION_AT_MOST),
    Figure(measure="colour", least=COLOUR_ROUNDING),
)


def _accepted(figure: Figure, noise: Similarity, seen: Similarity) -> float:
    return figure.accepted(figure.of(noise), spacing=seen.spacing or 0.0)


def _accepted_ssim(noise: Similarity) -> float:
    return 1 - NOISE_FACTOR * (1 - (1.0 if noise.ssim is None else noise.ssim))


def beyond_noise(noise: Similarity, seen: Similarity) -> tuple[Measure | None, float | None, float | None]:
    """Of pictures the squared difference, of all and of the worst block, and SSIM; of meshes the bounding box, and
    where their surfaces are, how they are turned, and how they are coloured."""
    for figure in FIGURES:
        value, most = figure.of(seen), _accepted(figure, noise, seen)
        if value is not None and not value <= most:
            return figure.measure, figure.shown(value), figure.shown(most)
        if figure.measure == "psnr" and seen.ssim is not None and (seen.mse or 0.0) > ROUNDING_MSE:
            least = _accepted_ssim(noise)
            if not seen.ssim >= least:
                return "ssim", seen.ssim, least
    return None, None, None


def worst(found: Iterable[Similarity]) -> Similarity | None:
    """The largest of the differences, figure by figure; None of none."""
    several = list(found)
    if not several:
        return None

    def least(values: Iterable[float | None]) -> float | None:
        return min((value for value in values if value is not None), default=None)

    def most(values: Iterable[float | None]) -> float | None:
        return max((value for value in values if value is not None), default=None)

    return Similarity(
        ssim=least(one.ssim for one in several),
        mse=most(one.mse for one in several),
        block_mse=most(one.block_mse for one in several),
        difference=most(one.difference for one in several),
        chamfer=most(one.chamfer for one in several),
        box=most(one.box for one in several),
        spacing=most(one.spacing for one in several),
        area=most(one.area for one in several),
        uncovered=most(one.uncovered for one in several),
        turned=most(one.turned for one in several),
        colour=most(one.colour for one in several),
        frame=max(several, key=lambda one: one.mse or 0.0).frame,
    )


def accepts_anything(noise: Similarity | None) -> bool:
    """Whether launches are so far from one another that nothing of a picture's structure is judged any more."""
    return noise is not None and (noise.mse or 0.0) > ROUNDING_MSE and _accepted_ssim(noise) <= 0


def as_first_recorded(reference: Reference) -> Reference:
    """The reference with the noise of the launches that it was recorded with, which others are to be added to: by
    what they show themselves each addition could allow the next one more."""
    return replace(
        reference,
        outputs=tuple(replace(one, noise=one.first_noise or one.noise) for one in reference.outputs),
    )


def with_more_noise(kept: ReferenceOutput, more: Iterable[Similarity | None]) -> ReferenceOutput:
    """The output with the noise that launches show which were added: as much as was accepted of them, and no more."""
    first = kept.first_noise or kept.noise or Similarity()
    widest = worst(one for one in (kept.noise, *more) if one is not None)
    if widest is None:
        return kept
    most = {figure.measure: _accepted(figure, first, widest) for figure in FIGURES}

    def bounded(measure: Measure, value: float | None) -> float | None:
        return None if value is None else min(value, most[measure])

    noise = replace(
        widest,
        mse=bounded("psnr", widest.mse),
        block_mse=bounded("block", widest.block_mse),
        box=bounded("box", widest.box),
        area=bounded("area", widest.area),
        uncovered=bounded("uncovered", widest.uncovered),
        chamfer=bounded("chamfer", widest.chamfer),
        turned=bounded("turned", widest.turned),
        colour=bounded("colour", widest.colour),
        # Where the difference is rounding, its structure was not judged.
        ssim=widest.ssim
        if widest.ssim is None or (widest.mse or 0.0) <= ROUNDING_MSE
        else max(widest.ssim, _accepted_ssim(first)),
    )
    return replace(kept, noise=noise, first_noise=first)
