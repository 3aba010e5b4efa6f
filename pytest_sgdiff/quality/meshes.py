"""Meshes as points on their surface, the same for the same file."""

from __future__ import annotations

import math
import os
from typing import Any, Literal

from pytest_sgdiff.data import MeshSample, OutputSample
from pytest_sgdiff.quality import limits
from pytest_sgdiff.quality.pictures import DamagedError, TooLargeError

_SEED = 1


def mesh(path: str, form: Literal["obj", "glb"]) -> OutputSample:
    """The sample of a mesh. Raises TooLargeError, DamagedError."""
    if os.stat(path).st_size > limits.MESH_BYTES:
        raise TooLargeError(f"more than {limits.MESH_BYTES >> 20} MiB")
    import numpy as np
    import trimesh

    try:
        with open(path, "rb") as file:
            # From the bytes alone: what the file names beside itself (materials, textures) is not opened.
            read: Any = trimesh.load(file, file_type=form, force="mesh", process=False, skip_materials=True)
        vertices, faces = np.asarray(read.vertices, dtype=float), np.asarray(read.faces)
        colours = _colours(read)
    except MemoryError:
        raise
    except Exception as error:  # a parser of foreign bytes may raise anything
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    if not len(vertices) or not len(faces):
        raise DamagedError("holds no face")
    if not np.isfinite(vertices).all():
        raise DamagedError("holds a vertex that is not finite")
    used = vertices[np.unique(faces)]
    corners = vertices[faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    middle = (used.min(axis=0) + used.max(axis=0)) / 2
    doubled = np.linalg.norm(across, axis=1)
    chosen, weights = _drawn(doubled)
    points = (corners[chosen] * weights[:, :, None]).sum(axis=1)
    normals = across[chosen] / np.where(doubled[chosen] > 0, doubled[chosen], 1.0)[:, None]
    shades: Any = None if colours is None else (colours[faces[chosen]] * weights[:, :, None]).sum(axis=1).round()
    return OutputSample(
        kind="mesh",
        mesh=MeshSample(
            vertices=len(vertices),
            faces=len(faces),
            low=_numbers(used.min(axis=0)),
            high=_numbers(used.max(axis=0)),
            area=float(f"{doubled.sum() / 2:.6g}"),
            # Of an open surface the centre of its box stands for what closes it.
            volume=float(f"{((corners[:, 0] - middle) * across).sum() / 6:.6g}"),
            points=_numbers(points.reshape(-1)),
            normals=tuple(round(float(value), 3) for value in normals.reshape(-1)),
            colours=() if shades is None else tuple(map(int, shades.reshape(-1))),
        ),
        # All of it in one place is a mesh that shows nothing, whatever its count of faces is.
        blank="one-colour" if float(np.ptp(used, axis=0).max()) <= 0 else None,
    )


def _colours(read: Any) -> Any:
    """Red, green and blue of each vertex; None for a mesh without."""
    import numpy as np

    visual = read.visual
    if getattr(visual, "kind", None) not in ("vertex", "face"):
        return None
    found = np.asarray(visual.vertex_colors, dtype=float)
    return found[:, :3] if found.shape[:1] == (len(read.vertices),) and found.ndim == 2 else None


def _drawn(areas: Any) -> tuple[Any, Any]:
    """Which faces get a point, each as likely as its area says, and the weights of its corners there."""
    import numpy as np

    draws = np.random.default_rng(_SEED)
    total = areas.sum()
    if total > 0 and math.isfinite(total):
        # Spread along the running sum of areas, so that a small change of the mesh moves few points far.
        at = (np.arange(limits.POINTS) + draws.random(limits.POINTS)) / limits.POINTS * total
        chosen = np.minimum(np.searchsorted(np.cumsum(areas), at), len(areas) - 1)
    else:
        chosen = np.arange(limits.POINTS) % len(areas)
    first, second = np.sqrt(draws.random(limits.POINTS)), draws.random(limits.POINTS)
    return chosen, np.stack([1 - first, first * (1 - second), first * second], axis=1)


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
