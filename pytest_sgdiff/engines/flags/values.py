"""What is wrong with how a case writes the value of a flag, for one engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.engines.flags import models, table
from pytest_sgdiff.engines.flags.lookup import EngineFlags, kind_of, text_of
from pytest_sgdiff.engines.flags.table import Kind
from pytest_sgdiff.lookalikes import in_name


@dataclass(frozen=True, kw_only=True, slots=True)
class FlagProblem:
    """What is wrong with a flag. `sure` is False where only tables say so that are older than the engine; `meant` is
    the flag that it resembles, empty if it resembles none."""

    slug: str
    message: str
    sure: bool = True
    meant: str = ""


def value_problem(name: str, value: ArgValue, kind: Kind, engine: EngineFlags) -> FlagProblem | None:
    """What is wrong with how the value is written for that kind of flag."""
    if kind == "switch":
        if not isinstance(value, bool):
            meant = "false" if shown(value).lower() == "false" else "true"
            return _wrong(f"--{name} takes no value in {engine.name}: write `{name}: {meant}`")
        return None
    if kind == "boolean":
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return None
        # A help shows alike what takes true or false and what takes any value, or none.
        sure = kind_of(name, engine.release) == "boolean"
        return _wrong(f"--{name} takes true or false, not {shown(value)}: any other value ends the engine", sure=sure)
    if value is True:
        return _wrong(f"--{name} needs a value")
    if kind == "value" and isinstance(value, tuple):
        return _wrong(f"--{name} takes one value in {engine.name}, not {len(value)}")
    if isinstance(value, tuple) and any(text_of(part).startswith("-") for part in value):
        return _wrong(f"--{name}: a value that begins with '-' in a list would be read as a flag")
    return _number_problem(name, value, engine) or choice_problem(name, value, engine)


def _wrong(message: str, *, sure: bool = True) -> FlagProblem:
    return FlagProblem(slug="flag-value", message=message, sure=sure)


def _number_problem(name: str, value: ArgValue, engine: EngineFlags) -> FlagProblem | None:
    """What is no number of a flag that takes one, as the parser reads it: `2.0` is no whole number."""
    for names, read, what in ((table.INTEGERS, int, "a whole number"), (table.FLOATS, float, "a number")):
        if name in names.split():
            odd = next((text for text in _texts(value) if not _reads(read, text)), None)
            # No help says whether a flag takes a number.
            sure = not engine.version.newest
            return None if odd is None else _wrong(f"--{name} takes {what}, not {odd}{in_name(odd)}", sure=sure)
    return None


def choice_problem(name: str, value: ArgValue, engine: EngineFlags) -> FlagProblem | None:
    """Whether the engine has the value, of flags with a choice of values."""
    allowed = engine.choices_of(name)
    for part in _texts(value):
        if allowed and part not in allowed:
            return _wrong(f"{engine.name} has no --{name} {part}; it has {', '.join(allowed)}{in_name(part)}")
    if name in ("pipeline-class-name", "pipeline"):
        since = models.PIPELINES.get(shown(value), 0)
        if engine.release < since:
            message = f"{engine.name} has no {shown(value)}: it came with 0.5.{since}"
            return FlagProblem(slug="pipeline-missing", message=message)
    return None


def shown(value: ArgValue) -> str:
    """A value as a person would write it after its flag."""
    return " ".join(_texts(value))


def _texts(value: ArgValue) -> tuple[str, ...]:
    return tuple(map(text_of, value)) if isinstance(value, tuple) else (text_of(value),)


def _reads(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True
