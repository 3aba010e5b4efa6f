"""What all tables of the evidence program share: generators from fixed seeds, and how shares are printed."""

from __future__ import annotations

import numpy as np

SEED = 20261123


def random(*key: int) -> np.random.Generator:
    """A generator of its own for each table and cell, so that no cell depends on another."""
    return np.random.default_rng((SEED, *key))


def percent(share: float) -> str:
    if share == 0:
        return "0"
    return f"{100 * share:.{3 if share < 0.001 else 2 if share < 0.01 else 1 if share < 0.995 else 0}f} %"


def bare(share: float) -> str:
    return percent(share).removesuffix(" %")


def error(n: int) -> str:
    """The standard error of a share of 1 % of `n`."""
    return f"{100 * (0.01 * 0.99 / n) ** 0.5:.2g} %"
