"""What the numbers of a case mean: warmup, seeds, timers, memory, and how many requests one dump describes."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sgdiff.engines import conditioning
from pytest_sgdiff.lint.protocol import Finding, Rule, View, first_of
from pytest_sgdiff.metrics import PEAK_MEMORY, STAGE, gated, group

SYNC = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"


def several_prompts(view: View) -> Iterator[Finding]:
    prompt = view.arg("prompt")
    if isinstance(prompt, tuple) and len(prompt) > 1:
        yield Finding(
            view.place("prompt"),
            f"the perf dump describes the first of {len(prompt)} prompts only: give one prompt per case",
        )
    for flag in filter(view.key_of, ("prompt-path", "prompt-file-path")):
        yield Finding(
            view.place(flag), "the perf dump describes the first prompt of a file only: give one prompt per case"
        )


def several_outputs(view: View) -> Iterator[Finding]:
    flag = next(first_of(view, ("num-outputs-per-prompt", "num-outputs")), "")
    count = view.count(flag)
    if count is not None and count > 1:
        yield Finding(
            view.place(flag),
            f"the perf dump's stages describe the first of {count} outputs, its total all of them: "
            "measure one output per case",
        )


def output_not_saved(view: View) -> Iterator[Finding]:
    if view.on("no-save-output") or view.off("save-output"):
        key = view.place("no-save-output") if view.on("no-save-output") else view.place("save-output")
        yield Finding(
            key, "a launch counts only if its output file exists, since the engine exits with 0 on errors: save it"
        )


def profiler_on(view: View) -> Iterator[Finding]:
    for flag in first_of(view, ("profile", "profile-all-stages")):
        if not view.off(flag):
            yield Finding(view.place(flag), "the profiler slows the measured request down: profile in a separate run")


def log_level(view: View) -> Iterator[Finding]:
    if view.word("log-level") in ("warning", "error", "critical"):
        yield Finding(
            view.place("log-level"),
            f"at log level {view.word('log-level')} the engine does not log which backend ran, so it cannot be proved: "
            "use info",
        )


def compile_without_warmup(view: View) -> Iterator[Finding]:
    if view.on("enable-torch-compile") and view.case.warmup == "off":
        yield Finding(
            view.place("enable-torch-compile"),
            "without warmup the measured request compiles, and versions 0.5.15 to 0.5.23 still print 'with warmup "
            "excluded': set 'warmup: request'",
        )


def conditioning_cache(view: View) -> Iterator[Finding]:
    # Engines before 0.5.21 have no such cache.
    case = view.case
    repeats = not case.varied if case.serves else case.engine == "sglang-generate" and conditioning.warms_up(case)
    if repeats and case.runs_on == "sglang" and conditioning.wanted(case) and not view.older_than(0, 5, 21):
        flag = conditioning.DISABLE if view.key_of(conditioning.DISABLE) else conditioning.SIZE
        yield Finding(
            view.place(flag),
            "the warmup is a copy of the measured request, which then finds its encodings in the cache, so a slower "
            "encoder does not show; leave this out, and the plugin turns the cache off",
        )


def warmup_resolutions(view: View) -> Iterator[Finding]:
    if view.arg("warmup-resolutions") is not None and view.case.engine == "sglang-generate":
        yield Finding(
            view.place("warmup-resolutions"),
            "in 'sglang generate' this replaces the warmup by the request itself with made-up requests of these "
            "sizes: drop it",
        )


def breakable_cuda_graph(view: View) -> Iterator[Finding]:
    if view.on("enable-breakable-cuda-graph") and view.case.engine == "sglang-generate":
        yield Finding(
            view.place("enable-breakable-cuda-graph"),
            "this forces server warmup, which 'sglang generate' never runs, so that capturing is measured: drop it",
        )


def two_experts_one_warmup_step(view: View) -> Iterator[Finding]:
    two_experts = view.model_has("Wan2.2-T2V-A14B", "Wan2.2-I2V-A14B")
    steps = view.count("warmup-steps") or 1
    # A client's warmup request to a server has all steps.
    warms_up_itself = view.case.warmup == "request" and not view.case.serves
    if two_experts and steps < 2 and view.on("enable-torch-compile") and warms_up_itself:
        yield Finding(
            view.place("enable-torch-compile"),
            "warmup runs one step, which uses only the first of this model's two transformers, and the second compiles "
            "during the measured request; raise warmup-steps until both run",
        )


def no_seed(view: View) -> Iterator[Finding]:
    if view.arg("seed") is None:
        yield Finding("args", "no seed: outputs, and times that depend on them, differ from launch to launch; pin seed")


def timers_not_synchronised(view: View) -> Iterator[Finding]:
    if view.case.gpus > 0 and not view.env_on(SYNC):
        yield Finding(
            "env",
            "the engine's stage timers do not wait for the GPU, so that time spent in one stage shows up in the next: "
            f'set {SYNC}: "1"',
        )


def timers_partly_synchronised(view: View) -> Iterator[Finding]:
    of_stages = any(group(gate) or gate.startswith(STAGE) for gate in gated(view.case.metrics))
    if view.env_on(SYNC) and view.older_than(0, 5, 18) and of_stages:
        yield Finding(
            f"env.{SYNC}",
            "before 0.5.18 the engine synchronises only denoising steps: other stages still hold each other's time",
        )


def peak_memory_missing(view: View) -> Iterator[Finding]:
    if PEAK_MEMORY in gated(view.case.metrics) and view.older_than(0, 5, 9):
        yield Finding("metrics.gate", "before 0.5.9 the perf dump has no memory: peak_memory cannot be judged")


def peak_memory_of_one_gpu(view: View) -> Iterator[Finding]:
    multi = view.case.gpus > 1 and PEAK_MEMORY in gated(view.case.metrics)
    if multi and view.older_than(0, 5, 19) and not view.older_than(0, 5, 9):
        yield Finding(
            "metrics.gate", "before 0.5.19 the perf dump has the memory of the first GPU only, peak_memory too"
        )


RULES = (
    Rule(slug="several-prompts", level="error", check=several_prompts),
    Rule(slug="several-outputs", level="error", check=several_outputs),
    Rule(slug="output-not-saved", level="error", check=output_not_saved),
    Rule(slug="profiler-on", level="error", check=profiler_on),
    Rule(slug="log-level", level="error", check=log_level),
    Rule(slug="compile-without-warmup", level="warning", check=compile_without_warmup),
    Rule(slug="conditioning-cache", level="warning", check=conditioning_cache),
    Rule(slug="warmup-resolutions", level="warning", check=warmup_resolutions),
    Rule(slug="breakable-cuda-graph", level="error", check=breakable_cuda_graph),
    Rule(slug="two-experts-one-warmup-step", level="warning", check=two_experts_one_warmup_step),
    Rule(slug="no-seed", level="warning", check=no_seed),
    Rule(slug="timers-not-synchronised", level="warning", check=timers_not_synchronised),
    Rule(slug="timers-partly-synchronised", level="warning", check=timers_partly_synchronised),
    Rule(slug="peak-memory-missing", level="warning", check=peak_memory_missing),
    Rule(slug="peak-memory-of-one-gpu", level="warning", check=peak_memory_of_one_gpu),
)
