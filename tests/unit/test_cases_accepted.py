"""The lines that accept a slowdown: what is read, and what is refused with its place."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pytest_sgdiff.cases.accepted import DAYS, FILE, read_acceptances
from pytest_sgdiff.data import Acceptance
from pytest_sgdiff.errors import AcceptanceError
from pytest_sgdiff.files.data_files import DataFileError

TODAY = date(2026, 11, 30)
GOOD = "sgdiff-accept: wan22 denoise +5 % until 2027-01-31 because the sampler needs two more passes"


def read(folder: Path, text: str | bytes, name: str = FILE) -> tuple[Acceptance, ...]:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_acceptances([file], folder, today=TODAY)


def mistakes(folder: Path, text: str | bytes, name: str = FILE) -> tuple[str, ...]:
    with pytest.raises(AcceptanceError) as raised:
        read(folder, text, name)
    return raised.value.mistakes


def test_a_line_is_read_with_its_place(tmp_path: Path) -> None:
    (one,) = read(tmp_path, f"# agreed on in issue 7\n\n{GOOD}\r\n")
    assert one == Acceptance(
        case="wan22",
        metric="denoise",
        size=0.05,
        until="2027-01-31",
        because="the sampler needs two more passes",
        path=FILE,
        line=3,
    )


@pytest.mark.parametrize(
    "line",
    [
        "sgdiff-accept: a[cfg] stage:Text.Encoding +12.5% until 2026-12-01 because of it",
        "- Sgdiff-Accept: a pause 3 % until 2026-12-01 because of it",
        "sgdiff-accept:  a\tstages  +3 %  until  2026-12-01  because  of it  ",
        "sgdiff-accept: a latency_p95:c4 +100 % until 2026-11-30 because of it",
    ],
)
def test_other_ways_to_write_it(tmp_path: Path, line: str) -> None:
    (one,) = read(tmp_path, line)
    assert one.because == "of it"


def test_in_the_text_of_a_pull_request_only_lines_that_begin_so_count(tmp_path: Path) -> None:
    hidden = f"<!-- a template\n{GOOD}\n-->"
    text = f"Faster sampler.\n> {GOOD}\n{hidden}\nsee `{GOOD}`\n{GOOD}\n<!-- open\n{GOOD.replace('wan22', 'other')}"
    (one,) = read(tmp_path, text, "text.md")
    assert (one.case, one.line, one.path) == ("wan22", 7, "text.md")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("sgdiff-acept: a denoise +5 % until 2026-12-01 because x", "is not of the form"),
        ("a denoise +5 % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +5 % until 2026-12-01", "is not of the form"),
        ("sgdiff-accept: a denoise +5 % until 2026-12-01 because ", "is not of the form"),
        ("sgdiff-accept: a denoise -5 % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +5 until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +٥ % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +nan % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +1e9 % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a b denoise +5 % until 2026-12-01 because x", "is not of the form"),
        ("sgdiff-accept: a denoise +0 % until 2026-12-01 because x", "cannot be accepted"),
        ("sgdiff-accept: a denoise +100.1 % until 2026-12-01 because x", "cannot be accepted"),
        ("sgdiff-accept: a denoise +5 % until 2026-02-30 because x", "no day of the calendar"),
        ("sgdiff-accept: a denoise +5 % until 9999-12-31 because x", "days ahead"),
        ("sgdiff-accept: a denoize +5 % until 2026-12-01 because x", "did you mean 'denoise'?"),
        ("sgdiff-accept: a denoise_core +5 % until 2026-12-01 because x", "is no metric"),
        ("sgdiff-accept: a stage: +5 % until 2026-12-01 because x", "is no metric"),
        ("sgdiff-accept: a * +5 % until 2026-12-01 because x", "is no metric"),
        (f"sgdiff-accept: a denoise +5 % until 2026-12-01 because {'x' * 301}", "characters"),
    ],
)
def test_what_cannot_be_meant_is_named_with_its_line(tmp_path: Path, line: str, said: str) -> None:
    (mistake,) = mistakes(tmp_path, f"# first\n{line}\n")
    assert mistake.startswith(f"{FILE}:2: ")
    assert said in mistake


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    assert len(mistakes(tmp_path, f"a\n{GOOD}\nb\n")) == 2


def test_what_is_accepted_twice_contradicts_itself_unless_one_is_over(tmp_path: Path) -> None:
    (mistake,) = mistakes(tmp_path, f"{GOOD}\n{GOOD.replace('+5', '+50')}\n")
    assert mistake.startswith(f"{FILE}:2: wan22 denoise is accepted in {FILE}:1, too")
    over = GOOD.replace("2027-01-31", "2026-11-29")
    assert [one.expired(TODAY) for one in read(tmp_path, f"{over}\n{GOOD}\n")] == [True, False]


def test_the_last_day_counts(tmp_path: Path) -> None:
    (one,) = read(tmp_path, GOOD.replace("2027-01-31", TODAY.isoformat()))
    assert not one.expired(TODAY)
    assert one.expired(date(2026, 12, 1))
    last = date.fromordinal(TODAY.toordinal() + DAYS)
    assert len(read(tmp_path, GOOD.replace("2027-01-31", last.isoformat()))) == 1


def test_what_is_no_such_file_is_refused(tmp_path: Path) -> None:
    assert mistakes(tmp_path, GOOD.encode() + b"\n\xff\n") == (f"{FILE}:2: is not UTF-8",)
    (tmp_path / "elsewhere").write_text(GOOD)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).symlink_to("elsewhere")
    with pytest.raises(DataFileError, match="link"):
        read_acceptances([tmp_path / FILE], tmp_path, today=TODAY)
    (tmp_path / "large").write_bytes(b"#" * (1 << 19))
    with pytest.raises(DataFileError, match="bytes"):
        read_acceptances([tmp_path / "large"], tmp_path, today=TODAY)
    with pytest.raises(DataFileError, match=r"make an empty one .* or use --sgdiff-accept=none"):
        read_acceptances([tmp_path / "nowhere"], tmp_path, today=TODAY)
    (tmp_path / "nowhere").touch()
    assert read_acceptances([tmp_path / "nowhere"], tmp_path, today=TODAY) == ()
