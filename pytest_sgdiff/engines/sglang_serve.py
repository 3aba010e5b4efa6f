"""`sglang serve`: one process that loads the model and answers requests until it is ended; its life is a launch."""

from __future__ import annotations

import json

from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Ports, Reading, Service
from pytest_sgdiff.engines.conditioning import used
from pytest_sgdiff.engines.flags.translate import flags_of, translate
from pytest_sgdiff.engines.gate import backend_of
from pytest_sgdiff.engines.image_in_denoising import told_apart
from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving.fields import TASKS
from pytest_sgdiff.engines.serving.gate import chosen, problems
from pytest_sgdiff.engines.serving.numbers import medians, of_life, of_loads, of_request, prompts_of, warmup_of
from pytest_sgdiff.engines.serving.requests import loads, requests, split
from pytest_sgdiff.engines.sglang_generate import UNSET, texts_of

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
                loads=loads(parts, case, release=flags.release, files=files),
                tasks=TASKS[parts.task],
                perf_log=f"{files.perf_log_dir}/performance.log",
                scratch=f"{files.workdir}/sent",
            ),
        )

    def read(self, launch: Launch, case: Case) -> Reading:
        """What ran, the medians of its measured requests, and every reason why it does not count. Never raises."""
        dumps = {one.number: read_dump(one.dump) for one in launch.requests}
        log = examine(launch.log, prompts=(*texts_of(case), *prompts_of(launch.requests)))
        found = tuple(problems(launch, case, log, dumps))
        parts = {number: told_apart(dump, log, case) for number, (dump, _) in dumps.items() if dump is not None}
        read = tuple(of_request(one, parts.get(one.number)) for one in launch.requests)
        measured = [one for one in read if not one.warmup and one.dump is not None]
        last = measured[-1].dump if measured else None
        return Reading(
            dump=last,
            backend=backend_of(last, log),
            pipeline=log.pipeline,
            warmup=warmup_of(launch, log),
            attention=tuple(dict.fromkeys(use.backend for use in log.attention)),
            auto_tuned=log.auto_tuned,
            could_stay=log.could_stay,
            conditioning_cache=used(log.server_args, launch.argv),
            server_args=log.server_args,
            metrics={} if found else {**medians(measured), **of_life(launch, log), **of_loads(launch)},
            chosen=chosen(log, launch.argv),
            requests=read,
            problems=found,
        )
