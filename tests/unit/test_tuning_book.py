"""What a search keeps: nothing of it is lost, and nothing of another one is taken for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from pytest_sgdiff.data import Dropped, Problem, Tried, TuneLaunch
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.tuning.book import NAME, Book, OtherSearchError

OF = {"case": "tiny", "engine": "0.5.17", "variants": "a" * 64}
QUICK = TuneLaunch(round=1, variant="a", tried=Tried(variant="a", ms=711.2, memory_mib=1000.0, gpu_s=4.0), took_s=5.0)
FAILED = TuneLaunch(
    round=1,
    variant="b",
    dropped=Dropped(
        code="failed", problem=Problem(kind="invalid", code="diffusers-ran", evidence=("Using \u2028 it",))
    ),
    took_s=6.0,
)


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    book = Book(tmp_path, OF)
    assert not (tmp_path / NAME).exists()
    book.begin(1, ["a", "b"])
    book.add([QUICK, FAILED])
    book.begin(2, ["a", "c"])
    again = Book(tmp_path, OF)
    assert again.launches == [QUICK, FAILED]
    assert [one.begun for one in again.unfinished()] == [2]
    # Those of a round run at the same time.
    assert again.took_s == 6.0
    gone = Dropped(code="failed", why="broken")
    again.add([TuneLaunch(round=2, variant=name, dropped=gone, took_s=1.0) for name in ("a", "c")])
    assert list(Book(tmp_path, OF).unfinished()) == []


def test_what_was_used_is_kept_also_of_rounds_without_a_launch(tmp_path: Path) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a", "b"])
    book.add([QUICK, FAILED])
    assert (book.open(), book.took_s) == ((1,), 6.0)
    book.spend(1, 6.5)
    book.begin(2, ["a"])
    book.spend(2, 20.0)
    book.begin(3, ["a"])
    again = Book(tmp_path, OF)
    assert (again.open(), again.took_s) == ((3,), 20.0)


def test_lines_are_only_added(tmp_path: Path) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a"])
    before = (tmp_path / NAME).read_bytes()
    book.add([QUICK])
    assert (tmp_path / NAME).read_bytes().startswith(before)


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"engine": "0.5.23"}, "engine: 0.5.17 then, 0.5.23 now"),
        ({"variants": "b" * 64}, "not the same variants"),
        ({"memory": "40960 MiB"}, "memory: none then, 40960 MiB now"),
    ],
)
def test_another_search_is_refused(tmp_path: Path, changed: dict[str, str], differs: str) -> None:
    Book(tmp_path, OF).begin(1, ["a"])
    before = (tmp_path / NAME).read_bytes()
    with pytest.raises(OtherSearchError) as raised:
        Book(tmp_path, {**OF, **changed})
    assert raised.value.differs == (differs,)
    assert (tmp_path / NAME).read_bytes() == before


@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda raw: raw[:-9], 3),
        (lambda raw: raw.replace(b'"round": 1', b'"round": "1"'), 3),
        (lambda raw: raw + b"\xff\n", 4),
        (lambda raw: b"", 1),
        (lambda raw: b"[" * 100_000, 1),
        (lambda raw: raw.replace(b'"ms": 711.2', b'"ms": NaN'), 3),
        (lambda raw: raw.replace(b'"ms": 711.2', b'"ms": -711.2'), 3),
        (lambda raw: raw.replace(b'"ms": 711.2', b'"ms": 0'), 3),
        (lambda raw: raw.replace(b'"lost": null', b'"lost": 1.5'), 3),
        (lambda raw: raw.replace(b'"took_s": 5.0', b'"took_s": -5.0'), 3),
        (lambda raw: raw.replace(b'"memory_mib": 1000.0', b'"memory_mib": -1.0'), 3),
        (lambda raw: raw.replace(b'"variant": "a", "ms"', b'"variant": "b", "ms"'), 3),
        (lambda raw: raw.replace(b'"variant": "a"', b'"variant": "z"'), 3),
        (lambda raw: raw.replace(b'["a"]', b'["z"]'), 2),
        (lambda raw: raw + b'{"spent": 1, "used_s": -5.0}\n', 4),
        (lambda raw: raw + b'{"came": {"round": 1, "variant": "a"}}\n', 4),
    ],
    ids=[
        *(
            "incomplete",
            "another-type",
            "no-text",
            "empty",
            "deep",
            "no-number",
            "below-zero",
            "no-time",
            "no-share",
            "negative-took",
        ),
        *("negative-memory", "of-another", "unknown", "begun-unknown", "negative-used", "nothing-came"),
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, damage: object, line: int) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a"])
    book.add([QUICK])
    path = tmp_path / NAME
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SgdiffError) as raised:
        Book(tmp_path, OF, variants=("a", "b"))
    assert str(raised.value).startswith(f"{path}:{line}: is damaged ")
    assert "--restart" in str(raised.value)


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a"])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(data_files, "write", full)
        with pytest.raises(SgdiffError) as raised:
            book.add([QUICK])
    assert str(tmp_path / NAME) in str(raised.value)
    assert book.launches == []
    assert [one.begun for one in Book(tmp_path, OF).unfinished()] == [1]
    book.add([QUICK])
    assert Book(tmp_path, OF).launches == [QUICK]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = tmp_path / "search"
    folder.mkdir()
    (folder / NAME).symlink_to(elsewhere)
    with pytest.raises(SgdiffError, match=NAME):
        Book(folder, OF)
    assert elsewhere.read_text() == "mine"
