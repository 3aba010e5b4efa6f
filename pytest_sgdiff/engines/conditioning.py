"""The engine's conditioning cache: whether a launch may use it, and whether it did.

From 0.5.21 on, and by default, the engine keeps what text, image and VAE encoders made of an input, for the next
request with the same input (runtime/cache/conditioning.py of its diffusion package). A warmup by the request itself is
a copy of the measured request, which then finds every encoding in the cache: on the CPU a text encoder of 0.5.23 took
1.8 ms then, whatever its size. So a slower encoder is not seen, and 0.5.20 against 0.5.21 reads as faster.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from pytest_sgdiff.data import Case
from pytest_sgdiff.engines.flags.lookup import given

DISABLE = "disable-conditioning-cache"
SIZE = "conditioning-cache-max-size-mb"

_KEY_OFF, _KEY_SIZE = "disable_conditioning_cache", "conditioning_cache_max_size_mb"
_HIT = re.compile(r"^(?:\[[^\]]*\] )?Conditioning cache hit: \w+\.\w+$")
"""How the engine logs a hit, at log level debug only."""


def warms_up(case: Case) -> bool:
    """Whether requests go before the measured one, by the case's key or by the engine's own flags."""
    modes = [given(case, flag) for flag in ("warmup-mode", "warmup", "server-warmup") if given(case, flag) is not None]
    if modes:
        return any(str(mode).lower() not in ("off", "false") for mode in modes)
    return case.warmup == "request" or given(case, "warmup-resolutions") is not None


def wanted(case: Case) -> bool:
    """Whether the case asks for the cache: it says that the cache is not to be disabled, or gives it a size."""
    disabled = given(case, DISABLE)
    if disabled is not None:
        return str(disabled).lower() == "false"
    size = given(case, SIZE)
    return size is not None and _number(size) != 0


def to_be_off(case: Case) -> bool:
    """Whether the plugin turns the cache off: requests with the same inputs follow one another (a warmup goes before
    the measured one, or a server gets the same again), the case runs natively and does not settle it itself."""
    repeats = not case.varied if case.serves else warms_up(case)
    return repeats and case.runs_on == "sglang" and not wanted(case) and given(case, DISABLE) is None


def used(server_args: Mapping[str, Any], argv: Iterable[str]) -> bool | None:
    """Whether the engine had the cache on: as its resolved arguments say, or else its command line; None where nothing
    says so, as in engines without the cache."""
    if _KEY_OFF in server_args:
        size = server_args.get(_KEY_SIZE)
        return server_args[_KEY_OFF] is False and (size is None or _number(size) != 0)
    return False if f"--{DISABLE}" in argv else None


def hits(lines: Iterable[str]) -> tuple[str, ...]:
    """The lines that show a hit."""
    return tuple(line for line in lines if _HIT.match(line))


def quoted(server_args: Mapping[str, Any]) -> tuple[str, ...]:
    """What the engine's resolved arguments say of the cache."""
    told = ", ".join(f'"{key}": {json.dumps(server_args[key])}' for key in (_KEY_OFF, _KEY_SIZE) if key in server_args)
    return (f"server_args: {told}",)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
