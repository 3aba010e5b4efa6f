"""What `sgdiff tune` asks for: its options made values, its case, its GPUs and its engine. Nothing is launched."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_sgdiff.cli.case_files import all_cases
from pytest_sgdiff.cli.tune_file import check_collected, check_id, check_written
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import data_files

if TYPE_CHECKING:
    from pytest_sgdiff.data import Axis, Case, EngineInfo, OtherRequest, Space

MODEL = "model.yaml"
"""The case file of a model without a case, in the folder of its search. Nothing of it counts but the name."""
REPORTS = (".html", ".md", ".json", ".txt")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What a command asks for, all of it settled and nothing launched: `case` is the case as it is written, or the
    first of a matrix; it was `named` so, and the `folder` keeps its search; `engine` was asked for its flags. `spec`
    means the `gpus` that variants may have at a time, on this `machine`, of `products`. Sizes are in MiB, times in s,
    `within` is a fraction. `other_requests` are variants of the space that ask for something else than the case;
    `retry` are those of which launches that did not count are to be forgotten."""

    case: Case
    named: str
    folder: Path
    spec: str
    gpus: int
    machine: str
    products: tuple[str, ...]
    engine: EngineInfo
    space: Space
    other_requests: tuple[OtherRequest, ...]
    metric: str
    memory_mib: float | None
    within: float
    most_launches: int
    budget_s: float | None
    allow_lossy: bool
    arguments: tuple[str, ...]
    retry: tuple[str, ...] = ()


def prepared_for(chosen: argparse.Namespace) -> Prepared:
    """Raises SgdiffError for what cannot be meant."""
    from pytest_sgdiff.data import Location
    from pytest_sgdiff.engines.flags.lookup import flags_of
    from pytest_sgdiff.files.run_folders import PARENT
    from pytest_sgdiff.tuning.bench import ranked_by
    from pytest_sgdiff.tuning.presets import PRESETS
    from pytest_sgdiff.tuning.requests import other_requests
    from pytest_sgdiff.tuning.space import matrix_space, space

    _check_texts(chosen)
    for path in chosen.report:
        if path.suffix not in REPORTS:
            raise OptionError(f"--report {path}: the suffix chooses the form, use {', '.join(REPORTS)}")
    check_written(chosen.write)
    axes = _axes(chosen.axes)
    if chosen.preset is not None and chosen.preset not in PRESETS:
        raise OptionError(f"--preset {chosen.preset}: there is none; use one of {', '.join(PRESETS)}")
    memory_mib, budget_s, within = _size(chosen.memory), _seconds(chosen.budget), _fraction(chosen.within)
    try:
        arguments = tuple(shlex.split(chosen.pytest))
    except ValueError as error:
        raise OptionError(f"--pytest {chosen.pytest}: {str(error).lower()}") from None
    check_collected(chosen.write, arguments)
    cases = _cases(chosen)
    case, named = cases[0], cases[0].name if len(cases) > 1 else cases[0].id
    check_id(chosen.write, named)
    folder = chosen.out or Path.cwd() / PARENT / "tune" / data_files.file_name(named)[:80]
    if chosen.model is not None:
        case = replace(case, location=Location(path=os.path.relpath(folder / MODEL), line=1, column=1))
    spec = chosen.gpus or str(max(one.gpus for one in cases) or "none")
    gpus, products, machine = _gpus(spec, shown=chosen.dry_run)
    engine = _engine(chosen, case)
    flags = flags_of(engine)
    lossy: Literal["no", "yes"] = "yes" if chosen.allow_lossy else "no"
    if len(cases) > 1:
        found = matrix_space(cases, gpus=gpus, engine=flags, products=products, allow_lossy=lossy)
    else:
        found = space(
            case,
            gpus=gpus,
            engine=flags,
            products=products,
            allow_lossy=lossy,
            axes=axes,
            transformers=tuple(chosen.transformer),
            preset=chosen.preset,
        )
    if not found.variants:
        from pytest_sgdiff.reports import tune_space_text

        raise OptionError(
            f"{named}: no variant can be launched:", *(tune_space_text.pruned(one) for one in found.pruned)
        )
    if chosen.only is not None:
        found = _only(chosen.only, found)
    retry = _retry(chosen.retry, found)
    return Prepared(
        case=case,
        named=named,
        folder=folder,
        spec=spec,
        gpus=gpus,
        machine=machine,
        products=products,
        engine=engine,
        space=found,
        other_requests=other_requests(case, found.variants),
        metric=ranked_by(case, chosen.metric),
        memory_mib=memory_mib,
        within=within,
        most_launches=_launches(chosen.launches),
        budget_s=budget_s,
        allow_lossy=chosen.allow_lossy or (chosen.preset is not None and PRESETS[chosen.preset].allow_lossy),
        arguments=arguments,
        retry=retry,
    )


