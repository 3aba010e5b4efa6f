"""How settings change a case, and whether two cases are the same work."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sgdiff.data import ArgValue, Case, Scalar
from pytest_sgdiff.data.pictures import QualityChoice
from pytest_sgdiff.data.tuning import Setting, Variant
from pytest_sgdiff.engines.attention import denoiser_asked
from pytest_sgdiff.engines.flags.lookup import config_key, flag_of, given

AS_WRITTEN = "as-written"
"""The name of the variant that is the case as it is written."""

CFG = ("enable-cfg-parallel", "cfg-parallel-size")
SEQUENCE = ("ulysses-degree", "ring-degree", "sp-degree")
SPREAD = (*CFG, *SEQUENCE, "tp-size")
"""The flags that say how a request is spread over GPUs."""

_COMPILE = "enable-torch-compile"
# What the engine does where nothing is said.
_USUAL = {"pin-cpu-memory": "true", "save-output": "true"}


def name_of(settings: Sequence[Setting]) -> str:
    """What a variant with these settings is called: `cfg2+compile`."""
    return "+".join(setting.name for setting in settings) or AS_WRITTEN


def variant_of(case: Case, settings: Sequence[Setting]) -> Variant:
    """The case with these settings, under an id of its own."""
    name = name_of(settings)
    return Variant(name=name, case=with_settings(case, settings, name=name), settings=tuple(settings))


def with_settings(case: Case, settings: Sequence[Setting], *, name: str) -> Case:
    """The case with the flags and variables of the settings, called `name` in its id, and without its relation.

    A flag keeps its place on the command line where the case has it. The attention backend that is asked for is
    expected, so that a launch with another one does not count. Pictures of a lossy variant are compared, and may be
    any but blank ones.
    """
    args, env, config = dict(case.args), dict(case.env), dict(case.config)
    gpus = case.gpus
    for setting in settings:
        for flag, value in setting.args.items():
            config.pop(config_key(flag), None)
            _put(args, flag, value)
        for variable, text in setting.env.items():
            _put(env, variable, text)
        gpus = gpus if setting.gpus is None else setting.gpus
    changed = replace(
        case,
        variant=name if case.variant is None else f"{case.variant}.{name}",
        gpus=gpus,
        args=args,
        env=env,
        config=config,
        faster_than=None,
    )
    # What diffusers runs is not proved by the log.
    if case.runs_on == "sglang" and any(setting.axis == "attention" for setting in settings):
        changed = replace(changed, expect=replace(case.expect, attention=denoiser_asked(changed)))
    if any(setting.lossy for setting in settings):
        marks = tuple(dict.fromkeys((*case.marks, "lossy")))
        changed = replace(changed, marks=marks, quality=QualityChoice(mode="lossy"))
    return changed


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        values.pop(key, None)
    else:
        values[key] = value


def degrees(case: Case) -> tuple[int, int, int, int] | None:
    """CFG, Ulysses, ring and tensor parallel degree of a case, as the engine completes what is given; None where the
    engine chooses, and where the degrees do not make the case's GPUs."""
    if case.gpus < 2:
        return (1, 1, 1, 1)
    said = {flag: given(case, flag) for flag in SPREAD}
    if all(value is None for value in said.values()):
        return None
    # The engine's own order: what CFG and tensor parallel leave is the sequence's, by Ulysses where nothing is said.
    cfg = _count(said["cfg-parallel-size"]) or (2 if _on(said["enable-cfg-parallel"]) else 1)
    tp = _count(said["tp-size"]) or 1
    ulysses, ring, sp = (_count(said[flag]) for flag in SEQUENCE)
    if ulysses is None and ring is None:
        ulysses = sp or case.gpus // (cfg * tp)
    found = (cfg, ulysses or 1, ring or 1, tp)
    return found if found[0] * found[1] * found[2] * found[3] == case.gpus else None


def work(case: Case) -> Hashable:
    """What the engine is asked to do, however the case says it: two cases with the same are one variant in two
    spellings."""
    flags = {flag_of(key) or f"config {key}": comparable(value) for key, value in case.config.items()}
    flags |= {flag: comparable(value) for flag, value in case.args.items()}
    spread = degrees(case)
    if spread is not None:
        for flag in SPREAD:
            flags.pop(flag, None)
    # Compilation is off by default, unless a mode turns it on.
    usual = {**_USUAL, **({} if {"performance-mode", "mode"} & set(flags) else {_COMPILE: "false"})}
    for flag, value in usual.items():
        if flags.get(flag) == value:
            del flags[flag]
    # What a fixture adds nobody knows before it ran; of a server's requests times are the medians.
    served = (case.served_requests, case.varied) if case.serves else None
    return (
        (case.model, case.gpus, case.engine, case.backend, case.warmup, spread, case.fixtures, served),
        frozenset(case.assets.items()),
        frozenset(flags.items()),
        frozenset((name, text.lower()) for name, text in case.env.items()),
    )


def same_but_for(case: Case, settings: Sequence[Setting]) -> Hashable:
    """The work of the case with these settings."""
    return work(with_settings(case, settings, name=""))


def comparable(value: Any) -> Hashable:
    """The value of a flag as the engine takes it: 1 and 1.0 are the same, and so are true and True."""
    if isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false")):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{float(value):g}"
    if isinstance(value, tuple | list):
        return tuple(map(comparable, value))
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _on(value: ArgValue | None) -> bool:
    return value is not None and str(value).lower() != "false"


def _count(value: ArgValue | Scalar | None) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        return None
    return int(value) or None
