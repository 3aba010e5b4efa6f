"""The engine's own torch profiler: the flags and variables that turn it on for one launch.

`--profile` writes one Chrome trace, gzipped, into the folder of its variable (runtime/utils/profiler.py, 0.5.17 to
0.5.23). Alone it profiles denoising steps, from the second one on: `--num-profiled-timesteps` of them and one more.
With `--profile-all-stages` it profiles the whole measured request. Warmup is never profiled.
"""

from __future__ import annotations

from dataclasses import replace

from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Ports, ProfileCode, ProfilePlan, Reading
from pytest_sgdiff.engines.protocol import Engine

FOLDERS = ("SGLANG_DIFFUSION_TORCH_PROFILER_DIR", "SGLANG_TORCH_PROFILER_DIR")
"""Where the trace goes: the first that is set counts, and older engines know the second only."""

ALL_STAGES_STEPS = 10
"""Up to so many denoising steps the whole request is profiled: 8 steps of a model of six layers make a trace of 50 MB,
and 50 steps of a model of 30 layers would make one of more than a gigabyte."""
USUAL_STEPS = 5
"""Steps that are profiled of longer requests: the engine's own default."""


def cannot_profile(engine: Engine) -> ProfileCode | None:
    """Why the adapter's engine has no flags for the profiler, None where it has them: `sglang generate` has, in all
    versions that are known."""
    if engine.name == "sglang-generate":
        return None
    return "unsupported-server" if engine.name == "sglang-serve" else "unsupported-engine"


def plan(steps: int, *, other_stage: bool = False, until: int | None = None) -> ProfilePlan:
    """What to profile of a request of so many denoising steps. `other_stage`: what is asked about lies outside of them;
    `until`: the number of a step that must be among those that are profiled."""
    if other_stage or steps <= ALL_STAGES_STEPS:
        return ProfilePlan(reach="stages")
    # The engine skips step 0, and profiles one more than it is told.
    return ProfilePlan(reach="steps", steps=min(steps - 1, max(USUAL_STEPS, until or 0)))


class Profiling:
    """An adapter whose launches are profiled as the plan says, with the trace in the folder `traces`."""

    def __init__(self, engine: Engine, wanted: ProfilePlan, traces: str) -> None:
        self.name = engine.name
        self._engine, self._wanted, self._traces = engine, wanted, traces

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The adapter's command, with the profiler."""
        command = self._engine.command(case, info=info, files=files, ports=ports)
        words = ["--profile"]
        words += ["--profile-all-stages"] if self._wanted.reach == "stages" else []
        words += [] if self._wanted.steps is None else ["--num-profiled-timesteps", str(self._wanted.steps)]
        env = {**command.env, **dict.fromkeys(FOLDERS, self._traces)}
        return replace(command, argv=(*command.argv, *words), env=env)

    def read(self, launch: Launch, case: Case) -> Reading:
        """What the adapter reads: a profiled launch must prove as much as any other."""
        return self._engine.read(launch, case)
