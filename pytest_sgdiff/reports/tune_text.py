"""The words for a search for the fastest flags: its variants, its steps, its ranking. The one place that has them.

A variant is so much *faster* as it takes less time: 13.4 s to 10.9 s is 18 % faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pytest_sgdiff.data import (
    Case,
    DropCode,
    Dropped,
    OtherRequest,
    PruneCode,
    Pruned,
    Quality,
    RequestPart,
    Space,
    Standing,
    TuneCode,
    TuneLaunch,
    TuneStep,
    TuneTrouble,
    TuneTroubleCode,
    Variant,
)
from pytest_sgdiff.quality.noise import accepts_anything
from pytest_sgdiff.reports import metric_text, numbers, problem_text, quality_text
from pytest_sgdiff.tuning.claims import Claim, ClaimCode, ClaimResult, Compared
from pytest_sgdiff.tuning.fit import EVEN
from pytest_sgdiff.tuning.ratios import Ratio, quickest_of, ratio
from pytest_sgdiff.tuning.report import TunedVariant, TuneReport

Shown = Callable[[str], str]
"""How the variant of a name is called, with what must be known of it (`shown_in`)."""

WRITTEN = "the case as it is written"
NOT_COMPARED = "not compared"
SHOWN_PRUNED = 3
"""Variants of a kind that were left out which are named without -v."""


def _plain(name: str) -> str:
    return name


def space(named: str, case: Case, found: Space, others: Sequence[OtherRequest] = ()) -> list[str]:
    """The variants that would be launched, with what they change of the case, and those that would not, with the
    reason. `others` are those that are not the same request."""
    lines = [f"{named}: {numbers.plural(len(found.variants), 'variant')}, {len(found.pruned)} left out"]
    shown = shown_in(found.variants)
    rows = [(shown(one.name), str(one.case.gpus), changes(case, one)) for one in found.variants]
    lines += table([("variant", "GPUs", "changes"), *rows])
    if others:
        lines += ["", other_requests(others, shown)]
    if found.pruned:
        lines += ["", "left out:", *(pruned(one, shown) for one in found.pruned)]
    return lines


def shown_in(variants: Iterable[Variant | TunedVariant]) -> Shown:
    """How variants are called: a lossy one never without saying so. A name that none of them has stays as it is."""
    names = {one.name: _marked(one.name, lossy=one.lossy) for one in variants}
    return lambda name: names.get(name, name)


def _marked(name: str, *, lossy: bool) -> str:
    return f"{name} (lossy)" if lossy else name


def other_requests(others: Sequence[OtherRequest], shown: Shown = _plain) -> str:
    """`not the same request as the first variant, …: b (steps, size); c (prompt)`."""
    told = "; ".join(f"{shown(one.variant)} ({', '.join(_PARTS[part] for part in one.parts)})" for one in others)
    return f"not the same request as {WRITTEN}, so that times compare requests, and not settings alone: {told}"


_PARTS: Mapping[RequestPart, str] = {
    "model": "another model",
    "prompt": "another prompt",
    "inputs": "other inputs",
    "size": "another size",
    "frames": "other frames",
    "steps": "other steps",
    "outputs": "other outputs",
    "guidance": "other guidance",
    "seed": "another seed",
}


def changes(before: Case, one: Variant) -> str:
    """What a variant changes in the case as it is written: `--enable-torch-compile, without --tp-size`."""
    after = one.case
    told = [
        _flag(name, after.args.get(name))
        for name in dict.fromkeys((*after.args, *before.args))
        if after.args.get(name) != before.args.get(name)
    ]
    told += [
        f"{name}={after.env[name]}" if name in after.env else f"without {name}"
        for name in dict.fromkeys((*after.env, *before.env))
        if after.env.get(name) != before.env.get(name)
    ]
    told += ["another config file"] if after.config != before.config else []
    told += [f"model {after.model}"] if after.model != before.model else []
    return ", ".join(told) or WRITTEN


def sources(one: Variant) -> str:
    """Who recommends the settings of a variant, and what they claim."""
    return "; ".join(dict.fromkeys(setting.source for setting in one.settings if setting.source))


def _flag(name: str, value: object) -> str:
    if value is None:
        return f"without --{name}"
    if value is True:
        return f"--{name}"
    return f"--{name} " + (" ".join(map(_value, value)) if isinstance(value, tuple) else _value(value))


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def pruned(one: Pruned, shown: Shown = _plain) -> str:
    """`  cfg2-ring2: advice: …`."""
    return f"  {_pruned_name(one)}: {_PRUNED[one.code](one, shown)}"


def _pruned_name(one: Pruned) -> str:
    return _marked(one.name, lossy=any(setting.lossy for setting in one.settings))


def _advice(one: Pruned, _: Shown) -> str:
    told = "; ".join(f"{advice.message} [{advice.slug}]" for advice in one.advice)
    return told or "it cannot work"


_PRUNED: Mapping[PruneCode, Callable[[Pruned, Shown], str]] = {
    "advice": _advice,
    "flag": lambda one, _: "; ".join(advice.message for advice in one.advice) or "the engine has no such flag or value",
    "lossy": lambda one, _: "it changes the picture, which --allow-lossy allows",
    "gpus": lambda one, _: "it needs other GPUs than there are",
    "same": lambda one, shown: f"it is {shown(one.same)} in other words, which stands for it",
}


def step(one: TuneStep, shown: Shown = _plain) -> str:
    """`round 7: a, b; 12 launches so far, about 20 left, 24 min`, or what came of one."""
    if one.came is not None:
        return f"  {came(one.came, shown)}"
    left = f", about {one.left} left" if one.left else ""
    left += f", {numbers.duration(one.left_s)}" if one.left and one.left_s is not None else ""
    names, launches = ", ".join(map(shown, one.variants)), numbers.plural(one.launches, "launch")
    return f"round {one.round}: {names}; {launches} so far{left}"


def came(one: TuneLaunch, shown: Shown = _plain) -> str:
    """`compile: 10.96 s, 6.4 % of it uneven, 38.21 GiB`, or why it does not count."""
    if one.tried is not None:
        lost = one.tried.lost or 0.0
        uneven = f", {numbers.percent(lost)} of it uneven" if lost > EVEN else ""
        memory = "" if one.tried.memory_mib is None else f", {numbers.quantity(one.tried.memory_mib, 'MiB')}"
        return f"{shown(one.variant)}: {numbers.quantity(one.tried.ms, 'ms')}{uneven}{memory}"
    return f"{shown(one.variant)}: {'' if one.dropped is None else dropped(one.dropped, shown)}"


def dropped(one: Dropped, shown: Shown = _plain) -> str:
    """Why a variant is launched no more."""
    if one.problem is not None:
        return f"{_DROPPED[one.code]}: {' '.join(problem_text.message(one.problem).split())}"
    if one.code == "slower":
        return f"slower than {shown(one.by)}" if one.by else "slower"
    return _DROPPED[one.code] + (f": {' '.join(one.why.split())}" if one.why else "")


_DROPPED: Mapping[DropCode, str] = {
    "slower": "slower",
    "memory": "needs more memory than there may be",
    "failed": "its launch does not count",
    "disturbed": "other work disturbed its launches",
    "picture": "draws another picture, although its settings should not change it; --allow-lossy ranks it all the same",
}


def trouble(one: TuneTrouble, shown: Shown = _plain) -> list[str]:
    """What keeps variants from being measured, a line each as far as whoever noticed it has several, and what helps."""
    told = one.why if one.problem is None else " ".join(problem_text.message(one.problem).split())
    first, *more = (f"{shown(one.variant)}: {told}" if one.variant else told).splitlines() or [one.code]
    return [first, *more, *filter(None, [_TROUBLE[one.code]])]


_TROUBLE: Mapping[TuneTroubleCode, str] = {
    "disk": "make room, and give the same command again; this counts against no variant",
    "model": "the model cannot be had, whatever the flags: check its name, access to it (HF_TOKEN), and whether its "
    "files can be read, and give the same command again; this counts against no variant",
    "gpus": "",
    "project": "",
}


def summary(report: TuneReport, *, verbose: bool = False) -> list[str]:
    """The result for a terminal."""
    return list(_lines(report, verbose=verbose))


def _lines(report: TuneReport, *, verbose: bool) -> Iterator[str]:
    yield headline(report)
    yield from (f"  {name:<10}{value}" for name, value in facts(report))
    for title, lines in (
        ("ranking:", table(ranking(report))),
        ("", notes(report)),
        ("compared:", comparisons(report, verbose=verbose)),
        ("given up:", given_up(report)),
        ("time against memory, each the quickest in so much memory:", table(front_rows(report))),
        ("time against memory, lossless variants alone:", table(lossless_rows(report))),
        ("what SGLang's performance guide says:", claims(report, verbose=verbose)),
        ("left out:", left_out(report, verbose=verbose)),
    ):
        if lines:
            yield ""
            yield from [title] if title else []
            yield from (f"  {line}" for line in lines)
    if command := command_of(report):
        yield ""
        yield f"run {shown_name(report, report.best or '')} with:"
        yield command


def headline(report: TuneReport) -> str:
    """`tiny: compile is the fastest by denoise: 18.4 % faster than the case as it is written (14.1 to 22.0 %), 5
    against 2 launches`, and which other variant is recommended, if one is."""
    first = next((one for one in report.tuned.standings if one.usable), None)
    if report.tuned.code == "nothing" or first is None:
        return f"{report.case}: {_none(report)}"
    return f"{report.case}: {_ENDS[report.tuned.code](report, first.variant)}{_choice(report, first)}"


def _none(report: TuneReport) -> str:
    if report.tuned.code != "budget":
        return _ENDS["nothing"](report, "")
    # Whether any of them can be used nobody knows yet.
    if all(not one.launches and one.dropped is None for one in report.tuned.standings):
        return "nothing was measured in the time that there was; the same command with a larger --budget goes on"
    return "the time is used up, and no variant that was launched so far can be used"


def _fastest(report: TuneReport, first: str, *, so_far: str = "") -> str:
    found = against(report, first, report.written)
    fastest = f"{shown_name(report, first)} is the fastest{so_far} by {metric_text.metric_name(report.metric)}"
    return f"{fastest}{found and f': {found}'}"


def _equal(report: TuneReport, first: str) -> str:
    others = [
        shown_name(report, one.variant) for one in report.tuned.standings if one.group == 1 and one.variant != first
    ]
    alike = f"; {_some(others, 'group 1 has all')} cannot be distinguished from it" if others else ""
    return f"{_fastest(report, first)}{alike}"


def _choice(report: TuneReport, first: Standing) -> str:
    """`; recommended: as-written, 1 GPU, +1.2 % (0.0 .. +1.8 %)`: which other variant is recommended, why, and what it
    costs; empty where the fastest one is."""
    about = {one.name: one for one in report.variants}
    chosen = next((one for one in report.tuned.standings if one.variant == report.best), None)
    if chosen is None or chosen is first:
        return ""
    quick, best = about[first.variant], about[chosen.variant]
    why = ["lossless"] if quick.lossy and not best.lossy else []
    gpus = best.variant.case.gpus
    why += [numbers.plural(gpus, "GPU")] if gpus < quick.variant.case.gpus else []
    if not why and best.e2e_ms and quick.e2e_ms and best.e2e_ms < quick.e2e_ms:
        why = [f"whole request {_share(1 - best.e2e_ms / quick.e2e_ms)} shorter"]
    cost = "" if chosen.ratio is None else f"{_share(chosen.ratio - 1)} slower{_over_first(chosen)}"
    return f"; recommended: {', '.join(filter(None, (name_of(best), *why, cost)))}"


_ENDS: Mapping[TuneCode, Callable[[TuneReport, str], str]] = {
    "decided": _fastest,
    "equal": _equal,
    "budget": lambda report, first: (
        f"the time is used up, and the ranking is not decided; {_fastest(report, first, so_far=' so far')}"
    ),
    "launches": lambda report, first: (
        "every variant left had as many launches as it may have, and the ranking is not decided; "
        f"{_fastest(report, first, so_far=' so far')}"
    ),
    "nothing": lambda report, first: "no variant can be used",
}


def against(report: TuneReport, fast: str, slow: str) -> str:
    """`18.4 % faster than slow (14.1 to 22.0 %), 5 against 3 launches`; empty where both are the same one, or one of
    them was not measured."""
    found = gain(report, fast, slow)
    if found is None:
        return ""
    named = WRITTEN if slow == report.written else shown_name(report, slow)
    return f"{_share(found.value)} faster than {named}{_interval(found)}, {_launches(report, fast, slow)}"


def gain(report: TuneReport, fast: str, slow: str) -> Ratio | None:
    """By which part of the time of one variant the other one takes less; None where both are the same one, or one of
    them was not measured."""
    standings = {one.variant: one for one in report.tuned.standings}
    if fast == slow or fast not in standings or slow not in standings:
        return None
    found = ratio(standings[fast], standings[slow], quickest=quickest_of(list(standings.values())))
    return None if found is None else Ratio(value=1 - found.value, low=1 - found.high, high=1 - found.low)


def _interval(found: Ratio) -> str:
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    return f" ({_share(found.low).removesuffix(' %')} to {_share(found.high)})"


def _launches(report: TuneReport, fast: str, slow: str) -> str:
    counts = {one.variant: one.launches for one in report.tuned.standings}
    return f"{counts[fast]} against {numbers.plural(counts[slow], 'launch')}"


def _share(fraction: float) -> str:
    return numbers.signed(fraction).removeprefix("+")


def facts(report: TuneReport) -> list[tuple[str, str]]:
    """What was searched, where, and how sure it is."""
    tuned = report.tuned
    sure, within = numbers.percent(tuned.confidence), numbers.percent(tuned.within)
    found = [
        ("ranked by", metric_text.metric_name(report.metric)),
        ("engine", f"sglang {report.engine_version} on {report.machine}"),
        (
            "launches",
            f"{tuned.launches} in {numbers.duration(report.took_s)}"
            + (f", {numbers.duration(tuned.gpu_s)} of GPUs" if tuned.gpu_s else ""),
        ),
        ("sure", f"at {sure} all intervals hold at once; the fastest is sought to within {within}"),
    ]
    if tuned.memory_mib is not None:
        found.append(("memory", f"at most {numbers.quantity(tuned.memory_mib, 'MiB')} on a GPU"))
    if report.budget_s is not None:
        found.append(("budget", numbers.duration(report.budget_s)))
    found += [("case file", report.file)] if report.file else []
    return [*found, *([("files", report.folder)] if report.folder else [])]


HEAD = ("group", "variant", "GPUs", "launches", "time", "slower than the first", "whole request", "memory", "picture")


def ranking(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the ranking, its head first: all variants with a time."""
    about = {one.name: one for one in report.variants}
    rows = []
    for one in report.tuned.standings:
        if one.ms is not None:
            variant = about[one.variant]
            rows.append(
                (
                    "-" if one.group is None else str(one.group),
                    name_of(variant),
                    str(variant.variant.case.gpus),
                    str(one.launches),
                    numbers.quantity(one.ms, "ms"),
                    slower(one, report),
                    numbers.quantity(variant.e2e_ms, "ms"),
                    numbers.quantity(one.memory_mib, "MiB"),
                    picture(variant.quality),
                )
            )
    return [HEAD, *rows] if rows else []


