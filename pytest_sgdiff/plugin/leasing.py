"""GPUs for one test: taken from the host or from a cluster, and what the test is where there are none for it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_sgdiff import gpus
from pytest_sgdiff.data import Case, CaseResult, Machine, Reason
from pytest_sgdiff.errors import LaunchLostError, LeaseError, OptionError, SgdiffError
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.plugin import fixtures, skips
from pytest_sgdiff.plugin.session import RESULT, Session
from pytest_sgdiff.reports.reason_text import reason
from pytest_sgdiff.runner.progress import waiting
from pytest_sgdiff.runner.result import unmeasured

if TYPE_CHECKING:
    from pytest_sgdiff.cluster.lease import ClusterLease, ClusterPool
    from pytest_sgdiff.gpus.lease import Lease


def lease(session: Session, item: pytest.Item, case: Case) -> AbstractContextManager[Lease | ClusterLease]:
    """GPUs for the case, held until the context ends. Skips or fails the test if it cannot be launched here; hardware
    that stays busy is `inconclusive: environment`, and a cluster that is lost `inconclusive: cluster`, which say
    nothing of the engine."""
    pool, settings, cluster = session.pool, session.settings, session.cluster
    if pool is None:
        pytest.fail("no GPU pool: --sgdiff-gpus is not set", pytrace=False)
    token = None
    if cluster is not None:
        _refuse_on_cluster(session, case, cluster)
        token = cluster.token
    held = replace(case, gpus=session.to_lease(case))
    base = (lambda: session.base_info.version) if settings.mode == "against" else None
    version = lambda: session.engine_info.version  # noqa: E731
    skips.settle(item, held, settings, pool.eligible, version, base, token_elsewhere=token)
    # A fixture may still make the model's folder.
    session.allowed(case, looked_for=not _others_fixtures(item))
    try:
        session.refuse_recorded(item, case, pool.eligible.of(case.requires.gpu).ways(case.gpus))
        taken = _taken(session, case, pool, held.gpus)
        try:
            session.refuse_recorded(item, case, filter(None, (taken.machine,)))
        except BaseException:
            taken.release()
            raise
        return taken
    except LeaseError as error:
        result = busy(item, case, error)
        item.stash[RESULT] = to_plain(result)
        if "inconclusive" in settings.fail_on:
            pytest.fail(reason(result), pytrace=False)
        pytest.skip(f"inconclusive: {reason(result)}")
    except SgdiffError as error:
        # A file, or a node, is to be mended: only the message, a traceback says nothing to whoever does it.
        raise pytest.fail.Exception(str(error), pytrace=False) from None


def busy(item: pytest.Item, case: Case, error: LeaseError) -> CaseResult:
    """The result of a test for which others leave no room on the host, or the cluster no node."""
    result = replace(unmeasured(case, str(error), fix=error.fix), node_id=item.nodeid)
    if isinstance(error, LaunchLostError):
        result = replace(result, reason=Reason(code="cluster", losses=error.losses))
    return result


def _taken(session: Session, case: Case, pool: gpus.Pool | ClusterPool, count: int) -> Lease | ClusterLease:
    timeout_s, estimate_s = session.settings.gpu_timeout_s, session.estimate_s(case)

    def on_wait(wait: object) -> None:
        session.notify(waiting(case, str(wait)))

    if isinstance(pool, gpus.Pool):
        return pool.lease(
            count,
            estimate_s=estimate_s,
            timeout_s=timeout_s,
            on_wait=on_wait,
            tag=case.id,
            products=case.requires.gpu,
        )
    from pytest_sgdiff.cluster.lease import Wanted

    return pool.lease(
        Wanted(
            count=count,
            products=case.requires.gpu,
            homes=lambda machine: _homes(session, case, machine),
            estimate_s=estimate_s,
            timeout_s=timeout_s,
            on_wait=on_wait,
            tag=case.id,
        )
    )


def _homes(session: Session, case: Case, machine: Machine) -> frozenset[str] | None:
    """The GPUs and hosts of the launches of the case's baseline for a machine; None where it has none that decides
    where the case is launched."""
    if session.settings.mode != "gate" and session.settings.update != "extend":
        return None
    baseline = session.find(session.settings.baselines, machine, case.id)
    if baseline is None:
        return None
    made_on = [entry.environment for entry in baseline.measurement.launches]
    return frozenset(name for one in made_on for name in (one.host, *one.gpu_uuids) if name)


def _refuse_on_cluster(session: Session, case: Case, cluster: ClusterPool) -> None:
    """Fails the test of a case that no node of a cluster can launch, whichever it is."""
    if session.settings.mode == "against" and case.side_by_side:
        pytest.fail(
            f"{case.at('launches.side_by_side')}: the launches of both engines at the same time need one lease on "
            "this machine: run this case with --sgdiff-gpus, or without `side_by_side`",
            pytrace=False,
        )
    try:
        cluster.check(case)
    except OptionError as error:
        pytest.fail(str(error), pytrace=False)


def _others_fixtures(item: pytest.Item) -> bool:
    """Whether a test uses fixtures that are not the plugin's."""
    ours = {"request", "pytestconfig", *(name for name in vars(fixtures) if name.startswith("sgdiff"))}
    return not ours.issuperset(getattr(item, "fixturenames", ()))
