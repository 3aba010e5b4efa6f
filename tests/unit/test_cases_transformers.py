"""What is read of a model's folder before it is launched."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cases.transformers import folders, transformers
from pytest_sgdiff.data import Case
from pytest_sgdiff.lint import advise
from tests.unit.test_lint import case_of

WAN = {"_class_name": "WanTransformer3DModel", "num_attention_heads": 12, "attention_head_dim": 128}


def component(folder: Path, name: str = "transformer", **config: Any) -> Path:
    (folder / name).mkdir(parents=True)
    file = folder / name / "config.json"
    file.write_text(json.dumps(config))
    return file


def case(model: str | Path, args: str = "") -> Case:
    return case_of("gpus: 8", f"args: {{{args}}}", model=str(model))


def test_the_heads_of_a_folder_are_read_and_refused(tmp_path: Path) -> None:
    file = component(tmp_path, **WAN)
    asked = case(tmp_path, "ulysses-degree: 8")
    (found,) = transformers(asked) or ()
    assert (found.kind, dict(found.heads), found.source) == (
        "WanTransformer3DModel",
        {"num_attention_heads": 12},
        str(file),
    )
    slugs = [one.slug for one in advise(asked, transformers=transformers(asked)) if one.level == "error"]
    assert slugs == ["attention-heads"]


def test_both_transformers_of_a_model_with_two_are_read(tmp_path: Path) -> None:
    component(tmp_path, **WAN)
    component(tmp_path, "transformer_2", **{**WAN, "num_attention_heads": 40})
    assert [one.heads["num_attention_heads"] for one in transformers(case(f"{tmp_path}/")) or ()] == [12, 40]


def test_of_an_id_nothing_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    component(tmp_path / "org" / "name", **WAN)
    assert folders(case("org/name")) is None
    assert transformers(case("org/name")) is None


@pytest.mark.parametrize("model", ["./here", "../here", "~/here"])
def test_a_folder_that_leads_nowhere_in_a_launch_is_not_read(model: str) -> None:
    assert transformers(case(model)) == ()


def test_a_transformer_put_in_its_place_counts_instead(tmp_path: Path) -> None:
    component(tmp_path / "model", **WAN)
    component(tmp_path / "other", ".", **{**WAN, "num_attention_heads": 16})
    for model in (tmp_path / "model", "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"):
        (found,) = transformers(case(model, f"transformer-path: {tmp_path / 'other'}")) or ()
        assert found.heads["num_attention_heads"] == 16
        # Of one that is not here nothing is known, nor of what it replaces.
        assert transformers(case(model, "transformer-path: org/quantised")) == ()


DAMAGED = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "no text": b"\xff\xfe",
    "no class": json.dumps({"num_attention_heads": 12}).encode(),
    "a class that is no text": json.dumps({**WAN, "_class_name": 3}).encode(),
    "deep": b"[" * 100_000,
    "too large": json.dumps({**WAN, "x": "x" * (1 << 20)}).encode(),
    "a number of many digits": b'{"_class_name": "WanTransformer3DModel", "num_attention_heads": ' + b"1" * 9999 + b"}",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_of_a_damaged_file_nothing_is_known(tmp_path: Path, content: bytes) -> None:
    component(tmp_path).write_bytes(content)
    assert transformers(case(tmp_path)) == ()


@pytest.mark.parametrize("heads", [0, -12, 1.5, 12.0, "12", True, None, [12], 1 << 40])
def test_what_is_no_number_of_heads_is_not_taken_for_one(tmp_path: Path, heads: object) -> None:
    component(tmp_path, **{**WAN, "num_attention_heads": heads})
    asked = case(tmp_path, "ulysses-degree: 8")
    (found,) = transformers(asked) or ()
    assert dict(found.heads) == {}
    assert "attention-heads" not in {one.slug for one in advise(asked, transformers=(found,))}


def test_nothing_that_is_no_file_is_opened(tmp_path: Path) -> None:
    assert transformers(case(tmp_path)) == ()
    (tmp_path / "transformer").mkdir()
    os.mkfifo(tmp_path / "transformer" / "config.json")
    assert transformers(case(tmp_path)) == ()
    assert transformers(case("/dev/null")) == ()


def test_a_link_in_a_cache_is_followed(tmp_path: Path) -> None:
    blob = component(tmp_path / "blobs", ".", **WAN)
    snapshot = tmp_path / "snapshots" / "0123" / "transformer"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").symlink_to(blob)
    assert [one.kind for one in transformers(case(snapshot.parent)) or ()] == ["WanTransformer3DModel"]
