"""What a case names that is not on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cases.here import ASSET, MODEL, TOKEN, lacking, models
from pytest_sgdiff.data import Case, Location


def case(model: str = "org/name", **more: Any) -> Case:
    return Case(name="c", location=Location(path="c.yaml", line=1, column=1), model=model, **more)


@pytest.mark.parametrize(
    "model",
    [
        "org/name",
        "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "name",
        "models/mine",
        "s3://bucket/x",
        "https://hub/x",
        ".hidden/x",
    ],
)
@pytest.mark.parametrize("looked_for_here", [False, True])
def test_a_name_that_is_no_folder_is_never_missing(model: str, looked_for_here: bool) -> None:
    assert list(models(case(model), looked_for_here=looked_for_here)) == []


@pytest.mark.parametrize(
    ("model", "looked_for_here", "level"),
    [
        ("/no/such/model", False, "warning"),
        # Another node may have it; the engine that looks for it here has not.
        ("/no/such/model", True, "error"),
        ("~/models/mine", True, "warning"),
        ("./models/mine", True, "warning"),
        ("../models/mine", False, "warning"),
    ],
)
def test_a_folder_that_is_not_here_is_named(model: str, looked_for_here: bool, level: str) -> None:
    (one,) = models(case(model), looked_for_here=looked_for_here)
    assert (one.slug, one.key, one.level) == (MODEL, "model", level)


def test_folders_of_parts_of_a_model_count_and_those_of_outputs_do_not(tmp_path: Path) -> None:
    parts = {
        "vae-path": "/no/vae",
        "lora_path": "/no/lora",
        "text-encoder-path": "org/te",
        "transformer-path": str(tmp_path),
    }
    outputs = {
        "output-path": "/no/out",
        "perf-dump-path": "/no/d",
        "input-save-path": "/no/in",
        "output-file-path": "/no",
    }
    one = case(str(tmp_path), args={**parts, **outputs, "seed": 42}, config={"transformer-weights-path": "/no/w"})
    found = [found.key for found in models(one, looked_for_here=True)]
    assert found == ["args.vae-path", "args.lora_path", "config.transformer-weights-path"]


def test_what_another_engine_calls_a_model_is_its_own_affair() -> None:
    assert list(models(case("/no/such/model", engine="mine"), looked_for_here=True)) == []


def test_files_and_tokens_that_are_not_here_are_named_too(tmp_path: Path) -> None:
    from dataclasses import replace

    one = case("/no/such/model", assets={"image-path": "cat.png", "mask-path": "there.png"})
    one = replace(one, requires=replace(one.requires, token=True))
    (tmp_path / "there.png").write_bytes(b"x")
    found = lacking(one, assets=tmp_path, env={"HOME": str(tmp_path)})
    assert [(each.slug, each.key, each.level) for each in found] == [
        (MODEL, "model", "warning"),
        (ASSET, "assets.image-path", "warning"),
        (TOKEN, "requires.token", "warning"),
    ]
    assert [each.slug for each in lacking(one, assets=None, env={"HF_TOKEN": "hf_x"})] == [MODEL, ASSET, ASSET]
