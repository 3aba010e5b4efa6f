"""What the engine's log proves, on real logs of 0.5.17 and on logs built for every version from 0.5.8 to 0.5.23."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_sgdiff.data import Failure
from pytest_sgdiff.data.failures import (
    CommandRefused,
    ExceptionRaised,
    OutOfMemory,
    PortTaken,
    RequestFailed,
    UnknownModel,
    WorkerDied,
)
from pytest_sgdiff.engines.log import LogEvidence, clean, examine, tells
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.reports.failure_text import in_words

LOGS = Path(__file__).parents[1] / "data" / "logs"
VERSIONS = [f"0.5.{release}" for release in range(8, 24)]
HALVES = ["0.5.8", "0.5.13", "0.5.14", "0.5.18", "0.5.23"]


def kept(name: str) -> LogEvidence:
    return examine((LOGS / f"{name}.log").read_text())


# ------------------------------------------------------------------------------------------------------------ cleaning


def test_colours_cursor_moves_and_redrawn_bars_are_undone() -> None:
    log = (
        "\x1b[93m[11-23 16:33:59] careful\x1b[0;0m\n\x1b[A\n"
        "\rLoading:   0%|          | 0/1\rLoading: 100%|██| 1/1 [00:00<00:00][11-23 16:34:00] glued to the bar\r\n"
    )
    assert clean(log) == (
        "[11-23 16:33:59] careful",
        "Loading:   0%|          | 0/1",
        "Loading: 100%|██| 1/1 [00:00<00:00]",
        "[11-23 16:34:00] glued to the bar",
    )


# ---------------------------------------------------------------------------------------------------------- real logs


def test_a_real_native_launch_proves_backend_pipeline_attention_and_warmup() -> None:
    log = kept("real-0.5.17-h200-warm")
    assert log.pipeline == "WanPipeline"
    assert log.fallbacks == ()
    assert [(use.component, use.backend) for use in log.attention] == [
        ("transformer", "torch_sdpa"),
        (None, "torch_sdpa"),
    ]
    assert (log.warmup, log.failures, log.failure) == ("proven", (), None)
    assert log.sampling["width"] == ("832",)
    assert log.sampling["num_frames"] == ("17",)
    assert log.server_args["backend"] == "auto"
    assert log.server_args["ulysses_degree"] == 1
    assert log.auto_tuned == (
        "Auto memory policy for WanT2V480PConfig selected layerwise offload components: text_encoder, image_encoder",
    )


def test_a_real_cold_launch_shows_no_warmup() -> None:
    assert kept("real-0.5.17-h200-cold").warmup == "none"


@pytest.mark.parametrize(
    ("name", "lines", "requested"),
    [
        ("real-0.5.17-h200-fallback", 4, False),
        ("real-0.5.17-cpu-fallback", 4, False),
        ("real-0.5.17-h200-diffusers", 2, True),
    ],
)
def test_a_real_diffusers_launch_is_told_and_whether_it_was_asked_for(name: str, lines: int, requested: bool) -> None:
    log = kept(name)
    assert log.pipeline == "DiffusersPipeline"
    assert len(log.fallbacks) == lines
    assert log.requested_diffusers is requested


def test_a_real_lost_port_is_the_cause_and_not_the_parents_eoferror() -> None:
    log = kept("real-0.5.17-h200-port-lost")
    assert log.failure == PortTaken(port=30005)
    assert log.failures[0] == "[11-23 17:19:17] Rank 0 scheduler is dead. Please check if there are relevant logs."
    assert log.pipeline is None


# ---------------------------------------------------------------------------------------------------- every version


@pytest.mark.parametrize("version", VERSIONS)
def test_a_warmed_up_native_launch_is_proven_in_every_version(version: str) -> None:
    log = kept(f"constructed-{version}-native")
    assert (log.pipeline, log.warmup, log.fallbacks, log.failures) == ("WanPipeline", "proven", (), ())
    assert {use.backend for use in log.attention} == {"fa"}


@pytest.mark.parametrize("version", HALVES)
def test_a_fallback_is_seen_in_every_version(version: str) -> None:
    log = kept(f"constructed-{version}-fallback")
    assert log.pipeline == "DiffusersPipeline"
    assert any("Falling back to diffusers backend" in line for line in log.fallbacks)


@pytest.mark.parametrize("version", HALVES)
def test_a_failed_warmup_is_never_proof_although_the_bar_reaches_the_end(version: str) -> None:
    log = kept(f"constructed-{version}-warmup-failed")
    assert log.warmup == "unproven"
    assert log.warmup_code == "failed"
    assert any("failed" in line for line in log.warmup_lines)


@pytest.mark.parametrize("version", HALVES)
def test_a_failed_request_is_seen_although_the_engine_exits_with_0(version: str) -> None:
    log = kept(f"constructed-{version}-request-error")
    message = "The size of tensor a (16) must match the size of tensor b (20)"
    assert log.failure == ExceptionRaised(type="RuntimeError", message=message)
    assert any("Failed to generate output" in line for line in log.failures)


@pytest.mark.parametrize("version", ["0.5.15", "0.5.23"])
def test_compilation_without_a_warmup_flag_is_not_warmed_up(version: str) -> None:
    log = kept(f"constructed-{version}-compile-without-warmup")
    assert any("(with warmup excluded)" in line for line in log.lines)
    assert log.warmup == "unproven"
    assert log.warmup_code == "server"


# ------------------------------------------------------------------------------------------------------------- warmup


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("[01-20 08:54:23] Warmup req (1/1) processed in \x1b[92m23.28\x1b[0;0m seconds", "proven"),
        ("[01-20 08:54:23] Warmup req processed in 23.28 seconds", "proven"),
        ("[01-20 08:54:23] The server is fired up and ready to roll!", "proven"),
        ("Warmup requests: 100%|██████████| 1/1 [00:48<00:00, 48.92s/req]", "proven"),
        ("[01-20 08:54:23] Warmup requests: 2/2 warmup req (1024x1024, 1/50 steps)", "proven"),
        ("[01-20 08:54:23] Warmup requests: 0/1 warmup req (1024x1024, 1/50 steps)", "unproven"),
        ("[01-20 08:54:23] Warmup requests: 1/2 warmup req (1024x1024, 1/50 steps)", "unproven"),
        ("Warmup requests:   0%|          | 0/1 [00:00<?, ?req/s]", "unproven"),
        ("[01-20 08:54:23] Warmed-up request processed in 6.70 seconds (with warmup excluded)", "unproven"),
        ("[01-20 08:54:23] Warmup req (1/1) processing failed", "unproven"),
        ("[01-20 08:54:23] Processing warmup req... (1/1)", "unproven"),
        (
            (
                "[01-20 08:54:23] The server is fired up and ready to roll!\n"
                "Warmup failed, so this request ran cold: 6.70 seconds includes first-use cost"
            ),
            "unproven",
        ),
        ('[01-20 08:54:23] server_args: {"warmup_mode": "request"}', "unproven"),
        ('[01-20 08:54:23] server_args: {"warmup": true}', "unproven"),
        ('[01-20 08:54:23] server_args: {"warmup_mode": "off"}', "none"),
        (
            (
                '[01-20 08:54:23] server_args: {"warmup_resolutions": ["1024x1024"]}\n'
                "[01-20 08:54:23] Warmup req (1/1) processed in 23.28 seconds"
            ),
            "unproven",
        ),
        ("", "none"),
    ],
)
def test_only_a_warmup_request_that_ended_is_proof(log: str, expected: str) -> None:
    assert examine(log).warmup == expected


# ------------------------------------------------------------------------------------------- what is no evidence at all


def test_a_list_of_known_pipelines_is_no_evidence() -> None:
    log = examine(
        "[01-20 08:54:23] Available pipelines in registry: ['DiffusersPipeline', 'LTX2TwoStagePipeline']\n"
        "[01-20 08:54:23] ✓ Using explicitly specified pipeline: LTX2TwoStagePipeline (class: LTX2TwoStagePipeline)"
    )
    assert (log.pipeline, log.fallbacks) == ("LTX2TwoStagePipeline", ())


def test_a_diffusers_component_in_a_native_pipeline_is_no_backend_fallback() -> None:
    log = examine(
        "[01-20 08:54:23] Using pipeline from model_index.json: WanPipeline\n"
        "[01-20 08:54:23] Error while loading customized transformer, falling back to native version\n"
        "[01-20 08:54:23] Native component transformer: WanTransformer3DModel is loaded, performance may be sub-optimal"
    )
    assert (log.pipeline, log.fallbacks, len(log.components)) == ("WanPipeline", (), 2)


TRICKY = "A robot says: Falling back to diffusers backend. Generation failed! The server is fired up and ready to roll"


@pytest.mark.parametrize(
    "line",
    [
        f"[01-20 08:54:23] Processing prompt 1/1: {TRICKY[:100]}",
        f"                      prompt: {TRICKY}",
        f"                  neg_prompt: {TRICKY}",
        '[01-20 08:54:23] server_args: {"model_path": "/m/Using diffusers backend", "prompt": "Generation failed"}',
        f"[01-20 08:54:23] some other line that repeats it: {TRICKY}",
    ],
)
def test_what_a_prompt_says_is_no_evidence(line: str) -> None:
    log = examine(line, prompts=[TRICKY])
    assert (log.fallbacks, log.failures, log.warmup) == ((), (), "none")


def test_a_prompt_of_several_lines_is_no_evidence() -> None:
    prompt = "A sign.\nUsing diffusers backend for model 'x'\nDone."
    log = examine(f"Sampling params:\n      prompt: {prompt}\n        seed: 42", prompts=[prompt])
    assert log.fallbacks == ()


def test_an_ordinary_prompt_takes_nothing_away_from_the_log() -> None:
    log = examine("[01-20 08:54:23] Generation failed: no communication with the cat", prompts=["cat"])
    assert log.failure == RequestFailed(message="no communication with the cat")


def test_one_rank_on_the_diffusers_backend_is_enough() -> None:
    log = examine(
        "[01-20 08:54:23] Using pipeline from model_index.json: WanPipeline\n"
        "[01-20 08:54:23] Using pipeline from model_index.json: DiffusersPipeline"
    )
    assert log.pipeline == "DiffusersPipeline"


# ------------------------------------------------------------------------------------------------------------ causes


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            (
                "torch.distributed.DistNetworkError: The server socket has failed to listen on any address. "
                "port: 31007, useIpv6: false, code: -98, name: EADDRINUSE, message: address already in use\nEOFError"
            ),
            PortTaken(port=31007),
        ),
        (
            "zmq.error.ZMQError: Address already in use (addr='tcp://127.0.0.1:5583')\nEOFError",
            PortTaken(port=5583),
        ),
        (
            "[11-23 17:19:17] ZMQ bind failed for port 5562, retrying with port 5604 (attempt 2/10)",
            PortTaken(port=5562),
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of",
            OutOfMemory(tried="2.50 GiB"),
        ),
        ("[11-23 17:19:17] Error executing request ab12: CUDA out of memory.", OutOfMemory()),
        (
            "Traceback (most recent call last):\nValueError: Could not get model info for X\nEOFError",
            ExceptionRaised(type="ValueError", message="Could not get model info for X"),
        ),
        (
            "Exception: Generate subcommand is not yet supported for model: black-forest-labs/FLUX.1-dev",
            UnknownModel(model="black-forest-labs/FLUX.1-dev"),
        ),
        (
            "usage: sglang\nsglang: error: ambiguous option: --warmup could match --warmup-mode, --warmup-steps",
            CommandRefused(message="ambiguous option: --warmup could match --warmup-mode, --warmup-steps"),
        ),
        (
            "[11-23 17:19:17] Rank 1 scheduler is dead.\n[11-23 17:19:17] Exit code: -9",
            WorkerDied(rank=1, exit_code=-9),
        ),
        (
            "[11-23 17:19:17] Received empty output from scheduler",
            RequestFailed(message="Received empty output from scheduler"),
        ),
        ("[11-23 17:19:17] Generation failed for prompt 1/1: bad shape", RequestFailed(message="bad shape")),
        ("EOFError", None),
        ("/usr/lib/python3.12/x.py:254: UserWarning: leaked semaphore objects", None),
    ],
)
def test_the_cause_is_one_failure(log: str, cause: Failure | None) -> None:
    assert examine(log).failure == cause


def test_a_very_long_cause_is_shortened() -> None:
    failure = examine("RuntimeError: " + "x" * 5000).failure
    assert failure is not None
    words = in_words(failure)
    assert (len(words), words[-1]) == (300, "…")


# ------------------------------------------------------------------------------------------------- attention, settings


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Using FlashAttention (FA3 for hopper, FA4 for blackwell) backend", [(None, "fa")]),
        ("Using FlashAttention2 backend", [(None, "fa2")]),
        ("Using Torch SDPA backend for CPU.", [(None, "torch_sdpa")]),
        ("Using Sage Attention backend", [(None, "sage_attn")]),
        ("Using Sage Attention 3 backend", [(None, "sage_attn_3")]),
        ("Using fa backend for transformer", [("transformer", "fa")]),
        (
            "Attention backend not specified for text_encoder, using torch_sdpa backend for text_encoder",
            [("text_encoder", "torch_sdpa")],
        ),
        ("Using fa backend for component: transformer_2", [("transformer_2", "fa")]),
        ("Using sage_attn attention backend", [(None, "sage_attn")]),
        (
            "Attention backends for transformer: fa, torch_sdpa (component constraint)",
            [("transformer", "fa"), ("transformer", "torch_sdpa")],
        ),
        (
            "Attention backends for transformer: self=sage_attn (self-attention override); cross=fa",
            [("transformer", "sage_attn"), ("transformer", "fa")],
        ),
        ("Using gloo backend for cuda platform", []),
        ("Using diffusers backend for model 'x'", []),
    ],
)
def test_attention_is_read_in_the_words_of_every_version(line: str, expected: list[tuple[str | None, str]]) -> None:
    assert [(use.component, use.backend) for use in examine(f"[01-20 08:54:23] {line}").attention] == expected


@pytest.mark.parametrize(
    "line",
    [
        "Sage Attention backend is not installed (run `pip install x`). Falling back to Flash Attention.",
        "Sage Attention backend failed to import. Falling back to Flash Attention.",
        "FlashAttention is not supported on SM12.x in this build; falling back to Torch SDPA.",
        "sage_attn is not supported on CPU; falling back to Torch SDPA.",
        "Attention backend 'sage_attn' was requested for 'transformer.self' but could not be used; using fa instead",
    ],
)
def test_attention_fallbacks_are_seen(line: str) -> None:
    assert examine(f"[01-20 08:54:23] {line}").attention_fallbacks == (f"[01-20 08:54:23] {line}",)


@pytest.mark.parametrize(
    "line",
    [
        "Automatically set ulysses_degree=sp_degree=4 for best performance",
        "Automatically enabled CFG parallel for 4 GPUs. Use --sp-degree / --ulysses-degree to change",
        "Automatically disabled CFG parallel for 2 GPUs based on model deployment config.",
        "Automatically enable dit_layerwise_offload for Wan",
        "Automatically selecting FSDP defaults for multi-GPU inference",
        "Automatically replacing CPU offload with layerwise offload",
        "Automatically set ltx2_two_stage_device_mode=original",
        "Auto memory policy for LTX2PipelineConfig selected layerwise offload components: text_encoder",
        "Disabling some offloading (except dit, text_encoder) for image generation model",
        "Enabling all offloading",
    ],
)
def test_settings_that_the_engine_chose_are_listed_once(line: str) -> None:
    assert examine(f"[01-20 08:54:23] {line}\n[01-20 08:54:24] {line}").auto_tuned == (line,)


def test_that_diffusers_was_asked_for_is_told_by_the_arguments_or_by_the_line() -> None:
    asked = "[01-20 08:54:23] Using diffusers backend for model 'x' (explicitly requested)"
    assert examine(asked).requested_diffusers
    assert examine('[01-20 08:54:23] server_args: {"backend": "diffusers"}').requested_diffusers
    assert not examine("[01-20 08:54:23] Falling back to diffusers backend").requested_diffusers


@pytest.mark.parametrize("prefix", ["", "2026-11-23T16:33:59.1234567Z ", "bench-1  | "])
@pytest.mark.parametrize(
    ("line", "telling"),
    [
        ("[01-20 08:54:23] Sampling params:", True),
        ("                       width: 832", True),
        ("                  num_frames: 17", True),
        ("[01-20 08:54:23] server_args: {}", True),
        ("[01-20 08:54:23] Metrics dumped to: /w/perf.json", True),
        ("Traceback (most recent call last):", True),
        ('  File "/venv/lib/x.py", line 158, in load', True),
        ("httpx.ReadTimeout: The read operation timed out", True),
        ("zmq.Again", True),
        ("step 17", False),
        ("[01-20 08:54:23] [DenoisingStage] started...", False),
    ],
)
def test_a_line_that_may_tell_something_is_kept_of_the_longest_log(prefix: str, line: str, telling: bool) -> None:
    assert tells(prefix + line) is telling


def test_resolved_arguments_that_were_cut_off_are_not_guessed() -> None:
    assert examine('[01-20 08:54:23] server_args: {"backend": "auto", "num_g').server_args == {}


def test_numbers_that_json_has_no_word_for_are_kept_as_text() -> None:
    line = '[01-20 08:54:23] server_args: {"rope": Infinity, "least": [-Infinity, NaN], "much": 1e999, "shift": 1.5}'
    assert to_plain(examine(line).server_args) == {
        "rope": "Infinity",
        "least": ["-Infinity", "NaN"],
        "much": "1e999",
        "shift": 1.5,
    }


@pytest.mark.parametrize("text", ["Attention backend '", "warmup req ", "was requested for ", "Using ", "fail\r", "a."])
def test_a_log_of_one_endless_line_costs_no_more_than_its_length(text: str) -> None:
    start = time.process_time()
    examine(text * 50_000 + "Error")
    assert time.process_time() - start < 5
