"""Reads the lines that accept a slowdown for a time: from `sgdiff-accept.txt`, or from a text such as that of a pull
request.

    sgdiff-accept: wan22_t2v denoise +5 % until 2027-01-31 because the new sampler needs two more passes
"""

from __future__ import annotations

import os
import pathlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Acceptance
from pytest_sgdiff.errors import AcceptanceError
from pytest_sgdiff.files.data_files import DataFileError, read_bytes, read_named

if TYPE_CHECKING:
    from pytest_sgdiff.cases.shown_text import Place, ShownLine

FILE = "sgdiff-accept.txt"
"""Where a repository keeps them, at pytest's root."""
LIMIT = 1 << 18
"""Bytes of such a file; the text of a pull request has 65,536 characters at most on GitHub."""
AT_MOST = 1.0
"""The largest slowdown that can be accepted, a fraction: what takes twice as long is other work."""
DAYS = 366
"""How long from today a slowdown can be accepted, at most: what nobody looks at again in a year is no exception."""
REASON_AT_MOST = 300

FORM = "sgdiff-accept: CASE METRIC +5 % until 2027-01-31 because REASON"
_BEGINS = re.compile(r"[ \t]*(?:[-*][ \t]+)?sgdiff-accept[ \t]*:", re.IGNORECASE)
_LINE = re.compile(
    r"[ \t]*(?P<case>\S+)[ \t]+(?P<metric>\S+)[ \t]+\+?(?P<size>[0-9]{1,9}(?:\.[0-9]{1,9})?)[ \t]*%"
    r"[ \t]+until[ \t]+(?P<until>[0-9]{4}-[0-9]{2}-[0-9]{2})[ \t]+because[ \t]+(?P<because>\S.*?)[ \t]*"
)
_WORD = "sgdiff-accept"
_MARK = re.compile(r"[ \t]*(?:(?:[-*+]|[0-9]{1,3}[.)])[ \t]+)?(?:\[[ x]\][ \t]+)?")
_HEAD = re.compile(r"([^\s:]+(?:[ \t]\S{1,9})?)[ \t]*:")
_CLOSE = 0.8
"""How alike to the word (`difflib`) what stands before the colon must be to be a misspelling of it: `sgdiff-acept` is
0.96, `sgdiff_accept` 0.92, `sgdiff` 0.63."""
_MEANT = re.compile(r"%.*\b(?:until|because)\b", re.IGNORECASE)


def read_acceptances(files: Sequence[pathlib.Path], root: pathlib.Path, *, today: date) -> tuple[Acceptance, ...]:
    """All acceptances of the files, also expired ones. One that is named FILE holds nothing else but comments (`#`).
    Any other text is Markdown: of what a page shows of it (`shown_text`) the lines count that begin with
    `sgdiff-accept:`, and one that begins nearly so is a mistake.

    Raises:
        AcceptanceError: with every mistake of all files, each with file and line.
        DataFileError: a file is none that may be read.
    """
    found: list[Acceptance] = []
    mistakes: list[str] = []
    for file in files:
        path = str(file.relative_to(root)) if file.is_relative_to(root) else str(file)
        raw = _content(file, root)
        if raw is None:
            fix = "make an empty one where nothing is accepted, or use --sgdiff-accept=none"
            raise DataFileError(file, "unreadable", f"is not there: {fix}")
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            number = raw[: error.start].count(b"\n") + 1
            mistakes.append(f"{path}:{number}: is not UTF-8")
            continue
        for number, line, wrong in _lines(text, whole=file.name == FILE):
            one = wrong or _parsed(line, path, number, today)
            if isinstance(one, str):
                mistakes.append(f"{path}:{number}: {one}")
            else:
                found.append(one)
    mistakes += _twice(found, today)
    if mistakes:
        raise AcceptanceError(mistakes)
    return tuple(found)


def _content(file: pathlib.Path, root: pathlib.Path) -> bytes | None:
    """What the file holds, None where it is not there. Raises DataFileError."""
    if file == root / FILE:
        # It may have come with somebody's change; any other one was named.
        return read_bytes(file, below=root, at_most=LIMIT)
    try:
        os.stat(file)
    except FileNotFoundError:
        return None
    except OSError:
        pass  # whoever reads it says why
    return read_named(file, at_most=LIMIT)


