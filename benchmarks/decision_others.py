"""The rules that other tools use, over arrays, a draw per row."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from decision_rules import Array, Flags, rank_p
from scipy.special import stdtr, stdtrit

Rule = Callable[[Array, Array], Flags]
"""Baseline (N, nb) and candidate (N, n) of one metric -> flagged as slower."""


def within(relative: float, absolute: float, *, recorded: int | None = 1) -> Rule:
    """Fixed tolerance: SGLang's max(expected x (1 + rel), expected + abs) on one launch against one recorded launch,
    or against the mean of the baseline (`recorded` None) as pytest-benchmark's `mean:5%`."""

    def flags(b: Array, c: Array) -> Flags:
        expected = b[:, 0] if recorded == 1 else b.mean(axis=1)
        return c[:, 0] > np.maximum(expected * (1 + relative), expected + absolute)

    return flags


def welch(alpha: float) -> Rule:
    """One-sided Welch test."""

    def flags(b: Array, c: Array) -> Flags:
        vb, vc = b.var(axis=1, ddof=1) / b.shape[1], c.var(axis=1, ddof=1) / c.shape[1]
        freedom = (vb + vc) ** 2 / (vb**2 / (b.shape[1] - 1) + vc**2 / (c.shape[1] - 1))
        return stdtr(freedom, -(c.mean(axis=1) - b.mean(axis=1)) / np.sqrt(vb + vc)) < alpha

    return flags


def mann_whitney(alpha: float) -> Rule:
    """Two-sided exact Mann-Whitney at `alpha`, slower in the mean: Google Benchmark's and benchstat's test."""

    def flags(b: Array, c: Array) -> Flags:
        return (2 * rank_p(b, c) < alpha) & (np.median(c, axis=1) > np.median(b, axis=1))

    return flags


def asv(b: Array, c: Array) -> Flags:
    """asv: factor 1.1 and p < 0.002, or disjoint 99 % intervals where no p of that size exists."""
    nb, nc = b.shape[1], c.shape[1]
    if 2 / math.comb(nb + nc, nc) < 0.002:
        different = 2 * rank_p(b, c) < 0.002
    else:
        low = c.mean(axis=1) + stdtrit(nc - 1, 0.005) * c.std(axis=1, ddof=1) / math.sqrt(nc)
        different = low > b.mean(axis=1) - stdtrit(nb - 1, 0.005) * b.std(axis=1, ddof=1) / math.sqrt(nb)
    return different & (np.median(c, axis=1) > 1.1 * np.median(b, axis=1))


def paired_t(alpha: float) -> Rule:
    """One-sided paired t-test on log ratios."""

    def flags(b: Array, c: Array) -> Flags:
        pairs = np.log(c) - np.log(b)
        n = pairs.shape[1]
        return stdtr(n - 1, -pairs.mean(axis=1) * math.sqrt(n) / pairs.std(axis=1, ddof=1)) < alpha

    return flags


def bootstrap(rng: np.random.Generator, resamples: int = 1000) -> Rule:
    """criterion.rs on launches: 95 % bootstrap interval of the change in the mean wholly beyond 1 %."""

    def weights(launches: int) -> Array:
        """How often each launch is in each resample, as shares: (launches, resamples)."""
        return rng.multinomial(launches, np.full(launches, 1 / launches), resamples).T / launches

    def flags(b: Array, c: Array) -> Flags:
        out = np.zeros(len(b), dtype=bool)
        # Draws of one block share their resamples, which are independent of all of them.
        for start in range(0, len(b), 1000):
            x, y = b[start : start + 1000], c[start : start + 1000]
            changes = (y @ weights(y.shape[1])) / (x @ weights(x.shape[1]))
            # Resamples that change by 1 % at most are not a fortieth: the 2.5 % quantile lies beyond 1 %.
            out[start : start + 1000] = (changes <= 1.01).mean(axis=1) < 0.025
        return out

    return flags
