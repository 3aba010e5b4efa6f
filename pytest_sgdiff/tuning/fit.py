"""What launches say of the times of variants: a centre for each, how sure it is, and how often launches are held up.

The model is log(ms) = variant + round + noise, and now and then a hold-up, which only ever makes a launch slower.

- *Noise* differs from variant to variant. Few launches cannot show their own variance, so it is moderated twice: that
  of all variants by what is expected of any engine, and that of each variant by that of all (Smyth 2004,
  doi:10.2202/1544-6115.1027).
- *Rounds* take out what drifts for all variants alike. They are random effects, so a variant that sat out some rounds
  is compared by all it has (the mixed model equations of Henderson 1975, doi:10.2307/2529430).
- *Held-up* launches, those far beyond the quickest of their variant, have no part in its centre. They show how often it
  happens and by how much, and so how likely all launches of a variant were held up: the one thing that a quick
  centre of the others cannot rule out.
- *Even* launches, those that visibly lost next to nothing (`tuning.lost`), were hardly ever held up. An uneven one has
  no part in a centre beside a quicker even one, and does not show by itself that its variant is slow. What is learnt
  of each kind is learnt apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.judging.estimator import NOISE
from pytest_sgdiff.judging.rules.prior import FLOOR, WEIGHT_CAP, Prior
from pytest_sgdiff.judging.rules.three_way import moderated, quantile

Kind = Literal["unknown", "even", "uneven"]
"""What a launch shows of being held up."""
KINDS: tuple[Kind, ...] = ("unknown", "even", "uneven")
HELD = 3.5
"""A launch is held up that is so many standard deviations of a difference slower than its variant's quickest. Of normal
noise two launches differ by so much once in 2000 times, and the slowest and the quickest of ten in 2 of 100."""
EVEN = 0.005
"""A launch is even that visibly lost no more than this share of its time."""
HELD_SHARE: Mapping[Kind, float] = {"unknown": 0.22, "even": 0.05, "uneven": 0.7}
"""What is believed of the share of launches of each kind that are held up before any is seen. Recorded: on one host 7
of 16, on another hardly any (docs/decision-evidence.md); of even ones 2 in 43, of uneven ones most (`tuning.lost`)."""
HELD_WEIGHT = 1.0
"""How many launches that is worth. Little: hosts differ."""
LATE, PAUSED = 0.06, 0.6
"""By how much launches are held up (of the logarithm), before any is seen: half of them by a late CPU, by so much on
average, and half by pauses, hardly by more than so much. On recorded hosts: 2 to 12 %, and 37 to 54 % in requests of a
second. Of a launch that shows what it lost, the first holds of what it lost beyond that."""
HELD_SIZE_WEIGHT = 1.0
"""How many held-up launches that is worth: those of one host are of one kind."""
DRIFT_WEIGHT = 4.0
"""How many rounds the prior of the drift between them is worth."""
LONGEST = 5.0
"""No launch is held up by more (of the logarithm): to 150 times its time."""
MOST_LOST = 0.95
"""No launch loses a larger share of its time."""
LEAST_FREEDOM = 4.0
"""Degrees of freedom of a variance that contradicts what is believed: it is large already for being so."""
SWEEPS = 30
"""Of the Gauss-Seidel iteration, which is at rest long before."""
PASSES = 12
"""Times that held-up launches are sought anew with the noise that the others show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """The logarithm of one launch's time, the round that it was in, and the share of its time that it visibly lost
    (0 to 1; None where it does not show that)."""

    log: float
    round: int
    lost: float | None = None

    @property
    def kind(self) -> Kind:
        if self.lost is None:
            return "unknown"
        return "even" if self.lost <= EVEN else "uneven"

    @property
    def lost_log(self) -> float:
        """What it visibly lost, of the logarithm."""
        return -math.log1p(-min(self.lost or 0.0, MOST_LOST))


