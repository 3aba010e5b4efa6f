from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import Problem, Reason, Unmeasured, Warned
from pytest_sgdiff.reports.markdown import LIMIT, MarkdownReport
from tests import factories

DATA = Path(__file__).parents[1] / "data" / "reports"
NASTY = "a | b <img src=x onerror=alert(1)> @octocat #12 [l](http://e) `code` **bold** $x$ _it_ a_b"


def rendered(*results: object, **changes: object) -> str:
    return MarkdownReport().render(factories.run(*results, **changes))  # type: ignore[arg-type]


def test_the_title_tells_what_got_slower_and_by_how_much() -> None:
    assert rendered().splitlines()[0] == "## sgdiff: wan22_t2v_a14b_720p: denoise +5.3 %"
    two = rendered(factories.regressed(), factories.regressed())
    assert two.splitlines()[0] == "## sgdiff: wan22_t2v_a14b_720p: denoise +5.3 %, and 1 more regressed"


def test_the_title_of_a_good_run_and_of_one_without_verdicts() -> None:
    assert rendered(factories.result()).splitlines()[0] == "## sgdiff: no slowdown"
    assert rendered(factories.fallback()).splitlines()[0] == "## sgdiff: 1 case without a verdict"


GONE = (
    Unmeasured(node_id="cases/a.yaml::b", why="skipped: no GPU of 'H200' | none"),
    Unmeasured(node_id="cases/a.yaml::c", why="not run"),
)


@pytest.mark.parametrize(
    ("results", "changes", "title"),
    [
        ((), {}, "nothing was measured"),
        ((), {"interrupted": True}, "interrupted: nothing was measured"),
        ((factories.result(),), {}, "2 of 3 cases not measured"),
        ((factories.result(),), {"interrupted": True}, "interrupted: 2 of 3 cases not measured"),
        ((factories.result(recorded=True),), {}, "1 baseline recorded, 2 of 3 cases not measured"),
        ((factories.undecided(),), {}, "1 case without a verdict, 2 of 3 cases not measured"),
        ((factories.regressed(),), {}, "wan22_t2v_a14b_720p: denoise +5.3 %"),
    ],
)
def test_what_was_not_measured_is_in_the_title_and_listed_with_its_reason(
    results: tuple[object, ...], changes: dict[str, object], title: str
) -> None:
    run = replace(factories.run(), results=results, selected=len(results) + 2, unmeasured=GONE, **changes)  # type: ignore[arg-type]
    report = MarkdownReport().render(run)
    assert report.splitlines()[0] == f"## sgdiff: {title}"
    assert "no slowdown" not in report
    assert (
        "**Not measured**\n\n- <code>cases/a.yaml::b</code>: skipped: no GPU of 'H200' &#124; none\n"
        "- <code>cases/a.yaml::c</code>: not run\n\n"
    ) in report


def test_a_run_that_selected_nothing_found_no_slowdown_either() -> None:
    report = MarkdownReport().render(replace(factories.run(), results=(), selected=0))
    assert report.splitlines()[0] == "## sgdiff: nothing was measured"


def test_of_very_many_cases_that_were_not_measured_the_first_hundred_are_named() -> None:
    many = tuple(Unmeasured(node_id=f"cases/a.yaml::c{n:03}", why="not run") for n in range(103))
    report = rendered(factories.result(), selected=104, unmeasured=many)
    assert "- <code>cases/a.yaml::c099</code>: not run\n- and 3 more\n" in report


def test_a_recorded_case_is_shown_to_whoever_reviews_the_baseline() -> None:
    slower = factories.verdict(outcome="regressed", now=86080.0, low=1.046, high=1.06, allow=0.012, detectable=0.048)
    report = rendered(
        factories.result(recorded=True, reason=Reason(code="recorded", launches=5, replaces=True), verdicts=(slower,))
    )
    lines = report.splitlines()
    assert lines[0] == "## sgdiff: 1 baseline recorded"
    assert lines[2] == "measured 1 of 1 · 1 recorded · 1 h 12 min, GPUs busy 96 %"
    assert "without a slowdown" not in report
    mixed = rendered(factories.result("other", recorded=True), factories.undecided())
    assert mixed.count("| case | outcome |") == 1
    assert "<summary>1 case without a slowdown" in rendered(factories.result(recorded=True), factories.result("other"))
    assert "| 🔵 recorded | 81.75 s | 86.08 s | +5.3 % | +4.6 .. +6.0 % | 5 launches replace the baseline |" in report
    section = lines[lines.index("### 🔵 wan22_t2v_a14b_720p") :]
    assert section[2:8] == [
        "cases/wan22.yaml:12: 5 launches replace the baseline",
        "",
        "old: the baseline of 2026-11-02 (10 launches, sglang 0.5.16)",
        "",
        "| metric | baseline |  | now | change | 95 % interval | verdict | now detects |",
        "| :--- | ---: | ---: | ---: | ---: | ---: | :--- | ---: |",
    ]
    assert section[8].endswith("| REGRESSED, 1.2 % allowed | 4.8 % |")
    assert (
        section[section.index("", 8) + 1] == "detects: 19 of 20 runs find a slowdown (of memory a growth) of this size"
    )


