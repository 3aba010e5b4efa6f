"""Secrets are taken out of everything that is kept: logs, dumps, recorded environments and reports."""

from __future__ import annotations

import re
from collections.abc import Mapping

REDACTED = "<redacted>"

_SENSITIVE = re.compile(r"TOKEN(?!IZER)|KEY|SECRET|PASSWORD", re.IGNORECASE)
"""Names of variables whose values are secrets. TOKENIZERS_PARALLELISM is not one."""

_SHORTEST = 6
"""Characters of the shortest value that is looked for in text: replacing every `true` or `0` would ruin a log."""

_SHAPES = re.compile(r"hf_[A-Za-z0-9]{20,}|(?<=://)[^\s/@:]+:[^\s/@]+(?=@)")
"""Secrets that are known by their shape: Hugging Face tokens, and user:password in an address."""

_ASSIGNED = re.compile(r"\b(\w*(?:TOKEN(?!IZER)|KEY|SECRET|PASSWORD)\w*=)[^\s'\"]+")
"""A secret that a command line gives to a variable, as `env HF_TOKEN=... sglang` does."""


def redact_env(env: Mapping[str, str]) -> dict[str, str]:
    """The environment with the values of variables that are named like secrets, and secret shapes, replaced."""
    return {name: REDACTED if _SENSITIVE.search(name) else _SHAPES.sub(REDACTED, value) for name, value in env.items()}


def redact(text: str, env: Mapping[str, str]) -> str:
    """The text without the values of `env`'s variables that are named like secrets, and without secret shapes.

    A value of several lines (a private key) is replaced line by line, since output is.
    """
    secrets = {
        line.strip()
        for name, value in env.items()
        if _SENSITIVE.search(name)
        for line in value.splitlines()
        if len(line.strip()) >= _SHORTEST
    }
    # The longest first: one secret may be the beginning of another.
    for secret in sorted(secrets, key=lambda secret: (-len(secret), secret)):
        text = text.replace(secret, REDACTED)
    return _ASSIGNED.sub(rf"\1{REDACTED}", _SHAPES.sub(REDACTED, text))
