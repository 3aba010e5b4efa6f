"""The HTML report in a real browser: it works, reads in light, dark and on a phone, and stays fast and silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from pytest_sgdiff.data import Problem, Run, Trend
from pytest_sgdiff.plugin.publish import from_root, publish
from pytest_sgdiff.plugin.settings import read_settings
from pytest_sgdiff.reports import html
from pytest_sgdiff.reports.html import HtmlReport
from tests import factories

pytestmark = pytest.mark.browser

SHOWN = "return [...document.querySelectorAll('.overview tbody tr:not([hidden])')].map(row => row.dataset.for)"
SECTIONS = "return [...document.querySelectorAll('details.case:not([hidden])')].map(part => part.id)"
EVERY_OUTCOME = [
    "wan22_t2v_a14b_720p",
    "firered_1_1[cfg]",
    "ltx2_twostage_t2v",
    "hunyuan3d_2_shape",
    "wan22_i2v_a14b_720p",
]

# WCAG 2.2, 1.4.3: the contrast of every visible text against the nearest opaque ground behind it.
CONTRASTS = """
const rgb = (css) => { const m = css.match(/[\\d.]+/g).map(Number); return [...m.slice(0, 3), m[3] ?? 1]; };
const linear = (v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const light = ([r, g, b]) => .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
const ground = (node) => {
  for (; node; node = node.parentElement) {
    const colour = rgb(getComputedStyle(node).backgroundColor);
    if (colour[3] === 1) return colour;
  }
  return rgb(getComputedStyle(document.body).backgroundColor);
};
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const [node, text] = [walk.currentNode.parentElement, walk.currentNode.data.trim()];
  if (!text || !node.checkVisibility() || node.closest("script, title")) continue;
  const style = getComputedStyle(node);
  const sides = [light(rgb(node.ownerSVGElement ? style.fill : style.color)), light(ground(node))];
  const ratio = (Math.max(...sides) + .05) / (Math.min(...sides) + .05);
  if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${node.className.baseVal ?? node.className}: ${text}`);
}
return found;
"""


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Any:
    """Opens the report of a run; afterwards the console must have stayed empty."""
    opened = tmp_path / "report.html"

    def show(run: Run | None = None) -> Any:
        opened.write_text(HtmlReport().render(run or factories.run()), encoding="utf-8")
        browser.console()
        browser.open(opened)
        return browser

    yield show
    browser.devtools("Emulation.setEmulatedMedia", features=[])
    browser.devtools("Emulation.clearDeviceMetricsOverride")
    assert browser.console() == []


def hundred_cases() -> Run:
    kinds = (factories.regressed, factories.result, factories.result, factories.undecided, factories.fallback)
    results = [
        kinds[i % 5](
            case=f"case_{i:03d}",
            node_id=f"cases/suite.yaml::case_{i:03d}",
            location=factories.location("cases/suite.yaml", i + 1),
        )
        for i in range(100)
    ]
    return factories.run(*results, history={result.case: factories.history(60) for result in results})


def test_the_first_screen_says_what_got_slower_by_how_much_and_how_sure(page: Any) -> None:
    browser = page()
    visible = browser.run(
        "return [...document.querySelectorAll('h1, .worst, .overview tbody tr:first-child')]"
        ".filter(e => e.getBoundingClientRect().bottom < innerHeight).map(e => e.innerText)"
    )
    assert visible[0] == "1 of 5 cases got slower"
    assert visible[1] == (
        "wan22_t2v_a14b_720p: denoising is 5.3 % slower than the baseline of 2026-11-02 (10 launches, sglang 0.5.16);"
        " 95 % interval +4.6 .. +6.0 %"
    )
    assert "+5.3 %" in visible[2]


def test_links_of_a_page_in_a_folder_of_its_own_lead_to_the_files(browser: Any, tmp_path: Path) -> None:
    places = ("cases/wan22.yaml", "baselines/wan.json", "recording/wan 1/perf.json")
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    given = {"sgdiff_report": ["out/new pages/r.html"]}
    settings = read_settings(option=given.get, ini={}.get, env={}, root=tmp_path, cwd=tmp_path, run_id="run-1")
    run = factories.run(factories.regressed(baseline_path=str(tmp_path / places[1]), folder="recording/wan 1"))
    assert publish(from_root(run, tmp_path), settings, {}) == ()
    browser.open(tmp_path / "out" / "new pages" / "r.html")
    links = browser.run(
        "return [...document.links].filter(a => !a.getAttribute('href').startsWith('#')).map(a => a.href)"
    )
    found = {unquote(urlsplit(link).path) for link in links}
    assert found == {str(tmp_path / place).removesuffix("/perf.json") for place in places}
    assert all(Path(place).exists() for place in found)


def test_chips_filter_rows_and_sections_and_say_how_many_are_left(page: Any) -> None:
    browser = page()
    assert browser.run(SHOWN) == EVERY_OUTCOME
    browser.run("document.querySelector('.chip[data-outcome=regressed]').click()")
    browser.run("document.querySelector('.chip[data-outcome=pass]').click()")
    assert browser.run(SHOWN) == browser.run(SECTIONS) == EVERY_OUTCOME[1:4]
    assert browser.run("return document.getElementById('shown').textContent") == "3 of 5 cases shown"


def test_typing_finds_cases_by_any_of_their_words(page: Any) -> None:
    browser = page()
    browser.run("document.getElementById('find').focus()")
    browser.keys(*"LTX2.yaml")
    assert browser.run(SHOWN) == browser.run(SECTIONS) == ["ltx2_twostage_t2v"]
    browser.keys(*" nowhere")
    assert browser.run(SHOWN) == []
    assert browser.run("return document.getElementById('shown').textContent") == "0 of 5 cases shown"


def test_columns_sort_both_ways_and_say_so(page: Any) -> None:
    browser = page()
    header = "document.querySelector('.overview th[data-sort=name]')"
    browser.run(f"{header}.firstChild.click()")
    assert browser.run(SHOWN)[0] == "firered_1_1[cfg]"
    assert browser.run(f"return {header}.getAttribute('aria-sort')") == "ascending"
    browser.run(f"{header}.firstChild.click()")
    assert browser.run(SHOWN)[0] == "wan22_t2v_a14b_720p"
    assert browser.run(f"return {header}.getAttribute('aria-sort')") == "descending"
    browser.run("document.querySelector('.overview th[data-sort=change]').firstChild.click()")
    assert browser.run(SHOWN)[:2] == ["wan22_t2v_a14b_720p", "hunyuan3d_2_shape"]


def test_a_link_unfolds_its_case_and_moves_the_focus_there(page: Any) -> None:
    browser = page()
    state = (
        "const d = document.getElementById('wan22_i2v_a14b_720p'); return [d.open, d.contains(document.activeElement)]"
    )
    assert browser.run(state) == [False, False]
    browser.run("document.querySelector('tr[data-for=wan22_i2v_a14b_720p] a').click()")
    assert browser.run(state) == [True, True]


def test_a_link_of_the_trend_unfolds_its_case_and_shows_what_it_is_about(page: Any) -> None:
    trend = Trend(case="wan22_i2v_a14b_720p", metric="denoise", runs=12, latest=83000.0, creep=0.031, worse=True)
    others = [factories.result(f"other_{n}") for n in range(40)]
    browser = page(factories.run(factories.result("wan22_i2v_a14b_720p"), *others, trends=(trend,)))
    state = (
        "const part = document.getElementById('trend:wan22_i2v_a14b_720p'), box = part.getBoundingClientRect();"
        "return [part.closest('details').open, box.top >= 0 && box.bottom <= innerHeight]"
    )
    assert browser.run(state)[0] is False
    browser.run("document.querySelector('a[href^=\"#trend\"]').click()")
    assert browser.run(state) == [True, True]


def test_everything_is_reached_and_worked_with_the_keyboard(page: Any) -> None:
    browser = page()
    seen = []
    for _ in range(12):
        browser.keys("\ue004")
        seen.append(browser.run("const e = document.activeElement; return e.id || e.className || e.textContent"))
    assert seen[0] == "skip"
    assert {"find", "chip regressed", "chip pass", "unfold", "case", "outcome", "change"} <= set(seen)
    browser.run("document.getElementById('unfold').focus()")
    browser.keys("\ue00d")
    assert browser.run("return document.querySelectorAll('details:not([open])').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(page: Any, scheme: str) -> None:
    browser = page()
    browser.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.run("document.getElementById('unfold').click()")
    browser.run("document.querySelector('.chip[data-outcome=improved], .chip[data-outcome=pass]').click()")
    grounds = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert grounds == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
    assert browser.run(CONTRASTS) == []


@pytest.mark.parametrize("width", [360, 720, 900, 1120, 1121, 1280])
def test_nothing_is_wider_than_a_phone_a_tablet_or_half_a_screen(page: Any, width: int) -> None:
    browser = page()
    browser.devtools("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=2, mobile=True)
    browser.run("document.getElementById('unfold').click()")
    assert browser.run("return [innerWidth, document.documentElement.scrollWidth]") == [width, width]


def test_what_to_know_has_the_most_room_of_the_overview_on_a_desktop(page: Any) -> None:
    long = "the engine exited with 0, but its log shows a failure: the GPU ran out of memory (tried to allocate 45 GiB)"
    told = factories.fallback(problems=(Problem(kind="invalid", message=long),))
    browser = page(factories.run(factories.regressed(), told))
    browser.devtools("Emulation.setDeviceMetricsOverride", width=1440, height=900, deviceScaleFactor=1, mobile=False)
    widths = browser.run("return [...document.querySelectorAll('.overview thead th')].map(e => e.offsetWidth)")
    assert widths.index(max(widths)) == len(widths) - 1
    assert widths[-1] > 440


def test_on_paper_nothing_is_cut_off_and_a_long_case_goes_on_below_the_one_before(page: Any) -> None:
    browser = page()
    # A letter between Chromium's margins.
    browser.devtools("Emulation.setDeviceMetricsOverride", width=739, height=980, deviceScaleFactor=1, mobile=False)
    browser.devtools("Emulation.setEmulatedMedia", media="print")
    beyond = (
        "return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
        "e.getBoundingClientRect().right > innerWidth).map(e => `${e.tagName} ${e.className} ${e.textContent}`)"
    )
    assert browser.run(beyond) == []
    assert browser.run("return getComputedStyle(document.querySelector('details.case')).breakInside") == "auto"
    browser.devtools("Emulation.setEmulatedMedia", media="")


def test_screen_readers_get_a_name_for_every_picture_and_control(page: Any) -> None:
    browser = page()
    nameless = (
        'return [...document.querySelectorAll(\'svg:not([aria-label]), svg[aria-label=""], th:not([scope]),'
        " table:not(:has(caption)), [role=region]:not([aria-label])')].map(e => e.outerHTML.slice(0, 80))"
    )
    assert browser.run(nameless) == []
    tree = browser.devtools("Accessibility.getFullAXTree")["nodes"]
    roles = {"button", "link", "image", "searchbox", "region", "table"}
    unnamed = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
    assert sum(node["role"]["value"] == "image" for node in tree if not node["ignored"]) > 20


def test_text_of_cases_and_logs_is_neither_markup_nor_script(page: Any) -> None:
    nasty = "</script><script>window.pwned = 1</script>\"'><img src=x onerror='window.pwned = 2'>"
    problem = Problem(kind="launch-failed", message=nasty, evidence=(nasty,))
    result = factories.fallback(
        case=nasty, summary=nasty, next_step=factories.stated(nasty), warnings=(factories.warned(nasty),),
        problems=(problem,), command=nasty,
        folder="javascript:window.pwned=3", location=factories.location("javascript:window.pwned=4//", 1),
    )  # fmt: skip
    browser = page(factories.run(result, command=nasty, header=(nasty,)))
    browser.run("for (const link of document.querySelectorAll('a[href^=\"#\"]')) link.click()")
    assert browser.run("return [window.pwned, document.images.length, document.scripts.length]") == [None, 0, 1]
    assert (
        browser.run("return [...document.querySelectorAll('a')].filter(a => a.protocol === 'javascript:').length") == 0
    )
    assert browser.run("return document.querySelector('h3').textContent") == nasty


def test_a_hundred_cases_stay_small_open_at_once_and_load_nothing(page: Any, tmp_path: Path) -> None:
    browser = page(hundred_cases())
    timing = browser.run("const t = performance.getEntriesByType('navigation')[0]; return t.loadEventEnd")
    size = (tmp_path / "report.html").stat().st_size
    print(f"100 cases: {size / 1e6:.2f} MB, open after {timing:.0f} ms")
    assert size < 5_000_000
    assert timing < 2_000
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    assert len(browser.run(SHOWN)) == 100


def test_without_script_everything_is_still_there(page: Any) -> None:
    browser = page()
    browser.devtools("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.devtools("Page.reload")
        root = browser.devtools("DOM.getDocument", depth=0)["root"]["nodeId"]
        rows = browser.devtools("DOM.querySelectorAll", nodeId=root, selector=".overview tbody tr:not([hidden])")[
            "nodeIds"
        ]
        filters = browser.devtools("DOM.querySelectorAll", nodeId=root, selector="#filters[hidden]")["nodeIds"]
    finally:
        browser.devtools("Emulation.setScriptExecutionDisabled", value=False)
    assert (len(rows), len(filters)) == (5, 1)


UNPACKED = """
const [id, done] = arguments;
const folded = document.getElementById(id);
const told = () => folded.open && folded.querySelector("table.metrics")
  ? done(folded.querySelectorAll("svg").length) : requestAnimationFrame(told);
location.hash = encodeURIComponent(id);
told();
"""


def test_a_section_of_a_large_suite_is_unpacked_when_it_is_looked_at(
    page: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = page(hundred_cases())
    last = whole.run("return [...document.querySelectorAll('details.pass')].at(-1).id")
    shown = whole.run("return document.getElementById(arguments[0]).textContent", last)
    pictures = whole.run("return document.getElementById(arguments[0]).querySelectorAll('svg').length", last)
    monkeypatch.setattr(html, "WHOLE", 1000)
    monkeypatch.setattr(html, "PLAIN", 100_000)
    browser = page(hundred_cases())
    assert len(browser.run(SHOWN)) == 100
    assert browser.run("return document.querySelectorAll('details[data-pack]').length") > 80
    assert browser.execute_async(UNPACKED, last) == pictures
    assert browser.run("return document.getElementById(arguments[0]).textContent", last) == shown
    # Unfolding all fills only what is in sight.
    browser.run("document.getElementById('unfold').click()")
    assert browser.run("return document.querySelectorAll('details.case[open]').length") == 100
    assert browser.run("return document.querySelectorAll('details[data-pack]').length") > 50
    # What is packed is found by its row, its summary and its model.
    browser.run("const f = document.getElementById('find'); f.value = 'case_097'; f.dispatchEvent(new Event('input'))")
    assert browser.run(SHOWN) == ["case_097"]
