"""Shapes of single values."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from pytest_sgdiff.cases.shapes.protocol import Schema, did_you_mean, fits, said
from pytest_sgdiff.cases.tree import Leaf, Mistakes, Node, describe

_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|h)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*%")
# In a name of `OneOf`: any name that an engine gives.
_ANY, _ANY_NAME = "<name>", "[A-Za-z0-9_.]+"
_YES_NO = {"yes": "true", "on": "true", "no": "false", "off": "false"}
# For the schema alone, which cannot compute: a digit that is not 0, no three digits before the point, and one part of a
# version specifier.
_NOT_ZERO = r"(?=.*[1-9])"
_BELOW_HUNDRED = r"(?!0*[1-9]\d\d)"
_A_DURATION = "a duration such as 45m, 90s or 2h, or seconds"
_A_SPECIFIER = "a version specifier such as >=0.5.11"
_CLAUSE = r"(?:===\s*[^\s,]+|(?:==|~=|!=|[<>]=?)\s*v?\d[\w.!+*-]*)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """Text; with a `pattern`, text that matches it wholly and that `what` describes."""

    pattern: str = ""
    what: str = "non-empty text"

    def check(self, node: Node, name: str, mistakes: Mistakes) -> str | None:
        if not isinstance(node, Leaf) or not isinstance(node.value, str):
            quote = f': quote it ("{node.text}")' if isinstance(node, Leaf) and node.value is not None else ""
            mistakes.add(node.place, f"'{name}' must be str, got {describe(node)}{quote}")
            return None
        if self.pattern and not fits(self.pattern, node.value):
            mistakes.add(node.place, f"'{name}' must be {self.what}, got {describe(node)}")
            return None
        return node.value

    def schema(self) -> Schema:
        pattern = {"pattern": f"^(?:{self.pattern})$"} if self.pattern else {}
        return {"type": "string", **pattern, **said(self.what if self.pattern else "text: put it into quotes")}


@dataclass(frozen=True, kw_only=True, slots=True)
class OneOf:
    """One of the names that a table has, asked for anew each time: `e2e`, or `stage:<name>` for any name behind the
    colon."""

    names: Callable[[], tuple[str, ...]]

    def check(self, node: Node, name: str, mistakes: Mistakes) -> str | None:
        text = Text().check(node, name, mistakes)
        if text is not None and not self.has(text):
            mistakes.add(node.place, f"'{name}' must be {self.what}, got {describe(node)}{self.hint(text)}")
            return None
        return text

    def has(self, text: str) -> bool:
        """Whether it is one of them."""
        return re.fullmatch(self.pattern, text) is not None

    @property
    def pattern(self) -> str:
        """A regular expression that matches each of them."""
        return "|".join(re.escape(name).replace(re.escape(_ANY), _ANY_NAME) for name in self.names())

    @property
    def plain(self) -> list[str]:
        """Those that are whole as they stand."""
        return [name for name in self.names() if _ANY not in name]

    @property
    def what(self) -> str:
        """All of them: `denoise, e2e or stage:<name>`."""
        *others, last = self.names()
        return f"{', '.join(others)} or {last}" if others else last

    def hint(self, text: str) -> str:
        """`, did you mean 'e2e'?` where one is close, else nothing."""
        _, colon, rest = text.partition(":")
        known = [name.replace(_ANY, rest) if colon else name for name in self.names() if colon or _ANY not in name]
        return did_you_mean(text, known) if rest or not colon else ""

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$", "examples": self.plain, **said(self.what)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Int:
    """A whole number, at least `minimum`."""

    minimum: int

    def check(self, node: Node, name: str, mistakes: Mistakes) -> int | None:
        # bool is an int in Python, and never one in a case file.
        if not isinstance(node, Leaf) or not isinstance(node.value, int) or isinstance(node.value, bool):
            mistakes.add(node.place, f"'{name}' must be int, got {describe(node)}")
            return None
        if node.value < self.minimum:
            mistakes.add(node.place, f"'{name}' must be {self.minimum} or more, got {describe(node)}")
            return None
        return node.value

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.minimum, **said(f"a whole number from {self.minimum} on")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Positive:
    """A finite number above 0."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> float | None:
        value = node.value if isinstance(node, Leaf) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            mistakes.add(node.place, f"'{name}' must be a number above 0, got {describe(node)}")
            return None
        return float(value)

    def schema(self) -> Schema:
        return {"type": "number", "exclusiveMinimum": 0, **said("a number above 0")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Bool:
    """`true` or `false`: YAML 1.2 knows no `yes` and `no`."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> bool | None:
        if isinstance(node, Leaf) and isinstance(node.value, bool):
            return node.value
        word = _YES_NO.get(node.text.lower()) if isinstance(node, Leaf) else None
        fix = f": write {word}" if word else ""
        mistakes.add(node.place, f"'{name}' must be bool, got {describe(node)}{fix}")
        return None

    def schema(self) -> Schema:
        return {"type": "boolean", **said("true or false")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of a few words."""

    options: tuple[str, ...]

    def check(self, node: Node, name: str, mistakes: Mistakes) -> str | None:
        if isinstance(node, Leaf) and isinstance(node.value, str) and node.value in self.options:
            return node.value
        hint = did_you_mean(node.text, self.options) if isinstance(node, Leaf) else ""
        mistakes.add(node.place, f"'{name}' must be {self.what}, got {describe(node)}{hint}")
        return None

    @property
    def what(self) -> str:
        """All of them: `'request' or 'off'`."""
        return " or ".join(f"'{option}'" for option in self.options)

    def schema(self) -> Schema:
        return {"enum": list(self.options), **said(self.what)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Duration:
    """`45m`, `90s`, `2h`, or a number of seconds; in seconds."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> float | None:
        seconds: float | None = None
        if isinstance(node, Leaf):
            if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
                seconds = float(node.value)
            elif isinstance(node.value, str) and (match := _DURATION.fullmatch(node.value)):
                seconds = float(match[1]) * _SECONDS[match[2]]
        if seconds is None or not math.isfinite(seconds):
            mistakes.add(node.place, f"'{name}' must be {_A_DURATION}, got {describe(node)}")
            return None
        if seconds <= 0:
            mistakes.add(node.place, f"'{name}' must be more than 0, got {describe(node)}")
            return None
        return seconds

    def schema(self) -> Schema:
        pattern = f"^{_NOT_ZERO}{_DURATION.pattern}$"
        return {"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": pattern, **said(_A_DURATION)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A part of a whole, `4%` or `0.04`; as a fraction below 1. With `or_zero`, 0 too."""

    or_zero: bool = False
    what: ClassVar[str] = "a share such as 4% or 0.04"

    def check(self, node: Node, name: str, mistakes: Mistakes) -> float | None:
        share: float | None = None
        if isinstance(node, Leaf):
            if isinstance(node.value, (int, float)) and not isinstance(node.value, bool):
                share = float(node.value)
            elif isinstance(node.value, str) and (match := _PERCENT.fullmatch(node.value)):
                share = float(match[1]) / 100
        if share is None or not math.isfinite(share):
            mistakes.add(node.place, f"'{name}' must be {self.what}, got {describe(node)}")
            return None
        if share >= 1:
            percent = isinstance(node, Leaf) and "%" not in node.text and share < 100
            fix = f": for {share:g} % write {share:g}%" if percent else ""
            mistakes.add(node.place, f"'{name}' must be less than 100%, got {describe(node)}{fix}")
            return None
        if share < 0 or (share == 0 and not self.or_zero):
            least = "0 or more" if self.or_zero else "more than 0"
            mistakes.add(node.place, f"'{name}' must be {least}, got {describe(node)}")
            return None
        return share

    def schema(self) -> Schema:
        least = "minimum" if self.or_zero else "exclusiveMinimum"
        more = "" if self.or_zero else _NOT_ZERO
        pattern = f"^{more}{_BELOW_HUNDRED}{_PERCENT.pattern}$"
        return {
            "type": ["number", "string"],
            least: 0,
            "exclusiveMaximum": 1,
            "pattern": pattern,
            **said(f"{self.what}, {'from 0' if self.or_zero else 'above 0'} to below 100%"),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Specifier:
    """Versions, as a PEP 440 specifier; as text."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> str | None:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet

        text = Text().check(node, name, mistakes)
        if text is None:
            return None
        try:
            SpecifierSet(text)
        except InvalidSpecifier:
            mistakes.add(node.place, f"'{name}' must be {_A_SPECIFIER}, got {describe(node)}")
            return None
        return text

    def schema(self) -> Schema:
        # What packaging reads, nearly: editors mark what is no specifier at all, the plugin what is none in the end.
        pattern = rf"^[\s,]*(?:{_CLAUSE}\s*,[\s,]*)*(?:{_CLAUSE}\s*)?$"
        return {"type": "string", "pattern": pattern, **said(_A_SPECIFIER)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """Any single value: text, a finite number, or a bool."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> str | int | float | bool | None:
        if not isinstance(node, Leaf) or node.value is None:
            mistakes.add(node.place, f"'{name}' must be a single value, got {describe(node)}")
            return None
        if isinstance(node.value, float) and not math.isfinite(node.value):
            mistakes.add(node.place, f"'{name}' must be finite, got {describe(node)}")
            return None
        return node.value

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean"], **said("a single value")}
