"""Three text-to-image families: FLUX.1, Z-Image and SD3."""

from __future__ import annotations

import argparse
import json
import pathlib
from typing import Any

from families.parts import (
    Index,
    clip_tokenizer,
    flow_match_scheduler,
    qwen_tokenizer,
    rename_weights,
    save,
    t5_tokenizer,
    write_json,
)

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def vae(folder: pathlib.Path) -> list[str]:
    """The VAE that the three share: 16 channels of an eighth of the image's size."""
    import torch
    from diffusers import AutoencoderKL

    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(32, 32, 32, 32),
        layers_per_block=1,
        latent_channels=16,
        scaling_factor=0.3611,
        shift_factor=0.1159,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )
    save(model, folder / "vae", torch.bfloat16)
    return ["diffusers", "AutoencoderKL"]


def clip(
    folder: pathlib.Path, options: argparse.Namespace, *, number: str, width: int, kind: str, dtype: Any
) -> dict[str, list[str]]:
    """A CLIP text encoder of that class; with `--foreign-names` its weights are named as transformers 5 names them."""
    import transformers

    words = clip_tokenizer(folder / f"tokenizer{number}")
    config = transformers.CLIPTextConfig(
        vocab_size=len(words),
        hidden_size=width,
        projection_dim=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=77,
        bos_token_id=words["<|startoftext|>"],
        eos_token_id=words["<|endoftext|>"],
        pad_token_id=words["<|endoftext|>"],
    )
    save(getattr(transformers, kind)(config), folder / f"text_encoder{number}", dtype)
    if not options.foreign_names:
        # transformers 5 leaves `text_model` out of the names that OpenAI's checkpoints and SGLang's loader have.
        rename_weights(
            folder / f"text_encoder{number}",
            lambda name: name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}",
        )
    return {
        f"text_encoder{number}": ["transformers", kind],
        f"tokenizer{number}": ["transformers", "CLIPTokenizer"],
    }


def t5(folder: pathlib.Path, number: str, width: int, dtype: Any) -> dict[str, list[str]]:
    from transformers import T5Config, T5EncoderModel

    words = t5_tokenizer(folder / f"tokenizer{number}")
    config = T5Config(
        vocab_size=max(words, 256),
        d_model=width,
        d_kv=width // 2,
        d_ff=2 * width,
        num_layers=2,
        num_heads=2,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        use_cache=False,
    )
    save(T5EncoderModel(config), folder / f"text_encoder{number}", dtype)
    return {
        f"text_encoder{number}": ["transformers", "T5EncoderModel"],
        f"tokenizer{number}": ["transformers", "T5TokenizerFast"],
    }


def axes(head_dim: int) -> list[int]:
    """Split the width of a head among three axes: an eighth, and the rest in halves, all even."""
    first = max(4, head_dim // 8 // 4 * 4)
    return [first, (head_dim - first) // 2, (head_dim - first) // 2]


def flux(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    import torch
    from diffusers import FluxTransformer2DModel

    clip_width = 32
    transformer = FluxTransformer2DModel(
        num_layers=options.layers,
        num_single_layers=options.layers,
        attention_head_dim=options.head_dim,
        num_attention_heads=options.heads,
        joint_attention_dim=options.text_dim,
        pooled_projection_dim=clip_width,
        guidance_embeds=True,
        axes_dims_rope=axes(options.head_dim),
    )
    save(transformer, folder / "transformer", torch.bfloat16)
    return {
        "_class_name": "FluxPipeline",
        **clip(folder, options, number="", width=clip_width, kind="CLIPTextModel", dtype=torch.bfloat16),
        **t5(folder, "_2", options.text_dim, torch.bfloat16),
        "scheduler": flow_match_scheduler(
            folder,
            base_image_seq_len=256,
            max_image_seq_len=4096,
            base_shift=0.5,
            max_shift=1.15,
            shift=3.0,
            use_dynamic_shifting=True,
        ),
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": vae(folder),
    }


def z_image(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    import torch
    from diffusers import ZImageTransformer2DModel
    from transformers import Qwen3Config, Qwen3ForCausalLM

    ids = qwen_tokenizer(folder / "tokenizer", chat_template=CHAT)
    encoder = Qwen3ForCausalLM(
        Qwen3Config(
            vocab_size=max(ids.values()) + 1,
            hidden_size=options.text_dim,
            intermediate_size=2 * options.text_dim,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=options.text_dim // 2,
            bos_token_id=ids["<|endoftext|>"],
            eos_token_id=ids["<|im_end|>"],
            pad_token_id=ids["<|endoftext|>"],
            tie_word_embeddings=True,
        )
    )
    save(encoder, folder / "text_encoder", torch.bfloat16)
    transformer = ZImageTransformer2DModel(
        dim=options.heads * options.head_dim,
        n_layers=options.layers,
        n_refiner_layers=1,
        n_heads=options.heads,
        n_kv_heads=options.heads,
        cap_feat_dim=options.text_dim,
        axes_dims=axes(options.head_dim),
    )
    save(transformer, folder / "transformer", torch.bfloat16)
    if not options.foreign_names:
        # SGLang reads these under other names than diffusers writes, and takes those of the published model otherwise.
        config = folder / "transformer" / "config.json"
        sizes = {"num_layers": options.layers, "num_attention_heads": options.heads}
        write_json(config, {**json.loads(config.read_text()), **sizes})
    return {
        "_class_name": "ZImagePipeline",
        "scheduler": flow_match_scheduler(folder, shift=3.0, use_dynamic_shifting=False),
        "text_encoder": ["transformers", "Qwen3ForCausalLM"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "ZImageTransformer2DModel"],
        "vae": vae(folder),
    }


def sd3(folder: pathlib.Path, options: argparse.Namespace) -> Index:
    import torch
    from diffusers import SD3Transformer2DModel

    small, large = 16, 32
    transformer = SD3Transformer2DModel(
        num_layers=options.layers,
        attention_head_dim=options.head_dim,
        num_attention_heads=options.heads,
        joint_attention_dim=options.text_dim,
        caption_projection_dim=options.heads * options.head_dim,
        pooled_projection_dim=small + large,
    )
    save(transformer, folder / "transformer", torch.float16)
    kind = "CLIPTextModelWithProjection"
    return {
        "_class_name": "StableDiffusion3Pipeline",
        **clip(folder, options, number="", width=small, kind=kind, dtype=torch.float16),
        **clip(folder, options, number="_2", width=large, kind=kind, dtype=torch.float16),
        **t5(folder, "_3", options.text_dim, torch.float32),
        "scheduler": flow_match_scheduler(folder, shift=3.0),
        "transformer": ["diffusers", "SD3Transformer2DModel"],
        "vae": vae(folder),
    }
