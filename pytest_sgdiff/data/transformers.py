"""What is known of a model's transformer before it is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Transformer:
    """`kind` is the class that the transformer's `config.json` names. `heads` are the numbers of attention heads there,
    by their keys, such as `num_attention_heads`. `source` is the path of the file, or the id of a public model."""

    kind: str
    heads: Mapping[str, int]
    source: str
