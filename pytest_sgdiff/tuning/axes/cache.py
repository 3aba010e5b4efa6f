"""Caches between denoising steps: Cache-DiT, by variables or by flags, and TeaCache."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.lint.offload import CACHE_DIT, CACHE_DIT_FLAG
from pytest_sgdiff.tuning.axes.protocol import GUIDE, LOSSY, Choice, Ground, Role

_CACHE_DIT = f"{LOSSY}, Cache-DiT: 1.5 to 2 times as fast on supported models"
_ENGINE_CACHE = "engine, Cache-DiT's presets of steps that are computed"
# Name, role, what Cache-DiT is given beyond being on: by variable, and by key of cache-dit-params.
_CACHES: tuple[tuple[str, Role, Mapping[str, str], Mapping[str, str | float | bool], str], ...] = (
    ("cache-dit", "main", {}, {}, _CACHE_DIT),
    ("cache-dit-slow", "side", {"SCM_PRESET": "slow"}, {"scm_preset": "slow"}, _ENGINE_CACHE),
    (
        "cache-dit-medium",
        "main",
        {"SCM_PRESET": "medium"},
        {"scm_preset": "medium"},
        f'{GUIDE}, recipe "Maximum speed, lossy native path": further knobs',
    ),
    ("cache-dit-fast", "side", {"SCM_PRESET": "fast"}, {"scm_preset": "fast"}, _ENGINE_CACHE),
    ("cache-dit-ultra", "rare", {"SCM_PRESET": "ultra"}, {"scm_preset": "ultra"}, _ENGINE_CACHE),
    (
        "cache-dit-taylor",
        "side",
        {"TAYLORSEER": "true"},
        {"enable_taylorseer": True},
        f'{GUIDE}, recipe "Maximum speed, lossy native path": further knobs',
    ),
    (
        "cache-dit-rdt0.12",
        "rare",
        {"RDT": "0.12"},
        {"residual_diff_threshold": 0.12},
        f'{GUIDE}, recipe "Maximum speed, lossy native path": its threshold, halved',
    ),
)
_KNOBS = ("FN", "BN", "WARMUP", "RDT", "MC", "TAYLORSEER", "TS_ORDER")
_VARIABLES = (
    CACHE_DIT,
    *(f"SGLANG_CACHE_DIT_{knob}" for knob in _KNOBS),
    *(f"SGLANG_CACHE_DIT_SECONDARY_{knob}" for knob in _KNOBS),
    *(f"SGLANG_CACHE_DIT_SCM_{knob}" for knob in ("PRESET", "COMPUTE_BINS", "CACHE_BINS", "POLICY")),
)
_OFF: Mapping[str, ArgValue | None] = dict.fromkeys((CACHE_DIT_FLAG, "cache-dit-params"))
# Transformers that read it; all others pass over it in silence.
_TEACACHE = re.compile(r"Wan|HunyuanVideo|lingbot", re.IGNORECASE)


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    if not ground.native:
        return ()
    by_flag = (
        ground.engine is not None
        and ground.engine.kind_of(CACHE_DIT_FLAG) is not None
        # A server's parameters of a request are the endpoint's, and a case that has variables keeps them.
        and not ground.case.serves
        and not any(name in ground.case.env for name in _VARIABLES)
    )
    # On the CPU nothing is offloaded, which the case must say of a model that is offloaded by default.
    placed: dict[str, ArgValue | None] = {} if ground.gpus else {"dit-layerwise-offload": False}
    found = []
    for name, role, variables, params, source in _CACHES:
        args: dict[str, ArgValue | None] = {**placed, **_OFF, "enable-teacache": None}
        env: dict[str, str | None] = dict.fromkeys(_VARIABLES)
        if by_flag:
            args |= {CACHE_DIT_FLAG: True, "cache-dit-params": json.dumps(dict(params)) if params else None}
        else:
            env |= {CACHE_DIT: "true"} | {f"SGLANG_CACHE_DIT_{knob}": text for knob, text in variables.items()}
        setting = Setting(axis="cache", name=name, args=args, env=env, lossy=True, source=source)
        found.append(Choice(setting=setting, role=role))
    if _TEACACHE.search(ground.case.model):
        setting = Setting(
            axis="cache",
            name="teacache",
            args={**_OFF, "enable-teacache": True},
            env=dict.fromkeys(_VARIABLES),
            lossy=True,
            source="engine flag enable-teacache: skips steps that change little",
        )
        found.append(Choice(setting=setting, role="side"))
    return found
