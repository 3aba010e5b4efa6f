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
    except MemoryError:
        raise
    except Exception as error:  # a parser of foreign bytes may raise anything
        raise DamagedError(f"{type(error).__name__}: {error}") from error
    if not len(vertices) or not len(faces):
        raise DamagedError("holds no face")
    if not np.isfinite(vertices).all():
        raise DamagedError("holds a vertex that is not finite")
    used = vertices[np.unique(faces)]
    points = _points(read)
    return OutputSample(
        kind="mesh",
        mesh=MeshSample(
            vertices=len(vertices),
            faces=len(faces),
            low=_numbers(used.min(axis=0)),
            high=_numbers(used.max(axis=0)),
            points=_numbers(points.reshape(-1)),
        ),
        # All of it in one place is a mesh that shows nothing, whatever its count of faces is.
        blank="one-colour" if float(np.ptp(used, axis=0).max()) <= 0 else None,
    )


def _points(read: Any) -> Any:
    """Points on the surface, each part of it as likely as its area says."""
    import numpy as np

    draws = np.random.default_rng(_SEED)
    corners = np.asarray(read.vertices, dtype=float)[np.asarray(read.faces)]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    total = areas.sum()
    if total > 0 and math.isfinite(total):
        # Spread along the running sum of areas, so that a small change of the mesh moves few points far.
        at = (np.arange(limits.POINTS) + draws.random(limits.POINTS)) / limits.POINTS * total
        chosen = corners[np.minimum(np.searchsorted(np.cumsum(areas), at), len(areas) - 1)]
    else:
        chosen = corners[np.arange(limits.POINTS) % len(corners)]
    first, second = np.sqrt(draws.random((limits.POINTS, 1))), draws.random((limits.POINTS, 1))
    return (1 - first) * chosen[:, 0] + first * (1 - second) * chosen[:, 1] + first * second * chosen[:, 2]


def _numbers(values: Any) -> tuple[float, ...]:
    return tuple(float(f"{value:.6g}") for value in values)
