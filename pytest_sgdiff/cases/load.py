"""Case files: YAML text -> cases, with every mistake of a file at once as `path:line:column: message`.

A file is read into a tree with places (`yaml`), what people wrote is checked and merged on it (`keys`, `merge`), and
only a file without mistakes becomes cases.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import pathlib
import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from pytest_sgdiff.cases.locations import KeySets
from pytest_sgdiff.cases.merge import Draft, drafts
from pytest_sgdiff.cases.shapes import did_you_mean
from pytest_sgdiff.cases.tree import MAX_MISTAKES, Mistakes, TooManyMistakesError
from pytest_sgdiff.cases.yaml import MAX_BYTES, TOO_LARGE, read_quickly, read_tree
from pytest_sgdiff.data import Case, Location
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.lookalikes import in_name


def load_cases(path: str, text: str, *, known_marks: Collection[str] | None = None) -> tuple[Case, ...]:
    """The cases of one file, one per matrix variant, in the file's order.

    `path` is the name that locations carry, relative to the root directory. With `known_marks`, other marks are
    mistakes. Raises CaseFileError with every mistake of the file.
    """
    with _collector_at_rest():
        return _load(path, text, known_marks)


@contextlib.contextmanager
def _collector_at_rest() -> Iterator[None]:
    """The tree of a file is gone before anything else is made, and has no cycles. Python's garbage collector would go
    through it, and then through all that pytest has collected before, again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _load(path: str, text: str, known_marks: Collection[str] | None) -> tuple[Case, ...]:
    found = _without_mistakes(path, text, known_marks)
    if found is None:
        mistakes = Mistakes(path, text)
        try:
            root = read_tree(text, mistakes)
            found = () if root is None else drafts(root, mistakes, known_marks)
        except TooManyMistakesError:
            more = f"{path}:1:1: more than {MAX_MISTAKES:,} mistakes: only these are shown"
            raise CaseFileError([*mistakes.lines, more]) from None
        if len(mistakes):
            raise CaseFileError(mistakes.lines)
    seen = KeySets(path)
    return tuple(_build(draft, path, seen) for draft in found)


def _without_mistakes(path: str, text: str, known_marks: Collection[str] | None) -> tuple[Draft, ...] | None:
    """The drafts of a file that nothing is wrong with; None where something may be."""
    root, mistakes = read_quickly(text), Mistakes(path)
    try:
        found = None if root is None else drafts(root, mistakes, known_marks)
    except TooManyMistakesError:
        return None
    return None if len(mistakes) else found


def read_cases(
    file: pathlib.Path, root: pathlib.Path, *, known_marks: Collection[str] | None = None
) -> tuple[Case, ...]:
    """As `load_cases`, from a file, named relative to `root`. A file that cannot be read is a mistake at 1:1.

    Raises CaseFileError as `load_cases` does.
    """
    found = _read_if(file, root, known_marks, only_with_cases=False)
    return () if found is None else found


def read_if_cases(file: pathlib.Path, root: pathlib.Path) -> tuple[Case, ...] | None:
    """As `read_cases` of a file that may be of another kind: None where `has_cases` says that it is."""
    return _read_if(file, root, None, only_with_cases=True)


def _read_if(
    file: pathlib.Path, root: pathlib.Path, known_marks: Collection[str] | None, *, only_with_cases: bool
) -> tuple[Case, ...] | None:
    path = pathlib.PurePath(os.path.relpath(file, root)).as_posix()
    try:
        raw = _read(file)
        if only_with_cases and not _names_cases(raw):
            return None
        text = _decoded(raw)
    except _UnreadableError as error:
        if only_with_cases and not error.there:
            return None
        raise CaseFileError([f"{path}:1:1: {error}"]) from None
    return load_cases(path, text, known_marks=known_marks)