def name_of(variant: TunedVariant) -> str:
    """The name of a variant, with what must be known of it."""
    return _marked(variant.name, lossy=variant.lossy)


def shown_name(report: TuneReport, name: str) -> str:
    """The name of a variant of the report, with what must be known of it."""
    return shown_in(report.variants)(name)


def slower(one: Standing, report: TuneReport) -> str:
    """`+22.5 % (+16.4 .. +28.2 %)`, how much longer a variant takes than the quickest."""
    if one.ratio is None or one is report.tuned.standings[0] or one.given_up:
        return ""
    return f"{numbers.signed(one.ratio - 1)}{_over_first(one)}"


def _over_first(one: Standing) -> str:
    if one.ratio_low is None or one.ratio_high is None:
        return ""
    return f" ({numbers.bare(one.ratio_low - 1)} .. {numbers.signed(one.ratio_high - 1)})"


def picture(quality: Quality | None) -> str:
    """What became of the picture beside that of the case as it is written, in a few words."""
    if quality is None:
        return ""
    if quality.similarity is not None:
        seen = quality_text.figures(quality.similarity)
        return {"same": "the same", "changed": f"another, {seen}"}.get(quality.code, seen)
    if quality.other_picture:
        return "another"
    if quality.code == "same":
        return "the same"
    why = quality_text.unseen(quality)
    return f"{NOT_COMPARED}: {why}" if why else NOT_COMPARED


