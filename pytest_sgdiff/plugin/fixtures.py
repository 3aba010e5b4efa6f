"""The fixtures. Each may be overridden in any conftest.py; a case's function asks for `sgdiff` alone.

This module is loaded in every pytest run of the environment: it imports nothing that costs time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_sgdiff.cluster.lease import ClusterLease
    from pytest_sgdiff.data import Case, CaseResult
    from pytest_sgdiff.gpus.lease import Lease
    from pytest_sgdiff.plugin.session import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
"""On the config: the session, in runs that measure."""

NOT_MEASURING = (
    "not measuring: give --sgdiff-gpus=N to launch the engine, --sgdiff-replay=DIR to judge recorded launches, "
    "or --sgdiff-dry-run to see the command lines"
)


def session_of(config: pytest.Config) -> Session:
    """The session of this run; skips the test if nothing is measured."""
    session = config.stash.get(SESSION, None)
    if session is None:
        pytest.skip(NOT_MEASURING)
    return session


@pytest.fixture
def sgdiff_variant(request: pytest.FixtureRequest) -> int | None:
    """The number of the matrix variant, None for a case without a matrix."""
    return getattr(request, "param", None)


@pytest.fixture
def sgdiff_case(request: pytest.FixtureRequest, sgdiff_variant: int | None) -> Case:
    """The case to be measured. In a Python test: override it to return a `pytest_sgdiff.data.Case` of your own."""
    from pytest_sgdiff.plugin.collect import CASE

    case: Case | None = request.node.stash.get(CASE, None)
    if case is None:
        pytest.fail(
            f"{request.node.nodeid}: no case; override the fixture `sgdiff_case` to return a pytest_sgdiff.data.Case",
            pytrace=False,
        )
    return case


@pytest.fixture
def sgdiff_env() -> dict[str, str]:
    """Environment variables to add to every launch of the case; they count as part of its workload."""
    return {}


@pytest.fixture
def sgdiff_baselines(pytestconfig: pytest.Config) -> Path:
    """The folder that baselines are read from."""
    return session_of(pytestconfig).settings.baselines


@pytest.fixture
def sgdiff_gpus(request: pytest.FixtureRequest, sgdiff_case: Case) -> Iterator[Lease | ClusterLease | None]:
    """A lease of as many GPUs as the case asks for, from the pool of `--sgdiff-gpus`; None when nothing is launched.

    Exclusive on this host, also against other pytest runs and users. It is held until the case and its engine are
    gone, and freed by the kernel if this process dies.
    """
    session = session_of(request.config)
    if not session.settings.live:
        yield None
        return
    from pytest_sgdiff.plugin import leasing

    with leasing.lease(session, request.node, sgdiff_case) as lease:
        yield lease


@pytest.fixture
def sgdiff(
    request: pytest.FixtureRequest,
    sgdiff_case: Case,
    sgdiff_env: Mapping[str, str],
    sgdiff_baselines: Path,
    sgdiff_gpus: Lease | ClusterLease | None,
) -> Checker:
    """Measures and judges the case: `sgdiff.check()`."""
    import dataclasses

    from pytest_sgdiff.cases.keys import RESERVED
    from pytest_sgdiff.lint.reserved_flags import owned

    if sgdiff_case.name in RESERVED:
        pytest.fail(
            f"{request.node.nodeid}: case id '{sgdiff_case.name}' is the name of a folder that recordings have; name "
            f"it '{sgdiff_case.name}_case'",
            pytrace=False,
        )
    if taken := owned(sgdiff_env):
        pytest.fail(
            f"{request.node.nodeid}: the fixture sgdiff_env gives {', '.join(taken)}, which the plugin sets for every "
            "launch: drop it there",
            pytrace=False,
        )
    case = dataclasses.replace(sgdiff_case, env={**sgdiff_case.env, **sgdiff_env})
    return Checker(request.node, case, sgdiff_gpus, sgdiff_baselines)


class Checker:
    """What the fixture `sgdiff` gives."""

    def __init__(self, item: pytest.Item, case: Case, lease: Lease | ClusterLease | None, baselines: Path) -> None:
        self.case = case
        self._item, self._lease, self._baselines = item, lease, baselines
        self._session = session_of(item.config)

    def measure(self) -> CaseResult:
        """Launch or replay the case and judge it; the result is reported whatever the caller does with it. A dry run
        shows the command and skips the test, as there is no result to go on with."""
        from pytest_sgdiff.errors import SgdiffError
        from pytest_sgdiff.plugin import case_run

        if self._session.settings.mode == "dry-run":
            self._session.show_command(self._item, self.case)
            pytest.skip("a dry run launches nothing, so `sgdiff.measure()` has no result")
        try:
            return case_run.measure(self._session, self._item, self.case, self._lease, self._baselines)
        except SgdiffError as error:
            # A corrupt baseline, a full disk: the message says what to do, a traceback would only hide it.
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    def check(self) -> None:
        """Measure the case and pass, fail or skip the test by the outcome."""
        from pytest_sgdiff.reports.reason_text import reason
        from pytest_sgdiff.reports.text import message

        if self._session.settings.mode == "dry-run":
            self._session.show_command(self._item, self.case)
            return
        result = self.measure()
        if result.fails(self._session.settings.fail_on):
            pytest.fail(message(result), pytrace=False)
        if result.outcome == "inconclusive" and not result.accepted:
            pytest.skip(f"inconclusive: {reason(result)}")
