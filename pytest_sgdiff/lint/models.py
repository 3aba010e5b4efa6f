"""What single model families need."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from pytest_sgdiff.lint.offload import offload_flag
from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of

_SHAPE = "stage:Hunyuan3DShapeDenoisingStage"
_DEVICE_MODE = "ltx2-two-stage-device-mode"
_DEVICE_MODE_ENV = "SGLANG_LTX2_TWO_STAGE_DEVICE_MODE"
_GUARDRAILS = "SGLANG_DISABLE_COSMOS3_GUARDRAILS"
_GATED = ("black-forest-labs/FLUX.", "stabilityai/stable-diffusion-3")
# TI2V takes text alone, too.
# Wherever one of these stands in a model's path, in any case, the engine takes the model for that pipeline's, whatever
# its model_index.json says (`get_non_diffusers_pipeline_name` of its registry); with the release that brought it.
_HIJACKED = {"hunyuan3d": ("Hunyuan3D2Pipeline", 10), "pi05": ("Pi05Pipeline", 16), "pi0.5": ("Pi05Pipeline", 16)}
_FAMILIES = re.compile(
    r"wan2|ltx|flux|qwen|firered|z-image|stable-diffusion|sana|hunyuanvideo|hunyuanimage|cosmos|glm-image|ernie-image"
    r"|helios|mova|ideogram|joyai|krea|lingbot|longlive|minimax",
    re.IGNORECASE,
)
# Pipelines whose settings the engine finds by the last part of the model's path alone: their class is no sign to its
# registry (`_get_config_info`). Of a folder that holds none of these it knows nothing, and falls back to diffusers.
_BY_NAME = {
    "QwenImagePipeline": ("qwen-image",),
    "QwenImageEditPipeline": ("qwen-image-edit",),
    "QwenImageEditPlusPipeline": ("qwen-image-edit-25", "firered-image-edit-"),
    "QwenImageLayeredPipeline": ("qwen-image-layered",),
    "FluxPipeline": ("flux.1",),
    "ZImagePipeline": ("z-image",),
    "StableDiffusion3Pipeline": ("stable-diffusion-3",),
    "ErnieImagePipeline": ("ernie-image",),
    "GlmImagePipeline": ("glm-image",),
    "LTX2Pipeline": ("ltx-2",),
}
# Of these the class is known, and stands for the smallest model of the family: 2.1 T2V 1.3B and 2.1 I2V 480P.
_WAN = {"WanPipeline": ("wan2",), "WanImageToVideoPipeline": ("wan2",)}
# A local folder of exactly this name is taken for the publisher's own layout, for which the engine fetches an overlay
# (`resolve_model_overlay_target` of runtime/utils/model_overlay.py).
_OVERLAID = ("LTX-2.3", "JoyAI-Echo", "SANA-WM_bidirectional", "SANA-WM_streaming")
_OFFLINE = "HF_HUB_OFFLINE"
_TI2V = re.compile(r"wan[\w.]*-ti2v", re.IGNORECASE)
_I2V = re.compile(r"wan[\w.]*-i2v", re.IGNORECASE)
_TI2V_PIXELS = 704 * 1280
_NEEDS_IMAGE = re.compile(r"Image-Edit|(?<![A-Za-z])I2V|Hunyuan3D|Image2Video", re.IGNORECASE)


def ideogram_steps(view: View) -> Iterator[Finding]:
    if view.model_has("ideogram"):
        for flag in first_of(view, ("num-inference-steps", "guidance-scale")):
            yield Finding(
                view.place(flag),
                f"Ideogram reads {flag} from its preset and rejects other values: drop it, or set preset",
            )


def hunyuan3d_primary(view: View) -> Iterator[Finding]:
    if view.model_has("Hunyuan3D") and view.case.metrics.primary != _SHAPE:
        yield Finding(
            "metrics.primary",
            f"mesh export and paint take most of the time of Hunyuan3D and hide its denoising: set primary to {_SHAPE}",
        )


def two_stage_flag(view: View) -> str | None:
    """The flag that names a pipeline which has device modes; None if none does."""
    flag = next(first_of(view, ("pipeline-class-name", "pipeline")), "")
    two_stage = view.word(flag).startswith("ltx2twostage") and view.case.gpus > 0 and not view.older_than(0, 5, 11)
    chosen = view.model_has("LTX-2.3") or (
        # The older model has the modes from 0.5.23 on; 2.5 refines with a transformer of its own and has none.
        view.model_has("LTX-2") and not view.model_has("LTX-2.5") and view.version >= (0, 5, 23)
    )
    return flag if two_stage and chosen else None


def device_mode_not_pinned(view: View) -> Iterator[Finding]:
    flag = two_stage_flag(view)
    if flag is not None and view.arg(_DEVICE_MODE) is None and not view.case.env.get(_DEVICE_MODE_ENV):
        yield Finding(
            view.place(flag),
            "the engine keeps both stages on the GPU or not by its version and the GPU's memory, and times differ: "
            f"pin {_DEVICE_MODE} (original; resident from about 130 GiB on)",
        )


def resident_with_offload(view: View) -> Iterator[Finding]:
    by_flag = view.arg(_DEVICE_MODE) is not None
    mode = view.word(_DEVICE_MODE) if by_flag else view.case.env.get(_DEVICE_MODE_ENV, "").lower()
    offload = offload_flag(view)
    # `_adjust_ltx2_two_stage_device_mode` of the engine's server_args, from 0.5.18 on.
    if mode == "resident" and offload is not None and view.version >= (0, 5, 18) and two_stage_flag(view):
        yield Finding(
            view.place(_DEVICE_MODE) if by_flag else f"env.{_DEVICE_MODE_ENV}",
            f"from 0.5.18 on the engine refuses device mode resident together with {offload}: "
            "keep one of the two, or set the mode to original",
        )


def cosmos3_guardrails(view: View) -> Iterator[Finding]:
    if view.model_has("Cosmos3") and not view.env_on(_GUARDRAILS):
        yield Finding("env", f'the guardrail models of Cosmos3 would be measured too: set {_GUARDRAILS}: "1"')


def gated_without_token(view: View) -> Iterator[Finding]:
    if view.model_has(*_GATED) and not view.case.requires.token:
        yield Finding(
            "model",
            "this model is gated: add 'requires: {token: true}', so that a missing HF_TOKEN is reported at once",
        )


def no_input_image(view: View) -> Iterator[Finding]:
    if _NEEDS_IMAGE.search(view.case.model) and view.key_of("image-path") is None:
        yield Finding("assets", "this model needs an image: name one under 'assets' as image-path")


def input_not_in_assets(view: View) -> Iterator[Finding]:
    for flag in first_of(view, ("image-path", "video-path", "audio-path", "mask-path")):
        yield Finding(
            view.place(flag),
            f"a file given as an argument may change unnoticed: name it under 'assets', where its hash is part of the "
            f"workload ({flag}: cat.png)",
        )


def i2v_keeps_proportions(view: View) -> Iterator[Finding]:
    output = view.case.expect.output
    name = _last_part(view.case.model)
    if _I2V.search(name) and (output.width or output.height):
        yield Finding(
            "expect.output",
            "width and height are this model's area to fill, the output keeps the proportions of the image: "
            "expect only frames",
        )
    pixels = (output.width or 0) * (output.height or 0)
    if _TI2V.search(name) and view.key_of("image-path") and pixels and not 0.9 * _TI2V_PIXELS < pixels <= _TI2V_PIXELS:
        yield Finding(
            "expect.output",
            "with an image this model draws some 704x1280 pixels in the proportions of the image, whatever width and "
            "height say: expect the real size, or only frames",
        )


def model_hijacked(view: View) -> Iterator[Finding]:
    path, name = view.case.model.lower(), _last_part(view.case.model)
    for word, (pipeline, release) in _HIJACKED.items():
        if word not in path or word in name.lower() or view.older_than(0, 5, release):
            continue
        expected = view.case.expect.pipeline
        if expected != pipeline and (expected or _FAMILIES.search(name)):
            yield Finding(
                "model",
                f"the engine takes every model with {word!r} in its path for one of {pipeline}, and would not load "
                f"{name}: rename that folder, or link to the model from another one",
            )


def model_not_recognised(view: View) -> Iterator[Finding]:
    yield from _known_by_name(
        view, _BY_NAME, "which it does not hold: it falls back to diffusers. Rename the folder, or give"
    )


def model_settings_by_name(view: View) -> Iterator[Finding]:
    yield from _known_by_name(
        view, _WAN, "which it does not hold: it takes those of the smallest model. Rename the folder, or give"
    )


def _known_by_name(view: View, pipelines: Mapping[str, tuple[str, ...]], otherwise: str) -> Iterator[Finding]:
    words = pipelines.get(view.case.expect.pipeline or "", ())
    path, name = view.case.model.lower(), _last_part(view.case.model).lower()
    native = view.case.runs_on == "sglang" and view.arg("model-id") is None
    # A snapshot in the cache of Hugging Face is known by the name of its repository.
    if words and native and "models--" not in path and not any(word in name for word in words):
        yield Finding(
            "model",
            f"the engine finds the settings of this model by the last part of its path, {' or '.join(words)}, "
            f"{otherwise} model-id",
        )


def model_overlay(view: View) -> Iterator[Finding]:
    name = _last_part(view.case.model)
    local = view.case.model.startswith(("/", "./", "../", "~"))
    if local and name in _OVERLAID and view.env_on(_OFFLINE):
        yield Finding(
            "model",
            f"the engine takes a folder named {name} for its publisher's own layout and fetches an overlay from "
            f"Hugging Face, which {_OFFLINE} forbids: give the folder a longer name, such as {name}-diffusers",
        )


def _last_part(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2]


RULES = (
    Rule(slug="ideogram-steps", level="error", check=ideogram_steps),
    Rule(slug="hunyuan3d-primary", level="warning", check=hunyuan3d_primary),
    Rule(slug="device-mode-not-pinned", level="warning", check=device_mode_not_pinned),
    Rule(slug="resident-with-offload", level="error", check=resident_with_offload),
    Rule(slug="cosmos3-guardrails", level="warning", check=cosmos3_guardrails),
    Rule(slug="gated-without-token", level="warning", check=gated_without_token),
    Rule(slug="no-input-image", level="error", check=no_input_image),
    Rule(slug="input-not-in-assets", level="warning", check=input_not_in_assets),
    Rule(slug="i2v-keeps-proportions", level="warning", check=i2v_keeps_proportions),
    Rule(slug="model-hijacked", level="error", check=model_hijacked),
    Rule(slug="model-not-recognised", level="error", check=model_not_recognised),
    Rule(slug="model-settings-by-name", level="warning", check=model_settings_by_name),
    Rule(slug="model-overlay", level="error", check=model_overlay),
)
