"""What the denoising steps took beyond their core: now and then is noise of the host, in every launch is a slowdown.

Hosts hold up steps of single launches, and the core of the steps is judged without that. What was held up is judged
here by how *often* it comes, as pauses are: one launch without it acquits a rare hold-up. What every launch has
convicts if the whole that it is a part of is slower by the rule for means as well, so that a slow segment, slow first
steps or one slow step in each launch weigh what they weigh in the sum, or if it is long. The whole is the sum of the
steps, or the request, or both: what the case gates, with what it allows of each.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sgdiff.data import Decision, Finding, FindingCode
from pytest_sgdiff.judging.rules.pause import MOST_OF, RECUR_LAUNCHES, RECUR_P, longer, tolerated
from pytest_sgdiff.judging.rules.protocol import Margins, Rule
from pytest_sgdiff.judging.rules.sample import screened
from pytest_sgdiff.step_core import Core, Cores

LEAST, LEAST_MS = 0.012, 2.0
"""A launch is held up if its excess is larger than those of the baseline by this: a share of the steps' sum, and ms."""
COMMON = 0.8
"""Share of what every launch takes longer that must lie in the same steps of all, where launches are few."""
ALIKE = 0.15
"""Standard deviation of the logarithms of excesses that are of one kind; those of a host differ by 0.5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Whole:
    """What the excess is a part of, ms per launch, and the `margins` of it: the sum of the steps, or the request."""

    then: tuple[float | None, ...]
    now: tuple[float | None, ...]
    margins: Margins

    @property
    def allowed_ms(self) -> float:
        """How many ms more it may take."""
        known = [value for value in self.then if value is not None]
        return max(self.margins.allow * statistics.median(known), self.margins.allow_abs) if known else 0.0


class ExcessRule:
    """Judges the excess (ms per launch) beside the `cores` that it is the rest of; `rule` judges the `wholes` that both
    are part of, one at least, each by its own margins."""

    name = "excess"

    def __init__(self, cores: Cores, wholes: Sequence[Whole], rule: Rule) -> None:
        self.cores = cores
        self.wholes = tuple(wholes)
        self.rule = rule

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """`pass` where every whole passes, or as soon as one candidate launch is not held up for longer than the
        baseline's are; that is suspect where most are.

        `regressed` only where every launch is, and a whole is regressed, or each of five launches or more is longer
        than those of the baseline by `allow_abs` of `margins` and by what a whole is allowed. Where launches are too
        few to say how rare that is, a slowdown must show in the same steps of all of them, or by as much in each.
        """
        unusable = screened(baseline, candidate, margins)
        if unusable is not None:
            return unusable
        b, c = ([v for v in side if v is not None] for side in (baseline, candidate))
        then, now = self.cores.then, self.cores.now
        was, is_now = ([launch.core + launch.excess for launch in side] for side in (then, now))
        usual = sorted(b)[-1 - tolerated(len(b), max(len(c), RECUR_LAUNCHES))]
        # A case that allows much allows it to the whole: what is a hold-up does not hang on that.
        share = min(LEAST, *(whole.margins.allow for whole in self.wholes))
        fixed = min(LEAST_MS, *(whole.margins.allow_abs for whole in self.wholes))
        least = max(share * statistics.median(was), fixed)
        held = [launch for launch in now if launch.excess > usual + least]
        wholes = [self.rule.decide(whole.then, whole.now, whole.margins, same_node=same_node) for whole in self.wholes]
        if len(held) < len(c) or all(whole.outcome in ("pass", "improved") for whole in wholes):
            many = len(c) >= MOST_OF and 2 * len(held) > len(c)
            return Decision(
                outcome="pass", finding=self._found("held-up" if held else "no-hold-up", held, b), suspect=many
            )
        matters = max(margins.allow_abs, min(whole.allowed_ms for whole in self.wholes))
        long = min(c) > usual + longer(usual, matters) and min(is_now) > max(was)
        slower = any(whole.outcome == "regressed" for whole in wholes)
        if (slower or (long and min(len(b), len(c)) >= RECUR_LAUNCHES)) and self._systematic(b, c, usual):
            return Decision(outcome="regressed", finding=self._found("held-up-always", held, b))
        suspect = long or slower or any(whole.suspect for whole in wholes)
        return Decision(outcome="inconclusive", finding=self._found("held-up-unconfirmed", held, b), suspect=suspect)

    def _systematic(self, b: Sequence[float], c: Sequence[float], usual: float) -> bool:
        """Whether hold-ups of all launches in a row do not explain what every one has."""
        if math.comb(len(b) + len(c), len(c)) * RECUR_P >= 1:
            return True
        if self.cores.common >= COMMON * (min(c) - usual):
            return True
        # Every one is longer than those of the baseline.
        sizes = [math.log(v - min(b)) for v in c]
        return len(sizes) > 1 and statistics.stdev(sizes) <= ALIKE

    def _found(self, code: FindingCode, held: Sequence[Core], b: Sequence[float]) -> Finding:
        """The launches that are held up, what their steps take then, and what else: which steps every launch has."""
        if not held:
            return Finding(code=code, of=len(self.cores.now))
        low = [launch.low for launch in held if launch.low is not None]
        high = [launch.high for launch in held if launch.high is not None]
        least = min(launch.excess for launch in held) - LEAST_MS
        # What steps of these launches take where nothing holds them up: all of them may be slower than the baseline's.
        calm = statistics.fmean(launch.core / len(launch.profile) for launch in held)
        always = code != "held-up" and bool(self.cores.lasting)
        return Finding(
            code=code,
            count=len(held),
            of=len(self.cores.now),
            paused=sum(v >= least for v in b),
            shortest=min(low, default=None),
            longest=max(high, default=None),
            usual=calm,
            needed=None if code != "held-up-unconfirmed" else RECUR_LAUNCHES,
            first=self.cores.lasting[0] if always else None,
            last=self.cores.lasting[-1] if always else None,
        )
