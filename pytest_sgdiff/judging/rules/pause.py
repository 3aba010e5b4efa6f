"""Time that a launch spends outside its stages and steps: rarely is noise, always is a slowdown.

Real launches hold rare pauses of 440 to 550 ms (5 of 14 synchronised, 2 of 14 unsynchronised launches on one H200,
the GPU idle meanwhile). Against a mean they hide a slowdown or fake one; so the request is judged net of them, and
what they took is judged here, by how *often* and not by how much: a change that pauses every launch shows in every
launch, and no rare event does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.judging.rules.protocol import Margins
from pytest_sgdiff.judging.rules.sample import screened

RECUR_LAUNCHES = 5
"""Candidate launches that must all pause, at least; `confirming` says how many."""
MOST_OF = 3
"""Launches of which most can be said to pause."""
LENGTHS = 0.25
"""How much longer than the baseline's a pause may be and count as one of the same kind; recorded ones differ by a
tenth (CV)."""
RECUR_P = 0.001
"""Chance, without any change, that all candidate launches pause while so few of the baseline's do."""
NONE_P = 0.002
"""The same where none of the baseline's does. However often launches pause, 30 such cases then have a false alarm in at
most 0.9 % of nights (p^7 (1 - p)^5 is 0.03 % at most); with 5 against 5 it were 2.9 %."""


class PauseRule:
    """Judges milliseconds per launch, zero included, on an absolute scale: `allow_abs` is the pause that matters."""

    name = "pause"

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """`pass` as soon as one candidate launch pauses no longer than the baseline's do, unless most pause for longer
        than `extreme_abs` and the baseline's do not: those are not what comes and goes. A pass is suspect where most
        launches pause, or one for as long as that.

        `regressed` only when each of five launches or more (`confirming`) pauses longer, by `allow_abs` and by
        LENGTHS, than all baseline launches but the few (`tolerated`) that may have paused by chance.
        """
        unusable = screened(baseline, candidate, margins)
        if unusable is not None:
            return unusable
        b, c = sorted(v for v in baseline if v is not None), [v for v in candidate if v is not None]
        if len(b) < BASELINE_LAUNCHES:
            few = Finding(code="small-baseline", of=len(b), needed=BASELINE_LAUNCHES)
            return Decision(outcome="inconclusive", finding=few)
        usual = b[-1 - tolerated(len(b), max(len(c), RECUR_LAUNCHES))]
        if min(c) <= usual + longer(usual, margins.allow_abs):
            if _most(c, margins.extreme_abs) and not _most(b, margins.extreme_abs):
                extreme = sum(v > margins.extreme_abs for v in c)
                standing = Finding(code="extreme-pauses", count=extreme, of=len(c), longest=max(c))
                return Decision(outcome="inconclusive", finding=standing, suspect=True)
            above = b[0] + margins.allow_abs
            notable = max(c) > margins.extreme_abs or (len(c) >= MOST_OF and _most(c, above))
            return Decision(outcome="pass", finding=_acquitted(c, above), suspect=notable)
        paused = sum(v >= min(c) - margins.allow_abs for v in b)
        found = Finding(code="pauses", count=len(c), shortest=min(c), paused=paused, of=len(b))
        needed = confirming(len(b))
        if len(c) < needed:
            unconfirmed = replace(found, code="pauses-unconfirmed", needed=needed)
            return Decision(outcome="inconclusive", finding=unconfirmed)
        if len(b) < RECUR_LAUNCHES:
            small = replace(found, code="pauses-small-baseline", needed=RECUR_LAUNCHES)
            return Decision(outcome="inconclusive", finding=small, suspect=True)
        return Decision(outcome="regressed", finding=found)


class FewLaunchesPauseRule(PauseRule):
    """The rule where the baseline has a launch or two: it says on which side a pause is, and fails nothing."""

    name = "few-pauses"

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """`pass` where no launch of either side pauses for longer than the others, else `inconclusive`."""
        unusable = screened(baseline, candidate, margins)
        if unusable is not None:
            return unusable
        b, c = [v for v in baseline if v is not None], [v for v in candidate if v is not None]
        if len(b) >= BASELINE_LAUNCHES:
            return super().decide(baseline, candidate, margins, same_node=same_node)
        shortest = min(*b, *c)
        usual = shortest + longer(shortest, margins.allow_abs)
        if max(*b, *c) <= usual:
            return Decision(outcome="pass", finding=Finding(code="pauses-alike", longest=max(*b, *c)))
        then, now = ([v for v in side if v > usual] for side in (b, c))
        if then and now:
            both = Finding(
                code="pauses-on-both-sides", longest=max(*then, *now), paused=len(then), of=len(b), count=len(now)
            )
            return Decision(outcome="inconclusive", finding=both)
        paused, side = (then, b) if then else (now, c)
        one = Finding(
            code="pause-on-one-side", baseline=bool(then), longest=max(paused), count=len(paused), of=len(side)
        )
        return Decision(outcome="inconclusive", finding=one)


def tolerated(nb: int, nc: int) -> int:
    """How many of `nb` baseline launches may pause as long as all `nc` candidate launches do and still count as chance.

    Exceedance test: with no change, the chance that at most k baseline launches reach the shortest candidate launch
    is C(nc + k, k) / C(nb + nc, nc). None (0) where even k = 0 cannot reach RECUR_P, as with five launches each.
    """
    k = 0
    while k + 1 < nb and math.comb(nc + k + 1, k + 1) / math.comb(nb + nc, nc) <= RECUR_P:
        k += 1
    return k


def confirming(nb: int) -> int:
    """How many candidate launches must all pause where none of `nb` baseline launches does.

    Seven against five, six against six, five against seven or more: C(nb + nc, nc) is 1 / NONE_P or more then. A
    smaller baseline confirms nothing, however many launches pause.
    """
    nc = RECUR_LAUNCHES
    while nb >= RECUR_LAUNCHES and math.comb(nb + nc, nc) * NONE_P < 1:
        nc += 1
    return nc


def longer(usual: float, allow_abs: float) -> float:
    """How many milliseconds more than `usual` are another kind of pause."""
    return max(allow_abs, LENGTHS * usual)


def _most(values: Sequence[float], above: float) -> bool:
    return 2 * sum(v > above for v in values) > len(values)


def _acquitted(c: Sequence[float], usual: float) -> Finding:
    if max(c) <= usual:
        return Finding(code="no-pause")
    return Finding(code="rare-pauses", count=sum(v > usual for v in c), of=len(c), longest=max(c))
