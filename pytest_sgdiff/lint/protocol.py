"""A rule of advice, and how it sees a case."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import ArgValue, Case, Transformer
from pytest_sgdiff.engines.flags.lookup import EngineFlags, given, key_given

_TRUE = ("true", "1", "yes", "on")


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """A case as rules ask about it. `version` is the engine's, () if unknown; `engine` are its flags, None if nobody
    knows which engine it will be; `products` are names of GPUs that will or may run the case, () if unknown;
    `transformers` are those of the model as somebody read them in its folder, None if nobody looked."""

    case: Case
    version: tuple[int, ...] = ()
    engine: EngineFlags | None = None
    products: tuple[str, ...] = ()
    transformers: Sequence[Transformer] | None = None

    def arg(self, flag: str) -> ArgValue | None:
        """The value of a flag, given under `args` or in the config; None if the case does not give it."""
        return given(self.case, flag)

    def number(self, flag: str) -> float | None:
        """A flag's number; None if it is not given or is none."""
        try:
            return float(self.word(flag))
        except ValueError:
            return None

    def on(self, flag: str) -> bool:
        """Whether a boolean flag is given and not false."""
        value = self.arg(flag)
        return value is not None and str(value).lower() != "false"

    def off(self, flag: str) -> bool:
        """Whether a boolean flag is given as false."""
        return str(self.arg(flag)).lower() == "false"

    def count(self, flag: str) -> int | None:
        """A flag's whole number; None if it is not given or is none."""
        value = self.arg(flag)
        if isinstance(value, bool) or not isinstance(value, (int, str)) or not re.fullmatch(r"\d{1,9}", str(value)):
            return None
        return int(value)

    def word(self, flag: str) -> str:
        """A flag's value as lower-case text; empty if it is not given."""
        value = self.arg(flag)
        return "" if value is None else str(value).lower()

    def key_of(self, flag: str) -> str | None:
        """The dotted key that gives the flag, as an argument, as an asset or in the config; None if none does."""
        return key_given(self.case, flag)

    def place(self, flag: str) -> str:
        """The dotted key to report at for a flag: where it is given, or would be."""
        return self.key_of(flag) or f"args.{flag}"

    def env_on(self, name: str) -> bool:
        return self.case.env.get(name, "").lower() in _TRUE

    def model_has(self, *parts: str) -> bool:
        """Whether the model's name holds one of the parts, upper and lower case alike."""
        return any(part.lower() in self.case.model.lower() for part in parts)

    def gpu_has(self, *words: str) -> str | None:
        """The first GPU product that holds one of the words as a word: `H100` is in `NVIDIA H100 80GB HBM3`."""
        return next((product for product in self.products if self._has_word(product, words)), None)

    def only_gpus(self, *words: str) -> str | None:
        """The first GPU product if every one that may run the case holds one of the words; else None."""
        held = {product for product in self.products if self._has_word(product, words)}
        return self.products[0] if held and held == set(self.products) else None

    def older_than(self, *version: int) -> bool:
        """Whether the engine is known to be older."""
        return self.version != () and self.version < version

    @staticmethod
    def _has_word(product: str, words: tuple[str, ...]) -> bool:
        return bool(set(re.split(r"[\s\-_]+", product.lower())) & {word.lower() for word in words})


def first_of(view: View, flags: Iterable[str]) -> Iterator[str]:
    """Those flags that the case gives as a value; an asset is given as a file."""
    return (flag for flag in flags if view.arg(flag) is not None)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule finds: the dotted key at whose place it is reported, and what happens, with the fix."""

    key: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """`check` yields a finding for every place where the case goes against what `slug` stands for."""

    slug: str
    level: Literal["error", "warning"]
    check: Callable[[View], Iterator[Finding]]
