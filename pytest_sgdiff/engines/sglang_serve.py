"""`sglang serve`: one process that loads the model and answers requests until it is ended; its life is a launch."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence

from pytest_sgdiff.data import (
    Case,
    Command,
    EngineInfo,
    Launch,
    LaunchFiles,
    PerfDump,
    Ports,
    Reading,
    Request,
    RequestReading,
    Service,
)
from pytest_sgdiff.engines.conditioning import used
from pytest_sgdiff.engines.flags.translate import flags_of, translate
from pytest_sgdiff.engines.gate import backend_of
from pytest_sgdiff.engines.inspect import read_dump
from pytest_sgdiff.engines.load import load_ms
from pytest_sgdiff.engines.log import LogEvidence, Warmup, examine
from pytest_sgdiff.engines.serving.fields import TASKS
from pytest_sgdiff.engines.serving.gate import chosen, problems
from pytest_sgdiff.engines.serving.requests import requests, split
from pytest_sgdiff.engines.sglang_generate import UNSET, texts_of
from pytest_sgdiff.metrics import metrics_of

# What a client asks many times a second, which would fill the log.
_NOT_LOGGED = ("/health", "/v1/videos/", "/v1/meshes/")
SHOWN_PORT = 30000
"""The port of a command that people run by hand: the engine's default."""


class SglangServe:
    """Runs a case with `sglang serve`, and decides from what it and a client saw whether the launch counts."""

    name = "sglang-serve"

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The server's command line, in the order of the case's args, and the requests that a client sends."""
        flags = flags_of(info)
        parts = split(case, assets={**case.assets, **files.assets})
        config = files.config if parts.server.config else None
        words = translate(parts.server, flags, assets=parts.server.assets, config=config, warms_up_itself=False)
        argv = [*info.command, "serve", *words, "--host", "127.0.0.1", "--output-path", files.output_dir]
        argv += ["--input-save-path", f"{files.workdir}/inputs"]
        argv += ["--uvicorn-access-log-exclude-prefixes", *_NOT_LOGGED]
        if ports is not None:
            argv += ["--port", str(ports.http), "--scheduler-port", str(ports.scheduler)]
            argv += ["--master-port", str(ports.master), "--strict-ports"]
        # Where a request cannot say where its dump goes, the engine's performance log has its numbers.
        logging = {"SGLANG_DIFFUSION_STAGE_LOGGING": "1"}
        plans = requests(parts, case, release=flags.release, files=files)
        return Command(
            argv=tuple(argv),
            env={**logging, **case.env, "SGLANG_PERF_LOG_DIR": files.perf_log_dir},
            unset=tuple(name for name in UNSET if name not in case.env),
            files={files.config: json.dumps(dict(parts.server.config)) + "\n"} if parts.server.config else {},
            service=Service(
                url=f"http://127.0.0.1:{ports.http if ports else SHOWN_PORT}",
                requests=plans,
                tasks=TASKS[parts.task],
                perf_log=f"{files.perf_log_dir}/performance.log",
                scratch=f"{files.workdir}/sent",
            ),
        )

    def read(self, launch: Launch, case: Case) -> Reading:
        """What ran, the medians of its measured requests, and every reason why it does not count. Never raises."""
        dumps = {one.number: read_dump(one.dump) for one in launch.requests}
        log = examine(launch.log, prompts=(*texts_of(case), *_prompts(launch.requests)))
        found = tuple(problems(launch, case, log, dumps))
        read = tuple(_read(one, dumps[one.number][0]) for one in launch.requests)
        measured = [one for one in read if not one.warmup and one.dump is not None]
        last = measured[-1].dump if measured else None
        return Reading(
            dump=last,
            backend=backend_of(last, log),
            pipeline=log.pipeline,
            warmup=_warmup(launch, log),
            attention=tuple(dict.fromkeys(use.backend for use in log.attention)),
            auto_tuned=log.auto_tuned,
            conditioning_cache=used(log.server_args, launch.argv),
            server_args=log.server_args,
            metrics={} if found else {**_medians(measured), **_life(launch, log)},
            chosen=chosen(log, launch.argv),
            requests=read,
            problems=found,
        )


def _read(request: Request, dump: PerfDump | None) -> RequestReading:
    """A request's own metrics: what the server timed, and what its client saw."""
    outside: dict[str, float] = {}
    if request.client_ms is not None:
        outside["client_e2e"] = request.client_ms
        server_ms = dump.total_ms if dump is not None else request.server_ms
        if server_ms is not None:
            outside["queue"] = request.client_ms - server_ms
    values = {} if dump is None else metrics_of(dump, outside, served=True)
    return RequestReading(number=request.number, warmup=request.warmup, dump=dump, metrics=values or outside)


def _medians(measured: Sequence[RequestReading]) -> dict[str, float]:
    """Per metric the median of the requests; a metric that one of them lacks is absent."""
    names = dict.fromkeys(name for one in measured for name in one.metrics)
    return {
        name: statistics.median(one.metrics[name] for one in measured)
        for name in names
        if all(name in one.metrics for one in measured)
    }


def _life(launch: Launch, log: LogEvidence) -> dict[str, float]:
    """Times of the server's life before its measured requests: loading, and what it took to be warm after that."""
    served, loaded = launch.served, load_ms(launch, log)
    if served is None:
        return {}
    times = {"load": loaded, "warmup": None}
    if loaded is not None and served.measured_s is not None and _warmed_up(launch.requests):
        times["warmup"] = 1000 * served.measured_s - loaded
    return {name: value for name, value in times.items() if value is not None and value > 0}


def _warmup(launch: Launch, log: LogEvidence) -> Warmup:
    if log.warmup_code == "failed":
        return "unproven"
    if any(one.warmup for one in launch.requests):
        return "proven" if _warmed_up(launch.requests) else "unproven"
    return "none"


def _warmed_up(sent: Iterable[Request]) -> bool:
    """Whether a warmup request ended well."""
    return any(one.warmup and one.failure is None and one.client_ms is not None for one in sent)


def _prompts(sent: Iterable[Request]) -> tuple[str, ...]:
    return tuple(
        text
        for one in sent
        for name in ("prompt", "negative_prompt")
        if isinstance(text := one.fields.get(name), str) and text
    )
