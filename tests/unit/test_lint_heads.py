"""How transformers can be split: which layouts the engine may come to, and what each must divide."""

from __future__ import annotations

import json
import pathlib
import re

import pytest

from pytest_sgdiff.data import Advice, Transformer
from pytest_sgdiff.engines.flags.translate import VERSIONS, table_flags
from pytest_sgdiff.lint import advise
from pytest_sgdiff.lint.heads import _MODELS, RULES, _public
from pytest_sgdiff.lint.protocol import View
from tests.unit.test_lint import case_of

WAN, WAN_14B = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "Wan-AI/Wan2.1-T2V-14B-Diffusers"
TURBO, HUNYUAN = "Tongyi-MAI/Z-Image-Turbo", "hunyuanvideo-community/HunyuanVideo"
SLUGS = {rule.slug for rule in RULES}


def found(
    model: str,
    gpus: int,
    args: str = "",
    *,
    version: str | None = "0.5.17",
    transformers: tuple[Transformer, ...] | None = None,
    more: tuple[str, ...] = (),
) -> list[Advice]:
    case = case_of(f"gpus: {gpus}", f"args: {{{args}}}", *more, model=model)
    engine = None if version is None else table_flags(version)
    return [one for one in advise(case, engine=engine, transformers=transformers) if one.slug in SLUGS]


def slugs(*asked: object, **more: object) -> list[str]:
    return [one.slug for one in found(*asked, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "gpus", "args", "key"),
    [
        (WAN, 8, "ulysses-degree: 8", "args.ulysses-degree"),
        (WAN, 8, "sp-degree: 8", "args.sp-degree"),
        (WAN, 8, "cfg-parallel-size: 1", "gpus"),
        (WAN, 8, "performance-mode: manual", "gpus"),
        (WAN, 16, "enable-cfg-parallel: true", "gpus"),
        (WAN, 16, "", "gpus"),
        (WAN, 5, "tp-size: 5", "args.tp-size"),
        (WAN, 8, "tp-size: 4, sp-degree: 2", "args.sp-degree"),
        (WAN, 8, "tp-size: 4, ulysses-degree: 2", "args.ulysses-degree"),
        (WAN, 16, "ulysses-degree: 8, ring-degree: 2", "args.ulysses-degree"),
        (WAN, 16, "dp-size: 2, performance-mode: manual", "gpus"),
        (WAN_14B, 3, "ulysses-degree: 3", "args.ulysses-degree"),
        (TURBO, 4, "", "gpus"),
        (TURBO, 4, "tp-size: 4", "args.tp-size"),
        (TURBO, 8, "tp-size: 2, ulysses-degree: 4", "args.ulysses-degree"),
        ("tongyi-mai/z-image-turbo", 4, "ulysses-degree: 4", "args.ulysses-degree"),
        ("ideogram-ai/ideogram-4-fp8", 4, "tp-size: 4", "args.tp-size"),
        ("OpenMOSS-Team/MOVA-360p", 8, "ulysses-degree: 8", "args.ulysses-degree"),
        ("nvidia/Cosmos3-Nano", 16, "tp-size: 16", "args.tp-size"),
        ("baidu/ERNIE-Image", 3, "tp-size: 3", "args.tp-size"),
        ("me/Wan2.1-T2V-1.3B-tuned", 8, "ulysses-degree: 8", "args.ulysses-degree"),
        ("weizhou03/Wan2.1-Fun-1.3B-InP-Diffusers", 8, "tp-size: 8", "args.tp-size"),
    ],
)
def test_heads_that_a_degree_does_not_divide_are_refused_at_what_asks_for_it(
    model: str, gpus: int, args: str, key: str
) -> None:
    (advice,) = found(model, gpus, args)
    assert (advice.level, advice.slug, advice.key) == ("error", "attention-heads", key)


