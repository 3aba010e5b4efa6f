"""What is known of the cases behind SGLang's own baseline files beyond their numbers: what the suite says. Pure.

The files name scenarios and a GPU product; on how many GPUs a scenario runs, and what of, only the suite says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """What is known of one of upstream's scenarios beyond its numbers; `args` are engine flags, None is "unknown"."""

    gpus: int
    model: str
    args: Mapping[str, Any] = field(default_factory=dict)
    remark: str = ""


KNOWN: Mapping[str, Scenario] = MappingProxyType(
    {
        "ltx_2_two_stage_t2v": Scenario(gpus=2, model="Lightricks/LTX-2", args={"enable-cfg-parallel": True}),
        "ltx_2_3_two_stage_ti2v_2gpus": Scenario(
            gpus=2, model="Lightricks/LTX-2.3", args={"enable-cfg-parallel": True}
        ),
        "ltx_2.3_two_stage_t2v_2gpus": Scenario(gpus=2, model="Lightricks/LTX-2.3", args={"enable-cfg-parallel": True}),
        "ltx_2.3_one_stage_ti2v": Scenario(gpus=2, model="Lightricks/LTX-2.3", args={"enable-cfg-parallel": True}),
        "wan2_2_t2v_a14b_2gpu": Scenario(gpus=2, model="Wan-AI/Wan2.2-T2V-A14B-Diffusers", args={"ulysses-degree": 2}),
        "wan2_2_i2v_a14b_2gpu": Scenario(gpus=2, model="Wan-AI/Wan2.2-I2V-A14B-Diffusers"),
        "wan2_2_ti2v_5b": Scenario(gpus=1, model="Wan-AI/Wan2.2-TI2V-5B-Diffusers"),
        "hunyuan3d_shape_gen": Scenario(gpus=1, model="tencent/Hunyuan3D-2", remark="with paint, without warmup"),
        "joyai_image_edit_ti2i": Scenario(gpus=1, model="jdopensource/JoyAI-Image-Edit-Diffusers"),
    }
)
"""From upstream's test/server/testcase_configs.py and gpu_cases.py. Sizes and frames are the models' defaults there,
and so not told."""

ONE_GPU = frozenset(
    {
        "cosmos3_nano_t2i",
        "cosmos3_nano_t2v",
        "fast_hunyuan_video",
        "fastwan2_2_ti2v_5b",
        "flux1_modelopt_fp8_t2i",
        "flux_2_image_t2i",
        "flux_2_image_t2i_upscaling_4x",
        "flux_2_klein_base_image_t2i",
        "flux_2_klein_image_t2i",
        "flux_2_t2i_customized_vae_path",
        "flux_2_ti2i",
        "flux_2_ti2i_multi_image_cache_dit",
        "flux_image_t2i",
        "hunyuanvideo_modelopt_fp8_t2v",
        "lingbot_world_realtime_plastic_beach",
        "longlive2_i2v",
        "longlive2_t2v",
        "ltx_2_3_hq_pipeline",
        "pi05_action_http",
        "qwen_image_edit_2509_ti2i",
        "qwen_image_edit_2511_ti2i",
        "qwen_image_edit_modelopt_fp8_ti2i",
        "qwen_image_edit_ti2i",
        "qwen_image_layered_i2i",
        "qwen_image_modelopt_fp8_t2i",
        "qwen_image_t2i",
        "qwen_image_t2i_cache_dit_enabled",
        "sana_wm_ti2v",
        "turbo_wan2_1_t2v_1.3b",
        "wan22_modelopt_fp8_t2v",
        "wan2_1_t2v_1.3b",
        "wan2_1_t2v_1.3b_frame_interp_2x",
        "wan2_1_t2v_1.3b_frame_interp_2x_upscaling_4x",
        "wan2_1_t2v_1.3b_teacache_enabled",
        "wan2_1_t2v_1.3b_upscaling_4x",
        "zimage_image_t2i",
        "zimage_image_t2i_fp8",
        "zimage_image_t2i_multi_lora",
        # Of 0.5.8 to 0.5.14.
        "flux_2_image_t2i_layerwise_offload",
        "flux_2_nvfp4_t2i",
        "layerwise_offload",
        "wan2_1_t2v_1.3b_text_encoder_cpu_offload",
        "zimage_image_t2i_warmup",
        # Added up to 0.5.23.
        "flux3_action_http",
        "lingbot_video_moe_t2v",
        "llada_image_bf16_edit",
        "llada_image_bf16_t2i",
        "sana_video_2b_t2v",
        "wan2_1_t2v_1.3b_encoder_permanent_residents",
        "wan2_2_animate_2_14b_distilled_ref2v",
        "wan2_2_animate_2_14b_ref2v",
        # The suites for one B200 and one RTX 5090 of 0.5.23.
        "flux1_modelopt_nvfp4_t2i",
        "flux2_modelopt_nvfp4_t2i",
        "flux_image_t2i_layerwise_cpu_offload_5090",
        "ideogram4_nvfp4_t2i",
        "qwen_image_2512_modelopt_nvfp4_t2i",
        "wan22_modelopt_nvfp4_t2v",
        # Those for one Ascend and one Moore Threads device (ascend/testcase_configs_npu.py, musa/… of 0.5.23).
        "flux_image_t2i_npu",
        "fast_hunyuan_video_musa",
        "qwen_image_2512_t2i_musa",
        "qwen_image_edit_2509_ti2i_musa",
        "qwen_image_edit_t2i_musa",
        "qwen_image_layered_i2i_musa",
        "qwen_image_t2i_musa",
        "wan2_1_t2v_1.3b_musa",
        "zimage_image_t2i_musa",
    }
)
"""Upstream's ONE_GPU_CASES (test/server/gpu_cases.py at commit 004fab9302e0 and later states), and its suites for other
hardware, whose number of GPUs is the default there; those left out are in KNOWN or say it in their names."""


def gpus_of(name: str, known: Mapping[str, Scenario] = KNOWN) -> int | None:
    """On how many GPUs upstream runs a scenario, None if nothing says."""
    if name in known:
        return known[name].gpus
    return 1 if name in ONE_GPU else _gpus_by_name(name)


def _gpus_by_name(name: str) -> int | None:
    """`…_2gpu`, `…_2_gpus`, `…_2npu`, `…_tp2`; two GPUs are also what CFG parallel and FSDP take."""
    told = re.search(r"(?:^|_)(?:(\d)_?[gn]pus?|tp(\d))(?:_|$)", name)
    if told:
        return int(told[1] or told[2])
    return 2 if "cfg_parallel" in name or "fsdp" in name else None
