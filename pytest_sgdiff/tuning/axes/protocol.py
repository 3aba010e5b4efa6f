"""What an axis offers: its settings for a case, and how each is tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import Case
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.engines.flags.lookup import EngineFlags
from pytest_sgdiff.lint.protocol import View

Role = Literal["main", "side", "rare"]
"""How a setting is tried. main: alone, and together with the main settings of other axes; side: alone; rare: alone, and
only where its axis was asked for by name."""

GUIDE = "performance guide"
LOSSLESS, LOSSY, TABLE = (f"{GUIDE}, {part}" for part in ("lossless options", "lossy options", "model table"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A setting, and how it is tried."""

    setting: Setting
    role: Role = "main"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What settings are chosen for: the case as it is written, the GPUs that a launch may have (0 for the CPU), the
    engine (None if nobody knows which it will be), the names of the GPUs, and the quantised transformers that the user
    has."""

    case: Case
    gpus: int
    engine: EngineFlags | None = None
    products: tuple[str, ...] = ()
    transformers: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        """The case as rules of advice see it."""
        version = () if self.engine is None else self.engine.version.numbers
        return View(case=self.case, version=version, engine=self.engine, products=self.products)

    @property
    def native(self) -> bool:
        """Whether the case runs on the native backend."""
        return self.case.runs_on == "sglang"