_EMPTY: Mapping[str, str] = {
    "case": "the id of a case",
    "model": "a model, such as Wan-AI/Wan2.1-T2V-1.3B-Diffusers, or its folder",
    "gpus": "GPUs, such as 2, 0,1 or none",
    "memory": "a size, such as 40GiB",
    "preset": "a preset, such as low-vram",
    "axes": "axes, such as attention,compile",
    "only": "settings, such as fa,compile",
    "metric": "a time, such as denoise or e2e",
    "budget": "a time, such as 2h",
    "engine_cmd": "a command, such as sglang",
    "retry": "variants, such as fa,compile",
}
"""What is to be given to the options of which an empty value would mean that they are not given."""


def _check_texts(chosen: argparse.Namespace) -> None:
    """Refuse what is empty, and models that are not on this machine. Raises OptionError."""
    for name, fix in _EMPTY.items():
        if (value := getattr(chosen, name)) is not None and not value.strip():
            option = "CASE" if name == "case" else f"--{name.replace('_', '-')}"
            raise OptionError(
                f"{option} {value!r}: is empty: give {fix}" + ("" if name == "case" else ", or leave it out")
            )
    named = [("--model", chosen.model)] if chosen.model is not None else []
    named += [("--transformer", part.strip()) for text in chosen.transformer for part in text.split(",")]
    for option, path in named:
        full = os.path.abspath(os.path.expanduser(path))
        if path.startswith("/") and not os.path.exists(path):
            raise OptionError(
                f"{option} {path}: there is no such path on this machine: correct it, or give an id such as org/name; "
                "what only a container has must be at the same path here, too"
            )
        # The engine expands no ~, and each launch has a folder of its own.
        if path.startswith(("~", "./", "../")) or (path and not path.startswith("/") and os.path.exists(path)):
            raise OptionError(
                f"{option} {path}: a launch does not find it, as it has a folder of its own: write {full}"
            )


def _axes(text: str | None) -> tuple[Axis, ...] | None:
    from pytest_sgdiff.tuning.settings import AXES

    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if name not in AXES]:
        raise OptionError(f"--axes {text}: {wrong[0] or 'an empty name'} is none; use some of {', '.join(AXES)}")
    return tuple(axis for axis in AXES if axis in names)


def _cases(chosen: argparse.Namespace) -> tuple[Case, ...]:
    """The case that is meant; or, of the name of a matrix, all its cases, the first of which the others are compared
    with."""
    if (chosen.case is None) == (chosen.model is None):
        raise OptionError("sgdiff tune: name a case, or a model with --model, and not both")
    if chosen.model is not None:
        return (_bare(chosen),)
    for option in ("width", "height", "frames", "steps"):
        if getattr(chosen, option) is not None:
            raise OptionError(f"--{option}: is for a model (--model); a case says it itself")
    path, _, name = chosen.case.rpartition("::")
    known = _of_file(path) if path else all_cases("sgdiff tune")
    if (case := known.get(name)) is not None:
        return (case,)
    matrix = tuple(case for case in known.values() if case.name == name)
    if not matrix:
        raise OptionError(_no_case(chosen.case, known))
    for option in ("axes", "preset", "transformer"):
        if getattr(chosen, option):
            example = matrix[0].id
            raise OptionError(f"--{option}: {chosen.case} is a matrix, which has its variants: name one, as {example}")
    return matrix


