"""What the transformers of a model are made of, where the case names a folder on this machine: rules of advice read no
files, so they are handed this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pytest_sgdiff.data import Case, Transformer
from pytest_sgdiff.engines.flags.lookup import given

_LIMIT: Final = 1 << 20
"""Bytes of a `config.json`: those of published transformers have some kB."""
_MOST_HEADS: Final = 4096
"""Published transformers have some 10 to 100: a larger number is a damaged file."""
# Every component that the engine loads as a transformer, with the flags that put another one in its place.
_COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "transformer": ("transformer-path", "component-paths.transformer"),
    "transformer_2": ("transformer-2-path", "component-paths.transformer_2"),
    "video_dit": ("video-dit-path", "component-paths.video_dit"),
    "video_dit_2": ("video-dit-2-path", "component-paths.video_dit_2"),
    "audio_dit": ("audio-dit-path", "component-paths.audio_dit"),
}


def folders(case: Case) -> tuple[str, ...] | None:
    """The folders that a launch of the case would load transformers from, as far as the case names folders by their
    full path; None if it names none, so that all that is known is the model's id. Reads nothing."""
    at_home = case.model.startswith("/")
    found: list[str] = []
    replaced = False
    for component, flags in _COMPONENTS.items():
        other = next((value for flag in flags if isinstance(value := given(case, flag), str)), None)
        if other is None and f"{component}=" in str(given(case, "component-paths")):
            other = ""
        if other is not None:
            replaced = True
            found += [other] if other.startswith("/") else []
        elif at_home:
            found.append(f"{case.model.rstrip('/')}/{component}")
    # A folder that is not named by its full path is none that a launch would find, and no id either.
    return tuple(found) if at_home or replaced or case.model.startswith(("~", ".")) else None


def read_transformers(folders: tuple[str, ...] | None) -> tuple[Transformer, ...] | None:
    """What stands in the `config.json` of each of these folders; a folder without one, or with one that cannot be used,
    is left out. None for None."""
    return None if folders is None else tuple(found for one in folders for found in _read(Path(one) / "config.json"))


def transformers(case: Case) -> tuple[Transformer, ...] | None:
    """The transformers of the case's model that are known by a folder on this machine; None if it names no folder."""
    return read_transformers(folders(case))


def _read(file: Path) -> Iterator[Transformer]:
    # Most cases name an id, and need neither.
    from pytest_sgdiff.files import json_text
    from pytest_sgdiff.files.data_files import DataFileError, read_named

    try:
        document: Any = json_text.read(read_named(file, at_most=_LIMIT).decode()).value
    except (DataFileError, json_text.JsonTextError, ValueError):
        return
    if not isinstance(document, dict) or not isinstance(kind := document.get("_class_name"), str):
        return
    # What is no number of heads is left out, so that who needs it knows nothing.
    heads = {
        key: value
        for key, value in document.items()
        if key.endswith("heads") and type(value) is int and 0 < value <= _MOST_HEADS
    }
    yield Transformer(kind=kind, heads=heads, source=str(file))
