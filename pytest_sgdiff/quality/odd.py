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
others to be an odd one: twice the difference itself. Of 2000 recordings with normal noise in 3 directions, drawn
alike, 4.3 % of those of three launches had one, in 5 directions 0.5 %, in 10 none; of those of five launches none."""

_FEWEST: Final = 3
"""Of two launches nobody knows which one is odd, or what their noise is."""


def odd_launch(drawn: Sequence[Drawn]) -> Quality | None:
    """A launch, of several with one seed, that drew something else than the others: far more away from all of them
    than they are from one another. As noise of a baseline it would hide any change of that size. None where there is
    no such launch, or nothing can be said of it. Raises DamagedError.

    The launches are split at the widest gaps between them, as long as most of them stay together; the others are odd.
    So several odd ones are found, whether they drew the same or not.
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
    spacing = max((seen.spacing or 0.0 for seen in apart.values()), default=0.0)
    links = _links(values, count)
    for gap in sorted({value for value, _, _ in links}, reverse=True):
        groups = _groups([(one, other) for value, one, other in links if value < gap], count)
        # Of two halves the one that the reference is of.
        usual = max(groups, key=lambda group: (len(group), 0 in group))
        if len(groups) > _HALVES and 2 * len(usual) <= count:
            return None
        within = [value for (a, b), value in values.items() if any(a in group and b in group for group in groups)]
        most = figure.accepted(max(within), spacing=spacing) if within else math.inf
        most *= ODD_FACTOR if figure.squared else math.sqrt(ODD_FACTOR)
        if gap > most:
            odd = min(place for place in range(count) if place not in usual)
            nearest = min(usual, key=lambda place: values[min(odd, place), max(odd, place)])
            return odd, nearest, most
    return None


_HALVES: Final = 2
"""Of so many groups none need be the larger one: launches that draw one of two pictures, turn and turn about."""


def _links(values: Mapping[tuple[int, int], float], count: int) -> list[tuple[float, int, int]]:
    """The shortest links that join all launches (a minimum spanning tree)."""
    joined, links = {0}, []
    while len(joined) < count:
        value, one, other = min(
            (value, *((a, b) if a in joined else (b, a)))
            for (a, b), value in values.items()
            if (a in joined) != (b in joined)
        )
        links.append((value, one, other))
        joined.add(other)
    return links


def _groups(links: Sequence[tuple[int, int]], count: int) -> list[set[int]]:
    """The launches that these links join."""
    groups = [{place} for place in range(count)]
    for one, other in links:
        first, second = (next(group for group in groups if place in group) for place in (one, other))
        if first is not second:
            groups.remove(second)
            first |= second
    return groups
