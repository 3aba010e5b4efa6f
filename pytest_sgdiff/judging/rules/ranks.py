"""The exact Mann-Whitney test: are the candidate's launches the slower ones, by their order alone.

Counted here and not by `scipy.stats`, whose import takes longer than a whole replay is judged;
tests/property/test_rules_laws.py holds it to that one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate

from pytest_sgdiff.judging.rules.three_way import RANK_P


def rank_p(b: Sequence[float], c: Sequence[float]) -> float:
    """The chance, without a change, of at least as many pairs with the slower launch in the candidate `c`.

    Two pairs that tie count as one; half a pair is left out, which errs towards no change.
    """
    above = sum(y > x for x in b for y in c)
    tied = sum(y == x for x in b for y in c)
    return _tails(len(b), len(c))[above + tied // 2] / math.comb(len(b) + len(c), len(c))


def level(nb: int, nc: int) -> float:
    """The p that confirms a slowdown: RANK_P, or that of a complete order where launches are too few for it."""
    return max(RANK_P, 1 / math.comb(nb + nc, nc))


def ordered_wins(nb: int, nc: int) -> int:
    """How many of the nb x nc pairs of launches must have the slower one in the candidate to confirm a slowdown."""
    most = level(nb, nc) * math.comb(nb + nc, nc)
    return next(wins for wins, tail in enumerate(_tails(nb, nc)) if tail <= most)


@lru_cache(maxsize=64)
def _tails(nb: int, nc: int) -> tuple[int, ...]:
    """In how many of all orders of the launches at least 0, 1, ... nb x nc pairs have the slower one in the
    candidate."""
    ways = [[0] * (nb * nc + 1) for _ in range(nc + 1)]
    ways[0][0] = 1
    for rank in range(1, nb + nc + 1):
        for taken in range(min(rank, nc), 0, -1):
            # The taken-th candidate launch at this rank is slower than rank - taken baseline launches.
            gain = rank - taken
            if gain <= nb:
                for wins in range(nb * nc, gain - 1, -1):
                    ways[taken][wins] += ways[taken - 1][wins - gain]
    return tuple(accumulate(reversed(ways[nc])))[::-1]
