"""Hunyuan3D-2 shape generation, in Tencent's layout: one config.yaml and one file of weights, no model_index.json.

SGLang recognises it by `hunyuan3d` anywhere in its path. It is to be run without painting, for which there is no
checkpoint here, and with a coarse grid (`shape_octree_resolution`): the default one is out of reach of a CPU.
"""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from families.parts import write_json

FOLDER = "hunyuan3d-dit-v2-0"
LATENTS, LATENT_WIDTH = 1024, 64
"""What the engine's pipeline config says of the latents, whatever the checkpoint says."""


def linear(weights: dict[str, Any], name: str, inputs: int, outputs: int, *, bias: bool = True) -> None:
    import torch

    weights[f"{name}.weight"] = torch.randn(outputs, inputs) / inputs**0.5
    if bias:
        weights[f"{name}.bias"] = torch.randn(outputs) * 0.02


def norm(weights: dict[str, Any], name: str, width: int) -> None:
    import torch

    weights[f"{name}.weight"] = torch.ones(width)
    weights[f"{name}.bias"] = torch.zeros(width)


def transformer(width: int, head_dim: int, context: int, double: int, single: int) -> dict[str, Any]:
    """The names of Hunyuan3D's own checkpoint, which are those of FLUX."""
    import torch

    weights: dict[str, Any] = {}
    linear(weights, "latent_in", LATENT_WIDTH, width)
    linear(weights, "time_in.in_layer", 256, width)
    linear(weights, "time_in.out_layer", width, width)
    linear(weights, "cond_in", context, width)
    for number in range(double):
        for stream in ("img", "txt"):
            block = f"double_blocks.{number}.{stream}"
            linear(weights, f"{block}_mod.lin", width, 6 * width)
            linear(weights, f"{block}_attn.qkv", width, 3 * width)
            linear(weights, f"{block}_attn.proj", width, width)
            linear(weights, f"{block}_mlp.0", width, 4 * width)
            linear(weights, f"{block}_mlp.2", 4 * width, width)
            for which in ("query", "key"):
                weights[f"{block}_attn.norm.{which}_norm.scale"] = torch.ones(head_dim)
    for number in range(single):
        block = f"single_blocks.{number}"
        linear(weights, f"{block}.linear1", width, 7 * width)
        linear(weights, f"{block}.linear2", 5 * width, width)
        linear(weights, f"{block}.modulation.lin", width, 3 * width)
        for which in ("query", "key"):
            weights[f"{block}.norm.{which}_norm.scale"] = torch.ones(head_dim)
    linear(weights, "final_layer.linear", width, LATENT_WIDTH)
    linear(weights, "final_layer.adaLN_modulation.1", width, 2 * width)
    return weights


def shape_vae(width: int, layers: int, frequencies: int, offset: float) -> dict[str, Any]:
    weights: dict[str, Any] = {}
    linear(weights, "post_kl", LATENT_WIDTH, width)
    for number in range(layers):
        block = f"transformer.resblocks.{number}"
        linear(weights, f"{block}.attn.c_qkv", width, 3 * width)
        linear(weights, f"{block}.attn.c_proj", width, width)
        norm(weights, f"{block}.ln_1", width)
        norm(weights, f"{block}.ln_2", width)
        linear(weights, f"{block}.mlp.c_fc", width, 4 * width)
        linear(weights, f"{block}.mlp.c_proj", 4 * width, width)
    linear(weights, "geo_decoder.query_proj", 3 * (2 * frequencies + 1), width)
    block = "geo_decoder.cross_attn_decoder"
    linear(weights, f"{block}.attn.c_q", width, width)
    linear(weights, f"{block}.attn.c_kv", width, 2 * width)
    linear(weights, f"{block}.attn.c_proj", width, width)
    for which in ("ln_1", "ln_2", "ln_3"):
        norm(weights, f"{block}.{which}", width)
    linear(weights, f"{block}.mlp.c_fc", width, 4 * width)
    linear(weights, f"{block}.mlp.c_proj", 4 * width, width)
    norm(weights, "geo_decoder.ln_post", width)
    linear(weights, "geo_decoder.output_proj", width, 1)
    # The surface is where the field is zero: without an offset it surely passes through zero somewhere.
    weights["geo_decoder.output_proj.bias"].fill_(offset)
    return weights


def hunyuan3d(folder: pathlib.Path, options: argparse.Namespace) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import Dinov2Config, Dinov2Model

    width, image_size, frequencies, vae_width = options.heads * options.head_dim, 56, 8, 32
    dino = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
        "image_size": image_size,
    }
    model = transformer(width, options.head_dim, dino["hidden_size"], options.layers, options.single_layers)
    parts = {
        "model": model,
        "vae": shape_vae(vae_width, 1, frequencies, options.offset),
        "conditioner": {
            f"main_image_encoder.model.{name}": weight
            for name, weight in Dinov2Model(Dinov2Config(**dino)).state_dict().items()
        },
    }
    (folder / FOLDER).mkdir(parents=True)
    save_file(
        {
            f"{part}.{name}": weight.to(torch.float16).cpu().contiguous()
            for part, weights in parts.items()
            for name, weight in weights.items()
        },
        str(folder / FOLDER / "model.fp16.safetensors"),
    )
    config = {
        "model": {
            "target": "hy3dgen.shapegen.models.Hunyuan3DDiT",
            "params": {
                "in_channels": LATENT_WIDTH,
                "context_in_dim": dino["hidden_size"],
                "hidden_size": width,
                "mlp_ratio": 4.0,
                "num_heads": options.heads,
                "depth": options.layers,
                "depth_single_blocks": options.single_layers,
                "axes_dim": [options.head_dim],
                "theta": 10000,
                "qkv_bias": True,
                "guidance_embed": False,
            },
        },
        "vae": {
            "target": "hy3dgen.shapegen.models.ShapeVAE",
            "params": {
                "num_latents": LATENTS,
                "embed_dim": LATENT_WIDTH,
                "num_freqs": frequencies,
                "include_pi": False,
                "heads": 2,
                "width": vae_width,
                "num_decoder_layers": 1,
                "qkv_bias": True,
                "qk_norm": False,
                "scale_factor": 1.0,
            },
        },
        "conditioner": {
            "target": "hy3dgen.shapegen.models.SingleImageEncoder",
            "params": {
                "main_image_encoder": {
                    "type": "DinoImageEncoder",
                    "kwargs": {"config": dino, "use_cls_token": True, "image_size": image_size},
                }
            },
        },
        "scheduler": {
            "target": "hy3dgen.shapegen.schedulers.FlowMatchEulerDiscreteScheduler",
            "params": {"num_train_timesteps": 1000},
        },
        "image_processor": {
            "target": "hy3dgen.shapegen.preprocessors.ImageProcessorV2",
            "params": {"size": 128, "border_ratio": 0.15},
        },
    }
    # JSON is YAML too.
    write_json(folder / FOLDER / "config.yaml", config)
