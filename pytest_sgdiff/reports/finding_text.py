"""The words for a `Finding`: why a metric's outcome is what it is. The one place that has them.

Nothing reads these sentences back: what hangs on a finding hangs on its `code`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.data import ComparisonCode, Finding, FindingCode, MetricClass, Verdict
from pytest_sgdiff.reports import figures, numbers

BASELINE, BASE_ENGINE = "the baseline", "the base engine"
OLD, NEW = "OLD", "NEW"
"""The two sides of `sgdiff compare`, as its help names them."""

_WORSE = {"memory": "growth", "pause": "longer pauses"}
_MORE_LESS = {"memory": ("more", "less"), "pause": ("longer", "shorter")}


def why(verdict: Verdict, *, paired: bool = False) -> str:
    """Why the verdict is what it is, in one line; `paired` names the base engine of an A/B run in place of a baseline,
    of which nothing is recorded."""
    found = words(verdict.finding, verdict.metric_class, unit=verdict.unit, paired=paired)
    return f"{found}, net of pauses" if verdict.net else found


def words(f: Finding, kind: MetricClass, *, unit: str = "", paired: bool = False, base: str = "") -> str:
    """A finding about a metric of the class `kind` in one line. `unit` is that of its sizes, by default the usual one
    of the class. `base` is what the old side is called, by default the baseline, and of pairs the base engine."""
    base = base or (BASE_ENGINE if paired else BASELINE)
    found = _WORDS[f.code](_Say(f, kind, unit=unit, paired=paired, base=base))
    if not f.slack:
        return found
    return f"{found}; on a GPU or host that {base} does not know, both margins {figures.precision(f.slack)} wider"


class _Say:
    """A finding beside the words that depend on the metric's class and on what it is compared with."""

    def __init__(self, finding: Finding, kind: MetricClass, *, unit: str, paired: bool, base: str) -> None:
        self.f = finding
        self.base = base
        self.paired = paired
        self.more, self.less = _MORE_LESS.get(kind, ("slower", "faster"))
        self.worse = _WORSE.get(kind, "slowdowns")
        self.unit = unit or ("MiB" if kind == "memory" else "ms")

    @property
    def allow(self) -> str:
        return figures.precision(self.f.allow)

    @property
    def allowed(self) -> str:
        """`4 % allowed`: the slowdown that is accepted."""
        return f"{self.allow} allowed"

    @property
    def size(self) -> str:
        return size(self.f.size or 0.0)

    @property
    def longest(self) -> str:
        return figures.fixed(self.f.longest or 0.0, 0)

    @property
    def floor(self) -> str:
        return f"below the absolute floor of {self.f.floor:g} {self.unit}"

    @property
    def beyond(self) -> str:
        """`4 % slower`: the size that a pass must rule out."""
        return f"{figures.precision(self.f.detect)} {self.more}"

    @property
    def candidate(self) -> str:
        return "pairs" if self.f.pairs else "launches"

    def change(self, fraction: float | None) -> str:
        """`5.3 % slower`, `2 % faster`, `no change`."""
        if fraction is None:
            return f"{self.more} by any amount"
        if size(fraction) == "0 %":
            return "no change"
        return f"{size(fraction)} {self.more if fraction > 0 else self.less}"

    def anew(self, launches: int) -> str:
        """The fix of too small a baseline; a base engine is launched anew in every run."""
        return "" if self.paired else f": record {self.base} again with {launches}"

    @property
    def tolerance(self) -> str:
        """`10 % and 120 ms`."""
        return figures.measured(self.f.allow or 0.0) + (f" and {self.f.floor:g} {self.unit}" if self.f.floor else "")

    @property
    def pauses(self) -> str:
        f = self.f
        many = f"{f.count} of {f.count} launches pause for {figures.fixed(f.shortest or 0.0, 0)} ms or more"
        mine = f"the first launch pauses for {figures.fixed(f.shortest or 0.0, 0)} ms" if f.count == 1 else many
        return f"{mine}, {f.paused or 'none'} of {self.base}'s {f.of} did"

    @property
    def steps(self) -> str:
        """` (steps took 53 to 82 ms instead of 50)`; empty where no single step stands out."""
        f = self.f
        if f.shortest is None or f.longest is None or f.usual is None:
            return ""
        low, high = figures.fixed(f.shortest, 0), figures.fixed(f.longest, 0)
        took = f"{low} to {high} ms" if low != high else f"{low} ms"
        return f" (steps took {took} instead of {figures.fixed(f.usual, 0)})"

    @property
    def where(self) -> str:
        """` in steps 13 to 19`; empty where it is in other steps each time."""
        f = self.f
        if f.first is None or f.last is None:
            return ""
        return f" in step {f.first}" if f.first == f.last else f" in steps {f.first} to {f.last}"


