"""What a baseline's launches drew, how far they are from one another, and what became of the pictures of a case.

Pictures are compared with those of one launch of the baseline. There is no limit that holds for all models: one of
them draws the same bits each time, another one varies. So the limit of a case is the noise of its own baseline, or
what the case itself states (docs/quality.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from pytest_sgdiff.data import (
    Measure,
    MeshSample,
    OutputSample,
    Problem,
    Quality,
    QualityChoice,
    QualityCode,
    Reference,
    ReferenceOutput,
    Similarity,
    View,
)
from pytest_sgdiff.data.pictures import decibels
from pytest_sgdiff.quality import limits
from pytest_sgdiff.quality.extra import missing
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.quality.similarity import difference_picture, similarity

ROUNDING_MSE: Final = 1.0
"""A difference of one level (of 255) in every pixel is rounding: PSNR 48.1 dB."""

BLOCK_ROUNDING_MSE: Final = 16.0
"""The same of the block of 16 x 16 pixels that differs most: four levels, which nobody sees (PSNR 36.1 dB)."""

NOISE_FACTOR: Final = 4.0
"""How many times the largest squared difference between two launches of the baseline is still noise: twice the
difference itself."""

ODD_FACTOR: Final = 4.0
"""How many times the squared difference that is accepted of a later launch one of a recording must be away from all
others to be an odd one: twice the difference itself."""

BOX_ROUNDING: Final = 1e-3
"""By which part of its diagonal the bounding box of a mesh may move."""

AREA_ROUNDING: Final = 0.01
"""By which part the area of a mesh's surface may change."""

REGION_SHARE: Final = 0.5
"""Which share of the points of a region of a mesh may lack the other surface, or face the other way: 8 of 16.
Of the samples of `SPACING_FACTOR` at most 2 of 16 lacked it, and 5 of 16 faced the other way, those of the plate."""

COLOUR_ROUNDING: Final = 8.0
"""By how many levels of 255 the colours of a region of a mesh may differ."""

SPACING_FACTOR: Final = 1.5
"""Two samples of the same surface are as far from one another as the points of one are; how many times as far is no
change. Two samples of 2048 points with other seeds were 0.73 to 1.04 times as far from one another: a sphere, a torus,
two boxes, a cone, a thin cylinder and a thin plate, 28 pairs each."""

