"""Which attention backends the engine's log says it used, by component, and where it fell back from the one asked for.

| engine | line |
| --- | --- |
| 0.5.8 on | `Using Torch SDPA backend`, `Using FlashAttention (FA3 for hopper, FA4 for blackwell) backend`, … |
| 0.5.12 on | `Using fa backend for transformer`, `Attention backend not specified for …, using fa backend for …` |
| 0.5.14 on | `Attention backends for transformer: fa, torch_sdpa (component constraint)`, `Using fa attention …` |
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_sgdiff.data import Case
from pytest_sgdiff.engines.flags.lookup import given

# AttentionBackendEnum of sglang 0.5.8 to 0.5.23, in lower case, and the aliases of `--attention-backend`.
_NAMES = frozenset(
    (
        *("fa", "fa2", "fa3", "fa4", "fp8_fa_sm120", "ascend_fa", "xpu"),
        *("torch_sdpa", "torch_cudnn_sdpa", "dynamic_cudnn_sdpa", "aiter", "aiter_sage", "no_attention"),
        *("sage_attn", "sage_attn_3", "sparge_attn", "sliding_tile_attn", "video_sparse_attn", "video_sparse_attn_h3"),
        *("hybrid_window_attn_h3", "sparse_video_gen_2_attn", "vmoba_attn", "sla_attn", "sage_sla_attn", "laser_attn"),
        *("block_sparse_attn", "rain_fusion_attn", "sol_attn", "subblock_sparse_attn", "cube_sparse_attn"),
    )
)
_TITLES = {
    "flashattention2": "fa2",
    "flashattention": "fa",
    "flash attention": "fa",
    "torch sdpa": "torch_sdpa",
    "sage attention 3": "sage_attn_3",
    "sage attention": "sage_attn",
    "sliding tile attention": "sliding_tile_attn",
    "video sparse attention": "video_sparse_attn",
    "sparse video gen 2 (sap) attention": "sparse_video_gen_2_attn",
    "video moba attention": "vmoba_attn",
    "sage sparse linear attention": "sage_sla_attn",
    "sparse linear attention": "sla_attn",
    "aiter": "aiter",
}
# `fa` is whichever FlashAttention the GPU has.
_FAMILY = {
    "fa": frozenset({"fa", "fa2", "fa3", "fa4"}),
    "fa3": frozenset({"fa3", "fa"}),
    "fa4": frozenset({"fa4", "fa"}),
}

_BY_COMPONENT = "component-attention-backends"

# Each begins a record: a line that quotes one proves nothing.
_SUMMARY = re.compile(r"Attention backends for ([\w.-]+): (.+)", re.IGNORECASE)
_FOR_COMPONENT = re.compile(
    r"(?:Attention backend not specified for [^,]{1,80}, )?"
    r"using (\w+) backend for (?:component: )?([\w.-]+)(?! platform)\b",
    re.IGNORECASE,
)
_NAMED = re.compile(r"Using (\w+) attention backend\b", re.IGNORECASE)
_TITLED = re.compile(r"Using (.{2,60}?)(?: \(FA\d[^)]*\))? backend\b", re.IGNORECASE)
_FALLBACK = re.compile(
    r"fall(?:ing|s)? back to (?:the )?(?:flash ?attention|(?:torch |cudnn )?sdpa)"
    r"|Attention backend '[^']+' was requested for .*(?:could not be used|instead|without an allowed fallback)",
    re.IGNORECASE,
)
# Components that do not denoise.
_BESIDE = ("text_encoder", "image_encoder", "encoder", "tokenizer", "vae", "video_vae", "audio_vae", "vocoder")
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)")


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionUse:
    """One backend that was used, by one component where the log says which (`transformer`)."""

    backend: str
    component: str | None
    line: str


def attention_asked(case: Case) -> dict[str, str]:
    """The backends that a case asks for, in lower case, by flag: for all, for a component, for the request."""
    found: dict[str, str] = {}
    for flag in ("attention-backend", "diffusers-attention-backend", "attention-backend-override"):
        value = given(case, flag)
        if value is not None and str(value).lower() != "auto":
            found[flag] = str(value).lower()
    for component, backend in _by_component(str(given(case, _BY_COMPONENT) or "")):
        found[f"{_BY_COMPONENT}.{component}"] = backend
    found |= {flag: str(value).lower() for flag, value in case.args.items() if flag.startswith(f"{_BY_COMPONENT}.")}
    return found


def denoiser_asked(case: Case) -> str | None:
    """The backend that the denoising transformer is to use, None where no one backend is asked for."""
    asked = attention_asked(case)
    # The log tells what was loaded, and not what a request then switched to.
    if "attention-backend-override" in asked or any(f.startswith(f"{_BY_COMPONENT}.transformer.") for f in asked):
        return None
    flags = (f"{_BY_COMPONENT}.transformer", "attention-backend")
    return next((asked[flag] for flag in flags if flag in asked), None)


def attention_uses(records: Mapping[str, str]) -> tuple[AttentionUse, ...]:
    """Every backend and component that the engine's records name, each once, in the log's order. `records` maps each
    line to what it says behind its time."""
    found: dict[tuple[str | None, str], AttentionUse] = {}
    for line, said in records.items():
        for component, backend in _read(said):
            found.setdefault(
                (component, backend), AttentionUse(backend=backend, component=component, line=line.strip())
            )
    return tuple(found.values())


def attention_fallbacks(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines that say that a backend could not be used."""
    return tuple(dict.fromkeys(line.strip() for line in lines if _FALLBACK.search(line)))


