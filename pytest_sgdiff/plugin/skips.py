"""What a case needs and this machine may lack: GPUs, their kind, the engine's version, a token, input files.

A machine that does not fit is a skip (a failure under `--sgdiff-strict`); a missing token or input file is a failure,
since nobody chose it. Both come before GPUs are leased. A case that its shard skipped is skipped in a replay, too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pytest_sgdiff.cases import assets
from pytest_sgdiff.data import Case, Gap, ShardGap
from pytest_sgdiff.engine_version import engine_version as meaning_of
from pytest_sgdiff.engines.flags.translate import meant_for
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.gpus import Eligible
from pytest_sgdiff.gpus.selection import OPTION
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.reports import merge_text


@dataclass(frozen=True, kw_only=True, slots=True)
class Lack:
    """What a case needs and this machine lacks.

    `refusal` is why the pool can never give so many GPUs; else it has too few, or none, of the `wanted` products:
    `have` of `count`, among `there` in `place`. Of an engine, `wanted` is the case's specifier, `version` the one that
    is there, of the `base` engine or this one, and `newest` says that it is a build that counts as the newest.
    """

    gap: Gap
    wanted: tuple[str, ...] = ()
    count: int = 0
    have: int = 0
    there: tuple[str, ...] = ()
    place: str = "this machine"
    spec: str = ""
    refusal: str = ""
    version: str = ""
    base: bool = False
    newest: bool = False


LACK = pytest.StashKey[Gap]()
"""On an item: what its case needs and this machine lacks."""

HAS_BASELINE = pytest.StashKey[bool]()
"""On an item that `--sgdiff-update=missing` skipped: there is nothing to record."""


def settle(
    item: pytest.Item,
    case: Case,
    settings: Settings,
    eligible: Eligible,
    engine_version: Callable[[], str],
    base_version: Callable[[], str] | None = None,
    *,
    token_elsewhere: bool | None = None,
) -> None:
    """Skip or fail the running test if the case cannot be launched here, and note on the item why.

    `token_elsewhere`: whether the nodes of a cluster have a token, if cases are launched there.
    `engine_version` is only called for a case that asks for one: it starts a process. `base_version` likewise is that
    of the other engine of an A/B run.
    """
    lacks = lack(case, eligible, engine_version, base_version)
    if lacks is not None:
        item.stash[LACK] = lacks.gap
        text = f"{case.at('requires')}: {in_words(lacks)}"
        if settings.strict:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    missing = assets.missing_token(case, os.environ, elsewhere=token_elsewhere)
    if missing is not None:
        item.stash[LACK] = "token"
        pytest.fail(f"{case.at('requires.token')}: {missing}", pytrace=False)
    try:
        assets.resolve_assets(case, settings.assets)
    except SgdiffError as error:
        item.stash[LACK] = "assets"
        # The message is all: that one error led to another helps nobody.
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def as_in_its_shard(item: pytest.Item, case: Case, gap: ShardGap, settings: Settings) -> None:
    """Skip a case of a recording that its shard could not run for what the case itself requires, or had no need to
    record: with one run for all it would be skipped, too. Fails what the case requires with `--sgdiff-strict`."""
    lacked = None if gap.unmeasured is None else gap.unmeasured.gap
    if lacked == "recorded" and settings.update == "missing":
        item.stash[HAS_BASELINE] = True
        pytest.skip(merge_text.gap(gap))
    if lacked in ("engine-version", "gpus"):
        item.stash[LACK] = lacked
        text = f"{case.at('requires')}: {merge_text.gap(gap)}"
        if settings.strict:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)


def lack(
    case: Case,
    eligible: Eligible,
    engine_version: Callable[[], str],
    base_version: Callable[[], str] | None = None,
) -> Lack | None:
    """Why this machine cannot run the case, None if it can."""
    found = _of_gpus(case, eligible)
    if found is not None:
        return found
    if case.requires.engine:
        for base, asked in ((False, engine_version), (True, base_version)):
            version = None if asked is None else asked()
            if version is not None and not meant_for(case, version):
                newest = meaning_of(version).meaning == "source"
                wanted = (case.requires.engine,)
                return Lack(gap="engine-version", wanted=wanted, version=version, base=base, newest=newest)
    return None


def in_words(lack: Lack) -> str:
    """`needs one of H100, this machine has NVIDIA H200`: what is lacking, as the skipped test says it."""
    wanted = ", ".join(lack.wanted)
    if lack.gap == "engine-version":
        counts = ", which counts as the newest" if lack.newest else ""
        return f"needs sglang {wanted}, {'the base engine' if lack.base else 'this one'} is {lack.version}{counts}"
    if lack.refusal:
        return lack.refusal
    if not lack.have:
        return f"needs one of {wanted}, {lack.place} has {', '.join(lack.there)}"
    if not lack.spec:
        return f"needs {lack.count} GPUs that are one of {wanted}, and no node has more than {lack.have} of them"
    return f"needs {lack.count} GPUs that are one of {wanted}, and {OPTION}={lack.spec} gives only {lack.have} of them"


def _of_gpus(case: Case, eligible: Eligible) -> Lack | None:
    refusal = eligible.refusal(case.gpus)
    if refusal is not None:
        return Lack(gap="gpus", count=case.gpus, refusal=refusal)
    fitting = eligible.of(case.requires.gpu)
    if case.gpus <= fitting.size:
        return None
    return Lack(
        gap="gpus",
        wanted=case.requires.gpu,
        count=case.gpus,
        have=fitting.size,
        there=tuple(sorted({gpu.name for gpu in eligible.gpus})),
        place=eligible.place,
        spec=eligible.spec,
    )
