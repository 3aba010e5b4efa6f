"""What a search has found out, in a file to which lines are only added: after Ctrl-C or a kill the same command goes on
from there.

The first line says of what search it is. Each further line is one round that was begun, with its variants, what came of
one launch, the time that the search had used when a round was over, or which variants are to be tried again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from pytest_sgdiff.data import TuneLaunch
from pytest_sgdiff.errors import SgdiffError, WireError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.files.wire import from_plain, to_plain

SCHEMA = 2
NAME = "state.jsonl"
LIMIT = 1 << 26

T = TypeVar("T")


class OtherSearchError(SgdiffError):
    """The folder holds a search of something else; `differs` names in what."""

    def __init__(self, path: Path, differs: Sequence[str]) -> None:
        super().__init__(
            f"{path}: holds another search ({'; '.join(differs)}): begin anew with --restart, or name another folder "
            "with --out"
        )
        self.differs = tuple(differs)


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Of what search it is: with another `of` nothing that is known holds. Values are as people read them, but for
    digests. `first` is the number of its first round: the folders of those before are of a search before --restart."""

    schema: int = SCHEMA
    of: Mapping[str, str] = field(default_factory=dict)
    first: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """A round that pytest was started for. `race_round` is the round of the race that its launches belong to
    (`pytest_sgdiff.tuning.search.Race.round`), None where nobody knows."""

    begun: int
    variants: tuple[str, ...]
    race_round: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Came:
    """What came of one launch."""

    came: TuneLaunch


@dataclass(frozen=True, kw_only=True, slots=True)
class Spent:
    """A round is over, whatever came of it: `used_s` is what the search took by then, with all its earlier parts."""

    spent: int
    used_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgot:
    """From here on nothing is known of launches of these variants that did not count."""

    forgot: tuple[str, ...]


