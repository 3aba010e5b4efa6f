"""The words for a search for the fastest flags: its variants, its steps, its ranking. The one place that has them.

A variant is so much *faster* as it takes less time: 13.4 s to 10.9 s is 18 % faster.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from pytest_sgdiff import metrics
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
from pytest_sgdiff.reports.figures import fixed
from pytest_sgdiff.tuning.claims import Claim, ClaimCode, ClaimResult, Compared, Telling
from pytest_sgdiff.tuning.fit import EVEN
from pytest_sgdiff.tuning.ratios import Ratio, gain, is_faster
from pytest_sgdiff.tuning.report import REQUEST_SHARE, TunedVariant, TuneReport

Shown = Callable[[str], str]
"""How the variant of a name is called, with what must be known of it (`shown_in`)."""

WRITTEN = "the case as it is written"
FRONT = "the front: the fastest variant for each amount of memory"
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
    """How variants are called: a lossy one, or another request, never without saying so. A name that none of them has
    stays as it is."""
    names = {
        one.name: _marked(one.name, lossy=one.lossy, asks=one.asks if isinstance(one, TunedVariant) else ())
        for one in variants
    }
    return lambda name: names.get(name, name)


def _marked(name: str, *, lossy: bool, asks: Sequence[RequestPart] = ()) -> str:
    """`sage (lossy)`, `short (other steps)`."""
    marks = ["lossy"] if lossy else []
    marks += [", ".join(_PARTS[part] for part in asks)] if asks else []
    return " ".join([name, *(f"({mark})" for mark in marks)])


def other_requests(others: Sequence[OtherRequest], shown: Shown = _plain) -> str:
    """`not the same request as the first variant, …: b (steps, size); c (prompt)`."""
    told = "; ".join(
        # A report calls it so anyway.
        named if (named := shown(one.variant)).endswith(asked) else f"{named}{asked}"
        for one in others
        for asked in [f" ({', '.join(_PARTS[part] for part in one.parts)})"]
    )
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
        ("ranking:", [*table(ranking(report)), *(f"({line})" for line in legend(report))]),
        ("", notes(report)),
        ("compared:", comparisons(report, verbose=verbose)),
        ("given up:", given_up(report)),
        (f"{FRONT}:", table(front_rows(report))),
        (f"{lossless_front(report)}:", table(lossless_rows(report))),
        (f"{guide(report)}:", claims(report)),
        ("what the variants change:", settings(report) if verbose else []),
        ("left out:", left_out(report, verbose=verbose)),
    ):
        if lines:
            yield ""
            yield from [title] if title else []
            yield from (f"  {line}" for line in lines)
    for name, command, changed in commands(report):
        yield ""
        yield f"run {name} with:"
        yield command
        yield f"({changed})"


def headline(report: TuneReport) -> str:
    """`tiny: compile is the fastest by denoise: 18.4 % faster than the case as it is written (14.1 to 22.0 %), 5
    against 2 launches`, and which other variant is recommended, if one is."""
    first = report.first
    if report.tuned.code == "nothing" or first is None:
        return f"{report.case}: {_none(report)}"
    end = _ENDS[report.tuned.code](report, first.variant)
    return f"{report.case}: {end}{_unusable(report)}{_choice(report, first)}"


def _none(report: TuneReport) -> str:
    if report.tuned.code != "budget":
        return _ENDS["nothing"](report, "")
    # Whether any of them can be used nobody knows yet.
    if all(not one.launches and one.dropped is None for one in report.tuned.standings):
        return "nothing was measured in the time that there was; the same command with a larger --budget goes on"
    return "the time is used up, and no variant that was launched so far can be used"


def _fastest(report: TuneReport, first: str, *, so_far: str = "") -> str:
    name, metric = shown_name(report, first), metric_text.metric_name(report.metric)
    if report.of_written == "unproven":
        none = f"no variant is proven faster by {metric} than {WRITTEN}"
        if first == report.written and sum(one.usable for one in report.tuned.standings) == 1:
            return f"of what was measured{so_far}, {WRITTEN} alone can be used"
        if first == report.written:
            return f"{none}, which is the fastest{so_far}"
        return f"{none}; {name} looks the fastest{so_far}: {_by_how_much(report, first, report.written)}"
    found = against(report, first, report.written)
    # A faster one is named in a note.
    usable = "" if report.given_up_faster is None else " usable variant"
    return f"{name} is the fastest{usable}{so_far} by {metric}{found and f': {found}'}"


def _unusable(report: TuneReport) -> str:
    """`; the case as it is written cannot be used: it needs more memory …`; empty where it was measured, and can."""
    shown = shown_in(report.variants)
    if not report.written:
        why = next((_PRUNED[one.code](one, shown) for one in report.pruned if not one.settings), "")
        return f"; {WRITTEN} was not launched{why and f': {why}'}"
    one = next(one for one in report.tuned.standings if one.variant == report.written)
    if one.dropped is not None and one.given_up:
        return f"; {WRITTEN} cannot be used: {_given_up(one, report)}"
    return "" if one.ms is not None else f"; {WRITTEN} was not launched yet"


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
    shorter = 0.0 if not (best.e2e_ms and quick.e2e_ms) else 1 - best.e2e_ms / quick.e2e_ms
    if not why and shorter > REQUEST_SHARE:
        why = [f"whole request {_share(shorter)} shorter"]
    if not why and len(best.variant.settings) < len(quick.variant.settings):
        why = ["no setting changed"] if best.name == report.written else ["fewer settings changed"]
    metric = metric_text.metric_name(report.metric)
    cost = "" if chosen.ratio is None else f"{_share(chosen.ratio - 1)} slower by {metric}{_over_first(chosen)}"
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
    return _by_how_much(report, fast, slow, than=WRITTEN if slow == report.written else shown_name(report, slow))


def _by_how_much(report: TuneReport, fast: str, slow: str, *, than: str = "") -> str:
    found = gain(report.tuned, fast, slow)
    if found is None:
        return ""
    how = "faster"
    if found.value < 0:
        # What cannot be used may be quicker than the fastest that can.
        how, found = "slower", Ratio(value=-found.value, low=-found.high, high=-found.low)
    how += f" than {than}" if than else ""
    return f"{_share(found.value)} {how}{_interval(found)}, {_launches(report, fast, slow)}"


def _interval(found: Ratio) -> str:
    return f" ({between})" if (between := _between(found)) else ""


def _between(found: Ratio) -> str:
    """`14.1 to 22.0 %`, empty without an interval."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    return f"{_share(found.low).removesuffix(' %')} to {_share(found.high)}"


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
                    f"{one.launches} ({variant.uneven} uneven)" if variant.uneven else str(one.launches),
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
    return _marked(variant.name, lossy=variant.lossy, asks=variant.asks)


