"""Where a case keeps the model's weights: offloading, FSDP, and what neither goes with.

Source: `_validate_offload` of the engine's server_args (0.5.17) and the performance guide.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of

CACHE_DIT = "SGLANG_CACHE_DIT_ENABLED"
CACHE_DIT_FLAG = "enable-cache-dit"
_TRANSFORMERS = {"dit", "transformer", "transformer_2", "all"}
_LAYERWISE_BY_DEFAULT = ("Wan", "MOVA")


def cache_dit(view: View) -> tuple[str, str] | None:
    """The key that switches Cache-DiT on, and its name there; None where it is off. The flag goes before the
    variable."""
    if view.arg(CACHE_DIT_FLAG) is not None:
        return None if view.off(CACHE_DIT_FLAG) else (view.place(CACHE_DIT_FLAG), CACHE_DIT_FLAG)
    return (f"env.{CACHE_DIT}", CACHE_DIT) if view.env_on(CACHE_DIT) else None


def layerwise_flag(view: View) -> str | None:
    """The flag that has the transformers offloaded layer by layer; None if none does."""
    if view.on("dit-layerwise-offload"):
        return "dit-layerwise-offload"
    for flag in ("layerwise-offload-components", "layerwise-offload-modules"):
        if _TRANSFORMERS & set(_words(view, flag)):
            return flag
    return "component-residency" if _residency(view) == "layerwise-offload" else None


def offload_flag(view: View) -> str | None:
    """The flag that has the transformers offloaded, layer by layer or whole; None if none does."""
    mode = _residency(view)
    if mode:
        return "component-residency" if mode.endswith("-offload") else None
    whole = _TRANSFORMERS & set(_words(view, "cpu-offload-components"))
    return (
        layerwise_flag(view)
        or ("cpu-offload-components" if whole else None)
        or ("dit-cpu-offload" if view.on("dit-cpu-offload") else None)
    )


def _residency(view: View) -> str:
    """The mode that `component-residency` gives the transformers, empty if it gives none."""
    modes = dict(word.split("=", 1) for word in _words(view, "component-residency") if "=" in word)
    # A component's own mode goes before that of its group.
    return next((modes[name] for name in ("transformer", "dit", "all") if name in modes), "")


def _words(view: View, flag: str) -> list[str]:
    value = view.arg(flag)
    given = value if isinstance(value, tuple) else (value,)
    return [word for part in given if part is not None for word in str(part).lower().replace(",", " ").split()]


def cache_dit_with_layerwise_offload(view: View) -> Iterator[Finding]:
    cached = cache_dit(view)
    if cached is None or view.case.runs_on == "diffusers":
        return
    key, name = cached
    flag = layerwise_flag(view)
    if flag is not None:
        fix = "set dit-layerwise-offload to false" if flag == "dit-layerwise-offload" else f"drop {flag}"
        yield Finding(
            view.place(flag),
            "layerwise offload releases weights of blocks that Cache-DiT skips, and engines up to 0.5.18 refuse the "
            f"two together: {fix}, or drop {name}",
        )
    elif view.model_has(*_LAYERWISE_BY_DEFAULT) and not view.off("dit-layerwise-offload"):
        yield Finding(
            key,
            "the engine offloads this model layer by layer by default, and that does not work with Cache-DiT: "
            "set dit-layerwise-offload to false",
        )


def fsdp_with_layerwise_offload(view: View) -> Iterator[Finding]:
    flag = layerwise_flag(view)
    if view.on("use-fsdp-inference") and flag is not None:
        yield Finding(
            view.place("use-fsdp-inference"),
            "the engine silently switches FSDP off if layerwise offload is on: keep one of "
            f"use-fsdp-inference and {flag}",
        )


def fsdp_with_cache_dit(view: View) -> Iterator[Finding]:
    cached = cache_dit(view)
    if view.on("use-fsdp-inference") and cached is not None:
        yield Finding(
            view.place("use-fsdp-inference"),
            f"the engine refuses FSDP together with Cache-DiT: drop use-fsdp-inference or {cached[1]}",
        )


def prefetch_size(view: View) -> Iterator[Finding]:
    value = view.arg("dit-offload-prefetch-size")
    if value is None:
        return
    key = view.place("dit-offload-prefetch-size")
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
            key,
            f"a prefetch size of 1 or more is a number of layers, and {value} becomes {int(value)}: write {int(value)}",
        )


def prefetch_without_offload(view: View) -> Iterator[Finding]:
    off = view.off("dit-layerwise-offload") and layerwise_flag(view) is None
    if view.arg("dit-offload-prefetch-size") is not None and off:
        yield Finding(
            view.place("dit-offload-prefetch-size"),
            "the prefetch size has no effect with 'dit-layerwise-offload: false': drop one of them",
        )


def offload_not_pinned(view: View) -> Iterator[Finding]:
    decided = (
        *("dit-layerwise-offload", "dit-cpu-offload", "use-fsdp-inference", "component-residency"),
        *("layerwise-offload-components", "layerwise-offload-modules", "cpu-offload-components"),
    )
    by_mode = view.word("performance-mode") or view.word("mode")
    if view.case.gpus == 0 or view.case.runs_on == "diffusers" or by_mode in ("manual", "speed", "memory"):
        return
    if not any(first_of(view, decided)):
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
