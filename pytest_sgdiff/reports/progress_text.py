"""What runs, in lines: a block that is drawn again and again, or lines that stay. Pure: progress and the time in."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.numbers import clean, duration
from pytest_sgdiff.runner.progress import Progress, Running

SILENCE_S = 60.0
"""Where lines stay (CI, a file), a case is mentioned again after so long without a word about it."""

WAIT_S = 10.0
"""Where lines stay, a wait is mentioned once it has lasted so long: cases often wait a moment for each other."""

STATE_LINES = 4
"""Lines of a block that what a case does may take below its name; a wait may have many reasons."""


def block(running: Iterable[Running], now: float, *, columns: int, rows: int) -> list[str]:
    """The lines that show what runs on a terminal of that size, a line per case; each is narrower than the terminal.

    Where a line does not fit, the case's name stands above and what it does below, both wrapped. What does not fit
    below each other is counted.
    """
    width, most = columns - 1, rows - 2
    cases = [(f"  {_name(one.now)}", doing(one.now), passed(one.now, exactly(now - one.since))) for one in running]
    names = max((cells(name) for name, _, _ in cases), default=0)
    groups = []
    for name, state, time in cases:
        line = f"{name}{' ' * (names - cells(name))}  {state}, {time}"
        groups.append([line] if cells(line) <= width else [*_wrapped(name, width), *_below(state, time, width)])
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

    From verbosity 1 on there is a line for each stage that lasts, from 2 on for each stage. Keys are the processes
    that run cases, one at a time each.
    """

    verbosity: int = 0
    _spoke: dict[str, float] = field(default_factory=dict)
    _said: dict[str, str | None] = field(default_factory=dict)  # the stage; None for a wait

    def news(self, key: str, running: Running, now: float) -> str | None:
        """The line for a piece of news, if it is worth one."""
        progress = running.now
        if running.fresh:
            self._spoke[key], self._said[key] = now, progress.stage
            if progress.waits_for:
                return None
            expected = "" if progress.expected_s is None else f", about {roughly(progress.expected_s)}"
            return f"  {_name(progress)}: {launch_text(progress)}{expected}"
        return self._stage(key, running, now) if self.verbosity >= 2 and not progress.waits_for else None

    def tick(self, key: str, running: Running, now: float) -> str | None:
        """The line that is due now, if any."""
        progress = running.now
        silence = now - self._spoke.get(key, running.since)
        elapsed = passed(progress, roughly(now - running.since))
        if progress.waits_for:
            said = key in self._said and self._said[key] is None
            if silence < (SILENCE_S if said else WAIT_S):
                return None
            self._spoke[key], self._said[key] = now, None
            return f"  {_name(progress)}: {doing(progress)}, {elapsed}"
        if self.verbosity == 1 and (line := self._stage(key, running, now)):
            return line
        if silence < SILENCE_S:
            return None
        self._spoke[key] = now
        return f"  still running: {_name(progress)}: {doing(progress)}, {elapsed}"

    def _stage(self, key: str, running: Running, now: float) -> str | None:
        progress = running.now
        if self._said.get(key) == progress.stage:
            return None
        self._spoke[key], self._said[key] = now, progress.stage
        after = duration(progress.at - running.since)
        return f"  {_name(progress)}: {launch_text(progress)}, {_shown(progress.stage)} after {after}"


def launch_text(progress: Progress) -> str:
    """`GPUs 0,1, launch 2 of up to 5`, in an A/B run `GPUs 0,1, base engine, launch 2 of up to 8`."""
    parts = [f"node {_shown(progress.node)}"] if progress.node else []
    if progress.gpus:
        parts.append(f"GPU{'s' * (len(progress.gpus) > 1)} {','.join(map(str, progress.gpus))}")
    if progress.side is not None:
        parts.append(f"{progress.side} engine")
    if progress.profiled:
        return ", ".join([*parts, "profiled launch"])
    # A launch in place of a disturbed one goes beyond what was planned.
    of = max(progress.of, progress.launch)
    parts.append(f"launch {progress.launch} of {'' if progress.exact else 'up to '}{of}")
    return ", ".join(parts)


def doing(progress: Progress) -> str:
    """`GPUs 0,1, launch 2 of up to 5, DenoisingStage`; for a wait its reason, before anything else."""
    launch = launch_text(progress) if progress.launch else ""
    parts = (_shown(progress.waits_for), launch) if progress.waits_for else (launch, _shown(progress.stage))
    return ", ".join(filter(None, parts))


def passed(progress: Progress, elapsed: str) -> str:
    """`3 min of about 6 min`; for a wait, and where nobody knows, `3 min so far`."""
    expected = None if progress.waits_for else progress.expected_s
    return f"{elapsed} so far" if expected is None else f"{elapsed} of about {roughly(expected)}"


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
    """How many columns of a terminal a line takes: wide characters take two, combining marks none."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.category(letter) in ("Mn", "Me", "Cf") for letter in text)


def _name(progress: Progress) -> str:
    return printable(progress.node_id)


def _shown(foreign: str) -> str:
    # Names of other users' processes, words from a log: whatever they hold must stay one line.
    return printable(" ".join(clean(foreign).split()))


def _below(state: str, time: str, width: int) -> list[str]:
    # Time shows that it is alive, so it stays.
    kept = state = _cut(state, STATE_LINES * width)
    while len(lines := _wrapped(f"    {kept}, {time}", width)) > STATE_LINES and state:
        state = state[:-1]
        kept = f"{state}..."
    return lines


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of that many columns, broken at blanks where there are some; those after the first are indented."""
    line = text[: len(text) - len(text.lstrip())]
    lines, words = [], text.split()
    for word in words:
        spaced = f"{line} {word}" if line.strip() else f"{line}{word}"
        if cells(spaced) <= width:
            line = spaced
            continue
        if line.strip():
            lines.append(line)
            line = "    "
        for letter in word:
            if cells(line + letter) > width:
                lines.append(line)
                line = "    "
            line += letter
    return [*lines, line]


def _cut(text: str, width: int) -> str:
    if cells(text) <= width:
        return text
    while text and cells(text) > width - 3:
        text = text[:-1]
    return text + "..."
