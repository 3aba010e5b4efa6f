"""The parameters of requests, as data: which flags of `sglang generate` they are, and what each endpoint calls them.

Taken from the published releases 0.5.17 to 0.5.23: the flags that `SamplingParams.add_cli_args` adds are parameters of
a request, all others are the server's. The fields are those of openai/protocol.py, of the forms of openai/image_api.py
and mesh_api.py, and the extras that these read. An endpoint takes any field that it does not know, and drops it: what
is not in this table is never sent. A release is written as the N of 0.5.N.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pytest_sgdiff.data import ServedTask

OLDEST_SERVED = 17
"""The first release whose servers are known."""

_SAMPLING = (
    "1080p 2k 4k 720p action action-fps action-mode adjust-frames attention-backend-override auto-duration "
    "auto-duration-max-seconds auto-duration-min-seconds bot-task boundary-ratio cache-dit-params cfg-gate-step "
    "cfg-normalization cfg-renorm-min data-type debug diffusers-kwargs domain-id domain-name enable-cache-dit "
    "enable-cfg-renorm enable-frame-interpolation enable-prompt-rewrite enable-sequence-shard enable-spectrum "
    "enable-teacache enable-upscaling flex-window flex_window fps frame-interpolation-exp "
    "frame-interpolation-model-path frame-interpolation-scale generator-device guidance-rescale guidance-scale "
    "guidance-scale-2 height history-size history_size image-path image-paths max-sequence-length negative-prompt "
    "no-override-protected-fields no-save-output num-frames num-frames-round-down num-inference-steps num-outputs "
    "num-outputs-per-prompt num-profiled-timesteps output-compression output-file-name output-quality "
    "pitch-limit-deg pitch_limit_deg profile profile-all-stages progressive-delta progressive-levels "
    "progressive-mode prompt prompt-path quality raw-action-dim return-file-paths-only return-frames "
    "return-trajectory-decoded return-trajectory-latents rotation-speed-deg rotation_speed_deg save-output seed "
    "sound-duration spectrum-flex-window spectrum-lam spectrum-m spectrum-tau-num-steps spectrum-warmup-steps "
    "spectrum-window-size spectrum_flex_window spectrum_lam spectrum_m spectrum_tau_num_steps "
    "spectrum_warmup_steps spectrum_window_size sr-num-steps sr-resolution-scale sr-target-resize-mode "
    "sr-target-resolution sr-tile-min-overlap sr-tiles-batch-size system-prompt task-type taylor-order "
    "taylor_order translation-speed translation_speed true-cfg-scale upscaling-model-path upscaling-scale "
    "use-diffusion-decoder video-path w width window-size window_size x264-preset"
)
SAMPLING = frozenset(_SAMPLING.split())
"""Flags that are parameters of a request, of whatever model."""

_COMMON = (
    "prompt seed generator-device negative-prompt guidance-scale true-cfg-scale num-inference-steps output-quality "
    "output-compression enable-teacache enable-upscaling upscaling-model-path upscaling-scale"
)

# Task -> since which release -> its flags.
_FIELDS: Mapping[ServedTask, Mapping[int, str]] = {
    "image": {
        17: f"{_COMMON} width height num-outputs num-outputs-per-prompt flow-shift max-sequence-length "
        "diffusers-kwargs progressive-mode progressive-levels progressive-delta",
        18: "quality",
        19: "enable-cache-dit cache-dit-params cfg-gate-step attention-backend-override enable-cfg-renorm "
        "cfg-renorm-min enable-prompt-rewrite",
        21: "task-type",
        22: "profile num-profiled-timesteps profile-all-stages",
    },
    "edit": {
        17: f"{_COMMON} width height num-outputs num-outputs-per-prompt num-frames image-path image-paths",
        18: "quality",
        21: "task-type",
        22: "profile num-profiled-timesteps profile-all-stages",
        23: "enable-cache-dit cache-dit-params",
    },
    "video": {
        17: f"{_COMMON} width height num-outputs num-outputs-per-prompt fps num-frames guidance-scale-2 flow-shift "
        "max-sequence-length diffusers-kwargs enable-frame-interpolation frame-interpolation-exp "
        "frame-interpolation-scale frame-interpolation-model-path profile num-profiled-timesteps profile-all-stages "
        "image-path image-paths video-path",
        18: "quality",
        19: "enable-cache-dit cache-dit-params cfg-gate-step attention-backend-override auto-duration "
        "auto-duration-max-seconds auto-duration-min-seconds sound-duration use-diffusion-decoder action action-mode "
        "action-fps domain-id domain-name raw-action-dim",
        21: "task-type",
        22: "x264-preset sr-resolution-scale sr-target-resize-mode sr-target-resolution sr-tile-min-overlap "
        "sr-tiles-batch-size",
    },
    "mesh": {
        17: "prompt seed generator-device guidance-scale num-inference-steps negative-prompt image-path image-paths",
    },
}

RENAMED: Mapping[str, str] = {"num-outputs": "n", "num-outputs-per-prompt": "n"}
"""Fields whose name is not that of the flag with underscores."""

JSON_VALUED = frozenset({"diffusers-kwargs", "cache-dit-params"})
"""Flags whose value on a command line is JSON, and an object in a request."""

# What models declare beside the shared fields (`image_request_extra_fields`, `video_request_extra_fields`), by the
# first release that reads it. It is given in the case's `config`.
_EXTRAS: Mapping[ServedTask, Mapping[int, str]] = {
    "image": {
        17: "use_duration_template use_guardrails use_pe use_resolution_template use_system_prompt preset",
        19: "guidance_interval",
        20: "skip_softmax_params",
        21: "enhance_prompt num_layers",
        23: "slg_layers slg_scale slg_start slg_stop uncond_skip_layers",
    },
    "video": {
        17: "use_duration_template use_guardrails use_resolution_template use_system_prompt seconds "
        "audio_cond_noise_aug_for_inference audio_flow_shift audio_guidance_scale conditions "
        "imgvid_cond_noise_aug_for_inference output_mode target task",
        19: "action_normalization action_view_point condition_frame_indexes condition_frame_indexes_vision "
        "condition_video_keep control_guidance control_guidance_interval control_hint control_path generate_sound "
        "guardrails max_frames num_conditional_frames num_first_chunk_conditional_frames num_video_frames_per_chunk "
        "share_vision_temporal_positions show_control_condition show_input",
        20: "skip_softmax_params",
        21: "enhance_prompt",
        22: "clip_len enable_audio high_motion motion_score prompt_ref reference_resize_mode",
        23: "aspect_ratio condition_video_as_image continuation_prompts domain_names emphasize_control_in_prompt "
        "format_prompt_as_json frustum_geometry lidar multiview negative_metadata_mode norm_extrinsics normalize_cfg "
        "per_view_negative_prompt prompt_format segments transfer_output_size wsm",
    },
}

_DUMPS: Mapping[ServedTask, int] = {"image": OLDEST_SERVED, "video": OLDEST_SERVED, "edit": 20}
"""Since which release a kind of request can have a perf dump; meshes cannot."""

CLIENTS = frozenset({"n", "size", "response_format", "input_reference", "reference_url", "extra_body", "extra_params"})
"""Fields of requests that are no flags: what makes them is the engine's adapter (openai/protocol.py, 0.5.17 to
0.5.23)."""

TASKS: Mapping[ServedTask, tuple[str, ...]] = {
    "image": ("T2I", "TI2I"),
    "edit": ("I2I", "TI2I"),
    "video": ("T2V", "I2V", "TI2V", "V2V", "F2V"),
    "mesh": ("I2M",),
}
"""What a server of the kind says of itself (`task_type` and `supported_task_types` of /model_info)."""

EITHER = frozenset({"flow-shift"})
"""Flags that servers have, too: they get them where a kind of request has no such field."""


def since(task: ServedTask, flag: str) -> int | None:
    """The first release whose requests of this kind have the flag; None if none has."""
    return _first(_FIELDS[task], flag)


def extra_since(task: ServedTask, key: str) -> int | None:
    """The first release in which some model reads the key from requests of this kind; None if none does."""
    return _first(_EXTRAS.get(task, {}), key)


def is_extra(key: str) -> bool:
    """Whether the key is a model's own parameter of some kind of request."""
    return any(extra_since(task, key) is not None for task in _EXTRAS)


def dumps(task: ServedTask, release: int) -> bool:
    """Whether a request of this kind can be told where to write its perf dump."""
    return release >= _DUMPS.get(task, release + 1)


def fields_of(task: ServedTask, release: int) -> Iterator[str]:
    """Every flag that a request of this kind takes in that release."""
    for first, names in _FIELDS[task].items():
        if first <= release:
            yield from names.split()


def _first(table: Mapping[int, str], name: str) -> int | None:
    return next((first for first, names in sorted(table.items()) if name in names.split()), None)
