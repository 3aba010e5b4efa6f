"""The options: one line each, under all their names. `plugin/settings.py` resolves their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pytest_sgdiff.isolation import ISOLATIONS

Group = Literal["run", "verdict", "places", "results", "host"]
OFF = ("0", "false", "no", "off")
"""What turns the variable of a switch off, as if it were not set."""


class Setting(NamedTuple):
    """One setting under all its names: `--sgdiff-<flag>`, `SGDIFF_<FLAG>` and ini `sgdiff_<flag>`.

    A named tuple and no dataclass: this module is loaded in every pytest run, and a dataclass takes 1 ms more to make.
    """

    flag: str
    group: Group
    help: str
    ini: Literal["string", "args", "bool", "linelist"] | None = None
    default: str | bool | None = None
    metavar: str | None = None
    nargs: Literal["?"] | None = None
    const: str | None = None
    repeatable: bool = False
    switch: bool = False
    typed: bool = False

    @property
    def option(self) -> str:
        """The flag as typed: `--sgdiff-fail-on`."""
        return f"--sgdiff-{self.flag}"

    @property
    def dest(self) -> str:
        """The name of the option and of the ini value: `sgdiff_fail_on`."""
        return "sgdiff_" + self.flag.replace("-", "_")

    @property
    def variable(self) -> str | None:
        """The environment variable, `SGDIFF_ENGINE_CMD`; None for a setting of several values, and for one that is only
        ever `typed`."""
        return None if self.typed or self.repeatable or self.ini == "args" else self.dest.upper()

    def in_environment(self, env: Mapping[str, str]) -> str | None:
        """What the environment says; None if that is nothing, an empty text, or for a switch one of OFF."""
        text = env.get(self.variable, "") if self.variable else ""
        return None if not text or (self.switch and text.lower() in OFF) else text

    @staticmethod
    def empty(value: object) -> bool:
        """Whether a value of the command line is an empty text, or one of several is."""
        values = value if isinstance(value, list) else [value]
        return any(isinstance(one, str) and not one.strip() for one in values)


GROUPS: Mapping[Group, str] = {
    "run": "SGLang Diffusion: what a run does (--sgdiff-gpus, -cluster, -replay or -dry-run starts it)",
    "verdict": "SGLang Diffusion: what fails a case",
    "places": "SGLang Diffusion: where things are",
    "results": "SGLang Diffusion: what a run leaves",
    "host": "SGLang Diffusion: how launches share the machine",
}
"""The titles under which `pytest --help` lists the options."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        flag="gpus",
        group="run",
        metavar="SPEC",
        help="Measure on these GPUs: a count, 'all', 'auto' (idle ones), positions within CUDA_VISIBLE_DEVICES "
        "('0,2' or 'idx:0,2'), GPU UUIDs, or 'none' (only cases with `gpus: 0`).",
    ),
    Setting(
        flag="cluster",
        group="run",
        metavar="auto|ADDRESS",
        help="Measure on the nodes of a Ray cluster: of the one that pytest runs in ('auto'), or at ADDRESS, HOST:PORT "
        "(needs the extra 'ray').",
    ),
    Setting(
        flag="replay",
        group="run",
        metavar="DIR",
        help="Judge the launches that an earlier run left in DIR (its --sgdiff-out), without a GPU.",
    ),
    Setting(
        flag="dry-run",
        group="run",
        switch=True,
        help="Print the command line of every selected case, launch nothing, and fail a case that has an error.",
    ),
    Setting(
        flag="update",
        group="run",
        metavar="all|missing|extend",
        nargs="?",
        const="all",
        help="Record fresh launches as baselines: of all selected cases, of those without one ('missing'), or as one "
        "more session of each ('extend').",
    ),
    Setting(
        flag="against",
        group="run",
        metavar="CMD",
        help="Compare with the base engine CMD instead of a baseline, launched in turn with the current engine on the "
        "same GPUs (A/B run).",
    ),
    Setting(
        flag="profile",
        group="results",
        metavar="regressed|all",
        ini="string",
        help="Launch regressed cases, or 'all', once more with the engine's profiler, list the operators and kernels "
        "whose time changed most, and keep a profile beside each baseline that is recorded with 'all'.",
    ),
    Setting(
        flag="shard",
        group="run",
        metavar="K/N",
        help="Measure part K of the selected cases, split into N parts for as many hosts, whose recordings "
        "`sgdiff merge` joins.",
    ),
    Setting(
        flag="out",
        group="results",
        metavar="DIR",
        help="Keep the dump, log and machine record of every launch in DIR (default: .sgdiff/).",
    ),
    Setting(
        flag="keep",
        group="results",
        metavar="N|all",
        ini="string",
        default="20",
        help="Keep the newest N runs in .sgdiff/, not counting --sgdiff-out folders (default: 20).",
    ),
    Setting(
        flag="keep-outputs",
        group="results",
        metavar="SIZE",
        ini="string",
        default="0",
        help="Keep the files that a launch writes beside its recording, up to SIZE a launch, such as 200MB (default: "
        "0, small samples only).",
    ),
    Setting(
        flag="baselines",
        group="places",
        metavar="DIR",
        ini="string",
        default="baselines",
        help="Read and write the committed baselines in DIR, relative to the root (default: baselines).",
    ),
    Setting(
        flag="assets",
        group="places",
        metavar="DIR",
        ini="string",
        help="Find the files that cases name under `assets` in DIR.",
    ),
    Setting(
        flag="engine-cmd",
        group="places",
        metavar="CMD",
        ini="string",
        default="sglang",
        help="Launch the engine as CMD (default: sglang).",
    ),
    Setting(
        flag="fail-on",
        group="verdict",
        metavar="OUTCOMES",
        ini="args",
        help="Fail a case with these outcomes too, such as 'inconclusive'.",
    ),
    Setting(
        flag="exit-codes",
        group="verdict",
        metavar="pytest|bisect",
        typed=True,
        help="Exit as 'git bisect run' understands it: 0 where nothing got slower, 1 where something did, 125 where "
        "the run cannot tell, 128 and more where the command is wrong (default: pytest).",
    ),
    Setting(
        flag="accept",
        group="verdict",
        metavar="FILE|none",
        ini="linelist",
        repeatable=True,
        help="Read the slowdowns that are accepted for a time from FILE, such as the text of a pull request, or from "
        "nowhere ('none'), instead of sgdiff-accept.txt at the root.",
    ),
    Setting(
        flag="isolation",
        group="host",
        metavar="|".join(ISOLATIONS),
        ini="string",
        help="Let launches share the host with other launches: always, only before a slowdown is confirmed, or never "
        "(default: confirm; alone when recording).",
    ),
    Setting(
        flag="strict",
        group="verdict",
        switch=True,
        ini="bool",
        default=False,
        help="Fail a case that would be skipped or inconclusive.",
    ),
    Setting(
        flag="report",
        group="results",
        metavar="PATH",
        repeatable=True,
        help="Write a report to PATH, whose suffix chooses the format: .html .json .md .csv .txt .prom .lp .asv.json "
        ".benchmark.json (repeatable).",
    ),
    Setting(
        flag="history",
        group="results",
        metavar="FILE",
        ini="string",
        help="Append this run to the history FILE (SQLite) that `sgdiff trend` reads, and show the drift of cases with "
        "eight earlier runs or more.",
    ),
    Setting(
        flag="gpu-timeout",
        group="host",
        metavar="SECONDS",
        ini="string",
        default="3600",
        help="Wait at most SECONDS for the GPUs of a case, then fail it and name who holds them (default: 3600).",
    ),
    Setting(
        flag="lock-dir",
        group="host",
        metavar="DIR",
        ini="string",
        help="Keep the GPU leases in DIR, which all runs on the host must share (default: /run/lock/sgdiff).",
    ),
    Setting(
        flag="files",
        group="places",
        metavar="GLOB",
        ini="linelist",
        repeatable=True,
        help="Take the files that match GLOB as case files (default: cases/*.yaml cases/*.yml *.sgdiff.yaml).",
    ),
)

CASE_FILES = ("cases/*.yaml", "cases/*.yml", "*.sgdiff.yaml")
"""Which files are case files unless `--sgdiff-files` says otherwise; a glob matches from the right."""
