"""Write a tiny checkpoint with random weights, in the folder layout of diffusers.

    make_checkpoint.py wan DIR [--layers N --heads N --ffn N ...]
    make_checkpoint.py stable-diffusion DIR

wan               Wan 2.1 text to video, which SGLang runs natively. More layers make an engine that is really slower.
stable-diffusion  a StableDiffusionPipeline, which SGLang does not implement: it really falls back to diffusers.

Runs in the engine's environment (torch, diffusers, transformers, tokenizers) and downloads nothing. The same options
give the same files on the same kind of device, and a folder that has them is left alone. What such a model draws is
noise: only names, shapes and speed are meant to be real.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shutil
from typing import Any

RECIPE = "sgdiff_recipe.json"
"""What a checkpoint was made from, beside model_index.json, which is written last: with both it is complete."""


def write_json(path: pathlib.Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def t5_tokenizer(folder: pathlib.Path) -> int:
    """A tokenizer that spells every word in characters; returns the size of its vocabulary."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    special = ["<pad>", "</s>", "<unk>"]
    letters = ["\u2581", *(chr(code) for code in range(33, 127))]
    vocabulary = [(word, 0.0) for word in special] + [(letter, -1.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special.index("<unk>"), byte_fallback=False))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", special.index("</s>"))]
    )
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "T5TokenizerFast",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "model_max_length": 512,
            "extra_ids": 0,
            "additional_special_tokens": [],
        },
    )
    return int(tokenizer.get_vocab_size())


def clip_tokenizer(folder: pathlib.Path) -> dict[str, int]:
    """CLIP's byte-level vocabulary without merges; returns it."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    write_json(folder / "vocab.json", vocabulary)
    (folder / "merges.txt").write_text("#version: 0.2\n")
    write_json(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "CLIPTokenizer",
            "model_max_length": 77,
            "bos_token": "<|startoftext|>",
            "eos_token": "<|endoftext|>",
            "unk_token": "<|endoftext|>",
            "pad_token": "<|endoftext|>",
            "do_lower_case": True,
            "add_prefix_space": False,
        },
    )
    return vocabulary


def wan(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
    """The parts of a Wan 2.1 model; returns the contents of its model_index.json."""
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
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
    encoder.to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=options.heads,
        attention_head_dim=128,
        in_channels=16,
        out_channels=16,
        text_dim=options.text_dim,
        freq_dim=256,
        ffn_dim=options.ffn,
        num_layers=options.layers,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        eps=1e-6,
        rope_max_seq_len=1024,
    )
    transformer.to(torch.bfloat16).save_pretrained(folder / "transformer")
    vae = AutoencoderKLWan(
        base_dim=options.vae_dim,
        z_dim=16,
        dim_mult=[1, 2, 4, 4],
        num_res_blocks=1,
        attn_scales=[],
        temperal_downsample=[False, True, True],
    )
    vae.to(torch.float32).save_pretrained(folder / "vae")
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    )
    scheduler.save_pretrained(folder / "scheduler")
    return {
        "_class_name": "WanPipeline",
        "_diffusers_version": "0.35.0.dev0",
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }


def stable_diffusion(folder: pathlib.Path, options: argparse.Namespace) -> dict[str, Any]:
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


KINDS = {"wan": wan, "stable-diffusion": stable_diffusion}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("folder", type=pathlib.Path, help="folder to write; replaced if it holds another checkpoint")
    parser.add_argument("--heads", type=int, default=2, help="wan: attention heads of width 128 (default 2)")
    parser.add_argument("--layers", type=int, default=2, help="wan: transformer blocks (default 2)")
    parser.add_argument("--ffn", type=int, default=512, help="wan: width of a block's feed-forward (default 512)")
    parser.add_argument("--text-dim", type=int, default=256, help="wan: width of the text encoder (default 256)")
    parser.add_argument("--text-layers", type=int, default=2, help="wan: its layers (default 2)")
    parser.add_argument(
        "--words",
        type=int,
        help="wan: words that the text encoder knows; with 32 it loads, and then fails inside every request, since the "
        "tokenizer has more",
    )
    parser.add_argument("--vae-dim", type=int, default=16, help="wan: base width of the VAE (default 16)")
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
    write_json(index, KINDS[options.kind](folder, options))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
