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
        (lambda raw: raw[:-9] + b"\n", 3),
        (lambda raw: raw.replace(b'"begun"', b'"beg', 1), 2),
        (lambda raw: raw[:-1].replace(b'"ms": 711.2', b'"ms": -711.2'), 3),
        (lambda raw: raw[:20], 1),
        (lambda raw: raw.replace(b'"race_round": null', b'"race_round": 0'), 2),
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
            "incomplete-before",
            "whole-without-an-end",
            "incomplete-head",
            "no-round",
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


@pytest.mark.parametrize("left", [b"{", b'{"came": {"round": 1, "variant": "b", "dro', b'{"came": "\xff', b"[" * 9999])
def test_a_last_line_that_is_incomplete_is_none(tmp_path: Path, left: bytes) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a", "b"], race_round=1)
    book.add([QUICK])
    whole = (tmp_path / NAME).read_bytes()
    (tmp_path / NAME).write_bytes(whole + left)
    again = Book(tmp_path, OF)
    assert (again.cut, again.launches, again.race_rounds()) == (4, [QUICK], {1: 1})
    assert [one.begun for one in again.unfinished()] == [1]
    assert (again.may_lack(1), again.may_lack(2)) == (False, True)
    again.mend({})
    assert (tmp_path / NAME).read_bytes() == whole
    assert Book(tmp_path, OF).cut is None
    # What lacks but the end of its line is whole.
    (tmp_path / NAME).write_bytes(whole[:-1])
    assert (Book(tmp_path, OF).cut, Book(tmp_path, OF).launches) == (None, [QUICK])


@pytest.mark.parametrize("left", ['{"begun": 7, "va', "{", ""])
def test_of_a_state_that_is_cut_off_at_its_beginning_no_round_of_another_search_is_taken(
    tmp_path: Path, left: str
) -> None:
    """After --restart the folders of the rounds before are still there."""
    new = Book(tmp_path, OF)
    assert not any(map(new.may_lack, range(10)))
    new.begin(7, ["a"])
    head = (tmp_path / NAME).read_text().splitlines(keepends=True)[0]
    (tmp_path / NAME).write_text(head + left)
    again = Book(tmp_path, OF)
    assert [number for number in range(10) if again.may_lack(number)] == [7, 8, 9]
    again.mend({7: ["a"]})
    assert [number for number in range(10) if Book(tmp_path, OF).may_lack(number)] == [8, 9]


def test_what_is_forgotten_are_launches_that_do_not_count_and_their_time_stays_spent(tmp_path: Path) -> None:
    book = Book(tmp_path, OF)
    book.begin(1, ["a", "b"])
    book.add([QUICK, FAILED])
    book.spend(1, 6.5)
    before = (tmp_path / NAME).read_bytes()
    assert book.forget(["a", "b", "b"]) == ("b",)
    assert (tmp_path / NAME).read_bytes().startswith(before)
    for one in (book, Book(tmp_path, OF, variants=("a", "b"))):
        assert (one.launches, one.took_s, list(one.unfinished())) == ([QUICK], 6.5, [])
        assert one.knows(1, "b")
        assert one.forget(["a", "b"]) == ()
    with pytest.raises(SgdiffError, match=r"state\.jsonl:2: is damaged"):
        Book(tmp_path, OF, variants=("a", "c"))
