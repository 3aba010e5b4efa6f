"""Nights of whole cases: false alarms, launches and slowdowns found, ours beside the peers'. Tables 3 and 4."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import decision_noise as noise
import numpy as np
from decision_cases import Cases, Judged, first, judged
from decision_peers import peers
from decision_rules import INCONCLUSIVE, REGRESSED, Array, Flags
from decision_tables import error, percent, random

from pytest_sgdiff.data import MetricClass
from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.judging.rules.prior import fit_prior

CASES = 30
"""Cases of a night."""
PEER_SHARE = 4
"""Peers, which need no rare events to be told apart, judge the first of so many parts of the nights."""
SLOWDOWNS = (0.02, 0.03, 0.05, 0.10, 0.20)


@dataclass(frozen=True, kw_only=True, slots=True)
class Night:
    """What a rule makes of a suite: nights with a false alarm, metrics with one, launches and inconclusive cases if
    nothing changed, and the share of slowed cases that fail, by slowdown."""

    rule: str
    alarms: float
    per_metric: float
    launches: float
    inconclusive: float
    found: Mapping[float, float]


Draw = Callable[[np.random.Generator, int, float], tuple[Cases, Cases]]
"""(generator, cases, slowdown) -> cases for the shipped rule and for the peers."""


def nights(
    key: int, draw: Draw, count: int, *, slowdowns: Sequence[float], with_peers: bool = True, slack: float = 0.0
) -> list[Night]:
    """Ours first, then the peers, on the same draws (of the unchanged nights on the first of PEER_SHARE parts)."""
    ours, theirs = draw(random(3, key, 0), count * CASES, 0.0)
    slowed = [draw(random(3, key, 1 + i), max(2000, count), s) for i, s in enumerate(slowdowns)]
    rows = [
        night(
            "pytest-sgdiff",
            judged(ours, slack=slack),
            {s: share_of(judged(c[0], slack=slack)) for s, c in zip(slowdowns, slowed, strict=True)},
        )
    ]
    if ours.steps is not None:
        by_sum = {s: share_of(judged(replace(c[0], steps=None))) for s, c in zip(slowdowns, slowed, strict=True)}
        rows.append(night("the sum of the steps, without their core", judged(replace(ours, steps=None)), by_sum))
    part = first(theirs, count // PEER_SHARE * CASES)
    for peer in peers(random(3, key, 99)) if with_peers else ():
        failed, spent, worse = peer.flags(part)
        found = {s: float(peer.flags(c[1])[0].mean()) for s, c in zip(slowdowns, slowed, strict=True)}
        rows.append(
            Night(
                rule=peer.name,
                alarms=alarms(failed),
                per_metric=float(worse.mean()) / (len(part.primary) + len(part.stages) + 1),
                launches=float(spent.mean()),
                inconclusive=0.0,
                found=found,
            )
        )
    return rows


def night(rule: str, result: Judged, found: Mapping[float, float]) -> Night:
    return Night(
        rule=rule,
        alarms=alarms(result.code == REGRESSED),
        per_metric=float(result.worse.mean()) / result.metrics,
        launches=float(result.launches.mean()),
        inconclusive=float((result.code == INCONCLUSIVE).mean()),
        found=found,
    )


def alarms(failed: Flags) -> float:
    return float(failed.reshape(-1, CASES).any(axis=1).mean())


def share_of(result: Judged) -> float:
    return float((result.code == REGRESSED).mean())


def suite(nb: int, cv: float | None, node_sd: float = 0.0) -> Draw:
    def draw(rng: np.random.Generator, n: int, slower: float) -> tuple[Cases, Cases]:
        cases = noise.suite(rng, n, nb, slower, cv=cv, node_sd=node_sd)
        return cases, cases

    return draw


def public(nb: int) -> Draw:
    def draw(rng: np.random.Generator, n: int, slower: float) -> tuple[Cases, Cases]:
        cases = noise.public_nights(rng, n, nb, slower)
        return cases, cases

    return draw


def recorded(nb: int, share: float = noise.PAUSE_SHARE, held: float = 0.0, *, synchronised: bool = True) -> Draw:
    def draw(rng: np.random.Generator, n: int, slower: float) -> tuple[Cases, Cases]:
        return noise.recorded(rng, n, nb, slower, share=share, held=held, synchronised=synchronised)

    return draw


def table(title: str, rows: Sequence[Night]) -> Iterator[str]:
    found = list(rows[0].found)
    yield f"   {title}"
    yield f"     {'rule':<52} {'nights':>8} {'metrics':>8} {'launches':>8} {'inconcl.':>8}" + "".join(
        f" {f'+{100 * s:.0f} %':>7}" for s in found
    )
    for row in rows:
        alarms = f"{percent(row.alarms):>8} {percent(row.per_metric):>8}"
        cells = "".join(f" {percent(row.found[s]):>7}" for s in found)
        yield f"     {row.rule:<52} {alarms} {row.launches:>8.2f} {percent(row.inconclusive):>8}{cells}"


def fitted(title: str, key: tuple[int, ...], draw: Draw, count: int, slower: float) -> Iterator[str]:
    """Suites judged with the prior that their own baselines show, one by one."""
    alarms, launches, inconclusive, found = [], [], [], []
    for index in range(count):
        rng = random(4, *key[:1], index, *key[1:])
        still, slow = (draw(rng, CASES, s)[0] for s in (0.0, slower))
        result = []
        for cases in (still, slow):
            stages = np.concatenate([b for b, _ in cases.stages.values()])
            steadiest = next(iter(cases.judged.values()))[0]
            baselines: dict[MetricClass, Array] = {"primary": steadiest, "stage": stages, "memory": cases.memory[0]}
            priors = {
                kind: fit_prior([[float(v) for v in row] for row in b], cv0=CLASS_MARGINS[kind].cv0)
                for kind, b in baselines.items()
            }
            result.append(judged(cases, priors=priors))
        alarms.append(bool((result[0].code == REGRESSED).any()))
        launches.append(result[0].launches.mean())
        inconclusive.append((result[0].code == INCONCLUSIVE).mean())
        found.append(share_of(result[1]))
    yield (
        f"     {title}, prior fitted to the suite's {CASES} baselines ({count} nights): "
        f"{percent(float(np.mean(alarms)))} of nights, {np.mean(launches):.2f} launches, "
        f"{percent(float(np.mean(inconclusive)))} inconclusive, "
        f"+{100 * slower:.0f} % found {percent(float(np.mean(found)))}"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Nights:
    """The scenarios of tables 3 and 4."""

    uniform: list[Night]
    realistic: list[Night]
    uniform_ten: list[Night]
    public_ten: list[Night]
    recorded: list[Night]
    recorded_ten: list[Night]
    held: list[Night]
    held_ten: list[Night]
    text: list[str]


def simulate_nights(count: int) -> Nights:
    """Tables 3 and 4, and the figures that the claims rest on."""
    part = count // PEER_SHARE
    uniform = nights(1, suite(5, 0.01), count, slowdowns=SLOWDOWNS)
    realistic = nights(2, suite(5, None), count, slowdowns=SLOWDOWNS)
    beside = partial(nights, slowdowns=SLOWDOWNS)
    alone = partial(beside, with_peers=False)
    uniform_ten = alone(18, suite(10, 0.01), count)
    public_ten = beside(17, public(10), count)
    text = [
        f"3. {count} nights ({part} for peers) of {CASES} cases x 5 metrics: nights with a false alarm,",
        "   metrics with one, launches per unchanged case, unchanged cases left inconclusive; slowed cases that fail.",
        f"   Standard error at 1 %: {error(count)} of our nights, {error(part)} of the peers', and of slowed cases",
        f"   {error(max(2000, count))}.",
        *table("every CV 1 %, baseline of 5", uniform),
        *table("realistic mixture, baseline of 5", realistic),
        *table("realistic mixture, baseline of 10", beside(3, suite(10, None), count)),
        *table("realistic mixture, baseline of 3", beside(4, suite(3, None), count)),
        *table("nights of the public history, baseline of 5", beside(16, public(5), count)),
        *table("nights of the public history, baseline of 10", public_ten),
        *table("every CV 1 %, baseline of 10", uniform_ten),
        *table("another node (offset sd 1 %, at most 2 %), no slack", alone(5, suite(5, None, 0.01), count)),
        *table("another node, slack of 2 %", alone(5, suite(5, None, 0.01), count, slack=0.02)),
        *table("every CV 2 %, baseline of 5", alone(6, suite(5, 0.02), count)),
        *table("every CV 2 %, baseline of 10", alone(7, suite(10, 0.02), count)),
        *fitted("CV 2 %, nb 5", (5,), suite(5, 0.02), max(20, count // 20), 0.05),
        *fitted("realistic mixture, nb 5", (5, 1), suite(5, None), max(20, count // 20), 0.05),
    ]
    sizes = (0.02, 0.03, 0.05, 0.07, 0.10, 0.20)
    five = nights(8, recorded(5), count, slowdowns=sizes)
    ten = nights(9, recorded(10), count, slowdowns=sizes)
    rare = nights(10, recorded(5, 2 / 14), count, slowdowns=sizes)
    never = nights(11, recorded(5, 0.0), count, slowdowns=sizes)
    held = [nights(12 + i, recorded(nb, 0.0, noise.HELD_SHARE), count, slowdowns=sizes) for i, nb in enumerate((5, 10))]
    moved = nights(14, recorded(5, 2 / 14, synchronised=False), count, slowdowns=sizes)
    text += [
        f"4. {count} nights ({count // PEER_SHARE} for peers) of {CASES} cases like the recorded one: 1.1 s, steps CV",
        "   0.3..0.8 %, stages CV 12 %, pauses of 430..600 ms outside the steps",
        *table("pauses in 5 of 14 launches, baseline of 5", five),
        *table("the same without taking pauses apart", [_whole(count)]),
        *table("pauses in 5 of 14 launches, baseline of 10", ten),
        *table("pauses in 2 of 14 launches, baseline of 5", rare),
        *table("no pauses, baseline of 5", never),
        *table("unsynchronised stage timers and first steps, pauses in 2 of 14 launches, baseline of 5", moved),
        *table("no pauses, the host holds up 7 of 16 launches, baseline of 5", held[0]),
        *table("no pauses, the host holds up 7 of 16 launches, baseline of 10", held[1]),
        *fitted("nb 10", (10, 2), recorded(10, 0.0, noise.HELD_SHARE), max(20, count // 20), 0.10),
        *what_else_is_caught(4000),
    ]
    return Nights(
        uniform=uniform,
        realistic=realistic,
        uniform_ten=uniform_ten,
        public_ten=public_ten,
        recorded=five,
        recorded_ten=ten,
        held=held[0],
        held_ten=held[1],
        text=text,
    )


def _whole(count: int) -> Night:
    """The moderated rule on denoise and e2e as the dump has them, pauses included."""
    draw = recorded(5)
    still = judged(draw(random(3, 8, 0), count * CASES, 0.0)[1])
    slowed = judged(draw(random(3, 8, 3), 4000, 0.07)[1])
    return night("moderated rule on denoise and e2e as dumped", still, {0.07: share_of(slowed)})


def what_else_is_caught(n: int) -> Iterator[str]:
    yield "   what else is caught: share of cases failed"
    columns = ("450 ms in every launch", "1 s in every launch", "decoding +60 ms")
    yield f"     {'baseline':>8} {'pauses':>8}" + "".join(f" {column:>24}" for column in columns)
    for nb in (5, 10, 20):
        for share in (0.0, 2 / 14, 5 / 14):
            failed = []
            for i, (every, decode_ms) in enumerate(((450.0, 0.0), (1000.0, 0.0), (0.0, 60.0))):
                rng = random(7, nb, i)
                cases, _ = noise.recorded(rng, n, nb, 0.0, share=share, every=every, decode_ms=decode_ms)
                failed.append(percent(share_of(judged(cases))))
            yield f"     {nb:>8} {percent(share):>8}" + "".join(f" {cell:>24}" for cell in failed)