@pytest.mark.parametrize(
    ("model", "gpus", "args"),
    [
        # By itself the engine may choose CFG parallel, and then Ulysses over 4.
        (WAN, 8, ""),
        (WAN, 8, "enable-cfg-parallel: true"),
        (WAN, 8, "cfg-parallel-size: 2, ulysses-degree: 4"),
        (WAN, 8, "ulysses-degree: 4, ring-degree: 2"),
        # Ring attention splits no heads, whatever their number.
        (WAN, 8, "ring-degree: 8"),
        (WAN, 7, "ring-degree: 7"),
        (WAN, 4, "tp-size: 4"),
        (WAN, 12, "tp-size: 3, ulysses-degree: 4"),
        (WAN, 16, "dp-size: 2"),
        (WAN, 0, ""),
        (WAN_14B, 8, "ulysses-degree: 8"),
        (TURBO, 2, ""),
        ("MiniMaxAI/MiniMax-H3", 4, "tp-size: 2, ulysses-degree: 2"),
        # Its attention is local: no rank is given a share of the heads.
        ("baidu/ERNIE-Image", 3, "ulysses-degree: 3"),
        # Nobody knows these.
        ("./Wan2.1-T2V-1.3B-Diffusers", 8, "ulysses-degree: 8"),
        ("me/Wan9-T2V-1.3B", 8, "ulysses-degree: 8"),
        ("/models/Wan2.1-T2V-1.3B-Diffusers", 8, "ulysses-degree: 8"),
        ("wlsaidhi/SFWan2.1-T2V-1.3B-Diffusers", 8, "ulysses-degree: 8"),
        # What is no number is refused elsewhere.
        (WAN, 8, "ulysses-degree: eight"),
        (WAN, 8, "tp-size: 0"),
    ],
)
def test_what_may_work_is_not_refused(model: str, gpus: int, args: str) -> None:
    assert found(model, gpus, args) == []


def test_another_backend_splits_nothing() -> None:
    assert slugs(WAN, 8, "ulysses-degree: 8") == ["attention-heads"]
    assert slugs(WAN, 8, "ulysses-degree: 8", more=("backend: diffusers",)) == []


def test_from_0_5_18_on_two_ranks_gather_keys_instead_where_the_engine_chooses() -> None:
    chosen, asked = "tp-size: 2", "tp-size: 2, ulysses-degree: 2"
    assert slugs(TURBO, 4, chosen, version="0.5.17") == ["attention-heads"]
    for version in ("0.5.18", "0.5.23", None):
        assert slugs(TURBO, 4, chosen, version=version) == []
        assert slugs(TURBO, 4, asked, version=version) == ["attention-heads"]
    assert slugs(TURBO, 4, "kv-gather-degree: 4", version="0.5.23") == []


def test_an_engine_before_0_5_11_never_chooses_cfg_parallel() -> None:
    assert slugs(WAN, 8, version="0.5.10") == ["attention-heads"]
    assert slugs(WAN, 8, version="0.5.11") == []


def test_before_0_5_17_tensor_parallelism_may_leave_the_heads_whole() -> None:
    assert slugs(TURBO, 4, "tp-size: 4", version="0.5.16") == []
    assert slugs(WAN, 8, "tp-size: 2, ulysses-degree: 4", version="0.5.16") == []
    assert slugs(WAN, 16, "tp-size: 2, ulysses-degree: 8", version="0.5.16") == ["attention-heads"]


@pytest.mark.parametrize("whole", ["enable-svdquant: true", "attention-backend: video_sparse_attn"])
def test_of_whole_heads_on_every_rank_ulysses_divides_all(whole: str) -> None:
    assert slugs(WAN, 8, "tp-size: 2, ulysses-degree: 4") == ["attention-heads"]
    assert slugs(WAN, 8, f"tp-size: 2, ulysses-degree: 4, {whole}") == []
    assert slugs(WAN, 16, f"tp-size: 2, ulysses-degree: 8, {whole}") == ["attention-heads"]


