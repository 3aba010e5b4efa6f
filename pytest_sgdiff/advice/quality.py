"""Options that trade quality for speed, and the hardware and backends that they need.

Source: the performance guide's section on lossy options; attention backends from the engine's platforms/interface.py
(0.5.8 to 0.5.23).
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sgdiff.advice.protocol import Finding, Rule, View
from pytest_sgdiff.advice.residency import CACHE_DIT

EXACT_ATTENTION = ("fa", "fa2", "fa3", "fa4", "torch_sdpa", "torch_cudnn_sdpa", "dynamic_cudnn_sdpa", "aiter")
APPROXIMATE_ATTENTION = (
    *("sage_attn", "sage_attn_3", "sliding_tile_attn", "video_sparse_attn", "sparse_video_gen_2_attn", "vmoba_attn"),
    *("sla_attn", "sage_sla_attn", "aiter_sage", "laser_attn", "block_sparse_attn", "rain_fusion_attn"),
)
_QUANTISED = ("transformer-path", "transformer-weights-path", "enable-svdquant", "quantization")
_HOPPER = ("H100", "H200", "H800", "H20", "GH200")
_BLACKWELL = ("B100", "B200", "B300", "GB200", "GB300", "5090", "5080", "BLACKWELL")
# Flash attention needs compute capability 8.0.
_BEFORE_AMPERE = ("V100", "T4", "P100", "P40", "2080", "TITAN")


def _lossy_keys(view: View) -> Iterator[tuple[str, str]]:
    """The key and the name of every lossy option of the case."""
    if view.word("attention-backend") in APPROXIMATE_ATTENTION:
        yield "args.attention-backend", f"attention-backend {view.word('attention-backend')}"
    if view.env_on(CACHE_DIT):
        yield f"env.{CACHE_DIT}", "Cache-DiT"
    for flag in ("cache-dit-config", *_QUANTISED):
        key = view.key_of(flag)
        if key is not None and not view.off(flag):
            yield key, flag
    if view.word("dit-precision") in ("fp16", "fp8"):
        yield "args.dit-precision", f"dit-precision {view.word('dit-precision')}"
    if view.word("vae-precision") in ("fp16", "bf16"):
        yield "args.vae-precision", f"vae-precision {view.word('vae-precision')}"
    if view.on("enable-teacache"):
        yield "args.enable-teacache", "TeaCache"
    if view.word("quality") in ("high", "extra-high"):
        yield "args.quality", f"quality {view.word('quality')}"


def lossy_not_marked(view: View) -> Iterator[Finding]:
    if "lossy" not in view.case.marks:
        for key, what in _lossy_keys(view):
            yield Finding(
                key,
                f"{what} changes the output, so that the case compares with no lossless one: add the mark 'lossy'",
            )


def cache_dit_config_on_native(view: View) -> Iterator[Finding]:
    key = view.key_of("cache-dit-config")
    if key is not None and view.case.backend != "diffusers":
        yield Finding(
            key,
            "cache-dit-config belongs to the diffusers backend: set SGLANG_CACHE_DIT_ENABLED and its "
            "SGLANG_CACHE_DIT_* variables in 'env', or declare 'backend: diffusers'",
        )


def cache_dit_variables_on_diffusers(view: View) -> Iterator[Finding]:
    if view.env_on(CACHE_DIT) and view.case.backend == "diffusers":
        yield Finding(
            f"env.{CACHE_DIT}",
            f"{CACHE_DIT} is read by the native backend: give the diffusers backend a cache-dit-config",
        )


def cache_dit_knobs_without_cache_dit(view: View) -> Iterator[Finding]:
    if not view.env_on(CACHE_DIT):
        for name in view.case.env:
            if name.startswith("SGLANG_CACHE_DIT_") and name != CACHE_DIT:
                yield Finding(f"env.{name}", f'{name} has no effect without {CACHE_DIT}: set it to "true"')


def svdquant_gpu(view: View) -> Iterator[Finding]:
    product = view.gpu_has(*_HOPPER)
    if view.on("enable-svdquant") and product:
        yield Finding(
            "args.enable-svdquant",
            f"SVDQuant runs on Ampere, Ada and consumer Blackwell GPUs, not on Hopper ({product}): "
            "name other GPUs in 'requires.gpu', or drop enable-svdquant",
        )


def svdquant_weights(view: View) -> Iterator[Finding]:
    if view.on("enable-svdquant") and view.key_of("transformer-weights-path") is None:
        yield Finding(
            "args.enable-svdquant",
            "SVDQuant needs weights that are quantised already: name them with transformer-weights-path",
        )


def nvfp4_gpu(view: View) -> Iterator[Finding]:
    wanted = view.word("quantization-precision") == "nvfp4" or view.model_has("nvfp4")
    if wanted and view.products and view.gpu_has(*_BLACKWELL) is None:
        key = "args.quantization-precision" if view.arg("quantization-precision") else "model"
        yield Finding(key, f"NVFP4 needs a Blackwell GPU, this is {view.products[0]}: name one in 'requires.gpu'")


def sage3_gpu(view: View) -> Iterator[Finding]:
    if view.word("attention-backend") == "sage_attn_3" and view.products and view.gpu_has(*_BLACKWELL) is None:
        yield Finding(
            "args.attention-backend",
            f"sage_attn_3 needs a Blackwell GPU, this is {view.products[0]}, where the engine falls back to another "
            "backend: use sage_attn",
        )


def flash_attention_gpu(view: View) -> Iterator[Finding]:
    product = view.gpu_has(*_BEFORE_AMPERE)
    if product and view.word("attention-backend") in ("fa", "fa2", "fa3", "fa4"):
        yield Finding(
            "args.attention-backend", f"flash attention needs Ampere or newer, this is {product}: use torch_sdpa"
        )


def sliding_tile_mask(view: View) -> Iterator[Finding]:
    configured = view.key_of("mask-strategy-file-path") or view.key_of("attention-backend-config")
    if view.word("attention-backend") == "sliding_tile_attn" and configured is None:
        yield Finding(
            "args.attention-backend",
            "sliding_tile_attn reads a mask strategy file: give it with mask-strategy-file-path",
        )


def attention_backend(view: View) -> Iterator[Finding]:
    word = view.word("attention-backend")
    known = (*EXACT_ATTENTION, *APPROXIMATE_ATTENTION, "no_attention")
    if word and word not in known and view.case.backend != "diffusers":
        yield Finding(
            "args.attention-backend", f"no attention backend is called {word}: known are {', '.join(sorted(known))}"
        )


def quantised_model_falls_back(view: View) -> Iterator[Finding]:
    if view.case.backend != "diffusers" and view.model_has("-4bit", "-awq", "-gptq"):
        yield Finding(
            "model",
            "a model of this name falls back to the diffusers backend, 'backend: sglang' or not: "
            "take the BF16 model, or declare 'backend: diffusers'",
        )


RULES = (
    Rule(slug="lossy-not-marked", level="warning", check=lossy_not_marked),
    Rule(slug="cache-dit-config-on-native", level="error", check=cache_dit_config_on_native),
    Rule(slug="cache-dit-variables-on-diffusers", level="warning", check=cache_dit_variables_on_diffusers),
    Rule(slug="cache-dit-knobs-without-cache-dit", level="warning", check=cache_dit_knobs_without_cache_dit),
    Rule(slug="svdquant-gpu", level="error", check=svdquant_gpu),
    Rule(slug="svdquant-weights", level="error", check=svdquant_weights),
    Rule(slug="nvfp4-gpu", level="error", check=nvfp4_gpu),
    Rule(slug="sage3-gpu", level="error", check=sage3_gpu),
    Rule(slug="flash-attention-gpu", level="error", check=flash_attention_gpu),
    Rule(slug="sliding-tile-mask", level="error", check=sliding_tile_mask),
    Rule(slug="attention-backend", level="error", check=attention_backend),
    Rule(slug="quantised-model-falls-back", level="error", check=quantised_model_falls_back),
)
