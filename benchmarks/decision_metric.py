"""One metric: by baseline size, CV and kind of noise, and what its baseline promises. Tables 1, 2 and 6."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import decision_noise as noise
import numpy as np
from decision_cases import LOOKS
from decision_core import look_by_look, simulated
from decision_nights import SLOWDOWNS
from decision_peers import Peer, peers
from decision_rules import IMPROVED, INCONCLUSIVE, PASS, REGRESSED, Array, Codes, Flags, moderated
from decision_tables import bare, error, percent, random
from numpy.typing import NDArray

from pytest_sgdiff.data import MetricClass
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Margins, ModeratedRule


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Shares of draws by outcome, and launches per draw."""

    passed: float
    improved: float
    regressed: float
    inconclusive: float
    launches: float


def one_by_looks(b: Array, c: Array, m: Margins) -> Rates:
    """The moderated rule on one metric, at 1, 3 and 5 launches."""
    code, launches = looks_codes(b, c, m)
    shares = [float((code == outcome).mean()) for outcome in (PASS, IMPROVED, REGRESSED, INCONCLUSIVE)]
    return Rates(
        passed=shares[0],
        improved=shares[1],
        regressed=shares[2],
        inconclusive=shares[3],
        launches=float(launches.mean()),
    )


def looks_codes(b: Array, c: Array, m: Margins, *, secondary: bool = False) -> tuple[Codes, Array]:
    """Outcome codes in the end, and launches taken; `secondary` metrics ask for more only where they are suspect."""
    code, launches = np.full(len(b), INCONCLUSIVE, dtype=np.int8), np.zeros(len(b))
    todo: NDArray[np.int64] = np.arange(len(b))
    for look in LOOKS:
        launches[todo] = look
        found = moderated(b[todo], c[todo, :look], m)
        code[todo] = found.code
        todo = todo[found.suspect if secondary else found.code == INCONCLUSIVE]
    return code, launches


def one(family: noise.Family, rng: np.random.Generator, n: int, nb: int, cv: float, slower: float) -> Rates:
    """`n` draws of a metric of 10 s."""
    b, c = 1e4 * family(rng, n, nb, cv), 1e4 * (1 + slower) * family(rng, n, max(LOOKS), cv)
    return one_by_looks(b, c, CLASS_MARGINS["primary"])


def one_metric(n: int) -> Iterator[str]:
    yield "1. One metric, clean noise, same node"
    yield (
        f"   {'nb':>3} {'CV':>6} {'launches':>8} {'alarm':>8} {'inconcl.':>8}"
        + "".join(f" {f'+{100 * s:.0f} %: P/R/I':>14}" for s in SLOWDOWNS)
        + f" {'-5 % impr.':>10}"
    )
    for nb in (3, 5, 10, 20):
        for cv in (0.003, 0.005, 0.01, 0.015, 0.02, 0.04):
            key = (1, nb, round(1e4 * cv))
            still = one(noise.clean, random(*key, 0), 4 * n, nb, cv, 0.0)
            slowed = [one(noise.clean, random(*key, i + 1), n, nb, cv, s) for i, s in enumerate(SLOWDOWNS)]
            faster = one(noise.clean, random(*key, 9), n, nb, cv, -0.05)
            cells = "".join(f" {_pri(r):>14}" for r in slowed)
            yield (
                f"   {nb:>3} {percent(cv):>6} {still.launches:>8.2f} {percent(still.regressed):>8} "
                f"{percent(still.inconclusive):>8}{cells} {percent(faster.improved):>10}"
            )
    yield f"   P/R/I: pass, regressed, inconclusive in %. {4 * n} draws for alarms, {n} for the rest;"
    yield f"   standard error at 1 %: {error(4 * n)} and {error(n)}"


def other_noise(n: int) -> Iterator[str]:
    yield "2. One metric under other noise, CV 1 %"
    columns = "   ".join(f"{f'nb {nb}: alarm':>12} {'5 % found':>10} {'launches':>9}" for nb in (5, 10))
    yield f"   {'noise':<40} {columns}"
    for row, (name, family) in enumerate(noise.FAMILIES.items()):
        cells = []
        for nb in (5, 10):
            still = one(family, random(2, row, nb, 0), 4 * n, nb, 0.01, 0.0)
            slowed = one(family, random(2, row, nb, 1), n, nb, 0.01, 0.05)
            cells.append(f"{percent(still.regressed):>12} {percent(slowed.regressed):>10} {still.launches:>9.2f}")
        yield f"   {name:<40} {'   '.join(cells)}"
    cells = []
    for nb in (5, 10):
        regressed, launches = _with_steps(random(2, 98, nb, 0), 4 * n, nb, 0.0)
        caught, _ = _with_steps(random(2, 98, nb, 1), n, nb, 0.05)
        cells.append(f"{percent(regressed):>12} {percent(caught):>10} {launches:>9.2f}")
    yield f"   {'the same, by the core of its steps':<40} {'   '.join(cells)}"
    yield f"   {4 * n} draws for alarms (standard error at 1 %: {error(4 * n)}), {n} for the rest ({error(n)})."
    yield from others_under_noise(n)


