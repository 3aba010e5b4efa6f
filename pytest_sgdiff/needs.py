"""What a case needs and this machine may lack: GPUs, their kind, the engine's version, a token, input files.

A machine that does not fit is a skip (a failure under `--sgdiff-strict`); a missing token or input file is a failure,
since nobody chose it. Both come before GPUs are leased.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from pytest_sgdiff import assets
from pytest_sgdiff.data import Case
from pytest_sgdiff.engines.dialect import meant_for
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.gpus import Eligible
from pytest_sgdiff.gpus.spec import OPTION
from pytest_sgdiff.settings import Settings


def settle(case: Case, settings: Settings, eligible: Eligible, engine_version: Callable[[], str]) -> None:
    """Skip or fail the running test if the case cannot be launched here.

    `engine_version` is only called for a case that asks for one: it starts a process.
    """
    reason = lack(case, eligible, engine_version)
    if reason is not None:
        text = f"{case.at('requires')}: {reason}"
        if settings.strict:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    missing = assets.missing_token(case, os.environ)
    if missing is not None:
        pytest.fail(missing, pytrace=False)
    try:
        assets.resolve_assets(case, settings.assets)
    except SgdiffError as error:
        # The message is all: that one error led to another helps nobody.
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def lack(case: Case, eligible: Eligible, engine_version: Callable[[], str]) -> str | None:
    """Why this machine cannot run the case, None if it can."""
    refusal = eligible.refusal(case.gpus)
    if refusal is not None:
        return refusal
    wanted, fitting = ", ".join(case.requires.gpu), eligible.of(case.requires.gpu)
    if case.gpus and not fitting.gpus:
        return f"needs one of {wanted}, this machine has {', '.join(sorted({gpu.name for gpu in eligible.gpus}))}"
    if case.gpus > len(fitting.gpus):
        have = f"only {len(fitting.gpus)} of them"
        return f"needs {case.gpus} GPUs that are one of {wanted}, and {OPTION}={eligible.spec} gives {have}"
    if case.requires.engine:
        version = engine_version()
        if not meant_for(case, version):
            return f"needs sglang {case.requires.engine}, this one is {version}"
    return None