@dataclass(frozen=True, kw_only=True, slots=True)
class Centre:
    """A variant's centre (log ms) from the launches `used`, which nothing held up as far as is known, by round, of
    `launches` in all. `sd` is its noise between launches, with `freedom` degrees of freedom."""

    log: float
    rounds: Mapping[int, int]
    used: tuple[Sample, ...]
    launches: int
    sd: float
    freedom: float

    @property
    def quick(self) -> int:
        """How many launches are used."""
        return len(self.used)


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldUps:
    """What is known of launches of one kind: how many could have been seen to be held up (`spare`), and by how much
    those were that had been (of the logarithm, beyond what they visibly lost), the smallest first."""

    spare: int = 0
    sizes: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The log ratio of two centres, its standard error, and the degrees of freedom of that."""

    log: float
    error: float
    freedom: float

    def margin(self, p: float) -> float:
        """Half the width of a one-sided interval that is wrong with probability `p`."""
        return quantile(p, self.freedom) * self.error


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The centres of all variants that have a launch. `unsure` is the variance that is left of each round's effect, and
    `hold_ups` what is known of launches of each kind."""

    centres: Mapping[str, Centre]
    unsure: Mapping[int, float]
    hold_ups: Mapping[Kind, HoldUps]

    def difference(self, slow: str, fast: str) -> Difference:
        """By how much the centre of `slow` lies above that of `fast`."""
        a, b = self.centres[slow], self.centres[fast]
        parts = [(one.sd**2 / one.quick, one.freedom) for one in (a, b)]
        variance = sum(part for part, _ in parts)
        freedom = variance**2 / sum(part**2 / nu for part, nu in parts)
        for k in {*a.rounds, *b.rounds}:
            share = a.rounds.get(k, 0) / a.quick - b.rounds.get(k, 0) / b.quick
            variance += share**2 * self.unsure[k]
        return Difference(log=a.log - b.log, error=math.sqrt(variance), freedom=freedom)

    def all_held(self, variant: str, true_log: float) -> float:
        """The chance that launches like these of a variant whose true centre is `true_log` were all held up so far:
        that of the share of held-up launches (beta-binomial, for each kind), times that of such a hold-up."""
        centre = self.centres[variant]
        beyond = max(0.0, centre.log - true_log)
        # All are held up alike: the one that shows most says how likely that is.
        chance = min(self._so_far(one, beyond) for one in centre.used)
        for kind in KINDS:
            known = self.hold_ups[kind]
            for i in range(sum(one.kind == kind for one in centre.used)):
                chance *= (HELD_SHARE[kind] * HELD_WEIGHT + len(known.sizes) + i) / (HELD_WEIGHT + known.spare + i)
        return min(1.0, chance)

    def _so_far(self, one: Sample, beyond: float) -> float:
        """The chance that a launch that is held up is so by at least so much (of the logarithm)."""
        sizes = self.hold_ups[one.kind].sizes
        more = max(0.0, beyond - one.lost_log)
        late, paused = math.exp(-more / LATE), math.exp(-((more / PAUSED) ** 4))
        usual = (late + paused) / 2 if one.lost is None else late
        return (HELD_SIZE_WEIGHT * usual + sum(size >= more for size in sizes)) / (HELD_SIZE_WEIGHT + len(sizes))

    def held_by(self, variant: str, chance: float) -> float:
        """By how much (of the logarithm) all launches of a variant may have been held up, with at least `chance`."""
        log = self.centres[variant].log
        least, most = 0.0, LONGEST
        if self.all_held(variant, log) <= chance:
            return 0.0
        while most - least > 1e-4:
            middle = (least + most) / 2
            if self.all_held(variant, log - middle) > chance:
                least = middle
            else:
                most = middle
        return most


def fit(samples: Mapping[str, Sequence[Sample]], prior: Prior) -> Fit:
    """The model fitted to the launches of each variant; a variant without launches is left out.

    `prior` has the noise between launches (`cv0`, that of primary metrics where it is None, and its `weight`) and the
    drift between rounds (`session_cv`).
    """
    s0 = NOISE["primary"].cv if prior.cv0 is None else prior.cv0
    launched = {name: list(own) for name, own in samples.items() if own}
    effects = {one.round: 0.0 for own in launched.values() for one in own}
    expected = max(prior.session_cv, FLOOR) ** 2
    noise, drift = s0, expected
    quick = launched
    for _ in range(PASSES):
        found = {name: _quick(own, effects, HELD * math.sqrt(2) * noise) for name, own in launched.items()}
        effects, unsure = _rounds(found, sorted(effects), noise**2, drift)
        squares, freedom = _scatter(found, effects, unsure, drift)
        moved = math.fsum(effects[k] ** 2 + unsure[k] for k in sorted(effects))
        drift = (DRIFT_WEIGHT * expected + moved) / (DRIFT_WEIGHT + len(effects))
        variance, of_all = _moderated(squares, freedom, s0, prior.weight)
        now = max(math.sqrt(variance), FLOOR)
        if found == quick and math.isclose(now, noise, rel_tol=1e-6):
            break
        quick, noise = found, now
    centres = {}
    for name, own in quick.items():
        values = [one.log - effects[one.round] for one in own]
        log = math.fsum(values) / len(values)
        squares = math.fsum((value - log) ** 2 for value in values)
        variance, nu = _moderated(squares, len(values) - 1, noise, min(of_all, WEIGHT_CAP))
        rounds: dict[int, int] = {}
        for one in own:
            rounds[one.round] = rounds.get(one.round, 0) + 1
        centres[name] = Centre(
            log=log,
            rounds=rounds,
            used=tuple(own),
            launches=len(launched[name]),
            sd=max(math.sqrt(variance), FLOOR),
            freedom=nu,
        )
    hold_ups = {kind: _hold_ups(launched, quick, effects, centres, kind) for kind in KINDS}
    return Fit(centres=centres, unsure=unsure, hold_ups=hold_ups)


