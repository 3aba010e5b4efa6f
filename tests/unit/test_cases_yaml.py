"""YAML 1.2 core, and everything in a file's text that is no case file at all."""

from __future__ import annotations

import pytest

from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.errors import CaseFileError

PATH = "cases/x.yaml"


def mistakes(text: str) -> list[str]:
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, text)
    return [m.removeprefix(f"{PATH}:") for m in caught.value.mistakes]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("16:9", "16:9"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("Off", "Off"),
        ("y", "y"),
        ("042", "042"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("1_000", "1_000"),
        ("2026-01-02", "2026-01-02"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("5e-2", 0.05),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("4.0", 4.0),
        ("-3", -3),
        ("+3", 3),
        ("0", 0),
        ("true", True),
        ("FALSE", False),
        ("'true'", "true"),
        ('"4"', "4"),
        ("tRUE", "tRUE"),
        ("9" * 30, int("9" * 30)),
        ("9" * 5000, "9" * 5000),
        ("null-ish", "null-ish"),
        ("''", ""),
        ("café ☕", "café ☕"),
        ('"\\ud83d\\ude00"', "😀"),
    ],
)
def test_a_plain_value_is_what_yaml_1_2_core_makes_of_it(written: str, value: object) -> None:
    (case,) = load_cases(PATH, f"cases:\n  a:\n    model: m\n    args:\n      x: {written}\n")
    assert case.args["x"] == value
    assert type(case.args["x"]) is type(value)


@pytest.mark.parametrize("null", ["", "~", "null", "Null", "NULL"])
def test_null_is_no_value(null: str) -> None:
    assert mistakes(f"cases: {{a: {{model: m, gpus: {null} }}}}") == [
        "1:23: 'gpus' has no value, and there is no inherited one to drop"
    ]


def test_keys_are_text_whatever_they_look_like() -> None:
    (case,) = load_cases(PATH, "cases: {no: {model: m, args: {720p: true, on: 1, 2: x}, matrix: {on: {off: , 2: }}}}")[
        :1
    ]
    assert case.name == "no"
    assert case.id == "no[off]"
    assert dict(case.args) == {"720p": True, "on": 1, "2": "x"}


def test_anchors_and_aliases_work() -> None:
    text = "cases:\n  a: {model: m, args: &all {width: 768}}\n  b: {model: m, args: *all}\n"
    a, b = load_cases(PATH, text)
    assert a.args == b.args == {"width": 768}
    assert str(b.at("args.width")) == "cases/x.yaml:2:29"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cases: {a: {model: m, gpus: 1, gpus: 2}}", "1:32: duplicate key 'gpus', first on line 1"),
        ("cases:\n  a: {model: m}\n  b: {model: m}\n  a: {model: m}\n", "4:3: duplicate key 'a', first on line 2"),
        (
            "cases: {a: &x {model: m}, b: {<<: *x}}",
            "1:31: merge keys ('<<') are not YAML 1.2: use 'defaults', or write the keys out",
        ),
        (
            "cases: {a: {model: !!python/object/apply:os.system [id]}}",
            "1:20: tag '!!python/object/apply:os.system' is not allowed: write plain YAML",
        ),
        ("cases: {a: {model: m, gpus: !!int '2'}}", "1:29: tag '!!int' is not allowed: write plain YAML"),
        ("cases: {a: {model: !secret m}}", "1:20: tag '!secret' is not allowed: write plain YAML"),
        ("cases: {a: {model: m}}\n---\nb: 1\n", "2:1: a second YAML document: put all cases into one, without '---'"),
        ("cases: {a: *b}", "1:12: '*b' has no anchor '&b' before it"),
        ("cases: &b {a: *b}", "1:15: '*b' stands inside its own anchor '&b'"),
        ("cases: {? [x] : {model: m}}", "1:11: a key must be text, got a list"),
        ("cases:\n\ta: {}\n", "2:1: not valid YAML: a tab where only spaces may indent"),
        ("cases: a: b", "1:9: not valid YAML: mapping values are not allowed here"),
        (
            "cases:\n  a: {model: m\n  b: {}\n",
            "3:4: not valid YAML: expected ',' or '}', but got ':' (while parsing a flow mapping, line 2)",
        ),
        (
            "cases:\n  a:\n    model: m\n   gpus: 2\n",
            (
                "4:4: not valid YAML: expected <block end>, but found '<block mapping start>'"
                " (while parsing a block mapping, line 2)"
            ),
        ),
        (
            "cases: {a: {model: 'm}}\n",
            "2:1: not valid YAML: found unexpected end of stream (while scanning a quoted scalar, line 1)",
        ),
        (
            "cases: {a: {model: @m}}",
            "1:20: not valid YAML: found character '@' that cannot start any token",
        ),
        ("cases:\n  a: \x07\n", "2:6: not valid YAML: character U+0007 is not allowed"),
        ("cases:\n  a: \ud800\n", "2:6: not valid YAML: character U+D800 is not allowed"),
        (
            "%YAML 2.0\n---\ncases: {}\n",
            "1:1: not valid YAML: found incompatible YAML document (version 1.* is required)",
        ),
    ],
)
def test_what_is_not_plain_yaml_is_refused_at_its_place(text: str, expected: str) -> None:
    # What stands there is still looked at, so that more may be wrong with it.
    assert expected in mistakes(text)


@pytest.mark.parametrize("text", ['cases: {a: "\\UFFFFFFFF"}', "%YAML 1." + "9" * 5000 + "\n--- a\n"])
def test_what_makes_pyyaml_itself_stumble_is_a_mistake_too(text: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.startswith("1:")
    assert ": not valid YAML: " in mistake


def test_a_syntax_error_does_not_hide_the_mistakes_before_it() -> None:
    assert mistakes("cases: {a: {gpus: 1, gpus: 2}}\n\tx: {") == [
        "1:22: duplicate key 'gpus', first on line 1",
        "2:1: not valid YAML: a tab where only spaces may indent",
    ]


def test_a_billion_laughs_is_refused_and_never_expanded() -> None:
    """Expanded it would be 9 to the power of 12 values, more than any machine holds."""
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    assert mistakes("\n".join(lines)) == ["5:10: aliases expand to more than 10,000 values"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 30, "1:21: nested deeper than 20 levels"),
        ("[" * 500_000, "1:21: nested deeper than 20 levels"),
        ("cases: &a " + "[" * 15 + "x" + "]" * 15 + "\nb: [[[[*a]]]]\n", "2:8: nested deeper than 20 levels"),
    ],
)
def test_deep_nesting_is_refused(text: str, expected: str) -> None:
    assert expected in mistakes(text)


def test_twenty_levels_are_fine() -> None:
    deep = "[" * 16 + "1" + "]" * 16
    (case,) = load_cases(PATH, f"cases: {{a: {{model: m, config: {{x: {deep[1:-1]}}}}}}}")
    assert case.config["x"] == [[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]


def test_more_than_a_mebibyte_is_refused() -> None:
    text = "cases: {a: {model: m}}\n"
    assert load_cases(PATH, text + "#" * (1024 * 1024 - len(text)))
    assert mistakes(text + "#" * (1024 * 1024 - len(text) + 1)) == ["1:1: the file is larger than 1 MiB: split it"]
