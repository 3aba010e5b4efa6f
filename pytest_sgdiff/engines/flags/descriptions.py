"""What each flag of the engine does, for editors: the first sentence of its help in 0.5.23, as data.

Some flags have no help of their own; a few of these are described by what their name and the engine's code say.
"""

from __future__ import annotations

from collections.abc import Mapping

DESCRIPTIONS: Mapping[str, str] = {
    "1080p": "Set resolution to 1080p (1920x1080)",
    "2k": "Set resolution to 2K (2560x1440)",
    "4k": "Set resolution to 4K (3840x2160)",
    "720p": "Set resolution to 720p (1280x720)",
    "action": "Action input",
    "action-fps": "Frame rate used for action token temporal mRoPE positions",
    "action-mode": (
        "Cosmos3 action mode: 'forward_dynamics' (predict next frame from action), 'policy' (predict action "
        "from frame), or 'inverse_dynamics' (predict action …"
    ),
    "adjust-frames": (
        "Enable/disable adjusting num_frames to evenly split latent frames across GPUs and satisfy model "
        "temporal constraints"
    ),
    "allow-bf16-reduced-precision-reduction": (
        "Let a bf16 GEMM accumulate its split-K partials below fp32 (PyTorch's own default)"
    ),
    "allow-cudnn-tf32": (
        "Let cuDNN run fp32 convolutions on TF32 tensor cores, which truncates their inputs to 10 mantissa "
        "bits (PyTorch's own default)"
    ),
    "async-output-save": (
        "Finalize outputs (frame materialization, image/video encoding, disk write, reply) on a background "
        "thread so the scheduler can start the next …"
    ),
    "attention-backend": "The global attention backend",
    "attention-backend-config": "Configuration for the attention backend",
    "attention-backend-override": "Attention backend of this request",
    "auto-duration": "Choose the duration of the output automatically",
    "auto-duration-max-seconds": "Longest duration that --auto-duration chooses, in seconds",
    "auto-duration-min-seconds": "Shortest duration that --auto-duration chooses, in seconds",
    "backend": "The model backend to use",
    "base-gpu-id": "The starting GPU ID for this instance",
    "batching-config": (
        "Optional JSON file with {'schema_version': 1, 'rules': [...]} batching admission rules that can cap "
        "model/resolution shapes below --batching-max-size"
    ),
    "batching-delay-ms": "Maximum time (in ms) to wait for forming a larger batch before dispatch",
    "batching-max-size": "Maximum number of compatible generation requests to merge into one batch",
    "batching-mode": "Request batching scheduler mode",
    "bcg-text-buckets": "Prompt sequence-length padding budget for breakable CUDA graph",
    "bot-task": "Tokenizer bot task (model-specific)",
    "boundary-ratio": "Boundary timestep ratio",
    "cache-dit-config": "Path to a Cache-DiT YAML/JSON config",
    "cfg-normalization": "CFG renormalization factor (for Z-Image)",
    "cfg-parallel-size": (
        "Number of GPUs per CFG parallel group (1 = disabled, N > 1 = enabled at degree N). Supersedes "
        "--enable-cfg-parallel"
    ),
    "cfg-renorm-min": "Minimum CFG renorm scale for LongCat-Image",
    "component-attention-backends": "Per-component attention backend overrides for native pipelines",
    "component-residency": (
        "Select resident, component-offload, snapshot-offload, or layerwise-offload for pipeline components"
    ),
    "conditioning-cache-max-size-mb": "Per-worker conditioning cache capacity across CPU and device entries in MiB",
    "config": "Read CLI options from a config JSON or YAML file",
    "cpu-offload-components": "Select component keys from model_index.json for coarse CPU offload",
    "data-parallel-size": "The data parallelism size",
    "debug": "Debug mode of the request",
    "decoder-sp": "Sequence parallelism for decoder role",
    "decoder-urls": "Decoder instance work endpoints for DiffusionServer head mode",
    "denoiser-ring": "Ring SP degree for denoiser role",
    "denoiser-sp": "Sequence parallelism for denoiser role",
    "denoiser-tp": "Tensor parallelism for denoiser role",
    "denoiser-ulysses": "Ulysses SP degree for denoiser role",
    "denoiser-urls": "Denoiser instance work endpoints for DiffusionServer head mode",
    "diffusers-kwargs": "JSON string of extra kwargs to pass to diffusers pipeline",
    "diffusion-decoder-parallel-tiling": (
        "Split the LTX-2.5 diffusion decoder's tiles across the decode-parallel ranks (TP/SP/PP/CFG within a replica)"
    ),
    "diffusion-decoder-tiling": "Enable tiling for the LTX-2.5 diffusion decoder",
    "direct-gpu-weight-loading": (
        "Load the full unquantized DiT checkpoint state dict directly onto GPU before assigning model parameters"
    ),
    "disable-autocast": "Disable autocast for denoising loop and vae decoding in pipeline sampling",
    "disable-conditioning-cache": (
        "Disable cross-request text/image and VAE posterior caching; reuse within a grouped stage remains enabled"
    ),
    "disagg-dispatch-policy": "Dispatch policy for pool mode disagg routing",
    "disagg-downstream-wait-timeout": "Timeout in seconds while waiting for a downstream role slot",
    "disagg-ib-device": "InfiniBand device for P2P RDMA transfers",
    "disagg-instance-id": "Stable per-role instance ID used by DiffusionServer registration",
    "disagg-max-slots-per-instance": "Maximum concurrent transfer/computation slots tracked per instance",
    "disagg-p2p-hostname": "Hostname for P2P transfer engine",
    "disagg-role": "Role for disaggregated pipeline",
    "disagg-role-device": "Per-role device override",
    "disagg-server-addr": "DiffusionServer head node address for per-role launch mode",
    "disagg-timeout": "Timeout in seconds for pending disagg requests",
    "disagg-transfer-backend": "Transfer backend for multimodal diffusion disaggregation",
    "disagg-transfer-pin-memory": "CUDA host-register same-host shared-memory transfer buffers",
    "disagg-transfer-pool-size": "Size of the P2P transfer buffer pool in bytes",
    "disagg-transfer-redundancy": "Redundancy factor used when sizing transfer buffers from warmup",
    "dist-init-addr": "The host:port distributed rendezvous address, reachable from every node",
    "dist-timeout": "Timeout for torch.distributed operations in seconds",
    "dit-cpu-offload": "Keep DiT weights on the CPU and move them onto the GPU whole around each use",
    "dit-layerwise-offload": "Enable layerwise CPU offload with async H2D prefetch overlap for DiTs",
    "dit-layerwise-residency-lifetime": (
        "How long the DiT layers kept by --dit-layerwise-resident-layers stay on the GPU"
    ),
    "dit-layerwise-residency-policy": "Which layers --dit-layerwise-resident-layers keeps resident",
    "dit-layerwise-resident-layers": (
        "With --dit-layerwise-offload, keep this many DiT layers on the GPU across the denoise steps of a "
        "request and stream the rest with …"
    ),
    "dit-offload-prefetch-size": "The size of prefetch for dit-layerwise-offload",
    "dit-precision": "Precision for the DiT model",
    "dmd-denoising-steps": "Comma-separated list of denoising steps (e.g., '1000,757,522')",
    "domain-id": "Action embodiment domain ID (integer)",
    "domain-name": "Action embodiment domain name (e.g. 'av', 'camera_pose', 'umi')",
    "dp": "The data parallelism size",
    "dp-size": "The data parallelism size",
    "embedded-cfg-scale": "Embedded CFG scale",
    "enable-batching-metrics": "Log periodic batch efficiency metrics such as realized batch size and queue wait time",
    "enable-breakable-cuda-graph": (
        "Capture the DiT forward as breakable CUDA graph segments (split at attention; SP all-to-all / "
        "dynamic attention stay eager) to cut per-kernel launch …"
    ),
    "enable-cache-dit": "Use Cache-DiT, which skips work of the denoising steps and changes the output",
    "enable-cache-report": (
        "Return number of cached tokens in usage.prompt_tokens_details for each OpenAI-compatible request"
    ),
    "enable-cfg-parallel": "Enable cfg parallel at degree 2. Auto-enabled when num_gpus >= 2 and no SP flags are set",
    "enable-cfg-renorm": "Enable CFG renormalization for LongCat-Image (enabled by default)",
    "enable-frame-interpolation": "Enable post-generation frame interpolation using RIFE 4.22.lite",
    "enable-layerwise-nvtx-marker": "Enable layerwise NVTX markers for profiling with Nsight Systems",
    "enable-metrics": "Expose Prometheus metrics at /metrics",
    "enable-nccl-nvls": "Enable NCCL NVLS when available",
    "enable-prompt-rewrite": (
        "Enable prompt rewriting via Qwen2.5-VL before encoding for LongCat-Image (enabled by default)"
    ),
    "enable-sequence-shard": "Enable sequence dimension shard with sequence parallelism",
    "enable-spectrum": "Use Spectrum caching",
    "enable-svdquant": "Enable Nunchaku SVDQuant (W4A4-style) inference",
    "enable-teacache": "Use TeaCache, which skips denoising steps and changes the output",
    "enable-torch-compile": "Use torch.compile to speed up diffusion hot paths",
    "enable-trace": "Enable OpenTelemetry tracing",
    "enable-upscaling": "Enable post-generation upscaling using Real-ESRGAN",
    "encoder-parallel": "Text/image encoder parallelism across a multi-rank replica",
    "encoder-tp": "Tensor parallelism for encoder role",
    "encoder-urls": "Encoder instance work endpoints for DiffusionServer head mode",
    "flex-window": "Spectrum adaptive window growth slope",
    "flex_window": "Spectrum adaptive window growth slope",
    "flow-shift": "Flow shift parameter",
    "fps": "Frames per second for saved output",
    "frame-interpolation-exp": "Frame interpolation exponent: 1=2x, 2=4x",
    "frame-interpolation-model-path": "Local directory or HuggingFace repo ID containing RIFE flownet.pkl weights",
    "frame-interpolation-scale": "RIFE inference scale factor",
    "generator-device": "Device for random generator (cuda, musa or cpu)",
    "gpu-ids": "Physical GPU IDs for this instance, e.g. --gpu-ids 0 1 6 7 or --gpu-ids 0,1,6,7",
    "guidance-rescale": "Guidance rescale factor",
    "guidance-scale": "Classifier-free guidance scale",
    "guidance-scale-2": "Secondary guidance scale for dual-guidance models (e.g., Wan low-noise expert)",
    "height": "Height of the output in pixels",
    "host": "Host for the HTTP API server",
    "hsdp-replicate-dim": "The data parallelism size",
    "hsdp-shard-dim": "The data parallelism shards",
    "http-graceful-shutdown-timeout": (
        "Seconds to wait for HTTP connections and tasks to finish on shutdown before cancelling them"
    ),
    "image-encoder-cpu-offload": "Use CPU offload for image encoder",
    "image-encoder-precision": "Precision for image encoder",
    "image-encoder-urls": "Semicolon-separated image encoder endpoints for split encoding",
    "image-path": "Path(s) to input image(s) for image-to-image / image-to-video generation",
    "image-paths": "Path(s) to input image(s) for image-to-image / image-to-video generation",
    "input-save-path": "Directory path to save uploaded input images/videos",
    "kv-cache-quant": "Enable Quant-VideoGen PRQ KV-cache quantization (off|int4|int2)",
    "kv-cache-quant-asymmetric": "Use KIVI-style asymmetric residual quantization",
    "kv-cache-quant-block-size": "PRQ residual scale block size (default 64)",
    "kv-cache-quant-centroids": "PRQ k-means centroids per stage (default 128)",
    "kv-cache-quant-iters": "PRQ k-means iterations (default 2)",
    "kv-cache-quant-keep-recent": "Completed chunks kept bf16 before quantizing (default 1)",
    "kv-cache-quant-sink": "Quantize the attention sink too (1, default) or keep it bf16 (0)",
    "kv-cache-quant-sink-keep": "Leading sink chunks kept bf16 forever (default 0)",
    "kv-cache-quant-stages": "PRQ k-means stages (default 1)",
    "kv-gather-degree": (
        "Sequence-parallel degree that splits rows inside attention and exchanges with one K/V all-gather "
        "(queries stay local) instead of Ulysses all-to-all"
    ),
    "layerwise-offload-components": "Select pipeline components for layerwise offload",
    "layerwise-offload-modules": "Select pipeline components for layerwise offload",
    "layerwise-prefetch-size": (
        "Per-component override of --dit-offload-prefetch-size, as component=value entries, e.g. "
        "--layerwise-prefetch-size text_encoder=2,vae=2"
    ),
    "layerwise-residency-lifetime": (
        "Per-component override of --dit-layerwise-residency-lifetime, as component=value entries, e.g. "
        "--layerwise-residency-lifetime …"
    ),
    "layerwise-residency-policy": (
        "Per-component override of --dit-layerwise-residency-policy, as component=value entries, e.g. "
        "--layerwise-residency-policy text_encoder=strided"
    ),
    "layerwise-resident-layers": (
        "Per-component override of --dit-layerwise-resident-layers, as component=value entries, e.g. "
        "--layerwise-resident-layers video_vae=36"
    ),
    "load-diffusion-decoder": "Load the optional LTX-2.5 diffusion decoder so requests may set use_diffusion_decoder",
    "log-level": "The logging level of all loggers",
    "log-requests": "Log user-facing fields of all requests",
    "log-requests-format": "Format for request logging: 'text' (human-readable) or 'json' (structured)",
    "log-requests-level": (
        "Verbosity level for request logging. 0: Log request metadata only (request_id). 1: Log metadata + "
        "sampling config (seed, steps, guidance, resolution …"
    ),
    "log-requests-target": "Target(s) for request logging: 'stdout' and/or directory path(s) for file output",
    "lora-alpha": "Override the LoRA training alpha when neither the checkpoint nor adapter_config.json records it",
    "lora-merge-mode": (
        "How LoRA is applied: auto merges into regular weights, but uses dynamic LoRA for FSDP-sharded "
        "weights (to avoid a full gather) and for adapters a …"
    ),
    "lora-nickname": "The nickname for the LoRA adapter to launch with",
    "lora-path": "The path to the LoRA adapter weights (can be local file path or HF hub id) to launch with",
    "lora-scale": "LoRA scale for merging (e.g., 0.125 for Hyper-SD)",
    "lora-weight-name": "Specific safetensors filename to load from a multi-file LoRA repo",
    "ltx2-two-stage-device-mode": (
        "LTX-2 / LTX-2.3 two-stage device residency mode: 'original' keeps official two-stage semantics "
        "without premerged stage2, 'resident' keeps both …"
    ),
    "mask-strategy-file-path": "Path to mask strategy JSON file for STA",
    "master-port": "Master port for distributed inference",
    "minimax-h3-adaln-cache-path": "Path to a precomputed MiniMax H3 AdaLN cache",
    "minimax-h3-adaln-host-cache-gb": (
        "Pinned host memory (decimal GB, per rank) caching AdaLN plans built by --minimax-h3-adaln-online, so "
        "a plan set evicted from the GPU slab swaps back …"
    ),
    "minimax-h3-adaln-online": (
        "Rebuild MiniMax H3 AdaLN outputs from the checkpoint per request instead of keeping the 24.2 GiB of "
        "adaln_proj weights resident"
    ),
    "minimax-h3-adaln-plan-width": "Widest timestep plan --minimax-h3-adaln-online sizes its slab for",
    "moba-config-path": "Path to a JSON file containing V-MoBA specific configurations",
    "mode": "Preset for performance and memory defaults",
    "model-id": "Override the model ID used for config resolution",
    "model-path": "The path of the model weights",
    "model-subfolder": "Advanced override for a Diffusers pipeline subfolder inside the model repository",
    "model-variant": "Semantic checkpoint variant to serve",
    "negative-prompt": "Negative text prompt for generation",
    "nnodes": "The number of nodes for cross-node parallelism",
    "no-override-protected-fields": "If set, disallow user params to override fields defined in subclasses",
    "no-save-output": "Don't save the output to disk",
    "node-rank": "The rank of this node among --nnodes nodes, in [0, nnodes)",
    "num-frame-per-block": "SANA-WM: latent frames per streaming chunk (default 3)",
    "num-frames": "Number of frames to generate",
    "num-gpus": "The number of GPUs to use",
    "num-inference-steps": "Number of denoising steps",
    "num-outputs": "Number of outputs to generate per prompt",
    "num-outputs-per-prompt": "Number of outputs to generate per prompt",
    "num-profiled-timesteps": "Number of timesteps to profile after warmup",
    "numa-node": (
        "NUMA node for each GPU worker; the i-th value is for the worker on local GPU i. If unset, each "
        "worker binds to its GPU's NUMA node on multi-socket …"
    ),
    "offload-during-compile": (
        "Offload components during the torch.compile warmup (the DiT layerwise) so max-autotune fits on "
        "tighter-memory GPUs, then restore the configured …"
    ),
    "otlp-service-name": "Service name for OTLP traces (displayed as 'service.name' in trace backends)",
    "otlp-traces-endpoint": "OTLP collector endpoint when --enable-trace is set",
    "output-compression": "Output compression level (0-100, higher means better quality but larger file size)",
    "output-file-name": "Name of the output file",
    "output-file-path": "Convenience alias that sets both --output-path and --output-file-name",
    "output-path": "Directory path to save generated images/videos",
    "output-quality": "Output quality setting (default, low, medium, high, maximum)",
    "pe-server-url": "URL of SGLang server for PE model",
    "perf-dump-path": "Path to dump the performance metrics (JSON) for the run",
    "performance-mode": "Preset for performance and memory defaults",
    "pin-cpu-memory": "Pin memory for CPU offload",
    "pipeline": "Advanced override for pipeline class selection from the model registry or model_index.json",
    "pipeline-class-name": "Advanced override for pipeline class selection from the model registry or model_index.json",
    "pipeline-config-path": "Path to the pipeline config",
    "pitch-limit-deg": "SANA-WM action DSL absolute pitch clamp in degrees",
    "pitch_limit_deg": "SANA-WM action DSL absolute pitch clamp in degrees",
    "port": "Port for the HTTP API server",
    "profile": "Enable torch profiler for denoising stage",
    "profile-all-stages": "Used with --profile, profile all pipeline stages",
    "progressive-delta": "Noise-dominated tolerance δ for stage-transition thresholds",
    "progressive-levels": "Number of resolution halvings for progressive generation",
    "progressive-mode": "Progressive resolution mode",
    "prompt": "Text prompt(s) for generation",
    "prompt-encoder-urls": (
        "Semicolon-separated prompt encoder endpoints; use with --image-encoder-urls instead of --encoder-urls"
    ),
    "prompt-enhancer-config": (
        "JSON config file for an external SRT prompt enhancer, used by HTTP requests with enhance_prompt=true"
    ),
    "prompt-file-path": "Path to a text file containing prompts (one per line) for batch processing",
    "prompt-path": "Path to a text file containing prompts (one per line)",
    "quality": (
        "Request-level quality: 'lossless' (default) runs every fast path that keeps the reference math and "
        "operand precision and only moves the rounding, so …"
    ),
    "quantization": "Quantization method for the transformer",
    "quantization-act-unsigned": "Use unsigned activation quantization (if supported)",
    "quantization-ignored-layers": (
        "Layer name patterns to keep unquantized during online quantization (fp8/mxfp4/convrot_int8)"
    ),
    "quantization-precision": "Quantization precision: int4 or nvfp4",
    "quantization-rank": "SVD low-rank dimension (e.g., 32)",
    "raw-action-dim": "Number of active action dimensions to predict; remaining dimensions are zero-padded",
    "realtime-causal-kv-cache-num-frames": (
        "Override the total frame capacity of realtime causal DiT KV cache for pipelines that support it"
    ),
    "realtime-causal-sink-size": (
        "Override the number of sink frames kept by realtime causal DiT pipelines that support it"
    ),
    "refiner-chunked": "SANA-WM: chunk-wise streaming refiner (vs whole-clip dense refiner)",
    "regional-compile": (
        "Compile repeated DiT submodules selected by the model's _compile_conditions instead of compiling the "
        "whole transformer"
    ),
    "resolution": "Override the selected pipeline config's resolution setting",
    "return-file-paths-only": (
        "If set, output file will be saved early to get a performance boost, while output tensors will not be returned"
    ),
    "return-frames": "Whether to return the raw frames",
    "return-trajectory-decoded": "Whether to return the decoded trajectory",
    "return-trajectory-latents": "Whether to return the trajectory",
    "revision": "The specific model version to use (can be a branch name, tag name, or commit id)",
    "ring-degree": "Ring sequence parallel degree",
    "rollout": "Enable rollout mode and return per-step log_prob trajectory",
    "rollout-debug-mode": "If true, return rollout debug tensors (variance noise, mean, std, model output)",
    "rollout-log-prob-no-const": "If true, return rollout log-prob without constant terms",
    "rollout-noise-level": "Noise level used by rollout SDE/CPS step objective",
    "rollout-sde-type": "Rollout step objective type used in log-prob computation",
    "rotation-speed-deg": "SANA-WM action DSL per-frame rotation speed in degrees",
    "rotation_speed_deg": "SANA-WM action DSL per-frame rotation speed in degrees",
    "save-output": "Whether to save the output to disk",
    "scheduler-class-override": "Override the scheduler class from scheduler_config.json",
    "scheduler-port": "Port for the scheduler server",
    "scheduler-rpc-timeout": (
        "Optional end-to-end timeout in seconds for a scheduler RPC, including time spent in the scheduler queue"
    ),
    "seed": "Random seed for generation",
    "served-model-name": "Override the model name exposed by /v1/models and used in generation responses",
    "server-warmup": "Have the server warm up when it starts",
    "sleep-on-idle": "Reduce idle CPU usage by waiting for requests instead of busy polling",
    "sound-duration": "Duration of generated audio in seconds; 0 disables audio output (audio-capable models only)",
    "sp-degree": "The sequence parallelism size",
    "spectrum-flex-window": "Spectrum adaptive window growth slope",
    "spectrum-lam": "Spectrum ridge regularization strength",
    "spectrum-m": "Spectrum Chebyshev polynomial degree (M)",
    "spectrum-tau-num-steps": "Spectrum tau normalization horizon",
    "spectrum-warmup-steps": "Spectrum warmup denoising steps before caching",
    "spectrum-window-size": "Spectrum initial skip window size",
    "spectrum_flex_window": "Spectrum adaptive window growth slope",
    "spectrum_lam": "Spectrum ridge regularization strength",
    "spectrum_m": "Spectrum Chebyshev polynomial degree (M)",
    "spectrum_tau_num_steps": "Spectrum tau normalization horizon",
    "spectrum_warmup_steps": "Spectrum warmup denoising steps before caching",
    "spectrum_window_size": "Spectrum initial skip window size",
    "sr-num-steps": "Kandinsky6 SR Euler grid points (>= 2, default: 5); ignored by pi-Flow checkpoints",
    "sr-resolution-scale": "Kandinsky6 SR total upscale factor: 2, 4 or 2.25",
    "sr-target-resize-mode": (
        "Kandinsky6 SR: 'fit' keeps the aspect ratio inside the target resolution, 'exact' resizes to it exactly"
    ),
    "sr-target-resolution": (
        "Kandinsky6 SR delivery resolution: hd, fullhd, 2k or WxH; the result is only ever downscaled to it"
    ),
    "sr-tile-min-overlap": "Kandinsky6 SR: minimum tile overlap fraction in [0, 1)",
    "sr-tiles-batch-size": "Kandinsky6 SR: number of tiles denoised together",
    "srt-encoder-connection-timeout": (
        "Timeout (in seconds) for establishing the initial TCP connection to the SGLang encoder server"
    ),
    "srt-encoder-timeout": "Timeout (in seconds) for HTTP requests to the SGLang encoder server",
    "srt-encoder-url": "Url of SGLang server for encoder stage",
    "streaming": "SANA-WM: enable chunk-causal streaming (forward_long) generation",
    "strict-ports": "If enabled, fail when requested ports are unavailable instead of auto-selecting",
    "system-prompt": "System prompt: preset name or raw custom text",
    "task-type": "Request task (for example t2i, i2i, t2v, i2v, v2v, f2v); must be supported by the pipeline",
    "text-encoder-cpu-offload": "Use CPU offload for text encoder",
    "text-encoder-precisions": "Precision for each text encoder",
    "tp-size": "The tensor parallelism size",
    "transformer-weights-path": "Path to pre-quantized transformer weights",
    "translation-speed": "SANA-WM action DSL per-frame translation speed",
    "translation_speed": "SANA-WM action DSL per-frame translation speed",
    "true-cfg-scale": (
        "True CFG scale for models that distinguish distilled guidance from standard CFG (e.g., Qwen-Image, FLUX.1)"
    ),
    "trust-remote-code": "Trust remote code when loading HuggingFace models",
    "ulysses-degree": "Ulysses sequence parallel degree",
    "upscaling-model-path": "Local .pth file, HuggingFace repo ID, or repo_id:filename for Real-ESRGAN weights",
    "upscaling-scale": "Upscaling factor",
    "use-fsdp-inference": "Use FSDP inference to shard DiT weights across GPUs",
    "uvicorn-access-log-exclude-prefixes": (
        "Exclude uvicorn access logs whose request path starts with any of these prefixes"
    ),
    "vae-cpu-offload": "Use CPU offload for VAE",
    "vae-decode-precision": "Optional decode-only VAE precision override",
    "vae-precision": "Precision for VAE",
    "vae-slicing": "Enable VAE slicing",
    "vae-sp": "Enable VAE spatial parallelism",
    "vae-tiling": "Enable VAE tiling",
    "video-path": "Path(s) to input video(s) for video-to-video generation",
    "warmup": "Run a warmup request before the measured one",
    "warmup-mode": "Warmup mode",
    "warmup-num-frames": "Override the synthetic video warmup frame count",
    "warmup-resolutions": "Specify explicit warmup resolutions. e.g., `--warmup-resolutions 256x256 720x720`",
    "warmup-sampling-params": (
        "JSON object overriding model sampling defaults for synthetic warmup and auto residency planning, for example …"
    ),
    "warmup-steps": "The number of warmup steps to perform for each resolution",
    "webui": "Whether to use webui for better display",
    "webui-port": "Port of the web interface",
    "width": "Width of the output in pixels",
    "window-size": "Spectrum initial skip window size",
    "window_size": "Spectrum initial skip window size",
    "x264-preset": "libx264 preset for MP4 output",
}
