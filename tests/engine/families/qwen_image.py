"""The Qwen-Image family, FireRed among it: by the last part of the folder's name SGLang chooses its settings."""

from __future__ import annotations

import argparse
import pathlib
from typing import Any

from families.parts import Index, flow_match_scheduler, qwen_tokenizer, save, write_json


def rope_parts(head_dim: int) -> list[int]:
    """Split the width of a head among three axes in Qwen's proportions, 16 : 56 : 56."""
    first = max(2, head_dim // 8 // 2 * 2)
    rest = (head_dim - first) // 2
    if rest % 2:
        first, rest = first + 2, rest - 1
    return [first, rest, rest]


IMAGES: dict[str, Any] = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "merge_size": 2,
    "patch_size": 14,
    "temporal_patch_size": 2,
    "rescale_factor": 1 / 255,
    "resample": 3,
    "min_pixels": 3136,
    "max_pixels": 12845056,
    "size": {"shortest_edge": 3136, "longest_edge": 12845056},
    "image_processor_type": "Qwen2VLImageProcessor",
    "processor_class": "Qwen2_5_VLProcessor",
}


def parts(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """What all models of the Qwen-Image family have."""
    import torch
    from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    ids = qwen_tokenizer(folder / "tokenizer")
    head = options.text_dim // 2
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": max(ids.values()) + 1,
            "hidden_size": options.text_dim,
            "intermediate_size": 2 * options.text_dim,
            "num_hidden_layers": options.text_layers,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "max_position_embeddings": 32768,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 1000000.0,
                "mrope_section": [head // 2 - 2 * (head * 3 // 16), head * 3 // 16, head * 3 // 16],
            },
            "bos_token_id": ids["<|endoftext|>"],
            "eos_token_id": ids["<|im_end|>"],
            "pad_token_id": ids["<|endoftext|>"],
        },
        vision_config={
            "depth": options.image_layers,
            "hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 64,
            "out_hidden_size": options.text_dim,
            "fullatt_block_indexes": [options.image_layers - 1],
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    save(Qwen2_5_VLForConditionalGeneration(config), folder / "text_encoder", torch.bfloat16)
    transformer = QwenImageTransformer2DModel(
        patch_size=2,
        in_channels=64,
        out_channels=16,
        num_layers=options.layers,
        attention_head_dim=options.head_dim,
        num_attention_heads=options.heads,
        joint_attention_dim=options.text_dim,
        guidance_embeds=False,
        axes_dims_rope=rope_parts(options.head_dim),
    )
    save(transformer, folder / "transformer", torch.bfloat16)
    vae = AutoencoderKLQwenImage(base_dim=options.vae_dim, z_dim=16, num_res_blocks=1)
    save(vae, folder / "vae", torch.float32)
    return {
        "scheduler": flow_match_scheduler(
            folder,
            base_image_seq_len=256,
            max_image_seq_len=8192,
            base_shift=0.5,
            max_shift=0.9,
            shift=1.0,
            shift_terminal=0.02,
            use_dynamic_shifting=True,
            time_shift_type="exponential",
        ),
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
    }


def firered(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """The parts of a FireRed model, whose text encoder sees the image too, through a processor; returns its
    model_index.json."""
    index = parts(folder, options)
    qwen_tokenizer(folder / "processor")
    write_json(folder / "processor" / "preprocessor_config.json", IMAGES)
    write_json(
        folder / "processor" / "video_preprocessor_config.json",
        {**IMAGES, "image_processor_type": None, "video_processor_type": "Qwen2VLVideoProcessor"},
    )
    return {
        "_class_name": "QwenImageEditPlusPipeline",
        "processor": ["transformers", "Qwen2VLProcessor"],
        **index,
    }


def qwen_image(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    """Qwen-Image, text to image."""
    return {"_class_name": "QwenImagePipeline", **parts(folder, options)}
