"""Write a checkpoint with random weights of a family that runs on several GPUs, in the folder layout of diffusers.

    make_families.py firered FOLDER/FireRed-Image-Edit-1.0 [--heads N --layers N ...]
    make_families.py ltx-2   FOLDER/LTX-2

firered   FireRed image editing (QwenImageEditPlusPipeline); the engine knows it by the last part of the folder's name.
ltx-2     LTX-2 with the upsampler and the distilled LoRA that its second stage needs, which are found by their names.

Runs in the engine's environment (torch, diffusers, transformers, tokenizers) and downloads nothing. The same options
give the same files on the same kind of device, and a folder that has them is left alone. What such a model draws is
noise: only names, shapes and speed are meant to be real.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

LORA_RANK = 4

RECIPE = "sgdiff_recipe.json"
"""What a checkpoint was made from, beside model_index.json, which is written last: with both it is complete."""


def write_json(path: pathlib.Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def save(model: Any, folder: pathlib.Path, dtype: Any) -> None:
    """Save a diffusers or transformers model; its weights are random already, and no weight may be NaN or inert."""
    model.to(dtype).save_pretrained(folder)


def rename_weights(folder: pathlib.Path, new_name: Callable[[str], str]) -> None:
    """Rename a saved model's weights: transformers 5 writes other names than published checkpoints have."""
    from safetensors.torch import load_file, save_file

    path = str(folder / "model.safetensors")
    save_file({new_name(name): weight for name, weight in load_file(path).items()}, path, metadata={"format": "pt"})


QWEN_SPECIAL = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
]


def qwen_tokenizer(folder: pathlib.Path, chat_template: str | None = None) -> dict[str, int]:
    """Qwen2's byte-level vocabulary without merges, with the special tokens of Qwen2-VL; returns all its ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(QWEN_SPECIAL)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "vocab.json", {letter: number for number, letter in enumerate(letters)})
    (folder / "merges.txt").write_text("#version: 0.2\n")
    ids = tokenizer.get_vocab()
    config: dict[str, Any] = {
        "tokenizer_class": "Qwen2Tokenizer",
        "add_prefix_space": False,
        "bos_token": None,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "unk_token": None,
        "model_max_length": 131072,
        "padding_side": "right",
        "additional_special_tokens": QWEN_SPECIAL[1:],
        "added_tokens_decoder": {
            str(ids[word]): {
                "content": word,
                "lstrip": False,
                "normalized": False,
                "rstrip": False,
                "single_word": False,
                "special": True,
            }
            for word in QWEN_SPECIAL
        },
    }
    if chat_template:
        config["chat_template"] = chat_template
    write_json(folder / "tokenizer_config.json", config)
    return {str(word): int(number) for word, number in ids.items()}


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


def qwen_parts(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """What all models of the Qwen-Image family have."""
    import torch
    from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
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
            "depth": 2,
            "hidden_size": 32,
            "num_heads": 2,
            "intermediate_size": 64,
            "out_hidden_size": options.text_dim,
            "fullatt_block_indexes": [1],
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
    FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=256,
        max_image_seq_len=8192,
        base_shift=0.5,
        max_shift=0.9,
        shift=1.0,
        shift_terminal=0.02,
        use_dynamic_shifting=True,
        time_shift_type="exponential",
    ).save_pretrained(folder / "scheduler")
    return {
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
        "tokenizer": ["transformers", "Qwen2Tokenizer"],
        "transformer": ["diffusers", "QwenImageTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKLQwenImage"],
    }


def firered(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """The parts of a FireRed model, whose text encoder sees the image too, through a processor; returns its
    model_index.json."""
    index = qwen_parts(folder, options)
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


def gemma_tokenizer(folder: pathlib.Path) -> int:
    """A tokenizer that spells every word in characters, with Gemma's special tokens; returns its vocabulary's size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    letters = ["\u2581", *(chr(code) for code in range(33, 127))]
    vocabulary = [(word, 0.0) for word in special] + [(letter, -1.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special.index("<unk>"), byte_fallback=False))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A", pair="<bos> $A <bos> $B", special_tokens=[("<bos>", special.index("<bos>"))]
    )
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": "<pad>",
            "eos_token": "<eos>",
            "bos_token": "<bos>",
            "unk_token": "<unk>",
            "model_max_length": 1024,
            "padding_side": "left",
        },
    )
    return int(tokenizer.get_vocab_size())


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


