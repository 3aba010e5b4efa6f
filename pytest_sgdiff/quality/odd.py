"""Whether one of several launches with one seed drew something else than the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final

from pytest_sgdiff.data import OutputSample, Quality, Similarity
from pytest_sgdiff.quality import extra
from pytest_sgdiff.quality.noise import FIGURES, Figure
from pytest_sgdiff.quality.reference import Drawn, alike, apart_of, size_of

ODD_FACTOR: Final = 4.0
"""How many times the squared difference that is accepted of a later launch one of a recording must be away from all
others to be an odd one: twice the difference itself."""

_FEWEST: Final = 3
"""Of two launches nobody knows which one is odd, or what their noise is."""


def odd_launch(drawn: Sequence[Drawn]) -> Quality | None:
    """A launch, of several with one seed, that drew something else than the others: far more away from all of them
    than they are from one another. As noise of a baseline it would hide any change of that size. None where there is
    no such launch, or nothing can be said of it. Raises DamagedError.

    The launches are split where the gap between them is widest; those of the smaller part are odd. So two odd ones are
    found that drew the same.
    """
    with_samples = [one for one in drawn if one.samples is not None]
    if len(with_samples) < len(drawn) or len(drawn) < 2 or extra.missing():
        return None
    if (other := _of_other_shape(drawn)) is not None:
        return other
    if len(drawn) < _FEWEST:
        return None
    for place, column in enumerate(zip(*(one.samples or () for one in drawn), strict=True)):
        if any(sample.flaw for sample in column):
            continue
        apart = apart_of(column)
        for figure in FIGURES:
            if (found := _odd(figure, apart, len(column))) is not None:
                odd, nearest, most = found
                seen = apart[min(odd, nearest), max(odd, nearest)]
                value = figure.of(seen) or 0.0
                return Quality(
                    code="odd-launch",
                    launches=len(drawn),
                    launch=drawn[odd].launch,
                    output=place,
                    similarity=seen,
                    measure=figure.measure,
                    found=figure.shown(value),
                    limit=figure.shown(most),
                )
    return None


def _of_other_shape(drawn: Sequence[Drawn]) -> Quality | None:
    """The first launch of the fewest whose outputs are of another number, kind or size."""
    groups: list[list[Drawn]] = []
    for one in drawn:
        group = next((group for group in groups if alike(group[0].samples, one.samples)), None)
        if group is None:
            groups.append([one])
        else:
            group.append(one)
    if len(groups) < 2:
        return None
    usual = max(groups, key=len)
    odd = min((group for group in groups if group is not usual), key=len)[0]
    mine, others = odd.samples or (), usual[0].samples or ()
    place = next((at for at, two in enumerate(zip(others, mine, strict=False)) if not alike(two[:1], two[1:])), 0)
    two = (str(len(others)), str(len(mine)))
    if len(mine) == len(others):
        two = _shape(others[place]), _shape(mine[place])
    return Quality(code="odd-launch", launches=len(drawn), launch=odd.launch, output=place, then=two[0], now=two[1])


def _shape(sample: OutputSample) -> str:
    frames = f", {sample.frames} frames" if sample.kind == "video" else ""
    return f"{sample.kind} {size_of(sample)}{frames}" if sample.width else sample.kind or ""


def _odd(figure: Figure, apart: Mapping[tuple[int, int], Similarity], count: int) -> tuple[int, int, float] | None:
    """The place of the first odd launch by one figure, that of the one that is nearest to it, and what would not be
    odd; None where none is."""
    values = {pair: value for pair, seen in apart.items() if (value := figure.of(seen)) is not None}
    if len(values) < len(apart):
        return None
    # The longest link of the tree that joins all launches by the shortest ones.
    joined, links = {0}, []
    while len(joined) < count:
        value, one, other = min(
            (value, *((a, b) if a in joined else (b, a)))
            for (a, b), value in values.items()
            if (a in joined) != (b in joined)
        )
        links.append((value, one, other))
        joined.add(other)
    gap = max(links)
    part = {gap[2]}
    rest = [link for link in links if link is not gap]
    while grown := [link for link in rest if (link[1] in part) != (link[2] in part)]:
        part.update(place for link in grown for place in link[1:])
    # Of two halves the one that the reference is not of.
    smaller = min(part, set(range(count)) - part, key=lambda places: (len(places), 0 in places))
    within = [value for (a, b), value in values.items() if (a in part) == (b in part)]
    usual = max((seen.spacing or 0.0 for seen in apart.values()), default=0.0)
    most = figure.accepted(max(within), spacing=usual)
    most *= ODD_FACTOR if figure.squared else math.sqrt(ODD_FACTOR)
    if not gap[0] > most:
        return None
    _, odd, nearest = min(
        (value, *((a, b) if a in smaller else (b, a))) for (a, b), value in values.items() if (a in part) != (b in part)
    )
    return odd, nearest, most