def comparisons(report: TuneReport, *, verbose: bool) -> list[str]:
    """The quickest against each of the others, `a is 18.4 % faster than b (14.1 to 22.0 %), …`, a line each; without
    `verbose` against the next ones and the case as it is written."""
    measured = [one for one in report.tuned.standings if one.usable]
    if not measured:
        return []
    others = [one.variant for one in measured[1:]]
    if not verbose:
        others = [*others[:SHOWN_PRUNED], *(name for name in others[SHOWN_PRUNED:] if name == report.written)]
    return list(filter(None, (_compared(report, measured[0].variant, name) for name in others)))


def _compared(report: TuneReport, fast: str, slow: str) -> str:
    found = gain(report, fast, slow)
    if found is None:
        return ""
    about = {one.name: one for one in report.variants}
    sides = [about[fast], about[slow]]
    drawn = "".join(f"; {name_of(one)}: {picture(one.quality) or NOT_COMPARED}" for one in sides if one.lossy)
    # One that was dropped beside the first is slower than that, also where nobody knows by how much.
    dropped_by = {one.variant: one.dropped.code for one in report.tuned.standings if one.dropped is not None}
    if found.low > 0 or dropped_by.get(slow) == "slower":
        return f"{name_of(sides[0])} is {against(report, fast, slow)}{drawn}"
    alike = f"{name_of(sides[0])} and {name_of(sides[1])} cannot be distinguished"
    return f"{alike}{_interval(found)}, {_launches(report, fast, slow)}{drawn}"


