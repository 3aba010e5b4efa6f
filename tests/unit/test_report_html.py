from __future__ import annotations

import base64
import hashlib
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pytest_sgdiff.data import CaseResult, Finding, Problem, Run, Unmeasured, Warned
from pytest_sgdiff.reports.html import HtmlReport
from tests import factories


class Page(HTMLParser):
    """What a test asks of a page: its elements in order, and their text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def rendered(run: Run | None = None, **fields: str) -> str:
    return HtmlReport(**fields).render(run or factories.run())


def test_what_to_do_about_what_got_slower_stands_at_the_top() -> None:
    step = "do this: pytest --sgdiff-gpus=4 --sgdiff-update cases/wan22.yaml::wan22_t2v_a14b_720p"
    top = rendered(factories.run(factories.regressed(next_step=factories.stated(step)))).partition("</header>")[0]
    assert f'<br><span class="note">next: {step}</span></li>' in top


def test_cases_come_worst_first_in_the_table_and_below() -> None:
    page = Page(rendered())
    worst_first = [
        "wan22_t2v_a14b_720p",
        "firered_1_1[cfg]",
        "ltx2_twostage_t2v",
        "hunyuan3d_2_shape",
        "wan22_i2v_a14b_720p",
    ]
    assert [row["data-for"] for row in page.all("tr") if "data-for" in row] == worst_first
    assert [part["id"] for part in page.all("details")] == worst_first


def test_cases_that_need_eyes_are_unfolded_and_passing_ones_are_not() -> None:
    assert [("open" in part) for part in Page(rendered()).all("details")] == [True, True, True, True, False]


def heavier() -> CaseResult:
    verdict = factories.verdict("peak_memory", outcome="regressed", baseline=22036.5, now=23182.4, ratio=1.052)
    return factories.result(outcome="regressed", verdicts=(factories.verdict(), verdict))


@pytest.mark.parametrize(
    ("results", "title"),
    [
        ((factories.regressed(), factories.result()), "1 of 2 cases got slower"),
        ((factories.regressed(), heavier()), "2 of 2 cases regressed"),
        ((factories.result(),), "No case got slower"),
        ((factories.result(recorded=True), factories.result()), "1 baseline recorded"),
        (
            (factories.result(recorded=True), factories.undecided()),
            "1 baseline recorded, but not every case has a verdict",
        ),
        ((factories.result(), factories.undecided()), "No case got slower, but not every case has a verdict"),
        ((factories.fallback(),), "Nothing was measured"),
    ],
)
def test_the_title_is_the_answer(results: tuple[object, ...], title: str) -> None:
    page = rendered(factories.run(*results))  # type: ignore[arg-type]
    assert f"<h1>{title}</h1>" in page
    assert f"<title>{title} · sgdiff</title>" in page


@pytest.mark.parametrize(
    ("results", "interrupted", "title"),
    [
        ((), False, "Nothing was measured"),
        ((), True, "Interrupted: nothing was measured"),
        ((factories.result(),), False, "1 of 2 cases not measured"),
        ((factories.result(),), True, "Interrupted: 1 of 2 cases not measured"),
        ((factories.result(recorded=True),), False, "1 baseline recorded, 1 of 2 cases not measured"),
    ],
)
def test_what_was_not_measured_is_in_the_title_and_listed(
    results: tuple[CaseResult, ...], interrupted: bool, title: str
) -> None:
    gone = (Unmeasured(node_id="cases/a.yaml::b", why="skipped: no GPU <here>"),)
    run = replace(factories.run(), results=results, selected=len(results) + 1, unmeasured=gone, interrupted=interrupted)
    page = rendered(run)
    assert f"<h1>{title}</h1>" in page
    assert "<h2>Not measured</h2>" in page
    assert "<li><code>cases/a.yaml::b</code>: skipped: no GPU &lt;here&gt;</li>" in page


def test_what_was_recorded_is_called_so_and_can_be_filtered_by_that_word() -> None:
    page = rendered(factories.run(factories.result(recorded=True), factories.result("other")))
    assert page.count('<span class="badge recorded">recorded</span>') == 2  # in the table, and above the section
    assert page.count('<span class="badge pass">pass</span>') == 2
    chips = [part["data-outcome"] for part in Page(page).all("button") if "data-outcome" in part]
    assert chips == ["recorded", "pass"]
    assert [row["data-outcome"] for row in Page(page).all("tr") if "data-for" in row] == chips
    assert [part["data-outcome"] for part in Page(page).all("details")] == chips


def test_a_claim_that_does_not_hold_is_in_the_title_and_among_the_claims() -> None:
    page = rendered(factories.run(factories.result(), relations=(factories.relation(),)))
    assert "<h1>1 case not as fast as claimed</h1>" in page
    assert '<span class="badge regressed">does not hold</span> wan22_t2v_a14b_720p takes 2.1 % less time' in page


def test_what_a_case_does_not_gate_stands_below_what_was_judged() -> None:
    page = rendered(factories.run(factories.result()))
    assert page.count('<span class="note">informational</span>') == 3
    assert page.index('<th scope="row">peak memory</th>') < page.index('<th scope="row">TextEncodingStage</th>')
    assert "informational" not in rendered(factories.run(factories.fallback()))


def test_a_run_without_cases_says_so() -> None:
    empty = Run(started_at="2026-11-23T02:00:11Z", elapsed_s=0.1, command="pytest", plugin_version="0.1.0")
    assert "No case was selected, or none was run." in rendered(empty)


def test_the_page_loads_nothing() -> None:
    source = rendered()
    page = Page(source)
    assert not [
        tag for tag, _ in page.elements if tag in {"img", "iframe", "object", "embed", "audio", "video", "base"}
    ]
    assert [script for script in page.all("script") if "src" in script] == []
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not re.findall(r"url\(|@import|https?://", source)


def test_the_security_policy_allows_this_script_and_nothing_else() -> None:
    source = rendered()
    script = source.split("<script>")[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [meta["content"] for meta in Page(source).all("meta") if meta.get("http-equiv")]
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_every_text_is_escaped() -> None:
    nasty = "<b onclick=x>\"'&"
    result = factories.regressed(
        case=nasty,
        problems=(Problem(kind="invalid", message=nasty),),
        summary=nasty,
        next_step=factories.stated(nasty),
        command=nasty,
        warnings=(Warned(code="auto-tuned", names=(nasty,)),),
    )
    page = Page(rendered(factories.run(result, command=nasty, header=(nasty,))))
    assert page.all("b") == []
    assert [part["id"] for part in page.all("details")] == [nasty]


def test_ids_are_unique_even_where_a_case_ran_twice() -> None:
    page = Page(rendered(factories.run(factories.regressed(), factories.regressed())))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [part["id"] for part in page.all("details")] == ["wan22_t2v_a14b_720p", "wan22_t2v_a14b_720p.2"]


def test_links_lead_to_the_line_of_the_case_and_can_lead_to_the_forge() -> None:
    run = factories.run(factories.fallback(location=factories.location("cases/a b.yaml", 31)))
    assert "cases/a%20b.yaml#L31" in [link["href"] for link in Page(rendered(run)).all("a")]
    forge = rendered(run, link="https://forge.example/org/repo/blob/5c1d2e7/{path}#L{line}")
    assert "https://forge.example/org/repo/blob/5c1d2e7/cases/a%20b.yaml#L31" in [
        a["href"] for a in Page(forge).all("a")
    ]


def test_a_baseline_outside_the_root_is_named_but_not_linked() -> None:
    inside = rendered(factories.run(factories.regressed(baseline_path="baselines/a b.json")))
    assert '<a href="baselines/a%20b.json#L1">baselines/a b.json</a>' in inside
    outside = rendered(factories.run(factories.regressed(baseline_path="/srv/baselines/a.json")))
    assert "<dt>file</dt><dd>/srv/baselines/a.json</dd>" in outside
    assert "Baseline file" not in outside
    assert not [link["href"] for link in Page(outside).all("a") if "/srv" in link["href"]]


def test_a_case_shows_both_sides_and_where_they_come_from() -> None:
    source = rendered(factories.run(factories.regressed(), history={"wan22_t2v_a14b_720p": factories.history()}))
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", source)
    assert captions == [
        "denoise, launch by launch",
        "Stages, baseline → now",
        "Step profile (median over launches)",
        "denoise over time",
        "e2e, launch by launch",
        "TextEncodingStage, launch by launch",
        "DecodingStage, launch by launch",
        "peak memory, launch by launch",
    ]
    for fact in ("580.82.07", "a739cfb13035bb4a", "REGRESSED, 1.2 % allowed", "5c1d2e7", "1965 to 1980 MHz", "0.5.17"):
        assert fact in source


def test_a_stage_too_short_to_be_judged_has_a_row_and_no_picture() -> None:
    tiny = factories.verdict(
        "stage:InputValidationStage", baseline=0.04, now=0.05, ratio=None, finding=Finding(code="below-floor", floor=5)
    )
    record = factories.record(metrics={"stage:InputValidationStage": 0.05})
    source = rendered(factories.run(factories.result(verdicts=(tiny,), launches=(record,))))
    assert '<th scope="row">InputValidationStage</th>' in source
    assert "below the absolute floor" in source
    assert "InputValidationStage, launch by launch" not in source


def test_a_log_excerpt_is_shown_without_its_escapes() -> None:
    source = rendered(factories.run(factories.fallback()))
    assert '<pre tabindex="0" aria-label="Log excerpt">[11-23 16:52:01] Falling back to diffusers backend\n' in source


def test_pauses_are_explained_where_they_appear() -> None:
    legend = "pause is the time outside the denoising steps and stages; e2e is judged net of pauses"
    assert legend in rendered(factories.run(factories.undecided()))
    assert legend not in rendered(factories.run(factories.regressed()))


def test_a_hundred_cases_stay_below_five_megabytes() -> None:
    many = [factories.regressed(case=f"case_{i:03d}", node_id=f"cases/x.yaml::case_{i:03d}") for i in range(100)]
    run = factories.run(*many, history={result.case: factories.history(60) for result in many})
    assert len(rendered(run).encode()) < 5_000_000


def test_without_jinja_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        rendered()
    assert str(caught.value) == "the HTML report needs Jinja2: pip install jinja2"
