"""A Chrome trace as torch's profiler writes it, read event by event in bounded memory.

A trace of a real launch has hundreds of megabytes, nearly all in one list, `traceEvents`. Python's own scanner reads
one event after the other out of a window of text. A trace is foreign data: its size, the length of an event and the
shape of each field are checked here, and nothing of it is trusted further up.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Literal, NamedTuple, cast

from pytest_sgdiff.errors import SgdiffError

TRACE_LIMIT = 2 << 30
"""Bytes of a trace's text that are read. A tiny model's whole request has 50 MB; five steps of a large one some hundred
MB (docs/attribution.md)."""
EVENT_LIMIT = 1 << 20
"""Characters of one event, and of what stands before the first: real ones have some thousand."""
NAME_LIMIT = 240
SHAPE_LIMIT = 160
_CHUNK = 1 << 20
_START = re.compile(r'"traceEvents"\s*:\s*\[')
_SPACE = re.compile(r"[\s,]*")
_GZIP = b"\x1f\x8b"


class TraceError(SgdiffError):
    """A trace cannot be read: it is `torn` (no JSON, or it ends too early) or `too-large`."""

    def __init__(self, code: Literal["torn", "too-large"], why: str) -> None:
        super().__init__(why)
        self.code: Literal["torn", "too-large"] = code


class Event(NamedTuple):
    """One complete event: times in µs. `external` and `shape` are empty where it has none. A named tuple, for there are
    millions of them."""

    category: str
    name: str
    thread: object
    start: float
    took: float
    external: int | None
    shape: str


@dataclass(kw_only=True, slots=True)
class _Window:
    file: IO[bytes]
    text: str = ""
    at: int = 0
    read: int = 0
    ended: bool = False

    def more(self) -> bool:
        """Add the next piece of the file; False at its end."""
        if self.ended:
            return False
        try:
            piece = self.file.read(_CHUNK)
        except (OSError, EOFError, zlib.error) as error:
            raise TraceError("torn", f"it cannot be decompressed to its end: {error}") from None
        self.read += len(piece)
        if self.read > TRACE_LIMIT:
            raise TraceError("too-large", f"it has more than {TRACE_LIMIT} bytes")
        self.ended = not piece
        # A character cut in two at the edge only damages a name: keys and numbers are ASCII.
        self.text, self.at = self.text[self.at :] + piece.decode("utf-8", "replace"), 0
        return not self.ended


def events(file: IO[bytes]) -> Iterator[Event]:
    """The complete events (`ph` X) of a trace, gzipped or not, in the order of the file.

    Raises TraceError: damaged, cut off, or beyond a limit.
    """
    head = file.read(2)
    file.seek(0)
    window = _Window(file=cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if head == _GZIP else file)
    _to_first(window)
    scan = json.JSONDecoder(parse_constant=_no_number).raw_decode
    while True:
        place = _SPACE.match(window.text, window.at)
        window.at = window.at if place is None else place.end()
        if window.at >= len(window.text):
            if not window.more():
                raise TraceError("torn", "it ends before its list of events does")
            continue
        if window.text[window.at] == "]":
            return
        try:
            found, end = scan(window.text, window.at)
        except RecursionError:
            raise TraceError("torn", "an event of it is nested too deeply") from None
        except ValueError as error:
            if len(window.text) - window.at > EVENT_LIMIT:
                raise TraceError(
                    "torn", f"an event of it is no JSON, or has more than {EVENT_LIMIT} characters"
                ) from None
            if not window.more():
                raise TraceError("torn", f"it ends inside an event: {error}") from None
            continue
        if end == len(window.text) and window.more():
            # A number at the edge may go on; an object does not, and is scanned once more.
            continue
        window.at = end
        event = _event(found)
        if event is not None:
            yield event


def _to_first(window: _Window) -> None:
    """Go to the first event: of the list under `traceEvents`, or of the list that is the whole document."""
    while len(window.text) <= EVENT_LIMIT:
        if window.text.lstrip().startswith("["):
            window.at = window.text.index("[") + 1
            return
        if (start := _START.search(window.text)) is not None:
            window.at = start.end()
            return
        if not window.more():
            raise TraceError("torn", "it has no list of events")
    raise TraceError("torn", f"its list of events does not begin within {EVENT_LIMIT} characters")


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _event(found: Any) -> Event | None:
    """A complete event whose fields can be what they are to be; None for any other."""
    if not isinstance(found, dict) or found.get("ph") != "X":
        return None
    name, category = found.get("name"), found.get("cat")
    start, took = _number(found.get("ts")), _number(found.get("dur"))
    if not isinstance(name, str) or not isinstance(category, str) or start is None or took is None or took < 0:
        return None
    args = found.get("args")
    args = args if isinstance(args, dict) else {}
    external = args.get("External id")
    if not isinstance(external, int) or isinstance(external, bool) or not 0 <= external < 1 << 62:
        external = None
    thread = f"{found.get('pid')!s:.40}/{found.get('tid')!s:.40}"
    return Event(category, name[:NAME_LIMIT], thread, start, took, external, _shape(args.get("Input Dims")))


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # Times are µs: of a clock that has run for some 30,000 years at most.
    return number if math.isfinite(number) and abs(number) < 1e18 else None


def _shape(dims: Any) -> str:
    """`[2, 512, 128] [128]`: the sizes of the inputs that have some; empty where it does not say."""
    if not isinstance(dims, list):
        return ""
    told = [str(one) for one in dims[:12] if isinstance(one, list) and one]
    return " ".join(told)[:SHAPE_LIMIT]
