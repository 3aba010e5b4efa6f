"""Finds Python's tracebacks in a log and the exception that each ends in, whatever its class is called.

The exception is the first line behind the frames that is no further indented than the traceback's own header: that
holds for chained tracebacks, carets, exception groups and syntax errors, and behind a prefix as well. Records of the
engine and progress bars that other processes printed in between are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_sgdiff.engines.log_prefix import STAMP, Line

_HEADER = re.compile(r"(?P<indent>\s*)(?P<group>\+ Exception Group )?Traceback \(most recent call last\):\s*$")
_EXCEPTION = re.compile(
    r"(?P<type>(?:[A-Za-z_<][\w<>]*\.)*[A-Za-z_]\w*)(?:\[[\w., ]{1,80}\])?(?:: ?(?P<what>.*))?$", re.DOTALL
)
_PLAIN_TYPE = re.compile(r"[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Iteration|Group|Warning)$|Exception$")
_LEVELS = frozenset(("INFO", "WARNING", "WARN", "ERROR", "DEBUG", "CRITICAL", "FATAL", "Note", "NOTE", "Hint", "HINT"))
_GROUP_LINE = re.compile(r"\s*(?:\| ?|\+-)")
_MARGIN = re.compile(r"\s*\| ?")
_BAR = re.compile(r"[^\n]{0,200}\d{1,3}%(?:\||\s+Completed\b)")
_NO_MESSAGE = re.compile(
    r"During handling of the above exception|The above exception was the direct cause|\s*frame #\d+:|Process \S+:$"
    r"|usage: |terminate called|Fatal Python error|Exception raised from |\[[EWIC]\d{4} |[EWIC]\d{4} \d\d:\d\d:\d\d"
)
_CAUGHT = re.compile(r"Exception ignored (?:in|while|on)\b|--- Logging error ---")
_DISCARDED = re.compile(r"Ignoring this choice|for benchmark choice", re.IGNORECASE)
_UNCAUGHT = re.compile(r"Process \S+:\s*$")
_MOST_FRAMES = 4000
_MOST_MESSAGE = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Raised:
    """An exception at the end of a traceback. `at` is the position of its line among all lines; `message` is the rest
    of that line, `more` the lines that follow it; `caught` says that it was printed by who caught it for good,
    `uncaught` that it ended its process."""

    type: str
    message: str
    at: int
    line: str
    more: tuple[str, ...] = ()
    caught: bool = False
    uncaught: bool = False


@dataclass(slots=True)
class _Open:
    """A traceback that is being read."""

    indent: int
    group: bool
    caught: bool
    uncaught: bool
    frames: int = 0
    found: tuple[int, str, str, str] | None = None
    more: list[str] = field(default_factory=list)


def exceptions(lines: Sequence[Line]) -> tuple[tuple[Raised, ...], frozenset[int]]:
    """The exceptions of all tracebacks in the order of their lines, and the positions of every line of a traceback.

    What different ranks print is read apart, where their lines say which rank they are of.
    """
    sources: dict[str, list[tuple[int, str]]] = {}
    for at, line in enumerate(lines):
        sources.setdefault(line.source, []).append((at, line.text))
    parts: set[int] = set()
    found = [raised for own in sources.values() for raised in _of_one(own, parts)]
    return tuple(sorted(found, key=lambda raised: raised.at)), frozenset(parts)


def of_line(text: str) -> tuple[str, str] | None:
    """Type and message of a line that shows an exception by itself, with a class that is called one."""
    match = _EXCEPTION.match(text)
    if match is None or not _PLAIN_TYPE.search(match["type"].rpartition(".")[2]):
        return None
    return match["type"], match["what"] or ""


def _of_one(lines: Iterable[tuple[int, str]], parts: set[int]) -> Iterator[Raised]:
    open_: _Open | None = None
    before = ""
    for at, line in lines:
        stamp = STAMP.match(line)
        text = line[stamp.end() :] if stamp else line
        header = _HEADER.match(text)
        if header:
            if open_ is not None:
                yield from _closed(open_)
            open_ = _Open(
                indent=len(header["indent"]),
                group=header["group"] is not None,
                caught=_CAUGHT.match(before) is not None,
                uncaught=_UNCAUGHT.match(before) is not None,
            )
            parts.add(at)
        elif open_ is not None:
            if _take(open_, at, text, foreign=stamp is not None or _BAR.match(text) is not None):
                parts.add(at)
            elif _over(open_, text, stamped=stamp is not None):
                yield from _closed(open_)
                open_ = None
        before = text
    if open_ is not None:
        yield from _closed(open_)


def _take(open_: _Open, at: int, text: str, *, foreign: bool) -> bool:
    """Whether the line is part of the traceback, which then has it."""
    if foreign:
        return False
    if open_.group:
        return _take_of_group(open_, at, text)
    if open_.found is None:
        open_.frames += 1
        if len(text) - len(text.lstrip()) > open_.indent:
            return True
        kind = _exception(text.strip())
        if kind is None:
            return False
        open_.found = (at, text.strip(), *kind)
        return True
    if _NO_MESSAGE.match(text) or len(open_.more) >= _MOST_MESSAGE:
        return False
    open_.more.append(text.strip())
    return True


def _take_of_group(open_: _Open, at: int, text: str) -> bool:
    """Lines of an exception group all have its margin; the first exception is the group, others are its parts."""
    if not _GROUP_LINE.match(text):
        return False
    inner = _MARGIN.sub("", text, count=1)
    kind = None if inner[:1].isspace() or not inner else _exception(inner.strip())
    if kind is not None and open_.found is None:
        open_.found = (at, inner.strip(), *kind)
    elif kind is not None:
        open_.more.append(inner.strip())
    return True


def _over(open_: _Open, text: str, *, stamped: bool) -> bool:
    if open_.group:
        return open_.found is not None and not stamped
    return open_.found is not None or open_.frames > _MOST_FRAMES or _NO_MESSAGE.match(text) is not None


def _closed(open_: _Open) -> Iterator[Raised]:
    if open_.found is None:
        return
    at, line, kind, message = open_.found
    if open_.group and open_.more:
        message = f"{message}: {'; '.join(open_.more)}"
    yield Raised(
        type=kind,
        message=message,
        at=at,
        line=line,
        more=tuple(open_.more),
        caught=open_.caught or any(_DISCARDED.search(part) for part in (line, *open_.more)),
        uncaught=open_.uncaught,
    )


def _exception(text: str) -> tuple[str, str] | None:
    """Type and message of the line behind a traceback's frames: any class may stand there."""
    match = _EXCEPTION.match(text)
    if match is None or match["type"] in _LEVELS:
        return None
    name = match["type"].rpartition(".")[2]
    # One small word alone, or before a colon, is text of another process; classes of modules may be small.
    if "." not in match["type"] and not name[:1].isupper() and not name.startswith("_"):
        return None
    if match["what"] is None and "." not in match["type"] and not name[:1].isupper():
        return None
    return match["type"], match["what"] or ""
