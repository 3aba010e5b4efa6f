"""How a case file is written for people: ids after models, texts with quotes where YAML needs them, and cases."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pytest_sgdiff.data import Case
from pytest_sgdiff.data.pictures import QualityChoice

# What YAML reads as the text that it is, whatever stands around it.
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9 _./-]*[A-Za-z0-9_]")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def id_of_model(model: str) -> str:
    """The id of a case of a model: `wan2_1_t2v_1_3b` of `Wan-AI/Wan2.1-T2V-1.3B-Diffusers`."""
    name = model.rstrip("/").rpartition("/")[2].lower().removesuffix("-diffusers")
    word = re.sub(r"[^a-z0-9]+", "_", name.encode("ascii", "ignore").decode()).strip("_")[:60]
    return word if word[:1].isalpha() else f"case_{word}".rstrip("_")


def scalar(text: str) -> str:
    """A text as YAML, in quotes where it needs them."""
    bare = _BARE.fullmatch(text) and text.lower() not in _WORDS
    return text if bare else "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def flow(value: Any) -> str:
    """A value on one line: mappings as `{key: value}`, lists as `[value]`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(str(key))}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return scalar(value) if isinstance(value, str) else repr(value)


def keys_of(case: Case) -> dict[str, Any]:
    """What a case file says of a case, by its keys; what is as the file's default is left out. Without the relation,
    and without what a file does not say: its id and place."""
    found = {
        "summary": case.summary,
        "marks": list(case.marks),
        "fixtures": list(case.fixtures),
        "model": case.model,
        "gpus": case.gpus,
        "engine": case.engine,
        "backend": case.backend,
        "warmup": case.warmup,
        "env": dict(case.env),
        "args": dict(case.args),
        "config": dict(case.config),
        "assets": dict(case.assets),
        "expect": _stated(case.expect),
        "metrics": _stated(case.metrics),
        "launches": {_LAUNCHES.get(key, key): value for key, value in _stated(case.launches).items()},
        "quality": _quality(case.quality),
        "timeout": _duration(case.timeout_s),
        "requires": _stated(case.requires),
        "source": case.source,
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {}) and (key, value) != _OFTEN}


_LAUNCHES = {"looks": "checkpoints"}
_OFTEN = ("quality", "lossless")


def _stated(part: Any) -> dict[str, Any]:
    """The fields of a part of a case that are not as they are by default."""
    return dict(_differ(part))


def _differ(part: Any) -> Iterator[tuple[str, Any]]:
    usual = type(part)()
    for one in fields(part):
        value = getattr(part, one.name)
        if value != getattr(usual, one.name):
            yield one.name, _stated(value) if hasattr(value, "__dataclass_fields__") else value


def _quality(choice: QualityChoice) -> Any:
    figures = {key: value for key, value in _stated(choice).items() if key != "mode"}
    return figures if choice.mode == "bounded" else choice.mode


def _duration(seconds: float) -> str:
    if seconds % 60 == 0:
        return f"{seconds / 60:.0f}m"
    return f"{seconds:.0f}s" if seconds == int(seconds) else f"{seconds!r}s"


def _escaped(character: str) -> str:
    """A character within quotes. YAML folds lines at more characters than JSON, and refuses others."""
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"
