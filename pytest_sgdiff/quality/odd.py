"""Whether one of several launches with one seed drew something else than the others."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from pytest_sgdiff.data import OutputSample, Quality, Similarity
from pytest_sgdiff.quality import extra
from pytest_sgdiff.quality.noise import FIGURES, Figure
from pytest_sgdiff.quality.reference import Drawn, alike, apart_of, size_of

ODD_FACTOR: Final = 4.0
"""How many times the squared difference that is accepted of a later launch one of a recording must be away from all
others to be an odd one: twice the difference itself.

Of 2000 recordings of four launches with normal noise in 1 direction, drawn alike, 6.8 % had an odd one, in 2 directions
0.7 %, in 3 0.1 %, in 5 and 10 none; of those of five launches 4.8 %, 0.3 %, 0.1 % and none. Of an engine that draws one
of two pictures, each as often, 8 of the 16 recordings of four launches have one, 10 of the 32 of five, and 20 of the
1024 of ten: those in which one of the two is seen once. Of three pictures 24 of 81, 90 of 243, and 239 of 2000."""

FEWEST_RECORDED: Final = 4
"""Of two launches nobody knows which one is odd, or what their noise is. Of three nobody knows whether the one that
differs is odd or a result that was seen once: too little to refuse a recording."""

FEWEST_PAIRED: Final = 3
"""Nothing is refused in an A/B run."""


def odd_launch(drawn: Sequence[Drawn], *, fewest: int = FEWEST_RECORDED) -> Quality | None:
    """A launch, of several with one seed, that drew something else than the others: far more away from all of them
    than they are from one another. As noise of a baseline it would hide any change of that size. None where there is
    no such launch, or nothing can be said of it. Raises DamagedError.

    The launches are split at the widest gaps between them. Where most of them stay together, each that no other one
    repeats is odd. What two launches drew is a result of the engine, and no accident: see `results`.
    """
    with_samples = [one for one in drawn if one.samples is not None]
    if len(with_samples) < len(drawn) or len(drawn) < 2 or extra.missing():
        return None
    if (other := _of_other_shape(drawn)) is not None:
        return other
    if len(drawn) < fewest:
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


def results(drawn: Sequence[Drawn]) -> int:
    """How many clearly different pictures launches with one seed drew, some of them more than once: an engine that
    picks one of several kernels has as many. Of several outputs the most; 1 where there is no clear gap between the
    launches. Raises DamagedError."""
    most = 1
    if extra.missing() or any(not alike(drawn[0].samples, one.samples) for one in drawn):
        return most
    for column in zip(*(one.samples or () for one in drawn), strict=True):
        if any(sample.flaw for sample in column):
            continue
        apart = apart_of(column)
        for figure in FIGURES:
            most = max(most, *(len(groups) for groups, _ in _splits(figure, apart, len(column))), 1)
    return most


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
    for groups, most in _splits(figure, apart, count):
        usual = max(groups, key=len)
        alone = [place for group in groups if len(group) == 1 for place in group]
        if alone and 2 * len(usual) > count:
            odd = min(alone)
            nearest = min(usual, key=lambda place: values[min(odd, place), max(odd, place)])
            return odd, nearest, most
    return None


def _splits(
    figure: Figure, apart: Mapping[tuple[int, int], Similarity], count: int
) -> Iterator[tuple[list[set[int]], float]]:
    """The groups that launches fall into by one figure, from the widest gap to the narrowest, as far as the gap is
    clear; each with what would not be one."""
    values = {pair: value for pair, seen in apart.items() if (value := figure.of(seen)) is not None}
    if len(values) < len(apart):
        return
    spacing = max((seen.spacing or 0.0 for seen in apart.values()), default=0.0)
    links = _links(values, count)
    for gap in sorted({value for value, _, _ in links}, reverse=True):
        groups = _groups([(one, other) for value, one, other in links if value < gap], count)
        within = [value for (a, b), value in values.items() if any(a in group and b in group for group in groups)]
        most = figure.accepted(max(within), spacing=spacing) if within else math.inf
        most *= ODD_FACTOR if figure.squared else math.sqrt(ODD_FACTOR)
        if gap > most:
            yield groups, most


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
