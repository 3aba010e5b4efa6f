"""Files on their way through lines of JSON."""

from __future__ import annotations

import base64
import zlib


def packed(content: bytes) -> str:
    """Bytes as text that JSON can carry."""
    return base64.b64encode(zlib.compress(content)).decode("ascii")


def unpacked(text: str) -> bytes:
    """What `packed` packed."""
    return zlib.decompress(base64.b64decode(text))