def check_files(
    files: Iterable[pathlib.Path], root: pathlib.Path, *, known_marks: Collection[str] | None = None
) -> tuple[str, ...]:
    """Every mistake of several files, those between files too: an id used twice, a relation to no case."""
    files = tuple(files)
    mistakes: list[str] = []
    cases: list[Case] = []
    for file in files:
        found, wrong = _try_file(file, root, known_marks)
        cases += found
        mistakes += wrong
    # The case that a relation names may be in a file that could not be loaded.
    relations = () if mistakes else check_relations(cases, files=files, root=root)
    return (*mistakes, *check_ids(cases), *relations)


def check_ids(cases: Sequence[Case]) -> tuple[str, ...]:
    """A mistake for every case whose id another file has used before it, in the order of `cases`."""
    first: dict[str, Location] = {}
    mistakes: dict[str, None] = {}
    for case in cases:
        before = first.setdefault(case.name, case.location)
        if before != case.location:
            mistakes[f"{case.location}: case id '{case.name}' is already used at {before}"] = None
    return tuple(mistakes)


def check_relations(
    cases: Sequence[Case], *, files: Iterable[pathlib.Path], root: pathlib.Path, elsewhere: CaseFiles | None = None
) -> tuple[str, ...]:
    """A mistake for every `faster_than` in the `cases` of `files` that names the case itself, or a case that is neither
    in these files nor in any other beside them or below `root`, as where a run selects one side only.

    What a file has that cannot be loaded nobody knows: then no name is called unknown. `elsewhere` remembers the other
    files for the next call.
    """
    others: list[Case] = []
    complete = True
    named = {case.faster_than.case for case in cases if case.faster_than is not None}
    missing = named - {case.id for case in cases}
    if missing:
        for found, wrong in (elsewhere or CaseFiles(root)).other_than(tuple(files)):
            others += found
            complete = complete and not wrong
            missing.difference_update(case.id for case in found)
            if not missing:
                break
    return _relation_mistakes(cases, others, complete=complete) if named else ()


def ids_below(root: pathlib.Path) -> frozenset[str]:
    """The ids of all cases in the case files below a folder; of one with mistakes, which has a message of its own,
    nobody knows what it holds."""
    return frozenset(case.id for found, _ in CaseFiles(root).other_than(()) for case in found)


def _relation_mistakes(cases: Sequence[Case], others: Sequence[Case], *, complete: bool) -> tuple[str, ...]:
    ids: dict[str, None] = {}
    variants: dict[str, list[str]] = {}
    for case in (*cases, *others):
        ids[case.id] = None
        if case.variant is not None:
            variants.setdefault(case.name, []).append(case.id)
    mistakes: list[str] = []
    for case in cases:
        if case.faster_than is None:
            continue
        other, place = case.faster_than.case, case.at("faster_than.case")
        if other == case.id:
            mistakes.append(f"{place}: case '{other}' cannot be faster than itself")
        elif other in variants:
            mistakes.append(f"{place}: case '{other}' has variants, name one of them: {', '.join(variants[other])}")
        elif other not in ids and complete:
            mistakes.append(f"{place}: no case is called '{other}'{did_you_mean(other, ids)}{in_name(other)}")
    return tuple(mistakes)