def _with_steps(rng: np.random.Generator, n: int, nb: int, slower: float) -> tuple[float, float]:
    """The family of hosts that hold up launches, which keep their steps: the share that regresses, and launches."""
    shapes = ((nb, 1.0), (max(LOOKS), 1 + slower))
    calm = [1e4 * factor * noise.clean(rng, n, launches, 0.003) for launches, factor in shapes]
    longer = [noise.held_by(rng, (n, launches), noise.HELD_SHARE) for launches, _ in shapes]
    found = simulated(rng, (calm[0], calm[1]), (longer[0], longer[1]))
    sums = calm[0] * longer[0], calm[1] * longer[1]
    code, launches = look_by_look(sums, found)
    return float((code == REGRESSED).mean()), float(launches.mean())


def others_under_noise(n: int) -> Iterator[str]:
    """Every peer on one metric: what they call a change in unchanged draws, and the 5 % slowdowns that they find."""
    everyone = peers(random(2, 99))
    ours = Peer(name="pytest-sgdiff", launches=5, primary=_by_looks, stage=_by_looks, memory=_by_looks)
    yield f"   The rules of others there, in % of {n} draws each (standard error at 1 %: {error(n)}), nb 5:"
    for number, peer in enumerate((ours, *everyone)):
        yield f"     {chr(97 + number)}: {peer.name}"
    for title, slower, which in (("false alarms", 0.0, 2), ("5 % slowdowns found", 0.05, 3)):
        yield f"   {title:<40}" + "".join(f" {chr(97 + i):>5}" for i in range(len(everyone) + 1))
        for row, (name, family) in enumerate(noise.FAMILIES.items()):
            rng = random(2, row, 5, which)
            b, c = 1e4 * family(rng, n, 5, 0.01), 1e4 * (1 + slower) * family(rng, n, 7, 0.01)
            cells = [bare(float(peer.alone(b, c).mean())) for peer in (ours, *everyone)]
            yield f"   {name:<40}" + "".join(f" {cell:>5}" for cell in cells)


def _by_looks(b: Array, c: Array) -> Flags:
    """The moderated rule at one, three and five launches: what is regressed in the end."""
    return looks_codes(b, c, CLASS_MARGINS["primary"])[0] == REGRESSED


def _pri(r: Rates) -> str:
    return "/".join(f"{100 * x:.0f}" for x in (r.passed, r.regressed, r.inconclusive))


def printed(n: int) -> Iterator[str]:
    yield "6. Minimum detectable slowdown printed from a baseline (median), and share of these that are regressed"
    rows: tuple[tuple[MetricClass, float, Sequence[float]], ...] = (
        ("primary", 1e4, (0.003, 0.005, 0.01, 0.015, 0.02)),
        ("stage", 300.0, (0.01, 0.03, 0.06, 0.12)),
    )
    for kind, centre, cvs in rows:
        yield f"   {kind} metric of {centre:g} ms" + (", alone" if kind == "stage" else "")
        yield f"     {'nb':>4}" + "".join(f" {f'CV {percent(cv)}':>18}" for cv in cvs)
        for nb in (3, 5, 10, 20):
            cells = [_resolution(kind, centre, nb, cv, n) for cv in cvs]
            yield f"     {nb:>4}" + "".join(f" {cell:>18}" for cell in cells)
    error_at_95 = 100 * (0.95 * 0.05 / n) ** 0.5
    yield f"   {n} baselines each, one candidate for each (standard error at 95 %: {error_at_95:.2g} %)"


def _resolution(kind: MetricClass, centre: float, nb: int, cv: float, n: int) -> str:
    margins, stage = CLASS_MARGINS[kind], kind == "stage"
    rng = random(8, nb, round(1e4 * cv), *([1] if stage else []))
    b = centre * noise.clean(rng, n, nb, cv)
    rule = ModeratedRule()
    baselines = [[float(value) for value in row] for row in b]
    sizes = np.array([rule.detectable(row, margins, looks=LOOKS, secondary=stage) for row in baselines])
    c = centre * (1 + sizes[:, None]) * noise.clean(rng, n, 5, cv)
    found = (looks_codes(b, c, margins, secondary=stage)[0] == REGRESSED).mean()
    return f"{percent(float(np.median(sizes)))} ({percent(float(found))})"
