"""Every rule of advice: a case that it speaks up on, word for word and at its place, and one that it leaves alone."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import pytest

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.data import Advice, Case
from pytest_sgdiff.engines.flags.translate import table_flags
from pytest_sgdiff.lint import RULES, advise
from tests.golden import check_golden

ROOT = pathlib.Path(__file__).parents[2]
H100 = "NVIDIA H100 80GB HBM3"
CACHE = 'env: {SGLANG_CACHE_DIT_ENABLED: "true"}'


def case_of(*lines: str, model: str = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers") -> Case:
    """A case with these lines from line 3 on."""
    body = "\n".join(f"    {line}" for line in lines)
    return load_cases("c.yaml", f"cases:\n  one:\n{body}\n    model: {model}\n")[0]


def found(slug: str, case: Case, *, version: str | None = None, gpus: tuple[str, ...] = ()) -> list[Advice]:
    return [
        one
        for one in advise(case, engine=table_flags(version) if version else None, gpu_products=gpus)
        if one.slug == slug
    ]


# slug, level, the case's lines, the place; then lines on which the rule is silent.
FIRES = [
    # ---- ownership
    (
        "owned-flag",
        "error",
        ["args: {num-gpus: 2}"],
        "3:12",
        ["gpus: 2"],
    ),
    (
        "owned-flag",
        "error",
        ["args: {warmup: true}"],
        "3:12",
        ["warmup: request"],
    ),
    (
        "owned-flag",
        "error",
        ["args: {perf-dump-path: x}"],
        "3:12",
        ["args: {seed: 1}"],
    ),
    (
        "owned-flag",
        "error",
        ["engine: sglang-serve", "args: {host: 0.0.0.0}"],
        "4:12",
        ["args: {host: 0.0.0.0}"],
    ),
    (
        "owned-variable",
        "error",
        ['env: {CUDA_VISIBLE_DEVICES: "0"}'],
        "3:11",
        ['env: {CUDA_LAUNCH_BLOCKING: "1"}'],
    ),
    (
        "secret-in-case",
        "error",
        ["env: {HF_TOKEN: hf_x}"],
        "3:11",
        ['env: {HF_HOME: "/x", TOKENIZERS_PARALLELISM: "false"}'],
    ),
    (
        "secret-in-case",
        "error",
        ["config: {api_key: x}"],
        "3:14",
        ["config: {tokenizer_path: x}"],
    ),
    (
        "misspelt-path",
        "error",
        ["args: {imge-path: x}"],
        "3:12",
        ["args: {vae-path: x, my-own-component-path: y}"],
    ),
    # ---- topology
    (
        "attention-heads",
        "error",
        ["gpus: 8", "args: {ulysses-degree: 8}"],
        "4:12",
        ["gpus: 8", "args: {ulysses-degree: 4, ring-degree: 2}"],
    ),
    (
        "attention-heads",
        "error",
        ["gpus: 8", "config: {tp_size: 8}"],
        "4:14",
        ["gpus: 4", "config: {tp_size: 4}"],
    ),
    (
        "attention-heads",
        "error",
        ["gpus: 8", "args: {enable-cfg-parallel: false}"],
        "3:5",
        ["gpus: 8"],
    ),
    (
        "cfg-parallel-on-one-gpu",
        "error",
        ["gpus: 1", "args: {enable-cfg-parallel: true}"],
        "4:12",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
    ),
    (
        "cfg-parallel-on-one-gpu",
        "error",
        ["args: {cfg-parallel-size: 2}"],
        "3:12",
        ["args: {cfg-parallel-size: 1}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 4", "args: {enable-cfg-parallel: true, ulysses-degree: 4}"],
        "4:39",
        ["gpus: 8", "args: {enable-cfg-parallel: true, ulysses-degree: 4}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 4", "args: {ulysses-degree: 2}"],
        "4:12",
        ["gpus: 4", "args: {ulysses-degree: 2, ring-degree: 2}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["args: {ulysses-degree: 2}"],
        "3:12",
        ["args: {ulysses-degree: 1}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 4", "args: {sp-degree: 4, ulysses-degree: 2}"],
        "4:12",
        ["gpus: 4", "args: {sp-degree: 4}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 3", "args: {tp-size: 2}"],
        "4:12",
        ["gpus: 2", "args: {tp-size: 2}"],
    ),
    (
        "data-parallel",
        "error",
        ["gpus: 2", "args: {dp-size: 2}"],
        "4:12",
        ["args: {dp-size: 1}"],
    ),
    (
        "attention-heads",
        "error",
        ["gpus: 8", "args: {tp-size: 2, ulysses-degree: 4}"],
        "4:24",
        ["gpus: 8", "args: {enable-cfg-parallel: true, ulysses-degree: 4}"],
    ),
    (
        "attention-heads",
        "error",
        ["gpus: 8", "args: {sp-degree: 8}"],
        "4:12",
        ["gpus: 8", "args: {ring-degree: 8}"],
    ),
    (
        "attention-heads",
        "error",
        ["gpus: 8", "args: {tp-size: 8}"],
        "4:12",
        ["gpus: 8", "backend: diffusers", "args: {tp-size: 8}"],
    ),
    (
        "ring-attention-backend",
        "error",
        ["gpus: 2", "args: {ring-degree: 2, attention-backend: torch_sdpa}"],
        "4:28",
        ["gpus: 2", "args: {ring-degree: 2, attention-backend: fa}"],
    ),
    (
        "parallel-not-pinned",
        "warning",
        ["gpus: 2"],
        "3:5",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
    ),
    (
        "parallel-not-pinned",
        "warning",
        ["gpus: 4", "args: {enable-cfg-parallel: true}"],
        "3:5",
        ["gpus: 4", "args: {enable-cfg-parallel: true, ulysses-degree: 2}"],
    ),
    # ---- residency
    (
        "cache-dit-with-layerwise-offload",
        "error",
        [CACHE, "args: {dit-layerwise-offload: true}"],
        "4:12",
        [CACHE, "args: {dit-layerwise-offload: false}"],
    ),
    (
        "cache-dit-with-layerwise-offload",
        "error",
        [CACHE],
        "3:11",
        ["args: {dit-layerwise-offload: true}"],
    ),
    (
        "fsdp-with-layerwise-offload",
        "error",
        ["args: {use-fsdp-inference: true, dit-layerwise-offload: true}"],
        "3:12",
        ["args: {use-fsdp-inference: true, dit-layerwise-offload: false}"],
    ),
    (
        "fsdp-with-cache-dit",
        "error",
        [CACHE, "args: {use-fsdp-inference: true}"],
        "4:12",
        ["args: {use-fsdp-inference: true}"],
    ),
    (
        "prefetch-size",
        "warning",
        ["args: {dit-offload-prefetch-size: 0.5}"],
        "3:12",
        ["args: {dit-offload-prefetch-size: 0.1}"],
    ),
    (
        "prefetch-size",
        "warning",
        ["args: {dit-offload-prefetch-size: 2.5}"],
        "3:12",
        ["args: {dit-offload-prefetch-size: 2}"],
    ),
    (
        "prefetch-size",
        "warning",
        ["args: {dit-offload-prefetch-size: -1}"],
        "3:12",
        ["args: {dit-offload-prefetch-size: 0.0}"],
    ),
    (
        "prefetch-size",
        "warning",
        ["args: {dit-offload-prefetch-size: many}"],
        "3:12",
        ["args: {dit-offload-prefetch-size: 0}"],
    ),
    (
        "prefetch-without-offload",
        "warning",
        ["args: {dit-offload-prefetch-size: 1, dit-layerwise-offload: false}"],
        "3:12",
        ["args: {dit-offload-prefetch-size: 1, dit-layerwise-offload: true}"],
    ),
    (
        "offload-not-pinned",
        "warning",
        ["args: {seed: 1}"],
        "3:5",
        ["args: {dit-layerwise-offload: false}"],
    ),
    # ---- quality
    (
        "lossy-not-marked",
        "warning",
        ["args: {attention-backend: sage_attn}"],
        "3:12",
        ["marks: [lossy]", "args: {attention-backend: sage_attn}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        [CACHE],
        "3:11",
        ['env: {SGLANG_CACHE_DIT_ENABLED: "false"}'],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {transformer-path: x}"],
        "3:12",
        ["args: {attention-backend: fa}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {vae-precision: bf16}"],
        "3:12",
        ["args: {vae-precision: fp32}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {dit-precision: fp16}"],
        "3:12",
        ["args: {dit-precision: bf16}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {enable-teacache: true}"],
        "3:12",
        ["args: {enable-teacache: false}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {quality: high}"],
        "3:12",
        ["args: {quality: lossless}"],
    ),
    (
        "cache-dit-config-on-native",
        "error",
        ["args: {cache-dit-config: c.yaml}"],
        "3:12",
        ["backend: diffusers", "args: {cache-dit-config: c.yaml}"],
    ),
    (
        "cache-dit-config-on-native",
        "error",
        ["assets: {cache-dit-config: c.yaml}"],
        "3:14",
        ["backend: diffusers", "assets: {cache-dit-config: c.yaml}"],
    ),
    (
        "cache-dit-variables-on-diffusers",
        "warning",
        ["backend: diffusers", CACHE],
        "4:11",
        [CACHE],
    ),
    (
        "cache-dit-knobs-without-cache-dit",
        "warning",
        ['env: {SGLANG_CACHE_DIT_RDT: "0.24"}'],
        "3:11",
        ['env: {SGLANG_CACHE_DIT_RDT: "0.24", SGLANG_CACHE_DIT_ENABLED: "true"}'],
    ),
    (
        "svdquant-gpu",
        "error",
        ["args: {enable-svdquant: true}", "requires: {gpu: [H200]}"],
        "3:12",
        ["args: {enable-svdquant: true}", "requires: {gpu: [H200, A100]}"],
    ),
    (
        "svdquant-weights",
        "error",
        ["args: {enable-svdquant: true}"],
        "3:12",
        ["args: {enable-svdquant: true, transformer-weights-path: w.safetensors}"],
    ),
    (
        "nvfp4-gpu",
        "error",
        ["args: {quantization-precision: nvfp4}", "requires: {gpu: [H100]}"],
        "3:12",
        ["args: {quantization-precision: nvfp4}", "requires: {gpu: [B200]}"],
    ),
    (
        "sage3-gpu",
        "error",
        ["args: {attention-backend: sage_attn_3}", "requires: {gpu: [H100]}"],
        "3:12",
        ["args: {attention-backend: sage_attn_3}"],
    ),
    (
        "flash-attention-gpu",
        "error",
        ["args: {attention-backend: fa}", "requires: {gpu: [V100]}"],
        "3:12",
        ["args: {attention-backend: torch_sdpa}", "requires: {gpu: [V100]}"],
    ),
    (
        "sliding-tile-mask",
        "error",
        ["args: {attention-backend: sliding_tile_attn}"],
        "3:12",
        ["args: {attention-backend: sliding_tile_attn, mask-strategy-file-path: m.json}"],
    ),
    (
        "attention-backend",
        "error",
        ["args: {attention-backend: flash}"],
        "3:12",
        ["backend: diffusers", "args: {attention-backend: flash}"],
    ),
    # ---- measuring
    (
        "several-prompts",
        "error",
        ["args: {prompt: [a, b, c]}"],
        "3:12",
        ["args: {prompt: [a]}"],
    ),
    (
        "several-prompts",
        "error",
        ["args: {prompt-path: p.txt}"],
        "3:12",
        ["args: {prompt: a}"],
    ),
    (
        "several-outputs",
        "error",
        ["args: {num-outputs-per-prompt: 4}"],
        "3:12",
        ["args: {num-outputs-per-prompt: 1}"],
    ),
    (
        "output-not-saved",
        "error",
        ["args: {no-save-output: true}"],
        "3:12",
        ["args: {save-output: true}"],
    ),
    (
        "output-not-saved",
        "error",
        ["args: {save-output: false}"],
        "3:12",
        ["args: {seed: 1}"],
    ),
    (
        "profiler-on",
        "error",
        ["args: {profile: true}"],
        "3:12",
        ["args: {profile: false}"],
    ),
    (
        "log-level",
        "error",
        ["args: {log-level: warning}"],
        "3:12",
        ["args: {log-level: debug}"],
    ),
    (
        "compile-without-warmup",
        "warning",
        ["warmup: off", "args: {enable-torch-compile: true}"],
        "4:12",
        ["args: {enable-torch-compile: true}"],
    ),
    (
        "conditioning-cache",
        "warning",
        ["args: {disable-conditioning-cache: false}"],
        "3:12",
        ["warmup: off", "args: {disable-conditioning-cache: false}"],
    ),
    (
        "warmup-resolutions",
        "warning",
        ["args: {warmup-resolutions: [256x256]}"],
        "3:12",
        ["engine: my-server", "args: {warmup-resolutions: [256x256]}"],
    ),
    (
        "breakable-cuda-graph",
        "error",
        ["args: {enable-breakable-cuda-graph: true}"],
        "3:12",
        ["engine: my-server", "args: {enable-breakable-cuda-graph: true}"],
    ),
    (
        "no-seed",
        "warning",
        ["args: {width: 1}"],
        "3:5",
        ["args: {seed: 42}"],
    ),
    (
        "timers-not-synchronised",
        "warning",
        ["env: {A: x}"],
        "3:5",
        ['env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}'],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 2", "args: {ulysses-degree: two}"],
        "4:12",
        ["gpus: 2", 'args: {ulysses-degree: "2"}'],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 2", "args: {ulysses-degree: 0}"],
        "4:12",
        ["gpus: 2", 'args: {ulysses-degree: "2"}'],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 2", "args: {ulysses-degree: 2.0}"],
        "4:12",
        ["gpus: 2", 'args: {ulysses-degree: "2"}'],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 2", "args: {ulysses-degree: -2}"],
        "4:12",
        ["gpus: 2", 'args: {ulysses-degree: "2"}'],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 2", "config: {cfg_parallel_degree: x}"],
        "4:14",
        ["gpus: 2", "config: {cfg_parallel_degree: 2}"],
    ),
    (
        "several-prompts",
        "error",
        ["assets: {prompt-path: p.txt}"],
        "3:14",
        ["assets: {image-path: p.png}"],
    ),
    # ---- other spellings, and keys of the config
    (
        "prefetch-without-offload",
        "warning",
        ["args: {dit-layerwise-offload: false}", "config: {dit_offload_prefetch_size: 2}"],
        "4:14",
        ["args: {dit-layerwise-offload: false, dit-offload-prefetch-size: 2, layerwise-offload-components: dit}"],
    ),
    (
        "cache-dit-with-layerwise-offload",
        "error",
        [CACHE, "args: {layerwise-offload-components: [text_encoder, dit], dit-layerwise-offload: false}"],
        "4:12",
        [CACHE, "args: {layerwise-offload-components: [text_encoder, vae], dit-layerwise-offload: false}"],
    ),
    (
        "cache-dit-with-layerwise-offload",
        "error",
        [CACHE, "args: {component-residency: [all=layerwise-offload, vae=resident], dit-layerwise-offload: false}"],
        "4:12",
        [CACHE, "args: {component-residency: [all=layerwise-offload, dit=resident], dit-layerwise-offload: false}"],
    ),
    (
        "fsdp-with-layerwise-offload",
        "error",
        ["args: {use-fsdp-inference: true}", "config: {layerwise_offload_components: [all]}"],
        "3:12",
        ["args: {use-fsdp-inference: true}", "config: {layerwise_offload_components: [vae]}"],
    ),
    (
        "offload-not-pinned",
        "warning",
        ["args: {seed: 2}"],
        "3:5",
        ["args: {cpu-offload-components: [dit]}"],
    ),
    (
        "owned-flag",
        "error",
        ["config: {num_gpus: 2, seed: 1}"],
        "3:14",
        ["config: {seed: 1}"],
    ),
    (
        "cfg-parallel-without-cfg",
        "error",
        ["gpus: 2", "args: {enable-cfg-parallel: true, guidance-scale: 1.0}"],
        "4:12",
        ["gpus: 2", "args: {enable-cfg-parallel: true, guidance-scale: 5.0}"],
    ),
    (
        "cfg-parallel-without-cfg",
        "error",
        ["gpus: 2", "args: {cfg-parallel-size: 2, guidance-scale: 5, true-cfg-scale: 0.5}"],
        "4:12",
        ["gpus: 2", "args: {cfg-parallel-size: 1, guidance-scale: 1}"],
    ),
    (
        "parallel-degrees",
        "error",
        ["gpus: 4", "config: {ulysses_degree: 2}"],
        "4:14",
        ["gpus: 4", "config: {ulysses_degree: 2, cfg_parallel_degree: 2}"],
    ),
    (
        "data-parallel",
        "error",
        ["gpus: 2", "engine: sglang-serve", "args: {dp-size: 2}"],
        "5:12",
        ["gpus: 2", "engine: sglang-serve", "args: {dp-size: 2}", "launches: {concurrency: [4]}"],
    ),
    (
        "data-parallel",
        "error",
        ["gpus: 2", "args: {data-parallel-size: 2}"],
        "4:12",
        ["args: {dp: 1}"],
    ),
    (
        "data-parallel",
        "error",
        ["gpus: 2", "config: {dp_size: 2}"],
        "4:14",
        ["config: {dp_size: 1}"],
    ),
    (
        "parallel-not-pinned",
        "warning",
        ["gpus: 2", "config: {seed: 1}"],
        "3:5",
        ["gpus: 2", "config: {enable_cfg_parallel: true}"],
    ),
    (
        "cache-dit-with-layerwise-offload",
        "error",
        ["args: {enable-cache-dit: true, dit-layerwise-offload: true}"],
        "3:36",
        [CACHE, "args: {enable-cache-dit: false, dit-layerwise-offload: true}"],
    ),
    (
        "cache-dit-with-layerwise-offload",
        "error",
        ["args: {enable-cache-dit: true}"],
        "3:12",
        ["args: {enable-cache-dit: true}", "config: {dit_layerwise_offload: false}"],
    ),
    (
        "fsdp-with-cache-dit",
        "error",
        ["args: {enable-cache-dit: true, use-fsdp-inference: true}"],
        "3:36",
        ["args: {enable-cache-dit: false, use-fsdp-inference: true}"],
    ),
    (
        "offload-not-pinned",
        "warning",
        ["config: {seed: 1}"],
        "2:3",
        ["config: {dit_layerwise_offload: false}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {enable-cache-dit: true}"],
        "3:12",
        ["marks: [lossy]", "args: {enable-cache-dit: true}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {attention-backend-override: sage_attn}"],
        "3:12",
        ["marks: [lossy]", "args: {attention-backend-override: sage_attn}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {cfg-gate-step: 0.5}"],
        "3:12",
        ["marks: [lossy]", "args: {cfg-gate-step: 0.5}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {vae-decode-precision: bf16}"],
        "3:12",
        ["marks: [lossy]", "args: {vae-decode-precision: bf16}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ['args: {component-attention-backends: "text_encoder=fa,transformer=sage_attn"}'],
        "3:12",
        ['args: {component-attention-backends: "text_encoder=fa,transformer=torch_sdpa"}'],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["config: {component_attention_backends: {transformer: sage_attn}}"],
        "3:14",
        ["config: {component_attention_backends: {transformer: fa}}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["config: {attention_backend: sage_attn}"],
        "3:14",
        ["config: {attention_backend: fa}"],
    ),
    (
        "lossy-not-marked",
        "warning",
        ["args: {component-attention-backends.transformer: sage_attn}"],
        "3:12",
        ["args: {component-attention-backends.transformer: fa}"],
    ),
    (
        "cache-dit-variables-on-diffusers",
        "warning",
        ["backend: diffusers", "args: {enable-cache-dit: true}"],
        "4:12",
        ["args: {enable-cache-dit: true}"],
    ),
    (
        "cache-dit-knobs-without-cache-dit",
        "warning",
        ["args: {cache-dit-params: '{}'}"],
        "3:12",
        ["args: {cache-dit-params: '{}', enable-cache-dit: true}"],
    ),
    (
        "attention-backend",
        "error",
        ['args: {component-attention-backends: "transformer=sage"}'],
        "3:12",
        [
            'args: {component-attention-backends: "{\\"transformer\\": \\"fa\\"}"}',
            "config: {attention_backend: sparge_attn}",
        ],
    ),
    (
        "attention-backend",
        "error",
        ["backend: diffusers", "args: {attention-backend: fa}"],
        "4:12",
        ["backend: diffusers", "args: {attention-backend: _flash_3_hub}"],
    ),
    (
        "attention-backend",
        "error",
        ["backend: diffusers", "args: {attention-backend: flash_attention}"],
        "4:12",
        ["backend: diffusers", "args: {attention-backend: _flash_3_hub}"],
    ),
    (
        "attention-backend",
        "error",
        ["backend: diffusers", "args: {component-attention-backends: transformer=flash}"],
        "4:12",
        ["backend: diffusers", "args: {attention-backend: xformers}"],
    ),
    (
        "several-outputs",
        "error",
        ["args: {num-outputs: 4}"],
        "3:12",
        ["args: {num-outputs: 1}"],
    ),
    (
        "several-outputs",
        "error",
        ["config: {num_outputs_per_prompt: 4}"],
        "3:14",
        ["config: {num_outputs_per_prompt: 1}"],
    ),
    (
        "several-prompts",
        "error",
        ["config: {prompt: [a, b]}"],
        "3:14",
        ["config: {prompt: a}"],
    ),
    (
        "no-seed",
        "warning",
        ["config: {width: 1}"],
        "2:3",
        ["config: {seed: 42}"],
    ),
]


@pytest.mark.parametrize(
    ("slug", "level", "lines", "place", "silent"),
    FIRES,
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_rule_speaks_up_at_the_line_and_only_where_it_should(
    slug: str, level: str, lines: list[str], place: str, silent: list[str]
) -> None:
    advice = found(slug, case_of(*lines))
    assert [(one.level, str(one.location)) for one in advice] == [(level, f"c.yaml:{place}")]
    assert found(slug, case_of(*silent)) == []


def test_advice_prints_place_level_message_and_slug() -> None:
    (advice,) = found("owned-flag", case_of("args: {port: 1}"))
    assert str(advice) == f"c.yaml:3:12: error: {advice.message} [owned-flag]"


OF_MODELS = [
    (
        "attention-heads",
        "Tongyi-MAI/Z-Image-Turbo",
        ["gpus: 4"],
        "3:5",
        "Tongyi-MAI/Z-Image",
    ),
    (
        "attention-heads",
        "krea/Krea-2",
        ["gpus: 8", "args: {ulysses-degree: 8}"],
        "4:12",
        "MiniMaxAI/MiniMax-H3",
    ),
    (
        "parallel-unsupported",
        "stabilityai/stable-diffusion-3.5-medium-diffusers",
        ["gpus: 4"],
        "3:5",
        "zai-org/GLM-Image",
    ),
    (
        "parallel-unsupported",
        "Efficient-Large-Model/SANA-WM_bidirectional",
        ["gpus: 2", "args: {tp-size: 2}"],
        "4:12",
        "Qwen/Qwen-Image",
    ),
    (
        "parallel-without-effect",
        "stabilityai/stable-diffusion-3-medium-diffusers",
        ["gpus: 2", "args: {tp-size: 2}"],
        "4:12",
        "Qwen/Qwen-Image",
    ),
    (
        "parallel-without-effect",
        "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers",
        ["gpus: 2", "args: {ulysses-degree: 2}"],
        "4:12",
        "Qwen/Qwen-Image",
    ),
    (
        "cfg-parallel-without-cfg",
        "black-forest-labs/FLUX.1-dev",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
        "4:12",
        "black-forest-labs/FLUX.2-klein-base-4B",
    ),
    (
        "cfg-parallel-without-cfg",
        "Tongyi-MAI/Z-Image-Turbo",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
        "4:12",
        "Tongyi-MAI/Z-Image",
    ),
    (
        "cfg-parallel-without-cfg",
        "IPostYellow/TurboWan2.1-T2V-14B-Diffusers",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
        "4:12",
        "Wan-AI/Wan2.1-T2V-14B-Diffusers",
    ),
    (
        "cfg-parallel-without-cfg",
        "FastVideo/FastWan2.1-T2V-1.3B-Diffusers",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
        "4:12",
        "baidu/ERNIE-Image-Turbo",
    ),
    (
        "cfg-parallel-without-cfg",
        "BestWishYsh/Helios-Distilled",
        ["gpus: 2", "args: {enable-cfg-parallel: true}"],
        "4:12",
        "BestWishYsh/Helios-Base",
    ),
    (
        "device-mode-not-pinned",
        "Lightricks/LTX-2.3",
        ["gpus: 2", "args: {pipeline-class-name: LTX2TwoStagePipeline}"],
        "4:12",
        "Lightricks/LTX-2",
    ),
    (
        "device-mode-not-pinned",
        "Lightricks/LTX-2.3",
        ["args: {pipeline-class-name: LTX2TwoStageHQPipeline}"],
        "3:12",
        "Lightricks/LTX-2.5-Diffusers",
    ),
    (
        "video-attention-on-images",
        "Qwen/Qwen-Image",
        ["args: {attention-backend: video_sparse_attn}"],
        "3:12",
        "Wan-AI/Wan2.1-T2V-14B-Diffusers",
    ),
    (
        "video-attention-on-images",
        "black-forest-labs/FLUX.1-dev",
        ["args: {attention-backend: sliding_tile_attn}"],
        "3:12",
        "nvidia/Cosmos3-Super-Image2Video",
    ),
    (
        "video-attention-on-images",
        "Efficient-Large-Model/Sana_1600M_1024px_diffusers",
        ["args: {attention-backend: vmoba_attn}"],
        "3:12",
        "Efficient-Large-Model/SANA-Video_2B_480p_diffusers",
    ),
    (
        "video-attention-on-images",
        "stabilityai/stable-diffusion-3.5-medium",
        ["args: {attention-backend: sage_sla_attn}"],
        "3:12",
        "Efficient-Large-Model/SANA-WM_bidirectional",
    ),
    (
        "video-attention-on-images",
        "Tongyi-MAI/Z-Image",
        ["args: {attention-backend: sparse_video_gen_2_attn}"],
        "3:12",
        "Lightricks/LTX-2",
    ),
    (
        "nvfp4-gpu",
        "black-forest-labs/FLUX.2-dev-NVFP4",
        ["requires: {gpu: [H100]}"],
        "4:5",
        "black-forest-labs/FLUX.2-dev",
    ),
    (
        "quantised-model-falls-back",
        "x/FLUX.1-dev-bnb-4bit",
        ["gpus: 1"],
        "4:5",
        "x/FLUX.1-dev",
    ),
    (
        "ideogram-steps",
        "ideogram-ai/ideogram-4-fp8",
        ["args: {num-inference-steps: 20}"],
        "3:12",
        "zai-org/GLM-Image",
    ),
    (
        "hunyuan3d-primary",
        "tencent/Hunyuan3D-2",
        ["metrics: {primary: e2e}"],
        "3:15",
        "zai-org/GLM-Image",
    ),
    (
        "cosmos3-guardrails",
        "nvidia/Cosmos3-Nano",
        ["env: {A: x}"],
        "3:5",
        "zai-org/GLM-Image",
    ),
    (
        "gated-without-token",
        "black-forest-labs/FLUX.1-dev",
        ["gpus: 1"],
        "4:5",
        "Qwen/Qwen-Image",
    ),
    (
        "no-input-image",
        "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        ["gpus: 1"],
        "2:3",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    ),
    (
        "i2v-keeps-proportions",
        "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        ["expect: {output: {width: 1280}}"],
        "3:14",
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    ),
    (
        "i2v-keeps-proportions",
        "Wan-AI/Wan2.1-I2V-14B-480P-Diffusers",
        ["expect: {output: {height: 480}}"],
        "3:14",
        "Wan-AI/Wan2.1-T2V-14B-Diffusers",
    ),
    (
        "i2v-keeps-proportions",
        "/models/Wan2.2-TI2V-5B-Diffusers",
        ["assets: {image-path: a.png}", "expect: {output: {width: 1280, height: 720}}"],
        "4:14",
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    ),
    (
        "model-hijacked",
        "/data/Hunyuan3D-things/Wan2.2-T2V-A14B-Diffusers",
        ["gpus: 1"],
        "4:5",
        "/data/hunyuan3d-things/Hunyuan3D-2",
    ),
    (
        "model-hijacked",
        "/data/pi0.5/mine",
        ["expect: {pipeline: WanPipeline}"],
        "4:5",
        "/data/pi05-robot/pi05_base",
    ),
    (
        "model-not-recognised",
        "/models/my-edit-model",
        ["expect: {pipeline: QwenImageEditPlusPipeline}"],
        "4:5",
        "/models/FireRed-Image-Edit-1.0-tiny/",
    ),
    (
        "model-not-recognised",
        "me/qwen-image-edit",
        ["expect: {pipeline: QwenImageEditPlusPipeline}"],
        "4:5",
        "/hub/models--Qwen--Qwen-Image-Edit-2511/snapshots/0123",
    ),
    (
        "model-settings-by-name",
        "/models/mine",
        ["expect: {pipeline: WanPipeline}"],
        "4:5",
        "/models/Wan2.2-T2V-A14B-Diffusers",
    ),
    (
        "model-overlay",
        "/models/LTX-2.3",
        ['env: {HF_HUB_OFFLINE: "1"}'],
        "4:5",
        "/models/LTX-2.3-tiny",
    ),
    (
        "attention-heads",
        "Tongyi-MAI/Z-Image-Turbo",
        ["gpus: 4", "args: {ulysses-degree: 4}"],
        "4:12",
        "/models/Z-Image-Turbo",
    ),
    (
        "attention-heads",
        "Comfy-Org/Ideogram-4",
        ["gpus: 8", "args: {enable-cfg-parallel: true, ulysses-degree: 4}"],
        "4:39",
        "Tongyi-MAI/ernie",
    ),
    (
        "attention-heads",
        "FastVideo/FastWan2.1-T2V-1.3B-Diffusers",
        ["gpus: 8", "args: {ulysses-degree: 8}"],
        "4:12",
        "FastVideo/FastWan2.1-T2V-14B-Diffusers",
    ),
    (
        "two-experts-one-warmup-step",
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        ["args: {enable-torch-compile: true, warmup-steps: 2}"],
        "3:12",
        "Wan-AI/Wan2.2-I2V-A14B-Diffusers",
    ),
    (
        "two-experts-one-warmup-step",
        "Wan-AI/Wan2.2-T2V-A14B-Diffusers",
        ["args: {enable-torch-compile: true}"],
        "3:12",
        "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
    ),
]


@pytest.mark.parametrize(
    ("slug", "model", "lines"),
    [
        ("model-not-recognised", "/models/my-edit-model", ["expect: {pipeline: X}"]),
        (
            "model-not-recognised",
            "/models/my-edit-model",
            ["args: {model-id: FireRed-Image-Edit-1.0}", "expect: {pipeline: QwenImageEditPlusPipeline}"],
        ),
        (
            "model-not-recognised",
            "/models/my-edit-model",
            ["backend: diffusers", "expect: {pipeline: QwenImageEditPlusPipeline}"],
        ),
        ("attention-heads", "Tongyi-MAI/Z-Image", ["gpus: 4", "args: {ulysses-degree: 2, ring-degree: 2}"]),
        ("attention-heads", "Tongyi-MAI/Z-Image", ["gpus: 6", "args: {tp-size: 3, ulysses-degree: 2}"]),
        ("model-overlay", "/models/LTX-2.3", ["gpus: 1"]),
        ("model-overlay", "Lightricks/LTX-2.3", ['env: {HF_HUB_OFFLINE: "1"}']),
        ("model-hijacked", "/data/hunyuan3d/mine", ["gpus: 1"]),
        ("two-experts-one-warmup-step", "m/Wan2.2-T2V-A14B", ["args: {enable-torch-compile: true, warmup-steps: 3}"]),
        (
            "i2v-keeps-proportions",
            "m/Wan2.2-TI2V-5B",
            ["assets: {image-path: a.png}", "expect: {output: {width: 960, height: 928}}"],
        ),
        ("i2v-keeps-proportions", "m/Wan2.2-TI2V-5B", ["expect: {output: {width: 128, height: 128}}"]),
    ],
)
def test_a_rule_about_a_model_finds_nothing_where_nothing_is_wrong(slug: str, model: str, lines: list[str]) -> None:
    assert found(slug, case_of(*lines, model=model)) == []


@pytest.mark.parametrize(("slug", "model", "lines", "place", "other"), OF_MODELS)
def test_a_rule_knows_the_model(slug: str, model: str, lines: list[str], place: str, other: str) -> None:
    advice = found(slug, case_of(*lines, model=model))
    assert [str(one.location) for one in advice] == [f"c.yaml:{place}"]
    assert found(slug, case_of(*lines, model=other)) == []


@pytest.mark.parametrize(
    "lines",
    [
        ["args: {pipeline-class-name: LTX2TwoStagePipeline, ltx2-two-stage-device-mode: original}"],
        ["args: {pipeline-class-name: LTX2TwoStagePipeline}", "config: {ltx2_two_stage_device_mode: original}"],
        ["args: {pipeline-class-name: LTX2TwoStagePipeline}", "env: {SGLANG_LTX2_TWO_STAGE_DEVICE_MODE: original}"],
        ["args: {pipeline-class-name: LTX2Pipeline}"],
        ["gpus: 0", "args: {pipeline-class-name: LTX2TwoStagePipeline}"],
    ],
)
def test_a_pinned_device_mode_needs_no_advice(lines: list[str]) -> None:
    assert found("device-mode-not-pinned", case_of(*lines, model="Lightricks/LTX-2.3")) == []


def test_the_older_ltx_2_has_device_modes_from_0_5_23_on() -> None:
    case = case_of("args: {pipeline: LTX2TwoStagePipeline}", model="Lightricks/LTX-2")
    assert found("device-mode-not-pinned", case, version="0.5.22") == []
    assert len(found("device-mode-not-pinned", case, version="0.5.23")) == 1


RESIDENT = "args: {pipeline-class-name: LTX2TwoStagePipeline, ltx2-two-stage-device-mode: resident, OFFLOAD}"


@pytest.mark.parametrize(
    ("offload", "flag"),
    [
        ("dit-cpu-offload: true", "dit-cpu-offload"),
        ("dit-layerwise-offload: true", "dit-layerwise-offload"),
        ("cpu-offload-components: [vae, transformer_2]", "cpu-offload-components"),
        ("layerwise-offload-components: dit", "layerwise-offload-components"),
        ("component-residency: [dit=component-offload]", "component-residency"),
    ],
)
def test_a_resident_device_mode_goes_with_no_offload(offload: str, flag: str) -> None:
    case = case_of(RESIDENT.replace("OFFLOAD", offload), model="Lightricks/LTX-2.3")
    (advice,) = found("resident-with-offload", case, version="0.5.18")
    assert (advice.level, str(advice.location)) == ("error", "c.yaml:3:55")
    assert flag in advice.message
    assert found("resident-with-offload", case, version="0.5.17") == found("resident-with-offload", case) == []
    older = case_of(RESIDENT.replace("OFFLOAD", offload), model="Lightricks/LTX-2")
    assert found("resident-with-offload", older, version="0.5.22") == []
    assert len(found("resident-with-offload", older, version="0.5.23")) == 1


@pytest.mark.parametrize(
    "offload",
    [
        "dit-cpu-offload: false, dit-layerwise-offload: false",
        "vae-cpu-offload: true, cpu-offload-components: vae",
        # The newer flag goes before the older one.
        "component-residency: dit=resident, dit-cpu-offload: true",
    ],
)
def test_what_leaves_the_transformers_where_they_are_goes_with_a_resident_device_mode(offload: str) -> None:
    case = case_of(RESIDENT.replace("OFFLOAD", offload), model="Lightricks/LTX-2.3")
    assert found("resident-with-offload", case, version="0.5.23") == []


def test_a_resident_device_mode_may_come_from_the_environment() -> None:
    lines = ["args: {pipeline-class-name: LTX2TwoStagePipeline, dit-cpu-offload: true}"]
    lines += ["env: {SGLANG_LTX2_TWO_STAGE_DEVICE_MODE: resident}"]
    (advice,) = found("resident-with-offload", case_of(*lines, model="Lightricks/LTX-2.3"), version="0.5.23")
    assert str(advice.location) == "c.yaml:4:11"


def test_guidance_that_a_case_raises_itself_makes_the_second_branch() -> None:
    lines = ["gpus: 2", "args: {enable-cfg-parallel: true, guidance-scale: 3}"]
    assert found("cfg-parallel-without-cfg", case_of(*lines, model="Qwen/Qwen-Image-2.1-Turbo")) == []
    low = ["gpus: 2", "args: {enable-cfg-parallel: true, guidance-scale: 0.8}"]
    assert found("cfg-parallel-without-cfg", case_of(*low, model="Tongyi-MAI/Z-Image")) == []


def test_an_input_file_belongs_under_assets() -> None:
    (advice,) = found("input-not-in-assets", case_of("args: {image-path: /data/cat.png}"))
    assert "image-path: cat.png" in advice.message
    edit = case_of("assets: {image-path: cat.png}", model="Qwen/Qwen-Image-Edit-2511")
    assert found("input-not-in-assets", edit) == found("no-input-image", edit) == []


OF_VERSIONS = [
    ("peak-memory-missing", ["gpus: 1"], "0.5.8.post1", "0.5.9"),
    ("peak-memory-of-one-gpu", ["gpus: 2"], "0.5.18", "0.5.19"),
    ("timers-partly-synchronised", ['env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}'], "0.5.17", "0.5.18"),
]


@pytest.mark.parametrize(("slug", "lines", "old", "new"), OF_VERSIONS)
def test_a_rule_knows_the_version(slug: str, lines: list[str], old: str, new: str) -> None:
    case = case_of(*lines)
    assert [one.slug for one in found(slug, case, version=old)] == [slug]
    assert found(slug, case, version=new) == found(slug, case) == found(slug, case, version="unknown") == []


def test_gpus_that_are_there_count_and_not_those_that_are_wished_for() -> None:
    case = case_of("args: {enable-svdquant: true}", "requires: {gpu: [A100]}")
    assert found("svdquant-gpu", case) == []
    (advice,) = found("svdquant-gpu", case, gpus=(H100,))
    assert H100 in advice.message
    for product in ("NVIDIA B200", "NVIDIA GB300", "Tesla V100-SXM2-16GB"):
        assert [one.slug for one in found("svdquant-gpu", case, gpus=(product,))] == ["svdquant-gpu"]
    for product in ("NVIDIA RTX 6000 Ada Generation", "NVIDIA RTX PRO 6000 Blackwell", "NVIDIA GeForce RTX 5090"):
        assert found("svdquant-gpu", case, gpus=(product,)) == []
    either = case_of("args: {attention-backend: fa}", "requires: {gpu: [T4, A100]}")
    assert found("flash-attention-gpu", either) == []
    nvfp4 = case_of("args: {quantization-precision: nvfp4}")
    assert found("nvfp4-gpu", nvfp4) == found("nvfp4-gpu", nvfp4, gpus=("NVIDIA RTX PRO 6000 Blackwell",)) == []
    assert len(found("nvfp4-gpu", nvfp4, gpus=("NVIDIA RTX 6000 Ada Generation",))) == 1


def test_errors_come_first_then_the_files_order() -> None:
    advice = advise(case_of("gpus: 2", "args: {profile: true, seed: 1}", "env: {RANK: x, MY_TOKEN: y}"))
    assert [(one.level, one.slug) for one in advice] == [
        ("error", "profiler-on"),
        ("error", "owned-variable"),
        ("error", "secret-in-case"),
        ("warning", "parallel-not-pinned"),
        ("warning", "offload-not-pinned"),
        ("warning", "timers-not-synchronised"),
    ]


def test_a_case_on_the_cpu_is_not_told_of_gpus() -> None:
    case = case_of("gpus: 0", "args: {seed: 1}")
    assert advise(case, engine=table_flags("0.5.17")) == (
        *found("timers-partly-synchronised", case),
        *found("offload-not-pinned", case),
    )


def test_every_slug_is_used_once_has_a_test_and_is_explained() -> None:
    slugs = [rule.slug for rule in RULES]
    assert len(set(slugs)) == len(slugs)
    tested = set(re.findall(r"\"([a-z0-9]+(?:-[a-z0-9]+)+|[a-z]+-[a-z]+)\"", pathlib.Path(__file__).read_text()))
    assert set(slugs) <= tested
    explained = re.findall(r"^### `([a-z0-9-]+)`", (ROOT / "docs" / "advice.md").read_text(), re.MULTILINE)
    assert sorted(explained) == sorted(slugs)


def test_the_documented_level_is_the_rules_level() -> None:
    text = (ROOT / "docs" / "advice.md").read_text()
    documented = dict(re.findall(r"^### `([a-z0-9-]+)` \((error|warning)\)", text, re.MULTILINE))
    assert documented == {rule.slug: rule.level for rule in RULES}


@pytest.mark.parametrize("file", sorted((ROOT / "cases").glob("*.yaml")), ids=lambda file: file.name)
@pytest.mark.parametrize("version", ["0.5.17", "0.5.23"])
def test_no_case_of_ours_asks_for_what_cannot_work(file: pathlib.Path, version: str) -> None:
    for case in read_cases(file, ROOT):
        assert [str(one) for one in advise(case, engine=table_flags(version)) if one.level == "error"] == []


@pytest.mark.parametrize(
    ("version", "warned"), [("0.5.20", False), ("0.5.21", True), ("0.5.24", True), ("0.1.dev1", True), (None, True)]
)
def test_the_conditioning_cache_is_warned_of_where_there_is_one(version: str | None, warned: bool) -> None:
    for line in ("args: {disable-conditioning-cache: false}", "args: {conditioning-cache-max-size-mb: 64}"):
        assert bool(found("conditioning-cache", case_of(line), version=version)) is warned
    for line in ("args: {disable-conditioning-cache: true}", "args: {conditioning-cache-max-size-mb: 0}", "gpus: 1"):
        assert found("conditioning-cache", case_of(line), version=version) == []


def test_a_build_from_source_is_older_than_nothing() -> None:
    """Rules that ask what is older than a release leave it alone, as they do a newer one."""
    case = case_of(
        "gpus: 2", "metrics: {gate: [denoise, peak_memory]}", 'env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}'
    )
    for version in ("0.0.0.dev1+gc6416b13d", "0.1.dev1", "0.5.6.post3.dev1278+g12ab34c", "0.5.24"):
        for slug in ("peak-memory-missing", "peak-memory-of-one-gpu", "timers-partly-synchronised"):
            assert found(slug, case, version=version) == []


def test_a_path_flag_of_a_newer_engine_is_no_misspelt_one() -> None:
    case = case_of("args: {image-paths-path: x, vaee-path: x}")
    assert found("misspelt-path", case, version="0.5.23") != []
    for version in ("0.5.24", "0.1.dev1"):
        assert found("misspelt-path", case, version=version) == []


def lines_of_advice() -> Iterator[str]:
    for slug, _, lines, *_ in FIRES:
        yield from (f"{slug}: {one.message}" for one in found(slug, case_of(*lines)))
    for slug, model, lines, *_ in OF_MODELS:
        yield from (f"{slug} ({model}): {one.message}" for one in found(slug, case_of(*lines, model=model)))
    for slug, lines, old, _ in OF_VERSIONS:
        yield from (f"{slug} ({old}): {one.message}" for one in found(slug, case_of(*lines), version=old))
    ring = case_of("gpus: 2", "args: {ring-degree: 2}", model="hunyuanvideo-community/HunyuanVideo")
    slug = "parallel-unsupported"
    yield from (f"{slug} (0.5.17): {one.message}" for one in found(slug, ring, version="0.5.17"))
    resident = case_of(RESIDENT.replace("OFFLOAD", "dit-cpu-offload: true"), model="Lightricks/LTX-2.3")
    slug = "resident-with-offload"
    yield from (f"{slug}: {one.message}" for one in found(slug, resident, version="0.5.18"))
    asset = case_of("args: {image-path: /data/cat.png}")
    yield from (f"input-not-in-assets: {one.message}" for one in found("input-not-in-assets", asset))
    svdquant = case_of("args: {enable-svdquant: true}")
    yield from (f"svdquant-gpu: {one.message}" for one in found("svdquant-gpu", svdquant, gpus=(H100,)))


def test_the_words_of_the_advice_are_the_golden_ones() -> None:
    check_golden("advice", dict.fromkeys(lines_of_advice()))
