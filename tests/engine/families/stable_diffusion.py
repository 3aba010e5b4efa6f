"""Stable Diffusion 1, which SGLang does not implement: it really falls back to diffusers."""

from __future__ import annotations

import argparse
import pathlib

from families.parts import Index, clip_tokenizer


def stable_diffusion(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """The parts of a Stable Diffusion model; returns the contents of its model_index.json."""
    from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    vocabulary = clip_tokenizer(folder / "tokenizer")
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(vocabulary),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=77,
            bos_token_id=vocabulary["<|startoftext|>"],
            eos_token_id=vocabulary["<|endoftext|>"],
        )
    )
    encoder.save_pretrained(folder / "text_encoder")
    unet = UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        down_block_types=["CrossAttnDownBlock2D", "DownBlock2D"],
        up_block_types=["UpBlock2D", "CrossAttnUpBlock2D"],
        block_out_channels=[64, 128],
        layers_per_block=1,
        cross_attention_dim=64,
        attention_head_dim=8,
    )
    unet.save_pretrained(folder / "unet")
    vae = AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[32, 32, 64, 64],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=32,
    )
    vae.save_pretrained(folder / "vae")
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    scheduler.save_pretrained(folder / "scheduler")
    return {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.36.0.dev0",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "requires_safety_checker": False,
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