def size(fraction: float) -> str:
    """A slowdown or growth as it was measured: `5.3 %`."""
    return figures.measured(abs(fraction))


def _bad_values(s: _Say) -> str:
    side = s.base if s.f.baseline else "the candidate"
    return f"missing or invalid in {s.f.count} of {side}'s {_launches(s.f.of)}"


def _ruled_out(s: _Say) -> str:
    some = s.f.size is None or s.f.size > 0
    return f"{s.worse} above {figures.precision(s.f.size)} ruled out" if some else f"all {s.worse} ruled out"


def _interval(s: _Say) -> str:
    low, high = s.change(s.f.low), s.change(s.f.high)
    return f"between {low} and {high}: {s.beyond} is not ruled out, nor is more than {s.allow} proven"


def _out_of_order(s: _Say) -> str:
    if s.f.pairs:
        return f"{s.change(s.f.size)}, but not in every pair, from outliers or two modes"
    help_ = s.anew(s.f.needed) if s.f.needed else ""
    return f"{s.change(s.f.size)}, but launches overlap, from an outlier or two modes{help_}"


def _checkpoints(s: _Say) -> str:
    then, now = (" and ".join(names) for names in (s.f.then, s.f.now))
    return f"read from another checkpoint: {then} in {s.base}, {now} now"


def against(count: int, of: int) -> str:
    """`one launch against one`, `2 launches against 5`: the new side's first."""
    many = [str(n) if n > 1 else "one" for n in (count, of)]
    return f"{many[0]} launch{'es' if count > 1 else ''} against {many[1]}"


def _beyond_noise(s: _Say) -> str:
    fewest = min(s.f.count or 0, s.f.of or 0)
    held_up = "one launch" if fewest == 1 else f"{fewest} launches"
    return f"more than noise explains ({_noise(s)}), but {held_up} may be held up"


def _noise(s: _Say) -> str:
    if s.f.size is None or s.f.size > 1:
        return "launches may differ by more than 100 %"
    return f"launches usually differ by up to about {size(s.f.size)}"


def _pause(s: _Say) -> str:
    return "pauses" if s.f.count == 1 else "pause"


def _one_sided(s: _Say) -> str:
    side = OLD if s.f.baseline else NEW
    if s.f.of == 1:
        return f"a pause of {s.longest} ms is in {side} only: one launch cannot show whether it is typical"
    return (
        f"{s.f.count} of {s.f.of} launches of {side} {_pause(s)}, for up to {s.longest} ms, and none of the other side"
    )


def _launches(count: int | None) -> str:
    return numbers.plural(count or 0, "launch")


def _held(s: _Say) -> str:
    return "the first launch takes longer" if s.f.of == 1 else f"every one of {_launches(s.f.of)} takes longer"


def _host(s: _Say) -> str:
    """What shows it, and what helps."""
    f = s.f
    seen = [] if f.busy is None else [f"the GPU was busy for {figures.precision(f.busy)} of the time at most"]
    seen += [] if f.clock is None else [f"at {figures.precision(f.clock)} of its full clock"]
    shown = f" ({', '.join(seen)})" if seen else ""
    return (
        f"the host decides, not the GPU: launches differ by {s.size} (CV) even in steps of "
        f"{figures.fixed(f.usual or 0.0, 0)} ms that nothing holds up{shown}: make the case larger, "
        "or give the engine CPUs of its own"
    )


def _pauses_small(s: _Say) -> str:
    return s.pauses + (s.anew(s.f.needed) + " launches or more" if s.f.needed and not s.paired else "")


