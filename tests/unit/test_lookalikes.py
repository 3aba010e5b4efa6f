"""Characters that look like others, or like nothing, are named where something is wrong, and only there."""

from __future__ import annotations

import pytest

from pytest_sgdiff.cases.load import check_relations, load_cases
from pytest_sgdiff.engines.flags.translate import complaints, table_flags
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.lint import advise
from pytest_sgdiff.lookalikes import in_name, named

PATH = "cases/x.yaml"
GOOD = """\
cases:
  a:
    summary: s
    model: m
    gpus: 1
    args: {prompt: p}
"""


def mistakes(text: str) -> list[str]:
    with pytest.raises(CaseFileError) as caught:
        load_cases(PATH, text)
    return [m.removeprefix(f"{PATH}:") for m in caught.value.mistakes]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    model: m", "\u00a0   model: m", "line 4 column 1: a no-break space (U+00A0), not a blank"),
        ("    gpus: 1", "    gpus:\u00a01", "line 5 column 10: a no-break space (U+00A0), not a blank"),
        ("    gpus: 1", "    gpus：1", "line 5 column 9: a fullwidth colon (U+FF1A), not ':'"),
        ("    gpus: 1", "    gp\u200bus: 1", "line 5 column 7: a zero width space (U+200B), which cannot be seen"),
        ("    gpus: 1", "    gpus\ufeff: 1", "column 9: a zero width no-break space (U+FEFF), which cannot be seen"),
        ("    gpus: 1", "    gpus: 1\u2009", "line 5 column 12: a thin space (U+2009), not a blank"),
        ("    gpus: 1", "    gpus: \u2003 1", "line 5 column 11: an em space (U+2003), not a blank"),
        ("    gpus: 1", "\u3000\u3000gpus: 1", "line 5 columns 1, 2: an ideographic space (U+3000), not a blank"),
        ("    gpus: 1", "    gpus: １", "line 5 column 11: a fullwidth digit one (U+FF11), not '1'"),
        ("    gpus: 1", "    ｇpus: 1", "line 5 column 5: a fullwidth Latin small letter g (U+FF47), not 'g'"),
        ("    gpus: 1", "    gрus: 1", "line 5 column 6: a Cyrillic small letter er (U+0440), not 'p'"),
        ("    gpus: 1", "    gpuѕ: 1", "line 5 column 8: a Cyrillic small letter dze (U+0455), not 's'"),
        ("    gpus: 1", "    gpυs: 1", "line 5 column 7: a Greek small letter upsilon (U+03C5), not 'u'"),
        ("    gpus: 1", "    gpus∶ 1", "line 5 column 9: a ratio (U+2236), not ':'"),
        ("{prompt: p}", "｛prompt: p｝", "line 6 column 11: a fullwidth left curly bracket (U+FF5B), not '{'"),
        ("{prompt: p}", "{prompt: p}\n    marks: ［nightly］", "a fullwidth left square bracket (U+FF3B), not '['"),
        ("{prompt: p}", "{prompt： p}", "line 6 column 18: a fullwidth colon (U+FF1A), not ':'"),
        ("{prompt: p}", "{prompt: p， width: x: 2}", "line 6 column 21: a fullwidth comma (U+FF0C), not ','"),
        ("{prompt: p}", "{–width: 640}", "line 6 column 12: an en dash (U+2013), not '-'"),
        ("{prompt: p}", "{num—frames: 640}", "line 6 column 15: an em dash (U+2014), not '-'"),
        ("{prompt: p}", "{num‑frames: 640}", "line 6 column 15: a non-breaking hyphen (U+2011), not '-'"),
        ("{prompt: p}", "{prompt: p}\n    marks:\n    – nightly", "line 8 column 5: an en dash (U+2013), not '-'"),
        ("summary: s", "summary: “a: b”", "line 3 column 14: a left double quotation mark (U+201C), not '\"'"),
        ("summary: s", "summary: ‘a: b’", 'line 3 column 14: a left single quotation mark (U+2018), not "\'"'),
        ("summary: s", 'summary: "a cat”', "line 3 column 20: a right double quotation mark (U+201D), not '\"'"),
        ("summary: s\n", "summary: s\u2028", "line 3 column 15: a line separator (U+2028), not a line break"),
        ("    gpus: 1", "    gpus: 1\u2029x: 2", "line 5 column 12: a paragraph separator (U+2029), not a line break"),
        (
            "    gpus: 1",
            "    gpus: 1\u202e",
            "column 12: a right-to-left override (U+202E), which cannot be seen",
        ),
        ("    gpus: 1", "    gpus: 1\u00ad", "line 5 column 12: a soft hyphen (U+00AD), which cannot be seen"),
        ("    gpus: 1", "    gpus: 1\u00a0# two", "line 5 column 12: a no-break space (U+00A0), not a blank"),
        ("  a:\n", "  a:\u00a0\n", "line 2 column 5: a no-break space (U+00A0), not a blank"),
        ("cases:\n", "cases:\u200b\n", "line 1 column 7: a zero width space (U+200B), which cannot be seen"),
        ("cases:\n", "cases：\n", "line 1 column 6: a fullwidth colon (U+FF1A), not ':'"),
        ("  a:\n", "  a—\n", "line 2 column 4: an em dash (U+2014), not '-'"),
        ("  a:\n    summary: s", "  a:\n    summary：s", "line 3 column 12: a fullwidth colon (U+FF1A), not ':'"),
    ],
)
def test_the_message_of_a_mistake_names_the_character(old: str, new: str, told: str) -> None:
    assert old in GOOD
    if new.endswith("\u2028"):
        new += "\t"  # which alone would be told as a tab
    found = mistakes(GOOD.replace(old, new))
    assert any(told in line for line in found), found


