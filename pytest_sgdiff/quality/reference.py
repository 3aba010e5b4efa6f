"""What the launches of a baseline drew: the outputs of one of them, the files that hold these, and the noise of all."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from pytest_sgdiff.data import OutputSample, Reference, ReferenceOutput, Similarity
from pytest_sgdiff.quality import extra
from pytest_sgdiff.quality.noise import worst
from pytest_sgdiff.quality.pictures import DamagedError
from pytest_sgdiff.quality.similarity import similarity

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
    if not first or extra.missing() or any(not alike(first, samples) for samples in all_samples[1:]):
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
                noise=worst(apart_of(column).values()),
            )
        )
    if all(output.sample.flaw for output in outputs):
        return None
    return Reference(outputs=tuple(outputs), launches=len(drawn))


def apart_of(column: Sequence[OutputSample]) -> dict[tuple[int, int], Similarity]:
    """How far the samples of one output are from one another, by their places."""
    return {(one, other): compared(column[one], column[other]) for one, other in combinations(range(len(column)), 2)}


def compared(one: OutputSample, other: OutputSample) -> Similarity:
    """Raises DamagedError for two that cannot be compared."""
    try:
        return similarity(one, other)
    except ValueError as error:
        raise DamagedError(str(error)) from error


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


def bare(reference: Reference) -> Reference:
    """The reference without what is in files of its own."""
    return replace(
        reference,
        outputs=tuple(replace(output, sample=without_content(output.sample)) for output in reference.outputs),
    )


def size_of(sample: OutputSample) -> str:
    return f"{sample.width}x{sample.height}"