def test_a_transformer_that_was_read_counts_and_not_the_models_name() -> None:
    tiny = Transformer(kind="WanTransformer3DModel", heads={"num_attention_heads": 2}, source="/m/config.json")
    large = Transformer(kind="WanTransformer3DModel", heads={"num_attention_heads": 16}, source="/m/config.json")
    (advice,) = found(WAN, 4, "ulysses-degree: 4", transformers=(large, tiny))
    assert "/m/config.json" in advice.message
    assert found(WAN, 8, "ulysses-degree: 8", transformers=(large,)) == []
    assert found(WAN, 8, "ulysses-degree: 8", transformers=()) == []
    unknown = Transformer(kind="MyTransformer", heads={"num_attention_heads": 2}, source="x")
    lacking = Transformer(kind="WanTransformer3DModel", heads={}, source="x")
    assert found(WAN, 4, "ulysses-degree: 4", transformers=(unknown, lacking)) == []


def test_exactly_what_does_not_come_out_even_is_refused() -> None:
    layouts = [(tp, ulysses) for tp in (1, 2, 3, 4, 8) for ulysses in (1, 2, 3, 4, 8)]
    cases = {
        (tp, ulysses): case_of(f"gpus: {tp * ulysses}", f"args: {{tp-size: {tp}, ulysses-degree: {ulysses}}}")
        for tp, ulysses in layouts
    }
    for heads in (2, 12, 18, 24, 30, 40, 48, 56):
        known = [Transformer(kind="FluxTransformer2DModel", heads={"num_attention_heads": heads}, source="x")]
        for (tp, ulysses), case in cases.items():
            refused = "attention-heads" in {one.slug for one in advise(case, transformers=known)}
            assert refused is (heads % tp != 0 or heads // tp % ulysses != 0)


def test_key_and_value_heads_of_their_own_count_too() -> None:
    def krea(**heads: int) -> tuple[Transformer, ...]:
        return (Transformer(kind="Krea2Transformer2DModel", heads=heads, source="x"),)

    assert slugs("/m", 8, "ulysses-degree: 8", transformers=krea(heads=48, kvheads=12)) == ["attention-heads"]
    assert slugs("/m", 8, "ulysses-degree: 8", transformers=krea(heads=48, kvheads=16)) == []
    # The text is not split over the sequence, its heads are over the ranks of tensor parallelism.
    assert slugs("/m", 3, "ulysses-degree: 3", transformers=krea(heads=48, kvheads=12, txtheads=20)) == []
    assert slugs("/m", 3, "tp-size: 3", transformers=krea(heads=48, kvheads=12, txtheads=20)) == ["attention-heads"]


def test_stable_diffusion_3_goes_without_sequence_parallelism() -> None:
    model = "stabilityai/stable-diffusion-3-medium-diffusers"
    for args in ("ulysses-degree: 2", "ring-degree: 2", "sp-degree: 2", "cfg-parallel-size: 1"):
        assert slugs(model, 2, args) == ["parallel-unsupported"]
    # Two GPUs are the two branches, four are more than that.
    assert slugs(model, 2) == slugs(model, 1) == slugs(model, 2, "cfg-parallel-size: 2") == []
    assert slugs(model, 4) == ["parallel-unsupported"]
    assert slugs(model, 4, "tp-size: 2, cfg-parallel-size: 2") == ["parallel-without-effect"]


def test_sana_is_split_by_cfg_parallel_alone() -> None:
    model = "Efficient-Large-Model/Sana_1600M_1024px_diffusers"
    assert [(one.level, one.slug) for one in found(model, 2, "tp-size: 2")] == [("warning", "parallel-without-effect")]
    assert slugs(model, 2, "ulysses-degree: 2") == ["parallel-without-effect"]
    assert slugs(model, 2) == slugs(model, 2, "enable-cfg-parallel: true") == []


@pytest.mark.parametrize("model", [TURBO, HUNYUAN, "MiniMaxAI/MiniMax-H3", "krea/Krea-2", "nvidia/Cosmos3-Nano"])
def test_0_5_17_has_no_ring_for_some_models(model: str) -> None:
    assert slugs(model, 2, "ring-degree: 2", version="0.5.17") == ["parallel-unsupported"]
    assert slugs(model, 4, "ulysses-degree: 2, ring-degree: 2", version="0.5.17") == ["parallel-unsupported"]
    for version in ("0.5.16", "0.5.18", None):
        assert slugs(model, 2, "ring-degree: 2", version=version) == []


# From the configurations of SGLang's nightly comparison, and of its tests of servers: all of them run.
UPSTREAM = [
    ("black-forest-labs/FLUX.1-dev", 2, "tp-size: 2"),
    ("black-forest-labs/FLUX.2-dev", 2, "tp-size: 2"),
    ("Qwen/Qwen-Image-2512", 2, "tp-size: 2"),
    ("Qwen/Qwen-Image-Edit-2511", 2, "tp-size: 2"),
    (TURBO, 2, "tp-size: 2"),
    ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", 4, "enable-cfg-parallel: true, ulysses-degree: 2"),
    ("Wan-AI/Wan2.2-I2V-A14B-Diffusers", 4, "enable-cfg-parallel: true, ulysses-degree: 2"),
    ("Lightricks/LTX-2", 2, "enable-cfg-parallel: true"),
    ("Lightricks/LTX-2.3", 2, "cfg-parallel-size: 2"),
    ("Lightricks/LTX-2.3", 2, ""),
    ("ideogram-ai/ideogram-4-fp8", 2, "tp-size: 2"),
    ("nvidia/Cosmos3-Super", 2, "tp-size: 2"),
    ("MiniMaxAI/MiniMax-H3", 4, "tp-size: 2, ulysses-degree: 2"),
    ("MiniMaxAI/MiniMax-H3", 4, "ulysses-degree: 4"),
    (WAN, 2, "ulysses-degree: 2"),
    ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", 8, "ulysses-degree: 8"),
    ("Wan-AI/Wan2.2-T2V-A14B-Diffusers", 8, "enable-cfg-parallel: true, ulysses-degree: 4"),
    ("OpenMOSS-Team/MOVA-360p", 2, "tp-size: 2"),
]


@pytest.mark.parametrize(("model", "gpus", "args"), UPSTREAM)
def test_what_upstream_runs_is_not_refused(model: str, gpus: int, args: str) -> None:
    for version in (*VERSIONS[-7:], None):
        assert found(model, gpus, args, version=version) == []


def test_what_the_nightly_configurations_run_is_not_refused() -> None:
    folder = pathlib.Path(__file__).parents[3] / "shared" / "upstream"
    for file in sorted(folder.glob("nightly-config-*.json")):
        for one in json.loads(file.read_text())["cases"]:
            line = one["frameworks"]["sglang"]["serve_args"]
            given = re.findall(r"--([a-z-]+-(?:size|degree)|enable-cfg-parallel)(?:[ =](\d+))?", line)
            args = ", ".join(f"{flag}: {value or 'true'}" for flag, value in given)
            assert found(one["model"], one["num_gpus"], args) == [], one["id"]


def test_each_public_model_is_found_by_its_own_name() -> None:
    assert [re.compile(one.name).groups for one in _MODELS] == [0] * len(_MODELS)
    kinds = {
        "Tongyi-MAI/Z-Image-Turbo": ("ZImageTransformer2DModel", False),
        "Tongyi-MAI/Z-Image": ("ZImageTransformer2DModel", True),
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers": ("WanTransformer3DModel", True),
        "Efficient-Large-Model/SANA-WM_streaming": ("SanaWMTransformer3DModel", True),
    }
    for model, (kind, guided) in kinds.items():
        found = _public(View(case=case_of("gpus: 1", model=model)))
        assert found is not None
        assert (found.kind, found.guided) == (kind, guided)
