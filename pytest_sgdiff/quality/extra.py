"""The libraries of the quality guard, which are an extra of this package."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Final

NEEDED: Final[Mapping[str, str]] = {"av": "av", "pillow": "PIL", "scikit-image": "skimage", "trimesh": "trimesh"}
"""Packages by the modules that are imported of them."""


def missing() -> tuple[str, ...]:
    """The packages that are not installed in this environment."""
    return tuple(package for package, module in NEEDED.items() if importlib.util.find_spec(module) is None)