def _hold_ups(
    launched: Mapping[str, Sequence[Sample]],
    quick: Mapping[str, Sequence[Sample]],
    effects: Mapping[int, float],
    centres: Mapping[str, Centre],
    kind: Kind,
) -> HoldUps:
    """What the launches show of those of one kind. The quickest of a variant cannot be seen to be held up."""
    spare, sizes = 0, []
    for name, own in launched.items():
        quickest = min(own, key=lambda one: one.log - effects[one.round])
        others = [one for one in own if one is not quickest and one.kind == kind]
        spare += len(others)
        beyond = [
            one.log - effects[one.round] - centres[name].log - one.lost_log for one in others if one not in quick[name]
        ]
        sizes += [max(0.0, size) for size in beyond]
    return HoldUps(spare=spare, sizes=tuple(sorted(sizes)))


def _moderated(squares: float, freedom: int, s0: float, weight: float) -> tuple[float, float]:
    """Variance and degrees of freedom, as the rule has them; but two launches that vary more than is believed are not
    left without any belief, for then a variant would need many more."""
    variance, found = moderated(squares, freedom, s0, weight)
    return variance, max(found, LEAST_FREEDOM)


def _quick(own: Sequence[Sample], effects: Mapping[int, float], most: float) -> list[Sample]:
    """The launches of a variant that nothing held up, as far as is known."""
    times = [one.log - effects[one.round] for one in own]
    even = [time for one, time in zip(own, times, strict=True) if one.kind == "even"]
    limit = min(times) + most
    # An even launch may be held up, too: one that is slower than an uneven one by more than noise was.
    calm = min([time for time in even if time <= limit], default=math.inf)
    return [
        one
        for one, time in zip(own, times, strict=True)
        if time <= limit and not (one.kind == "uneven" and time > calm)
    ]


def _rounds(
    quick: Mapping[str, Sequence[Sample]], numbers: Sequence[int], noise: float, drift: float
) -> tuple[dict[int, float], dict[int, float]]:
    """The effect of each round and the variance left of it, from the variances of launches and of rounds."""
    at: dict[int, list[tuple[str, float]]] = {k: [] for k in numbers}
    for name, own in quick.items():
        for one in own:
            at[one.round].append((name, one.log))
    effects = dict.fromkeys(numbers, 0.0)
    # A variant of one launch says nothing of its round.
    shared = {k: [(name, log) for name, log in at[k] if len(quick[name]) > 1] for k in effects}
    if len(effects) > 1:
        for _ in range(SWEEPS):
            means = {
                name: math.fsum(one.log - effects[one.round] for one in own) / len(own)
                for name, own in quick.items()
                if len(own) > 1
            }
            effects = {
                k: math.fsum(log - means[name] for name, log in own) / (len(own) + noise / drift) if own else 0.0
                for k, own in shared.items()
            }
    return effects, {k: 1 / (1 / drift + len(own) / noise) for k, own in shared.items()}


def _scatter(
    quick: Mapping[str, Sequence[Sample]], effects: Mapping[int, float], unsure: Mapping[int, float], drift: float
) -> tuple[float, int]:
    """The squares of all launches around their centres, and their degrees of freedom less those that rounds take."""
    squares = 0.0
    for own in quick.values():
        values = [one.log - effects[one.round] for one in own]
        mean = math.fsum(values) / len(values)
        squares += math.fsum((value - mean) ** 2 for value in values)
    spare = sum(len(own) - 1 for own in quick.values())
    taken = sum(1 - unsure[k] / drift for k in sorted(effects))
    freedom = max(0, spare - round(taken * (1 - 1 / len(effects)))) if effects else 0
    return squares, freedom
