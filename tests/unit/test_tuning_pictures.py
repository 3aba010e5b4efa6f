"""What variants are compared with where launches of the case as it is written draw different pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pytest_sgdiff.data import Case, OutputSample, QualityChoice, Setting, Tried, TuneLaunch, Variant
from pytest_sgdiff.recordings import store
from pytest_sgdiff.tuning.bench import Bench, Plan
from pytest_sgdiff.tuning.pictures import is_settled, odd_launches, pictures
from tests import factories
from tests.tuning_space import space_of
from tests.unit.test_quality import drew, levels

CASE = Case(name="tiny", location=factories.location(), model="m", gpus=1)
WRITTEN, QUICK = space_of(CASE, {"quick": ""}).variants
SHAPES: dict[str, Any] = {"A": levels(), "B": levels(1), "C": levels(2), "a": levels() + np.uint8(1)}


@pytest.fixture
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, ...]]:
    """What becomes of a variant that drew so, beside the launches of the case as it is written."""
    bench = Bench(plan=Plan(case=CASE, metric="e2e", engine_cmd=("x",), gpus="1", cwd=tmp_path), folder=tmp_path)
    samples: dict[int, tuple[OutputSample, ...]] = {}

    def read(folder: Path, case: str) -> Sequence[Any]:
        return [SimpleNamespace(samples=samples[int(folder.parent.name)])]

    monkeypatch.setattr(store, "read_launches", read)

    def judge(written: str, variant: str, of: Variant = QUICK) -> tuple[Any, ...]:
        launches = []
        samples.clear()
        for number, (owner, shape) in enumerate([*((WRITTEN, s) for s in written), *((QUICK, s) for s in variant)]):
            samples[number] = (drew(SHAPES[shape]),)
            launches.append(_launch(number, owner))
        found = pictures(bench, WRITTEN, of, launches)
        odd = [one.launch for one in odd_launches(bench, WRITTEN, launches)]
        return found, odd, is_settled(bench, WRITTEN, launches)

    return judge


@pytest.mark.parametrize("asked", [{"prompt": "a dog"}, {"width": 64}, {"num-inference-steps": 4}, {"seed": 1}])
def test_another_request_draws_another_picture_by_design(
    compared: Callable[..., tuple[Any, ...]], asked: dict[str, Any]
) -> None:
    other = replace(QUICK, case=replace(QUICK.case, args={**QUICK.case.args, **asked}))
    (found, *_) = compared("AA", "B", other)
    assert (found.code, found.other_picture) == ("other-request", False)
    # Where nothing was measured nothing is said.
    assert compared("AA", "", other)[0] is None


def _launch(number: int, owner: Variant) -> TuneLaunch:
    return TuneLaunch(round=number, variant=owner.name, tried=Tried(variant=owner.name, ms=1.0))


@pytest.mark.parametrize(
    ("written", "variant", "other", "odd", "settled"),
    [
        ("AA", "A", False, [], True),
        ("Aa", "A", False, [], True),
        ("AA", "B", True, [], True),
        # Of two nobody knows which is odd: until more is known anything passes, and is looked at again.
        ("AB", "A", False, [], False),
        ("AAB", "A", False, [], False),
        # One of four is odd, also the first: it is no noise that hides another picture.
        ("ABAA", "C", True, [1], True),
        ("BAAA", "C", True, [0], True),
        ("BAAA", "A", False, [0], True),
        # What a variant repeats is a second result of the engine.
        ("ABAA", "B", False, [1], True),
        ("AABB", "B", False, [], True),
    ],
)
def test_an_odd_launch_of_the_case_hides_no_other_picture(
    compared: Callable[..., tuple[Any, ...]],
    written: str,
    variant: str,
    other: bool,
    odd: list[int],
    settled: bool,
) -> None:
    (found, *rest) = compared(written, variant)
    assert (found.other_picture, *rest) == (other, odd, settled)


def _rounded(by: float) -> Any:
    """The picture, and differences of so many levels in every pixel that have nothing to do with it."""
    rng = np.random.default_rng(7)
    moved = levels().astype(float) + by * rng.standard_normal(levels().shape)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("axis", "by", "code"),
    [
        *((axis, 5.0, "rounding") for axis in ("topology", "compile", "attention")),
        # Offloading moves weights, and changes no sum.
        ("offload", 5.0, "changed"),
        # Farther off than rounding was ever seen to be.
        ("attention", 14.0, "changed"),
    ],
)
def test_a_setting_that_adds_in_another_order_may_round_otherwise(
    compared: Callable[..., tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch, axis: Any, by: float, code: str
) -> None:
    monkeypatch.setitem(SHAPES, "R", _rounded(by))
    reordered = replace(QUICK, settings=(Setting(axis=axis, name="quick"),))
    (found, *_) = compared("AA", "R", reordered)
    assert (found.code, found.other_picture) == (code, code == "changed")
    # The figures are shown in any case.
    assert found.similarity is not None
    assert found.similarity.mse == pytest.approx(by**2, rel=0.2)


def test_a_case_that_bounds_its_pictures_has_its_own_bounds(
    compared: Callable[..., tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SHAPES, "R", _rounded(5.0))
    for psnr, code in ((30.0, "allowed"), (40.0, "beyond-allowed")):
        bounded = replace(WRITTEN, case=replace(WRITTEN.case, quality=QualityChoice(mode="bounded", psnr=psnr)))
        monkeypatch.setitem(globals(), "WRITTEN", bounded)
        (found, *_) = compared("AA", "R", replace(QUICK, settings=(Setting(axis="attention", name="quick"),)))
        assert found.code == code
