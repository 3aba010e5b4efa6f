"""The words for a `Difference`: in what two measurements differ, or a launch and its case. They stand here alone."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import Difference, DifferenceCode, Machine


def of_baseline(d: Difference) -> str:
    """`args.width: 832 in the baseline, 480 now`"""
    then, now = sides(d)
    return f"{_subject(d)} {then} in the baseline, {now} now{' (inherited)' if d.inherited else ''}"


def of_case(d: Difference) -> str:
    """`args.width was 832, the case asks for 480`"""
    then, now = sides(d)
    return f"{d.key} was {then}, the case {'does not ask for it' if d.now is None else f'asks for {now}'}"


def of_two(d: Difference) -> str:
    """`args.width: 832 and 480`: of two launches of which none is the older one."""
    return f"{_subject(d)} {' and '.join(sides(d))}"


def sides(d: Difference) -> tuple[str, str]:
    """The two values as people read them."""
    if d.code == "machine":
        then, now = d.machines
        return _machine(then), _machine(now)
    return _shown(d, d.then), _shown(d, d.now)


_SUBJECTS: Mapping[DifferenceCode, str] = {
    "machine": "machine:",
    "digest": "workload: digest",
    "timers": "stage timers:",
    "conditioning-cache": "conditioning cache:",
    "engine": "engine: sglang",
}


def _subject(d: Difference) -> str:
    return f"{d.key}:" if d.code == "field" else _SUBJECTS[d.code]


def _shown(d: Difference, value: object) -> str:
    if d.code == "timers":
        return "of both kinds" if value is None else "synchronised" if value else "not synchronised"
    if d.code == "conditioning-cache":
        return "on" if value else "off"
    if d.code == "digest":
        return str(value or "unknown")
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "set" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _machine(machine: Machine) -> str:
    profile = f" (MIG {machine.mig_profile})" if machine.mig_profile else ""
    if machine.kind == "cpu":
        return f"{machine.product}, {machine.count} cores"
    return f"{machine.count} x {machine.product}{profile}"
