"""The life of the stand-in server, launched and asked as a run does it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_sgdiff.data import Case, EngineInfo, Launch, LaunchFiles, LaunchPlan, Location, Ports, Reading
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.engines.load import says_loaded
from pytest_sgdiff.launch.client import Client
from pytest_sgdiff.launch.run import run

FAKE = Path(__file__).parent / "fake_bin" / "sglang"
ENGINE = ENGINES["sglang-serve"]


def served_case(**changes: Any) -> Case:
    """A small video of Wan from a server; three requests after one of warmup."""
    fields: dict[str, Any] = {
        "name": "wan",
        "engine": "sglang-serve",
        "location": Location(path="cases/wan.yaml", line=3, column=3),
        "model": "Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        "args": {
            "prompt": "a curious raccoon in a field",
            "width": 128,
            "height": 128,
            "num-frames": 5,
            "fps": 16,
            "num-inference-steps": 8,
        },
        "launches": LaunchPlan(),
        "timeout_s": 60.0,
    }
    return Case(**{**fields, **changes})


@dataclass(frozen=True, kw_only=True)
class Lived:
    """A server's life, and what was read of it."""

    launch: Launch
    reading: Reading
    folder: Path
    ports: Ports


def free_ports() -> Ports:
    """Ports that nothing has now, of which the first two follow one another."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return Ports(http=port, scheduler=port + 2, master=port + 3)


def lived(
    folder: Path,
    scenario: str = "native",
    *,
    version: str = "0.5.17",
    case: Case | None = None,
    assets: Mapping[str, str] | None = None,
    env: Mapping[str, str] | None = None,
    dump_s: float = 10.0,
    grace_s: float | None = None,
    abandoned: Callable[[], bool] = lambda: False,
    ports: Ports | None = None,
) -> Lived:
    """Launch the stand-in with the command line that the adapter writes, and read what it left."""
    case, ports = case or served_case(), ports or free_ports()
    work = folder / "work"
    files = LaunchFiles(
        workdir=str(work),
        output_dir=str(work / "out"),
        perf_dump=str(work / "perf.json"),
        perf_log_dir=str(work / "log"),
        config=str(work / "config.json"),
        assets=assets or {},
    )
    command = ENGINE.command(case, info=EngineInfo(command=(str(FAKE),), version=version), files=files, ports=ports)
    assert command.service is not None
    client = Client(replace(command.service, dump_s=dump_s))
    around = {key: value for key, value in os.environ.items() if key not in ("CI", "GITHUB_ACTIONS")}
    played = {"SGDIFF_FAKE_SCENARIO": scenario, "SGDIFF_FAKE_VERSION": version, **(env or {})}
    ended = run(
        command,
        files=files,
        log=folder / "engine.log",
        timeout_s=case.timeout_s,
        env={**around, **played},
        grace_s=grace_s,
        abandoned=abandoned,
        on_line=lambda line: client.loaded() if says_loaded(line) else None,
        attendant=client,
    )
    launch = Launch(
        case=case.id,
        number=0,
        argv=command.argv,
        started_ns=ended.started_ns,
        wall_s=ended.wall_s,
        ending=ended.ending,
        returncode=ended.returncode,
        log=ended.log,
        served=client.served,
        requests=client.requests,
    )
    return Lived(launch=launch, reading=ENGINE.read(launch, case), folder=folder, ports=ports)
