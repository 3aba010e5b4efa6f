"""What single model families need."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_sgdiff.lint.offload import offload_flag
from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of

_SHAPE = "stage:Hunyuan3DShapeDenoisingStage"
_DEVICE_MODE = "ltx2-two-stage-device-mode"
_DEVICE_MODE_ENV = "SGLANG_LTX2_TWO_STAGE_DEVICE_MODE"
_GUARDRAILS = "SGLANG_DISABLE_COSMOS3_GUARDRAILS"
_GATED = ("black-forest-labs/FLUX.", "stabilityai/stable-diffusion-3")
# TI2V takes text alone, too.
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


def _two_stage_flag(view: View) -> str | None:
    """The flag that names a pipeline which has device modes; None if none does."""
    flag = next(first_of(view, ("pipeline-class-name", "pipeline")), "")
    two_stage = view.word(flag).startswith("ltx2twostage") and view.case.gpus > 0 and not view.older_than(0, 5, 11)
    chosen = view.model_has("LTX-2.3") or (
        # The older model has the modes from 0.5.23 on; 2.5 refines with a transformer of its own and has none.
        view.model_has("LTX-2") and not view.model_has("LTX-2.5") and view.version >= (0, 5, 23)
    )
    return flag if two_stage and chosen else None


def device_mode_not_pinned(view: View) -> Iterator[Finding]:
    flag = _two_stage_flag(view)
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
    if mode == "resident" and offload is not None and view.version >= (0, 5, 18) and _two_stage_flag(view):
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
    if view.model_has("Wan2.2-I2V-A14B") and (output.width or output.height):
        yield Finding(
            "expect.output",
            "width and height are this model's area to fill, the output keeps the proportions of the image: "
            "expect only frames",
        )


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
)