def shown_name(report: TuneReport, name: str) -> str:
    """The name of a variant of the report, with what must be known of it."""
    return shown_in(report.variants)(name)


def slower(one: Standing, report: TuneReport) -> str:
    """`+22.5 % (+16.4 to +28.2 %)`, how much longer a variant takes than the quickest, or that it cannot be used."""
    if one.dropped is not None and one.given_up:
        return f"given up: {_GIVEN_UP[one.dropped.code]}"
    if one.ratio is None or one is report.tuned.standings[0]:
        return ""
    return f"{numbers.signed(one.ratio - 1)}{_over_first(one)}"


def _over_first(one: Standing) -> str:
    if one.ratio_low is None or one.ratio_high is None:
        return ""
    return f" ({numbers.bare(one.ratio_low - 1)} to {numbers.signed(one.ratio_high - 1)})"


def legend(report: TuneReport) -> list[str]:
    """What the columns of the ranking mean, as far as they are there."""
    measured = {one.variant for one in report.tuned.standings if one.ms is not None}
    about = [one for one in report.variants if one.name in measured]
    if not about:
        return []
    metric = metric_text.metric_name(report.metric)
    given_up = any(one.given_up and one.ms is not None for one in report.tuned.standings)
    found = [f"group: variants of one group cannot be distinguished{'; those with - cannot be used' * given_up}"]
    if any(one.usable and one is not report.first for one in report.tuned.standings):
        found.append(
            "slower than the first: in brackets, how much slower than the true quickest, whichever that is; 0.0 means "
            "that it may be that itself"
        )
    if any(one.uneven for one in about):
        found.append(f"uneven: the host visibly held the launch up, by more than {numbers.percent(EVEN)} of its time")
    if report.metric != metrics.E2E and any(one.e2e_ms is not None for one in about):
        found.append(f"whole request: the median time of all of it; variants are ranked by {metric} alone")
    if any(one.quality is not None for one in about):
        found.append(f"picture: beside that of {WRITTEN}, with the same seed")
    return found


def picture(quality: Quality | None) -> str:
    """What became of the picture beside that of the case as it is written, in a few words."""
    if quality is None:
        return ""
    if quality.similarity is not None:
        seen = quality_text.figures(quality.similarity)
        known = {"same": "the same", "changed": f"another, {seen}", "rounding": f"alike, {seen}"}
        return known.get(quality.code, seen)
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
    found = gain(report.tuned, fast, slow)
    if found is None:
        return ""
    about = {one.name: one for one in report.variants}
    sides = [about[fast], about[slow]]
    drawn = "".join(f"; {name_of(one)}: {picture(one.quality) or NOT_COMPARED}" for one in sides if one.lossy)
    if is_faster(report.tuned, fast, slow):
        return f"{name_of(sides[0])} is {against(report, fast, slow)}{drawn}"
    alike = f"{name_of(sides[0])} and {name_of(sides[1])} cannot be distinguished"
    between = f": the first is {_between(found)} faster" if _between(found) else ""
    return f"{alike}{between}, {_launches(report, fast, slow)}{drawn}"


