"""What a case is doing, and how that is told while it goes on. Pure: events and the time in, lines out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.numbers import clean, duration

SILENCE_S = 60.0
"""Where lines stay (CI, a file), a case is mentioned again after so long without a word of it."""

WAIT_S = 10.0
"""Where lines stay, a wait is mentioned once it has lasted so long: cases often wait a moment for each other."""

_STARTED = re.compile(r"\[(\w+)\] started\.\.\.$")
_WARMUP = re.compile(r"\bwarmup req|\bProcessing \d+ grouped request", re.IGNORECASE)
_ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What is happening to a case since `at` (the host's monotonic clock, seconds).

    `launch` of `of` counts from 1, at most that many unless `exact`; `engine` says which of two is launched in an A/B
    run; `stage` is where the engine is by its log, or, where the case `waits`, for what; `expected_s` is how long such
    a launch took for the baseline.
    """

    node_id: str
    at: float
    gpus: tuple[int, ...] = ()
    launch: int = 0
    of: int = 0
    exact: bool = False
    engine: str = ""
    stage: str = ""
    waits: bool = False
    expected_s: float | None = None


def stage_reached(line: str, current: str) -> str:
    """The stage that a line of the engine's log tells of; the current one if it tells nothing.

    The engine has no line for the start of its warmup: 0.5.14 and later draw a bar that is seen only when it advances.
    They do say that the first request is processed, and where nothing is warmed up a stage follows at once.
    """
    started = _STARTED.search(line)
    if started is not None:
        return started[1]
    if current == "loading" and _WARMUP.search(line):
        return "warmup"
    return "shutting down" if "Pixel data generated successfully" in line else current


@dataclass(frozen=True, kw_only=True)
class Running:
    """A case with its latest progress; its launch or wait goes on `since` then."""

    now: Progress
    since: float

    @property
    def fresh(self) -> bool:
        """True if the latest news is that a launch or a wait begins."""
        return self.since == self.now.at


def followed(before: Running | None, progress: Progress) -> Running:
    """The case after more news."""
    if before is None or _phase(before.now) != _phase(progress):
        return Running(now=progress, since=progress.at)
    return Running(now=progress, since=before.since)


def _phase(progress: Progress) -> tuple[str, str, int, bool]:
    return progress.node_id, progress.engine, progress.launch, progress.waits


def launch_text(progress: Progress) -> str:
    """`GPUs 0,1, launch 2 of up to 5`, in an A/B run `GPUs 0,1, base engine, launch 2 of up to 8`."""
    parts = []
    if progress.gpus:
        parts.append(f"GPU{'s' * (len(progress.gpus) > 1)} {','.join(map(str, progress.gpus))}")
    if progress.engine:
        parts.append(progress.engine)
    # A launch in place of a disturbed one goes beyond what was planned.
    of = max(progress.of, progress.launch)
    parts.append(f"launch {progress.launch} of {'' if progress.exact else 'up to '}{of}")
    return ", ".join(parts)


def doing(progress: Progress) -> str:
    """`GPUs 0,1, launch 2 of up to 5, DenoisingStage`; for a wait who is in the way, before anything else."""
    # Names of other people's processes: whatever they hold must stay one line.
    stage = printable(" ".join(clean(progress.stage).split()))
    parts = (launch_text(progress) if progress.launch else "", stage)
    return ", ".join(part for part in (parts[::-1] if progress.waits else parts) if part)


def passed(progress: Progress, elapsed: str) -> str:
    """`3 min of about 6 min`; for a wait, and where nobody knows, `3 min so far`."""
    expected = None if progress.waits else progress.expected_s
    return f"{elapsed} so far" if expected is None else f"{elapsed} of about {roughly(expected)}"