def given_up(report: TuneReport) -> list[str]:
    """Variants that no ranking can hold: those that do not run, need too much memory, or draw another picture."""
    about, shown = {one.name: one for one in report.variants}, shown_in(report.variants)
    return [
        f"{shown(one.variant)}: {dropped(one.dropped, shown)}"
        + (f" ({numbers.quantity(one.memory_mib, 'MiB')})" if one.dropped.code == "memory" else "")
        + (f" ({picture(about[one.variant].quality)})" if one.dropped.code == "picture" else "")
        for one in report.tuned.standings
        if one.dropped is not None and one.given_up
    ]


def notes(report: TuneReport) -> list[str]:
    """What must be known before a winner is used."""
    about, shown = {one.name: one for one in report.variants}, shown_in(report.variants)
    found = [other_requests(report.other_requests, shown)] if report.other_requests else []
    waiting = [shown(one.variant) for one in report.tuned.standings if not one.launches and one.dropped is None]
    if waiting:
        found.append(f"not launched yet, and may be faster: {_some(waiting, 'the JSON report names all')}")
    unknown = [shown(one.variant) for one in report.tuned.standings if one.ms is not None and one.memory_mib is None]
    if report.tuned.memory_mib is not None and unknown:
        found.append(f"the memory of {_some(unknown, 'see the ranking')} is not known: the limit was not checked there")
    best = about.get(report.best or "")
    if best is not None and best.lossy:
        seen = "" if best.quality is None else quality_text.words(best.quality, base="case as it is written")
        against = "" if best.variant.lossy else ", although its settings should not change the picture"
        found.append(f"{best.name} is lossy{against}: {seen or 'its pictures were not compared'}")
    elif best is not None and best.name != report.written and (why := _unseen(best, report)):
        found.append(f"whether {best.name} draws the same picture was not checked: {why}")
    elif best is not None and best.quality is not None and accepts_anything(best.quality.noise):
        seen = "" if best.quality.noise is None else quality_text.figures(best.quality.noise)
        found.append(f"launches of {WRITTEN} differ so much ({seen}) that {best.name} could draw any picture")
    found += [f"{quality_text.odd(one, WRITTEN[4:])}: nothing is compared with it" for one in report.odd_launches]
    other = about.get(report.quicker_request or "")
    if best is not None and other is not None and best.e2e_ms and other.e2e_ms:
        share = _share(1 - other.e2e_ms / best.e2e_ms)
        found.append(f"the whole request of {name_of(other)} is {share} shorter: rank by it with --metric e2e")
    return found


