"""The workload digest: what must change it, what must not, and that a difference can be named."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff.data import Case, LaunchPlan, Location, MetricChoice
from pytest_sgdiff.judging.workload import digest_of, with_inherited, workload
from pytest_sgdiff.redact import Redaction

CASE = Case(
    name="ltx2",
    location=Location(path="cases/ltx2.yaml", line=3, column=3),
    model="Lightricks/LTX-2",
    gpus=2,
    args={"prompt": "a cat", "width": 768, "guidance-scale": 3.0, "enable-cfg-parallel": True},
    env={"SGLANG_CACHE_DIT_ENABLED": "true"},
    config={"paint_enable": False},
)
HASHES = {"image-path": "9f86d081884c7d65"}


def digest(case: Case, hashes: dict[str, str] = HASHES) -> str:
    return workload(case, asset_hashes=hashes).digest


def test_the_digest_is_stable_over_releases_of_this_package() -> None:
    # Baselines in the tree carry it: whoever changes this value makes every one of them incomparable.
    assert digest(CASE) == "74f30a5e90548ade"


def test_the_fields_name_every_part() -> None:
    assert workload(CASE, asset_hashes=HASHES).fields == {
        "args.enable-cfg-parallel": True,
        "args.guidance-scale": 3,
        "args.prompt": "a cat",
        "args.width": 768,
        "assets.image-path": "9f86d081884c7d65",
        "backend": "sglang",
        "config.paint_enable": False,
        "engine": "sglang-generate",
        "env.SGLANG_CACHE_DIT_ENABLED": "true",
        "gpus": 2,
        "model": "Lightricks/LTX-2",
        "warmup": "request",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"model": "Lightricks/LTX-2.3"},
        {"gpus": 4},
        {"engine": "sglang-serve"},
        {"backend": "diffusers"},
        {"warmup": "off"},
        {"args": {**CASE.args, "width": 1536}},
        {"args": {**CASE.args, "seed": 42}},
        {"args": {key: value for key, value in CASE.args.items() if key != "width"}},
        {"args": {**CASE.args, "prompt": "a cat "}},
        {"args": {**CASE.args, "save-output": False}},
        {"args": {**CASE.args, "lora-path": "/models/other-lora"}},
        {"env": {"SGLANG_CACHE_DIT_ENABLED": "false"}},
        {"env": {**CASE.env, "TOKENIZERS_PARALLELISM": "false"}},
        {"config": {"paint_enable": True}},
    ],
)
def test_what_changes_the_measurement_changes_the_digest(change: dict[str, Any]) -> None:
    assert digest(replace(CASE, **change)) != digest(CASE)


def test_another_asset_changes_the_digest() -> None:
    assert digest(CASE, {"image-path": "0000000000000000"}) != digest(CASE)
    assert digest(CASE, {}) != digest(CASE)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "renamed", "variant": "cfg", "summary": "other words", "source": "elsewhere"},
        {"marks": ("nightly",), "fixtures": ("gpu_clock",), "timeout_s": 60.0},
        {"launches": LaunchPlan(baseline=10), "metrics": MetricChoice(allow={"denoise": 0.01})},
        {"location": Location(path="cases/other.yaml", line=9, column=1)},
        {"args": dict(reversed(list(CASE.args.items())))},
        {"args": {**CASE.args, "guidance-scale": 3}},
        {"args": {**CASE.args, "num-gpus": 2, "backend": "sglang", "save-output": True}},
        {"env": {**CASE.env, "HF_TOKEN": "hf_secret", "HF_HOME": "/data/hf", "HF_HUB_OFFLINE": "1"}},
        {"env": {**CASE.env, "TORCHINDUCTOR_CACHE_DIR": "/tmp/a", "SGLANG_PERF_LOG_DIR": "/tmp/b", "TMPDIR": "/t"}},
        {"env": {**CASE.env, "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1"}},
    ],
)
def test_what_does_not_change_the_measurement_does_not_change_the_digest(change: dict[str, Any]) -> None:
    assert digest(replace(CASE, **change)) == digest(CASE)


def test_a_local_checkpoint_counts_by_its_name_and_a_hub_id_in_full() -> None:
    here = replace(CASE, model="/models/base/Wan2.1-T2V-1.3B-Diffusers/")
    there = replace(CASE, model="/data/hub/Wan2.1-T2V-1.3B-Diffusers")
    hub = replace(CASE, model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    assert digest(here) == digest(there)
    assert digest(here) != digest(hub)


def test_inherited_variables_are_work_like_those_of_the_case() -> None:
    asked = workload(CASE, asset_hashes=HASHES)
    took = with_inherited(asked, {"SGLANG_CACHE_DIT_ENABLED": "false", "NCCL_ALGO": "Ring", "HF_HOME": "/data/hf"})
    assert took.inherited == ("NCCL_ALGO",)
    assert took.fields == {**asked.fields, "env.NCCL_ALGO": "Ring"}
    assert took.digest == digest(replace(CASE, env={**CASE.env, "NCCL_ALGO": "Ring"})) == digest_of(took.fields)


def test_nothing_inherited_is_the_same_work_and_told() -> None:
    asked = workload(CASE, asset_hashes=HASHES)
    assert with_inherited(asked, {}) == replace(asked, inherited=())


SECRETS = {
    "env": {"MIRROR": "https://user:urlpass5555@host/x", "EXTRA": "hf_AAAAbbbbCCCCddddEEEEffff"},
    "args": {"prompt": "p", "api-key": "abc", "url": "https://h/x?sig=abc&y=1"},
    "config": {"nested": {"api_key": "abc"}, "list": ["ghp_" + "aB1" * 12]},
}


def test_a_secret_is_no_part_of_the_work() -> None:
    found = workload(replace(CASE, **SECRETS), asset_hashes={})
    told = str(found.fields)
    assert [part for part in ("urlpass5555", "hf_A", "abc", "ghp_") if part in told] == []
    assert found.fields["env.MIRROR"] == "https://<redacted>@host/x"
    assert found.fields["args.url"] == "https://h/x?sig=<redacted>&y=1"
    assert found.digest == digest_of(found.fields)
    # Another day's token asks for the same work; another host is other work.
    other = {**SECRETS, "env": {**SECRETS["env"], "MIRROR": "https://user:other@host/x"}}
    elsewhere = {**SECRETS, "env": {**SECRETS["env"], "MIRROR": "https://user:other@elsewhere/x"}}
    assert digest(replace(CASE, **other), {}) == found.digest
    assert digest(replace(CASE, **elsewhere), {}) != found.digest


def test_a_secret_of_the_environment_is_no_part_of_the_work_wherever_the_case_says_it() -> None:
    case = replace(CASE, args={"prompt": "p", "header": "X: s3cr3tvalue"})
    found = workload(case, asset_hashes={}, redaction=Redaction({"MY_TOKEN": "s3cr3tvalue"}))
    assert found.fields["args.header"] == "X: <redacted>"
