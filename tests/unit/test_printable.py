"""Text of others as it is printed, and commands that hold it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import NamedTuple

import pytest

from pytest_sgdiff.printable import printable, printable_json, printable_lines, printable_values
from pytest_sgdiff.runner import command_line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Grüße 日本語 العربية 👩‍👩‍👧 a\u200cb 3 × 4 …", "Grüße 日本語 العربية 👩‍👩‍👧 a\u200cb 3 × 4 …"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("\x9b31m\x85\x7f\x00", r"\x9b31m\x85\x7f\x00"),
        ("\u202eevil\u2066x\u2069 \u200f\u200b\ufeff", r"\u202eevil\u2066x\u2069 \u200f\u200b\ufeff"),
        ("a\u2028b\u2029c\ud800\U000e0041", r"a\u2028b\u2029c\ud800\U000e0041"),
        ("::error::x", r"\::error::x"),
        ("\u3000 ::error::x", "\u3000 \\::error::x"),
        ("std::vector", "std::vector"),
        ("##[error]x ###[x]", r"##\[error]x ###\[x]"),
        ("a ##vso[task.complete] ##teamcity[x", r"a ##\vso[task.complete] ##\teamcity[x"),
        ("## a heading [x]", "## a heading [x]"),
        ("section_start:123:a\r\x1b[0K section_end:4:b", r"section_start\:123:a\r\x1b[0K section_end\:4:b"),
    ],
)  # fmt: skip
def test_what_is_not_for_the_eye_is_spelled_out(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable(shown) == shown


def test_each_line_of_a_text_is_taken_by_itself() -> None:
    assert printable_lines("a\n::error::x\n  ::y") == "a\n\\::error::x\n  \\::y"


def test_a_json_document_stays_the_same_document() -> None:
    document = {"a\u202e": ["##[error]", "\x7f\u2028\ud800", "日本"], "b": ["x", ["##vso["]]}
    text = printable_json(json.dumps(document, ensure_ascii=False, indent=2))
    assert json.loads(text) == document
    assert "日本" in text
    assert [char for char in text if not char.isprintable() and char != "\n"] == []
    assert "##[" not in text
    assert "##vso[" not in text


@dataclass(frozen=True)
class Leaf:
    name: str
    number: float = 1.5


class Pair(NamedTuple):
    one: str
    other: int


def test_no_text_of_a_value_is_forgotten() -> None:
    value = {"k\n": [Leaf("a\n"), (Pair("b\n", 1), None)], "flag": True}
    assert printable_values(value) == {r"k\n": [Leaf(r"a\n"), (Pair(r"b\n", 1), None)], "flag": True}


@pytest.mark.parametrize(
    "word",
    [
        "a\nb",
        "::error::x",
        "##[error]'\\\x1b[0m",
        "ü\u202eabc日本\U000e0041",
        "plain",
        "it's",
        "\x01 2",
        "a\udc80b",
        "",
    ],
)
def test_a_word_of_a_command_is_one_line_and_the_shell_reads_it_back(word: str) -> None:
    quoted = command_line.shell_word(word)
    assert printable(quoted) == quoted
    shell = subprocess.run(
        ["bash", "-c", f"printf %s {quoted}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert shell.stdout == word.encode("utf-8", "surrogateescape")


def test_a_secret_is_taken_out_before_its_line_ends_are_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEPLOY_TOKEN", "first-half\nsecond-half")
    assert command_line.line(["run", "--key=first-half\nsecond-half\n"]).count("half") == 0
