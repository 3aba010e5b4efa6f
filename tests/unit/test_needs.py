"""What a case needs and this machine may lack."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data import Case, Gpu, Location, Requires
from pytest_sgdiff.gpus import Eligible
from pytest_sgdiff.plugin.skips import Lack, lack

MIXED = Eligible(
    gpus=tuple(Gpu(index=n, uuid=f"GPU-{n}", name=name) for n, name in enumerate(["NVIDIA L40S", "NVIDIA H200"])),
    spec="all",
)


@pytest.mark.parametrize(
    ("wanted", "count", "why"),
    [
        ((), 2, None),
        (("H100", "H200"), 1, None),
        (("H100",), 0, None),
        (("L40", "H20"), 1, "needs one of L40, H20, this machine has NVIDIA H200, NVIDIA L40S"),
        (("H100", "H200"), 2, "needs 2 GPUs that are one of H100, H200, and --sgdiff-gpus=all gives only 1 of them"),
        (("H200",), 3, "needs 3 GPUs, and --sgdiff-gpus=all gives only 2 of them"),
    ],
)
def test_only_gpus_of_required_products_count(wanted: tuple[str, ...], count: int, why: str | None) -> None:
    here = Location(path="cases/tiny.yaml", line=5, column=3)
    case = Case(name="tiny", location=here, model="a/b", args={}, gpus=count, requires=Requires(gpu=wanted))
    assert lack(case, MIXED, lambda: "0.5.17") == (None if why is None else Lack(gap="gpus", reason=why))


def test_another_engine_is_a_lack_of_its_own() -> None:
    here = Location(path="cases/tiny.yaml", line=5, column=3)
    case = Case(name="tiny", location=here, model="a/b", args={}, gpus=1, requires=Requires(engine=">=0.5.11"))
    reason = "needs sglang >=0.5.11, this one is 0.5.9"
    assert lack(case, MIXED, lambda: "0.5.9") == Lack(gap="engine-version", reason=reason)
    assert lack(case, MIXED, lambda: "0.5.11") is None
    base = "needs sglang >=0.5.11, the base engine is 0.5.9"
    assert lack(case, MIXED, lambda: "0.5.11", lambda: "0.5.9") == Lack(gap="engine-version", reason=base)
    assert lack(case, MIXED, lambda: "0.5.11", lambda: "0.5.11") is None
