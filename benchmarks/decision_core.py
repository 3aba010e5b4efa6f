"""The steps of simulated launches, and their cores over arrays, a draw per row.

`tests/unit/test_rules_vectorised.py` holds the cores to `pytest_sgdiff.step_core` launch by launch. The steps follow 38
recorded launches of one request on three H200s (tests/data/h200_host_launches.json, h200_fifth_host_launches.json and
the bundled recordings).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from decision_rules import INCONCLUSIVE, REGRESSED, Array, Codes, excess, moderated
from decision_tables import percent, random

from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.step_core import DISTURBED, QUANTILE, SPARE

DATA = Path(__file__).parents[1] / "tests" / "data"
PROFILE = np.array([0.955, 0.975, *[0.995] * 14, 1.01, 1.045, 1.03, 1.015])
"""What the 20 steps take beside each other: the first two less, the last four more."""
STEP_CV = 0.01
"""Noise of single steps that nothing holds up."""
THROUGHOUT = 1 / 12
"""Share of the launches that are held up in nearly all of their steps."""
SPREAD = 0.015
"""By how much the core rises at most in a launch that is held up in some of its steps."""
ROWS = 4000
"""Draws at a time: steps of all of them would not fit into the cache."""

Sides = tuple[Array, Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cores:
    """Core, excess and the part of it that held up launches, in ms: baseline (N, nb), candidate (N, n). `rests` is what
    each step of the candidate took beyond its core (N, n, steps)."""

    core: Sides
    excess: Sides
    held: Sides
    rests: Array


def simulated(rng: np.random.Generator, calm: Sides, factors: Sides) -> Cores:
    """Cores of launches whose steps sum up to `calm` ms without, and to `factors` times as much with what holds them
    up."""
    parts = []
    for start in range(0, len(calm[0]), ROWS):
        rows = slice(start, start + ROWS)
        parts.append(cores(*(steps(rng, c[rows], f[rows]) for c, f in zip(calm, factors, strict=True))))

    def joined(name: str) -> Sides:
        then, now = (np.concatenate([getattr(part, name)[side] for part in parts]) for side in (0, 1))
        return then, now

    rests = np.concatenate([part.rests for part in parts])
    return Cores(core=joined("core"), excess=joined("excess"), held=joined("held"), rests=rests)


def steps(rng: np.random.Generator, calm: Array, factor: Array) -> Array:
    """The steps of launches, (N, launches, steps). A launch that is held up is so in a stretch of 4 to 15 of its steps,
    in other places each time, or, one in twelve, in nearly all of them."""
    n, count = len(PROFILE), calm.shape
    noise = PROFILE * np.exp(STEP_CV * rng.standard_normal((*count, n)))
    usual = calm[:, :, None] * noise / noise.sum(axis=2, keepdims=True)
    added = (factor - 1) * calm
    length = np.where(rng.random(count) < THROUGHOUT, n - 2, rng.integers(4, 16, count))
    first = rng.integers(0, n - length + 1)
    at = np.arange(n)
    stretch = (at >= first[:, :, None]) & (at < (first + length)[:, :, None])
    # All steps of such a launch take a little longer, those of the stretch the rest of it.
    spread = np.minimum(added, rng.uniform(0, SPREAD, count) * calm)
    weights = np.where(stretch, rng.uniform(0.5, 1.5, (*count, n)), 0.0)
    weights = weights / weights.sum(axis=2, keepdims=True)
    return usual * (1 + (spread / calm)[:, :, None]) + (added - spread)[:, :, None] * weights


def cores(then: Array, now: Array) -> Cores:
    """`pytest_sgdiff.step_core.cores` over arrays, of launches with one segment."""
    two = np.partition(then, 1, axis=1)[:, :2]
    # What each step took at least in the other launches of the baseline.
    others = np.where(then == two[:, :1], two[:, 1:], two[:, :1])
    before = _core(then, others)
    undisturbed = others.mean(axis=1, keepdims=True)
    after = _core(now, undisturbed)
    expected = undisturbed * (after / undisturbed.sum(axis=2))[:, :, None]
    excess = tuple(np.maximum(0.0, side.sum(axis=2) - core) for side, core in ((then, before), (now, after)))
    usual = excess[0].min(axis=1, keepdims=True) + SPARE * np.median(before, axis=1, keepdims=True)
    held = tuple(np.maximum(0.0, side - usual) for side in excess)
    return Cores(core=(before, after), excess=(excess[0], excess[1]), held=(held[0], held[1]), rests=now - expected)


def _core(side: Array, undisturbed: Array) -> Array:
    ratios = side / undisturbed
    calm = ratios <= DISTURBED * np.quantile(ratios, QUANTILE, axis=2)[:, :, None]
    return undisturbed.sum(axis=2) * np.where(calm, ratios, 0.0).sum(axis=2) / calm.sum(axis=2)


# ------------------------------------------------------------------------------------------ draws from real launches

HOSTS = {
    "second host, 16 launches": ("h200_host_launches.json", ("baseline", "gate", "before")),
    "fifth host, 11 launches": ("h200_fifth_host_launches.json", ("baseline", "after_kill", "gate")),
}
SIZES = (0.0, 0.03, 0.05, 0.08)


def real_launches(n: int) -> Iterator[str]:
    """Draws without replacement from the launches of hosts that hold them up: the sum of the steps, and their core."""
    yield "8. Denoising judged on launches drawn from real ones that their host held up: regressed in % at"
    yield f"   {' / '.join(f'+{100 * s:.0f} %' for s in SIZES)}, unchanged left inconclusive, launches if unchanged"
    yield f"     {'launches':<28} {'baseline':>8} {'judged by':<24} {'regressed':>26} {'inconcl.':>9} {'launches':>9}"
    for row, (host, (name, kinds)) in enumerate(HOSTS.items()):
        data = json.loads((DATA / name).read_text(encoding="utf-8"))
        real = np.array([launch["steps_ms"] for kind in kinds for launch in data[kind]])
        for nb in (5, min(10, len(real) - 5)):
            rng = random(10, row, nb)
            order = rng.permuted(np.tile(np.arange(len(real)), (n, 1)), axis=1)
            b, c = real[order[:, :nb]], real[order[:, nb : nb + 5]]
            for by_core in (False, True):
                found, still, used = _judged_draws(b, c, by_core=by_core)
                by = "core and excess" if by_core else "the sum of the steps"
                shares = " / ".join(percent(share).removesuffix(" %") for share in found)
                yield f"     {host:<28} {nb:>8} {by:<24} {shares:>26} {percent(still):>9} {used:>9.2f}"
    yield f"   {n} draws each; launches of both sides of a draw are never the same"


def _judged_draws(b: Array, c: Array, *, by_core: bool) -> tuple[list[float], float, float]:
    found, still, used = [], 0.0, 0.0
    for size in SIZES:
        now = (1 + size) * c
        code, launches = look_by_look((b.sum(axis=2), now.sum(axis=2)), cores(b, now) if by_core else None)
        found.append(float((code == REGRESSED).mean()))
        if not size:
            still, used = float((code == INCONCLUSIVE).mean()), float(launches.mean())
    return found, still, used


def look_by_look(sums: Sides, k: Cores | None) -> tuple[Codes, Array]:
    """Denoising judged by core and excess, or by the sums alone, at 1, 3 and 5 launches: codes, and launches taken."""
    usual, pause = CLASS_MARGINS["primary"], CLASS_MARGINS["pause"]
    code, launches = np.full(len(sums[0]), INCONCLUSIVE, dtype=np.int8), np.zeros(len(sums[0]))
    todo = np.arange(len(code))
    for look in (1, 3, 5):
        launches[todo] = look
        if k is None:
            code[todo] = moderated(sums[0][todo], sums[1][todo, :look], usual).code
        else:
            core, beyond = ((then[todo], now[todo, :look]) for then, now in (k.core, k.excess))
            long = np.maximum(pause.allow_abs, pause.allow * np.median(sums[0][todo], axis=1))
            parts = moderated(*core, usual), excess(core, beyond, usual, long, k.rests[todo, :look])
            code[todo] = np.where(parts[0].settled & parts[1].settled, parts[0].code, INCONCLUSIVE)
            code[todo[(parts[0].code == REGRESSED) | (parts[1].code == REGRESSED)]] = REGRESSED
        todo = todo[code[todo] == INCONCLUSIVE]
    return code, launches