Samples = tuple[OutputSample, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """The samples of one launch; None where it has none."""

    launch: int
    samples: Samples | None


def reference_of(drawn: Sequence[Drawn]) -> Reference | None:
    """The reference that launches make: the outputs of the first, and how far all are from one another. None where
    one of the launches has no samples, or one of another number or kind. Raises DamagedError."""
    all_samples = [one.samples for one in drawn]
    first = all_samples[0] if all_samples else None
    if not first or missing() or any(not alike(first, samples) for samples in all_samples[1:]):
        return None
    columns = list(zip(*(samples for samples in all_samples if samples is not None), strict=True))
    if any(sample.flaw not in (None, "left-out") for column in columns for sample in column):
        return None
    outputs = []
    for column in columns:
        if any(sample.flaw for sample in column):
            outputs.append(ReferenceOutput(sample=OutputSample(flaw="left-out")))
            continue
        sample = column[0]
        content = content_of(sample)
        sha256 = hashlib.sha256(content).hexdigest()
        outputs.append(
            ReferenceOutput(
                # The name of a file may hold the prompt, and is another one each time.
                sample=replace(sample, name=""),
                file=f"{sha256[:16]}.{'xyz' if sample.kind == 'mesh' else 'png'}",
                sha256=sha256,
                noise=worst(_apart(column).values()),
            )
        )
    if all(output.sample.flaw for output in outputs):
        return None
    return Reference(outputs=tuple(outputs), launches=len(drawn))


def _apart(column: Sequence[OutputSample]) -> dict[tuple[int, int], Similarity]:
    """How far the samples of one output are from one another, by their places."""
    return {(one, other): _compared(column[one], column[other]) for one, other in combinations(range(len(column)), 2)}


def _compared(one: OutputSample, other: OutputSample) -> Similarity:
    """Raises DamagedError for two that cannot be compared."""
    try:
        return similarity(one, other)
    except ValueError as error:
        raise DamagedError(str(error)) from error


def odd_launch(drawn: Sequence[Drawn]) -> Quality | None:
    """A launch, of several with one seed, that drew something else than the others: far more away from all of them
    than they are from one another. As noise of a baseline it would hide any change of that size. None where there is
    no such launch, or nothing can be said of it. Raises DamagedError.

    The launches are split where the gap between them is widest; those of the smaller part are odd. So two odd ones are
    found that drew the same.
    """
    with_samples = [one for one in drawn if one.samples is not None]
    if len(with_samples) < len(drawn) or len(drawn) < 2 or missing():
        return None
    if (other := _of_other_shape(drawn)) is not None:
        return other
    if len(drawn) < _FEWEST:
        return None
    for place, column in enumerate(zip(*(one.samples or () for one in drawn), strict=True)):
        if any(sample.flaw for sample in column):
            continue
        apart = _apart(column)
        for figure in _FIGURES:
            if (found := _odd(figure, apart, len(column))) is not None:
                odd, nearest, most = found
                seen = apart[min(odd, nearest), max(odd, nearest)]
                value = figure.of(seen) or 0.0
                return Quality(
                    code="odd-launch",
                    launches=len(drawn),
                    launch=drawn[odd].launch,
                    output=place,
                    similarity=seen,
                    measure=figure.measure,
                    found=figure.shown(value),
                    limit=figure.shown(most),
                )
    return None


_FEWEST: Final = 3
"""Of two launches nobody knows which one is odd, or what their noise is."""


def _of_other_shape(drawn: Sequence[Drawn]) -> Quality | None:
    """The first launch of the fewest whose outputs are of another number, kind or size."""
    groups: list[list[Drawn]] = []
    for one in drawn:
        group = next((group for group in groups if alike(group[0].samples, one.samples)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    if len(groups) < 2:
        return None
    usual = max(groups, key=len)
    odd = min((group for group in groups if group is not usual), key=len)[0]
    mine, others = odd.samples or (), usual[0].samples or ()
    place = next((at for at, two in enumerate(zip(others, mine, strict=False)) if not alike(two[:1], two[1:])), 0)
    two = (str(len(others)), str(len(mine)))
    if len(mine) == len(others):
        two = _shape(others[place]), _shape(mine[place])
    return Quality(code="odd-launch", launches=len(drawn), launch=odd.launch, output=place, then=two[0], now=two[1])


def _shape(sample: OutputSample) -> str:
    frames = f", {sample.frames} frames" if sample.kind == "video" else ""
    return f"{sample.kind} {_size(sample)}{frames}" if sample.width else sample.kind or ""


def _odd(figure: _Figure, apart: Mapping[tuple[int, int], Similarity], count: int) -> tuple[int, int, float] | None:
    """The place of the first odd launch by one figure, that of the one that is nearest to it, and what would not be
    odd; None where none is."""
    values = {pair: value for pair, seen in apart.items() if (value := figure.of(seen)) is not None}
    if len(values) < len(apart):
        return None
    # The longest link of the tree that joins all launches by the shortest ones.
    joined, links = {0}, []
    while len(joined) < count:
        value, one, other = min(
            (value, *((a, b) if a in joined else (b, a)))
            for (a, b), value in values.items()
            if (a in joined) != (b in joined)
        )
        links.append((value, one, other))
        joined.add(other)
    gap = max(links)
    part = {gap[2]}
    rest = [link for link in links if link is not gap]
    while grown := [link for link in rest if (link[1] in part) != (link[2] in part)]:
        part.update(place for link in grown for place in link[1:])
    # Of two halves the one that the reference is not of.
    smaller = min(part, set(range(count)) - part, key=lambda places: (len(places), 0 in places))
    within = [value for (a, b), value in values.items() if (a in part) == (b in part)]
    usual = max((seen.spacing or 0.0 for seen in apart.values()), default=0.0)
    most = figure.accepted(max(within), spacing=usual)
    most *= ODD_FACTOR if figure.squared else math.sqrt(ODD_FACTOR)
    if not gap[0] > most:
        return None
    _, odd, nearest = min(
        (value, *((a, b) if a in smaller else (b, a))) for (a, b), value in values.items() if (a in part) != (b in part)
    )
    return odd, nearest, most


def alike(one: Samples | None, other: Samples | None) -> bool:
    """Whether two launches wrote as many outputs, of the same kinds and sizes, as far as they were kept."""
    if one is None or other is None or len(one) != len(other):
        return False
    return all(
        (a.kind, a.width, a.height, a.frames) == (b.kind, b.width, b.height, b.frames) or "left-out" in (a.flaw, b.flaw)
        for a, b in zip(one, other, strict=True)
    )


def content_of(sample: OutputSample) -> bytes:
    """What the file beside a baseline holds: the picture, or the points of a mesh, one a line, each with its normal and
    its colour, if there are such."""
    if sample.mesh is None:
        return sample.picture
    columns = [part for part in (sample.mesh.points, sample.mesh.normals, sample.mesh.colours) if part]
    rows = zip(*(_threes(part) for part in columns), strict=True)
    return "".join(" ".join(repr(number) for part in row for number in part) + "\n" for row in rows).encode()


def _threes(numbers: Sequence[float]) -> Iterator[tuple[float, ...]]:
    one = iter(numbers)
    return zip(one, one, one, strict=True)


def with_content(sample: OutputSample, content: bytes) -> OutputSample:
    """The sample with what its file holds. Raises DamagedError for points that are none."""
    if sample.mesh is None:
        return replace(sample, picture=content)
    try:
        rows = [tuple(map(float, line.split())) for line in content.decode("ascii").splitlines()]
    except ValueError as error:
        raise DamagedError("holds something else than points") from error
    width = len(rows[0]) if rows else 0
    if width not in (3, 6, 9) or any(len(row) != width or not all(map(math.isfinite, row)) for row in rows):
        raise DamagedError("holds no points")
    points, normals, colours = (tuple(number for row in rows for number in row[at : at + 3]) for at in (0, 3, 6))
    shades = tuple(int(min(255.0, max(0.0, shade))) for shade in colours)
    return replace(sample, mesh=replace(sample.mesh, points=points, normals=normals, colours=shades))


def without_content(sample: OutputSample) -> OutputSample:
    """The sample without what its file holds."""
    mesh = None if sample.mesh is None else replace(sample.mesh, points=(), normals=(), colours=())
    return replace(sample, picture=b"", mesh=mesh)


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


def sample_problems(choice: QualityChoice, samples: Samples | None) -> tuple[Problem, ...]:
    """Outputs that are damaged, and pictures that show nothing: whatever took the time, it was not the work."""
    if choice.mode == "off":
        return ()
    found = []
    for one in samples or ():
        if one.flaw == "unreadable":
            said = (f"{one.name}: {one.said}",) if one.said else ()
            found.append(Problem(kind="invalid", code="bad-output", cause="damaged", found=(one.name,), evidence=said))
        elif one.blank:
            # Of a video the frames that show nothing, if there are others.
            frames = (str(one.blank_frames), str(one.frames)) if one.blank_frames not in (None, one.frames) else ()
            found.append(
                Problem(kind="invalid", code="blank-output", cause="blank", found=(one.name, *frames), blank=one.blank)
            )
    return tuple(found)


def judge_quality(
    choice: QualityChoice, reference: Reference | None, drawn: Sequence[Drawn], *, saves: bool = True
) -> Quality:
    """What became of the pictures of these launches: the first that is another one, or else the farthest.

    `saves`: whether the case has its outputs written at all. Raises DamagedError for a sample or reference that cannot
    be read back.
    """
    if choice.mode == "off":
        return Quality(code="off")
    if not saves:
        return Quality(code="no-output")
    if lacking := missing():
        return Quality(code="no-library", missing=lacking)
    if not drawn or any(one.samples is None for one in drawn):
        return Quality(code="no-samples")
    if reference is None or not reference.outputs:
        flawed = [_flawed(one, place) for one in drawn for place, sample in enumerate(one.samples or ()) if sample.flaw]
        if flawed:
            return replace(flawed[0], uncompared=len(flawed))
        return Quality(code="no-reference" if any(one.samples for one in drawn) else "no-output")
    found = [judged for one in drawn for judged in _launch(choice, reference, one)]
    flawed = [one for one in found if one.code == "flawed"]
    decisive = next((one for one in found if one.other_picture), None) or next(iter(flawed), None)
    return replace(decisive or max(found, key=_distance), launches=len(drawn), uncompared=len(flawed))


def _flawed(one: Drawn, place: int) -> Quality:
    sample = (one.samples or ())[place]
    return Quality(code="flawed", output=place, launch=one.launch, flaw=sample.flaw, name=sample.name, said=sample.said)


def _distance(one: Quality) -> float:
    seen = one.similarity
    return 0.0 if seen is None else max(seen.mse or 0.0, seen.chamfer or 0.0)


def _launch(choice: QualityChoice, reference: Reference, one: Drawn) -> Iterator[Quality]:
    samples = one.samples or ()
    # Of files of unknown formats the first one stands for all.
    if len(samples) != len(reference.outputs) and not any(sample.flaw == "format" for sample in samples):
        yield _other("other-count", one, 0, str(len(reference.outputs)), str(len(samples)))
        return
    for place, (kept, sample) in enumerate(zip(reference.outputs, samples, strict=False)):
        yield _output(choice, kept, sample, one, place)


def _output(choice: QualityChoice, kept: ReferenceOutput, sample: OutputSample, one: Drawn, place: int) -> Quality:
    then = kept.sample
    if then.flaw:
        return Quality(code="flawed", output=place, launch=one.launch, flaw=then.flaw, name=sample.name)
    if sample.flaw == "format":
        # What could be compared cannot be any more: that is a change of the output, and no lack of this machine.
        return replace(_other("other-kind", one, place, then.kind or "", ""), name=sample.name)
    if sample.flaw:
        return _flawed(one, place)
    if then.kind != sample.kind:
        return _other("other-kind", one, place, then.kind or "", sample.kind or "")
    if (then.width, then.height) != (sample.width, sample.height):
        return _other("other-size", one, place, _size(then), _size(sample))
    if then.frames != sample.frames or then.shown != sample.shown:
        return _other("other-frames", one, place, str(then.frames), str(sample.frames))
    if then.dim_frames is not None and (sample.blank_frames or 0) > then.dim_frames:
        return _other("blank-frames", one, place, str(then.blank_frames), str(sample.blank_frames))
    seen = _compared(then, sample)
    measure, found, limit = _exceeded(choice, kept, seen)
    code: QualityCode = "same" if choice.mode == "lossless" else "lossy" if choice.mode == "lossy" else "allowed"
    if measure is not None:
        code = "changed" if choice.mode == "lossless" else "beyond-allowed"
    judged = Quality(
        code=code,
        output=place,
        launch=one.launch,
        similarity=seen,
        noise=kept.noise,
        measure=measure,
        found=found,
        limit=limit,
        then=_counts(then.mesh),
        now=_counts(sample.mesh),
    )
    if measure is None and then.mesh is not None and then.mesh.area is None and choice.mode == "lossless":
        return replace(judged, code="flawed", flaw="outdated", name=sample.name)
    return judged


def _exceeded(
    choice: QualityChoice, kept: ReferenceOutput, seen: Similarity
) -> tuple[Measure | None, float | None, float | None]:
    """The figure that is worse than accepted, what it is, and the limit."""
    if choice.mode == "bounded":
        return _beyond(choice, seen)
    if choice.mode == "lossless":
        return _beyond_noise(kept.noise or Similarity(), seen)
    return None, None, None


def _beyond(choice: QualityChoice, seen: Similarity) -> tuple[Measure | None, float | None, float | None]:
    if choice.ssim is not None and seen.ssim is not None and not seen.ssim >= choice.ssim:
        return "ssim", seen.ssim, choice.ssim
    if choice.psnr is not None and seen.psnr_db is not None and not seen.psnr_db >= choice.psnr:
        return "psnr", seen.psnr_db, choice.psnr
    if choice.difference is not None and seen.difference is not None and not seen.difference <= choice.difference:
        return "difference", seen.difference, choice.difference
    if choice.chamfer is not None and seen.chamfer is not None and not seen.chamfer <= choice.chamfer:
        return "chamfer", seen.chamfer, choice.chamfer
    return None, None, None


def exceeds(choice: QualityChoice, noise: Similarity | None) -> bool:
    """Whether launches of the baseline are farther from one another than the case allows."""
    return noise is not None and _beyond(choice, noise)[0] is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Figure:
    """A figure by which two samples differ: how it is called, whether it is a squared difference, and what of it is
    always accepted."""

    measure: Measure
    squared: bool = False
    least: float = 0.0

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
        return max(self.least, own, factor * (noise or 0.0))

    def shown(self, value: float) -> float | None:
        """As people read it: a squared difference in decibels."""
        return decibels(value) if self.squared else value


_FIGURES: Final = (
    _Figure(measure="psnr", squared=True, least=ROUNDING_MSE),
    # A part of the picture that is too small for the figures of all of it.
    _Figure(measure="block", squared=True, least=BLOCK_ROUNDING_MSE),
    _Figure(measure="box", least=BOX_ROUNDING),
    _Figure(measure="area", least=AREA_ROUNDING),
    _Figure(measure="uncovered", least=REGION_SHARE),
    _Figure(measure="chamfer"),
    _Figure(measure="turned", least=REGION_SHARE),
    _Figure(measure="colour", least=COLOUR_ROUNDING),
)


def _accepted(figure: _Figure, noise: Similarity, seen: Similarity) -> float:
    return figure.accepted(figure.of(noise), spacing=seen.spacing or 0.0)


def _beyond_noise(noise: Similarity, seen: Similarity) -> tuple[Measure | None, float | None, float | None]:
    """Of pictures the squared difference, of all and of the worst block, and SSIM; of meshes the bounding box, and
    where their surfaces are, how they are turned, and how they are coloured."""
    for figure in _FIGURES:
        value, most = figure.of(seen), _accepted(figure, noise, seen)
        if value is not None and not value <= most:
            return figure.measure, figure.shown(value), figure.shown(most)
        if figure.measure == "psnr" and seen.ssim is not None and (seen.mse or 0.0) > ROUNDING_MSE:
            least = _accepted_ssim(noise)
            if not seen.ssim >= least:
                return "ssim", seen.ssim, least
    return None, None, None


def _accepted_ssim(noise: Similarity) -> float:
    return 1 - NOISE_FACTOR * (1 - (1.0 if noise.ssim is None else noise.ssim))


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
    most = {figure.measure: _accepted(figure, first, widest) for figure in _FIGURES}

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


def _other(code: QualityCode, one: Drawn, place: int, then: str, now: str) -> Quality:
    return Quality(code=code, output=place, launch=one.launch, then=then, now=now)


def _size(sample: OutputSample) -> str:
    return f"{sample.width}x{sample.height}"


def _counts(mesh: MeshSample | None) -> str:
    return "" if mesh is None else f"{mesh.vertices} vertices, {mesh.faces} faces"


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


def bare(reference: Reference) -> Reference:
    """The reference without what is in files of its own."""
    return replace(
        reference,
        outputs=tuple(replace(output, sample=without_content(output.sample)) for output in reference.outputs),
    )


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
