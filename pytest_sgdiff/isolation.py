"""How a run shares its host with other launches. A leaf, since every pytest run loads the options."""

from __future__ import annotations

from typing import Literal

Isolation = Literal["shared", "confirm", "alone"]

ISOLATIONS: tuple[Isolation, ...] = ("shared", "confirm", "alone")

FORMERLY_ALONE = ("window", "quiet", "host")
"""Names that `alone` had: the option takes them in this release, with a note, and recordings hold them for good."""
