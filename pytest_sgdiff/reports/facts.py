"""Pairs of a word and a value that describe a case's machine, baseline, workload and launches."""

from __future__ import annotations

import json
from collections.abc import Iterable

from pytest_sgdiff.data import CaseResult, Environment, LaunchRecord
from pytest_sgdiff.reports import case_text, disturbance_text, evidence, launch_notes, numbers, reason_text

Facts = list[tuple[str, str]]

_WHEN = {"start": "at the start", "during": "meanwhile", "end": "at the end"}


def machine_facts(result: CaseResult) -> Facts:
    """Hardware and versions, in the words of the first launch that counts."""
    launches = evidence.counted(result) or result.launches
    machine, environment = result.machine, launches[0].environment if launches else None
    pairs: list[tuple[str, object]] = []
    if machine is not None:
        many = f"{machine.count} × {machine.product}" if machine.kind == "gpu" else f"{machine.product}, CPU only"
        pairs += [("hardware", many), ("MIG profile", machine.mig_profile), ("GPUs", case_text.gpus(result))]
    if environment is not None:
        limit = environment.power_limit_w
        pairs += [
            ("GPU UUIDs", "\n".join(environment.gpu_uuids)),
            ("driver", environment.driver),
            ("CUDA", environment.cuda),
            ("power limit", None if limit is None else f"{limit:.0f} W"),
            ("SM clock, highest", _mhz(environment.sm_clock_max_mhz)),
            ("memory clock, highest", _mhz(environment.mem_clock_max_mhz)),
            ("persistence mode", {True: "on", False: "off", None: None}[environment.persistence]),
            ("CPU", environment.cpu_model),
            ("CPUs", environment.cpu_count),
            ("CPUs of the launch", environment.launch_cpus),
            ("host", environment.host),
            ("sglang", environment.engine_version),
            ("torch", environment.torch_version),
            ("pytest-sgdiff", environment.plugin_version),
            ("stage timers", "synchronised" if environment.sync_stages else "not synchronised"),
            ("inherited variables", " ".join(f"{n}={v}" for n, v in (environment.inherited or {}).items())),
        ]
    pipelines = dict.fromkeys(launch.pipeline for launch in launches if launch.pipeline)
    pairs += [("pipeline", ", ".join(pipelines))]
    return _known(pairs)


def fingerprint(result: CaseResult) -> str:
    """The machine in one line: `4 × NVIDIA H100 80GB HBM3, driver 580.82.07, CUDA 13.0, 700 W, sglang 0.5.17, torch
    2.11.0`; what is not known is left out."""
    launches = evidence.counted(result) or result.launches
    machine, environment = result.machine, launches[0].environment if launches else Environment()
    words = []
    if machine is not None:
        gpu = machine.kind == "gpu"
        words.append(f"{machine.count} × {machine.product}" if gpu else f"{machine.product}, {machine.count} CPUs")
    words += [machine.mig_profile] if machine is not None and machine.mig_profile else []
    limit = environment.power_limit_w
    told = (
        ("driver ", environment.driver),
        ("CUDA ", environment.cuda),
        ("", None if limit is None else f"{limit:.0f} W"),
        ("sglang ", environment.engine_version),
        ("torch ", environment.torch_version),
        ("host ", environment.host),
    )
    return numbers.clean(", ".join([*words, *(f"{name}{value}" for name, value in told if value is not None)]))


def baseline_facts(result: CaseResult) -> Facts:
    """Where the baseline comes from."""
    recorded = result.baseline_recorded
    if recorded is None:
        return []
    launches = 0 if result.baseline_source else result.baseline_launches
    return _known(
        [
            ("published", result.baseline_source),
            ("recorded", recorded.at),
            ("launches", numbers.plural(launches, "launch") if launches else None),
            ("sglang", result.baseline_engine),
            ("commit", recorded.commit),
            ("sessions", ", ".join(recorded.sessions)),
            ("command", recorded.command),
        ]
    )


def workload_facts(result: CaseResult) -> Facts:
    """The digest of what is measured, and the fields behind it."""
    if result.workload is None:
        return []
    return _known([("digest", result.workload.digest), *((k, str(v)) for k, v in result.workload.fields.items())])


def engine_facts(result: CaseResult) -> Facts:
    """The settings that the engine resolved for the first launch that counts, without those that are not set."""
    launches = evidence.counted(result) or result.launches
    told = launches[0].server_args if launches else {}
    return _known([(name, _setting(value)) for name, value in told.items() if value is not None])


def launch_facts(launch: LaunchRecord) -> str:
    """What is worth a remark about one launch, in one line."""
    words = [] if launch.counts else [f"discarded: {reason_text.discarded(launch)}"]
    words += ["alone on the host"] if launch.alone else []
    words += [f"warmup {launch.warmup}"] if launch.warmup and launch.warmup != "proven" else []
    watch = launch.watch
    if watch is not None:
        words += [f"at the same time as {', '.join(watch.co_runners)}"] if watch.co_runners else []
        told = {p.pid for one in launch.disturbances for p in one.processes}
        untold = [p for p in watch.foreign if p.pid not in told]
        words += [f"process {p.name or '?'} (pid {p.pid}) {_WHEN[p.when]}" for p in untold]
        words += map(disturbance_text.event, watch.gpu_events)
        hottest = max((t for series in watch.gpus for t in series.temperature_c if t is not None), default=None)
        words += [f"{hottest} °C at most"] if hottest is not None else []
        words += launch_notes.notes(watch)
    return numbers.clean("; ".join(words))


def _setting(value: object) -> str:
    """A setting as the engine's log has it: JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _mhz(clock: int | None) -> str | None:
    return None if clock is None else f"{clock} MHz"


def _known(pairs: Iterable[tuple[str, object]]) -> Facts:
    return [(word, numbers.clean(str(value))) for word, value in pairs if value not in (None, "")]
