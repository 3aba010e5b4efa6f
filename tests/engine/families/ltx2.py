"""LTX-2 and LTX-2.3, for one stage or two.

The last part of the folder's name decides which settings SGLang uses. A folder named just LTX-2.3 is taken for
Lightricks' own layout, for which it fetches an overlay; LTX-2.3-tiny is not.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

from families.parts import Index, flow_match_scheduler, gemma_tokenizer, rename_weights, save, write_json


def text_encoder(folder: pathlib.Path, options: argparse.Namespace, words: int) -> None:
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    config = Gemma3Config(
        text_config={
            "vocab_size": max(words, 256),
            "hidden_size": options.text_dim,
            "intermediate_size": 2 * options.text_dim,
            "num_hidden_layers": options.text_layers,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": options.text_dim // 2,
            "query_pre_attn_scalar": options.text_dim // 2,
            "sliding_window": 512,
            "max_position_embeddings": 8192,
            "pad_token_id": 0,
            "eos_token_id": 1,
            "bos_token_id": 2,
        },
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 14,
        },
        mm_tokens_per_image=4,
        image_token_index=max(words, 256) - 1,
        boi_token_index=max(words, 256) - 2,
        eoi_token_index=max(words, 256) - 3,
    )
    save(Gemma3ForConditionalGeneration(config), folder, torch.bfloat16)
    if options.foreign_names:
        return
    # transformers 5 leaves `vision_model` out of the names that Google's checkpoints and SGLang's loader have.
    rename_weights(
        folder,
        lambda name: (
            name
            if "vision_tower.vision_model." in name
            else name.replace("vision_tower.", "vision_tower.vision_model.")
        ),
    )


def distilled_lora(path: pathlib.Path, transformer: Any, rank: int) -> None:
    """A LoRA on every linear layer of the transformer's blocks, named as Lightricks names them."""
    import torch
    from safetensors.torch import save_file

    weights = {}
    for name, module in transformer.named_modules():
        if name.startswith("transformer_blocks.") and isinstance(module, torch.nn.Linear):
            down = torch.randn(rank, module.in_features) / module.in_features**0.5
            up = torch.randn(module.out_features, rank) * 0.01
            weights[f"diffusion_model.{name}.lora_A.weight"] = down.to(torch.bfloat16).cpu().contiguous()
            weights[f"diffusion_model.{name}.lora_B.weight"] = up.to(torch.bfloat16).cpu().contiguous()
    save_file(weights, str(path))


def ltx_2(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """LTX-2, with the upsampler and the distilled LoRA that its second stage needs: they are found by their names."""
    import torch
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        LTX2VideoTransformer3DModel,
    )
    from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel, LTX2TextConnectors, LTX2Vocoder

    words = gemma_tokenizer(folder / "tokenizer")
    text_encoder(folder / "text_encoder", options, words)
    newer = options.kind == "ltx-2.3"
    width, audio_width = options.heads * options.head_dim, options.heads * options.head_dim // 2
    connectors = LTX2TextConnectors(
        caption_channels=options.text_dim,
        text_proj_in_factor=options.text_layers + 1,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=(width if newer else options.text_dim) // 2,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=128,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=(audio_width if newer else options.text_dim) // 2,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=128,
        connector_rope_base_seq_len=4096,
        rope_theta=10000.0,
        rope_double_precision=True,
        causal_temporal_positioning=False,
        rope_type="split",
    )
    save(connectors, folder / "connectors", torch.bfloat16)
    transformer = LTX2VideoTransformer3DModel(
        num_attention_heads=options.heads,
        attention_head_dim=options.head_dim,
        cross_attention_dim=width,
        audio_num_attention_heads=options.heads,
        audio_attention_head_dim=options.head_dim // 2,
        audio_cross_attention_dim=audio_width,
        num_layers=options.layers,
        caption_channels=options.text_dim,
        rope_type="split",
    )
    save(transformer, folder / "transformer", torch.bfloat16)
    distilled_lora(folder / "ltx-2-19b-distilled-lora-384.safetensors", transformer, options.lora_rank)
    widths = tuple(options.vae_dim * 2**level for level in range(4))
    vae = AutoencoderKLLTX2Video(
        block_out_channels=widths,
        decoder_block_out_channels=widths[:3],
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1),
        spatial_compression_ratio=32,
        temporal_compression_ratio=8,
    )
    save(vae, folder / "vae", torch.bfloat16)
    # The base width of the audio VAE is the width of its latents too, 8 channels of 16 bins: it cannot be smaller.
    audio_vae = AutoencoderKLLTX2Audio(base_channels=128, ch_mult=(1, 1, 1), num_res_blocks=1)
    save(audio_vae, folder / "audio_vae", torch.bfloat16)
    save(LTX2Vocoder(hidden_channels=64), folder / "vocoder", torch.bfloat16)
    # It multiplies integers when it is made, which CUDA cannot.
    with torch.device("cpu"):
        upsampler = LTX2LatentUpsamplerModel(mid_channels=32, num_blocks_per_stage=options.upsampler_blocks)
    save(upsampler, folder / "latent_upsampler", torch.bfloat16)
    return {
        "_class_name": "LTX2Pipeline",
        "audio_vae": ["diffusers", "AutoencoderKLLTX2Audio"],
        "connectors": ["ltx2", "LTX2TextConnectors"],
        "scheduler": flow_match_scheduler(
            folder,
            base_image_seq_len=1024,
            max_image_seq_len=4096,
            base_shift=0.95,
            max_shift=2.05,
            shift_terminal=0.1,
            use_dynamic_shifting=True,
            time_shift_type="exponential",
        ),
        "text_encoder": ["transformers", "Gemma3ForConditionalGeneration"],
        "tokenizer": ["transformers", "GemmaTokenizerFast"],
        "transformer": ["diffusers", "LTX2VideoTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLLTX2Video"],
        "vocoder": ["ltx2", "LTX2Vocoder"],
    }


