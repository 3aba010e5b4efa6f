"""How much of an output is read, and how much of it is kept."""

from __future__ import annotations

from typing import Final

FILES_AT_MOST: Final = 256
"""Outputs of one launch that are sampled."""

STORE_BYTES: Final = 1 << 25
"""Bytes of the different samples of one launch together; a sample of an image has some hundred kB. Each is kept in the
recording, and of a baseline beside it."""

MESHES_BYTES: Final = 1 << 23
"""Bytes of the points of all meshes of one launch: they are in its `launch.json`, which is read up to 16 MiB."""

SAMPLING_SECONDS: Final = 600.0
"""Time that all outputs of one launch together may take to be read."""

VIEWS_AT_MOST: Final = 8
"""Outputs of a case that reports show."""

IMAGE_SIDE: Final = 512
"""Pixels of the longer side of an image that is kept; larger ones are scaled down."""

FRAME_SIDE: Final = 256
"""The same of each frame of a video."""

FRAMES: Final = 5
"""Frames of a video that are kept: the first, the last, and those between them at even distances."""

POINTS: Final = 2048
"""Points of a mesh that are kept."""

PIXELS_AT_MOST: Final = 1 << 26
"""Pixels of an image or frame that is read: 8192 x 8192."""

FRAMES_AT_MOST: Final = 20_000
"""Frames of a video that is read."""

MESH_BYTES: Final = 1 << 28
"""Bytes of the file of a mesh that is read."""

SAMPLE_PIXELS: Final = IMAGE_SIDE * IMAGE_SIDE * 4
"""Pixels of a sample that is read back. A strip has fewer: it comes from a recording or a baseline, which others may
have written."""

MEMORY_BYTES: Final = 1 << 32
"""Address space of the process that reads one output."""

SECONDS: Final = 60.0
"""Time that it may take."""
