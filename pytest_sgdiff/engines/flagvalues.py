"""What is wrong with how a case writes the value of a flag, for one release."""

from __future__ import annotations

from collections.abc import Callable

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.engines import flagtable, modeltable
from pytest_sgdiff.engines.flags import choices_of, text_of
from pytest_sgdiff.engines.flagtable import Kind


def value_problem(name: str, value: ArgValue, kind: Kind, release: int) -> tuple[str, str] | None:
    """What is wrong with how the value is written for that kind of flag."""
    if kind == "switch":
        if not isinstance(value, bool):
            meant = "false" if shown(value).lower() == "false" else "true"
            return "flag-value", f"--{name} takes no value in sglang 0.5.{release}: write `{name}: {meant}`"
        return None
    if kind == "boolean":
        if isinstance(value, bool) or str(value).lower() in ("true", "false"):
            return None
        return "flag-value", f"--{name} takes true or false, not {shown(value)}: any other value ends the engine"
    if value is True:
        return "flag-value", f"--{name} needs a value"
    if kind == "value" and isinstance(value, tuple):
        return "flag-value", f"--{name} takes one value in sglang 0.5.{release}, not {len(value)}"
    if isinstance(value, tuple) and any(text_of(part).startswith("-") for part in value):
        return "flag-value", f"--{name}: a value that begins with '-' in a list would be taken for a flag"
    return _number_problem(name, value) or choice_problem(name, value, release)


def _number_problem(name: str, value: ArgValue) -> tuple[str, str] | None:
    """What is no number of a flag that takes one, as the parser reads it: `2.0` is no whole number."""
    for names, read, what in ((flagtable.INTEGERS, int, "a whole number"), (flagtable.FLOATS, float, "a number")):
        if name in names.split():
            odd = next((text for text in _texts(value) if not _reads(read, text)), None)
            return None if odd is None else ("flag-value", f"--{name} takes {what}, not {odd}")
    return None


def choice_problem(name: str, value: ArgValue, release: int) -> tuple[str, str] | None:
    """Whether the release has the value, of flags with a choice of values."""
    allowed = choices_of(name, release)
    for part in _texts(value):
        if allowed and part not in allowed:
            return "flag-value", f"sglang 0.5.{release} has no --{name} {part}; it has {', '.join(allowed)}"
    if name in ("pipeline-class-name", "pipeline"):
        since = modeltable.PIPELINES.get(shown(value), 0)
        if release < since:
            return "pipeline-missing", f"sglang 0.5.{release} has no {shown(value)}: it came with 0.5.{since}"
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