def ltx_2(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """The parts of an LTX-2 model for two stages; returns its model_index.json."""
    import torch
    from diffusers import (
        AutoencoderKLLTX2Audio,
        AutoencoderKLLTX2Video,
        FlowMatchEulerDiscreteScheduler,
        LTX2VideoTransformer3DModel,
    )
    from diffusers.pipelines.ltx2 import LTX2LatentUpsamplerModel, LTX2TextConnectors, LTX2Vocoder

    words = gemma_tokenizer(folder / "tokenizer")
    text_encoder(folder / "text_encoder", options, words)
    width, audio_width = options.heads * options.head_dim, options.heads * options.head_dim // 2
    connectors = LTX2TextConnectors(
        caption_channels=options.text_dim,
        text_proj_in_factor=options.text_layers + 1,
        video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=options.text_dim // 2,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=128,
        audio_connector_num_attention_heads=2,
        audio_connector_attention_head_dim=options.text_dim // 2,
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
    distilled_lora(folder / "ltx-2-19b-distilled-lora-384.safetensors", transformer, LORA_RANK)
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
        upsampler = LTX2LatentUpsamplerModel(mid_channels=32, num_blocks_per_stage=1)
    save(upsampler, folder / "latent_upsampler", torch.bfloat16)
    FlowMatchEulerDiscreteScheduler(
        base_image_seq_len=1024,
        max_image_seq_len=4096,
        base_shift=0.95,
        max_shift=2.05,
        shift_terminal=0.1,
        use_dynamic_shifting=True,
        time_shift_type="exponential",
    ).save_pretrained(folder / "scheduler")
    return {
        "_class_name": "LTX2Pipeline",
        "audio_vae": ["diffusers", "AutoencoderKLLTX2Audio"],
        "connectors": ["ltx2", "LTX2TextConnectors"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "Gemma3ForConditionalGeneration"],
        "tokenizer": ["transformers", "GemmaTokenizerFast"],
        "transformer": ["diffusers", "LTX2VideoTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLLTX2Video"],
        "vocoder": ["ltx2", "LTX2Vocoder"],
    }


KINDS = {"firered": firered, "ltx-2": ltx_2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=pathlib.Path, help="folder to write; replaced if it holds another checkpoint")
    parser.add_argument("--heads", type=int, default=2, help="attention heads of the transformer (default 2)")
    parser.add_argument("--head-dim", type=int, default=32, help="their width, a multiple of 16 (default 32)")
    parser.add_argument("--layers", type=int, default=2, help="blocks of the transformer (default 2)")
    parser.add_argument("--text-dim", type=int, default=64, help="width of the text encoder, two heads (default 64)")
    parser.add_argument("--text-layers", type=int, default=2, help="its layers (default 2)")
    parser.add_argument("--vae-dim", type=int, default=8, help="first width of the VAE (default 8)")
    parser.add_argument("--seed", type=int, default=1234)
    parser.add_argument("--cuda", action="store_true", help="draw the weights on the GPU: fast for large sizes")
    options = parser.parse_args()

    folder: pathlib.Path = options.folder.absolute()
    index, recipe = folder / "model_index.json", folder / RECIPE
    wanted = {name: value for name, value in vars(options).items() if name != "folder"}
    if folder.exists() and any(folder.iterdir()) and not recipe.exists():
        parser.error(f"{folder} exists and was not made by this program")
    if index.exists() and json.loads(recipe.read_text()) == wanted:
        print(f"{folder}: made earlier")
        return
    shutil.rmtree(folder, ignore_errors=True)
    write_json(recipe, wanted)

    import torch

    torch.manual_seed(options.seed)
    if options.cuda:
        torch.set_default_device("cuda")
    write_json(index, {"_diffusers_version": "0.37.0", **KINDS[options.kind](folder, options)})
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
