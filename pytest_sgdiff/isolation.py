"""How a run shares its host with other launches. A leaf, since every pytest run loads the options."""

from __future__ import annotations

from typing import Literal

Isolation = Literal["shared", "confirm", "window", "quiet", "host"]

ISOLATIONS: tuple[Isolation, ...] = ("shared", "confirm", "window", "quiet", "host")
