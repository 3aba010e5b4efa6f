"""In the workers: the item on which an idle worker waits, and the needs of the cases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pytest_sgdiff.plugin.xdist.needs import CaseNeed, write_needs

PARK = "sgdiff-park"


class ParkItem(pytest.Item):
    """Where an idle worker waits. It is never run, reported or counted."""

    def runtest(self) -> None:
        raise AssertionError("the park item's protocol is taken over by ParkItems")

    def reportinfo(self) -> tuple[str, None, str]:
        return "", None, PARK


class ParkItems:
    """Worker plugin. `need_of` gives the need of an item, None for a test that is no case.

    To be registered where the controller gave `role.NEEDS`, the path that it reads the needs from.
    """

    def __init__(self, path: str, need_of: Callable[[pytest.Item], CaseNeed | None]) -> None:
        self._path = path
        self._need_of = need_of

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        if items:
            write_needs(self._path, [need for item in items if (need := self._need_of(item)) is not None])
            items.append(ParkItem.from_parent(session, name=PARK))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        return True if isinstance(item, ParkItem) else None
