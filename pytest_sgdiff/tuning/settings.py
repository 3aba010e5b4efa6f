"""The settings that are known, by axis, with who recommends them and what they claim.

Sources: SGLang's performance guide (its tables of lossless and lossy options, recipes and model table), and the engine's
own arguments and checks (server_args, auto_tune, attention backends, Cache-DiT and TeaCache; 0.5.8 to 0.5.23). What a
version of the engine lacks is not left out here: `pytest_sgdiff.tuning.space` asks the table of flags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.data.tuning import Axis, Setting
from pytest_sgdiff.engines.flags.lookup import EngineFlags, given
from pytest_sgdiff.lint.models import two_stage_flag
from pytest_sgdiff.lint.offload import CACHE_DIT, CACHE_DIT_FLAG
from pytest_sgdiff.lint.protocol import View
from pytest_sgdiff.tuning.topologies import topologies

Role = Literal["main", "side", "rare"]
"""How a setting is tried. main: alone, and together with the main settings of other axes; side: alone; rare: alone, and
only where its axis was asked for by name."""

GUIDE = "performance guide"


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """A setting, and how it is tried."""

    setting: Setting
    role: Role = "main"


@dataclass(frozen=True, kw_only=True, slots=True)
class Ground:
    """What settings are chosen for: the case as it is written, the GPUs that a launch may have, the engine (None if
    nobody knows which it will be), and the quantised transformers that the user has."""

    case: Case
    gpus: int
    engine: EngineFlags | None = None
    products: tuple[str, ...] = ()
    transformers: tuple[str, ...] = ()

    @property
    def view(self) -> View:
        """The case as rules of advice see it."""
        version = () if self.engine is None else self.engine.version.numbers
        return View(case=self.case, version=version, engine=self.engine, products=self.products)

    @property
    def native(self) -> bool:
        """Whether the case runs on the native backend."""
        return self.case.runs_on == "sglang"


def _topology(ground: Ground) -> Sequence[Choice]:
    # The diffusers backend runs on one GPU, whatever the degrees say.
    found = topologies(ground.gpus, ground.case.gpus) if ground.native else ()
    return [Choice(setting=setting, role=role) for setting, role in found]


# ---- compilation


def _compile(ground: Ground) -> Sequence[Choice]:
    row = f"{GUIDE}, lossless options, torch.compile"
    others: dict[str, ArgValue | None] = {"regional-compile": None, "enable-breakable-cuda-graph": None}
    args: dict[str, ArgValue | None] = {**others, "enable-torch-compile": True}
    if _two_experts(ground.case):
        # A warmup of one step compiles the first transformer alone.
        args["warmup-steps"] = max(4, _whole(given(ground.case, "warmup-steps")))
    compiled = Setting(axis="compile", name="compile", args=args, source=f"{row}: 1.2 to 1.5 times as fast in denoising")
    eager = Setting(
        axis="compile", name="eager", args={**others, "enable-torch-compile": False}, source=f"{row}, left out"
    )
    found = [Choice(setting=compiled), Choice(setting=eager)]
    if ground.native:
        regional = Setting(
            axis="compile",
            name="compile-regional",
            args={**args, "regional-compile": True},
            source="engine flag regional-compile: compiles repeated blocks instead of the whole transformer",
        )
        graphs = Setting(
            axis="compile",
            name="cuda-graphs",
            args={**others, "enable-torch-compile": False, "enable-breakable-cuda-graph": True},
            source="engine flag enable-breakable-cuda-graph: fewer kernel launches, for servers and some models",
        )
        found += [Choice(setting=regional, role="side"), Choice(setting=graphs, role="rare")]
    return found


def _two_experts(case: Case) -> bool:
    return re.search(r"Wan2\.2-(?:T2V|I2V)-A14B", case.model, re.IGNORECASE) is not None and case.warmup == "request"


# ---- where weights are kept

_DECIDES_OFFLOAD = (
    *("dit-layerwise-offload", "dit-cpu-offload", "use-fsdp-inference", "dit-offload-prefetch-size"),
    *("layerwise-offload-components", "layerwise-offload-modules", "component-residency", "cpu-offload-components"),
    *("dit-layerwise-resident-layers", "dit-layerwise-residency-policy", "dit-layerwise-residency-lifetime"),
)
_ENCODERS = ("text-encoder-cpu-offload", "image-encoder-cpu-offload", "vae-cpu-offload")


def _kept(name: str, source: str, *, encoders: bool | None = None, **dit: ArgValue) -> Setting:
    """A setting that decides everything about the transformer, and where `encoders` says so, about the encoders and the
    VAE: True has them offloaded, None leaves them as they are."""
    args: dict[str, ArgValue | None] = dict.fromkeys(_DECIDES_OFFLOAD)
    args |= {"dit-layerwise-offload": False, "dit-cpu-offload": False}
    args |= {flag.replace("_", "-"): value for flag, value in dit.items()}
    if encoders is not None:
        args |= dict.fromkeys(_ENCODERS, encoders)
    return Setting(axis="offload", name=name, args=args, source=source)


_LAYERWISE = f"{GUIDE}, lossless options, layerwise offload"
_PREFETCH = f"{GUIDE}, lossless options, offload prefetch size"
_COMPONENTS = f"{GUIDE}, lossless options, CPU offload of components: less memory, and transfers when one is needed"

RESIDENT = _kept(
    "resident",
    f'{GUIDE}, recipe "Maximum speed, image model": everything stays on the GPU where memory allows',
    encoders=False,
)
_OFFLOAD: tuple[Choice, ...] = (
    Choice(setting=RESIDENT),
    Choice(
        setting=_kept(
            "fsdp",
            f"{GUIDE}, lossless options, FSDP: less memory on each GPU, more overhead than sequence parallelism",
            use_fsdp_inference=True,
        )
    ),
    Choice(
        setting=_kept("layerwise", f"{_LAYERWISE}: near no cost for some video models", dit_layerwise_offload=True),
    ),
    Choice(
        setting=_kept("dit-resident", f"{_COMPONENTS}; the transformer stays", encoders=True),
        role="side",
    ),
    Choice(
        setting=_kept(
            "layerwise-p0.1",
            f"{_PREFETCH}: 0.05 to 0.1 is where to start",
            dit_layerwise_offload=True,
            dit_offload_prefetch_size=0.1,
        ),
        role="side",
    ),
    Choice(
        setting=_kept(
            "layerwise-p0.05",
            f"{_PREFETCH}: 0.05 to 0.1 is where to start",
            dit_layerwise_offload=True,
            dit_offload_prefetch_size=0.05,
        ),
        role="side",
    ),
    Choice(
        setting=_kept(
            "layerwise-p2",
            "engine, automatic choice for Wan2.2 A14B (auto_tune): two layers ahead were fastest in its sweep",
            dit_layerwise_offload=True,
            dit_offload_prefetch_size=2,
        ),
        role="side",
    ),
    Choice(
        setting=_kept(
            "layerwise-half",
            "engine flag dit-layerwise-resident-layers: half of the layers stay on the GPU",
            dit_layerwise_offload=True,
            dit_layerwise_resident_layers=0.5,
        ),
        role="side",
    ),
    Choice(
        setting=_kept(
            "low-vram",
            f'{GUIDE}, recipe "Low VRAM, decent speed (single GPU)"',
            encoders=True,
            dit_layerwise_offload=True,
            dit_offload_prefetch_size=0.1,
        ),
        role="side",
    ),
    Choice(setting=_kept("cpu-offload", _COMPONENTS, encoders=True, dit_cpu_offload=True), role="side"),
    Choice(
        setting=_kept(
            "layerwise-p0.5",
            f"{_PREFETCH}: from 0.5 on as much memory as without offload, and slower",
            dit_layerwise_offload=True,
            dit_offload_prefetch_size=0.5,
        ),
        role="rare",
    ),
    Choice(setting=_kept("dit-cpu", _COMPONENTS, dit_cpu_offload=True), role="rare"),
)
ENCODER_CPU = Setting(
    axis="offload",
    name="encoder-cpu",
    args={"text-encoder-cpu-offload": True, "pin-cpu-memory": True},
    source=f"{GUIDE}, model table, rows Wan2.2 A14B and HunyuanVideo",
)


def _offload(ground: Ground) -> Sequence[Choice]:
    if ground.gpus == 0:
        return ()
    if not ground.native:
        # Of these flags the diffusers backend reads those of whole components.
        return [one for one in _OFFLOAD if one.setting.name in ("resident", "cpu-offload")]
    first, *rest = _OFFLOAD
    return [first, Choice(setting=ENCODER_CPU, role="side"), *rest]


# ---- attention

_LOSSLESS = f"{GUIDE}, lossless options, attention backend"
_LOSSY = f"{GUIDE}, lossy options, approximate attention"
_SPARSE = f"{_LOSSY}: 1.5 to 2 times as fast in attention, a pattern for video models"
_VIDEO = r"Wan|HunyuanVideo|LTX|MOVA|Cosmos|Helios|LingBot|video"
# Name, backend, lossy, role, models, source. The models are those whose transformers the engine gives the backend to.
_ATTENTION: tuple[tuple[str, str, bool, Role, str, str], ...] = (
    ("fa", "fa", False, "side", "", f"{_LOSSLESS}: FlashAttention is usually faster on long sequences"),
    ("sdpa", "torch_sdpa", False, "side", "", _LOSSLESS),
    ("cudnn-sdpa", "torch_cudnn_sdpa", False, "side", "", "engine, attention backends: PyTorch's by cuDNN, exact"),
    ("sage", "sage_attn", True, "main", "", f"{_LOSSY}: 1.5 to 2 times as fast in attention; the most general one"),
    ("sage3", "sage_attn_3", True, "side", "", f"{_LOSSY}: 1.5 to 2 times as fast in attention; for Blackwell"),
    ("video-sparse", "video_sparse_attn", True, "side", r"FastWan|Wan2", _SPARSE),
    ("sage-sla", "sage_sla_attn", True, "side", r"TurboWan", _SPARSE),
    ("sla", "sla_attn", True, "side", r"TurboWan", _SPARSE),
    ("sparse-gen2", "sparse_video_gen_2_attn", True, "rare", _VIDEO, _SPARSE),
    ("moba", "vmoba_attn", True, "rare", _VIDEO, _SPARSE),
    ("sliding-tile", "sliding_tile_attn", True, "rare", _VIDEO, f"{_SPARSE}; reads a mask from a file"),
)
_OF_DIFFUSERS: tuple[tuple[str, str, bool], ...] = (
    ("native", "native", False),
    ("cudnn", "_native_cudnn", False),
    ("flash", "flash", False),
    ("sage", "sage", True),
)


def _attention(ground: Ground) -> Sequence[Choice]:
    # On the CPU the engine has one.
    if ground.gpus == 0:
        return ()
    if not ground.native:
        source = "diffusers, attention backends that the engine passes on"
        return [
            Choice(setting=_attends(ground, name, backend, source, lossy=lossy), role="side")
            for name, backend, lossy in _OF_DIFFUSERS
        ]
    return [
        Choice(setting=_attends(ground, name, backend, source, lossy=lossy), role=role)
        for name, backend, lossy, role, models, source in _ATTENTION
        if re.search(models, ground.case.model, re.IGNORECASE)
    ]


def _attends(ground: Ground, name: str, backend: str, source: str, *, lossy: bool) -> Setting:
    """The backend for the whole model: a choice of the case for its transformers would go before it."""
    before = ("attention-backend-override", "diffusers-attention-backend", "component-attention-backends")
    args: dict[str, ArgValue | None] = {
        flag: None
        for flag in ground.case.args
        if flag.startswith("component-attention-backends.transformer") or flag in before
    }
    if given(ground.case, "attention-backend") != backend:
        # What configures another backend is nothing to this one.
        args["attention-backend-config"] = None
        args["mask-strategy-file-path"] = None
    args["attention-backend"] = backend
    return Setting(axis="attention", name=name, args=args, lossy=lossy, source=source)


# ---- caches between steps

_CACHE_DIT = f"{GUIDE}, lossy options, Cache-DiT: 1.5 to 2 times as fast on supported models"
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
# Transformers that read it; all others pass over it in silence.
_TEACACHE = re.compile(r"Wan|HunyuanVideo|lingbot", re.IGNORECASE)


def _cache(ground: Ground) -> Sequence[Choice]:
    if not ground.native:
        return ()
    by_flag = (
        ground.engine is not None
        and ground.engine.kind_of(CACHE_DIT_FLAG) is not None
        # A server's parameters of a request are the endpoint's, and a case that has variables keeps them.
        and not ground.case.serves
        and not any(name in ground.case.env for name in _VARIABLES)
    )
    found = []
    for name, role, variables, params, source in _CACHES:
        args: dict[str, ArgValue | None] = {CACHE_DIT_FLAG: None, "cache-dit-params": None, "enable-teacache": None}
        env: dict[str, str | None] = dict.fromkeys(_VARIABLES)
        if by_flag:
            args |= {CACHE_DIT_FLAG: True, "cache-dit-params": json.dumps(dict(params)) if params else None}
        else:
            env |= {CACHE_DIT: "true"} | {f"SGLANG_CACHE_DIT_{knob}": text for knob, text in variables.items()}
        setting = Setting(axis="cache", name=name, args=args, env=env, lossy=True, source=source)
        found.append(Choice(setting=setting, role=role))
    if _TEACACHE.search(ground.case.model):
        off: dict[str, ArgValue | None] = {CACHE_DIT_FLAG: None, "cache-dit-params": None}
        setting = Setting(
            axis="cache",
            name="teacache",
            args={**off, "enable-teacache": True},
            env=dict.fromkeys(_VARIABLES),
            lossy=True,
            source="engine flag enable-teacache: skips steps that change little",
        )
        found.append(Choice(setting=setting, role="side"))
    return found


# ---- precision, and quantised transformers

_PRECISION = f"{GUIDE}, lossy options, component precision"


def _precision(ground: Ground) -> Sequence[Choice]:
    found = [
        Choice(setting=_precise("dit-fp16", f"{_PRECISION}: can be faster on some GPUs", "dit-precision", "fp16"), role="side"),
        Choice(setting=_precise("vae-bf16", f"{_PRECISION}: less memory", "vae-precision", "bf16"), role="side"),
        Choice(setting=_precise("vae-fp16", f"{_PRECISION}: less memory", "vae-precision", "fp16"), role="rare"),
    ]
    # Processors without units for half precision compute it by single precision.
    role: Role = "side" if ground.gpus == 0 else "rare"
    found.append(
        Choice(setting=_precise("dit-fp32", f"{_PRECISION}, the other way", "dit-precision", "fp32"), role=role)
    )
    if ground.native:
        high = _precise("quality-high", "engine flag quality: faster paths that move more than rounding", "quality", "high")
        found.append(Choice(setting=high, role="rare"))
    return found


def _precise(name: str, source: str, flag: str, value: str) -> Setting:
    return Setting(axis="precision", name=name, args={flag: value}, lossy=True, source=source)


_REPLACES: Mapping[str, ArgValue | None] = dict.fromkeys(
    (
        *("transformer-path", "transformer-2-path", "transformer-weights-path", "component-paths.transformer"),
        *("component-weights-paths.transformer", "enable-svdquant", "quantization", "quantization-precision"),
        *("quantization-rank", "quantized-model-path"),
    )
)
_WEIGHTS = re.compile(r"\.(?:safetensors|gguf|bin|pt|pth)$", re.IGNORECASE)
_SVDQUANT = re.compile(r"svdq|nunchaku", re.IGNORECASE)


def _quantised(ground: Ground) -> Sequence[Choice]:
    if not ground.native:
        return ()
    found: list[Choice] = []
    names: set[str] = set()
    for text in ground.transformers:
        setting = _transformer(text, taken=names)
        names.add(setting.name)
        found.append(Choice(setting=setting))
    if ground.gpus:
        online = Setting(
            axis="quantised",
            name="fp8-online",
            args={**_REPLACES, "quantization": "fp8"},
            lossy=True,
            source="engine flag quantization: FP8 of a BF16 checkpoint, made while it is loaded",
        )
        found.append(Choice(setting=online, role="side"))
    return found


def _transformer(text: str, *, taken: set[str]) -> Setting:
    """The setting of a transformer that the user gives: a folder, a repository or a file of weights. Two with a comma
    between them are those of a model with two."""
    path, _, second = (part.strip() for part in text.partition(","))
    args: dict[str, ArgValue | None] = dict(_REPLACES)
    if _SVDQUANT.search(path):
        row = "quantised models: 1.5 to 2 times as fast, a quarter of the transformer's memory"
        args |= {"enable-svdquant": True, "transformer-weights-path": path}
    else:
        row = "pre-quantised transformer: 1.3 to 1.5 times as fast in compute"
        args["transformer-weights-path" if _WEIGHTS.search(path) else "transformer-path"] = path
    if second:
        args["transformer-2-path"] = second
    return Setting(
        axis="quantised", name=_free(_slug(path), taken), args=args, lossy=True, source=f"{GUIDE}, lossy options, {row}"
    )


def _slug(path: str) -> str:
    """A name after the last part of a path: letters, digits, `_`, `.` and `-`, at most 40 of them."""
    last = path.rstrip("/").rpartition("/")[2]
    word = re.sub(r"[^A-Za-z0-9_.-]+", "-", _WEIGHTS.sub("", last)).strip("-.")[:40]
    return word if re.match(r"[A-Za-z0-9_]", word) else "transformer"


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


# ---- LTX-2's two stages


def _device_mode(ground: Ground) -> Sequence[Choice]:
    if two_stage_flag(ground.view) is None:
        return ()
    row = f'{GUIDE}, model table, row "LTX-2 / LTX-2.3"'
    said: Sequence[tuple[str, str]] = (
        ("original", f"{row}: one stage's transformer on the GPU at a time"),
        ("snapshot", f"{row}: the default of older engines"),
        ("resident", f"{row}: fastest, with more memory"),
    )
    return [
        Choice(
            setting=Setting(
                axis="device-mode",
                name=f"stages-{mode}",
                args={"ltx2-two-stage-device-mode": mode},
                env={"SGLANG_LTX2_TWO_STAGE_DEVICE_MODE": None},
                source=source,
            ),
            role="side" if mode == "snapshot" else "main",
        )
        for mode, source in said
    ]


def _whole(value: ArgValue | None) -> int:
    return value if isinstance(value, int) else 0


_BY_AXIS: Mapping[Axis, Callable[[Ground], Sequence[Choice]]] = {
    "topology": _topology,
    "compile": _compile,
    "offload": _offload,
    "attention": _attention,
    "cache": _cache,
    "precision": _precision,
    "quantised": _quantised,
    "device-mode": _device_mode,
}
AXES: tuple[Axis, ...] = tuple(_BY_AXIS)
"""All axes, in the order in which names of variants have them."""


def choices(axis: Axis, ground: Ground) -> tuple[Choice, ...]:
    """The settings of an axis for a case, the likeliest first; empty where the axis has none for it."""
    return tuple(_BY_AXIS[axis](ground))