_WORDS: Mapping[FindingCode | ComparisonCode, Callable[[_Say], str]] = {
    "no-baseline": lambda s: "no baseline: record one with --sgdiff-update",
    "no-values": lambda s: "missing or invalid: no launch gave a value",
    "bad-values": _bad_values,
    "stage-gone": lambda s: f"missing: {s.base} has it, none of {_launches(s.f.of)} does",
    "stage-unknown": lambda s: f"neither {s.base} nor any launch has it: check the name in the case",
    "other-checkpoint": _checkpoints,
    "first-recording": lambda s: "recorded for the first time",
    "not-comparable": lambda s: "not comparable",
    "below-floor": lambda s: s.floor,
    "below-floor-unconfirmed": lambda s: f"{s.floor}, in too few launches to pass",
    "zero-values": lambda s: "missing or invalid: zero among values above the floor",
    "ruled-out": _ruled_out,
    "faster": lambda s: f"at least {s.change(s.f.size)}",
    "undecided": lambda s: f"{s.beyond} is not ruled out yet, nor is more than {s.allow} proven",
    "interval-undecided": _interval,
    "unconfirmed": lambda s: f"needs confirmation by {s.f.needed} {s.candidate}",
    "gross": lambda s: f"{s.allowed}; every launch beyond every one of {s.base} by {s.size} or more",
    "beyond-allow": lambda s: s.allowed,
    "out-of-order": _out_of_order,
    "small-baseline": lambda s: (
        f"{s.base} has {numbers.plural(s.f.of or 0, 'launch')}, the rule needs at least {s.f.needed}"
    ),
    "small-baseline-gross": lambda s: (
        f"every launch is more than {s.size} {s.more} than the slowest of {s.base}'s {s.f.of}"
    ),
    "few-pairs": lambda s: f"{s.f.count} of at least {numbers.plural(s.f.needed or 0, 'pair')}",
    "no-pause": lambda s: "no launch pauses",
    "rare-pauses": lambda s: (
        f"{s.f.count} of {_launches(s.f.of)} {_pause(s)}, for up to {s.longest} ms: rare pauses are noise"
    ),
    "pauses": lambda s: s.pauses,
    "pauses-unconfirmed": lambda s: f"{s.pauses}: {s.f.needed} launches distinguish a rare pause from a new one",
    "pauses-small-baseline": _pauses_small,
    "extreme-pauses": lambda s: (
        f"{s.f.count} of {_launches(s.f.of)} {_pause(s)} for longer than the whole request takes: no rare pause"
    ),
    "no-hold-up": lambda s: "no launch is held up",
    "held-up": lambda s: f"held up in {s.f.count} of {_launches(s.f.of)}{s.steps}",
    "held-up-always": lambda s: f"every one of {_launches(s.f.of)} takes longer{s.where}{s.steps}",
    "held-up-unconfirmed": lambda s: (
        f"{_held(s)}{s.where}{s.steps}: {s.f.needed} launches distinguish a rare hold-up from a slowdown"
    ),
    "host-decides": _host,
    "few-launches": _noise,
    "few-launches-beyond": _beyond_noise,
    "few-launches-slower": lambda s: f"more than noise explains ({_noise(s)})",
    "pauses-alike": lambda s: f"no launch pauses for longer than the others ({s.longest} ms at most)",
    "pause-on-one-side": _one_sided,
    "pauses-on-both-sides": lambda s: (
        f"{s.f.paused} of {_launches(s.f.of)} of {OLD} and {s.f.count} of {NEW} pause, for up to {s.longest} ms: "
        "too few to show how often each does"
    ),
    "change-is-a-pause": lambda s: (
        f"{s.longest} ms of the difference lie outside the steps and stages: too few launches to show whether it stays"
    ),
    "old-only": lambda s: f"only in {OLD}",
    "new-only": lambda s: f"only in {NEW}",
    "by-its-steps": lambda s: "its steps and its pause are judged instead",
    "other-figure": lambda s: "informational",
    "tolerance-within": lambda s: f"within upstream's tolerance of {s.tolerance}",
    "tolerance-beyond": lambda s: f"beyond upstream's tolerance of {s.tolerance}",
    "no-tolerance": lambda s: "upstream has no tolerance for it",
    "reference-zero": lambda s: "the reference is zero",
    "reference-shows": lambda s: "a reference without a stated tolerance only shows the difference",
    "reference-within": lambda s: f"within the tolerance of {s.allow}; one published number cannot pass a case",
    "reference-overlaps": lambda s: (
        f"not in every launch beyond the tolerance of {s.allow}; one published number cannot pass a case"
    ),
    "reference-beyond": lambda s: (
        f"{'the one launch' if s.f.count == 1 else f'all {s.f.count} launches'} beyond the tolerance of {s.allow} that "
        "the case states"
    ),
}
