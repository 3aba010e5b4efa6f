"""What a baseline's launches drew, how far they are from one another, and what became of the pictures of a case.

Pictures are compared with those of one launch of the baseline. There is no limit that holds for all models: one of
them draws the same bits each time, another one varies. So the limit of a case is the noise of its own baseline, or
what the case itself states (docs/quality.md).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
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

BOX_ROUNDING: Final = 1e-3
"""By which part of its diagonal the bounding box of a mesh may move."""

SPACING_FACTOR: Final = 1.5
"""Two samples of the same surface are as far from one another as the points of one are; how many times as far is no
change. Two samples of 2048 points with other seeds were 0.77 to 1.03 times as far from one another: spheres, a torus,
a box, a cone and a thin cylinder, twelve pairs each."""

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
    if any(sample.flaw for samples in all_samples for sample in samples or ()):
        return None
    outputs = []
    for place, sample in enumerate(first):
        column = [samples[place] for samples in all_samples if samples is not None]
        noise = worst(similarity(one, other) for one, other in combinations(column, 2))
        content = content_of(sample)
        sha256 = hashlib.sha256(content).hexdigest()
        outputs.append(
            ReferenceOutput(
                # The name of a file may hold the prompt, and is another one each time.
                sample=replace(sample, name=""),
                file=f"{sha256[:16]}.{'xyz' if sample.kind == 'mesh' else 'png'}",
                sha256=sha256,
                noise=noise,
            )
        )
    return Reference(outputs=tuple(outputs), launches=len(drawn))


def alike(one: Samples | None, other: Samples | None) -> bool:
    """Whether two launches wrote as many outputs, of the same kinds and sizes."""
    if one is None or other is None or len(one) != len(other):
        return False
    return all(
        (a.kind, a.width, a.height, a.frames) == (b.kind, b.width, b.height, b.frames)
        for a, b in zip(one, other, strict=True)
    )


def content_of(sample: OutputSample) -> bytes:
    """What the file beside a baseline holds: the picture, or the points of a mesh, one a line."""
    if sample.mesh is None:
        return sample.picture
    numbers = iter(sample.mesh.points)
    return "".join(f"{x!r} {y!r} {z!r}\n" for x, y, z in zip(numbers, numbers, numbers, strict=True)).encode()


def with_content(sample: OutputSample, content: bytes) -> OutputSample:
    """The sample with what its file holds. Raises DamagedError for points that are none."""
    if sample.mesh is None:
        return replace(sample, picture=content)
    try:
        numbers = tuple(float(word) for word in content.decode("ascii").split())
    except ValueError as error:
        raise DamagedError("holds something else than points") from error
    if not numbers or len(numbers) % 3 or not all(map(math.isfinite, numbers)):
        raise DamagedError("holds no points")
    return replace(sample, mesh=replace(sample.mesh, points=numbers))


def without_content(sample: OutputSample) -> OutputSample:
    """The sample without what its file holds."""
    mesh = None if sample.mesh is None else replace(sample.mesh, points=())
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
            found.append(
                Problem(kind="invalid", code="blank-output", cause="blank", found=(one.name,), blank=one.blank)
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
    for one in drawn:
        for place, sample in enumerate(one.samples or ()):
            if sample.flaw:
                return Quality(
                    code="flawed",
                    output=place,
                    launch=one.launch,
                    flaw=sample.flaw,
                    name=sample.name,
                    said=sample.said,
                )
    if reference is None or not reference.outputs:
        return Quality(code="no-reference" if any(one.samples for one in drawn) else "no-output")
    found = [judged for one in drawn for judged in _launch(choice, reference, one)]
    decisive = next((one for one in found if one.other_picture), None) or max(found, key=_distance)
    return replace(decisive, launches=len(drawn))


def _distance(one: Quality) -> float:
    seen = one.similarity
    return 0.0 if seen is None else max(seen.mse or 0.0, seen.chamfer or 0.0)


def _launch(choice: QualityChoice, reference: Reference, one: Drawn) -> Iterator[Quality]:
    samples = one.samples or ()
    if len(samples) != len(reference.outputs):
        yield _other("other-count", one, 0, str(len(reference.outputs)), str(len(samples)))
        return
    for place, (kept, sample) in enumerate(zip(reference.outputs, samples, strict=True)):
        yield _output(choice, kept, sample, one, place)


def _output(choice: QualityChoice, kept: ReferenceOutput, sample: OutputSample, one: Drawn, place: int) -> Quality:
    then = kept.sample
    if then.kind != sample.kind:
        return _other("other-kind", one, place, then.kind or "", sample.kind or "")
    if (then.width, then.height) != (sample.width, sample.height):
        return _other("other-size", one, place, _size(then), _size(sample))
    if then.frames != sample.frames or then.shown != sample.shown:
        return _other("other-frames", one, place, str(then.frames), str(sample.frames))
    try:
        seen = similarity(then, sample)
    except ValueError as error:
        raise DamagedError(str(error)) from error
    measure, found, limit = _exceeded(choice, kept, seen)
    code: QualityCode = "same" if choice.mode == "lossless" else "lossy" if choice.mode == "lossy" else "allowed"
    if measure is not None:
        code = "changed" if choice.mode == "lossless" else "beyond-allowed"
    return Quality(
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


def _beyond_noise(noise: Similarity, seen: Similarity) -> tuple[Measure | None, float | None, float | None]:
    """Of pictures the squared difference, of all and of the worst block, and SSIM; of meshes the bounding box and the
    distance of points."""
    if seen.mse is not None and seen.mse > ROUNDING_MSE:
        most = max(ROUNDING_MSE, NOISE_FACTOR * (noise.mse or 0.0))
        if seen.mse > most:
            return "psnr", seen.psnr_db, decibels(most)
        least = 1 - NOISE_FACTOR * (1 - (1.0 if noise.ssim is None else noise.ssim))
        if seen.ssim is not None and not seen.ssim >= least:
            return "ssim", seen.ssim, least
    if seen.block_mse is not None:
        # A part of the picture that is too small for the figures of all of it.
        most = max(BLOCK_ROUNDING_MSE, NOISE_FACTOR * (noise.block_mse or 0.0))
        if seen.block_mse > most:
            return "block", decibels(seen.block_mse), decibels(most)
    if seen.box is not None and not seen.box <= (limit := max(BOX_ROUNDING, 2 * (noise.box or 0.0))):
        return "box", seen.box, limit
    if seen.chamfer is not None:
        limit = max(SPACING_FACTOR * (seen.spacing or 0.0), 2 * (noise.chamfer or 0.0))
        if not seen.chamfer <= limit:
            return "chamfer", seen.chamfer, limit
    return None, None, None


def _other(code: QualityCode, one: Drawn, place: int, then: str, now: str) -> Quality:
    return Quality(code=code, output=place, launch=one.launch, then=then, now=now)


def _size(sample: OutputSample) -> str:
    return f"{sample.width}x{sample.height}"


def _counts(mesh: MeshSample | None) -> str:
    return "" if mesh is None else f"{mesh.vertices} vertices, {mesh.faces} faces"


def with_views(quality: Quality, reference: Reference | None, drawn: Sequence[Drawn]) -> Quality:
    """With every output of the launch that the figures are of, or of the first, beside that of the reference.

    Raises DamagedError for a picture that cannot be read back."""
    shown = next((one for one in drawn if one.launch == quality.launch), drawn[0])
    return replace(quality, views=_views(reference, shown.samples or ()))


def bare(reference: Reference) -> Reference:
    """The reference without what is in files of its own."""
    return replace(
        reference,
        outputs=tuple(replace(output, sample=without_content(output.sample)) for output in reference.outputs),
    )


def _views(reference: Reference | None, samples: Samples) -> tuple[View, ...]:
    kept = [] if reference is None else [output.sample for output in reference.outputs]
    views = []
    for place in range(max(len(kept), len(samples))):
        then = kept[place] if place < len(kept) else OutputSample()
        now = samples[place] if place < len(samples) else OutputSample()
        if not then.picture and not now.picture:
            continue
        difference, gain = b"", 1
        if then.picture and now.picture and alike((then,), (now,)):
            difference, gain = difference_picture(then, now)
        views.append(
            View(
                output=place,
                then=then.picture,
                now=now.picture,
                difference=difference,
                gain=gain,
                shown=now.shown or then.shown,
            )
        )
    return tuple(views)
