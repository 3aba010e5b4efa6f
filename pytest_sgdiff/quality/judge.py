"""What became of the pictures of a case: compared with those of one launch of its baseline.

The limit of a case is the noise of its own baseline, or what the case itself states (docs/quality.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

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
)
from pytest_sgdiff.quality import extra
from pytest_sgdiff.quality.noise import beyond_noise
from pytest_sgdiff.quality.reference import Drawn, Samples, compared, size_of


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
    if lacking := extra.missing():
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
        return _other("other-size", one, place, size_of(then), size_of(sample))
    if then.frames != sample.frames or then.shown != sample.shown:
        return _other("other-frames", one, place, str(then.frames), str(sample.frames))
    if then.dim_frames is not None and (sample.blank_frames or 0) > then.dim_frames:
        return _other("blank-frames", one, place, str(then.blank_frames), str(sample.blank_frames))
    seen = compared(then, sample)
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
        return beyond_noise(kept.noise or Similarity(), seen)
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


def _other(code: QualityCode, one: Drawn, place: int, then: str, now: str) -> Quality:
    return Quality(code=code, output=place, launch=one.launch, then=then, now=now)


def _counts(mesh: MeshSample | None) -> str:
    return "" if mesh is None else f"{mesh.vertices} vertices, {mesh.faces} faces"
