"""The launcher's parts that need no process: how output becomes a log."""

from __future__ import annotations

import pathlib
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.launch import log as log_module
from pytest_sgdiff.launch.log import LogCopy
from pytest_sgdiff.launch.run import clean_lines
from pytest_sgdiff.redact import redact
from tests.examples import examples

SECRET = "s3cr3t-value-of-a-key"
ENV = {
    "MY_API_KEY": SECRET,
    "DB_PASSWORD": "four words of secret",
    "HOME": "/home/somebody",
    "TOKENIZERS_PARALLELISM": "parallel",
}


def copied(path: pathlib.Path, chunks: list[bytes], lines: list[str] | None = None) -> bytes:
    """The log file after a child has written these chunks, each of which arrived by itself."""
    copy = LogCopy(
        path, redact=lambda text: redact(text, ENV), on_line=None if lines is None else lambda line: lines.append(line)
    )
    try:
        for chunk in chunks:
            for start in range(0, len(chunk), 1 << 15):
                copy.feed(chunk[start : start + (1 << 15)])
        copy.drain()
    finally:
        copy.close()
    return path.read_bytes()


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ("\x1b[93m[11-23 02:00:00] Falling back\x1b[0;0m\n", ["[11-23 02:00:00] Falling back"]),
        ("  0%|  | 0/8\r 50%|# | 4/8\r100%|##| 8/8\n", ["0%|  | 0/8", "50%|# | 4/8", "100%|##| 8/8"]),
        ("\r\n\n  \nlast without an end", ["last without an end"]),
        ("", []),
    ],
)
def test_clean_lines_splits_progress_bars_and_drops_colours(raw: str, lines: list[str]) -> None:
    assert clean_lines(raw) == lines


@examples(60)
@given(
    pieces=st.lists(
        st.sampled_from([SECRET.encode(), b"\n", b"\r", b" 50%|##", b"\xff\x00\xfe", "é€".encode(), b"word "]),
        max_size=30,
    ),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=10),
)
def test_the_log_is_the_output_without_secrets_however_it_arrives(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], cuts: list[int]
) -> None:
    output = b"".join(pieces)
    chunks, at, turn = [], 0, 0
    while at < len(output):
        size = cuts[turn % len(cuts)]
        chunks.append(output[at : at + size])
        at, turn = at + size, turn + 1
    log = copied(tmp_path_factory.getbasetemp() / "engine.log", chunks)
    assert log == output.replace(SECRET.encode(), b"<redacted>")


@pytest.mark.parametrize("filler", [b"x", b"x ", b"\xff"], ids=["one-word", "many-words", "binary"])
@pytest.mark.parametrize("before", [1, 8, 20], ids=lambda n: f"{n} bytes of it before the cut")
def test_a_secret_in_an_endless_line_is_never_cut_in_two(tmp_path: pathlib.Path, filler: bytes, before: int) -> None:
    # An over-long line is written in parts as soon as it exceeds the limit, which it does with one of these chunks.
    cut = log_module.LINE_LIMIT + (1 << 15)
    passphrase = b"four words of secret"
    head = (filler * cut)[: cut - before]
    output = (head + SECRET.encode() + filler * cut)[: cut * 2 - before] + passphrase + filler * cut
    assert b"\n" not in output
    log = copied(tmp_path / "engine.log", [output])
    assert log == output.replace(SECRET.encode(), b"<redacted>").replace(passphrase, b"<redacted>")


def test_a_secret_that_grows_at_the_end_of_an_endless_line_is_kept_until_it_is_whole(tmp_path: pathlib.Path) -> None:
    # Nobody knows how long a token is that is told by its shape alone: half of one would be redacted, and the rest not.
    cut, token = log_module.LINE_LIMIT + (1 << 15), b"hf_" + b"a" * 40
    before, after = (b"x " * cut)[: cut - 24], b" x" * 10
    assert copied(tmp_path / "engine.log", [before + token + after]) == before + b"<redacted>" + after


def test_an_endless_line_is_not_kept_in_memory(tmp_path: pathlib.Path) -> None:
    copy = LogCopy(tmp_path / "engine.log", redact=lambda text: text, on_line=None)
    try:
        for _ in range(32):
            copy.feed(b"x" * (1 << 16))
        written = (tmp_path / "engine.log").stat().st_size
    finally:
        copy.close()
    assert written >= 32 * (1 << 16) - 2 * log_module.LINE_LIMIT


def test_lines_are_handed_on_redacted_and_in_order(tmp_path: pathlib.Path) -> None:
    lines: list[str] = []
    copied(tmp_path / "engine.log", [b"a\nb \x1b[92mgreen\x1b[0;0m", f"\nkey {SECRET}\nend".encode()], lines)
    assert lines == ["a", "b green", "key <redacted>", "end"]


def test_a_log_in_an_impossible_place_is_an_error_that_names_it(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "engine.log"
    with pytest.raises(SgdiffError) as caught:
        LogCopy(path, redact=lambda text: text, on_line=None)
    assert str(caught.value) == f"{path}: the launch's log cannot be written: File exists"


def test_a_private_key_that_comes_line_by_line_is_not_written(tmp_path: pathlib.Path) -> None:
    key = b"-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/\nIBAAKC==\n-----END RSA PRIVATE KEY-----\n"
    output = b"before\n" + key + b"after\n"
    for size in (1, 7, len(output)):
        pieces = [output[at : at + size] for at in range(0, len(output), size)]
        assert copied(tmp_path / "engine.log", pieces) == b"before\n<redacted>\nafter\n"


def test_a_private_key_without_an_end_keeps_nothing_back_for_ever(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "engine.log"
    copy = LogCopy(path, redact=lambda text: text, on_line=None)
    try:
        copy.feed(b"if '-----BEGIN PRIVATE KEY-----' in text:\n" + b"a line\n" * 4096)
        assert path.stat().st_size > 4096
    finally:
        copy.close()


def test_output_that_never_ends_is_drained_of_what_is_there(tmp_path: pathlib.Path) -> None:
    copy = LogCopy(tmp_path / "engine.log", redact=lambda text: text, on_line=None)
    # Somebody who could not be found holds the pipe, and prints as fast as it is read.
    writer = subprocess.Popen(["yes"], stdout=copy.write_end)
    try:
        copy.child_started()
        copy.pump(10)
        copy.drain()
    finally:
        copy.close()
        writer.kill()
        writer.wait()
    assert (tmp_path / "engine.log").stat().st_size > 0