def given_up(report: TuneReport) -> list[str]:
    """Variants that no ranking can hold: those that do not run, need too much memory, or draw another picture."""
    shown = shown_in(report.variants)
    return [
        f"{shown(one.variant)}: {_given_up(one, report)}"
        for one in report.tuned.standings
        if one.dropped is not None and one.given_up
    ]


def _given_up(one: Standing, report: TuneReport) -> str:
    """Why a variant cannot be used, with the figures."""
    if one.dropped is None:
        return ""
    told = dropped(one.dropped, shown_in(report.variants))
    if one.dropped.code == "memory":
        return f"{told} ({numbers.quantity(one.memory_mib, 'MiB')})"
    if one.dropped.code == "picture":
        about = {one.name: one for one in report.variants}
        return f"{told} ({picture(about[one.variant].quality)})"
    return told


_GIVEN_UP: Mapping[DropCode, str] = {
    "slower": "slower",
    "memory": "memory",
    "failed": "failed",
    "disturbed": "disturbed",
    "picture": "another picture",
}


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
    if (quicker := report.given_up_faster) is not None:
        one = next(one for one in report.tuned.standings if one.variant == quicker)
        found.append(
            f"faster ({numbers.quantity(one.ms, 'ms')}), but cannot be used: {shown(quicker)}: {_given_up(one, report)}"
        )
    best = about.get(report.best or "")
    for name in dict.fromkeys((report.best, report.best_lossless)):
        found += _drawn(about[name], report) if name in about else []
    if report.long_requests:
        found.append(_long(report, about))
    found += [f"{quality_text.odd(one, WRITTEN[4:])}: nothing is compared with it" for one in report.odd_launches]
    other = about.get(report.quicker_request or "")
    if best is not None and other is not None and best.e2e_ms and other.e2e_ms:
        share = _share(1 - other.e2e_ms / best.e2e_ms)
        found.append(
            f"the whole request of {name_of(other)} is {share} shorter than that of {name_of(best)}: rank by it with "
            "--metric e2e"
        )
    return found


def _drawn(one: TunedVariant, report: TuneReport) -> list[str]:
    """What must be known of the pictures of a variant before it is used."""
    if one.lossy:
        seen = "" if one.quality is None else quality_text.words(one.quality, base="case as it is written")
        although = "" if one.variant.lossy else ", although its settings should not change the picture"
        return [f"{one.name} is lossy{although}: {seen or 'its pictures were not compared'}"]
    if one.quality is not None and one.quality.code == "other-request":
        # The note on other requests says so.
        return []
    if one.quality is not None and one.quality.code == "rounding":
        return [f"{one.name} adds in another order: {quality_text.words(one.quality, base='case as it is written')}"]
    if one.name != report.written and (why := _unseen(one, report)):
        return [f"whether {one.name} draws the same picture was not checked: {why}"]
    if one.quality is not None and accepts_anything(one.quality.noise):
        seen = "" if one.quality.noise is None else quality_text.figures(one.quality.noise)
        return [f"launches of {WRITTEN} differ so much ({seen}) that {one.name} could draw any picture"]
    return []


def _long(report: TuneReport, about: Mapping[str, TunedVariant]) -> str:
    """`whole requests that take much longer than denoise suggests: compile (6.100 s, denoise 1.000 s), …`."""
    metric = metric_text.metric_name(report.metric)
    times = {one.variant: one.ms for one in report.tuned.standings}
    names = sorted(report.long_requests, key=lambda name: name != report.best)
    told = [
        f"{name_of(about[name])} ({numbers.quantity(about[name].e2e_ms, 'ms')}, of which {metric} "
        f"{numbers.quantity(times[name], 'ms')})"
        for name in names
    ]
    return (
        f"whole requests that take much longer than {metric} suggests: {_some(told, 'see the ranking')}; other parts "
        "of them are slower, or were compiled meanwhile: rank by whole requests with --metric e2e"
    )


