"""Options that trade quality for speed, and the hardware and backends that they need.

Source: the performance guide's section on lossy options; attention backends from the engine's platforms/interface.py
(0.5.8 to 0.5.23).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_sgdiff.engines.attention import attention_asked
from pytest_sgdiff.engines.flags.models import ATTENTION
from pytest_sgdiff.lint.offload import CACHE_DIT, CACHE_DIT_FLAG, cache_dit
from pytest_sgdiff.lint.protocol import Finding, Rule, View
from pytest_sgdiff.lookalikes import in_name

EXACT_ATTENTION = (
    *("fa", "fa2", "fa3", "fa4", "torch_sdpa", "torch_cudnn_sdpa", "dynamic_cudnn_sdpa", "aiter", "no_attention"),
)
APPROXIMATE_ATTENTION = frozenset(ATTENTION) - frozenset(EXACT_ATTENTION)
# Their sparse patterns are those of frames.
_VIDEO_ATTENTION = (
    *("sliding_tile_attn", "video_sparse_attn", "video_sparse_attn_h3", "sparse_video_gen_2_attn", "vmoba_attn"),
    *("sla_attn", "sage_sla_attn", "hybrid_window_attn_h3"),
)
# Names of `AttentionBackendName` in diffusers 0.37, the engine's (0.5.17); `aiter` the engine takes for its own.
_DIFFUSERS_ATTENTION = (
    *("flash", "flash_hub", "flash_varlen", "flash_varlen_hub", "_flash_3", "_flash_varlen_3", "_flash_3_hub"),
    *("_flash_3_varlen_hub", "flex", "native", "_native_cudnn", "_native_efficient", "_native_flash", "_native_math"),
    *("_native_npu", "_native_xla", "sage", "sage_hub", "sage_varlen", "_sage_qk_int8_pv_fp8_cuda"),
    *("_sage_qk_int8_pv_fp8_cuda_sm90", "_sage_qk_int8_pv_fp16_cuda", "_sage_qk_int8_pv_fp16_triton", "xformers"),
)
_IMAGE_MODELS = re.compile(
    r"FLUX\.|(?<![A-Za-z])Image(?!2Video)|Z-Image|stable-diffusion|SANA(?!-?(?:Video|WM))|ideogram|Krea", re.IGNORECASE
)
_QUANTISED = (
    *("transformer-path", "transformer-2-path", "transformer-weights-path", "component-paths.transformer"),
    *("component-weights-paths.transformer", "enable-svdquant", "quantization", "quantized-model-path"),
    *("kv-cache-quant", "enable-spectrum", "cfg-gate-step"),
)
_HOPPER = ("H100", "H200", "H800", "H20", "GH200")
_DATACENTRE_BLACKWELL = ("B100", "B200", "B300", "GB200", "GB300")
_BLACKWELL = (*_DATACENTRE_BLACKWELL, "5090", "5080", "BLACKWELL")
# Flash attention needs compute capability 8.0.
_BEFORE_AMPERE = ("V100", "T4", "P100", "P40", "2080", "TITAN")


def _lossy_keys(view: View) -> Iterator[tuple[str, str]]:
    """The key and the name of every lossy option of the case."""
    for flag, backend in attention_asked(view.case).items():
        if backend in APPROXIMATE_ATTENTION or backend.lstrip("_").startswith("sage"):
            yield _attention_place(view, flag), f"{flag} {backend}"
    cached = cache_dit(view)
    if cached is not None:
        yield cached[0], "Cache-DiT"
    for flag in ("cache-dit-config", *_QUANTISED):
        key = view.key_of(flag)
        if key is not None and not view.off(flag):
            yield key, flag
    if view.word("dit-precision") in ("fp16", "fp8"):
        yield view.place("dit-precision"), f"dit-precision {view.word('dit-precision')}"
    for flag in ("vae-precision", "vae-decode-precision"):
        if view.word(flag) in ("fp16", "bf16"):
            yield view.place(flag), f"{flag} {view.word(flag)}"
    if view.on("enable-teacache"):
        yield view.place("enable-teacache"), "TeaCache"
    if view.word("quality") in ("high", "extra-high"):
        yield view.place("quality"), f"quality {view.word('quality')}"


def _attention_place(view: View, flag: str) -> str:
    """The key of a flag that asks for an attention backend, of which `flag` may name one component."""
    return view.key_of(flag) or view.place(flag.partition(".")[0])


def lossy_not_marked(view: View) -> Iterator[Finding]:
    if "lossy" not in view.case.marks:
        for key, what in _lossy_keys(view):
            yield Finding(
                key,
                f"{what} changes the output, so the case is not comparable with a lossless one: add the mark 'lossy'",
            )


def cache_dit_config_on_native(view: View) -> Iterator[Finding]:
    key = view.key_of("cache-dit-config")
    if key is not None and view.case.runs_on != "diffusers":
        yield Finding(
            key,
            "cache-dit-config belongs to the diffusers backend: set SGLANG_CACHE_DIT_ENABLED and its "
            "SGLANG_CACHE_DIT_* variables in 'env', or declare 'backend: diffusers'",
        )


def cache_dit_variables_on_diffusers(view: View) -> Iterator[Finding]:
    cached = cache_dit(view)
    if cached is not None and view.case.runs_on == "diffusers":
        key, name = cached
        yield Finding(key, f"{name} is read by the native backend: give the diffusers backend a cache-dit-config")


def cache_dit_knobs_without_cache_dit(view: View) -> Iterator[Finding]:
    if cache_dit(view) is None:
        for name in view.case.env:
            if name.startswith("SGLANG_CACHE_DIT_") and name != CACHE_DIT:
                yield Finding(f"env.{name}", f'{name} has no effect without {CACHE_DIT}: set it to "true"')
        if view.arg("cache-dit-params") is not None:
            yield Finding(
                view.place("cache-dit-params"),
                f"cache-dit-params has no effect without Cache-DiT: set {CACHE_DIT_FLAG} to true",
            )


def svdquant_gpu(view: View) -> Iterator[Finding]:
    product = view.only_gpus(*_HOPPER, *_DATACENTRE_BLACKWELL, *_BEFORE_AMPERE)
    if view.on("enable-svdquant") and product:
        yield Finding(
            view.place("enable-svdquant"),
            f"SVDQuant runs on GPUs of compute capability 8 and 12 (Ampere, Ada, RTX Blackwell), not on {product}: "
            "name other GPUs in 'requires.gpu', or drop enable-svdquant",
        )


def svdquant_weights(view: View) -> Iterator[Finding]:
    if view.on("enable-svdquant") and view.key_of("transformer-weights-path") is None:
        yield Finding(
            view.place("enable-svdquant"),
            "SVDQuant needs weights that are quantised already: name them with transformer-weights-path",
        )


def nvfp4_gpu(view: View) -> Iterator[Finding]:
    wanted = view.word("quantization-precision") == "nvfp4" or view.model_has("nvfp4")
    if wanted and view.products and view.gpu_has(*_BLACKWELL) is None:
        key = view.place("quantization-precision") if view.arg("quantization-precision") else "model"
        yield Finding(key, f"NVFP4 needs a Blackwell GPU, this is {view.products[0]}: name one in 'requires.gpu'")


def sage3_gpu(view: View) -> Iterator[Finding]:
    if view.products and view.gpu_has(*_BLACKWELL) is None:
        for key, _ in _asking_for(view, "sage_attn_3"):
            yield Finding(
                key,
                f"sage_attn_3 needs a Blackwell GPU, this is {view.products[0]}, and there the engine falls back to "
                "another backend: use sage_attn",
            )


def flash_attention_gpu(view: View) -> Iterator[Finding]:
    product = view.only_gpus(*_BEFORE_AMPERE)
    if product:
        for key, _ in _asking_for(view, "fa", "fa2", "fa3", "fa4"):
            yield Finding(key, f"flash attention needs Ampere or newer, this is {product}: use torch_sdpa")


def sliding_tile_mask(view: View) -> Iterator[Finding]:
    configured = view.key_of("mask-strategy-file-path") or view.key_of("attention-backend-config")
    if configured is None:
        for key, _ in _asking_for(view, "sliding_tile_attn"):
            yield Finding(
                key,
                "sliding_tile_attn reads a mask strategy file: give it with attention-backend-config "
                "(mask_strategy_file_path=FILE; in 0.5.8 with mask-strategy-file-path)",
            )


def video_attention_on_images(view: View) -> Iterator[Finding]:
    if view.case.runs_on == "sglang" and _IMAGE_MODELS.search(view.case.model):
        for key, backend in _asking_for(view, *_VIDEO_ATTENTION):
            yield Finding(
                key,
                f"{backend} has sparse patterns for video, and this is an image model: the engine silently ignores it "
                "or fails; use fa or sage_attn",
            )


def attention_backend(view: View) -> Iterator[Finding]:
    for flag, backend in attention_asked(view.case).items():
        key = _attention_place(view, flag)
        if view.case.runs_on == "diffusers":
            yield from _attention_of_diffusers(key, flag, backend)
        elif backend not in ATTENTION and not (backend == "cudnn_sdpa" and flag.startswith("component")):
            known = ", ".join(sorted(ATTENTION))
            yield Finding(key, f"unknown attention backend {backend}; known are {known}{in_name(backend)}")


def _attention_of_diffusers(key: str, flag: str, backend: str) -> Iterator[Finding]:
    if flag.startswith("component-attention-backends") or flag == "attention-backend-override":
        yield Finding(
            key, f"{flag.partition('.')[0]} belongs to the native backend: give the diffusers backend attention-backend"
        )
    elif backend not in _DIFFUSERS_ATTENTION:
        yield Finding(
            key,
            f"diffusers has no attention backend {backend}, so the engine runs the default one; diffusers has "
            f"{', '.join(sorted(_DIFFUSERS_ATTENTION))}",
        )


def _asking_for(view: View, *backends: str) -> Iterator[tuple[str, str]]:
    """Key and backend of every flag that asks for one of these attention backends."""
    asked = attention_asked(view.case).items()
    return ((_attention_place(view, flag), backend) for flag, backend in asked if backend in backends)


def quantised_model_falls_back(view: View) -> Iterator[Finding]:
    if view.case.runs_on != "diffusers" and view.model_has("-4bit", "-awq", "-gptq"):
        yield Finding(
            "model",
            "the engine runs a model of this name on the diffusers backend even with 'backend: sglang': "
            "use the BF16 model, or declare 'backend: diffusers'",
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
    Rule(slug="video-attention-on-images", level="error", check=video_attention_on_images),
    Rule(slug="attention-backend", level="error", check=attention_backend),
    Rule(slug="quantised-model-falls-back", level="error", check=quantised_model_falls_back),
)