def _of_file(path: str) -> dict[str, Case]:
    """The cases of a file, as the ids of pytest's tests name it. Raises OptionError if it has none."""
    from pytest_sgdiff.cases.load import read_if_cases

    file, found = Path(path), None
    if file.suffix in (".yaml", ".yml") and file.is_file():
        found = read_if_cases(file, Path.cwd())
    if not found:
        raise OptionError(f"{path}: is no file of cases: {_GIVE}")
    return {case.id: case for case in found}


_GIVE = "give the id of a case, as `sgdiff cases` lists them, or FILE::ID, such as cases/mine.yaml::mine"


def _no_case(text: str, known: Mapping[str, Case]) -> str:
    """That there is no such case, and what to give instead."""
    from difflib import get_close_matches

    names = sorted({*known, *(one.name for one in known.values())})
    if near := get_close_matches(text.rpartition("::")[2], names, n=1):
        return f"{text}: no such case, did you mean {near[0]}?"
    own = [one.id for one in known.values() if os.path.realpath(one.location.path) == os.path.realpath(text)]
    if own:
        return f"{text}: is a file: give one of its cases: {', '.join(own)}"
    return f"{text}: no such case: {_GIVE}"


def _bare(chosen: argparse.Namespace) -> Case:
    """A case of a model and a size. It has no file, so its search writes one for pytest to find."""
    from pytest_sgdiff.tuning.bare import Bare, bare_case, shipped

    for option in ("width", "height", "frames", "steps"):
        if (value := getattr(chosen, option)) is not None and value < 1:
            raise OptionError(f"--{option} {value}: must be above 0")
    gpus, _, _ = _gpus(chosen.gpus or "1", shown=chosen.dry_run)
    said = Bare(
        model=chosen.model,
        gpus=gpus,
        width=chosen.width,
        height=chosen.height,
        frames=chosen.frames,
        steps=chosen.steps,
    )
    return bare_case(said, shipped())


def _gpus(spec: str, *, shown: bool) -> tuple[int, tuple[str, ...], str]:
    """How many GPUs variants may have at a time, their products, and the machine that has them. Where variants are only
    shown, there need be none."""
    from pytest_sgdiff.errors import LeaseError
    from pytest_sgdiff.gpus.selection import OPTION, resolve
    from pytest_sgdiff.machine import machine_of

    try:
        eligible = resolve(spec)
    except (OptionError, LeaseError) as error:
        if not shown or not re.fullmatch(r"[0-9]{1,4}", spec):
            # The option of pytest means the same under another name.
            raise OptionError(*(str(line).replace(OPTION, "--gpus") for line in error.args)) from None
        return int(spec), (), ""
    machine = machine_of(eligible.gpus[: eligible.size])
    named = machine.product + (f" x {machine.count}" if machine.kind == "gpu" and machine.count > 1 else "")
    return eligible.size, tuple(dict.fromkeys(gpu.name for gpu in eligible.gpus)), named


def _engine(chosen: argparse.Namespace, case: Case) -> EngineInfo:
    """The engine, asked for its flags. Where variants are only shown, the newest that is known if none is there."""
    from tempfile import TemporaryDirectory

    from pytest_sgdiff.cli.configuration import configuration
    from pytest_sgdiff.data import EngineInfo
    from pytest_sgdiff.engines.flags.translate import NEWEST
    from pytest_sgdiff.errors import EngineNotFoundError
    from pytest_sgdiff.launch.engine_help import AskedEngines
    from pytest_sgdiff.machine import engine_info

    named = chosen.engine_cmd or os.environ.get("SGDIFF_ENGINE_CMD")
    if not named:
        _, values = configuration(Path.cwd(), fix="correct it, or name the engine with --engine-cmd")
        named = str(values.get("sgdiff_engine_cmd") or "sglang")
    try:
        words = tuple(shlex.split(named))
    except ValueError as error:
        raise OptionError(f"--engine-cmd {named}: {str(error).lower()}") from None
    try:
        info = engine_info(words, option="--engine-cmd")
    except EngineNotFoundError:
        if not chosen.dry_run:
            raise
        return EngineInfo(command=words, version=NEWEST)
    with TemporaryDirectory(prefix="sgdiff-tune-") as folder:
        asked = AskedEngines(Path(folder), lambda text: print(text, file=sys.stderr))
        asked.ask(info, [case])
        return asked.of(info)