def front_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front, its head first; none where nothing is known of memory."""
    return _front(report, report.front)


def lossless_front(report: TuneReport) -> str:
    """What `lossless_rows` are called."""
    return f"the front of the lossless variants{' of the same request' if report.other_requests else ''} alone"


def guide(report: TuneReport) -> str:
    """What `claims` are called: a time is that of the ranking."""
    return f"what SGLang's performance guide says, and what was found by {metric_text.metric_name(report.metric)}"


def lossless_rows(report: TuneReport) -> list[tuple[str, ...]]:
    """The rows of the front of the lossless variants of the same request, its head first; none where no other one
    hides any of them."""
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


def claims(report: TuneReport) -> list[str]:
    """What became of the guide's claims; those that nothing was measured of in one line, by their names."""
    shown = shown_in(report.variants)
    untried = ", ".join(one.claim.name for one in report.claims if one.code == "untried")
    told = [claim(one, shown) for one in report.claims if one.code != "untried"]
    return [*told, *([f"not tried, as no two measured variants differ in this alone: {untried}"] if untried else [])]


def settings(report: TuneReport) -> list[str]:
    """What each variant changes in the case as it is written."""
    return [f"{name_of(one)}: {changes(report.base, one.variant)}" for one in report.variants]


def claim(one: ClaimResult, shown: Shown = _plain) -> str:
    """`held: CFG parallel is often faster …: cfg2 takes 18.4 % less than ulysses2 (-20.1 to -16.6 %) [guide, …]`."""
    says = one.claim.says + (f" (taken as: {one.claim.reading})" if one.claim.reading else "")
    apart = len({pair.code for pair in one.pairs}) > 1
    pairs = "; ".join(
        f"{_pair(pair, one.claim, shown)}{f': {_PAIRS[pair.code]}' if apart else ''}"
        for pair in one.pairs[:SHOWN_PRUNED]
    )
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


_PAIRS: Mapping[ClaimCode, str] = {
    "held": "as claimed",
    "less": "less than claimed",
    "more": "more than claimed",
    "open": "too unsure to say",
    "mixed": "",
    "untried": "",
}
"""What a pair of variants says by itself, where others say something else."""


def _pair(pair: Compared, of: Claim, shown: Shown) -> str:
    needs = "needs" if of.quantity == "memory" else "takes"
    found = pair.ratio
    interval = _bounds(found, lambda one: numbers.bare(one - 1), " %")
    more = "less" if found.value < 1 else "more"
    share = _share(abs(found.value - 1))
    alike = share == _share(0.0)
    how = f"as much {of.quantity} as" if alike else f"{share} {more} {of.quantity} than"
    return f"{shown(pair.this)} {needs} {how} {shown(pair.that)}{interval}{_TELLING[of.told_as](found)}"


def _as_long(found: Ratio) -> str:
    return f", {_times(found.value)} times as long{_bounds(found, _times)}"


def _as_fast(found: Ratio) -> str:
    low, high = (1 / one if one else math.inf for one in (found.high, found.low))
    return f", {_times(1 / found.value)} times as fast{_bounds(Ratio(value=found.value, low=low, high=high), _times)}"


_TELLING: Mapping[Telling, Callable[[Ratio], str]] = {"": lambda _: "", "as-fast": _as_fast, "as-long": _as_long}


def _times(factor: float) -> str:
    return fixed(factor, 2)


def _bounds(found: Ratio, shown: Callable[[float], str], unit: str = "") -> str:
    """`(1.40 to 1.47)`; `(at least 1.40)` where nothing bounds the upper end, `(at most 1.47)` where nothing the lower
    one; empty without an interval."""
    low, high = found.low > 0, math.isfinite(found.high)
    if found.low == found.high or not (low or high):
        return ""
    if low and high:
        return f" ({shown(found.low)} to {shown(found.high)}{unit})"
    return f" (at least {shown(found.low)}{unit})" if low else f" (at most {shown(found.high)}{unit})"


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


def commands(report: TuneReport) -> list[tuple[str, str, str]]:
    """The recommended variant with its command line and what it changes, and the best lossless one where the picture of
    that may differ."""
    lines = {one.name: one.command for one in report.variants}
    changed = {
        one.name: f"changed: {changes(report.base, one.variant)}" if one.variant.settings else "nothing is changed"
        for one in report.variants
    }
    told = {report.best: shown_name(report, report.best or "")}
    told.setdefault(report.best_lossless, f"{report.best_lossless} (the best lossless variant{_of_lossless(report)})")
    return [(name, lines[one], changed[one]) for one, name in told.items() if one is not None and lines.get(one)]


def _of_lossless(report: TuneReport) -> str:
    """`, 18.4 % faster than the case as it is written (14.1 to 22.0 %)`; empty where it is that itself."""
    found = gain(report.tuned, report.best_lossless or "", report.written)
    if found is None:
        return ""
    if not is_faster(report.tuned, report.best_lossless or "", report.written):
        return f", not proven faster than {WRITTEN}"
    return f", {_share(found.value)} faster than {WRITTEN}{_interval(found)}"


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
