"""Quantised transformers: those that the user has, and those that the engine makes while it loads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.tuning.axes.protocol import LOSSY, Choice, Ground

_REPLACES: Mapping[str, ArgValue | None] = dict.fromkeys(
    (
        *("transformer-path", "transformer-2-path", "transformer-weights-path", "component-paths.transformer"),
        *("component-weights-paths.transformer", "enable-svdquant", "quantization", "quantization-precision"),
        *("quantization-rank", "quantized-model-path"),
    )
)
_WEIGHTS = re.compile(r"\.(?:safetensors|gguf|bin|pt|pth)$", re.IGNORECASE)
_SVDQUANT = re.compile(r"svdq|nunchaku", re.IGNORECASE)


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    if not ground.native:
        return ()
    found: list[Choice] = []
    names: set[str] = set()
    for text in ground.transformers:
        setting = _transformer(text, taken=names)
        names.add(setting.name)
        found.append(Choice(setting=setting))
    if ground.gpus:
        online = Setting(
            axis="quantised",
            name="fp8-online",
            args={**_REPLACES, "quantization": "fp8"},
            lossy=True,
            source="engine flag quantization: FP8 of a BF16 checkpoint, made while it is loaded",
        )
        found.append(Choice(setting=online, role="side"))
    return found


def _transformer(text: str, *, taken: set[str]) -> Setting:
    """The setting of a transformer that the user gives: a folder, a repository or a file of weights. Two with a comma
    between them are those of a model with two. Raises OptionError where one is missing."""
    path, comma, second = (part.strip() for part in text.partition(","))
    if not path or (comma and not second):
        raise OptionError(f"--transformer {text!r}: name a folder, a repository or a file, or two with a comma between")
    args: dict[str, ArgValue | None] = dict(_REPLACES)
    if _SVDQUANT.search(path):
        row = "quantised models: 1.5 to 2 times as fast, a quarter of the transformer's memory"
        args |= {"enable-svdquant": True, "transformer-weights-path": path}
    else:
        row = "pre-quantised transformer: 1.3 to 1.5 times as fast in compute"
        args["transformer-weights-path" if _WEIGHTS.search(path) else "transformer-path"] = path
    if second:
        args["transformer-2-path"] = second
    return Setting(
        axis="quantised",
        name=_free(f"transformer-{_slug(path)}", taken),
        args=args,
        lossy=True,
        source=f"{LOSSY}, {row}",
    )


def _slug(path: str) -> str:
    """A name after the last part of a path: letters, digits, `_`, `.` and `-`, at most 40 of them."""
    last = path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", _WEIGHTS.sub("", last)).strip("-.")[:40] or "unnamed"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free
