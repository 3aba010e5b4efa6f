"""What is done once, or once for each case, however large a suite is. (benchmarks/scale.py has the times.)"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_sgdiff.cases import merge
from pytest_sgdiff.cases.keys import CASE
from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.data import Location
from pytest_sgdiff.plugin.session import Session
from pytest_sgdiff.plugin.worker import Sender
from pytest_sgdiff.plugin.xdist.scheduler import Queue
from pytest_sgdiff.printable import printable_values
from pytest_sgdiff.redact import NAMES, Redaction
from tests import factories


def suite(count: int) -> str:
    cases = "".join(f"  c{n}: {{model: m, marks: [nightly], args: {{seed: {n}}}}}\n" for n in range(count))
    return f"defaults:\n  gpus: 4\n  env: {{A: '1'}}\n  args: {{width: 1, height: 2}}\ncases:\n{cases}"


def test_each_part_of_a_file_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: Counter[str] = Counter()
    usual = CASE.check_keys

    class Counting:
        def check_keys(self, table: Any, name: str, *rest: Any, **options: Any) -> dict[str, Any]:
            checked[name] += 1
            return usual(table, name, *rest, **options)

    monkeypatch.setattr(merge, "CASE", Counting())
    assert len(load_cases("cases/x.yaml", suite(30))) == 30
    assert checked == {"": 30 + 1}


def test_cases_share_what_they_inherit() -> None:
    first, second = load_cases("cases/x.yaml", suite(2))
    assert first.env is second.env
    assert first.written is second.written
    assert first.expect is second.expect
    assert dict(first.args) == {"width": 1, "height": 2, "seed": 0}


def test_places_are_a_mapping_like_any_other() -> None:
    (case,) = load_cases("cases/x.yaml", suite(1))
    assert case.at("args.seed") == Location(path="cases/x.yaml", line=6, column=43)
    assert case.at("args.width") == Location(path="cases/x.yaml", line=4, column=10)
    assert case.locations == dict(case.locations)
    assert list(case.locations) == list(case.written or ())
    assert "args.steps" not in case.locations
    with pytest.raises(KeyError):
        case.locations["args.steps"]


def test_a_queue_finds_what_fits_without_asking_of_what_does_not() -> None:
    asked = 0

    def gpus(unit: tuple[int, ...]) -> int:
        nonlocal asked
        asked += 1
        return 0 if unit[0] >= 90 else 4 if unit[0] < 60 else 2

    queue = Queue(gpus, [(n,) for n in range(100)])
    for _ in range(50):
        assert queue.take(at_most=1) in {(n,) for n in range(90, 100)} | {None}
    assert queue.take(at_most=3) == (60,)
    assert queue.take(at_most=None) == (0,)
    queue.put_first((61,))
    assert queue.take(at_most=4) == (61,)
    assert queue.take(at_most=4) == (1,)
    assert asked == 100 + 1
    assert queue
    while queue.take(at_most=None):
        pass
    assert not queue


def test_the_cases_of_a_run_are_gone_through_once_for_its_relations() -> None:
    class Items(list[Any]):
        looked = 0

        def __iter__(self) -> Iterator[Any]:
            self.looked += 1
            return super().__iter__()

    session = object.__new__(Session)
    session._compared = None
    items = Items()
    assert [session.compared(items) for _ in range(5)] == [frozenset()] * 5
    assert items.looked == 1


def test_a_run_without_secrets_and_orders_is_not_copied_for_its_reports() -> None:
    run = factories.run(factories.regressed(), factories.result())
    assert Redaction({"HF_TOKEN": "abcdefghijklmnop"}).record(run, keep=NAMES) is run
    assert printable_values(run) is run


def test_what_to_redact_is_found_anew_only_when_a_variable_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    sender = Sender()
    first = sender._by_environment()
    assert sender._by_environment() is first
    monkeypatch.setenv("NEW_TOKEN", "abcdefghijklmnopqrstuvwxyz")
    assert os.environ["NEW_TOKEN"] not in sender._by_environment().text("x abcdefghijklmnopqrstuvwxyz y")
