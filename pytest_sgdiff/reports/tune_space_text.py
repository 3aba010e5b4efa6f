"""The words for the variants that a search may launch, and for those that it may not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_sgdiff.data import Case, OtherRequest, PruneCode, Pruned, Space, Variant
from pytest_sgdiff.reports import numbers
from pytest_sgdiff.reports.aligned import filled_table
from pytest_sgdiff.reports.tune_names import WRITTEN, Shown, first_few, marked, other_requests, plain_name, shown_in
from pytest_sgdiff.tuning.report import TuneReport


def space(named: str, case: Case, found: Space, others: Sequence[OtherRequest] = ()) -> list[str]:
    """The variants that would be launched, with what they change of the case, and those that would not, with the
    reason. `others` are those that are not the same request."""
    lines = [f"{named}: {numbers.plural(len(found.variants), 'variant')}, {len(found.pruned)} left out"]
    shown = shown_in(found.variants)
    rows = [(shown(one.name), str(one.case.gpus), changes(case, one)) for one in found.variants]
    lines += filled_table([("variant", "GPUs", "changes"), *rows])
    if others:
        lines += ["", other_requests(others, found.variants)]
    if found.pruned:
        lines += ["", "left out:", *(pruned(one, shown) for one in found.pruned)]
    return lines


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


def pruned(one: Pruned, shown: Shown = plain_name) -> str:
    """`  cfg2-ring2: advice: …`."""
    return f"  {_pruned_name(one)}: {WHY_PRUNED[one.code](one, shown)}"


def _pruned_name(one: Pruned) -> str:
    return marked(one.name, lossy=any(setting.lossy for setting in one.settings))


def _advice(one: Pruned, _: Shown) -> str:
    told = "; ".join(f"{advice.message} [{advice.slug}]" for advice in one.advice)
    return told or "it cannot work"


WHY_PRUNED: Mapping[PruneCode, Callable[[Pruned, Shown], str]] = {
    "advice": _advice,
    "flag": lambda one, _: "; ".join(advice.message for advice in one.advice) or "the engine has no such flag or value",
    "lossy": lambda one, _: "it changes the picture, which --allow-lossy allows",
    "gpus": lambda one, _: "it needs other GPUs than there are",
    "same": lambda one, shown: f"it is {shown(one.same)} in other words, which stands for it",
}


def left_out(report: TuneReport, *, verbose: bool) -> list[str]:
    """What was not launched, and why, or how many of them; what stands for others is named."""
    shown = shown_in(report.variants)
    if verbose:
        return [pruned(one, shown).strip() for one in report.pruned]
    counts: dict[PruneCode, list[str]] = {}
    for one in report.pruned:
        counts.setdefault(one.code, []).append(_pruned_name(one) + (f" ({shown(one.same)})" if one.same else ""))
    return [f"{_KINDS[code]}: {first_few(names, '-v names all, with the reasons')}" for code, names in counts.items()]


_KINDS: Mapping[PruneCode, str] = {
    "advice": "cannot work",
    "flag": "this engine has no such flag or value",
    "lossy": "changes the picture, which --allow-lossy allows",
    "gpus": "needs other GPUs than there are",
    "same": "another variant stands for it",
}
