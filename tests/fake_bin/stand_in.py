"""A stand-in for `sglang` that leaves what the real one leaves - dump, outputs, log - without a model or a GPU.

The script `sglang` beside this file starts it. It is deterministic and knows how the log and the dump of 0.5.8 to
0.5.23 look. It serves tests of what happens around an engine; what is claimed of the real engine is tested with the
real engine.

    sglang version | --version         prints its version (answered by the script)
    sglang generate --flag value …     one launch
    sglang generate --help             the flags of SGDIFF_FAKE_HELP; without it, as an engine whose help fails
    sglang serve --flag value …        the life of a server, see serving.py (0.5.17 on)

Variables:

    SGDIFF_FAKE_VERSION    the version that it plays, 0.5.17 by default
    SGDIFF_FAKE_CALLED     the version that it says it is, by default the one that it plays
    SGDIFF_FAKE_HELP       a file that `generate --help` prints; each call adds a line to FILE.asked
    SGDIFF_FAKE_SCENARIO   what happens (below), `native` by default; several joined by `+`: `slow:1.08+pause:450`
    SGDIFF_FAKE_SEQUENCE   a file with one scenario a line: launch after launch takes the next, the last one stays.
                           The count is kept in FILE.count, under a lock, so that concurrent launches share it
    SGDIFF_FAKE_SLEEP_S    seconds that loading takes, 0 by default

Scenarios:

    native            a launch that counts
    encoder:F         text encoding F times as long         cached         --disable-conditioning-cache is ignored
    slow:F            everything F times as long            pause:MS       MS more before the first denoising step
    memory:MIB        so much memory at its peak
    cold              no warmup runs (the flag is ignored)  claimed        as cold, and the log claims a warmup
    warmup-failed     the warmup request fails              synthetic      only synthetic shapes are warmed up
    fallback          falls back to the diffusers backend   attention      the attention backend asked for is missing
    component         one component runs as a diffusers class in the native pipeline
    compile-failed    torch.compile fails                   moved-port     the scheduler moves off its taken port
    request-error     the request fails; exit 0, no dump    empty-output   the scheduler returns nothing; exit 0
    oom               the request runs out of memory; exit 0, no dump
    load-oom          loading runs out of memory; exit 1    port-lost      the master port is taken; exit 1
    no-model          the model cannot be resolved; exit 1
    no-dump           exit 0, no dump                       torn-dump      the dump ends in the middle
    zero-dump         a dump whose total is 0               stale          the dump is dated a day back
    worker-dump       the worker wrote the dump             missing-stage  the dump lacks its denoising stage
    few-steps         half the steps asked for              no-output      no output file
    empty-file        an output file of 0 bytes             black          a picture (PNG) that is black
    picture:N         a picture (PNG), another one for each N
    hang              prints, then never ends               stubborn       as hang, and ignores SIGTERM
    killed            kills itself with SIGKILL             orphan         leaves a child behind and hangs
    secret            prints the value of HF_TOKEN
    no-profiler       --profile ends with exit code 1
"""

# Tests start it hundreds of times: nothing is imported that takes as long as the rest, such as pathlib or subprocess.
import fcntl
import json
import os
import signal
import sys
import time

VERSION = os.environ.get("SGDIFF_FAKE_VERSION", "0.5.17")
RELEASE = int(VERSION.split(".")[2])
# Launch-to-launch factors of a real H200: CV 0.4 %.
JITTER = (1.000, 0.996, 1.005, 0.998, 1.003, 1.001, 0.994, 1.006, 0.999, 1.002)

