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
    from scipy.spatial import cKDTree

    if not one.points or not other.points:
        raise ValueError("no points were kept")
    first, second = (np.asarray(mesh.points, dtype=float).reshape(-1, 3) for mesh in (one, other))
    corners = (np.asarray(side, dtype=float) for side in (one.low, one.high, other.low, other.high))
    low, high, other_low, other_high = corners
    diagonal = float(np.linalg.norm(high - low)) or 1.0
    tree, other_tree = cKDTree(first), cKDTree(second)
    there, back, own = _distances(other_tree, first, 1), _distances(tree, second, 1), _distances(tree, first, 2)
    moved = max(float(np.abs(other_low - low).max()), float(np.abs(other_high - high).max()))
    return Similarity(chamfer=(there + back) / 2 / diagonal, box=moved / diagonal, spacing=own / diagonal)


def _distances(tree: Any, points: Any, nearest: int) -> float:
    """The mean distance of the points to the nearest of a tree; to the second nearest, where they are its own."""
    found: Any = tree.query(points, k=[nearest])[0]
    return float(found.mean())