def _only(text: str, found: Space) -> Space:
    """The variants that `tuning.space.limited` keeps. Raises OptionError for a setting that no variant has."""
    from pytest_sgdiff.tuning.space import limited

    names = [name.strip() for name in text.split(",")]
    known = {setting.name for variant in found.variants for setting in variant.settings}
    same = {one.name: one.same for one in found.pruned if one.code == "same" and len(one.settings) == 1}
    for name in names:
        if name not in known:
            if name in same:
                raise OptionError(
                    f"--only {text}: {name} is what {same[name]} is: leave {name} out"
                    + (f", or use some of {', '.join(sorted(known))}" if known else "")
                )
            left_out = any(setting.name == name for one in found.pruned for setting in one.settings)
            raise OptionError(
                f"--only {text}: {name or 'an empty name'} is "
                + (
                    "left out (--dry-run says why)"
                    if left_out
                    else f"none; use some of {', '.join(sorted(known)) or 'none, as there are none'}"
                )
            )
    return limited(found, names)


def _retry(text: str | None, found: Space) -> tuple[str, ...]:
    """The variants that are named. Raises OptionError for one that there is none of."""
    if text is None:
        return ()
    known = {one.name: one for one in found.variants}
    # Reports say in brackets what must be known of a variant, such as `(lossy) (other steps, another size)`.
    names = tuple(dict.fromkeys(name.strip() for name in re.sub(r" \([^()]*\)", "", text).split(",")))
    for name in names:
        if name not in known:
            raise OptionError(
                f"--retry {text}: {name or 'an empty name'} is no variant here; use some of {', '.join(known)}"
            )
    return names


def _launches(number: int | None) -> int:
    from pytest_sgdiff.tuning.search import MOST_LAUNCHES

    if number is not None and number < 1:
        raise OptionError(f"--launches {number}: must be above 0")
    return number or MOST_LAUNCHES


def _size(text: str | None) -> float | None:
    """In MiB."""
    if text is None:
        return None
    units = {"mib": 1.0, "gib": 1024.0, "mb": 1e6 / 2**20, "gb": 1e9 / 2**20}
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?) ?([MG]i?B)", text.strip(), re.ASCII | re.IGNORECASE)
    if match is None or not float(match[1]) > 0:
        raise OptionError(f"--memory {text}: must be a size above 0, such as 40GiB or 40000MiB")
    return float(match[1]) * units[match[2].lower()]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    number, whole = r"(\d{1,9}(?:\.\d+)?)", text.strip()
    match = re.fullmatch(rf"(?:{number} ?h)? ?(?:{number} ?m(?:in)?)? ?(?:{number} ?s)?|{number}", whole, re.ASCII)
    # A number without a unit is one of seconds, but only by itself: 1h30 may mean anything.
    hours, minutes, seconds, alone = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0, 0.0)
    if not (total := hours * 3600 + minutes * 60 + seconds + alone) > 0:
        raise OptionError(f"--budget {text}: must be a time above 0, such as 2h, 90m or 1h30m")
    return total


def _fraction(text: str) -> float:
    match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?) ?%", text.strip(), re.ASCII)
    if match is None or not float(match[1]) > 0:
        raise OptionError(f"--within {text}: must be a percentage above 0 % and below 100 %, such as 2%")
    return float(match[1]) / 100
