"""The words for what happens while a search runs: rounds, what came of launches, what keeps them from being made."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import DropCode, Dropped, TuneLaunch, TuneStep, TuneTrouble, TuneTroubleCode
from pytest_sgdiff.reports import numbers, problem_text
from pytest_sgdiff.reports.tune_names import Shown, plain_name
from pytest_sgdiff.tuning.fit import EVEN


def step(one: TuneStep, shown: Shown = plain_name) -> str:
    """`round 7: a, b; 12 launches so far, about 20 left, 24 min`, or what came of one."""
    if one.came is not None:
        return f"  {came(one.came, shown)}"
    left = f", about {one.left} left" if one.left else ""
    left += f", {numbers.duration(one.left_s)}" if one.left and one.left_s is not None else ""
    names, launches = ", ".join(map(shown, one.variants)), numbers.plural(one.launches, "launch")
    return f"round {one.round}: {names}; {launches} so far{left}"


def came(one: TuneLaunch, shown: Shown = plain_name) -> str:
    """`compile: 10.96 s, 6.4 % of it uneven, 38.21 GiB`, or why it does not count."""
    if one.tried is not None:
        lost = one.tried.lost or 0.0
        uneven = f", {numbers.percent(lost)} of it uneven" if lost > EVEN else ""
        memory = "" if one.tried.memory_mib is None else f", {numbers.quantity(one.tried.memory_mib, 'MiB')}"
        return f"{shown(one.variant)}: {numbers.quantity(one.tried.ms, 'ms')}{uneven}{memory}"
    return f"{shown(one.variant)}: {'' if one.dropped is None else dropped(one.dropped, shown)}"


def dropped(one: Dropped, shown: Shown = plain_name) -> str:
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


def trouble(one: TuneTrouble, shown: Shown = plain_name) -> list[str]:
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