# Stages in order with their milliseconds; `20 x 50.8` are steps of so many milliseconds, `steps` as many as asked for.
WAN = """
    InputValidationStage 0.05 / TextEncodingStage 39.5 / LatentPreparationStage 0.16 / TimestepPreparationStage 0.4
    / DenoisingStage steps x 50.8 / DecodingStage 35.2
"""
WAN_I2V = """
    InputValidationStage 0.05 / TextEncodingStage 39.5 / ImageVAEEncodingStage 67.9 / LatentPreparationStage 0.16
    / TimestepPreparationStage 0.4 / DenoisingStage steps x 50.8 / DecodingStage 35.2
"""
EDIT = """
    InputValidationStage 16.4 / ImageEncodingStage 602.8 / ImageVAEEncodingStage 67.9 / LatentPreparationStage 0.2
    / TimestepPreparationStage 9.5 / DenoisingStage steps x 275.0 / DecodingStage 14.3
"""
SHAPE = """
    Hunyuan3DShapeBeforeDenoisingStage 54.3 / Hunyuan3DShapeDenoisingStage steps x 33.1
    / Hunyuan3DShapeExportStage 6011.9 / Hunyuan3DShapeSaveStage 684.0
"""
LTX = """
    InputValidationStage 0.04 / TextEncodingStage 404.9 / LTX2TextConnectorStage 10.4 / LTX2SigmaPreparationStage 0.14
    / TimestepPreparationStage 7.8 / LTX2AVLatentPreparationStage 1.3 / LTX2AVDenoisingStage steps x 131.2
    / LTX2AVDecodingStage 219.5
"""
LTX_TWO = """
    InputValidationStage 0.04 / TextEncodingStage 404.9 / LTX2TextConnectorStage 10.4 / LTX2HalveResolutionStage 0.05
    / LTX2LoRASwitchStage 2.5 / LTX2SigmaPreparationStage 0.14 / TimestepPreparationStage 7.8
    / LTX2AVLatentPreparationStage 1.3 / LTX2ImageEncodingStage 0.01 / LTX2AVDenoisingStage steps x 131.2
    / LTX2UpsampleStage 2.7 / ltx2_lora_switch_stage2 21.3 / ltx2_image_encoding_stage2 0.01
    / LTX2RefinementStage 3 x 212.0 / LTX2AVDecodingStage 219.5
"""
DIFFUSERS = "DiffusersExecutionStage 3784.5"


IMAGES = {
    "flux.1": "FluxPipeline",
    "qwen-image": "QwenImagePipeline",
    "z-image": "ZImagePipeline",
    "stable-diffusion-3": "StableDiffusion3Pipeline",
}


def family(args):
    """Pipeline class, stages, default steps and suffix of the output."""
    named, model = args.get("pipeline-class-name"), args["model-path"].lower()
    if named in ("LTX2TwoStagePipeline", "LTX2TwoStageHQPipeline"):
        return named, LTX_TWO, 40, ".mp4"
    if "ltx" in model:
        return named or "LTX2Pipeline", LTX, 30, ".mp4"
    if "hunyuan3d" in model:
        return named or "Hunyuan3D2Pipeline", SHAPE, 50, ".glb"
    if "edit" in model:
        return named or ("JoyImageEditPipeline" if "joy" in model else "QwenImageEditPlusPipeline"), EDIT, 40, ".png"
    image = next((pipeline for word, pipeline in IMAGES.items() if word in model), None)
    if image:
        return named or image, WAN, 20, ".png"
    if "-i2v-" in model:
        return named or "WanImageToVideoPipeline", WAN_I2V, 20, ".mp4"
    return named or "WanPipeline", WAN, 20, ".mp4"


class Log:
    """The engine's log: stderr in 0.5.8, stdout since; colours whether or not anybody looks at them."""

    stream = sys.stderr if RELEASE == 8 else sys.stdout

    def info(self, text):
        print(f"[11-23 16:33:59] {text}", file=self.stream, flush=True)

    def warning(self, text):
        print(
            f"\x1b[93m[11-23 16:33:59] {text}\x1b[0;0m" if RELEASE > 8 else f"[11-23 16:33:59] {text}",
            file=self.stream,
            flush=True,
        )

    def error(self, text):
        print(
            f"\x1b[91m[11-23 16:33:59] {text}\x1b[0;0m" if RELEASE > 8 else f"[11-23 16:33:59] {text}",
            file=self.stream,
            flush=True,
        )

    def traceback(self, *lines):
        print("Traceback (most recent call last):", *lines, sep="\n", file=sys.stderr, flush=True)


def parse(words):
    """Flags and values; exits as the version's own parser does on what it does not know."""
    args, name = {}, None
    for word in words:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            args[name] = value if "=" in word else True
        elif name is not None:
            args[name] = word if args[name] is True else args[name]
    refused = ("warmup-mode" in args and RELEASE < 14) or ("strict-ports" in args and RELEASE < 10)
    if "warmup" in args and RELEASE >= 18:
        sys.exit(usage("ambiguous option: --warmup could match --warmup-mode, --warmup-resolutions, --warmup-steps"))
    if refused or any("_" in flag for flag in args):
        usage("unrecognized arguments: " + " ".join(words))
        sys.exit(2 if RELEASE < 10 else 1)
    if not isinstance(args.get("model-path"), str):
        sys.exit(usage("--model-path is missing"))
    return args