class Book:
    """The state in its file below a folder. `cut` is the number of its last line if that is incomplete, as one is that
    was being written, or that a copy of the file cut off; None if it is whole. What it said is not known."""

    def __init__(self, folder: Path, of: Mapping[str, str], *, variants: Collection[str] | None = None) -> None:
        """`variants` are the names that the search has, None for any. Raises OtherSearchError if the file is of another
        search, SgdiffError if it is damaged or cannot be read."""
        self._folder, self._path, self._variants = folder, folder / NAME, variants
        self._lines: list[str] = []
        self.begun: list[Begun] = []
        self.spent: list[Spent] = []
        self.launches: list[TuneLaunch] = []
        self.cut: int | None = None
        self._head = Head(of=of)
        # Also those that were forgotten: what their files say is known.
        self._known: set[tuple[int, str]] = set()
        raw = data_files.read_bytes(self._path, below=folder, at_most=LIMIT)
        if raw is None:
            return
        self._read(raw, of)

    def begin(self, number: int, variants: Sequence[str], *, race_round: int | None = None) -> None:
        """Keep that a round is begun. Raises as `add`."""
        if not self._lines:
            self._head = replace(self._head, first=number)
        self._keep([Begun(begun=number, variants=tuple(variants), race_round=race_round)])

    def may_lack(self, number: int) -> bool:
        """Whether this round was begun if it has a folder, although no line says so any more: that line was cut off, or
        somebody removed it with a damaged one."""
        return bool(self._lines) and number >= max((self._head.first, *(one.begun + 1 for one in self.begun)))

    def mend(self, begun: Mapping[int, Sequence[str]]) -> None:
        """Keep the file without its incomplete line, and that these rounds were begun. Raises as `add`."""
        if self.cut is not None or begun:
            self._keep([Begun(begun=number, variants=tuple(names)) for number, names in begun.items()])

    def forget(self, variants: Collection[str]) -> tuple[str, ...]:
        """Know nothing any longer of launches of these variants that did not count, and return those that had some.
        The time that they took stays spent. Raises as `add`."""
        had = {one.variant for one in self.launches if one.tried is None}
        if forgotten := tuple(name for name in dict.fromkeys(variants) if name in had):
            self._keep([Forgot(forgot=forgotten)])
        return forgotten

    def race_rounds(self) -> Mapping[int, int | None]:
        """The rounds that were begun, and the one of the race that each belongs to."""
        return {one.begun: one.race_round for one in self.begun}

    def add(self, launches: Sequence[TuneLaunch]) -> None:
        """Keep what came of launches. The file has all of it or is as before. Raises SgdiffError: there is no room, or
        it may not be written."""
        self._keep([Came(came=one) for one in launches])

    def spend(self, number: int, used_s: float) -> None:
        """Keep what the search had used when a round was over. Raises as `add`."""
        self._keep([Spent(spent=number, used_s=used_s)])

    def open(self) -> tuple[int, ...]:
        """The rounds that were begun, and of which nobody kept that they are over."""
        over = {one.spent for one in self.spent}
        return tuple(dict.fromkeys(one.begun for one in self.begun if one.begun not in over))

    def unfinished(self) -> Iterator[Begun]:
        """The rounds that were begun, and of which not every variant is known."""
        for one in self.begun:
            if any((one.begun, name) not in self._known for name in one.variants):
                yield one

    def knows(self, number: int, variant: str) -> bool:
        """Whether it is known what came of a variant in a round, or was before it was forgotten."""
        return (number, variant) in self._known

    @property
    def took_s(self) -> float:
        """What the search has used, as far as is kept: of a round whose end nobody saw, what its launches took."""
        over = {one.spent for one in self.spent}
        by_round: dict[int, float] = {}
        for one in self.launches:
            if one.round not in over:
                by_round[one.round] = max(by_round.get(one.round, 0.0), one.took_s)
        return max((one.used_s for one in self.spent), default=0.0) + sum(by_round.values())

    def _keep(self, found: Sequence[Begun | Came | Spent | Forgot]) -> None:
        lines = [*(self._lines or [_line(self._head)]), *map(_line, found)]
        try:
            data_files.write(self._path, "".join(f"{line}\n" for line in lines), below=self._folder)
        except OSError as error:
            raise SgdiffError(
                f"{self._path}: cannot be written: {error.strerror or error}; what was known before is still there: "
                "make room, and give the same command again"
            ) from None
        self._lines = lines
        for one in found:
            self._take(one)

    def _take(self, one: Begun | Came | Spent | Forgot) -> None:
        if isinstance(one, Begun):
            self.begun.append(one)
        elif isinstance(one, Spent):
            self.spent.append(one)
        elif isinstance(one, Forgot):
            self.launches = [known for known in self.launches if known.tried or known.variant not in one.forgot]
        else:
            self.launches.append(one.came)
            self._known.add((one.came.round, one.came.variant))

    def _read(self, raw: bytes, of: Mapping[str, str]) -> None:
        text = raw.decode("utf-8", "replace")
        lines = text.splitlines()
        if len(lines) > 1 and not text.endswith("\n") and not _is_json(lines[-1]):
            self.cut = len(lines)
            lines.pop()
        head = self._parsed(Head, lines[0] if lines else "", 1)
        if head.schema != SCHEMA:
            raise SgdiffError(f"{self._path}: was written by another version: begin anew with --restart")
        if differs := list(_differences(head.of, of)):
            raise OtherSearchError(self._path, differs)
        self._head = head
        for number, line in enumerate(lines[1:], 2):
            one: Begun | Came | Spent | Forgot
            if line.startswith('{"begun"'):
                one = self._parsed(Begun, line, number)
                wrong = self._unknown(one.variants) or _no_round(one)
            elif line.startswith('{"spent"'):
                one = self._parsed(Spent, line, number)
                wrong = _no_amount(used_s=one.used_s)
            elif line.startswith('{"forgot"'):
                one = self._parsed(Forgot, line, number)
                wrong = self._unknown(one.forgot)
            else:
                one = self._parsed(Came, line, number)
                wrong = self._unknown((one.came.variant,)) or _impossible(one.came)
            if wrong:
                raise self._damaged(number, wrong)
            self._take(one)
        self._lines = lines

    def _parsed(self, kind: type[T], line: str, number: int) -> T:
        try:
            return from_plain(kind, json.loads(line))
        except (ValueError, RecursionError, WireError) as error:
            raise self._damaged(number, str(error)) from None

    def _damaged(self, number: int, why: str) -> SgdiffError:
        return SgdiffError(
            f"{self._path}:{number}: is damaged ({why}): delete this line and those behind it to go on with what is "
            "before it, or begin anew with --restart"
        )

    def _unknown(self, names: Sequence[str]) -> str:
        known = self._variants
        return next((f"no variant is called {name}" for name in names if known is not None and name not in known), "")


def _impossible(came: TuneLaunch) -> str:
    """What cannot be true of a launch; empty where nothing is wrong with it."""
    tried = came.tried
    if (tried is None) == (came.dropped is None):
        return "a launch counts, or there is a reason why it does not"
    if tried is None:
        return _no_amount(took_s=came.took_s, e2e_ms=came.e2e_ms)
    if tried.variant != came.variant:
        return f"a launch of {came.variant} is none of {tried.variant}"
    if tried.ms == 0:
        return "ms is 0"
    if tried.lost is not None and tried.lost > 1:
        return f"lost is {tried.lost}"
    return _no_amount(
        took_s=came.took_s,
        e2e_ms=came.e2e_ms,
        ms=tried.ms,
        lost=tried.lost,
        memory_mib=tried.memory_mib,
        gpu_s=tried.gpu_s,
    )


def _no_amount(**values: float | None) -> str:
    """The first value that is no amount of anything; empty where all are."""
    return next(
        (
            f"{name} is {value}"
            for name, value in values.items()
            if value is not None and not (math.isfinite(value) and value >= 0)
        ),
        "",
    )


def _no_round(begun: Begun) -> str:
    return f"race_round is {begun.race_round}" if begun.race_round is not None and begun.race_round < 1 else ""


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _line(value: object) -> str:
    return json.dumps(to_plain(value))


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys((*then, *now)):
        before, after = then.get(name, ""), now.get(name, "")
        if before != after:
            shown = len(before) < 40 and len(after) < 40
            yield f"{name}: {before or 'none'} then, {after or 'none'} now" if shown else f"not the same {name}"