def deciding_uses(uses: Iterable[AttentionUse]) -> tuple[AttentionUse, ...]:
    """Those of the denoising transformers where components are named; else those of which it is not said whose they
    are. Encoders and decoders may use what they like: what they use proves nothing."""
    uses = tuple(uses)
    named = tuple(use for use in uses if use.component and use.component.startswith(("transformer", "dit")))
    others = tuple(use for use in uses if use.component and not use.component.startswith(_BESIDE))
    return named or tuple(use for use in uses if use.component is None) or others


def unsatisfied(asked: str, uses: Iterable[AttentionUse]) -> tuple[AttentionUse, ...]:
    """The uses of every component that has none of the backend asked for."""
    by_component: dict[str | None, list[AttentionUse]] = {}
    for use in uses:
        by_component.setdefault(use.component, []).append(use)
    return tuple(
        use
        for together in by_component.values()
        if not any(satisfies(asked, one.backend) for one in together)
        for use in together
    )


def satisfies(asked: str, used: str) -> bool:
    """Whether a backend that the log names is the one that was asked for."""
    asked, used = asked.lower(), used.lower()
    return used == asked or used in _FAMILY.get(asked, ())


def _by_component(text: str) -> list[tuple[str, str]]:
    """`text_encoder=torch_sdpa,transformer=fa`, or the same as a JSON object."""
    if text.lstrip().startswith("{"):
        try:
            return [(str(component), str(backend).lower()) for component, backend in json.loads(text).items()]
        except ValueError:
            return []
    pairs = (pair.partition("=") for pair in text.split(","))
    return [(component.strip(), backend.strip().lower()) for component, equals, backend in pairs if equals]


def _read(said: str) -> list[tuple[str | None, str]]:
    if match := _SUMMARY.match(said):
        # Since 0.5.19 parts may be given by role: `self=fa; cross=torch_sdpa (self-attention override)`.
        parts = re.split(r"[,;]\s*", _IN_BRACKETS.sub("", match[2]))
        names = [part.rpartition("=")[2].strip().lower() for part in parts]
        return [(match[1], name) for name in names if name in _NAMES]
    if (match := _NAMED.match(said)) and match[1].lower() in _NAMES:
        return [(None, match[1].lower())]
    if (match := _FOR_COMPONENT.match(said)) and match[1].lower() in _NAMES:
        return [(match[2], match[1].lower())]
    if match := _TITLED.match(said):
        title = match[1].lower()
        return [(None, _TITLES[title])] if title in _TITLES else []
    return []