def front_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front, its head first; none where nothing is known of memory."""
    return _front(report, report.front)


def lossless_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front of the lossless variants, its head first; none where no lossy one hides any of them."""
    return [] if report.lossless_front == report.front else _front(report, report.lossless_front)


def _front(report: TuneReport, names: Sequence[str]) -> list[tuple[str, ...]]:
    standings = {one.variant: one for one in report.tuned.standings}
    about = {one.name: one for one in report.variants}
    rows = [
        (
            name_of(about[name]),
            numbers.quantity(standings[name].ms, "ms"),
            numbers.quantity(standings[name].memory_mib, "MiB"),
            picture(about[name].quality),
        )
        for name in names
        if name in standings
    ]
    return [("variant", "time", "memory", "picture"), *rows] if rows else []


def claims(report: TuneReport, *, verbose: bool) -> list[str]:
    """What became of the guide's claims. Those that nothing was measured of are named with -v."""
    shown = shown_in(report.variants)
    return [claim(one, shown) for one in report.claims if verbose or one.code != "untried"]


def claim(one: ClaimResult, shown: Shown = _plain) -> str:
    """`held: CFG parallel is often faster …: cfg2 takes 18.4 % less than ulysses2 (-20.1 .. -16.6 %) [guide, …]`."""
    says = one.claim.says + (f" (taken as: {one.claim.reading})" if one.claim.reading else "")
    pairs = "; ".join(_pair(pair, one.claim, shown) for pair in one.pairs[:SHOWN_PRUNED])
    more = len(one.pairs) - SHOWN_PRUNED
    pairs += f"; and {numbers.plural(more, 'pair')} more" if more > 0 else ""
    return f"{_CLAIMS[one.code]}: {says}{f': {pairs}' if pairs else ''} [{one.claim.source}]"