@pytest.mark.parametrize(
    ("summary", "mistake"),
    [
        ("summary: 一只猫，在厨房里：烤蛋糕（和狗）", "    gpus: one"),
        ("summary: кот и собака\u00a0– вместе", "    gpus: one"),
        ("summary: “a cat”, she said", "    gpus: one"),
        ("summary: s # 注意：全角", "    gpus: one"),
        ("summary: 一只猫，在厨房里：烤蛋糕", "    gpu: 1"),
        ("summary: 一只猫，在厨房里：烤蛋糕", "    gpus: 1: 2"),
        ("summary: 一只猫，在厨房里：烤蛋糕", "    gpus 1"),
    ],
)
def test_text_that_is_meant_is_nobodys_mistake(summary: str, mistake: str) -> None:
    text = GOOD.replace("summary: s", summary)
    load_cases(PATH, text)
    found = mistakes(text.replace("    gpus: 1", mistake))
    assert found
    assert not any("U+" in line for line in found), found


@pytest.mark.parametrize(
    "line",
    [
        "    gpus: one # 注意：全角",
        "    gpus: '１：' ",
        '    gpus: "a\\" １"',
        "    gpus: кот",
        "    gpus: café",
        "    gpus: 猫",
    ],
)
def test_on_the_line_of_a_mistake_quotes_comments_and_honest_words_are_left_alone(line: str) -> None:
    found = mistakes(GOOD.replace("    gpus: 1", line))
    assert found
    assert not any("U+" in one for one in found), found


def test_characters_that_repeat_are_named_once_with_their_columns() -> None:
    told = mistakes(GOOD.replace("    summary", "\u00a0 \u00a0 summary"))[-1]
    assert told.endswith("; line 3 columns 1, 3: a no-break space (U+00A0), not a blank")
    assert named("\u00a0" * 9 + "a：b，c", 1) == (
        "; line 1 columns 1, 2, 3, 4, 5 and 4 more: a no-break space (U+00A0), not a blank"
        "; line 1 column 11: a fullwidth colon (U+FF1A), not ':'; line 1 column 13: a fullwidth comma (U+FF0C), not ','"
    )
    assert named("a：b，c；d！", 1).endswith("; and 1 more kind of them")


def test_a_mistake_in_ascii_has_nothing_to_name() -> None:
    assert named(GOOD, 5, others=[3], syntax=True) == ""
    assert mistakes(GOOD.replace("gpus: 1", "gpus: one"))[0].endswith("got 'one'")


def test_a_case_that_no_file_has_may_be_one_that_looks_the_same(tmp_path) -> None:
    cases = load_cases(PATH, GOOD + "  b:\n    model: m\n    faster_than: {case: а}\n")
    (told,) = check_relations(cases, files=[tmp_path / "x.yaml"], root=tmp_path)
    assert told.endswith("; it holds a Cyrillic small letter a (U+0430), not 'a'")
    assert in_name("plain") == ""
    assert in_name("wan\u200b22") == "; it holds a zero width space (U+200B), which cannot be seen"


@pytest.mark.parametrize(
    ("value", "odd"),
    [
        ("expect: {stages: [Denoising\u200bStage]}", "a zero width space (U+200B)"),
        ("expect: {pipeline: Wan\u2060Pipeline}", "a word joiner (U+2060)"),
        ("expect: {attention: f\u0430}", "a Cyrillic small letter a (U+0430)"),
        ("requires: {gpu: [H\u200b200]}", "a zero width space (U+200B)"),
    ],
)
def test_a_name_that_nothing_can_have_is_refused(value: str, odd: str) -> None:
    (told,) = mistakes(GOOD.replace("    gpus: 1", f"    {value}\n    gpus: 1"))
    assert f"line 5 column {value.index(next(c for c in value if not c.isascii())) + 5}: {odd}" in told


@pytest.mark.parametrize(
    ("args", "odd"),
    [
        ("width: 6\u200b4", "a zero width space (U+200B), which cannot be seen"),
        ("seed: \u22121", "a minus sign (U+2212), not '-'"),
        ("attention-backend: f\u0430", "a Cyrillic small letter a (U+0430), not 'a'"),
    ],
)
def test_a_value_that_no_engine_takes_names_its_character(args: str, odd: str) -> None:
    (case,) = load_cases(PATH, GOOD.replace("prompt: p", f"prompt: p, {args}"))
    wrong = (*complaints(case, table_flags("0.5.17")), *advise(case, engine=table_flags("0.5.17")))
    (told,) = (one.message for one in wrong if one.level == "error")
    assert told.endswith(f"; it holds {odd}")
