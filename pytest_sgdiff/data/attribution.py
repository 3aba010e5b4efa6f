"""Where the change of a case lies, as far as its launches show it, and what else differs between the two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data.profiles import StageChange

CorePart = Literal["core", "excess", "pause"]
"""Parts of denoising: the core of its steps, what steps take beyond it, and the time outside the steps and stages."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartChange:
    """One part of denoising on both sides (ms, the centres that were judged)."""

    part: CorePart
    then_ms: float
    now_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class StepsChange:
    """The fewest neighbouring denoising steps that hold nine tenths of the change of all `of` steps: `first` to `last`
    from 0 over all denoising stages, with what they take together (ms, medians of the launches)."""

    first: int
    last: int
    of: int
    then_ms: float
    now_ms: float


BesideCode = Literal["sm-clock", "memory", "power-limit"]
"""Figures of the launches beside their times: the median SM clock under load (MHz), the peak memory (MiB) and the power
limit (W)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """A figure that differs by one per cent or more. It stands beside the change; it is not said to be its reason."""

    code: BesideCode
    then: float
    now: float


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionChange:
    """A version, by name, that differs between the launches of both sides; empty where no launch of a side says it."""

    name: str
    then: tuple[str, ...] = ()
    now: tuple[str, ...] = ()


CommitsLack = Literal["no-checkout", "unknown-commit"]
"""Why commits have no titles: the engine runs from no checkout that is here, or that one does not have both commits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineCommits:
    """The engine's commits on both sides. `titles` are those of the newest commits after `then` up to `now` (hash and
    title), of `count` in all; `lack` says why there are none. `back`: `now` does not contain `then`, as after a revert
    of the checkout or on another branch."""

    then: str
    now: str
    titles: tuple[str, ...] = ()
    count: int | None = None
    back: bool = False
    lack: CommitsLack | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LongPause:
    """Pauses within the denoising stages and beside their steps of LONG_MS or more (`judging.attribution`): in how many
    `launches` of `of`, and in how many of the baseline; the longest of all, in ms."""

    launches: int
    of: int
    then_launches: int
    then_of: int
    longest_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribution:
    """Where the change lies. Each part is None, or empty, where the launches do not show it.

    `total_then_ms` and `total_now_ms` are whole requests (e2e); `stage` is the stage that changed most in the direction
    of the case's change, `parts` are those of denoising, `steps` the steps that hold the change.
    """

    total_then_ms: float | None = None
    total_now_ms: float | None = None
    stage: StageChange | None = None
    parts: tuple[PartChange, ...] = ()
    steps: StepsChange | None = None
    beside: tuple[Beside, ...] = ()
    versions: tuple[VersionChange, ...] = ()
    commits: EngineCommits | None = None
    pause: LongPause | None = None
