"""A/B pairs: which rule finds most, and how many pairs a slowdown takes. Table 5."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import decision_noise as noise
import numpy as np
from decision_core import simulated
from decision_others import Rule, bootstrap, mann_whitney, paired_t, welch
from decision_rules import IMPROVED, INCONCLUSIVE, PASS, REGRESSED, Array, Codes, excess, moderated, paired
from decision_tables import bare, error, percent, random

from pytest_sgdiff.judging.rules import CLASS_MARGINS, Margins, Prior
from pytest_sgdiff.runner.ab import PAIR_LOOKS

PRIMARY = CLASS_MARGINS["primary"]
PAIR_SIZES = (0.0, 0.03, 0.05)
HELD_PAIRS = (5, 8, 10, 12, 15, 20, 30, 40, 60)


def pairs(n: int) -> Iterator[str]:
    yield "5. A/B pairs, taken in turn on the same GPUs; both sides of a pair share what drifts from pair to pair"
    yield "   a) regressed in % at +0 / +3 / +5 %, and unchanged pairs passed in %, by the number of pairs"
    counts = (3, 5, 8)
    yield f"     {'CV':>6} {'drift':>6} {'rule':<36}" + "".join(f" {f'{count} pairs':>24}" for count in counts)
    rules = pair_rules(random(5, 99))
    for cv, drift in ((0.005, 0.0), (0.005, 0.01), (0.01, 0.0), (0.01, 0.01)):
        by_rule: dict[str, list[str]] = {name: [] for name in rules}
        for count in counts:
            rngs = [random(5, round(1e4 * cv), round(1e4 * drift), count, i) for i in range(len(PAIR_SIZES))]
            draws = [_pairs(rng, n, count, cv, s, drift) for rng, s in zip(rngs, PAIR_SIZES, strict=True)]
            for name, rule in rules.items():
                codes = [rule(*draw) for draw in draws]
                found = " / ".join(bare(float((code == REGRESSED).mean())) for code in codes)
                by_rule[name].append(f"{found}  {100 * (codes[0] == PASS).mean():3.0f}")
        for name, told in by_rule.items():
            yield f"     {percent(cv):>6} {percent(drift):>6} {name:<36}" + "".join(f" {cell:>24}" for cell in told)
    yield f"     {n} draws each (standard error at 1 %: {error(n)})"
    yield "   b) pairs until 95 % of slowdowns are found by the paired rule, one look at that number of pairs"
    yield f"     {'CV':>6} {'slowdown':>9} {'allow':>6} {'pairs':>6}"
    for cv in (0.003, 0.005, 0.008, 0.01):
        for slower, allow in ((0.05, PRIMARY.allow), (0.03, PRIMARY.allow), (0.03, 0.005), (0.02, 0.005)):
            margins = replace(PRIMARY, allow=allow, detect=PRIMARY.detect - PRIMARY.allow + allow)
            needed = _needed(cv, slower, margins, n)
            sizes = f"{percent(slower):>9} {percent(allow):>6}"
            yield f"     {percent(cv):>6} {sizes} {needed:>6}"

    checkpoints = ", ".join(map(str, PAIR_LOOKS))
    yield f"   c) as shipped, checkpoints at {checkpoints} pairs: regressed / pass in % and pairs taken"
    yield f"     {'launches':>30} {'allow':>6}" + "".join(f" {f'+{100 * s:.0f} %':>18}" for s in PAIR_SIZES)
    kinds: Mapping[str, tuple[noise.Family, float]] = {
        **{f"CV {percent(cv)}": (noise.clean, cv) for cv in (0.003, 0.005, 0.008, 0.01)},
        "host holds up 7 of 16": (noise.held_up, 0.01),
    }
    for row, (name, (family, cv)) in enumerate(kinds.items()):
        for allow in (PRIMARY.allow, 0.005):
            margins = replace(PRIMARY, allow=allow, detect=PRIMARY.detect - PRIMARY.allow + allow)
            cells = []
            for i, slower in enumerate(PAIR_SIZES):
                rng = random(9, row, i)
                b, c = (1e4 * family(rng, 2 * n, PAIR_LOOKS[-1], cv) for _ in range(2))
                cells.append(f" {_ab(b, (1 + slower) * c, margins):>18}")
            yield f"     {name:>30} {percent(allow):>6}" + "".join(cells)

    yield "   d) the same where the host holds up 7 of 16 launches that keep their steps: 3 % slowdowns, allow 0.5 %"
    yield f"     {'judged by':<28}" + "".join(f" {f'{count} pairs':>9}" for count in HELD_PAIRS) + f" {'95 % from':>10}"
    margins = PRIMARY.allowing(0.005)
    for size in (0.03, 0.0):
        for by_core in (False, True):
            shares = {count: _held_pairs(count, size, margins, n // 2, by_core=by_core) for count in HELD_PAIRS}
            enough = next((str(count) for count, share in shares.items() if share >= 0.95), f"> {HELD_PAIRS[-1]}")
            by = f"{'core and excess' if by_core else 'the sum of the steps'}, +{100 * size:.0f} %"
            found = "".join(f" {percent(share):>9}" for share in shares.values())
            yield f"     {by:<28}{found} {enough if size else '':>10}"


def _held_pairs(count: int, slower: float, margins: Margins, n: int, *, by_core: bool) -> float:
    """The share of pairs that regress, one look at that number of them."""
    rng = random(11, count, round(1e3 * slower))
    calm = [1024 * factor * noise.clean(rng, n, count, 0.0055) for factor in (1.0, 1 + slower)]
    held = [noise.held_by(rng, (n, count), noise.HELD_SHARE) for _ in calm]
    found = simulated(rng, (calm[0], calm[1]), (held[0], held[1]))
    if not by_core:
        then, now = (core + beyond for core, beyond in zip(found.core, found.excess, strict=True))
        return float((paired(then, now, margins).code == REGRESSED).mean())
    pause = CLASS_MARGINS["pause"]
    long = np.maximum(pause.allow_abs, pause.allow * np.median(found.core[0], axis=1))
    parts = (
        paired(*found.core, margins),
        excess(found.core, found.excess, margins, long, found.rests, by_pairs=True),
    )
    return float(np.logical_or.reduce([part.code == REGRESSED for part in parts]).mean())


def pair_rules(rng: np.random.Generator) -> Mapping[str, Callable[[Array, Array], Codes]]:
    """Rules for pairs by name: ours, what it could have been, and what others would say of the same launches."""
    three_way: Mapping[str, Callable[[Array, Array], Codes]] = {
        "pytest-sgdiff: paired": lambda b, c: paired(b, c, PRIMARY).code,
        "unpaired, no session term": lambda b, c: moderated(b, c, PRIMARY, prior=Prior(session_cv=0.0)).code,
        "paired, no prior": lambda b, c: paired(b, c, PRIMARY, prior=Prior(weight=1e-9)).code,
    }
    two_way: Mapping[str, Rule] = {
        "paired t 0.05": paired_t(0.05),
        "paired t 1e-4": paired_t(1e-4),
        "Welch 0.05": welch(0.05),
        "Mann-Whitney 0.05 (Google Benchmark)": mann_whitney(0.05),
        "bootstrap beyond 1 % (criterion.rs)": bootstrap(rng),
    }

    def verdict(rule: Rule) -> Callable[[Array, Array], Codes]:
        return lambda b, c: np.where(rule(b, c), REGRESSED, PASS).astype(np.int8)

    return {**three_way, **{name: verdict(rule) for name, rule in two_way.items()}}


def _ab(b: Array, c: Array, margins: Margins) -> str:
    code, taken, todo = np.full(len(b), INCONCLUSIVE, dtype=np.int8), np.zeros(len(b)), np.arange(len(b))
    for look in PAIR_LOOKS:
        taken[todo] = look
        code[todo] = paired(b[todo, :look], c[todo, :look], margins).code
        todo = todo[code[todo] == INCONCLUSIVE]
    passed = ((code == PASS) | (code == IMPROVED)).mean()
    return f"{100 * (code == REGRESSED).mean():.2f} / {100 * passed:.0f}, {taken.mean():.1f}"


def _pairs(rng: np.random.Generator, n: int, count: int, cv: float, slower: float, drift: float) -> tuple[Array, Array]:
    shared = 1e4 * np.exp(np.cumsum(drift * rng.standard_normal((n, count)), axis=1))
    return shared * noise.clean(rng, n, count, cv), (1 + slower) * shared * noise.clean(rng, n, count, cv)


def _needed(cv: float, slower: float, margins: Margins, n: int) -> str:
    for count in range(5, 41):
        b, c = _pairs(random(6, round(1e4 * cv), round(1e4 * slower), count), n // 2, count, cv, slower, 0.01)
        if (paired(b, c, margins).code == REGRESSED).mean() >= 0.95:
            return str(count)
    return ">40"
