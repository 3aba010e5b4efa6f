"""What launches drew: small samples of their outputs, how alike two of them are, and what a case allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

OutputKind = Literal["image", "video", "mesh"]

Blank = Literal["black", "white", "grey", "one-colour"]
"""What a picture shows of which all pixels are the same."""

SampleFlaw = Literal["format", "unreadable", "too-large", "too-slow", "left-out", "missing", "outdated"]
"""Why an output has no sample: its format is unknown, it is damaged, it needs more memory or time than a reader gets,
the launch wrote more than is kept, or a recording lacks the file; or why one is compared in part: an earlier version
kept less of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QualityChoice:
    """What a case says of its pictures. `lossless`: they are those of the baseline, but for its own noise; `bounded`:
    they are as alike as the figures say; `lossy`: they may be any, but not blank; `off`: nobody looks at them.

    `ssim` is the least structural similarity, `psnr` the least peak signal-to-noise ratio in dB, `difference` the
    largest mean absolute difference in levels of 255, `chamfer` the largest distance between meshes, as a part of the
    diagonal of the bounding box. Figures that are None are not judged."""

    mode: Literal["lossless", "bounded", "lossy", "off"] = "lossless"
    ssim: float | None = None
    psnr: float | None = None
    difference: float | None = None
    chamfer: float | None = None


LOSSLESS = QualityChoice()


@dataclass(frozen=True, kw_only=True, slots=True)
class MeshSample:
    """What is kept of a mesh: the number of its vertices and faces, the corners of its bounding box, the `area` of its
    surface, the `volume` that it encloses (negative where it is turned inside out), and `points` on it, drawn with a
    fixed seed: x, y and z in turn. At each point `normals` has the direction that its face is turned to, and `colours`
    red, green and blue (0 to 255), empty for a mesh without. `area` and `volume` are None where an earlier version kept
    points alone."""

    vertices: int
    faces: int
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    area: float | None = None
    volume: float | None = None
    points: tuple[float, ...] = ()
    normals: tuple[float, ...] = ()
    colours: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSample:
    """What is kept of an output file: small, and the same whenever the file is.

    `width`, `height` and `frames` are those of the whole output. `picture` is a PNG of it: the image, or the frames
    `shown` (numbered from 0) side by side; larger ones are scaled down. `blank` says that it, or most of its frames,
    show nothing. Of a video `blank_frames` is how many of all frames show nothing, and `dim_frames` how many show
    nothing or nearly so; None where an earlier version did not look. `flaw` says why there is no sample, and `said`
    what the reader of the file said."""

    name: str = ""
    kind: OutputKind | None = None
    width: int | None = None
    height: int | None = None
    frames: int | None = None
    shown: tuple[int, ...] = ()
    picture: bytes = b""
    blank: Blank | None = None
    blank_frames: int | None = None
    dim_frames: int | None = None
    mesh: MeshSample | None = None
    flaw: SampleFlaw | None = None
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Similarity:
    """How alike two samples of outputs are; of a video the worst of its frames, each figure by itself.

    `ssim` is 1 for equal pictures. `mse` is the mean squared and `difference` the mean absolute difference, in levels
    of 255; `block_mse` is the mean squared difference of the block of pixels that differs most. `frame` is the frame
    with the largest difference.

    Of meshes `chamfer` is the mean distance of a point of one to the nearest one of the other, in the direction in
    which it is larger, and `box` by how much a side of the bounding box is elsewhere, both as parts of the diagonal of
    the first one's box. `spacing` is how far the first one's own points are from one another: two samples of the same
    surface are as far apart. `area` is by which part the areas of the surfaces differ. Of the worst region of either
    surface, `uncovered` is the share of points where the other one has no surface, and `turned` the share where its
    faces are turned the other way. `colour` is by how many levels of 255 the colours differ, of all of the surface or
    of the worst region, there beyond what neighbouring points do. None where one of the two samples does not say."""

    ssim: float | None = None
    mse: float | None = None
    block_mse: float | None = None
    difference: float | None = None
    chamfer: float | None = None
    box: float | None = None
    spacing: float | None = None
    area: float | None = None
    uncovered: float | None = None
    turned: float | None = None
    colour: float | None = None
    frame: int | None = None

    @property
    def psnr_db(self) -> float | None:
        """The peak signal-to-noise ratio; None where the pictures are equal, or were not compared."""
        return decibels(self.mse)


def decibels(mse: float | None) -> float | None:
    """The peak signal-to-noise ratio of a mean squared difference; None without a difference."""
    return 10 * math.log10(255.0**2 / mse) if mse else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceOutput:
    """One output of the launch that a baseline is shown by: its sample, the `file` beside the baseline that holds its
    picture or points, the file's `sha256`, and the `noise`: how far the baseline's launches are from one another.
    `first_noise` is how far those were that were recorded with it, before others were added; None where none were. An
    output that was left out has a sample that says so, and no file."""

    sample: OutputSample
    file: str = ""
    sha256: str = ""
    noise: Similarity | None = None
    first_noise: Similarity | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What the launches of a baseline drew: the outputs of one of them, and the noise of all `launches`."""

    outputs: tuple[ReferenceOutput, ...]
    launches: int = 1


QualityCode = Literal[
    # Compared and accepted.
    "same",
    "allowed",
    "rounding",
    "lossy",
    # Compared, and another picture.
    "changed",
    "beyond-allowed",
    "other-size",
    "other-frames",
    "other-kind",
    "other-count",
    "blank-frames",
    # Not compared.
    "odd-launch",
    "other-request",
    "off",
    "no-output",
    "no-library",
    "no-samples",
    "no-reference",
    "flawed",
]
"""What became of the pictures of a case."""

OTHER_PICTURE: frozenset[QualityCode] = frozenset(
    {"changed", "beyond-allowed", "other-size", "other-frames", "other-kind", "other-count", "blank-frames"}
)

Measure = Literal["ssim", "psnr", "block", "difference", "chamfer", "box", "area", "uncovered", "turned", "colour"]


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One output for reports: PNGs of the baseline, of now, and of the difference, `gain` times as bright; of a video
    the frames `shown`. Empty where there is none."""

    output: int
    then: bytes = b""
    now: bytes = b""
    difference: bytes = b""
    gain: int = 1
    shown: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """What became of the pictures of a case; `reports/quality_text.py` has the words.

    `launches` were compared. `output` of `launch` is the one that the figures are of: the one that decides, or the
    farthest from the reference; of an odd launch the figures are those to the nearest other launch. `measure` is what
    decides, `found` its figure and `limit` what is accepted. `then` and `now` are sizes, frames, kinds or numbers of
    outputs that differ, or of blank frames. `flaw` and `said` are those of an output without a sample, `name` its file,
    and `uncompared` how many outputs of all launches have none; `missing` names the libraries. `results` is how many
    clearly different pictures the launches drew that are the reference. `views` are for reports, which lack those of
    `unseen` outputs more; `reference` is what a recording keeps."""

    code: QualityCode
    launches: int = 0
    output: int = 0
    launch: int | None = None
    similarity: Similarity | None = None
    noise: Similarity | None = None
    measure: Measure | None = None
    found: float | None = None
    limit: float | None = None
    then: str = ""
    now: str = ""
    flaw: SampleFlaw | None = None
    name: str = ""
    said: str = ""
    uncompared: int = 0
    results: int = 1
    missing: tuple[str, ...] = ()
    views: tuple[View, ...] = ()
    unseen: int = 0
    reference: Reference | None = None

    @property
    def other_picture(self) -> bool:
        """Whether the case fails by it."""
        return self.code in OTHER_PICTURE
