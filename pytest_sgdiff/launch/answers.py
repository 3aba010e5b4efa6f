"""Answers of a server, read for what they are worth: whoever sends them may be broken, or another program.

None of them is longer than it can be, and what is kept of one fits into a recording.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire import from_plain

if TYPE_CHECKING:
    import aiohttp

SHORT_BYTES, LONG_BYTES = 1 << 20, 1 << 30
"""How much of an answer is read: of what a server says of itself and of its jobs, and of one that holds images. A
longer one is none."""
MESSAGE_CHARS = 500
"""How much of what a server says of a failure is kept."""


async def read(answer: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The body of an answer; None for one that is longer, and may have no end."""
    body = bytearray()
    async for part in answer.content.iter_chunked(1 << 16):
        body += part
        if len(body) > most:
            return None
    return bytes(body)


def parsed(text: bytes | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def kept(text: str) -> str:
    """What is kept of a text: its beginning. JSON can spell half a character, which no file can hold."""
    return text[:MESSAGE_CHARS].encode("utf-8", "replace").decode()


def recordable(said: Any) -> Any:
    """The value, if a recording can hold it: no NaN, no number beyond 64 bits, no half of a character; else None."""
    try:
        return from_plain(Any, said)
    except (WireError, RecursionError):
        return None


def unhealthy(body: bytes | None) -> str:
    """What a server says is broken, if it calls itself unhealthy (0.5.18 on); else empty."""
    said = parsed(body)
    if isinstance(said, Mapping) and said.get("status") == "unhealthy":
        return kept(str(said.get("error") or "unhealthy"))
    return ""


def what_it_says(body: bytes | None) -> str:
    """What an answer says of a failure: its own message, or its beginning."""
    said = parsed(body)
    if isinstance(said, Mapping):
        for key in ("detail", "error", "message"):
            found = said.get(key)
            found = found.get("message", found) if isinstance(found, Mapping) else found
            if found:
                return str(found)
    return "an answer without an end" if body is None else body[:MESSAGE_CHARS].decode("utf-8", "replace").strip()


def image_bytes(said: Mapping[str, Any]) -> int:
    """How many bytes all images of an answer have; 0 if one is missing."""
    data = said.get("data")
    texts = (
        [one.get("b64_json") if isinstance(one, Mapping) else None for one in data] if isinstance(data, list) else []
    )
    if not texts or not all(isinstance(text, str) and text for text in texts):
        return 0
    return sum(3 * len(str(text)) // 4 for text in texts)


def server_ms(said: Mapping[str, Any]) -> float | None:
    seconds = recordable(said.get("inference_time_s"))
    return 1000.0 * seconds if isinstance(seconds, int | float) and not isinstance(seconds, bool) else None
