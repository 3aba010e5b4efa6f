"""What a case names that is not on this machine: folders of models, input files, a token.

Another machine may have it, and a command in a container or on another node sees other folders. So all of this is a
warning, but for a folder of which the caller knows that the engine looks for it here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from pytest_sgdiff.cases.assets import missing_assets, missing_token
from pytest_sgdiff.data import Advice, Case
from pytest_sgdiff.engines import ENGINES

MODEL, ASSET, TOKEN = "model-not-here", "asset-not-here", "token-not-here"
"""The slugs; docs/advice.md explains them."""


def lacking(case: Case, *, assets: Path | None, env: Mapping[str, str]) -> tuple[Advice, ...]:
    """Everything that the case needs and this machine lacks, as warnings."""
    found = list(models(case))
    for flag, complaint in missing_assets(case, assets):
        found.append(_advice(case, f"assets.{flag}", ASSET, complaint))
    if why := missing_token(case, env):
        found.append(_advice(case, "requires.token", TOKEN, why))
    return tuple(found)


def models(case: Case, *, looked_for_here: bool = False) -> Iterator[Advice]:
    """Folders that the case names as its model, or as a part of one, and that are not on this machine. An id such as
    `org/name` is none. `looked_for_here`: the engine is launched on this machine, and finds no such folder either."""
    # What another program calls a model may lie anywhere.
    for key, path in _paths(case) if case.engine in ENGINES else ():
        if path.startswith("/"):
            if not os.path.exists(path):
                level: Literal["error", "warning"] = "error" if looked_for_here else "warning"
                fix = "name it as it is called where the case is measured, or give an id such as org/name"
                yield _advice(case, key, MODEL, f"there is no {path} on this machine: {fix}", level=level)
        elif key == "model" and path.startswith("~"):
            full = os.path.expanduser(path)
            yield _advice(case, key, MODEL, f"the engine looks for a folder that is called '~': write {full}")
        elif key == "model" and path.startswith(("./", "../")):
            full = os.path.abspath(path)
            yield _advice(
                case, key, MODEL, f"each launch has a folder of its own, where {path} leads nowhere: write {full}"
            )


def _paths(case: Case) -> Iterator[tuple[str, str]]:
    yield "model", case.model
    for table, values in (("args", case.args), ("config", case.config)):
        for name, value in values.items():
            flag = name.replace("_", "-")
            # Of where outputs go the folder is made.
            if (
                flag.endswith("-path")
                and not flag.startswith(("output", "perf-", "input-save"))
                and isinstance(value, str)
            ):
                yield f"{table}.{name}", value


def _advice(case: Case, key: str, slug: str, message: str, *, level: Literal["error", "warning"] = "warning") -> Advice:
    return Advice(level=level, slug=slug, message=message, location=case.at(key), key=key)
