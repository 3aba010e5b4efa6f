"""What the families share: files of JSON, saved models, and tokenizers that spell.

A family is a function (folder, options) -> the contents of its model_index.json, or None where it has none.
"""

from __future__ import annotations

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any

Index = dict[str, Any]
Family = Callable[[pathlib.Path, argparse.Namespace], "Index | None"]


def write_json(path: pathlib.Path, data: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=1), encoding="utf-8")


def save(model: Any, folder: pathlib.Path, dtype: Any) -> None:
    """Save a diffusers or transformers model; its weights are random already."""
    model.to(dtype).save_pretrained(folder)


def rename_weights(folder: pathlib.Path, new_name: Callable[[str], str]) -> None:
    """Rename a saved model's weights: transformers 5 writes other names than published checkpoints have."""
    from safetensors.torch import load_file, save_file

    path = str(folder / "model.safetensors")
    save_file({new_name(name): weight for name, weight in load_file(path).items()}, path, metadata={"format": "pt"})


def flow_match_scheduler(folder: pathlib.Path, **settings: Any) -> list[str]:
    from diffusers import FlowMatchEulerDiscreteScheduler

    FlowMatchEulerDiscreteScheduler(**settings).save_pretrained(folder / "scheduler")
    return ["diffusers", "FlowMatchEulerDiscreteScheduler"]


def spelling_tokenizer(folder: pathlib.Path, special: list[str], *, single: str, pair: str, config: Any) -> int:
    """A tokenizer that spells every word in characters; returns the size of its vocabulary.

    `single` and `pair` are the templates of one text and of two, with some of the special tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

    letters = ["\u2581", *(chr(code) for code in range(33, 127))]
    vocabulary = [(word, 0.0) for word in special] + [(letter, -1.0) for letter in letters]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special.index("<unk>"), byte_fallback=False))
    tokenizer.add_special_tokens(special)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    used = [(word, number) for number, word in enumerate(special) if word in single]
    tokenizer.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=used)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", {"pad_token": "<pad>", "unk_token": "<unk>", **config})
    return int(tokenizer.get_vocab_size())


def t5_tokenizer(folder: pathlib.Path) -> int:
    return spelling_tokenizer(
        folder,
        ["<pad>", "</s>", "<unk>"],
        single="$A </s>",
        pair="$A </s> $B </s>",
        config={
            "tokenizer_class": "T5TokenizerFast",
            "eos_token": "</s>",
            "model_max_length": 512,
            "extra_ids": 0,
            "additional_special_tokens": [],
        },
    )


def gemma_tokenizer(folder: pathlib.Path) -> int:
    return spelling_tokenizer(
        folder,
        ["<pad>", "<eos>", "<bos>", "<unk>"],
        single="<bos> $A",
        pair="<bos> $A <bos> $B",
        config={
            "tokenizer_class": "PreTrainedTokenizerFast",
            "eos_token": "<eos>",
            "bos_token": "<bos>",
            "model_max_length": 1024,
            "padding_side": "left",
        },
    )


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