def usage(text):
    print(f"usage: sglang generate [OPTIONS]\nsglang: error: {text}", file=sys.stderr)
    return 2


def scenario_and_number(args):
    """What this launch plays, and its number: from the sequence, or from its folder."""
    number = next((int(part) for part in reversed(str(args.get("perf-dump-path")).split("/")) if part.isdigit()), 0)
    path = os.environ.get("SGDIFF_FAKE_SEQUENCE")
    if not path:
        return os.environ.get("SGDIFF_FAKE_SCENARIO", "native"), number
    with open(path) as file:
        scenarios = file.read().split()
    with open(path + ".count", "a+") as count:
        fcntl.flock(count, fcntl.LOCK_EX)
        count.seek(0)
        taken = int(count.read() or 0)
        count.truncate(0)
        count.write(str(taken + 1))
    return scenarios[min(taken, len(scenarios) - 1)], taken


class Launch:
    def __init__(self, args):
        text, number = scenario_and_number(args)
        self.plays = dict(part.partition(":")[::2] for part in text.split("+"))
        self.args, self.log = args, Log()
        self.factor = float(self.plays.get("slow") or 1) * JITTER[number % len(JITTER)]
        self.pipeline, self.stages, steps, self.suffix = family(args)
        self.steps = int(args.get("num-inference-steps", steps)) // (2 if "few-steps" in self.plays else 1)
        self.diffusers = args.get("backend") == "diffusers" or "fallback" in self.plays
        asked = args.get("warmup-mode", "request" if args.get("warmup", "false") != "false" else "off")
        if "claimed" in self.plays or (asked == "off" and "enable-torch-compile" in args and RELEASE >= 15):
            asked = "server"
        self.warmup = "off" if "cold" in self.plays else asked
        self.cache = RELEASE >= 21 and ("cached" in self.plays or "disable-conditioning-cache" not in args)
        self.name = str(args.get("prompt", "output"))[:40].replace(" ", "_") + self.suffix

    def run(self):
        self.start()
        time.sleep(float(os.environ.get("SGDIFF_FAKE_SLEEP_S", "0")))
        self.ends_early()
        self.load()
        if "profile" in self.args and "no-profiler" in self.plays:
            sys.exit(1)
        self.warm_up()
        if self.fails():
            return
        self.generate()

    def start(self):
        args = self.args
        resolved = {
            "model_path": args["model-path"],
            "backend": args.get("backend", "auto"),
            "attention_backend": args.get("attention-backend"),
            "num_gpus": int(args.get("num-gpus", 1)),
            "ulysses_degree": int(args.get("ulysses-degree", 1)),
            "ring_degree": int(args.get("ring-degree", 1)),
            "enable_cfg_parallel": "enable-cfg-parallel" in args,
            "enable_torch_compile": "enable-torch-compile" in args,
        }
        if RELEASE < 18:
            resolved["warmup"] = self.warmup != "off"
        if RELEASE >= 14:
            resolved["warmup_mode"] = self.warmup
        if RELEASE >= 21:
            resolved["disable_conditioning_cache"] = not self.cache
            resolved["conditioning_cache_max_size_mb"] = 512.0
        resolved["warmup_resolutions"] = ["1024x1024"] if "synthetic" in self.plays else args.get("warmup-resolutions")
        if self.warmup == "server":
            self.log.info("Automatically enabled server warmup for torch.compile so first requests are not slow.")
        if RELEASE >= 13:
            self.log.info("Auto memory policy for WanT2V480PConfig selected layerwise offload components: text_encoder")
        self.log.info("server_args: " + json.dumps(resolved))
        self.log.info("Starting server...")
        if "secret" in self.plays:
            self.log.info(f"logging in with HF_TOKEN={os.environ.get('HF_TOKEN')}")

    def ends_early(self):
        """What ends the process before a model is loaded, or keeps it from ever ending."""
        if "no-model" in self.plays:
            model = self.args["model-path"]
            self.log.traceback(f"Exception: Generate subcommand is not yet supported for model: {model}")
            sys.exit(1)
        if "port-lost" in self.plays:
            port = self.args.get("master-port", 30005)
            self.log.traceback(
                "torch.distributed.DistNetworkError: The server socket has failed to listen on any local network "
                f"address. port: {port}, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use"
            )
            self.dies()
        if "load-oom" in self.plays:
            self.log.traceback("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB.")
            self.dies()
        if "moved-port" in self.plays:
            port = int(self.args.get("scheduler-port", 5555))
            self.log.info(f"ZMQ bind failed for port {port}, retrying with port {port + 42} (attempt 2/10)")
        if "killed" in self.plays:
            os.kill(os.getpid(), signal.SIGKILL)
        if "stubborn" in self.plays:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if "orphan" in self.plays:
            os.spawnlp(os.P_NOWAIT, "sleep", "sleep", "600")
        if {"hang", "stubborn", "orphan"} & set(self.plays):
            self.log.info("Scheduler bind at endpoint: tcp://127.0.0.1:5652")
            while True:
                time.sleep(600)

    def dies(self):
        self.log.error("Rank 0 scheduler is dead. Please check if there are relevant logs.")
        self.log.error("Exit code: 1")
        self.log.traceback("EOFError")
        sys.exit(1)

    def load(self):
        model, named = self.args["model-path"], self.args.get("pipeline-class-name")
        if self.args.get("backend") == "diffusers":
            self.log.info(f"Using diffusers backend for model '{model}' (explicitly requested)")
        elif self.diffusers:
            self.log.warning(
                f"Pipeline class 'X' specified in '{model}' has no native sglang support. "
                "Falling back to diffusers backend."
            )
        elif RELEASE < 10:
            self.log.info(f"Using native sglang backend for model '{model}'")
        pipeline = "DiffusersPipeline" if self.diffusers else self.pipeline
        if named and not self.diffusers:
            self.log.info("Available pipelines in registry: ['DiffusersPipeline', 'FluxPipeline', 'WanPipeline']")
            self.log.info(f"✓ Using explicitly specified pipeline: {named} (class: {pipeline})")
        else:
            self.log.info("No pipeline_class_name specified, using model_index.json")
            self.log.info(f"Using pipeline from model_index.json: {pipeline}")
        if self.diffusers:
            self.log.info("Loaded diffusers pipeline: StableDiffusionPipeline")
        else:
            self.attention()
            if "component" in self.plays:
                self.log.error("Error while loading customized transformer, falling back to native version")
                self.log.warning(
                    "Native component transformer: WanTransformer3DModel is loaded, performance may be sub-optimal"
                )
            if "compile-failed" in self.plays:
                self.log.warning("Failed to apply torch.compile to transformer: backend='inductor' raised")
        self.log.info("Pipeline instantiated")
        self.log.info("Worker 0: Scheduler loop started.")

    def attention(self):
        used = self.args.get("attention-backend", "fa")
        if "attention" in self.plays:
            used = "fa"
            self.log.info(
                "Sage Attention backend is not installed (To install it, run `pip install sageattention`). "
                "Falling back to Flash Attention."
            )
        titles = {
            "fa": "FlashAttention (FA3 for hopper, FA4 for blackwell)",
            "torch_sdpa": "Torch SDPA",
            "sage_attn": "Sage Attention",
        }
        if RELEASE < 14:
            self.log.info(f"Using {titles.get(used, used)} backend")
        if RELEASE in (12, 13):
            self.log.info(f"Using {used} backend for transformer")
        if RELEASE >= 14:
            self.log.info(f"Attention backends for transformer: {used}")
            self.log.info(f"Using {used} attention backend")

    def warm_up(self):
        if self.warmup != "request":
            return
        failed = "warmup-failed" in self.plays
        shape = "warmup req (832x480x17f, 1/20 steps)"
        if RELEASE < 14:
            self.log.info("Processing warmup req... (1/1)")
            self.log.info(
                "Warmup req (1/1) processing failed"
                if failed
                else "Warmup req (1/1) processed in \x1b[92m48.92\x1b[0;0m seconds"
            )
        elif RELEASE >= 15 and (os.environ.get("CI") or os.environ.get("GITHUB_ACTIONS")):
            self.log.info(f"Warmup requests: 0/1 {shape}")
            self.log.info(f"Warmup requests: 1/1 {shape}")
        else:
            # The bar advances on failure too, and redraws its line; the next record is glued to it.
            bar = "█" * 10
            sys.stderr.write(
                f"\rWarmup requests:   0%|          | 0/1 [00:00<?, ?req/s]"
                f"\rWarmup requests: 100%|{bar}| 1/1 [00:48<00:00, 48.92s/req, {shape}]\n"
            )
            sys.stderr.flush()
        if failed and RELEASE >= 14:
            (self.log.warning if RELEASE > 14 else self.log.info)(f"{shape} processing failed: CUDA error")
        if not failed and RELEASE >= 13:
            self.log.info("The server is fired up and ready to roll!")

    def fails(self):
        """Requests that fail; the exit code is 0 all the same."""
        if "request-error" in self.plays or "oom" in self.plays:
            why = "RuntimeError: The size of tensor a (16) must match the size of tensor b (20)"
            if "oom" in self.plays:
                why = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB."
            said = why.partition(": ")[2]
            self.log.error(f"Error executing request 8ad1b101: {said}")
            self.log.traceback(why)
            self.log.error(f"Failed to generate output for prompt: {said}")
            if RELEASE >= 9:
                self.log.error(f"Generation failed: {said}")
            return True
        if "empty-output" in self.plays:
            self.log.error("Received empty output from scheduler")
            return True
        return False

    def generate(self):
        self.describe()
        dump = self.dump()
        for stage in dump["steps"]:
            self.log.info(f"[{stage['name']}] started...")
            self.log.info(f"[{stage['name']}] finished in {stage['duration_ms'] / 1000:.4f} seconds")
        self.save()
        self.write(dump)
        self.trace()
        total_s = dump["total_duration_ms"] / 1000
        self.log.info(f"Pixel data generated successfully in \x1b[92m{total_s + 49:.2f}\x1b[0;0m seconds")
        if self.warmup == "request" and "warmup-failed" in self.plays and RELEASE >= 22:
            self.log.warning(
                f"Warmup failed, so this request ran cold: {total_s:.2f} seconds includes first-use cost "
                "and is not a warmed-up timing"
            )
        elif self.warmup != "off":
            timed = f"\x1b[92m{total_s:.2f}\x1b[0;0m seconds"
            self.log.info(f"Warmed-up request processed in {timed} (with warmup excluded)")
        self.log.info("Memory usage - Max peak: 4124.00 MB, Avg peak: 4124.00 MB")
        if RELEASE < 23:
            self.log.warning("Generator was garbage collected without being shut down. Forcing local server cleanup.")

    def describe(self):
        args, prompt = self.args, str(self.args.get("prompt", ""))
        shown = f"<redacted, len={len(prompt)}>" if RELEASE >= 10 else prompt
        self.log.info("Sampling params:")
        for name, value in (
            ("width", args.get("width", 832)),
            ("height", args.get("height", 480)),
            ("num_frames", args.get("num-frames", 1)),
            ("prompt", shown),
            ("seed", args.get("seed", 42)),
            ("infer_steps", self.steps),
            ("save_output", "no-save-output" not in args),
        ):
            print(f"{name:>28}: {value}", file=self.log.stream)

    def dump(self):
        stages, steps, total = [], [], 0.0
        for entry in (DIFFUSERS if self.diffusers else self.stages).split("/"):
            name, *count, each_ms = entry.replace(" x ", " ").split()
            duration = float(each_ms) * self.factor
            if name == "TextEncodingStage":
                duration *= float(self.plays.get("encoder") or 1)
                # What a real 0.5.23 took on the CPU for an encoding that its warmup had left in the cache.
                duration = 1.8 * self.factor if self.cache and self.warmup == "request" else duration
            if count:
                # A step is a little shorter or longer than the next, the same in every launch.
                steps_of_stage = range(self.steps if count == ["steps"] else int(count[0]))
                own = [duration * (1 + 0.004 * ((step * 7) % 5 - 2)) for step in steps_of_stage]
                pause = float(self.plays.get("pause") or 0) if not steps else 0.0
                steps += own
                duration = sum(own) + 6.5 + pause
            total += duration
            if not ("missing-stage" in self.plays and "Denoising" in name):
                stages.append({"name": name, "duration_ms": duration})
        if RELEASE >= 17:
            stages.append({"name": "Scheduler.return_result.spill_arrays", "duration_ms": 0.05})
            stages.append({"name": "SchedulerClient.materialize_file_refs", "duration_ms": 0.007})
        worker = "worker-dump" in self.plays
        meta = {"model": self.args["model-path"]}
        if not worker:
            prompt = self.args.get("prompt")
            meta = {"prompt": prompt if RELEASE < 10 else [prompt], **meta}
        return {
            "timestamp": "2026-11-23T16:35:22.053178+00:00",
            "request_id": "8ad1b101-5736-4e5e-8d6a-2f3cc42e518a",
            "commit_hash": "N/A",
            "tag": "server_perf_dump" if worker else "cli_generate",
            "total_duration_ms": 0 if "zero-dump" in self.plays else total + 5.0,
            "steps": stages,
            "denoise_steps_ms": [{"step": step, "duration_ms": ms} for step, ms in enumerate(steps)],
            **({"memory_checkpoints": self.memory()} if RELEASE >= 9 else {}),
            "meta": meta,
        }

    def trace(self):
        """The trace of a request with --profile: attention as ever, and a gelu that takes longer where all does."""
        if "profile" not in self.args:
            return
        events, now = [], 1000.0
        for step in range(1, 1 + min(self.steps, int(self.args.get("num-profiled-timesteps", 5)) + 1)):
            begin = now
            gelu = ("aten::gelu", [2, 64], 10.0 * self.factor**9)
            for name, shape, took in (("aten::attention", [2, 8], 40.0), gelu):
                args = {"External id": len(events), "Input Dims": [shape]}
                events.append({"cat": "cpu_op", "name": name, "ts": now, "dur": took * 1000, "args": args})
                now += took * 1000
            events.append({"cat": "user_annotation", "name": f"ProfilerStep#{step}", "ts": begin, "dur": now - begin})
        text = json.dumps({"traceEvents": [{"ph": "X", "pid": 1, "tid": 1, **event} for event in events]})
        folder = os.environ["SGLANG_DIFFUSION_TORCH_PROFILER_DIR"]
        with open(os.path.join(folder, "request-5_steps-global-rank0.trace.json"), "w") as file:
            file.write(text)

    def memory(self):
        now = {"allocated_mb": 1188.31, "reserved_mb": 4124.0}
        most = float(self.plays.get("memory") or 3011.53)
        peak = {**now, "peak_allocated_mb": most, "peak_reserved_mb": max(4124.0, most)}
        if RELEASE >= 19:
            peak["peak_host_anon_mb"] = 0.0
        found = {"before_forward": {**peak, "peak_allocated_mb": 1104.61}, "after_forward": peak}
        if RELEASE >= 19:
            # 0.5.19 fills the allocated fields of these with what is allocated now.
            found["load_peak"] = {**peak, "peak_reserved_mb": 3826.0}
            found["runtime_peak"] = {**peak, "peak_reserved_mb": 4200.0}
        if RELEASE >= 20:
            found["load_peak"]["peak_allocated_mb"] = 2100.5
            found["runtime_peak"]["peak_allocated_mb"] = 3055.25
            found["warmup_peak"] = {**peak, "peak_reserved_mb": 4124.0}
        return found

    def save(self):
        if "no-save-output" in self.args or "no-output" in self.plays:
            return
        folder = self.args.get("output-path", "outputs")
        os.makedirs(folder, exist_ok=True)
        output = os.path.join(folder, self.name)
        with open(output, "wb") as file:
            file.write(b"" if "empty-file" in self.plays else self.picture())
        self.log.info(f"Output saved to \x1b[1;36m{output}\x1b[0;0m")

    def picture(self):
        """The bytes of the output: a small PNG, if one is played."""
        if "picture" not in self.plays and "black" not in self.plays:
            return b"not a picture"
        import struct
        import zlib

        side, number = 48, int(self.plays.get("picture") or 0)
        rows = (
            bytes(
                0 if "black" in self.plays else (x * (3 + number) + y * (5 - number) + 40 * colour) % 256
                for x in range(side)
                for colour in range(3)
            )
            for y in range(side)
        )
        head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = zlib.compress(b"".join(b"\0" + row for row in rows))
        parts = [(b"IHDR", head), (b"IDAT", body), (b"IEND", b"")]
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
            for name, data in parts
        )

    def write(self, dump):
        path = self.args.get("perf-dump-path")
        if not isinstance(path, str) or "no-dump" in self.plays:
            return
        text = json.dumps(dump, indent=2)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(path, "w") as file:
            file.write(text[: len(text) // 2] if "torn-dump" in self.plays else text)
        if "stale" in self.plays:
            day_ago = time.time() - 86400
            os.utime(path, (day_ago, day_ago))
        self.log.info(f"Metrics dumped to: \x1b[1;36m{path}\x1b[0;0m")


def show_help(path):
    if not path:
        sys.exit(usage("--model-path is missing"))
    with open(path + ".asked", "a") as count:
        count.write("asked\n")
    with open(path) as file:
        print(file.read())


def main(words):
    if words == ["generate", "--help"]:
        show_help(os.environ.get("SGDIFF_FAKE_HELP"))
    elif words[:1] == ["generate"]:
        Launch(parse(words[1:])).run()
    elif words[:1] == ["serve"]:
        import serving

        serving.Server(parse(words[1:])).run()
    else:
        sys.exit(usage("choose from 'generate', 'serve', 'version'"))
