"""The rule: is the candidate slower than the baseline by more than noise and by enough to matter.

One number per launch on the log scale; a moderated two-sample t-test against two margins, of which the inner one
(`allow`) must be exceeded surely before anything fails and the outer one (`detect`) be ruled out before it passes.
docs/decision-evidence.md tells why each part is there and what it buys; the constants are those of the simulation
reported there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import Decision, Finding, MetricClass, Outcome
from pytest_sgdiff.judging.estimator import NOISE, Noise, clipped, logs, near
from pytest_sgdiff.judging.estimator import median as median_of
from pytest_sgdiff.judging.rules.prior import DEFAULT, Prior
from pytest_sgdiff.judging.rules.protocol import Margins
from pytest_sgdiff.judging.rules.ranks import level, rank_p
from pytest_sgdiff.judging.rules.resolution import minimum_detectable
from pytest_sgdiff.judging.rules.sample import floored, growth, invalid, screened
from pytest_sgdiff.judging.rules.three_way import (
    ALPHA,
    BETA,
    GROSS,
    GROSS_LAUNCHES,
    MATERIAL,
    NODE_SLACK,
    Estimate,
    Evidence,
    as_ratio,
    bounds,
    centred,
    decided,
    moderated,
)

BASELINE_LAUNCHES = 3
"""With fewer baseline launches nothing passes, and nothing fails but a slowdown beyond SMALL_BASELINE."""
SMALL_BASELINE = 0.25
TOLERANT = 10
"""Baseline launches from which one slower than every candidate launch does not keep ranks from confirming."""


def _margins(
    kind: MetricClass, *, allow: float, detect: float, allow_abs: float, detect_abs: float, zeros: bool = False
) -> Margins:
    noise = NOISE[kind]
    return Margins(
        allow=allow,
        detect=detect,
        allow_abs=allow_abs,
        detect_abs=detect_abs,
        cv0=noise.cv,
        noise_abs=noise.floor,
        zeros=zeros,
    )


CLASS_MARGINS: Mapping[MetricClass, Margins] = {
    "primary": _margins("primary", allow=0.012, detect=0.042, allow_abs=2, detect_abs=5),
    "stage": _margins("stage", allow=0.12, detect=0.20, allow_abs=15, detect_abs=20, zeros=True),
    "memory": _margins("memory", allow=0.01, detect=0.03, allow_abs=32, detect_abs=128),
    # Pauses have a rule of their own (rules/pause.py): `allow` is a share of the whole request.
    "pause": _margins("pause", allow=0.04, detect=0.04, allow_abs=20, detect_abs=20, zeros=True),
}
"""Margins by metric class; absolute ones in ms, for memory in MiB. Source: docs/decision-evidence.md, "Margins"."""


class ModeratedRule:
    """The rule of decision for one metric; `prior` is what the suite's other cases say of its noise."""

    name = "moderated"

    def __init__(self, prior: Prior = DEFAULT) -> None:
        self.prior = prior

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """Judge the candidate's launches against the baseline's, all given at once as one look."""
        unusable = screened(baseline, candidate, margins)
        if unusable is not None:
            return unusable
        b, c = [v for v in baseline if v is not None], [v for v in candidate if v is not None]
        too_small = floored(b, c, margins, enough=len(b) >= BASELINE_LAUNCHES)
        if too_small is not None:
            return too_small
        lo, hi = bounds(statistics.median(b), margins, same_node=same_node)
        if len(b) < BASELINE_LAUNCHES:
            return _small_baseline(b, c, lo, self.estimate(b, c, margins))
        e = self.estimate(b, c, margins)
        evidence = Evidence(
            count=len(c),
            factor=min(c) / max(b),
            faster=max(c) < min(b),
            tolerant=TOLERANT if len(b) < TOLERANT else None,
            in_order=lambda: rank_p(b, c) <= level(len(b), len(c)),
        )
        decision = decided(e, lo, hi, evidence, detect=margins.detect)
        return decision if same_node else replace(decision, finding=replace(decision.finding, slack=NODE_SLACK))

    def estimate(self, b: Sequence[float], c: Sequence[float], margins: Margins) -> Estimate:
        """Moderated two-sample estimate from positive values."""
        s0 = self._s0(statistics.median(b), margins)
        lb, lc = clipped(logs(b), s0), clipped(logs(c), s0)
        mb, mc = statistics.fmean(lb), statistics.fmean(lc)
        squares = sum((x - mb) ** 2 for x in lb) + sum((x - mc) ** 2 for x in lc)
        variance, freedom = moderated(squares, len(b) + len(c) - 2, s0, self.prior.weight)
        error = math.sqrt(variance * (1 / len(b) + 1 / len(c)) + 2 * self.prior.session_cv**2)
        return Estimate(shift=mc - mb, centre=near(mb, median_of(b)), error=error, freedom=freedom)

    def detectable(
        self,
        baseline: Sequence[float | None],
        margins: Margins,
        *,
        looks: Sequence[int],
        secondary: bool = False,
        same_node: bool = True,
    ) -> float | None:
        """The slowdown (a fraction) that is regressed in 95 of 100 gates with these checkpoints, of this metric alone.

        From the baseline (`minimum_detectable`): right on average over baselines, whatever the noise. None for fewer
        than three launches, for values that are none, below the absolute floor, and for checkpoints of fewer than
        GROSS_LAUNCHES. `same_node`: they run on GPUs that the baseline knows, which is what a recording can promise.
        `secondary`: the metric holds up no pass but where its figure lies beyond `detect`, as a stage's.
        """
        if len(baseline) < BASELINE_LAUNCHES or invalid(baseline, zeros=False):
            return None
        b = [v for v in baseline if v is not None]
        if max(b) <= margins.allow_abs:
            return None
        median = statistics.median(b)
        lo, hi = bounds(median, margins, same_node=same_node)
        return minimum_detectable(
            logs(b),
            lo=lo,
            hi=hi,
            s0=self._s0(median, margins),
            prior=self.prior,
            looks=looks,
            gross=max(GROSS, margins.detect),
            secondary=secondary,
        )

    def _s0(self, median: float, margins: Margins) -> float:
        cv0 = margins.cv0 if self.prior.cv0 is None else self.prior.cv0
        return Noise(cv=cv0, floor=margins.noise_abs).at(median)