_CLAIMS: Mapping[ClaimCode, str] = {
    "held": "held here",
    "less": "did not hold here, less is gained",
    "more": "more is gained here",
    "open": "neither confirmed nor refuted",
    "mixed": "held for some variants, and not for others",
    "untried": "not tried",
}


def _pair(pair: Compared, of: Claim, shown: Shown) -> str:
    needs = "needs" if of.quantity == "memory" else "takes"
    found = pair.ratio
    sides = (numbers.bare(one - 1) if math.isfinite(one) else numbers.UNKNOWN for one in (found.low, found.high))
    interval = "" if found.low == found.high else f" ({' .. '.join(sides)} %)"
    more = "less" if found.value < 1 else "more"
    share = _share(abs(found.value - 1))
    return f"{shown(pair.this)} {needs} {share} {more} {of.quantity} than {shown(pair.that)}{interval}"


def left_out(report: TuneReport, *, verbose: bool) -> list[str]:
    """What was not launched, and why, or how many of them; what stands for others is named."""
    shown = shown_in(report.variants)
    if verbose:
        return [pruned(one, shown).strip() for one in report.pruned]
    counts: dict[PruneCode, list[str]] = {}
    for one in report.pruned:
        counts.setdefault(one.code, []).append(_pruned_name(one) + (f" ({shown(one.same)})" if one.same else ""))
    return [f"{_KINDS[code]}: {_some(names, '-v names all, with the reasons')}" for code, names in counts.items()]


_KINDS: Mapping[PruneCode, str] = {
    "advice": "cannot work",
    "flag": "this engine has no such flag or value",
    "lossy": "changes the picture, which --allow-lossy allows",
    "gpus": "needs other GPUs than there are",
    "same": "another variant stands for it",
}


def _some(names: Sequence[str], rest: str) -> str:
    more = len(names) - SHOWN_PRUNED
    return ", ".join(names[:SHOWN_PRUNED]) + (f" and {more} more ({rest})" if more > 0 else "")


def command_of(report: TuneReport) -> str:
    """The engine's command line of the variant that is recommended, empty where there is none."""
    return next((one.command for one in report.variants if one.name == report.best), "")


def _unseen(one: TunedVariant, report: TuneReport) -> str:
    """Why nobody knows whether a variant draws the same picture, empty where somebody does."""
    if not report.written:
        return f"{WRITTEN} cannot be launched"
    return "there are no recordings to compare" if one.quality is None else quality_text.unseen(one.quality)


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned; columns without any content are left out."""
    found = [list(row) for row in rows]
    if not found:
        return []
    used = [i for i in range(len(found[0])) if any(row[i] not in ("", numbers.UNKNOWN) for row in found[1:])]
    widths = {i: max(len(row[i]) for row in found) for i in used}
    return ["  ".join(row[i].ljust(widths[i]) for i in used).rstrip() for row in found]
