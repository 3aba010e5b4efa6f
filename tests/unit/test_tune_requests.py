"""Which variants are another request than the case as it is written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff.data import Case, OtherRequest, Variant
from pytest_sgdiff.tuning.requests import other_requests
from pytest_sgdiff.tuning.space import space
from tests import factories

CASE = Case(
    name="tiny",
    location=factories.location(),
    model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    gpus=2,
    args={"prompt": "a cat", "seed": 1, "width": 832, "height": 480, "num-frames": 17, "num-inference-steps": 20},
    assets={"image-path": "a.png"},
)


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"args": {**CASE.args, "num-inference-steps": 10}}, ["steps"]),
        ({"args": {**CASE.args, "seed": 2, "prompt": "a dog"}}, ["prompt", "seed"]),
        ({"args": {**CASE.args, "height": 720, "num-frames": 81}}, ["size", "frames"]),
        ({"args": {**CASE.args, "guidance-scale": 3.0}}, ["guidance"]),
        ({"args": {**CASE.args, "num-outputs-per-prompt": 2}}, ["outputs"]),
        ({"args": {name: value for name, value in CASE.args.items() if name != "seed"}}, ["seed"]),
        ({"config": {"negative_prompt": "blurred"}}, ["prompt"]),
        ({"assets": {"image-path": "b.png"}}, ["inputs"]),
        ({"model": "Wan-AI/Wan2.2-T2V-A14B-Diffusers"}, ["model"]),
        # The same in other words, and other ways to do it.
        ({"args": {**CASE.args, "width": 832.0, "seed": "1"}}, []),
        ({"args": {k: v for k, v in CASE.args.items() if k != "seed"}, "config": {"seed": 1}}, []),
        ({"args": {**CASE.args, "attention-backend": "fa", "enable-torch-compile": True}}, []),
        ({"gpus": 4, "env": {"SGLANG_CACHE_DIT_ENABLED": "true"}, "backend": "diffusers"}, []),
    ],
)
def test_what_a_variant_asks_for_otherwise_is_named(changes: dict[str, Any], parts: list[str]) -> None:
    variants = (Variant(name="written", case=CASE), Variant(name="other", case=replace(CASE, **changes)))
    expected = (OtherRequest(variant="other", parts=tuple(parts)),) if parts else ()  # type: ignore[arg-type]
    assert other_requests(CASE, variants) == expected


def test_no_setting_makes_another_request() -> None:
    found = space(CASE, gpus=4, engine=None, allow_lossy="yes", axes=None)
    assert len(found.variants) > 20
    assert other_requests(CASE, found.variants) == ()
