"""Which transformers can be split over how many GPUs.

Tensor parallelism gives each rank its share of the attention heads, Ulysses gives each rank of its group a share of
those, so both must divide them. Ring attention passes keys and values round and splits no head.

Source: `_usp_input_all_to_all` and `_usp_input_all_to_all_varlen` of the engine's layers/usp.py, `all_to_all_4D` of
base_device_communicator.py and `single_all_to_all` of turbo_layer.py ("h_global (12) must be divisible by world_size
(8)"), `divide` and the assertions of models/dits (0.5.17 to 0.5.23). 0.5.17 was run on the CPU with a Wan transformer
of 2 heads: with `--ulysses-degree 4` it loaded and failed in the first denoising step, with `--tp-size 4` it failed
while it loaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_sgdiff.data import Transformer
from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of

_SEQUENCE = ("ulysses-degree", "sp-degree", "ring-degree", "kv-gather-degree")
_REPLICAS = ("dp-size", "data-parallel-size", "dp")
_CFG = ("cfg-parallel-size", "enable-cfg-parallel")
_USUAL = ("num_attention_heads",)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Class:
    """How the engine splits the transformers of a class: the numbers of heads that tensor parallelism must divide, and
    those of which Ulysses divides what each rank has."""

    tensor: tuple[str, ...] = _USUAL
    ulysses: tuple[str, ...] = _USUAL


# The classes of models/dits whose attention is split. Keys and values of grouped-query attention are split as they are,
# before they are repeated. Not here: causal Wan, whose attention is local and whose heads tensor parallelism splits in
# some layouts only.
_CLASSES: Mapping[str, _Class] = {
    **dict.fromkeys(
        (
            *("WanTransformer3DModel", "FluxTransformer2DModel", "Flux2Transformer2DModel"),
            *("QwenImageTransformer2DModel", "HunyuanVideoTransformer3DModel", "HeliosTransformer3DModel"),
            *("GlmImageTransformer2DModel", "Ideogram4Transformer2DModel", "MiniMaxH3DiTModel"),
            *("JoyTransformer3DModel", "JoyImageEditTransformer3DModel", "LongCatImageTransformer2DModel"),
            "LingBotWorldTransformer3DModel",
        ),
        _Class(),
    ),
    # Its attention skips sequence parallelism.
    "ErnieImageTransformer2DModel": _Class(ulysses=()),
    "LTX2VideoTransformer3DModel": _Class(tensor=("num_attention_heads", "audio_num_attention_heads")),
    # The engine reads `num_attention_heads`; with `n_heads` alone it takes its default.
    "ZImageTransformer2DModel": _Class(
        tensor=("num_attention_heads", "n_kv_heads"), ulysses=("num_attention_heads", "n_kv_heads")
    ),
    "Cosmos3OmniTransformer": _Class(
        tensor=("num_attention_heads", "num_key_value_heads"), ulysses=("num_attention_heads", "num_key_value_heads")
    ),
    # The text streams are not split over the sequence.
    "Krea2Transformer2DModel": _Class(tensor=("heads", "kvheads", "txtheads"), ulysses=("heads", "kvheads")),
    # MOVA's, of pictures and of sound.
    **dict.fromkeys(("WanModel", "WanAudioModel"), _Class(tensor=("num_heads",), ulysses=("num_heads",))),
}
# Classes that 0.5.17 cannot spread over a ring. It refuses those with UlyssesAttention, and MiniMax-H3. Those with text
# that every rank has whole it refuses together with Ulysses, and without it attends to the text once for every rank.
_NO_RING = {
    *("ZImageTransformer2DModel", "HunyuanVideoTransformer3DModel", "MiniMaxH3DiTModel"),
    *("JoyTransformer3DModel", "JoyImageEditTransformer3DModel", "Krea2Transformer2DModel", "Cosmos3OmniTransformer"),
}
_SD3, _SANA, _SANA_WM = "SD3Transformer2DModel", "SanaTransformer2DModel", "SanaWMTransformer3DModel"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Public:
    """Models whose ids fit `name`. `guided`: the engine's sampling parameters have a negative prompt and a guidance
    above 1, without which it never chooses CFG parallel by itself."""

    name: str
    kind: str
    heads: tuple[Mapping[str, int], ...]
    guided: bool


def _plain(name: str, kind: str, heads: int, *, guided: bool) -> _Public:
    return _Public(name=name, kind=kind, heads=({"num_attention_heads": heads},), guided=guided)


# Copies keep the names of what they are copies of, and models that are tuned or quantised add to them.
_ANY = r"[\w-][\w.-]*/"
_WAN, _FLUX, _IDEOGRAM = "WanTransformer3DModel", "FluxTransformer2DModel", "Ideogram4Transformer2DModel"
# Numbers of heads: [engine] is the default of the class in the engine's configs/models/dits, [diffusers] that of the
# class in diffusers, or scripts/convert_wan_to_diffusers.py there, [Wan] wan/configs of the Wan repositories. A default
# is here only where the published model is what the class was written for. `guided` was computed with 0.5.17.
_MODELS: Sequence[_Public] = (
    # [diffusers], [Wan]. FastWan and TurboWan, here and below, are distilled from Wan and keep its shape. Others,
    # such as SFWan, are causal.
    _plain(_ANY + r"(?:Fast|Turbo)?Wan2\.1-[\w.-]*1\.3B[\w.-]*", _WAN, 12, guided=True),
    _plain(r"IPostYellow/TurboWan2\.(?:1-T2V-14B(?:-720P)?|2-I2V-A14B)-Diffusers", _WAN, 40, guided=True),
    _plain(r"FastVideo/FastWan2\.2-TI2V-5B-(?:FullAttn-)?Diffusers", _WAN, 24, guided=True),
    _plain(r"Wan-AI/Wan2\.1-(?:T2V-14B|I2V-14B-(?:480|720)P)-Diffusers", _WAN, 40, guided=True),  # [diffusers], [Wan]
    _plain(r"Wan-AI/Wan2\.2-(?:T2V|I2V)-A14B-Diffusers", _WAN, 40, guided=True),  # [engine], [Wan]
    _plain(r"Wan-AI/Wan2\.2-TI2V-5B-Diffusers", _WAN, 24, guided=True),  # [Wan]
    _plain(r"black-forest-labs/FLUX\.1-(?:dev|schnell)", _FLUX, 24, guided=False),  # [engine], [diffusers]
    _plain(r"black-forest-labs/FLUX\.2-dev(?:-NVFP4)?", "Flux2Transformer2DModel", 48, guided=False),  # [diffusers]
    # [engine], [diffusers]; FireRed was trained on the weights of Qwen-Image-Edit.
    _plain(
        r"Qwen/Qwen-Image(?:-2512|-Layered|-Edit(?:-2509|-2511)?)?|FireRedTeam/FireRed-Image-Edit-1\.[01]",
        "QwenImageTransformer2DModel",
        24,
        guided=True,
    ),
    _plain(r"hunyuanvideo-community/HunyuanVideo", "HunyuanVideoTransformer3DModel", 24, guided=False),  # both
    _plain(r"jdopensource/JoyAI-Image-Edit-Diffusers", "JoyImageEditTransformer3DModel", 32, guided=True),  # [engine]
    _plain(_ANY + r"Ideogram-4[\w.-]*", _IDEOGRAM, 18, guided=True),  # [engine]
    _plain(r"fal/ideogram-v4-(?:fast|instant)", _IDEOGRAM, 18, guided=False),  # [engine]
    _plain(r"BestWishYsh/Helios-(?:Base|Mid)", "HeliosTransformer3DModel", 40, guided=True),  # [engine]
    _plain(r"(?:MiniMaxAI|MiniMax)/MiniMax-H3", "MiniMaxH3DiTModel", 56, guided=False),  # [engine]
    _plain(r"baidu/ERNIE-Image(?:-Turbo)?", "ErnieImageTransformer2DModel", 32, guided=True),  # [engine]
    *(
        _Public(
            name=name,
            kind="ZImageTransformer2DModel",
            heads=({"num_attention_heads": 30, "n_kv_heads": 30},),  # [engine]
            guided=guided,
        )
        for name, guided in ((_ANY + r"Z-Image-Turbo[\w.-]*", False), (_ANY + r"Z-Image[\w.-]*", True))
    ),
    _Public(
        name=r"Lightricks/LTX-2(?:\.3)?",
        kind="LTX2VideoTransformer3DModel",
        heads=({"num_attention_heads": 32, "audio_num_attention_heads": 32},),  # [engine], [diffusers]
        guided=True,
    ),
    _Public(
        name=r"nvidia/Cosmos3-Nano",
        kind="Cosmos3OmniTransformer",
        heads=({"num_attention_heads": 32, "num_key_value_heads": 8},),  # [engine], also COSMOS3_NANO_ARCH_SIGNATURE
        guided=True,
    ),
    _Public(
        name=r"krea/Krea-2",
        kind="Krea2Transformer2DModel",
        heads=({"heads": 48, "kvheads": 12, "txtheads": 20},),  # [engine]
        guided=False,
    ),
    _Public(
        name=r"OpenMOSS-Team/MOVA-(?:360|720)p",
        kind="WanModel",
        heads=({"num_heads": 40}, {"num_heads": 12}),  # [engine]: of pictures and of sound
        guided=True,
    ),
    *(
        _Public(name=name, kind=kind, heads=({},), guided=True)
        for name, kind in (
            (r"stabilityai/stable-diffusion-3(?:\.5)?-(?:medium|large)(?:-diffusers)?", _SD3),
            (r"Efficient-Large-Model/S(?:ana|ANA1\.5)_[\w.]+px_diffusers", _SANA),
            (r"Efficient-Large-Model/SANA-WM_(?:bidirectional|streaming)", _SANA_WM),
        )
    ),
)

# No name holds a group, so that the number of the group that fits is that of the model.
_NAMES = "|".join(f"({one.name})" for one in _MODELS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layout:
    """How many ranks share the work: tensor parallelism, Ulysses, and the sequence in all."""

    tensor: int
    ulysses: int
    sequence: int


def attention_heads(view: View) -> Iterator[Finding]:
    """A transformer whose heads cannot be split as the case asks for, or as the engine would by itself."""
    known = [one for one in _transformers(view) if one.kind in _CLASSES]
    layouts = _layouts(view) if known else ()
    for transformer in known:
        found = list(filter(None, (_unsplit(view, transformer, layout) for layout in layouts)))
        # Where the engine has a choice, all that it may choose must fail.
        if found and len(found) == len(layouts):
            yield found[0]
            return


def parallel_unsupported(view: View) -> Iterator[Finding]:
    """Stable Diffusion 3: the pipeline gives each rank a strip of the latents (SpatialImagePipelineConfig), and its
    blocks, those of diffusers, attend within that strip alone. Run with 0.5.17 on the CPU, a tiny model's picture from
    two ranks is 24.5 dB (PSNR) from that of one; of a tiny Qwen-Image, whose attention is split, it is 63 dB. SANA-WM:
    `_validate_parallelism_args` of sana_wm_pipeline.py. Rings: what layers/attention/layer.py and
    models/dits/minimax_h3.py of 0.5.17 do not implement, and 0.5.18 does."""
    kinds = {one.kind for one in _transformers(view)}
    tensor = (view.count("tp-size") or 1) > 1
    if _SD3 in kinds and _sequence_split(view):
        yield Finding(
            _sequence_key(view),
            "Stable Diffusion 3 has no sequence parallelism: each GPU would denoise a strip of the picture by itself, "
            "and the picture would be wrong without an error. Use CFG parallel on 2 GPUs, or set 'gpus' to 1",
        )
    if _SANA_WM in kinds and (tensor or _sequence_split(view)):
        yield Finding(
            view.place("tp-size") if tensor else _sequence_key(view),
            "the engine refuses SANA-WM with tensor or sequence parallelism: use CFG parallel on 2 GPUs, or set 'gpus' "
            "to 1",
        )
    if kinds & _NO_RING and (view.count("ring-degree") or 1) > 1 and view.version[:3] == (0, 5, 17):
        yield Finding(
            view.place("ring-degree"),
            "0.5.17 has no ring attention for this model: set ring-degree to 1, or use 0.5.18 or newer",
        )


def parallel_without_effect(view: View) -> Iterator[Finding]:
    """SD3 and Sana have their weights whole on every rank, but for Sana's projections to queries, keys and values. The
    pipeline of Sana does not split the latents (`shard_latents_for_sp` of its config)."""
    kinds = {one.kind for one in _transformers(view)}
    if kinds & {_SD3, _SANA} and (view.count("tp-size") or 1) > 1:
        yield Finding(
            view.place("tp-size"),
            "tensor parallelism does not split the work of this transformer: every GPU does nearly all of it. Drop "
            "tp-size",
        )
    if _SANA in kinds and _sequence_split(view):
        yield Finding(
            _sequence_key(view),
            "the engine does not split this model's sequence: every GPU does all of the work. Use CFG parallel on 2 "
            "GPUs, or set 'gpus' to 1",
        )


def _transformers(view: View) -> Sequence[Transformer]:
    """The transformers of the case's model as far as they are known: those that were looked up, or a public model's."""
    if view.case.runs_on != "sglang":
        return ()
    if view.transformers is not None:
        return view.transformers
    model = _public(view)
    if model is None:
        return ()
    return [Transformer(kind=model.kind, heads=heads, source=view.case.model) for heads in model.heads]


def _public(view: View) -> _Public | None:
    found = re.fullmatch(_NAMES, view.case.model, re.IGNORECASE)
    return None if found is None or found.lastindex is None else _MODELS[found.lastindex - 1]


def _unsplit(view: View, transformer: Transformer, layout: _Layout) -> Finding | None:
    """What of the transformer cannot be split in this layout; None if nothing is known against it."""
    how, numbers = _CLASSES[transformer.kind], transformer.heads
    # Before 0.5.17 some classes gathered the heads again after each projection.
    sharded = not view.older_than(0, 5, 17)
    for key in how.tensor if sharded else ():
        if key in numbers and numbers[key] % layout.tensor:
            return Finding(
                view.place("tp-size"),
                f"tp-size {layout.tensor} does not divide the {numbers[key]} {_noun(key)} of {transformer.source}, and "
                f"the engine stops while it loads: use {_degrees(numbers[key], max(view.case.gpus, layout.tensor))}",
            )
    # Video sparse attention and SVDQuant leave every rank of tensor parallelism all heads.
    whole = not sharded or view.on("enable-svdquant") or view.word("attention-backend") == "video_sparse_attn"
    for key in how.ulysses:
        share = numbers.get(key, 0) // (1 if whole else layout.tensor)
        if share % layout.ulysses:
            ranks = f" ({share} on each rank of tp-size {layout.tensor})" if share != numbers[key] else ""
            chosen = "" if view.arg("ulysses-degree") is not None else ", which the engine takes by itself,"
            return Finding(
                _sequence_key(view),
                f"a Ulysses degree of {layout.ulysses}{chosen} does not divide the {numbers[key]} {_noun(key)} of "
                f"{transformer.source}{ranks}, and the engine fails at the first request, after it loaded. Set "
                f"ulysses-degree to {_degrees(share, layout.sequence)}, and give the other GPUs to ring-degree or CFG "
                "parallel, or use fewer",
            )
    return None


def _noun(key: str) -> str:
    return "key and value heads" if "kv" in key or "key_value" in key else "attention heads"


def _degrees(heads: int, gpus: int) -> str:
    """The degrees that divide both."""
    *others, last = [str(each) for each in range(1, min(heads, gpus) + 1) if heads % each == 0 and gpus % each == 0]
    return f"{', '.join(others)} or {last}" if others else last


def _sequence_key(view: View) -> str:
    return next((view.place(flag) for flag in first_of(view, _SEQUENCE)), "gpus")


def _sequence_split(view: View) -> bool:
    """Whether ranks share the sequence, whatever the engine chooses."""
    layouts = _layouts(view)
    return bool(layouts) and all(one.sequence > 1 for one in layouts)


def _layouts(view: View) -> Sequence[_Layout]:
    """Every layout that the engine may come to, as `_adjust_parallelism` of its server_args does: one if the case says
    all, none if what it says is no number."""
    flags = ("tp-size", *_SEQUENCE, *_REPLICAS, "cfg-parallel-size")
    if not all(view.count(flag) for flag in first_of(view, flags)):
        return ()
    replicas = next((view.count(flag) for flag in first_of(view, _REPLICAS)), None) or 1
    tensor, gpus = view.count("tp-size") or 1, max(view.case.gpus, 1)
    layouts = []
    for cfg in _cfg_degrees(view, group=tensor * replicas):
        left, over = divmod(gpus, tensor * replicas * cfg)
        layouts.append(_layout(view, tensor=tensor, left=1 if over else left))
    return layouts


def _layout(view: View, *, tensor: int, left: int) -> _Layout:
    """`left`: the GPUs that tensor and CFG parallelism leave."""
    ulysses, sequence, ring, gather = (view.count(flag) for flag in _SEQUENCE)
    sequence = sequence or ((ulysses or 1) * (ring or 1) if ulysses or ring else left)
    if ulysses is None:
        # From 0.5.18 on two ranks gather keys and values instead: no head is split.
        gathered = sequence == 2 and not view.older_than(0, 5, 18)
        ulysses = 1 if ring or gather or gathered else sequence
    return _Layout(tensor=tensor, ulysses=ulysses, sequence=sequence)


def _cfg_degrees(view: View, *, group: int) -> Sequence[int]:
    """The degree of CFG parallelism, or those that the engine chooses between by the model and the version."""
    size = view.count("cfg-parallel-size")
    if size is not None:
        return (size,)
    if any(first_of(view, _CFG)):
        return (2 if view.on("enable-cfg-parallel") else 1,)
    model = _public(view) if view.transformers is None else None
    never = (
        any(first_of(view, _SEQUENCE))
        or view.case.gpus % (2 * group) > 0
        or view.word("performance-mode") == "manual"
        or view.older_than(0, 5, 11)
        or (model is not None and not model.guided)
    )
    return (1,) if never else (1, 2)


RULES = (
    Rule(slug="attention-heads", level="error", check=attention_heads),
    Rule(slug="parallel-unsupported", level="error", check=parallel_unsupported),
    Rule(slug="parallel-without-effect", level="warning", check=parallel_without_effect),
)
