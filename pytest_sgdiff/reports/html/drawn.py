"""What launches drew, side by side: PNGs as data in the page, as many as fit."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_sgdiff.data import CaseResult, View
from pytest_sgdiff.reports import case_text

PAGE_BYTES: Final = 24_000_000
"""Characters of all pictures of a page, in base64. Cases that failed come first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """One picture in the page: its caption, what it shows, and its address."""

    caption: str
    description: str
    src: str


def pictures(results: Sequence[CaseResult]) -> dict[str, tuple[tuple[Shown, ...], int]]:
    """By node id the pictures of each case, and how many outputs were left out: since the page has no more room, or the
    case has very many."""
    left, shown = PAGE_BYTES, {}
    for result in case_text.worst_first(results):
        kept: list[Shown] = []
        out = result.quality.unseen if result.quality else 0
        for view in result.quality.views if result.quality else ():
            row = _row(view, case_text.base_word(result))
            size = sum(len(one.src) for one in row)
            if size > left:
                out += 1
                continue
            left -= size
            kept += row
        shown[result.node_id] = tuple(kept), out
    return shown


def _row(view: View, base: str) -> list[Shown]:
    frames = f", frames {', '.join(map(str, view.shown))}" if view.shown else ""
    which = f"output {view.output}{frames}" if view.output or frames else "output"
    brighter = f", {view.gain} times as bright" if view.gain > 1 else ""
    told = (
        (view.then, base, f"{which} of the {base}"),
        (view.now, "now", f"{which} of this run"),
        (view.difference, f"difference{brighter}", f"difference of the two, {which}"),
    )
    return [
        Shown(
            caption=f"{caption}{frames}",
            description=description,
            src=f"data:image/png;base64,{base64.b64encode(data).decode()}",
        )
        for data, caption, description in told
        if data
    ]
