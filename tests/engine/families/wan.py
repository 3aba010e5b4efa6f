"""Wan 2.1 and 2.2: by the last part of the folder's name SGLang chooses its settings."""

from __future__ import annotations

import argparse
import pathlib

from families.parts import Index, save, t5_tokenizer

INDEX: Index = {
    "_class_name": "WanPipeline",
    "scheduler": ["diffusers", "UniPCMultistepScheduler"],
    "text_encoder": ["transformers", "UMT5EncoderModel"],
    "tokenizer": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "WanTransformer3DModel"],
    "vae": ["diffusers", "AutoencoderKLWan"],
}


def text_parts(folder: pathlib.Path, options: argparse.Namespace) -> None:
    """Tokenizer, text encoder and scheduler."""
    import torch
    from diffusers import UniPCMultistepScheduler
    from transformers import UMT5Config, UMT5EncoderModel

    vocabulary_size = t5_tokenizer(folder / "tokenizer")
    encoder = UMT5EncoderModel(
        UMT5Config(
            vocab_size=options.words or max(vocabulary_size, 256),
            d_model=options.text_dim,
            d_kv=64,
            d_ff=2 * options.text_dim,
            num_layers=options.text_layers,
            num_heads=options.text_dim // 64,
            feed_forward_proj="gated-gelu",
            is_encoder_decoder=True,
        )
    )
    save(encoder, folder / "text_encoder", torch.bfloat16)
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    scheduler.save_pretrained(folder / "scheduler")


def transformer(folder: pathlib.Path, options: argparse.Namespace, *, layers: int, channels: int) -> None:
    import torch
    from diffusers import WanTransformer3DModel

    model = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=options.heads,
        attention_head_dim=128,
        in_channels=channels,
        out_channels=channels,
        text_dim=options.text_dim,
        freq_dim=256,
        ffn_dim=options.ffn,
        num_layers=layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        rope_max_seq_len=1024,
    )
    save(model, folder, torch.bfloat16)


def vae(folder: pathlib.Path, options: argparse.Namespace) -> None:
    import torch
    from diffusers import AutoencoderKLWan

    model = AutoencoderKLWan(
        base_dim=options.vae_dim,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
    )
    save(model, folder, torch.float32)


def wan21(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    text_parts(folder, options)
    transformer(folder / "transformer", options, layers=options.layers, channels=16)
    vae(folder / "vae", options)
    return INDEX


def wan22_t2v(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """Two experts: `transformer` while the noise is high, `transformer_2` below the boundary."""
    wan21(folder, options)
    transformer(folder / "transformer_2", options, layers=options.layers_2 or options.layers, channels=16)
    return {**INDEX, "boundary_ratio": 0.875, "transformer_2": ["diffusers", "WanTransformer3DModel"]}


def wan22_ti2v(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """One transformer, and the VAE of higher compression: 48 channels of a sixteenth of the image's size."""
    import torch
    from diffusers import AutoencoderKLWan

    text_parts(folder, options)
    transformer(folder / "transformer", options, layers=options.layers, channels=48)
    model = AutoencoderKLWan(
        base_dim=options.vae_dim,
        decoder_base_dim=options.vae_dim,
        z_dim=48,
        num_res_blocks=1,
        in_channels=12,
        out_channels=12,
        is_residual=True,
        patch_size=2,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
        temperal_downsample=[False, True, True],
        latents_mean=[0.0] * 48,
        latents_std=[1.0] * 48,
    )
    save(model, folder / "vae", torch.float32)
    return {**INDEX, "boundary_ratio": None, "expand_timesteps": True, "transformer_2": [None, None]}
