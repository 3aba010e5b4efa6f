"""Which lines of a Markdown text count: those that a page shows as its author's own words."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from pytest_sgdiff.cases.accepted import read_acceptances
from pytest_sgdiff.cases.shown_text import shown_lines
from pytest_sgdiff.errors import AcceptanceError

TODAY = date(2026, 11, 30)
LINE = "sgdiff-accept: wan22 denoise +5 % until 2027-01-31 because the sampler needs two more passes"


def accepted(folder: Path, text: str) -> list[int]:
    """The numbers of the lines that accept something."""
    (folder / "text.md").write_text(text)
    return [one.line for one in read_acceptances([folder / "text.md"], folder, today=TODAY)]


def mistakes(folder: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(AcceptanceError) as raised:
        accepted(folder, text)
    return raised.value.mistakes


@pytest.mark.parametrize(
    "text",
    [
        f"{LINE}\n",
        f"Faster.\n\n- {LINE}\n",
        f"1. one\n2. {LINE}\n",
        f"Faster.\n{LINE}\n",
        f"<details>\n<summary>Accepted</summary>\n\n{LINE}\n\n</details>\n",
        f"<details open>\n\n{LINE}\n\n</details>\n",
        f"**{LINE}**\n",
        f"**sgdiff-accept:** {LINE.partition(':')[2]}\n",
        f"<b>{LINE}</b>\n",
        f"A List<Item> of 3 < 4 & more\n\n{LINE}\n",
        f"<!-- a template -->\n\n{LINE}\n",
        f"{LINE}\n<!-- open\n",
        f"   {LINE}\n",
        LINE.replace("sgdiff-accept", "sgdiff&#45;accept"),
        f"{LINE}  \nnext line\r\n",
        f"Accepted:<br>{LINE}\n",
        f"Accepted:<br/>{LINE}\n",
        f"Accepted:<BR >\n{LINE}\n",
        f"<!-- x -->\n\nAccepted:<br><b>{LINE}</b>\n",
        f"<s>old</s>\n\n{LINE}\n",
        f"use <code>x</code> or <q>y</q>\n\n{LINE}\n",
        f"`git diff <base> <head>`\n\n{LINE}\n",
        f"{LINE} (see [the issue](https://a.example/1 'title') and `code`)\n",
    ],
)
def test_what_a_page_shows_as_a_line_counts(tmp_path: Path, text: str) -> None:
    number = next(number for number, line in enumerate(text.split("\n"), 1) if "sgdiff" in line)
    assert accepted(tmp_path, text) == [number]


@pytest.mark.parametrize(
    "text",
    [
        f'[x]: https://a.example "\n{LINE}\n"\n',
        f"[x]: <https://a.example> '\n{LINE}'\n",
        f"[//]: # (\n{LINE}\n)\n",
        f"- [x]: <> (\n  {LINE})\n",
        f'[link](https://a.example "\n{LINE}\n")\n',
        f"![\n{LINE}\n](picture.png)\n",
        f"<!--\n{LINE}\n-->\n",
        f"text <!--\n{LINE}\n--> text\n",
        f"<?php\n{LINE}\n?>\n",
        f"<!X\n{LINE}\n>\n",
        f"<![CDATA[\n{LINE}\n]]>\n",
        f"<style>\n{LINE}\n</style>\n",
        f"<script>\n\n{LINE}\n\n</script>\n",
        f"<pre>\n{LINE}\n</pre>\n",
        f"<textarea>\n{LINE}\n</textarea>\n",
        f"text <a title='\n{LINE}\n'>\n",
        f"```\n{LINE}\n```\n",
        f"~~~ text\n{LINE}\n",
        f"text\n\n    {LINE}\n",
        f"- item\n\n      {LINE}\n",
        f"`{LINE}`\n",
        f"`\n{LINE}\n`\n",
        f"> {LINE}\n",
        f"- > {LINE}\n",
        f"1. > {LINE}\n",
        f"- > somebody\n  > {LINE}\n",
        f"> said<br>{LINE}\n",
        f"~~{LINE}~~\n",
        f"- **~~{LINE}~~**\n",
        f"<del>{LINE}</del>\n",
        f"<s>{LINE}</s>\n",
        f"<strike>{LINE}</strike>\n",
        f"<del>\n\n{LINE}\n\n</del>\n",
        f"<blockquote><p>{LINE}</p></blockquote>\n",
        f"<p><code>{LINE}</code></p>\n",
        f"<details><summary><s>{LINE}</s></summary>\n",
        f"- [x] `{LINE}`\n",
        f"> quoted\n> - {LINE}\n",
        f"[^1]: note\n{LINE}\n",
        f"<blockquote>\n\n{LINE}\n\n</blockquote>\n",
        f"<details>\n<!--\n{LINE}\n-->\n</details>\n",
        f"see {LINE}\n",
    ],
)
def test_what_a_page_does_not_show_or_shows_as_somebody_elses_does_not_count(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text) == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (f"{LINE}\n---\n", 1),
        (f"# {LINE}\n", 1),
        (f"| a | b |\n| --- | --- |\n| {LINE} | x |\n", 3),
        (f"> somebody said\n{LINE}\n", 2),
        (f"<details>\n{LINE}\n</details>\n", 2),
        (f"<template>\n\n{LINE}\n\n</template>\n", 3),
        (f"<div hidden>\n\n{LINE}\n\n</div>\n", 3),
        (f'<p style="display:none">\n\n{LINE}\n\n</p>\n', 3),
        (f"<div><!--\n\n{LINE}\n", 3),
        (f"<!-- one --> <!--\n{LINE}\n-->\n", 2),
        (f'<div title="\n\n{LINE}\n', 3),
        (f"<video>{LINE}</video>\n", 1),
        (f"<!-- hint --> {LINE}\n", 1),
        (f"<!-- a\nhint --> {LINE}\n", 2),
        (f"<details><summary>{LINE}</summary>\n\nx\n\n</details>\n", 1),
        (f"<details><summary>x</summary>\n<p>{LINE}</p></details>\n", 2),
        (f"<p>a<br>{LINE}</p>\n", 1),
        (f"> [!IMPORTANT]\n> {LINE}\n", 2),
        (f"> [!note]\n>\n> - {LINE}\n", 3),
        (f"{LINE} ~~of old~~\n", 1),
        (f"sgdiff-accept: <del>wan21</del> {LINE.partition(': ')[2]}\n", 1),
    ],
)
def test_where_nobody_can_say_what_a_page_shows_the_line_is_a_mistake(tmp_path: Path, text: str, number: int) -> None:
    (mistake,) = mistakes(tmp_path, text)
    assert mistake.startswith(f"text.md:{number}: ")
    assert "paragraph of its own" in mistake


@pytest.mark.parametrize("tag", ["head", "title", "option", "map", "style", "script", "code", "q", "s", "blockquote"])
@pytest.mark.parametrize("text", ["git diff <base> <{}> now", "a\n- b <{}>", "<div>\n<{}>"])
def test_a_tag_that_nothing_closes_is_named(tmp_path: Path, tag: str, text: str) -> None:
    before = text.format(tag)
    whole = f"One.\n\n{before}\n\n{LINE}\n"
    at = next(number for number, line in enumerate(whole.split("\n"), 1) if f"<{tag}>" in line)
    (mistake,) = mistakes(tmp_path, whole)
    number = whole.split("\n").index(LINE) + 1
    assert mistake.startswith(f"text.md:{number}: `<{tag}>` in line {at} is open")


def test_two_lines_with_a_break_between_them_are_two(tmp_path: Path) -> None:
    assert accepted(tmp_path, f"a\n{LINE}<br>{LINE.replace('wan22', 'ltx2')}\n") == [2, 2]


def test_names_in_code_are_read(tmp_path: Path) -> None:
    line = LINE.replace("wan22", "`wan22`").replace("denoise", "`denoise`")
    (tmp_path / "text.md").write_text(f"**sgdiff-accept:**{line.partition(':')[2]} of `x`\n")
    (one,) = read_acceptances([tmp_path / "text.md"], tmp_path, today=TODAY)
    assert (one.case, one.metric, one.because) == ("wan22", "denoise", "the sampler needs two more passes of x")


@pytest.mark.parametrize(
    "head",
    [
        "sgdiff-acept:",
        "sgdiff_accept:",
        "sgdiff accept:",
        "sgdif-accept:",
        "sgdiff-accepts:",
        "SGDIFF-ACCEPT ：",
        "sgdiff\u2011accept:",
        "sgdiff-\u0430ccept:",
        "sgdiff-accept",
        "sgdiff-accept =",
        "sgdiff-accept;",
        "- sgdiff-except:",
        "- [x] sgdiff-accept:",
    ],
)
def test_a_misspelt_line_is_a_mistake_and_no_silence(tmp_path: Path, head: str) -> None:
    (mistake,) = mistakes(tmp_path, f"Faster.\n\n{head}{LINE.partition(':')[2]}\n")
    assert mistake.startswith("text.md:3: is not of the form `sgdiff-accept: CASE METRIC")


@pytest.mark.parametrize(
    "line", ["sgdiff: faster by 5 %", "sgdiff-accept.txt has the lines", "Accept: yes", "sgdiff judge --allow 5%", ""]
)
def test_other_lines_are_left_alone(tmp_path: Path, line: str) -> None:
    assert accepted(tmp_path, f"{line}\n") == []


def test_lines_keep_their_numbers_and_places() -> None:
    text = "a <!-- x\ny --> b\nc\n\n# d\n\n> e\nf\n"
    assert [(one.text.strip(), one.number, one.place) for one in shown_lines(text)] == [
        ("a  b", 1, "paragraph"),
        ("c", 3, "paragraph"),
        ("d", 5, "heading"),
        ("f", 8, "quote"),
    ]