def _lines(text: str, *, whole: bool) -> Iterator[tuple[int, str, str]]:
    """The lines that are to be read, with their numbers, and what is wrong with the place of each, if anything is."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if whole:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip() and not line.lstrip().startswith("#"):
                yield number, line, ""
    else:
        # No other run needs a parser of Markdown or HTML.
        from pytest_sgdiff.cases.shown_text import shown_lines

        for one in shown_lines(text):
            if _begins_like(one.text):
                # Code that a line begins with is an example; within the line it is how names are written.
                yield one.number, one.with_code if _BEGINS.match(one.text) else one.text, _misplaced(one)


def _misplaced(line: ShownLine) -> str:
    if line.place == "open":
        return f"`<{line.tag}>` in line {line.since} is open, and hides or quotes this line: {_OPEN_FIX}"
    return f"{_ELSEWHERE[line.place]}; {_PLACE_FIX}" if line.place != "paragraph" else ""


def _begins_like(line: str) -> bool:
    """Whether a line is an acceptance, or was meant to be one."""
    if _BEGINS.match(line):
        return True
    plain = _plain(line)
    head = _HEAD.match(plain)
    if head is not None and _alike(head[1]) >= _CLOSE:
        return True
    # Without the colon, or with something else in its place.
    first = re.split(r"[\s:;=]", plain, maxsplit=1)[0]
    return _alike(first) >= _CLOSE and _MEANT.search(plain) is not None


def _plain(line: str) -> str:
    """The line in lower case, without the mark of a list, and with other signs that look like a hyphen or colon as
    these."""
    folded = unicodedata.normalize("NFKC", line).casefold()
    return _MARK.sub("", re.sub(r"[\u2010-\u2015\u2212]", "-", folded), count=1)


def _alike(word: str) -> float:
    from difflib import SequenceMatcher

    return SequenceMatcher(None, _WORD, re.sub(r"[ \t_]", "-", word)).ratio()


_ELSEWHERE: Mapping[Place, str] = {
    "paragraph": "",
    "heading": "stands in a heading (perhaps because of a line of `---` or `===` below it)",
    "table": "stands in a table",
    "quote": "belongs to the quotation above it",
    "html": "stands within HTML, which a page may not show",
    "open": "",
    "struck": "is struck out in part",
    "callout": "stands in a quotation, which a page shows as a note of your own",
}
_OPEN_FIX = "write the tag as code, in backticks, or close it"
_PLACE_FIX = "write it as a paragraph of its own, with empty lines around it, or remove it"


def _parsed(line: str, path: str, number: int, today: date) -> Acceptance | str:
    """The acceptance of a line, or what is wrong with it."""
    begins = _BEGINS.match(line)
    parts = None if begins is None else _LINE.fullmatch(line[begins.end() :])
    if parts is None:
        return f"is not of the form `{FORM}`"
    case, metric, because = parts["case"], parts["metric"], parts["because"]
    if not _can_be_accepted(metric):
        return f"'{metric}' is no metric{_did_you_mean(metric)}; use one of {', '.join(_names())}"
    size = float(parts["size"]) / 100
    if not 0 < size <= AT_MOST:
        return f"+{parts['size']} % cannot be accepted: use more than 0 % and at most {AT_MOST * 100:.0f} %"
    try:
        until = date.fromisoformat(parts["until"])
    except ValueError:
        return f"{parts['until']} is no day of the calendar"
    if (until - today).days > DAYS:
        return f"until {until} is more than {DAYS} days ahead: choose a day on which somebody looks at it again"
    if len(because) > REASON_AT_MOST:
        return f"the reason has more than {REASON_AT_MOST} characters: name an issue that has the rest"
    return Acceptance(
        case=case, metric=metric, size=size, until=until.isoformat(), because=because, path=path, line=number
    )


def _can_be_accepted(name: str) -> bool:
    """Whether it is a metric that a case can gate, a group of such, or the pauses."""
    found = metrics.entry(name)
    if found is None:
        return metrics.group(name) is not None
    return (found.gates or name == metrics.PAUSE) and (not found.family or bool(name.partition(":")[2]))


def _names() -> tuple[str, ...]:
    return (*metrics.gate_names(), metrics.PAUSE)


def _did_you_mean(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, _names(), n=1)
    return f", did you mean '{near[0]}'?" if near else ""


def _twice(found: Iterable[Acceptance], today: date) -> Iterator[str]:
    """Two lines on one metric of a case contradict each other; those whose time is over have no say."""
    first: dict[tuple[str, str], Acceptance] = {}
    for one in found:
        if not one.expired(today) and (other := first.setdefault((one.case, one.metric), one)) is not one:
            yield (
                f"{one.path}:{one.line}: {one.case} {one.metric} is accepted in {other.path}:{other.line}, too: leave "
                "one of them out"
            )
