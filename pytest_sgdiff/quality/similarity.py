"""How alike two samples are. Symmetric, but for meshes, whose figures are parts of the first one's size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_sgdiff.data import MeshSample, OutputSample, Similarity
from pytest_sgdiff.quality.pictures import opened, parts, png

if TYPE_CHECKING:
    from PIL import Image

_WINDOW = 7
"""Pixels of a side of the window of SSIM, as scikit-image has it by default; smaller pictures get a smaller one."""

_BLOCK = 16
"""Pixels of a side of a block."""

_BRIGHTEST = 16
"""How much brighter a difference is shown at most."""


_REGION = 16
"""Points of a region of a mesh: of 2048 points, 0.8 % of the surface."""

_REACH = 4.0
"""How many times as far as the points of a surface are from one another the next point of the other one may be that is
turned the same way. Of random points on a thin sheet, which has two sides, 1 in 500 is farther."""

_ENCLOSES = 1e-5
"""What part of the cube of its diagonal a surface encloses at least of which the sign of the volume says something."""

_CANDIDATES = 32
"""Nearest points of the other surface that are looked at: among them are those of the other side of a thin sheet."""

_COLOURS = 3.0
"""How many times as much as between neighbouring points the colours of a region may differ. Two samples of the shapes
of `SPACING_FACTOR`, every vertex of a random colour, differed by up to 3.0 times as much."""


def similarity(one: OutputSample, other: OutputSample) -> Similarity:
    """How alike two samples of the same kind and size are.

    Raises DamagedError for a picture that cannot be read back, ValueError for two that cannot be compared.
    """
    if one.mesh is not None and other.mesh is not None:
        return _meshes(one.mesh, other.mesh)
    if one.picture == other.picture and one.picture:
        opened(one.picture)
        return Similarity(ssim=1.0, mse=0.0, block_mse=0.0, difference=0.0)
    count = len(one.shown)
    pairs = zip(parts(opened(one.picture), count), parts(opened(other.picture), count), strict=True)
    found = [_pictures(_levels(first), _levels(second)) for first, second in pairs]
    worst = max(range(len(found)), key=lambda place: found[place][1])
    ssim, mse, block_mse, difference = zip(*found, strict=True)
    return Similarity(
        ssim=min(ssim),
        mse=max(mse),
        block_mse=max(block_mse),
        difference=max(difference),
        frame=one.shown[worst] if one.shown else None,
    )


def difference_picture(one: OutputSample, other: OutputSample) -> tuple[bytes, int]:
    """A PNG of the difference of two samples, and how many times as bright it is. Raises as `similarity`."""
    import numpy as np
    from PIL import Image

    apart = np.abs(_levels(opened(one.picture)) - _levels(opened(other.picture)))
    gain = int(min(_BRIGHTEST, max(1, 255 // max(1, int(apart.max(initial=0))))))
    return png(Image.fromarray((apart * gain).clip(0, 255).astype("uint8"))), gain


def _levels(picture: Image.Image) -> Any:
    import numpy as np

    return np.asarray(picture, dtype=np.float64)


def _pictures(one: Any, other: Any) -> tuple[float, float, float, float]:
    """SSIM, the mean squared difference of all and of the worst block, and the mean absolute difference."""
    import numpy as np
    from scipy.ndimage import uniform_filter
    from skimage.metrics import structural_similarity

    if one.shape != other.shape:
        raise ValueError(f"{one.shape[1]}x{one.shape[0]} and {other.shape[1]}x{other.shape[0]} pixels")
    apart = one - other
    mse, difference = float(np.mean(apart**2)), float(np.mean(np.abs(apart)))
    side = min(_WINDOW, *one.shape[:2])
    side -= 1 - side % 2
    if mse == 0:
        return 1.0, 0.0, 0.0, 0.0
    size = [min(_BLOCK, length) for length in one.shape[:2]]
    block = float(max(mse, uniform_filter((apart**2).mean(axis=2), size=size, mode="nearest").max()))
    if side < 3:
        return (1.0 if mse < 1 else 0.0), mse, block, difference
    ssim: Any = structural_similarity(  # type: ignore[no-untyped-call]
        one, other, win_size=side, channel_axis=2, data_range=255.0
    )
    return float(ssim), mse, block, difference


def _meshes(one: MeshSample, other: MeshSample) -> Similarity:
    import numpy as np

    if not one.points or not other.points:
        raise ValueError("no points were kept")
    first, second = _Surface(one), _Surface(other)
    corners = (np.asarray(side, dtype=float) for side in (one.low, one.high, other.low, other.high))
    low, high, other_low, other_high = corners
    diagonal = float(np.linalg.norm(high - low)) or 1.0
    moved = max(float(np.abs(other_low - low).max()), float(np.abs(other_high - high).max()))
    spacing = first.spacing
    there, back = _Seen(first, second, spacing), _Seen(second, first, spacing)
    # A sample of points alone says nothing of colours.
    coloured = bool(one.colours) + bool(other.colours) if one.normals and other.normals else 0
    return Similarity(
        chamfer=max(there.distance, back.distance) / diagonal,
        box=moved / diagonal,
        spacing=spacing / diagonal,
        area=None if one.area is None or other.area is None else abs(other.area - one.area) / (one.area or 1.0),
        uncovered=max(there.uncovered, back.uncovered),
        turned=None
        if not one.normals or not other.normals
        # Of a thin sheet the points of the other side are as near.
        else max(there.turned, back.turned, float(_inside_out(one.volume, other.volume, diagonal))),
        # A mesh that lost its colours, or got some, has other ones everywhere.
        colour=255.0 if coloured == 1 else max(there.colour, back.colour) if coloured else None,
    )


class _Surface:
    """The points of a sample, each with its nearest neighbours."""

    def __init__(self, mesh: MeshSample) -> None:
        import numpy as np
        from scipy.spatial import cKDTree

        self.points, self.normals, self.colours = (
            np.asarray(numbers, dtype=float).reshape(-1, 3) for numbers in (mesh.points, mesh.normals, mesh.colours)
        )
        if any(len(one) not in (0, len(self.points)) for one in (self.normals, self.colours)):
            raise ValueError("not every point has a normal and a colour")
        self.tree: Any = cKDTree(self.points)
        self.near = min(_REGION, len(self.points))
        self.candidates = min(_CANDIDATES, len(self.points))
        found: Any = self.tree.query(self.points, k=range(1, self.near + 1))
        self.spacing = float(found[0][:, 1].mean()) if self.near > 1 else 0.0
        self.region = found[1]

    def colour_beyond(self, apart: Any) -> float:
        """By how much the colours of all points differ on average, or those of a region beyond what neighbouring points
        of this surface do."""
        import numpy as np

        own = self.colours - self.colours[self.region[:, min(1, self.near - 1)]]
        of_all = float(np.abs(apart.mean(axis=0)).max())
        return max(of_all, _worst_colour(apart, self.region) - _COLOURS * _worst_colour(own, self.region))


class _Seen:
    """One surface as seen from the points of another, region by region: the worst region of each kind counts, since a
    hole is where its points are."""

    def __init__(self, own: _Surface, other: _Surface, spacing: float) -> None:
        import numpy as np

        found: Any = other.tree.query(own.points, k=range(1, other.candidates + 1))
        distances, places = found
        self.distance = float(distances[:, 0].mean())
        near = distances <= max(_REACH * spacing, float(np.finfo(float).eps))
        covered = near.any(axis=1)
        self.uncovered = float((~covered)[own.region].mean(axis=1).max())
        self.turned = self.colour = 0.0
        facing = near
        if len(own.normals) and len(other.normals):
            facing = near & ((own.normals[:, None, :] * other.normals[places]).sum(axis=2) > 0)
            away = covered & ~facing.any(axis=1)
            self.turned = float(away[own.region].mean(axis=1).max())
        if len(own.colours) and len(other.colours):
            # The nearest one that is turned the same way: a thin sheet has other colours on its other side.
            nearest = places[np.arange(len(places)), np.where(facing.any(axis=1), facing.argmax(axis=1), 0)]
            self.colour = own.colour_beyond(own.colours - other.colours[nearest])


def _inside_out(one: float | None, other: float | None, diagonal: float) -> bool:
    """Whether two surfaces that enclose something enclose it from different sides."""
    least = _ENCLOSES * diagonal**3
    return one is not None and other is not None and one * other < 0 and min(abs(one), abs(other)) > least


def _worst_colour(apart: Any, region: Any) -> float:
    """The largest mean difference of a region, in the channel in which it is largest. Within a region differences of
    both signs cancel out: its points lie between those of the other one."""
    import numpy as np

    return float(np.abs(apart[region].mean(axis=1)).max())