def test_the_table_of_cases_is_worst_first_and_passes_are_folded_away() -> None:
    report = rendered()
    open_part, folded = report.split("<details><summary>1 case without a slowdown</summary>")
    assert re.findall(r"<code>(\S+?)</code><br>", open_part) == [
        "wan22_t2v_a14b_720p",
        "firered_1_1[cfg]",
        "ltx2_twostage_t2v",
        "hunyuan3d_2_shape",
    ]
    assert "<code>wan22_i2v_a14b_720p</code><br>cases/wan22.yaml:12 | 🟢 pass | 81.75 s ±0.4 %" in folded


def test_the_whole_report_of_a_night_word_for_word() -> None:
    assert rendered() == (DATA / "nightly.md").read_text()


NASTY_PROBLEMS = (Problem(kind="invalid", message=NASTY),)


def test_text_from_cases_and_logs_stays_text() -> None:
    report = rendered(
        factories.fallback(problems=NASTY_PROBLEMS, warnings=(Warned(code="auto-tuned", names=(NASTY,)),), command="x"),
        header=(),
    )
    assert (
        "a &#124; b &#60;img src=x onerror=alert(1)&#62; @<!-- -->octocat #<!-- -->12 [l&#93;(http://e)"
        " &#96;code&#96; &#42;&#42;bold&#42;&#42; &#36;x&#36; &#95;it&#95; a_b"
    ) in report
    assert "<img" not in report


def test_text_from_cases_and_logs_stays_text_for_a_markdown_parser() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark").enable("table")
    page = parser.render(rendered(factories.fallback(problems=NASTY_PROBLEMS)))
    assert "<img" not in page
    assert "<a " not in page
    assert "<strong>bold" not in page
    assert page.count("a | b &lt;img") == 2
    cells = [row.count("<t") - 1 for row in re.findall(r"<tr>.*?</tr>", page, flags=re.DOTALL)]
    assert set(cells) == {7}


def test_a_log_excerpt_cannot_close_its_fence_and_is_cut_to_its_last_lines() -> None:
    evidence = ("```\n# not a heading", *(f"line {i}" for i in range(30)))
    problem = Problem(kind="launch-failed", message="exit code 1", evidence=evidence)
    report = rendered(factories.fallback(problems=(problem,)))
    assert "exit code 1" in report
    assert "line 9\n" not in report
    assert "line 10\nline 11" in report
    short = Problem(kind="launch-failed", message="exit code 1", evidence=evidence[:1])
    assert "````text\n```\n# not a heading\n````" in rendered(factories.fallback(problems=(short,)))


def test_sections_that_do_not_fit_into_a_comment_are_named_instead() -> None:
    many = [factories.regressed(case=f"case_{i:03d}", node_id=f"cases/x.yaml::case_{i:03d}") for i in range(100)]
    report = rendered(*many)
    assert LIMIT - 3000 < len(report) < 65536
    assert report.count("### 🔴") + report.count("<code>cases/x.yaml::") == 100
    assert "Too long to show here: <code>cases/x.yaml::case_" in report


def test_figures_of_passed_cases_are_folded_away_as_far_as_they_fit() -> None:
    many = [factories.result(case=f"case_{i:03d}", node_id=f"cases/x.yaml::case_{i:03d}") for i in range(150)]
    report = rendered(factories.regressed(), *many)
    folded = report.split("<details><summary>all figures of what passed</summary>")[1]
    assert 20 < folded.count("**case_") < 150
    assert "| DecodingStage | 785 ms | 785 ms | 0.0 % |  | informational |" in folded
    assert len(report) < LIMIT + 500


def test_a_faster_case_has_a_section_that_tells_how_to_hold_the_gain() -> None:
    report = rendered(factories.result(outcome="improved", next_step=factories.stated("do this: pytest x")))
    section = report.split("### 🟢 wan22_t2v_a14b_720p\n")[1]
    assert "\nnext        do this: pytest x\n" in section
    assert "all figures of what passed" not in report


def test_claims_stand_below_the_cases() -> None:
    report = rendered(factories.result(), relations=(factories.relation(),))
    assert report.startswith("## sgdiff: 1 case not as fast as claimed\n")
    assert (
        "\n- wan22_t2v_a14b_720p takes 2.1 % less time than wan22_i2v_a14b_720p (claimed: 10 %):"
        " does not hold, 5 against 5 launches\n"
    ) in report
