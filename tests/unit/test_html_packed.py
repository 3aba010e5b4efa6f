"""The page of a large suite: sections beyond those of the worst cases are packed, and nothing of them is lost."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.reports import html
from pytest_sgdiff.reports.html import HtmlReport
from pytest_sgdiff.reports.html.packed import packed, unpacked
from tests import factories
from tests.examples import examples

lines = st.lists(
    st.sampled_from(["<p>", "1.5", "-3", " ", "x", "é", "&#39;", "\n", "00", ".", "-", "9" * 30]), max_size=8
)


@examples(80)
@given(st.lists(lines.map("".join) | st.text(st.characters(exclude_characters="\0", codec="utf-8")), max_size=6))
def test_what_was_packed_comes_out_as_it_was(sections: list[str]) -> None:
    assert unpacked(packed(sections)) == sections


def page(count: int) -> str:
    kinds = (factories.regressed, factories.result, factories.result, factories.undecided)
    return HtmlReport().render(
        factories.run(
            *(
                kinds[i % 4](case=f"case_{i:03d}", location=factories.location("cases/suite.yaml", i + 1))
                for i in range(count)
            )
        )
    )


def sections(text: str) -> dict[str, str]:
    """Case -> what its section holds below the summary."""
    packs = [unpacked(pack) for pack in re.findall(r'<script type="text/plain" id="pack-\d+">(.*?)</script>', text)]
    whole = {}
    for part in text.split('<details class="case ')[1:]:
        name, place = re.search(r'id="([^"]+)"', part), re.search(r'data-pack="(\d+)\.(\d+)"', part)
        assert name
        below = part.partition("</summary>\n")[2].rpartition("</details>")[0]
        # Some sections have folded parts of their own, and the last is followed by the end of the page.
        whole[name[1]] = packs[int(place[1])][int(place[2])] if place else below
    return whole


def test_sections_are_in_the_page_as_they_are_while_they_are_few() -> None:
    text = page(8)
    assert "data-pack=" not in text
    assert "<noscript>" not in text
    assert len(sections(text)) == 8


def test_beyond_that_all_but_those_of_the_worst_cases_are_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = sections(page(8))
    monkeypatch.setattr(html, "WHOLE", 50_000)
    monkeypatch.setattr(html, "PLAIN", 45_000)
    monkeypatch.setattr(html, "PACK", 3)
    text = page(8)
    many = sections(text)
    assert {name: part.strip() for name, part in many.items()} == {name: part.strip() for name, part in few.items()}
    # The worst first, which anybody can read also without a script.
    assert 'id="case_000" data-outcome="regressed" open>' in text
    assert text.count("data-pack=") >= 4
    assert text.count('<tr role="row" class=') == 8
    assert "<noscript>" in text


def test_a_page_grows_by_a_few_kilobytes_for_each_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "WHOLE", 0)
    monkeypatch.setattr(html, "PLAIN", 0)
    monkeypatch.setattr(html, "PACK", 4)
    sizes = [len(page(count)) for count in (4, 8, 16)]
    per_case = [(sizes[1] - sizes[0]) / 4, (sizes[2] - sizes[1]) / 8]
    # 10 MB for two thousand.
    assert max(per_case) < 5000
    assert per_case[1] == pytest.approx(per_case[0], rel=0.1)
