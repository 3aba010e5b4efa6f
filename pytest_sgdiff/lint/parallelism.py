"""How a case spreads over its GPUs.

Source: `_adjust_parallelism`, `_validate_parallelism`, `_validate_cfg_parallel` and `_adjust_attention_backend` of the
engine's server_args (0.5.17), and the performance guide's section on lossless options.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of

_SEQUENCE = ("sp-degree", "ulysses-degree", "ring-degree")
_CFG = ("cfg-parallel-size", "enable-cfg-parallel")
# Distilled to run without classifier-free guidance, so that there is no second branch to run in parallel; the Klein
# base models are not.
_WITHOUT_CFG = ("FLUX.1", "FLUX.2")
# Others that run without it by default: a guidance of 1 or less in the engine's sampling parameters, or a denoising
# stage that knows one branch only (FastWan, TurboWan). ERNIE-Image-Turbo is run with the guidance of its base.
_ONE_BRANCH = re.compile(
    r"(?<!ERNIE-Image-)Turbo|distill|FastWan|FastHunyuan|HunyuanVideo|Krea-2|Qwen-Image-2\.1|LongLive|JoyAI-Echo"
    r"|MiniMax-H3|FastH3",
    re.IGNORECASE,
)
_NO_SECOND_BRANCH = (
    "so there is no second branch for other GPUs, and the engine refuses the request or computes the same branch "
    "twice: use ulysses-degree or tp-size instead"
)
_RING_ATTENTION = ("fa", "fa3", "fa4", "sage_attn")


def _cfg_degree(view: View) -> int:
    size = view.count("cfg-parallel-size")
    if size is not None:
        return size
    return 2 if view.on("enable-cfg-parallel") else 1


def _cfg_key(view: View) -> str:
    return next((view.place(flag) for flag in first_of(view, _CFG)), "args")


def cfg_parallel_on_one_gpu(view: View) -> Iterator[Finding]:
    if _cfg_degree(view) > 1 and view.case.gpus < 2:
        yield Finding(
            _cfg_key(view),
            f"CFG parallel needs 2 GPUs or more, the case has 'gpus: {view.case.gpus}': "
            "raise 'gpus', or drop CFG parallel",
        )


def cfg_parallel_without_cfg(view: View) -> Iterator[Finding]:
    if _cfg_degree(view) < 2:
        return
    if view.model_has(*_WITHOUT_CFG) and not view.model_has("klein-base"):
        yield Finding(
            _cfg_key(view),
            f"{view.case.model} runs without classifier-free guidance and crashes under CFG parallel: "
            "use ulysses-degree or tp-size instead",
        )
        return
    flag = next(first_of(view, ("true-cfg-scale", "guidance-scale")), None)
    scale = None if flag is None else view.number(flag)
    # Base Z-Image guides with anything above 0, all others above 1.
    least = 0 if view.model_has("Z-Image") and not view.model_has("Turbo") else 1
    if scale is not None and scale <= least:
        yield Finding(_cfg_key(view), f"{flag} {scale:g} switches classifier-free guidance off, {_NO_SECOND_BRANCH}")
    elif scale is None and _ONE_BRANCH.search(view.case.model):
        yield Finding(_cfg_key(view), f"{view.case.model} runs without classifier-free guidance, {_NO_SECOND_BRANCH}")


def parallel_degrees(view: View) -> Iterator[Finding]:
    odd = [flag for flag in first_of(view, ("tp-size", *_SEQUENCE, "cfg-parallel-size")) if not view.count(flag)]
    for flag in odd:
        yield Finding(view.place(flag), f"{flag} must be a whole number of 1 or more, got {view.word(flag)}")
    if odd:
        return
    given = next(first_of(view, _SEQUENCE), None)
    tp, cfg, gpus = view.count("tp-size") or 1, _cfg_degree(view), view.case.gpus
    if gpus < 2 and cfg > 1:
        return
    ulysses, ring, sp = (view.count(f) for f in ("ulysses-degree", "ring-degree", "sp-degree"))
    spread = (ulysses or 1) * (ring or 1)
    if sp is not None and (ulysses, ring) != (None, None) and sp != spread:
        yield Finding(
            view.place("sp-degree"),
            f"sp-degree {sp} must equal ulysses-degree x ring-degree = {ulysses or 1} x {ring or 1} = {spread}",
        )
        return
    group = tp * cfg
    if given is None:
        if gpus and gpus % group:
            key = view.place("tp-size") if tp > 1 else _cfg_key(view)
            yield Finding(key, f"tp-size {tp} x CFG {cfg} = {group} does not divide 'gpus: {gpus}'")
        return
    needed = group * (sp or spread)
    if needed != max(gpus, 1):
        parts = f"tp-size {tp} x CFG {cfg} x ulysses-degree {ulysses or sp or 1} x ring-degree {ring or 1}"
        yield Finding(view.place(given), f"{parts} = {needed} must equal 'gpus: {gpus}': change the degrees or 'gpus'")


def data_parallel(view: View) -> Iterator[Finding]:
    # In a config the three have one name, which is reported once.
    flag = next((flag for flag in ("dp-size", "data-parallel-size", "dp") if (view.count(flag) or 1) > 1), None)
    # A server under load has several: there it is what a user would give.
    plan = view.case.launches
    if flag is not None and not (view.case.serves and (plan.concurrency or plan.rate)):
        yield Finding(
            view.place(flag),
            f"{flag} above 1 is for concurrent requests, and a case measures one (before 0.5.18 the engine "
            "refuses it): drop it, and use ulysses-degree or tp-size",
        )


def ring_attention_backend(view: View) -> Iterator[Finding]:
    backend = view.word("attention-backend")
    if (view.count("ring-degree") or 1) > 1 and backend and backend not in _RING_ATTENTION:
        yield Finding(
            view.place("attention-backend"),
            f"ring attention works with fa and sage_attn only, not with {backend}: "
            "set ring-degree to 1, or the backend to fa",
        )


def parallel_not_pinned(view: View) -> Iterator[Finding]:
    if view.case.gpus < 2 or view.case.runs_on == "diffusers":
        return
    tp, cfg = view.count("tp-size") or 1, _cfg_degree(view)
    sequence = any(first_of(view, _SEQUENCE))
    pinned = sequence or (any(first_of(view, _CFG)) and tp * cfg >= view.case.gpus)
    if not pinned and tp < view.case.gpus:
        yield Finding(
            "gpus",
            f"the engine chooses how to use {view.case.gpus} GPUs, and another version may choose differently: the "
            "baseline is marked auto-tuned; pin enable-cfg-parallel, ulysses-degree and ring-degree",
        )


RULES = (
    Rule(slug="cfg-parallel-on-one-gpu", level="error", check=cfg_parallel_on_one_gpu),
    Rule(slug="cfg-parallel-without-cfg", level="error", check=cfg_parallel_without_cfg),
    Rule(slug="parallel-degrees", level="error", check=parallel_degrees),
    Rule(slug="data-parallel", level="error", check=data_parallel),
    Rule(slug="ring-attention-backend", level="error", check=ring_attention_backend),
    Rule(slug="parallel-not-pinned", level="warning", check=parallel_not_pinned),
)
