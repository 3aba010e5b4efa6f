"""The result of a search for the fastest flags, as text: the headline, the parts below it, and what must be known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_sgdiff.data import Standing, TuneCode
from pytest_sgdiff.quality.noise import accepts_anything
from pytest_sgdiff.reports import metric_text, numbers, quality_text
from pytest_sgdiff.reports.aligned import filled_table
from pytest_sgdiff.reports.tune_claims_text import claims, guide
from pytest_sgdiff.reports.tune_gains_text import against, as_share, by_how_much, in_brackets, launch_counts, span
from pytest_sgdiff.reports.tune_names import (
    SHOWN_AT_MOST,
    WRITTEN,
    first_few,
    name_of,
    other_requests,
    shown_in,
    shown_name,
)
from pytest_sgdiff.reports.tune_ranking_text import (
    FRONT,
    NOT_COMPARED,
    front_rows,
    legend,
    lossless_front,
    lossless_rows,
    over_first,
    picture,
    ranking,
)
from pytest_sgdiff.reports.tune_space_text import WHY_PRUNED, changes, left_out
from pytest_sgdiff.reports.tune_step_text import dropped
from pytest_sgdiff.tuning.ratios import gain, is_faster
from pytest_sgdiff.tuning.report import REQUEST_SHARE, TunedVariant, TuneReport


def summary(report: TuneReport, *, verbose: bool = False) -> list[str]:
    """The result for a terminal."""
    return list(_lines(report, verbose=verbose))


def _lines(report: TuneReport, *, verbose: bool) -> Iterator[str]:
    yield headline(report)
    yield from (f"  {name:<10}{value}" for name, value in facts(report))
    for title, lines in (
        ("ranking:", [*filled_table(ranking(report)), *(f"({line})" for line in legend(report))]),
        ("", notes(report)),
        ("compared:", comparisons(report, verbose=verbose)),
        ("given up:", given_up(report)),
        (f"{FRONT}:", filled_table(front_rows(report))),
        (f"{lossless_front(report)}:", filled_table(lossless_rows(report))),
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
        return f"{none}; {name} looks the fastest{so_far}: {by_how_much(report, first, report.written)}"
    found = against(report, first, report.written)
    # A faster one is named in a note.
    usable = "" if report.given_up_faster is None else " usable variant"
    return f"{name} is the fastest{usable}{so_far} by {metric}{found and f': {found}'}"


def _unusable(report: TuneReport) -> str:
    """`; the case as it is written cannot be used: it needs more memory …`; empty where it was measured, and can."""
    shown = shown_in(report.variants)
    if not report.written:
        why = next((WHY_PRUNED[one.code](one, shown) for one in report.pruned if not one.settings), "")
        return f"; {WRITTEN} was not launched{why and f': {why}'}"
    one = next(one for one in report.tuned.standings if one.variant == report.written)
    if one.dropped is not None and one.given_up:
        return f"; {WRITTEN} cannot be used: {_given_up(one, report)}"
    return "" if one.ms is not None else f"; {WRITTEN} was not launched yet"


def _with_its_group(report: TuneReport, first: str) -> str:
    """Also of a search that was decided: others may be as fast, though none looks so."""
    others = [
        shown_name(report, one.variant) for one in report.tuned.standings if one.group == 1 and one.variant != first
    ]
    alike = f"; {first_few(others, 'group 1 has all')} cannot be distinguished from it" if others else ""
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
        why = [f"whole request {as_share(shorter)} shorter"]
    if not why and len(best.variant.settings) < len(quick.variant.settings):
        why = ["no setting changed"] if best.name == report.written else ["fewer settings changed"]
    metric = metric_text.metric_name(report.metric)
    cost = "" if chosen.ratio is None else f"{as_share(chosen.ratio - 1)} slower by {metric}{over_first(chosen)}"
    return f"; recommended: {', '.join(filter(None, (name_of(best), *why, cost)))}"


_ENDS: Mapping[TuneCode, Callable[[TuneReport, str], str]] = {
    "decided": _with_its_group,
    "equal": _with_its_group,
    "budget": lambda report, first: (
        f"the time is used up, and the ranking is not decided; {_fastest(report, first, so_far=' so far')}"
    ),
    "launches": lambda report, first: (
        "every variant left had as many launches as it may have, and the ranking is not decided; "
        f"{_fastest(report, first, so_far=' so far')}"
    ),
    "nothing": lambda report, first: "no variant can be used",
}


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


def comparisons(report: TuneReport, *, verbose: bool) -> list[str]:
    """The quickest against each of the others, `a is 18.4 % faster than b (14.1 to 22.0 %), …`, a line each; without
    `verbose` against the next ones and the case as it is written."""
    measured = [one for one in report.tuned.standings if one.usable]
    if not measured:
        return []
    others = [one.variant for one in measured[1:]]
    if not verbose:
        others = [*others[:SHOWN_AT_MOST], *(name for name in others[SHOWN_AT_MOST:] if name == report.written)]
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
    between = f": the first is {span(found)} faster" if span(found) else ""
    return f"{alike}{between}, {launch_counts(report, fast, slow)}{drawn}"


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


def notes(report: TuneReport) -> list[str]:
    """What must be known before a winner is used."""
    about, shown = {one.name: one for one in report.variants}, shown_in(report.variants)
    found = [other_requests(report.other_requests, report.variants)] if report.other_requests else []
    waiting = [shown(one.variant) for one in report.tuned.standings if not one.launches and one.dropped is None]
    if waiting:
        found.append(f"not launched yet, and may be faster: {first_few(waiting, 'the JSON report names all')}")
    unknown = [shown(one.variant) for one in report.tuned.standings if one.ms is not None and one.memory_mib is None]
    if report.tuned.memory_mib is not None and unknown:
        found.append(
            f"the memory of {first_few(unknown, 'see the ranking')} is not known: the limit was not checked there"
        )
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
        share = as_share(1 - other.e2e_ms / best.e2e_ms)
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
        f"whole requests that take much longer than {metric} suggests: {first_few(told, 'see the ranking')}; other "
        "parts of them are slower, or were compiled meanwhile: rank by whole requests with --metric e2e"
    )


def settings(report: TuneReport) -> list[str]:
    """What each variant changes in the case as it is written."""
    return [f"{name_of(one)}: {changes(report.base, one.variant)}" for one in report.variants]


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
    told.setdefault(
        report.best_lossless, f"{report.best_lossless} (the first of the lossless variants{_of_lossless(report)})"
    )
    return [(name, lines[one], changed[one]) for one, name in told.items() if one is not None and lines.get(one)]


def _of_lossless(report: TuneReport) -> str:
    """`, 18.4 % faster than the case as it is written (14.1 to 22.0 %)`; empty where it is that itself."""
    found = gain(report.tuned, report.best_lossless or "", report.written)
    if found is None:
        return ""
    if not is_faster(report.tuned, report.best_lossless or "", report.written):
        return f", not proven faster than {WRITTEN}"
    return f", {as_share(found.value)} faster than {WRITTEN}{in_brackets(found)}"


def _unseen(one: TunedVariant, report: TuneReport) -> str:
    """Why nobody knows whether a variant draws the same picture, empty where somebody does."""
    if not report.written:
        return f"{WRITTEN} cannot be launched"
    return "there are no recordings to compare" if one.quality is None else quality_text.unseen(one.quality)
