"""What the tests on two GPUs share: their cases, a run's launches in time, and what nvidia-smi says meanwhile."""

from __future__ import annotations

import json
import os
import pathlib
import struct
import subprocess
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any

from pytest_sgdiff.data import Launch
from pytest_sgdiff.recordings import store as recordings
from tests.realproject import Project

PROMPT = "A curious raccoon walks through a field of sunflowers at sunset"
ENV = '{HF_HUB_OFFLINE: "1", SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1", FLASHINFER_DISABLE_VERSION_CHECK: "1"}'

# GPU-bound on an H200: steps of 50 ms.
WAN = """
  {name}:
    model: {model}
    gpus: {gpus}
    args: {{prompt: {prompt}, seed: 42, width: 832, height: 480, num-frames: 17, num-inference-steps: {steps},
           attention-backend: torch_sdpa{topology}}}
    expect: {{pipeline: WanPipeline, stages: [DenoisingStage, DecodingStage]}}
"""

FIRERED = """
  firered:
    model: {model}
    gpus: 2
    args: {{prompt: Make it blue, seed: 42, width: {size}, height: {size}, num-inference-steps: 20,
           guidance-scale: 4.0, attention-backend: torch_sdpa, dit-layerwise-offload: false, dit-cpu-offload: false}}
    assets: {{image-path: input.png}}
    expect: {{pipeline: QwenImageEditPlusPipeline, stages: [ImageVAEEncodingStage, DenoisingStage, DecodingStage]}}
    launches: {{baseline: 3, checkpoints: [3]}}
    matrix:
      topology:
        cfg:
          args: {{enable-cfg-parallel: true, ulysses-degree: 1}}
          faster_than: {{case: "firered[ulysses]", at_least: 10%}}
        ulysses:
          args: {{ulysses-degree: 2}}
"""

LTX2 = """
  ltx2:
    model: {model}
    gpus: 2
    args: {{pipeline-class-name: LTX2TwoStagePipeline, prompt: {prompt}, seed: 42, width: 1280, height: 768,
           num-frames: 65, num-inference-steps: 20, attention-backend: torch_sdpa}}
    expect: {{pipeline: LTX2TwoStagePipeline, stages: [LTX2AVDenoisingStage, LTX2RefinementStage]}}
    matrix:
      topology:
        cfg: {{args: {{enable-cfg-parallel: true, ulysses-degree: 1}}}}
"""


def case_file(*cases: str) -> str:
    """A case file of these cases. Each takes one launch unless it says otherwise: no test here is about baselines."""
    defaults = f"defaults:\n  env: {ENV}\n  launches: {{baseline: 3, checkpoints: [1]}}\n  timeout: 8m\n"
    return defaults + "cases:" + "".join(cases)


def wan(name: str, model: pathlib.Path, *, gpus: int = 1, steps: int = 20) -> str:
    """A Wan case on one GPU, or on two by CFG parallel."""
    topology = ", enable-cfg-parallel: true, ulysses-degree: 1" if gpus > 1 else ""
    return WAN.format(name=name, model=model, gpus=gpus, prompt=PROMPT, steps=steps, topology=topology)


def write_picture(path: pathlib.Path, *, size: int = 128) -> None:
    """A PNG with a gradient: the picture that an editing model is given."""
    rows = b"".join(
        b"\0" + bytes(value for x in range(size) for value in (x * 255 // size, y * 255 // size, 128))
        for y in range(size)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


@dataclass(frozen=True, kw_only=True)
class Span:
    """A launch in time, in seconds since the epoch, with its GPUs by UUID and the ports that it was given."""

    case: str
    began: float
    ended: float
    uuids: frozenset[str]
    ports: frozenset[int]
    launch: Launch

    def overlaps(self, other: Span) -> bool:
        return self.began < other.ended and other.began < self.ended


def spans(*recorded: pathlib.Path) -> list[Span]:
    """The launches of some recordings, by their start."""
    found = []
    for root in recorded:
        for case in recordings.case_ids(root):
            for launch in recordings.read_launches(root, case):
                # Of a launch whose pytest was killed nothing but a log is there.
                if launch.started_at is None or launch.wall_s is None:
                    continue
                began = datetime.fromisoformat(launch.started_at).timestamp()
                words = launch.argv
                ports = frozenset(
                    int(words[at + 1])
                    for at, word in enumerate(words)
                    if word in ("--port", "--scheduler-port", "--master-port")
                )
                found.append(
                    Span(
                        case=case,
                        began=began,
                        ended=began + launch.wall_s,
                        uuids=frozenset(launch.environment.gpu_uuids),
                        ports=ports,
                        launch=launch,
                    )
                )
    return sorted(found, key=lambda span: span.began)


def makespan_over_bound(launches: Sequence[Span], *, gpus: int = 2) -> float:
    """The time from the first start to the last end over that in which no GPU would ever be idle."""
    bound = sum(len(span.uuids) * (span.ended - span.began) for span in launches) / gpus
    return (max(span.ended for span in launches) - min(span.began for span in launches)) / bound


def report(project: Project) -> Mapping[str, Any]:
    """The JSON report of the project's last run."""
    loaded: Mapping[str, Any] = json.loads((project.folder / "report.json").read_text())
    return loaded


def results(project: Project) -> dict[str, Mapping[str, Any]]:
    """The cases of the project's last run by their ids."""
    return {case["case"]: case for case in report(project)["cases"]}


def visible_gpus() -> list[str]:
    """The UUIDs that nvidia-smi lists, in PCI order: an account of the machine that is not ours."""
    argv = ["nvidia-smi", "--query-gpu=pci.bus_id,uuid", "--format=csv,noheader"]
    lines = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()
    return [line.split(", ")[1].strip() for line in sorted(lines)]


class Sightings:
    """Asks nvidia-smi once a second which processes are on which GPU, and whose session they belong to.

    `seen` holds (GPU's UUID, the leased UUIDs in the environment of the session's leader). A launch leads a session of
    its own; the engine's workers have no environment that could be read.
    """

    def __init__(self) -> None:
        self.seen: set[tuple[str, tuple[str, ...]]] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sightings:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        argv = ["nvidia-smi", "--query-compute-apps=gpu_uuid,pid", "--format=csv,noheader"]
        while not self._stop.wait(1.0):
            for line in subprocess.run(argv, check=False, capture_output=True, text=True).stdout.splitlines():
                uuid, _, pid = line.partition(", ")
                leased = leased_by(int(pid)) if pid.strip().isdecimal() else None
                if leased is not None:
                    self.seen.add((uuid, leased))


def leased_by(pid: int) -> tuple[str, ...] | None:
    """The UUIDs that the launch to which a process belongs was given; None if it belongs to none, or is gone."""
    try:
        environment = pathlib.Path(f"/proc/{os.getsid(pid)}/environ").read_bytes()
    except OSError:
        return None
    prefix = b"SGDIFF_GPU_UUIDS="
    value = next((word for word in environment.split(b"\0") if word.startswith(prefix)), None)
    return None if value is None else tuple(value.removeprefix(prefix).decode().split(","))
