"""Finds failures in an engine log, and says in one line what the cause was.

`sglang generate` exits with 0 when a request fails (every version from 0.5.8 to 0.5.23), so these lines count whatever
the exit code was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from pytest_sgdiff.data import Cause

_FAILURE = re.compile(
    r"Generation failed|Failed to generate output|Received empty output|Error executing \S+"
    r"|scheduler is dead|cannot safely continue after|Failed to dump metrics"
    r"|\b(?:torch\.)?(?:cuda\.)?OutOfMemoryError\b|\bEADDRINUSE\b|Address already in use"
    # Up to 0.5.22 the scheduler then moves to another port, and the request may reach another launch's scheduler.
    r"|ZMQ bind failed for port",
    re.IGNORECASE,
)
_TIME = re.compile(r"^\[[^\]]*\] ")
_EXCEPTION = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*(?P<type>[A-Z]\w*(?:Error|Exception|Exit)|Exception|KeyboardInterrupt)(?:: ?(?P<what>.*))?$"
)
_PORT_TAKEN = re.compile(r"EADDRINUSE|Address already in use|ZMQ bind failed for port", re.IGNORECASE)
_PORT = re.compile(r"\bport:? (\d{2,5})\b|tcp://[^\s:]+:(\d{2,5})|:(\d{4,5})\b", re.IGNORECASE)
_OUT_OF_MEMORY = re.compile(r"OutOfMemoryError|CUDA out of memory", re.IGNORECASE)
_TRIED = re.compile(r"Tried to allocate ([\d.]+ [KMGT]i?B)", re.IGNORECASE)
_LOGGED = re.compile(
    r"(?:Generation failed(?: for prompt \d+/\d+)?|Failed to generate output for prompt(?: \d+)?"
    r"|Error executing [^:]{1,120}): (.+)",
    re.IGNORECASE,
)
_USAGE = re.compile(r"(?:^|\b)error: (.+)$")
_EMPTY = re.compile(r"Received empty output from scheduler.*", re.IGNORECASE)
_DEAD = re.compile(r"Rank (\d+) scheduler is dead", re.IGNORECASE)
_EXIT_CODE = re.compile(r"\bExit code: (-?\d+)", re.IGNORECASE)
_NO_MODEL = "Generate subcommand is not yet supported for model"

# What the parent raises when its worker is gone: never the cause.
_CONSEQUENCES = frozenset({"EOFError", "BrokenPipeError", "ConnectionResetError", "SystemExit", "KeyboardInterrupt"})
_LONGEST = 300


def failure_lines(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that say that the launch failed, each once."""
    return tuple(dict.fromkeys(line.strip() for line in lines if _FAILURE.search(line)))


def cause_of(lines: Sequence[str]) -> str | None:
    """One line that says why the launch failed, None if the log does not tell.

    >>> cause_of(["torch.distributed.DistNetworkError: failed to listen. port: 30005, name: EADDRINUSE", "EOFError"])
    'port 30005 was already in use'
    """
    messages = [_TIME.sub("", line).strip() for line in lines]
    for find in (_port_taken, _out_of_memory, _exception, _logged, _usage, _dead_worker):
        if found := find(messages):
            return found if len(found) <= _LONGEST else found[: _LONGEST - 1] + "…"
    return None


def lacked(lines: Sequence[str]) -> Cause | None:
    """`port` or `memory` where that is what `cause_of` tells."""
    messages = [_TIME.sub("", line).strip() for line in lines]
    if _port_taken(messages):
        return "port"
    return "memory" if _out_of_memory(messages) else None


def _port_taken(messages: Sequence[str]) -> str | None:
    for message in messages:
        if _PORT_TAKEN.search(message):
            match = _PORT.search(message)
            number = next(part for part in match.groups() if part) if match else None
            return f"port {number} was already in use" if number else "a port was already in use"
    return None


def _out_of_memory(messages: Sequence[str]) -> str | None:
    found = [message for message in messages if _OUT_OF_MEMORY.search(message)]
    if not found:
        return None
    tried = next((match[1] for message in found if (match := _TRIED.search(message))), None)
    return f"the GPU ran out of memory (tried to allocate {tried})" if tried else "the GPU ran out of memory"


def _exception(messages: Sequence[str]) -> str | None:
    """The last exception that is not a mere consequence of another process's death."""
    for message in reversed(messages):
        match = _EXCEPTION.match(message)
        if match and match["type"] not in _CONSEQUENCES:
            if _NO_MODEL in message:
                model = message.rpartition(": ")[2]
                return f"the engine cannot resolve the model {model}: not found, gated without HF_TOKEN, or offline"
            return message
    return None


def _logged(messages: Sequence[str]) -> str | None:
    for message in messages:
        if match := _LOGGED.search(message):
            return match[1].strip()
        if match := _EMPTY.search(message):
            return match[0].strip()
    return None


def _usage(messages: Sequence[str]) -> str | None:
    """What argparse says of the command line."""
    return next((match[1] for message in reversed(messages) if (match := _USAGE.search(message))), None)


def _dead_worker(messages: Sequence[str]) -> str | None:
    ranks = [match[1] for message in messages if (match := _DEAD.search(message))]
    codes = [match[1] for message in messages if (match := _EXIT_CODE.search(message))]
    if not ranks:
        return None
    return f"the worker of rank {ranks[0]} died" + (f" (exit code {codes[0]})" if codes else "")