class CaseFiles:
    """The case files of a project: those that are collected, and those in which the case of a relation may be. Each
    folder is gone through once, and each file is read once, however many files have relations."""

    def __init__(self, root: pathlib.Path) -> None:
        self._root = root
        self._known: dict[pathlib.Path, tuple[Sequence[Case], Sequence[str]] | None] = {}
        self._beside: dict[pathlib.Path, list[pathlib.Path]] = {}
        self._below: list[pathlib.Path] | None = None

    def has_cases(self, file: pathlib.Path) -> bool:
        """As the function of that name, of a file that is then to be read."""
        real = file.resolve()
        if real not in self._known:
            self._known[real] = self._read(file)
        return self._known[real] is not None

    def read(self, file: pathlib.Path, known_marks: frozenset[str]) -> tuple[Case, ...]:
        """As `read_cases`, of a file that may have been read before for the sake of another one."""
        cases, _ = self._known.get(file.resolve()) or ((), ())
        if not cases or not known_marks >= {mark for case in cases for mark in case.marks}:
            cases = read_cases(file, self._root, known_marks=known_marks)
            self._known[file.resolve()] = cases, ()
        return tuple(cases)

    def other_than(self, files: Collection[pathlib.Path]) -> Iterator[tuple[Sequence[Case], Sequence[str]]]:
        """Cases or mistakes of each case file other than `files`: those in the same folders, then those below the root,
        but for folders whose names start with a dot."""
        seen = {file.resolve() for file in files}
        folders = sorted({file.parent for file in seen})
        for file in itertools.chain(*map(self._in, folders), self._all()):
            real = file.resolve()
            if real in seen:
                continue
            seen.add(real)
            if real not in self._known:
                self._known[real] = self._read(file)
            if (found := self._known[real]) is not None:
                yield found

    def _read(self, file: pathlib.Path) -> tuple[Sequence[Case], Sequence[str]] | None:
        try:
            cases = read_if_cases(file, self._root)
        except CaseFileError as error:
            return (), error.mistakes
        return None if cases is None else (cases, ())

    def _in(self, folder: pathlib.Path) -> list[pathlib.Path]:
        if folder not in self._beside:
            self._beside[folder] = sorted(folder.glob("*.y*ml"))
        return self._beside[folder]

    def _all(self) -> Iterator[pathlib.Path]:
        if self._below is None:
            self._below = list(_below(self._root))
        yield from self._below


def _try_file(
    file: pathlib.Path, root: pathlib.Path, known_marks: Collection[str] | None
) -> tuple[tuple[Case, ...], tuple[str, ...]]:
    """The file's cases, or its mistakes."""
    try:
        return read_cases(file, root, known_marks=known_marks), ()
    except CaseFileError as error:
        return (), error.mistakes


def _below(root: pathlib.Path) -> Iterator[pathlib.Path]:
    for folder, names, files in os.walk(root):
        names[:] = sorted(name for name in names if not name.startswith("."))
        yield from (pathlib.Path(folder, name) for name in sorted(files) if name.endswith((".yaml", ".yml")))


def has_cases(file: pathlib.Path) -> bool:
    """Whether a YAML file has a top-level key `cases`, as far as can be told without reading it as YAML."""
    try:
        if not file.is_file():  # a FIFO would wait for a writer
            return False
        with file.open("rb") as stream:
            return _names_cases(stream.read(MAX_BYTES))
    except OSError:
        return False


def _names_cases(raw: bytes) -> bool:
    return re.search(rb"^cases[ \t]*:", raw[:MAX_BYTES], re.MULTILINE) is not None


class _UnreadableError(Exception):
    """Why a file's text cannot be had; `there`: its bytes can."""

    there = True


class _MissingError(_UnreadableError):
    there = False


def _read(file: pathlib.Path) -> bytes:
    """The file's bytes, one more than allowed where there are more."""
    try:
        if not file.is_file():
            raise _MissingError("not a file" if file.exists() else "no such file")
        with file.open("rb") as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _MissingError(f"cannot be read: {error.strerror or error}") from None


def _decoded(raw: bytes) -> str:
    if b"\0" in raw[:1024]:
        raise _UnreadableError("a binary file, not YAML")
    if len(raw) > MAX_BYTES:
        raise _UnreadableError(TOO_LARGE)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnreadableError(f"not UTF-8 text: byte 0x{raw[error.start]:02x} on line {line}") from None


def _build(draft: Draft, path: str, seen: KeySets) -> Case:
    """The case of a draft of a file without mistakes."""
    values = dict(draft.values)
    if "timeout" in values:
        values["timeout_s"] = values.pop("timeout")
    written, locations = seen.of(draft.table)
    return Case(
        name=draft.name,
        variant=draft.variant,
        location=Location(path=path, line=draft.place.line, column=draft.place.column),
        locations=locations,
        written=written,
        **values,
    )