class FewLaunchesRule(ModeratedRule):
    """The rule for two sides of which one has a launch or two, as people have them at hand; no gate rests on it.

    What ModeratedRule decides stands, but for `improved`. Of what it leaves open the prior, in place of a spread that
    so few launches cannot show, says by how much launches differ anyway (`size` of the finding), and whether these
    differ by more. That is no slower engine yet, for hosts hold up single launches: recorded launches of one engine
    differ by up to 1.8 times on a GPU, and by five on busy CPUs.

    `steady` is for what no host holds up, memory: there one launch passes or fails.
    """

    name = "few-launches"

    def __init__(self, prior: Prior = DEFAULT, *, steady: bool = False) -> None:
        super().__init__(prior)
        self.steady = steady

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """As ModeratedRule where both sides have GROSS_LAUNCHES; `suspect` for what is slower by more than noise."""
        decision = super().decide(baseline, candidate, margins, same_node=same_node)
        if screened(baseline, candidate, margins) is not None or min(len(baseline), len(candidate)) >= GROSS_LAUNCHES:
            return decision
        if decision.outcome == "improved":
            excluded = Finding(code="ruled-out", size=decision.excluded, slack=decision.finding.slack)
            return replace(decision, outcome="pass", finding=excluded)
        b, c = [v for v in baseline if v is not None], [v for v in candidate if v is not None]
        small = floored(b, c, margins, enough=True)
        if decision.outcome != "inconclusive" or small is not None:
            return small or decision
        lo, hi = bounds(statistics.median(b), margins, same_node=same_node)
        e = self.estimate(b, c, margins)
        noise = max(e.margin(ALPHA), lo + e.margin(MATERIAL))
        beyond = abs(e.shift) > noise
        found = Finding(
            code="few-launches-beyond" if beyond else "few-launches",
            size=growth(noise),
            count=len(c),
            of=len(b),
            slack=0.0 if same_node else NODE_SLACK,
        )
        outcome: Outcome = "inconclusive"
        if self.steady and e.shift > noise:
            outcome, found = "regressed", replace(found, code="few-launches-slower")
        elif self.steady and e.shift + e.margin(BETA) < hi:
            outcome, found = "pass", replace(found, code="ruled-out", size=growth(e.shift + e.margin(BETA)))
        return Decision(
            outcome=outcome,
            finding=found,
            **centred(e),
            low=as_ratio(e.shift - e.margin(0.025)),
            high=as_ratio(e.shift + e.margin(0.025)),
            excluded=found.size if outcome == "pass" else None,
            suspect=outcome == "inconclusive" and e.shift > noise,
        )


def _small_baseline(b: Sequence[float], c: Sequence[float], lo: float, e: Estimate) -> Decision:
    """One or two baseline launches: never enough to pass, enough to fail only what no noise explains.

    `lo` holds here as everywhere: 3 ms more of a stage of 10 ms are 30 %, and matter to nobody.
    """
    factor = min(c) / max(b)
    if len(c) >= GROSS_LAUNCHES and factor > 1 + SMALL_BASELINE and math.log(factor) > lo:
        found = Finding(code="small-baseline-gross", size=SMALL_BASELINE, of=len(b))
        return Decision(outcome="regressed", finding=found, **centred(e))
    found = Finding(code="small-baseline", of=len(b), needed=BASELINE_LAUNCHES)
    return Decision(outcome="inconclusive", finding=found, **centred(e))
