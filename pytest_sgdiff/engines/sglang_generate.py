"""`sglang generate`: one process that loads the model, warms up, serves one request and ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Ports, Reading
from pytest_sgdiff.engines.conditioning import used
from pytest_sgdiff.engines.flags.translate import flags_of, translate
from pytest_sgdiff.engines.gate import backend_of, problems
from pytest_sgdiff.engines.inspect import prompts_of
from pytest_sgdiff.engines.load import load_ms
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.metrics import metrics_of

# Of a caller that is itself a distributed job (the engine logs and dumps only where RANK is 0), and of pytest-xdist.
UNSET = (
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID", "PYTEST_CURRENT_TEST"),
)


class SglangGenerate:
    """Runs a case with `sglang generate`, and decides from what it left whether the launch counts."""

    name = "sglang-generate"

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The command line, in the order of the case's args, written for the engine's flags."""
        config = files.config if case.config else None
        flags = flags_of(info)
        argv = [*info.command, "generate", *translate(case, flags, assets=files.assets, config=config)]
        argv += ["--perf-dump-path", files.perf_dump, "--output-path", files.output_dir]
        if ports is not None:
            argv += ["--master-port", str(ports.master), "--scheduler-port", str(ports.scheduler)]
            argv += ["--port", str(ports.http)]
            if flags.kind_of("strict-ports") is not None:
                argv.append("--strict-ports")
        return Command(
            argv=tuple(argv),
            env={**case.env, "SGLANG_PERF_LOG_DIR": files.perf_log_dir},
            unset=tuple(name for name in UNSET if name not in case.env),
            files={files.config: json.dumps(dict(case.config)) + "\n"} if case.config else {},
        )

    def read(self, launch: Launch, case: Case) -> Reading:
        """What ran, its metrics, and every reason why it does not count; then there are no metrics. Never raises."""
        dump, error = read_dump(launch.dump)
        log = examine(launch.log, prompts=(*prompts_of(launch.dump), *texts_of(case)))
        found = tuple(problems(launch, case, log, dump, error))
        return Reading(
            dump=dump,
            backend=backend_of(dump, log),
            pipeline=log.pipeline,
            warmup=log.warmup,
            attention=tuple(dict.fromkeys(use.backend for use in log.attention)),
            auto_tuned=log.auto_tuned,
            conditioning_cache=used(log.server_args, launch.argv),
            server_args=log.server_args,
            metrics=metrics_of(dump, _outside(launch, log)) if dump and not found else {},
            problems=found,
        )


def _outside(launch: Launch, log: LogEvidence) -> dict[str, float]:
    """What the dump does not say: how long loading took, where the engine logs it (0.5.21 on)."""
    loaded = load_ms(launch, log)
    return {} if loaded is None else {"load": loaded}


def texts_of(case: Case) -> tuple[str, ...]:
    """Every text of the case that the engine may echo into its log: prompts, whatever the flag is called, and paths."""
    found: list[str] = [case.model]
    rest: list[Any] = [*case.args.values(), *case.config.values(), *case.env.values()]
    while rest:
        value = rest.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            rest.extend(value.values())
        elif isinstance(value, tuple | list):
            rest.extend(value)
    return tuple(dict.fromkeys(text for text in found if text))
