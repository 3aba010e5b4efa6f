"""Flags of `sglang generate` by engine version, as data.

Taken from the argument parsers of the published releases themselves, 0.5.8 to 0.5.23, imported and asked. A
release is written as the last number of 0.5.N; None stands for "still there in the newest known".
How a flag takes its value (`Kind`):

    value     one value                              list     one or more values
    boolean   bare, or followed by true or false     switch   bare only
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import FlagKind as Kind
from pytest_sgdiff.engine_version import NEWEST, OLDEST

__all__ = ["CHOICES", "CONFIG_NAMES", "DROPPED", "FLAGS", "FLOATS", "HIDDEN", "INTEGERS", "NEWEST", "OLDEST", "Kind"]

FLAGS: Mapping[tuple[int, int | None, Kind], str] = {
    (8, 8, "value"): "STA-mode VSA-sparsity skip-time-steps",
    (8, 9, "value"): "diffusers-attention-backend prompt vae-path",
    (8, 10, "value"): "seed",
    (8, 11, "switch"): "enable-cfg-parallel",
    (8, 17, "boolean"): "warmup",
    (8, None, "value"): (
        "attention-backend backend boundary-ratio config data-parallel-size diffusers-kwargs dist-timeout "
        "dit-precision dmd-denoising-steps dp dp-size embedded-cfg-scale flow-shift fps generator-device "
        "guidance-rescale guidance-scale guidance-scale-2 height host hsdp-replicate-dim hsdp-shard-dim "
        "image-encoder-precision log-level lora-nickname lora-path mask-strategy-file-path master-port "
        "moba-config-path model-path negative-prompt num-frames num-gpus num-inference-steps num-outputs-per-prompt "
        "num-profiled-timesteps output-file-name output-path perf-dump-path pipeline-config-path port "
        "prompt-file-path prompt-path revision ring-degree scheduler-port sp-degree tp-size ulysses-degree "
        "vae-precision webui-port width"
    ),
    (8, None, "list"): "data-type image-path text-encoder-precisions warmup-resolutions",
    (8, None, "boolean"): (
        "adjust-frames disable-autocast dit-cpu-offload dit-layerwise-offload enable-torch-compile "
        "image-encoder-cpu-offload pin-cpu-memory text-encoder-cpu-offload trust-remote-code use-fsdp-inference "
        "vae-cpu-offload vae-sp vae-tiling webui"
    ),
    (8, None, "switch"): (
        "1080p 2k 4k 720p debug enable-teacache no-override-protected-fields no-save-output num-frames-round-down "
        "profile profile-all-stages return-frames return-trajectory-decoded return-trajectory-latents save-output"
    ),
    (9, 9, "value"): "quantized-model-path",
    (9, None, "value"): (
        "attention-backend-config cache-dit-config cfg-normalization dit-offload-prefetch-size lora-scale "
        "output-compression output-quality quantization-precision quantization-rank"
    ),
    (9, None, "boolean"): "enable-sequence-shard enable-svdquant quantization-act-unsigned return-file-paths-only",
    (10, None, "value"): (
        "frame-interpolation-exp frame-interpolation-model-path frame-interpolation-scale input-save-path model-id "
        "pipeline-class-name resolution transformer-weights-path true-cfg-scale upscaling-model-path upscaling-scale "
        "warmup-steps"
    ),
    (10, None, "list"): "prompt uvicorn-access-log-exclude-prefixes",
    (10, None, "boolean"): "strict-ports vae-slicing",
    (10, None, "switch"): "enable-frame-interpolation enable-upscaling",
    (11, 17, "value"): "decoder-tp",
    (11, None, "value"): (
        "base-gpu-id decoder-urls denoiser-ring denoiser-sp denoiser-tp denoiser-ulysses denoiser-urls "
        "disagg-dispatch-policy disagg-ib-device disagg-p2p-hostname disagg-role disagg-server-addr disagg-timeout "
        "disagg-transfer-pool-size encoder-tp encoder-urls lora-weight-name ltx2-two-stage-device-mode "
        "otlp-traces-endpoint output-file-path rollout-noise-level rollout-sde-type"
    ),
    (11, None, "list"): "seed",
    (11, None, "boolean"): "rollout-debug-mode rollout-log-prob-no-const",
    (11, None, "switch"): "enable-trace rollout",
    (12, None, "value"): (
        "batching-config batching-delay-ms batching-max-size batching-mode cfg-parallel-size "
        "component-attention-backends lora-merge-mode mode performance-mode quantization"
    ),
    (12, None, "list"): "quantization-ignored-layers",
    (12, None, "boolean"): "enable-cfg-parallel",
    (12, None, "switch"): "enable-batching-metrics",
    (13, 17, "boolean"): "server-warmup",
    (13, None, "value"): (
        "action decoder-sp disagg-downstream-wait-timeout disagg-instance-id disagg-max-slots-per-instance "
        "disagg-role-device disagg-transfer-backend disagg-transfer-pin-memory disagg-transfer-redundancy "
        "num-frame-per-block pitch-limit-deg pitch_limit_deg progressive-delta progressive-levels progressive-mode "
        "realtime-causal-kv-cache-num-frames realtime-causal-sink-size rotation-speed-deg rotation_speed_deg "
        "translation-speed translation_speed"
    ),
    (13, None, "list"): "gpu-ids layerwise-offload-components layerwise-offload-modules",
    (13, None, "boolean"): "enable-layerwise-nvtx-marker refiner-chunked streaming",
    (14, None, "value"): "warmup-mode",
    (14, None, "list"): "image-paths",
    (15, None, "value"): "log-requests-format log-requests-level",
    (15, None, "list"): "log-requests-target",
    (15, None, "boolean"): "offload-during-compile",
    (15, None, "switch"): "log-requests",
    (16, None, "value"): (
        "action-fps action-mode domain-id domain-name pe-server-url pipeline raw-action-dim scheduler-class-override "
        "sound-duration srt-encoder-connection-timeout srt-encoder-timeout srt-encoder-url"
    ),
    (16, None, "list"): "bcg-text-buckets video-path",
    (16, None, "boolean"): "enable-breakable-cuda-graph",
    (17, None, "value"): (
        "dit-layerwise-resident-layers encoder-parallel model-subfolder model-variant num-outputs quality "
        "vae-decode-precision"
    ),
    (17, None, "boolean"): "regional-compile",
    (18, None, "value"): (
        "auto-duration-max-seconds auto-duration-min-seconds cfg-renorm-min dist-init-addr "
        "dit-layerwise-residency-policy flex-window flex_window history-size history_size kv-cache-quant "
        "kv-cache-quant-block-size kv-cache-quant-centroids kv-cache-quant-iters kv-cache-quant-keep-recent "
        "kv-cache-quant-sink kv-cache-quant-sink-keep kv-cache-quant-stages kv-gather-degree lora-alpha "
        "minimax-h3-adaln-cache-path minimax-h3-adaln-plan-width nnodes node-rank scheduler-rpc-timeout "
        "served-model-name spectrum-flex-window spectrum-lam spectrum-m spectrum-tau-num-steps spectrum-warmup-steps "
        "spectrum-window-size spectrum_flex_window spectrum_lam spectrum_m spectrum_tau_num_steps "
        "spectrum_warmup_steps spectrum_window_size taylor-order taylor_order w window-size window_size"
    ),
    (18, None, "list"): "component-residency cpu-offload-components",
    (18, None, "boolean"): (
        "diffusion-decoder-tiling direct-gpu-weight-loading enable-cfg-renorm enable-nccl-nvls enable-prompt-rewrite "
        "load-diffusion-decoder minimax-h3-adaln-online"
    ),
    (18, None, "switch"): (
        "auto-duration enable-cache-report enable-spectrum kv-cache-quant-asymmetric use-diffusion-decoder"
    ),
    (19, None, "value"): (
        "attention-backend-override cache-dit-params cfg-gate-step layerwise-prefetch-size layerwise-residency-policy "
        "layerwise-resident-layers warmup-num-frames"
    ),
    (19, None, "boolean"): "enable-cache-dit",
    (20, None, "value"): "minimax-h3-adaln-host-cache-gb warmup-sampling-params",
    (20, None, "boolean"): "diffusion-decoder-parallel-tiling",
    (21, None, "value"): (
        "conditioning-cache-max-size-mb dit-layerwise-residency-lifetime layerwise-residency-lifetime "
        "otlp-service-name prompt-enhancer-config task-type"
    ),
    (21, None, "boolean"): "enable-metrics",
    (21, None, "switch"): "disable-conditioning-cache",
    (22, None, "value"): (
        "bot-task sr-num-steps sr-resolution-scale sr-target-resize-mode sr-target-resolution sr-tile-min-overlap "
        "sr-tiles-batch-size system-prompt x264-preset"
    ),
    (22, None, "list"): "numa-node",
    (22, None, "boolean"): "allow-bf16-reduced-precision-reduction allow-cudnn-tf32",
    (22, None, "switch"): "async-output-save",
    (23, None, "value"): "http-graceful-shutdown-timeout image-encoder-urls prompt-encoder-urls",
    (23, None, "switch"): "sleep-on-idle",
}

# Allowed values where they changed: the first release of each set.
CHOICES: Mapping[str, tuple[tuple[int, str], ...]] = {
    "attention-backend": (
        (
            8,
            (
                "fa2 fa fa3 fa4 sliding_tile_attn torch_sdpa sage_attn sage_attn_3 video_sparse_attn vmoba_attn aiter "
                "sla_attn sage_sla_attn no_attention"
            ),
        ),
        (9, ""),
    ),
    "backend": ((8, "auto sglang diffusers"),),
    "batching-mode": ((12, "dynamic"),),
    "dit-layerwise-residency-lifetime": ((21, "forward permanent"),),
    "dit-layerwise-residency-policy": ((18, "leading strided"),),
    "dit-precision": ((8, "fp32 fp16 bf16"),),
    "encoder-parallel": ((17, "auto fold dp replicate"),),
    "generator-device": ((8, "cuda musa cpu"),),
    "image-encoder-precision": ((8, "fp32 fp16 bf16"),),
    "kv-cache-quant": ((18, "off int4 int2"),),
    "log-requests-format": ((15, "text json"),),
    "log-requests-level": ((15, "0 1 2 3"),),
    "lora-merge-mode": ((12, "auto merge dynamic"),),
    "ltx2-two-stage-device-mode": (
        (11, "original snapshot resident"),
        # 0.5.14 to 0.5.17 accept `snapshot` and run `original`: as good as gone.
        (14, "original resident"),
    ),
    "performance-mode": ((12, "manual auto speed memory"),),
    "mode": ((12, "manual auto speed memory"),),
    "output-quality": ((22, "maximum high medium low default"),),
    "progressive-mode": ((13, "fullres dct dct_rewind"),),
    "quality": (
        (17, "lossless high"),
        (20, "lossless extra-high high"),
        (22, "exact lossless high extra-high"),
    ),
    "rollout-sde-type": ((11, "sde cps ode"),),
    "sr-target-resize-mode": ((22, "fit exact"),),
    "text-encoder-precisions": ((8, "fp32 fp16 bf16"),),
    "vae-decode-precision": ((17, "fp32 fp16 bf16"),),
    "vae-precision": ((8, "fp32 fp16 bf16"),),
    "warmup-mode": ((14, "off request server"),),
    "x264-preset": ((22, "ultrafast superfast veryfast faster fast medium slow slower veryslow placebo"),),
}

# Flags whose value the parser reads as a whole number, and as a number; they have been that since they came.
INTEGERS = (
    "base-gpu-id batching-max-size bcg-text-buckets cfg-parallel-size data-parallel-size decoder-sp decoder-tp "
    "denoiser-ring denoiser-sp denoiser-tp denoiser-ulysses disagg-downstream-wait-timeout disagg-instance-id "
    "disagg-max-slots-per-instance disagg-timeout disagg-transfer-pool-size dist-timeout domain-id dp dp-size "
    "encoder-tp fps frame-interpolation-exp height history-size hsdp-replicate-dim hsdp-shard-dim "
    "http-graceful-shutdown-timeout kv-cache-quant-block-size kv-cache-quant-centroids kv-cache-quant-iters "
    "kv-cache-quant-keep-recent kv-cache-quant-sink kv-cache-quant-sink-keep kv-cache-quant-stages kv-gather-degree "
    "log-requests-level lora-alpha master-port minimax-h3-adaln-plan-width nnodes node-rank num-frame-per-block "
    "num-frames num-gpus num-inference-steps num-outputs num-outputs-per-prompt num-profiled-timesteps numa-node "
    "output-compression port progressive-levels quantization-rank raw-action-dim realtime-causal-kv-cache-num-frames "
    "realtime-causal-sink-size resolution ring-degree scheduler-port scheduler-rpc-timeout seed skip-time-steps "
    "sp-degree spectrum-m spectrum-tau-num-steps spectrum-warmup-steps sr-num-steps sr-tiles-batch-size "
    "srt-encoder-connection-timeout srt-encoder-timeout taylor-order tp-size ulysses-degree upscaling-scale "
    "warmup-num-frames warmup-steps webui-port width"
)
FLOATS = (
    "VSA-sparsity action-fps auto-duration-max-seconds auto-duration-min-seconds batching-delay-ms boundary-ratio "
    "cfg-gate-step cfg-normalization cfg-renorm-min conditioning-cache-max-size-mb disagg-transfer-redundancy "
    "dit-layerwise-resident-layers dit-offload-prefetch-size embedded-cfg-scale flex-window flow-shift "
    "frame-interpolation-scale guidance-rescale guidance-scale guidance-scale-2 lora-scale "
    "minimax-h3-adaln-host-cache-gb pitch-limit-deg progressive-delta rollout-noise-level rotation-speed-deg "
    "sound-duration spectrum-flex-window spectrum-lam spectrum-window-size sr-resolution-scale sr-tile-min-overlap "
    "translation-speed true-cfg-scale w window-size"
)

# What a parser accepts and its own help leaves out: of all published releases, this one of 0.5.9.
HIDDEN = frozenset({"diffusers-attention-backend"})

# Accepted and dropped, by the releases that do so and what to write instead. Read in their server_args and attention
# backends: `--cfg-parallel-size` has no alias there in 0.5.12, and the two files are looked for in
# `--attention-backend-config` alone since that came.
DROPPED: Mapping[str, tuple[int, int, str]] = {
    "cfg-parallel-size": (12, 12, "enable-cfg-parallel: true"),
    "mask-strategy-file-path": (9, NEWEST, "attention-backend-config: mask_strategy_file_path=FILE"),
    "moba-config-path": (9, NEWEST, "attention-backend-config: FILE.json` with that under `moba_config"),
}

# What a flag is called in a file for `--config`, where that is not its own name with underscores.
CONFIG_NAMES: Mapping[str, str] = {
    "cfg-parallel-size": "cfg_parallel_degree",
    "data-parallel-size": "dp_size",
    "dp": "dp_size",
    "layerwise-offload-modules": "layerwise_offload_components",
    "mode": "performance_mode",
    "num-outputs": "num_outputs_per_prompt",
    "pipeline": "pipeline_class_name",
}

# Parameters of the request, which a file for `--config` may give from 0.5.10 on; releases before pass over them there.
SAMPLING_IN_CONFIG = 10
SAMPLING = frozenset(
    (
        *("adjust-frames", "boundary-ratio", "cfg-normalization", "data-type", "debug", "enable-sequence-shard"),
        *("enable-teacache", "fps", "generator-device", "guidance-rescale", "guidance-scale", "guidance-scale-2"),
        *("height", "image-path", "negative-prompt", "num-frames", "num-frames-round-down", "num-inference-steps"),
        *("num-outputs-per-prompt", "num-profiled-timesteps", "output-compression", "output-quality", "profile"),
        *("profile-all-stages", "prompt", "prompt-path", "return-frames", "return-trajectory-decoded"),
        *("return-trajectory-latents", "save-output", "seed", "true-cfg-scale", "width"),
    )
)