def rewrite(folder: pathlib.Path, change: Callable[[dict[str, Any]], dict[str, Any]], **config: Any) -> None:
    """Change the weights of a part that diffusers saved, and add to its configuration."""
    from safetensors.torch import load_file, save_file

    (path,) = folder.glob("*.safetensors")
    save_file(change(load_file(str(path))), str(path), metadata={"format": "pt"})
    old = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", {**old, **config})


def random_like(rows: int, columns: int) -> Any:
    import torch

    return (torch.randn(rows, columns, device="cpu") / columns**0.5).to(torch.bfloat16)


def gated(weights: dict[str, Any], heads: int) -> dict[str, Any]:
    """Add a gate for each head to each attention."""
    import torch

    for name in [name for name in weights if name.endswith(".to_q.weight")]:
        attention = name.removesuffix(".to_q.weight")
        weights[f"{attention}.to_gate_logits.weight"] = random_like(heads, weights[name].shape[1])
        weights[f"{attention}.to_gate_logits.bias"] = torch.zeros(heads, dtype=torch.bfloat16)
    return weights


def ltx_2_3(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """LTX-2.3: gated attention, prompts that are modulated by the timestep too, and no projection of captions.

    The video VAE keeps the architecture of LTX-2: only its configuration says 2.3, by which SGLang chooses the
    schedule, the guidance of stage 1 and how the LoRA is merged.
    """
    import torch

    index = ltx_2(folder, options)
    (folder / "ltx-2-19b-distilled-lora-384.safetensors").rename(folder / "ltx-2.3-22b-distilled-lora-384.safetensors")
    width, audio_width = options.heads * options.head_dim, options.heads * options.head_dim // 2

    def transformer(weights: dict[str, Any]) -> dict[str, Any]:
        weights = {name: weight for name, weight in weights.items() if "caption_projection" not in name}
        for prefix, size in (("", width), ("audio_", audio_width)):
            weights[f"{prefix}time_embed.linear.weight"] = random_like(9 * size, size)
            weights[f"{prefix}time_embed.linear.bias"] = torch.zeros(9 * size, dtype=torch.bfloat16)
            single = f"{prefix}prompt_adaln_single"
            for layer, inputs, outputs in (
                ("emb.timestep_embedder.linear_1", 256, size),
                ("emb.timestep_embedder.linear_2", size, size),
                ("linear", size, 2 * size),
            ):
                weights[f"{single}.{layer}.weight"] = random_like(outputs, inputs)
                weights[f"{single}.{layer}.bias"] = torch.zeros(outputs, dtype=torch.bfloat16)
            for number in range(options.layers):
                block = f"transformer_blocks.{number}.{prefix}"
                weights[f"{block}scale_shift_table"] = random_like(9, size)
                weights[f"{block}prompt_scale_shift_table"] = random_like(2, size)
        return gated(weights, options.heads)

    marks = {"ltx_variant": "ltx_2_3"}
    rewrite(
        folder / "transformer",
        transformer,
        apply_gated_attention=True,
        cross_attention_adaln=True,
        caption_proj_before_connector=True,
        **marks,
    )
    layers = options.text_layers + 1

    def connectors(weights: dict[str, Any]) -> dict[str, Any]:
        del weights["text_proj_in.weight"]
        for prefix, size in (("video", width), ("audio", audio_width)):
            weights[f"{prefix}_aggregate_embed.weight"] = random_like(size, options.text_dim * layers)
            weights[f"{prefix}_aggregate_embed.bias"] = torch.zeros(size, dtype=torch.bfloat16)
        return gated(weights, 2)

    rewrite(
        folder / "connectors",
        connectors,
        connector_apply_gated_attention=True,
        feature_extractor_in_features=options.text_dim * layers,
        video_feature_extractor_out_features=width,
        audio_feature_extractor_out_features=audio_width,
    )
    rewrite(folder / "vae", lambda weights: weights, **marks)
    return index
