"""Reads the flags out of `sglang generate --help`, as argparse writes it at any width. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest

from pytest_sgdiff.data import Flag, FlagKind

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_NAME = re.compile(r"(?<![\w.-])--([A-Za-z0-9][\w.-]*)")
# argparse indents what it lists by two columns, and what it says of it by four at least.
_LISTED = re.compile(r" {1,3}(-\S.*)")
_CHOICES = re.compile(r"\{([^{}]*)\}")


def flags_in(text: str) -> dict[str, Flag] | None:
    """Flag name, without its dashes -> how it is given; None for a text that is no help of the engine.

    The list of options is the source, since it also has the other names of a flag; the usage line stands in for what
    it leaves out.
    """
    plain = _ANSI.sub("", text).replace("\r", "")
    found = {**dict(_of_usage(plain)), **dict(_of_list(plain))}
    if "model-path" not in found:
        return None
    return {
        name: replace(flag, off=f"no-{name}") if flag.kind == "switch" and f"no-{name}" in found else flag
        for name, flag in sorted(found.items())
        if name != "help"
    }


def _of_list(text: str) -> Iterator[tuple[str, Flag]]:
    """From lines such as `  --pipeline NAME, --pipeline-class-name NAME   what it does`."""
    for line in text.splitlines():
        match = _LISTED.fullmatch(line.rstrip())
        if match is None:
            continue
        # Two blanks part what is listed from what is said of it.
        spellings = re.split(r", (?=-)", re.split(r"\s{2,}", match[1])[0])
        # From Python 3.13 on only the last name shows how the value is given.
        last = spellings[-1].partition(" ")[2]
        for spelling in spellings:
            name, _, value = spelling.partition(" ")
            if _NAME.fullmatch(name):
                yield name.removeprefix("--"), _flag(value or last)


def _of_usage(text: str) -> Iterator[tuple[str, Flag]]:
    """From `usage: sglang [-h] [--width WIDTH] [--gpu-ids GPU_IDS [GPU_IDS ...]] --model-path MODEL_PATH`, which ends
    with the first empty line."""
    usage = re.search(r"^usage:(.*?)(?:^\s*$|\Z)", text, re.MULTILINE | re.DOTALL | re.IGNORECASE)
    words = " ".join(usage[1].split()) if usage else ""
    names = list(_NAME.finditer(words))
    for match, following in zip_longest(names, names[1:]):
        value = words[match.end() : following.start() if following else len(words)]
        yield match[1], _flag(_closed(value.rstrip(" [|")))


def _closed(value: str) -> str:
    """What stands before the bracket that was opened before it: ` GPU_IDS [GPU_IDS ...]] [-h]` without its end."""
    depth = 0
    for place, letter in enumerate(value):
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if depth < 0:
            return value[:place].strip()
    return value.strip()


def _flag(value: str) -> Flag:
    kind: FlagKind = "value"
    if not value:
        kind = "switch"
    elif "..." in value:
        kind = "list"
    elif value.startswith("["):
        kind = "boolean"
    choices = _CHOICES.search(value)
    return Flag(kind=kind, choices=tuple(choices[1].split(",")) if choices else ())
