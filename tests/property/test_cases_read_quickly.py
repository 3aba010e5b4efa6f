"""What libyaml reads is what PyYAML's own parser reads, or nothing: then that one is asked."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.cases.tree import Branch, Leaf, Mistakes, Node
from pytest_sgdiff.cases.yaml import read_quickly, read_tree
from tests.examples import examples

REAL = {path.name: path.read_text() for path in sorted((pathlib.Path(__file__).parents[2] / "cases").glob("*.yaml"))}
fragments = st.sampled_from(
    [
        *(
            "|\n",
            ">-\n",
            "|2\n",
            ">#\n",
            ": ",
            ":",
            "- ",
            "-",
            "{",
            "}",
            "[",
            "]",
            ",",
            ", ",
            "? ",
            "?",
            "&a ",
            "*a ",
            "*",
        ),
        *(
            "'",
            '"',
            "''",
            "\n",
            "\n  ",
            "\n    ",
            "  ",
            " #",
            "#",
            "---\n",
            "...\n",
            "%",
            "!x ",
            "<<: ",
            "~",
            "\t",
            "\r",
        ),
        *(
            "a",
            "b: c",
            "x: 1",
            "1.5",
            "é",
            "😀",
            "\u00a0",
            "\u2028",
            "\ufeff",
            "\\",
            "\\x41",
            '"\\ud83d"',
            "@",
            "`",
            "a?b",
        ),
    ]
)
texts = st.lists(fragments, max_size=14).map("".join)


def seen(node: Node) -> Any:
    """The tree with the places of keys, which are all that is kept of a file without mistakes."""
    if isinstance(node, Leaf):
        return node.text, type(node.value), repr(node.value)
    if isinstance(node, Branch):
        return [seen(item) for item in node.items]
    return [(key, node.keys[key], seen(value)) for key, value in node.entries.items()]


def assert_the_same_or_nothing(text: str) -> None:
    quick = read_quickly(text)
    if quick is not None:
        mistakes = Mistakes("x", text)
        slow = read_tree(text, mistakes)
        assert mistakes.lines == ()
        assert slow is not None
        assert seen(quick) == seen(slow)


@pytest.fixture(autouse=True)
def libyaml() -> None:
    if not yaml.__with_libyaml__:
        pytest.skip("PyYAML came without libyaml")


@examples(300)
@given(texts)
@example("[a?b]")  # PyYAML ends a plain scalar of a flow there
@example("a: >#\n  b")  # libyaml takes the comment
@example("{? , : x}")  # the place of a key that is not written
@example("a: &x {b: 1}\nc: *x\n*x : d")
@example("a\u2028b: [")
def test_it_is_the_same_or_nothing(text: str) -> None:
    assert_the_same_or_nothing(text)


@examples(60)
@given(name=st.sampled_from(sorted(REAL)), at=st.floats(0, 1), length=st.integers(0, 4), other=fragments)
def test_it_is_the_same_or_nothing_of_a_damaged_file(name: str, at: float, length: int, other: str) -> None:
    text = REAL[name]
    place = int(at * len(text))
    assert_the_same_or_nothing(text[:place] + other + text[place + length :])


@pytest.mark.parametrize("name", sorted(REAL))
def test_a_real_file_is_read_quickly(name: str) -> None:
    assert read_quickly(REAL[name]) is not None
    assert_the_same_or_nothing(REAL[name])


def test_cases_are_the_same_without_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    by_libyaml = {name: load_cases(name, text) for name, text in REAL.items()}
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    some = sorted(REAL)[::4]
    assert {name: load_cases(name, REAL[name]) for name in some} == {name: by_libyaml[name] for name in some}
