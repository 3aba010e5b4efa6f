"""Where a case keeps the model's weights: offloading, FSDP, and what neither goes with.

Source: `_validate_offload` of the engine's server_args (0.5.17) and the performance guide.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sgdiff.advice.protocol import Finding, Rule, View

CACHE_DIT = "SGLANG_CACHE_DIT_ENABLED"
_LAYERWISE_BY_DEFAULT = ("Wan", "MOVA")


def cache_dit_with_layerwise_offload(view: View) -> Iterator[Finding]:
    if not view.env_on(CACHE_DIT) or view.case.backend == "diffusers":
        return
    if view.on("dit-layerwise-offload"):
        yield Finding(
            "args.dit-layerwise-offload",
            "layerwise offload releases weights of blocks that Cache-DiT skips, and the engine refuses the two "
            f"together: set dit-layerwise-offload to false, or drop {CACHE_DIT}",
        )
    elif view.model_has(*_LAYERWISE_BY_DEFAULT) and not view.off("dit-layerwise-offload"):
        yield Finding(
            f"env.{CACHE_DIT}",
            "this model is offloaded layer by layer by default, which Cache-DiT does not go with: "
            "set dit-layerwise-offload to false",
        )


def fsdp_with_layerwise_offload(view: View) -> Iterator[Finding]:
    if view.on("use-fsdp-inference") and view.on("dit-layerwise-offload"):
        yield Finding(
            "args.use-fsdp-inference",
            "the engine switches FSDP off in silence where layerwise offload is on: keep one of "
            "use-fsdp-inference and dit-layerwise-offload",
        )


def fsdp_with_cache_dit(view: View) -> Iterator[Finding]:
    if view.on("use-fsdp-inference") and view.env_on(CACHE_DIT):
        yield Finding(
            "args.use-fsdp-inference",
            f"the engine refuses FSDP together with Cache-DiT: drop use-fsdp-inference or {CACHE_DIT}",
        )


def prefetch_size(view: View) -> Iterator[Finding]:
    value = view.arg("dit-offload-prefetch-size")
    if value is None:
        return
    key = "args.dit-offload-prefetch-size"
    if isinstance(value, (bool, str, tuple)):
        yield Finding(key, f"the prefetch size must be a number, got {value!r}")
    elif value < 0:
        yield Finding(key, f"the prefetch size must not be negative, got {value}")
    elif 0.5 <= value < 1:
        yield Finding(
            key,
            f"prefetching {value:g} of all layers keeps most of the model on the GPU and is slower: use 0.05 to 0.1",
        )
    elif value >= 1 and value != int(value):
        yield Finding(
            key, f"from 1 on the prefetch size counts layers, {value} is cut to {int(value)}: write {int(value)}"
        )


def prefetch_without_offload(view: View) -> Iterator[Finding]:
    if view.arg("dit-offload-prefetch-size") is not None and view.off("dit-layerwise-offload"):
        yield Finding(
            "args.dit-offload-prefetch-size",
            "the prefetch size has no effect with 'dit-layerwise-offload: false': drop one of them",
        )


def offload_not_pinned(view: View) -> Iterator[Finding]:
    decided = ("dit-layerwise-offload", "dit-cpu-offload", "use-fsdp-inference", "component-residency")
    by_mode = view.word("performance-mode") or view.word("mode")
    if view.case.gpus == 0 or view.case.backend == "diffusers" or by_mode in ("manual", "speed", "memory"):
        return
    if not any(flag in view.case.args for flag in decided):
        yield Finding(
            "args",
            "the engine decides what is offloaded from the model and the memory that is free at its start: "
            "pin dit-layerwise-offload and dit-cpu-offload",
        )


RULES = (
    Rule(slug="cache-dit-with-layerwise-offload", level="error", check=cache_dit_with_layerwise_offload),
    Rule(slug="fsdp-with-layerwise-offload", level="error", check=fsdp_with_layerwise_offload),
    Rule(slug="fsdp-with-cache-dit", level="error", check=fsdp_with_cache_dit),
    Rule(slug="prefetch-size", level="warning", check=prefetch_size),
    Rule(slug="prefetch-without-offload", level="warning", check=prefetch_without_offload),
    Rule(slug="offload-not-pinned", level="warning", check=offload_not_pinned),
)
