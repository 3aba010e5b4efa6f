"""Flags of `sglang generate`, pipelines and models by engine version, as data.

Taken from the argument parsers of the published releases themselves, 0.5.8 to 0.5.23, imported and asked, and from
their registries. A release is written as the last number of 0.5.N; None stands for "still there in the newest known".
How a flag takes its value (`Kind`):

    value     one value                              list     one or more values
    boolean   bare, or followed by true or false     switch   bare only
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Kind = Literal["value", "list", "boolean", "switch"]

OLDEST = 8
NEWEST = 23

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
    "ltx2-two-stage-device-mode": (
        (11, "original snapshot resident"),
        # 0.5.14 to 0.5.17 accept `snapshot` and run `original`: as good as gone.
        (14, "original resident"),
    ),
    "performance-mode": ((12, "manual auto speed memory"),),
    "mode": ((12, "manual auto speed memory"),),
    "quality": (
        (17, "lossless high"),
        (20, "lossless extra-high high"),
        (22, "exact lossless high extra-high"),
    ),
    "warmup-mode": ((14, "off request server"),),
}

# Pipeline classes that `--pipeline-class-name` can name, by the release that brought them.
PIPELINES: Mapping[str, int] = {
    "AnimaModularPipeline": 21,
    "ComfyUIQwenImageEditPipeline": 9,
    "ComfyUIQwenImagePipeline": 9,
    "Cosmos3MultiviewPipeline": 23,
    "Cosmos3NanoSimAutoPipeline": 23,
    "Cosmos3NanoSimBimanualPipeline": 23,
    "Cosmos3NanoSimTransferPipeline": 23,
    "Cosmos3OmniDiffusersPipeline": 13,
    "Cosmos3OmniPipeline": 18,
    "CosmosDreamsPipeline": 23,
    "CosmosDreamsRealtimePipeline": 23,
    "ErnieImagePipeline": 11,
    "FastH3Pipeline": 20,
    "Flux2NvfpPipeline": 10,
    "Flux3ActionPipeline": 21,
    "Flux3ImagePipeline": 23,
    "HeliosPipeline": 10,
    "HeliosPyramidPipeline": 10,
    "Hunyuan3D2Pipeline": 10,
    "HunyuanImage3Pipeline": 22,
    "Ideogram4FastPipeline": 16,
    "Ideogram4InstantPipeline": 16,
    "Ideogram4Nvfp4Pipeline": 13,
    "Ideogram4Pipeline": 13,
    "JoyEchoPipeline": 15,
    "JoyImageEditPipeline": 11,
    "Kandinsky6SRPipeline": 22,
    "Kandinsky6TI2VAPipeline": 22,
    "Krea2Pipeline": 15,
    "LLaDAImagePipeline": 22,
    "LTX2Pipeline": 9,
    "LTX2TwoStageHQPipeline": 11,
    "LTX2TwoStagePipeline": 10,
    "LingBotVideoPipeline": 18,
    "LingBotWorldCausalDMDPipeline": 13,
    "LongCatImageEditPipeline": 19,
    "LongCatImagePipeline": 18,
    "LongLive2Pipeline": 16,
    "MOSSImagePipeline": 23,
    "MOVA": 9,
    "MOVAPipeline": 9,
    "MingImagePipeline": 21,
    "MiniMaxH3Pipeline": 17,
    "NomasPipeline": 23,
    "Pi05Pipeline": 16,
    "QwenImage21Pipeline": 21,
    "SanaPipeline": 10,
    "SanaVideo2Pipeline": 22,
    "SanaVideoPipeline": 18,
    "SanaWMPipeline": 13,
    "SanaWMRealtimePipeline": 13,
    "SanaWMTwoStagePipeline": 13,
    "SenseNovaU1Pipeline": 20,
    "StableDiffusion3Pipeline": 11,
    "VDNH3Pipeline": 20,
    "WanAnimate2Pipeline": 22,
}

# Models with native support, by the release that registered them. A model that is not listed may still be known.
MODELS: Mapping[str, int] = {
    "BestWishYsh/Helios-Base": 10,
    "BestWishYsh/Helios-Distilled": 10,
    "BestWishYsh/Helios-Mid": 10,
    "Comfy-Org/Ideogram-4": 13,
    "Efficient-Large-Model/LongLive-2.0-5B": 16,
    "Efficient-Large-Model/SANA-Video_2.0_5B_720p": 22,
    "Efficient-Large-Model/SANA-Video_2B_480p_diffusers": 18,
    "Efficient-Large-Model/SANA-WM_bidirectional": 13,
    "Efficient-Large-Model/SANA-WM_streaming": 13,
    "Efficient-Large-Model/SANA1.5_1.6B_1024px_diffusers": 10,
    "Efficient-Large-Model/SANA1.5_4.8B_1024px_diffusers": 10,
    "Efficient-Large-Model/Sana_1600M_1024px_diffusers": 10,
    "Efficient-Large-Model/Sana_1600M_512px_diffusers": 10,
    "Efficient-Large-Model/Sana_600M_1024px_diffusers": 10,
    "Efficient-Large-Model/Sana_600M_512px_diffusers": 10,
    "FastVideo/FastVideo-FastH3-4-step-Preview-v1-VSA-DataFree": 20,
    "FastVideo/FastVideo-FastH3-8-Step-V2": 22,
    "FastVideo/FastVideo-FastH3-Omni-8-Step-V1": 23,
    "FireRedTeam/FireRed-Image-Edit-1.0": 10,
    "FireRedTeam/FireRed-Image-Edit-1.1": 10,
    "IPostYellow/lingbot-world-fast-diffusers": 13,
    "Lightricks/LTX-2": 9,
    "Lightricks/LTX-2.3": 11,
    "Lightricks/LTX-2.5-Diffusers": 18,
    "MiniMax/MiniMax-H3": 17,
    "MiniMaxAI/MiniMax-H3": 17,
    "OpenMOSS-Team/MOSS-Image-Base": 23,
    "OpenMOSS-Team/MOSS-Image-SFT": 23,
    "OpenVDN/vdn-minimax-h3": 20,
    "Qwen/Qwen-Image-2.1": 21,
    "Qwen/Qwen-Image-2.1-Turbo": 22,
    "Rabinovich/LongLive-2.0-5B-Diffusers": 16,
    "Tongyi-MAI/Z-Image": 9,
    "Wan-AI/Wan2.2-Animate-2-14B-Diffusers": 22,
    "Wan-AI/Wan2.2-Animate-2-14B-Distilled-Diffusers": 23,
    "baidu/ERNIE-Image": 11,
    "baidu/ERNIE-Image-Turbo": 11,
    "black-forest-labs/FLUX.2-dev-NVFP4": 10,
    "black-forest-labs/FLUX.2-klein-base-4B": 13,
    "black-forest-labs/FLUX.2-klein-base-9B": 13,
    "black-forest-labs/flux-3-action-droid": 21,
    "black-forest-labs/flux-3-image-klein": 23,
    "black-forest-labs/flux-3-image-klein-base": 23,
    "circlestone-labs/Anima-Base-v1.0-Diffusers": 21,
    "fal/ideogram-v4-fast": 16,
    "fal/ideogram-v4-instant": 16,
    "herzogenhorn/f3-image-small": 23,
    "ideogram-ai/ideogram-4-fp8": 13,
    "ideogram-ai/ideogram-4-nf4": 13,
    "inclusionAI/LLaDA-Image": 22,
    "inclusionAI/LLaDA-Image-Turbo": 22,
    "inclusionAI/Ming-Image-0.1-Design": 21,
    "inclusionAI/Ming-Image-0.1-Design-Layer": 21,
    "jdopensource/JoyAI-Echo": 15,
    "jdopensource/JoyAI-Image-Edit-Diffusers": 11,
    "kandinskylab/Kandinsky-6.0-Pro-5s-Diffusers": 22,
    "kandinskylab/Kandinsky-6.0-Pro-distill-5s-Diffusers": 22,
    "kandinskylab/Kandinsky-6.0-Pro-sft-5s-Diffusers": 22,
    "kandinskylab/Kandinsky-6.0-VSR-5s-Diffusers": 22,
    "kandinskylab/Kandinsky-6.0-VSR-distilled2steps-5s-Diffusers": 22,
    "krea/Krea-2": 15,
    "lerobot/pi05": 17,
    "lerobot/pi05_base": 16,
    "lerobot/pi05_libero_base": 16,
    "meituan-longcat/LongCat-Image": 18,
    "meituan-longcat/LongCat-Image-Edit": 19,
    "meituan-longcat/LongCat-Image-Edit-Turbo": 19,
    "nvidia/Cosmos3-Edge": 18,
    "nvidia/Cosmos3-Nano": 13,
    "nvidia/Cosmos3-Nano-Policy-DROID": 18,
    "nvidia/Cosmos3-Nano-Sim-Auto": 23,
    "nvidia/Cosmos3-Nano-Sim-Bimanual": 23,
    "nvidia/Cosmos3-Nano-Sim-Depth": 23,
    "nvidia/Cosmos3-Nano-Sim-Transfer": 23,
    "nvidia/Cosmos3-Nano-Transfer-Auto": 23,
    "nvidia/Cosmos3-Super": 13,
    "nvidia/Cosmos3-Super-Image2Video": 13,
    "nvidia/Cosmos3-Super-Text2Image": 13,
    "nvidia/Qwen-Image-NVFP4": 15,
    "nvidia/Wan2.2-T2V-A14B-Diffusers-NVFP4": 13,
    "robbyant/lingbot-world-fast-diffusers": 13,
    "robbyant/lingbot-world-v2-14b-causal-fast-diffusers": 16,
    "sensenova/SenseNova-U1.5-8B-MoT": 20,
    "stabilityai/stable-diffusion-3-medium": 11,
    "stabilityai/stable-diffusion-3-medium-diffusers": 11,
    "stabilityai/stable-diffusion-3.5-large": 11,
    "stabilityai/stable-diffusion-3.5-large-diffusers": 11,
    "stabilityai/stable-diffusion-3.5-medium": 11,
    "stabilityai/stable-diffusion-3.5-medium-diffusers": 11,
    "tencent/Hunyuan3D-2": 10,
    "tencent/HunyuanImage-3.0": 22,
    "tencent/HunyuanImage-3.0-Instruct": 22,
    "tencent/Hy-Nomas": 23,
}

# Of these the pipeline is older than the registration: earlier releases may run them natively, or fall back.
KIN = frozenset(
    {
        "FireRedTeam/FireRed-Image-Edit-1.0",
        "FireRedTeam/FireRed-Image-Edit-1.1",
        "Tongyi-MAI/Z-Image",
        "black-forest-labs/FLUX.2-klein-base-4B",
        "black-forest-labs/FLUX.2-klein-base-9B",
        "nvidia/Qwen-Image-NVFP4",
        "nvidia/Wan2.2-T2V-A14B-Diffusers-NVFP4",
    }
)
