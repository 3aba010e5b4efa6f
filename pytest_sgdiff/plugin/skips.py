"""What a case needs and this machine may lack: GPUs, their kind, the engine's version, a token, input files.

A machine that does not fit is a skip (a failure under `--sgdiff-strict`); a missing token or input file is a failure,
since nobody chose it. Both come before GPUs are leased.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pytest_sgdiff.cases import assets
from pytest_sgdiff.data import Case, Gap
from pytest_sgdiff.engine_version import engine_version as meaning_of
from pytest_sgdiff.engines.flags.translate import meant_for
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.gpus import Eligible
from pytest_sgdiff.gpus.selection import OPTION
from pytest_sgdiff.plugin.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """What a case needs and this machine lacks."""

    gap: Gap
    reason: str


LACK = pytest.StashKey[Gap]()
"""On an item: what its case needs and this machine lacks."""


def settle(
    item: pytest.Item,
    case: Case,
    settings: Settings,
    eligible: Eligible,
    engine_version: Callable[[], str],
    base_version: Callable[[], str] | None = None,
) -> None:
    """Skip or fail the running test if the case cannot be launched here, and note on the item why.

    `engine_version` is only called for a case that asks for one: it starts a process. `base_version` likewise is that
    of the other engine of an A/B run.
    """
    lacks = lack(case, eligible, engine_version, base_version)
    if lacks is not None:
        item.stash[LACK] = lacks.gap
        text = f"{case.at('requires')}: {lacks.reason}"
        if settings.strict:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    missing = assets.missing_token(case, os.environ)
    if missing is not None:
        item.stash[LACK] = "token"
        pytest.fail(missing, pytrace=False)
    try:
        assets.resolve_assets(case, settings.assets)
    except SgdiffError as error:
        item.stash[LACK] = "assets"
        # The message is all: that one error led to another helps nobody.
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def lack(
    case: Case,
    eligible: Eligible,
    engine_version: Callable[[], str],
    base_version: Callable[[], str] | None = None,
) -> Lack | None:
    """Why this machine cannot run the case, None if it can."""
    reason = _of_gpus(case, eligible)
    if reason is not None:
        return Lack(gap="gpus", reason=reason)
    if case.requires.engine:
        for what, asked in (("this one", engine_version), ("the base engine", base_version)):
            version = None if asked is None else asked()
            if version is not None and not meant_for(case, version):
                counts = ", which counts as the newest" if meaning_of(version).meaning == "source" else ""
                needed = f"needs sglang {case.requires.engine}, {what} is {version}{counts}"
                return Lack(gap="engine-version", reason=needed)
    return None


def _of_gpus(case: Case, eligible: Eligible) -> str | None:
    refusal = eligible.refusal(case.gpus)
    if refusal is not None:
        return refusal
    wanted, fitting = ", ".join(case.requires.gpu), eligible.of(case.requires.gpu)
    if case.gpus and not fitting.gpus:
        return f"needs one of {wanted}, this machine has {', '.join(sorted({gpu.name for gpu in eligible.gpus}))}"
    if case.gpus > len(fitting.gpus):
        have = f"only {len(fitting.gpus)} of them"
        return f"needs {case.gpus} GPUs that are one of {wanted}, and {OPTION}={eligible.spec} gives {have}"
    return None
