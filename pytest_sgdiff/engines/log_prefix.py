"""Takes off what others put before the lines of a log: CI systems, container runtimes, loggers of the host, ranks.

A prefix of a general shape (a time, `name | `, `0: `) is only taken for one where a good part of the log's lines have
it: a single line that happens to begin so is content. Names of ranks and of Ray's workers are unmistakable, and stand
before single lines too (torch prints uncaught exceptions as `[rank0]: …`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

STAMP = re.compile(r"\[\d\d-\d\d \d\d:\d\d:\d\d[^\]\n]{0,40}\] ")
"""How every record of the engine begins (0.5.8 to 0.5.23): `[11-23 16:34:30] `, a rank may stand behind the time."""

ANSI = re.compile(
    r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[_P^X][^\x07\x1b]{0,400}(?:\x07|\x1b\\)|[@-_])"
)
"""Colours, cursor movements, and what terminals and CI systems are told beside the text."""

_ISO = r"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_BSD = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,9})?"

_SHARED = tuple(
    re.compile(shape)
    for shape in (
        # gh run view --log: job, step, then the time of the raw log
        r"[^\t\n]{1,120}\t[^\t\n]{1,120}\t\ufeff?",
        # CRI (containerd, CRI-O)
        _ISO + r" (?:stdout|stderr) [FP](?: |$)",
        # GitLab's job log
        _ISO + r" \d\d[OE](?:\+ ?| |$)",
        # Heroku and syslog drains
        _ISO + r" [\w.-]{1,80}\[[\w.-]{1,80}\]:(?: |$)",
        # journalctl in its short forms, syslog
        rf"(?:[A-Z][a-z]{{2}} )?(?:{_BSD}|{_ISO}(?: [A-Z]{{2,5}})?) [\w.-]{{1,80}} [^\s\[\]:]{{1,80}}\[\d+\]:(?: |$)",
        # Jenkins's time stamps
        rf"\[{_ISO}\](?: |$)",
        # GitHub's raw log, kubectl logs --timestamps, docker logs -t, ts
        _ISO + r"(?:[ \t]|$)",
        _BSD + r"(?: |$)",
        # kubectl logs --prefix
        r"\[pod/[^\]\s]{1,200}\](?: |$)",
        # docker compose, foreman
        r"[\w.@/-]{1,100} +\|(?: |$)",
        # TeamCity, Jenkins's Timestamper
        r"\[\d\d:\d\d:\d\d\](?:[A-Za-z]?:)?[ \t]{1,2}",
        r"\d\d:\d\d:\d\d(?:[.,]\d{1,6})?(?: {1,2}|$)",
        r"\d\d:\d\d(?: |$)",
        # srun --label, MPICH
        r" *\d{1,5}:(?: |$)",
        r"\[\d{1,5}\](?: |$)",
        r"<\d{1,3}>(?:\d )?",
    )
)
_RANK = re.compile(
    # torch's excepthook and loggers, torchrun --tee
    r"(?P<rank>\[[A-Za-z_]{1,20}\d{1,5}\]):"
    # mpirun --tag-output
    r"|(?P<mpi>\[\d{1,5},\d{1,5}\])<std(?:out|err)>:"
    # Ray
    r"|(?P<ray>\((?:[^()\n]{1,80} )?pid=\d{1,9}(?:, ip=[\w.:]{1,50})?\))(?: |$)"
)
# Buildkite's times, whose escape character may be lost; colours of which only the visible part was copied.
_RESIDUE = re.compile(r"\ufeff|_?bk;t=\d{13}\x07?|(?:\^\[)?\[(?:\d{1,3};){0,4}\d{1,3}m")
_BAR = re.compile(
    r"[^\[\]\n]{0,200}?\d{1,3}%\|.{0,400}\][^\[\]]{0,80}$|[^\[\]\n]{0,200}\d% Completed \| .{0,200}\]\s*$"
)
_PROMPT = re.compile(r"\s+\w*prompt: ")
_TRACEBACK = re.compile(r"Traceback \(most recent call last\):\s*$|  File \"[^\"]+\", line \d+, in ")
# The margin of an exception group, and torch's loggers, whose tracebacks were caught: both belong to what follows.
_OF_A_TRACEBACK = re.compile(r"[\s|+-]*(?:Exception Group )?$|[EWIC]\d{4} \d\d:\d\d:\d\d")
_DIGITS = re.compile(r"\d+")
_WRAPPED = ("log", "message", "msg", "MESSAGE", "line")

SHARE = 0.25
"""The part of a log's lines that must begin alike for that to be a prefix of the log."""
_SAMPLE = 400
_NESTED = 4
_LONGEST_PREFIX = 400
_LONGEST_LINE = 4000
_FEWEST = 3
_LONGEST_BAR = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One line without its prefixes; `source` is the rank or worker that printed it, empty where none is named."""

    text: str
    source: str = ""


def bare_lines(log: str) -> list[Line]:
    """The lines of a log without prefixes, each part of a redrawn line and each record on its own, blank ones left out.

    >>> bare_lines("2026-11-23T16:33:59.12Z [rank1]: boom")
    [Line(text='boom', source='[rank1]')]
    """
    physical = [ANSI.sub("", line) for line in _unwrapped([line for line in log.split("\n") if line.strip()])]
    kinds = _kinds(physical)
    spaced = _spaced(physical, kinds)
    found: list[Line] = []
    for line in physical:
        source, text = _off(line, kinds, spaced=spaced)
        for part in text.split("\r"):
            if part.strip():
                found.extend(Line(record.rstrip(), source) for record in _records(part) if record.strip())
    return found


def _unwrapped(lines: list[str]) -> list[str]:
    """What lines of JSON hold, as Docker and log collectors keep them; lines of anything else as they are."""
    some = lines[:: max(1, len(lines) // _SAMPLE)]
    if not some or sum(_content(line) is not None for line in some) < len(some) / 2:
        return lines
    found: list[str] = []
    for line in lines:
        content = _content(line)
        found += [line] if content is None else [part for part in content.split("\n") if part.strip()]
    return found


def _content(line: str) -> str | None:
    if not line.startswith('{"'):
        return None
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    texts = (fields.get(key) for key in _WRAPPED) if isinstance(fields, dict) else ()
    return next((text for text in texts if isinstance(text, str)), None)


def _kinds(lines: Sequence[str]) -> list[re.Pattern[str]]:
    """The shapes of prefix that this log's lines begin with, outermost first."""
    some = [line.lstrip("\r") for line in lines[:: max(1, len(lines) // _SAMPLE)]]
    kinds: list[re.Pattern[str]] = []
    for _ in range(_NESTED):
        some = [_off(line, [])[1] for line in some]
        shared = next((k for k in _SHARED if sum(k.match(line) is not None for line in some) > SHARE * len(some)), None)
        shared = shared or _learned(some)
        if shared is None:
            break
        kinds.append(shared)
        some = [line[m.end() :] if (m := shared.match(line)) else line for line in some]
    return kinds


def _learned(lines: Sequence[str]) -> re.Pattern[str] | None:
    """What stands before most of the engine's records, or in a log of hardly any before the lines of tracebacks,
    numbers aside: a prefix, whoever put it there."""
    before = [line[: match.start()] for line in lines if (match := STAMP.search(line, 0, _LONGEST_PREFIX))]
    before = [text for text in before if not _BAR.match(text)]
    if len(before) < _FEWEST:
        found = [line[: match.start()] for line in lines if (match := _TRACEBACK.search(line, 0, _LONGEST_LINE))]
        before += [text for text in found if len(text) <= _LONGEST_PREFIX and not _OF_A_TRACEBACK.match(text)]
    counted = Counter(_DIGITS.sub("0", text) for text in before)
    shape, count = counted.most_common(1)[0] if counted else ("", 0)
    if not shape.strip() or count < _FEWEST or count <= len(before) / 2:
        return None
    return re.compile(r"\d+".join(re.escape(part) for part in shape.split("0")))


def _spaced(lines: Sequence[str], kinds: Sequence[re.Pattern[str]]) -> bool:
    """Whether a space follows the names of ranks: `[rank0]: ` has one, `[rank0]:` of other loggers none."""
    some = [_off(line, kinds, spaced=None) for line in lines[:: max(1, len(lines) // _SAMPLE)]]
    named = [text for source, text in some if source.startswith("[") and text]
    return bool(named) and all(text.startswith(" ") for text in named)


def _off(line: str, kinds: Sequence[re.Pattern[str]], *, spaced: bool | None = None) -> tuple[str, str]:
    """The rank that a line names, and what is left of it without its prefixes. `spaced`: as `_spaced` found, None
    leaves a space behind a rank where it is."""
    source = ""
    at = 0
    for kind in (*kinds, None):
        while match := (_RESIDUE.match(line, at) or _RANK.match(line, at)):
            named = next((name for name in match.groups() if name), "")
            source, at = named or source, match.end()
            if named.startswith("[") and spaced is not None and line.startswith(" ", at):
                at += spaced or bool(STAMP.match(line, at + 1) or _RANK.match(line, at + 1))
        if kind is not None and (match := kind.match(line, at)):
            at = match.end()
    return source, line[at:]


def _records(line: str) -> list[str]:
    """A line of which a record is glued to a progress bar, as two. Elsewhere a time in a line is quoted."""
    parts: list[str] = []
    start = 0
    while match := STAMP.search(line, start + 1):
        before = line[start : match.start()] if match.start() - start <= _LONGEST_BAR else ""
        if _PROMPT.match(before) or not _BAR.match(before):
            break
        parts.append(before)
        start = match.start()
    return [*parts, line[start:]]
