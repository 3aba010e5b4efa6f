"""Everything that changes what a case measures, and its digest: two measurements compare only if these are equal.

Not part of it: ids, marks, limits, time-outs, ports, where files lie, and the engine's version, whose effect is what is
measured. Whether stage timers are synchronised is recorded with each launch and compared there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sgdiff.data import Case, Workload
from pytest_sgdiff.judging.comparable import digest_of
from pytest_sgdiff.judging.inherited import work
from pytest_sgdiff.redact import Redaction, sensitive

__all__ = ["chosen_in", "digest_of", "is_kept", "with_chosen", "with_inherited", "workload"]

_CHOSEN = "engine-chose."

# Variables that say where something lies, who asks, or how much is printed.
_NO_MATTER = re.compile(
    r"CACHE_(?:DIR|ROOT|HOME)|(?:_|^)(?:DIR|PATH|HOME|ROOT|FOLDER|PROXY)$"
    r"|^HF_(?:HOME|ENDPOINT|HUB_(?:CACHE|OFFLINE))$|^HUGGINGFACE_"
    r"|^(?:NCCL_DEBUG|PYTHON(?!OPTIMIZE|MALLOC|DEVMODE|_GIL|_JIT)\w*|TMPDIR|LANG|LC_\w+|CI)$"
    r"|^SGLANG_(?:DIFFUSION_SYNC_STAGE_PROFILING|DIFFUSION_STAGE_LOGGING|GIT_COMMIT)$",
    re.IGNORECASE,
)
# Flags that repeat what the case says elsewhere, or name what is written.
_NO_MATTER_ARGS = frozenset({"num-gpus", "backend", "output-file-name", "log-level"})


def is_kept(name: str) -> bool:
    """Whether a variable that a case sets is part of its workload; those that say where something lies are not."""
    return not _NO_MATTER.search(name)


def workload(case: Case, *, asset_hashes: Mapping[str, str], redaction: Redaction | None = None) -> Workload:
    """The workload of a case; `asset_hashes` maps a flag to the hash of its file.

    `fields` are flat (`args.width`), so that a difference can be spelled out key by key. The digest is the first 16
    hex digits of the SHA-256 over them. Secrets are replaced before it is made: they say who asks and not what is done,
    so that a token of another day is the same work, and no digest gives one away.
    """
    hide = (redaction or Redaction({})).tree
    fields = {name: hide(value, name) for name, value in sorted(_fields(case, asset_hashes))}
    return Workload(digest=digest_of(fields), fields=fields)


def with_inherited(asked: Workload, inherited: Mapping[str, str]) -> Workload:
    """The workload of launches that inherited these variables (secrets redacted) beside what their case asks for."""
    added = {f"env.{name}": value for name, value in work(inherited).items() if f"env.{name}" not in asked.fields}
    fields = dict(sorted({**asked.fields, **added}.items()))
    return Workload(
        digest=digest_of(fields) if added else asked.digest,
        fields=fields,
        inherited=tuple(name.removeprefix("env.") for name in added),
    )


def with_chosen(asked: Workload, chosen: Sequence[str]) -> Workload:
    """The workload of a launch whose engine turned these on by itself."""
    if not chosen:
        return asked
    fields = dict(sorted({**asked.fields, **{f"{_CHOSEN}{name}": True for name in chosen}}.items()))
    return replace(asked, digest=digest_of(fields), fields=fields)


def chosen_in(work: Workload) -> tuple[str, ...]:
    """What the engine turned on by itself in launches of this workload."""
    return tuple(name.removeprefix(_CHOSEN) for name in work.fields if name.startswith(_CHOSEN))


def _fields(case: Case, asset_hashes: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    yield "model", _without_folder(case.model)
    yield "gpus", case.gpus
    yield "engine", case.engine
    yield "backend", case.runs_on
    yield "warmup", case.warmup
    if case.serves:
        yield "launches.requests", case.served_requests
        yield "launches.inputs", "varied" if case.varied else "same"
        plan = case.launches
        if plan.concurrency or plan.rate:
            # What a server gets after its measured requests is work, too, and these find it as it is then.
            loads = {"concurrency": plan.concurrency, "rate": plan.rate, "load_requests": plan.load_requests}
            yield from ((f"launches.{name}", _plain(value)) for name, value in loads.items())
    for name, value in case.args.items():
        # Saving is the engine's default, so saying so changes nothing.
        if name not in _NO_MATTER_ARGS and (name, value) != ("save-output", True):
            plain = _without_folder(value) if name.endswith("-path") and isinstance(value, str) else value
            yield f"args.{name}", _plain(plain)
    for name, value in case.env.items():
        if not sensitive(name) and not _NO_MATTER.search(name):
            yield f"env.{name}", value
    yield from ((f"config.{name}", _plain(value)) for name, value in case.config.items())
    yield from ((f"assets.{flag}", digest) for flag, digest in asset_hashes.items())


def _without_folder(path: str) -> str:
    """A local path by its last part: the same checkpoint lies elsewhere on another machine. Hub ids stay whole."""
    return path.rstrip("/").rpartition("/")[2] if path.startswith(("/", "./", "../", "~")) else path


def _plain(value: Any) -> Any:
    """The value as JSON has it, with 3.0 and 3 being one number."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return value
