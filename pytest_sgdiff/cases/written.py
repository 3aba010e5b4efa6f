"""How a case file is written for people: ids after models, and texts with quotes where YAML needs them."""

from __future__ import annotations

import json
import re

# What YAML reads as the text that it is, whatever stands around it.
_BARE = re.compile(r"[A-Za-z/][A-Za-z0-9 _./-]*[A-Za-z0-9_]")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def id_of_model(model: str) -> str:
    """The id of a case of a model: `wan2_1_t2v_1_3b` of `Wan-AI/Wan2.1-T2V-1.3B-Diffusers`."""
    name = model.rstrip("/").rpartition("/")[2].lower().removesuffix("-diffusers")
    word = re.sub(r"[^a-z0-9]+", "_", name.encode("ascii", "ignore").decode()).strip("_")[:60]
    return word if word[:1].isalpha() else f"case_{word}".rstrip("_")


def scalar(text: str) -> str:
    """A text as YAML, in quotes where it needs them."""
    bare = _BARE.fullmatch(text) and text.lower() not in _WORDS
    return text if bare else "".join(map(_escaped, json.dumps(text, ensure_ascii=False)))


def _escaped(character: str) -> str:
    """A character within quotes. YAML folds lines at more characters than JSON, and refuses others."""
    if character.isprintable():
        return character
    return f"\\U{ord(character):08x}"
