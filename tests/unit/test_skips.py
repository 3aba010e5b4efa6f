"""What a case needs and this machine may lack."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff.data import Case, Gpu, Location, Requires
from pytest_sgdiff.gpus import Eligible
from pytest_sgdiff.plugin.skips import Lack, lack

MIXED = Eligible(
    gpus=tuple(Gpu(index=n, uuid=f"GPU-{n}", name=name) for n, name in enumerate(["NVIDIA L40S", "NVIDIA H200"])),
    spec="all",
)


@pytest.mark.parametrize(
    ("wanted", "count", "lacking"),
    [
        ((), 2, None),
        (("H100", "H200"), 1, None),
        (("H100",), 0, None),
        (("L40", "H20"), 1, {"have": 0, "there": ("NVIDIA H200", "NVIDIA L40S")}),
        (("H100", "H200"), 2, {"have": 1, "there": ("NVIDIA H200", "NVIDIA L40S")}),
    ],
)
def test_only_gpus_of_required_products_count(
    wanted: tuple[str, ...], count: int, lacking: dict[str, Any] | None
) -> None:
    here = Location(path="cases/tiny.yaml", line=5, column=3)
    case = Case(name="tiny", location=here, model="a/b", args={}, gpus=count, requires=Requires(gpu=wanted))
    expected = None if lacking is None else Lack(gap="gpus", wanted=wanted, count=count, spec="all", **lacking)
    assert lack(case, MIXED, lambda: "0.5.17") == expected


def test_more_gpus_than_there_are_are_refused_whatever_product_is_wanted() -> None:
    here = Location(path="cases/tiny.yaml", line=5, column=3)
    case = Case(name="tiny", location=here, model="a/b", args={}, gpus=3, requires=Requires(gpu=("H200",)))
    found = lack(case, MIXED, lambda: "0.5.17")
    assert found == Lack(gap="gpus", count=3, refusal=str(MIXED.refusal(3)))


def test_another_engine_is_a_lack_of_its_own() -> None:
    here = Location(path="cases/tiny.yaml", line=5, column=3)
    case = Case(name="tiny", location=here, model="a/b", args={}, gpus=1, requires=Requires(engine=">=0.5.11"))
    old = Lack(gap="engine-version", wanted=(">=0.5.11",), version="0.5.9")
    assert lack(case, MIXED, lambda: "0.5.9") == old
    assert lack(case, MIXED, lambda: "0.5.11") is None
    assert lack(case, MIXED, lambda: "0.5.11", lambda: "0.5.9") == replace(old, base=True)
    assert lack(case, MIXED, lambda: "0.5.11", lambda: "0.5.11") is None