def block(running: Iterable[Running], now: float, *, columns: int, rows: int) -> list[str]:
    """The lines that show what runs on a terminal of that size, a line per case; each is narrower than the terminal.

    Where a line does not fit, the case's name stands above, wrapped if need be, and what it does is cut below.
    What does not fit below each other is counted.
    """
    width, most = columns - 1, rows - 2
    cases = [
        (f"  {one.now.node_id}", doing(one.now), ", " + passed(one.now, exactly(now - one.since))) for one in running
    ]
    names = max((cells(name) for name, _, _ in cases), default=0)
    groups = []
    for name, state, time in cases:
        line = f"{name}{' ' * (names - cells(name))}  {state}{time}"
        groups.append([line] if cells(line) <= width else [*_wrapped(name, width), _below(state, time, width)])
    if sum(map(len, groups)) <= most:
        return [line for group in groups for line in group]
    shown: list[str] = []
    for number, group in enumerate(groups):
        if len(shown) + len(group) > most - 1:
            return [*shown, _cut(f"  and {len(groups) - number} more", width)] if most > 0 else []
        shown += group
    return shown


@dataclass(kw_only=True)
class Narrator:
    """Says what runs where lines stay: a line when a launch starts, and one after a minute without any.

    From verbosity 1 on there is a line for each stage that lasts, from 2 on for each stage. Keys are those who run
    cases, one at a time each.
    """

    verbosity: int = 0
    _spoke: dict[str, float] = field(default_factory=dict)
    _said: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def news(self, key: str, running: Running, now: float) -> str | None:
        """The line for a piece of news, if it is worth one."""
        progress = running.now
        if running.fresh:
            self._spoke[key], self._said[key] = now, ("", progress.stage)
            if progress.waits:
                return None
            expected = "" if progress.expected_s is None else f", about {roughly(progress.expected_s)}"
            return f"  {progress.node_id}: {launch_text(progress)}{expected}"
        return self._stage(key, running, now) if self.verbosity >= 2 and not progress.waits else None

    def tick(self, key: str, running: Running, now: float) -> str | None:
        """The line that is due now, if any."""
        progress = running.now
        if progress.waits:
            told = self._said.get(key) == ("waits",)
            if now - self._spoke.get(key, running.since) < (SILENCE_S if told else WAIT_S):
                return None
            self._spoke[key], self._said[key] = now, ("waits",)
            return f"  {progress.node_id}: {doing(progress)}, {passed(progress, roughly(now - running.since))}"
        if self.verbosity == 1 and (line := self._stage(key, running, now)):
            return line
        if now - self._spoke.get(key, running.since) < SILENCE_S:
            return None
        self._spoke[key] = now
        elapsed = passed(progress, roughly(now - running.since))
        return f"  still running: {progress.node_id}: {doing(progress)}, {elapsed}"

    def _stage(self, key: str, running: Running, now: float) -> str | None:
        progress = running.now
        if self._said.get(key) == ("", progress.stage):
            return None
        self._spoke[key], self._said[key] = now, ("", progress.stage)
        after = duration(progress.at - running.since)
        return f"  {progress.node_id}: {launch_text(progress)}, {progress.stage} after {after}"


def exactly(seconds: float) -> str:
    """Time that ticks: `12 s`, `1 min 12 s`, `1 h 3 min`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def roughly(seconds: float) -> str:
    """Time for a log: `85 s`, `6 min`, `1 h 12 min`."""
    if round(seconds) < 100:
        return f"{round(seconds)} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def cells(text: str) -> int:
    """How many columns of a terminal a line takes; escapes and combining marks take none, wide characters two."""
    shown = _ESCAPES.sub("", text).rpartition("\r")[2]
    if shown.isascii():
        return len(shown)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in shown)
    return len(shown) + wide - sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in shown)


def _wrapped(name: str, width: int) -> Sequence[str]:
    lines, line = [], ""
    for letter in name:
        if line.strip() and cells(line + letter) > width:
            lines.append(line)
            line = "    "
        line += letter
    return [*lines, line]


def _below(state: str, time: str, width: int) -> str:
    # Time tells that it is alive, so it is the last to go.
    return _cut(_cut(f"    {state}", max(8, width - cells(time))) + time, width)


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 3:
        text = text[:-1]
    return text + "..."
