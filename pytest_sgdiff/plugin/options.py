"""The options: one line each, under all their names. `settings.py` resolves their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from pytest_sgdiff.isolation import ISOLATIONS

OFF = ("0", "false", "no", "off")
"""What turns the variable of a switch off, as if it were not set."""


class Setting(NamedTuple):
    """One setting under all its names: `--sgdiff-<flag>`, `SGDIFF_<FLAG>` and ini `sgdiff_<flag>`.

    A named tuple and no dataclass: this module is loaded in every pytest run, and a dataclass takes 1 ms more to make.
    """

    flag: str
    help: str
    ini: Literal["string", "args", "bool", "linelist"] | None = None
    default: str | bool | None = None
    metavar: str | None = None
    nargs: Literal["?"] | None = None
    const: str | None = None
    repeatable: bool = False
    switch: bool = False

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
        """The environment variable, `SGDIFF_ENGINE_CMD`; None for a setting of several values, which has none."""
        return None if self.repeatable or self.ini == "args" else self.dest.upper()

    def in_environment(self, env: Mapping[str, str]) -> str | None:
        """What the environment says; None if that is nothing, an empty text, or for a switch one of OFF."""
        text = env.get(self.variable, "") if self.variable else ""
        return None if not text or (self.switch and text.lower() in OFF) else text

    @staticmethod
    def empty(value: object) -> bool:
        """Whether a value of the command line is an empty text, or one of several is."""
        values = value if isinstance(value, list) else [value]
        return any(isinstance(one, str) and not one.strip() for one in values)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        flag="gpus",
        metavar="SPEC",
        help="measure on these GPUs: a count, 'all', 'auto' (idle ones), 'idx:0,2' or '0,2' (positions within "
        "CUDA_VISIBLE_DEVICES), GPU UUIDs, or 'none' (only cases with `gpus: 0`)",
    ),
    Setting(flag="replay", metavar="DIR", help="judge launches recorded earlier with --sgdiff-out; needs no GPU"),
    Setting(
        flag="dry-run",
        switch=True,
        help="print the command line of every selected case and launch nothing; a case with an error fails",
    ),
    Setting(
        flag="update",
        metavar="all|missing|extend",
        nargs="?",
        const="all",
        help="collect fresh launches and record them as the baselines of the selected cases ('missing': only of cases "
        "without a baseline; 'extend': add a session of launches to each existing baseline)",
    ),
    Setting(
        flag="against",
        metavar="CMD",
        help="A/B run: launch the base engine CMD and the current engine alternately on the same GPUs, and compare "
        "them; needs no baseline",
    ),
    Setting(
        flag="out",
        metavar="DIR",
        help="keep the dump, log and machine record of every launch in this folder (default: .sgdiff/)",
    ),
    Setting(
        flag="keep",
        metavar="N|all",
        ini="string",
        default="20",
        help="how many runs to keep in .sgdiff/, the newest ones (default: 20); --sgdiff-out folders do not count",
    ),
    Setting(
        flag="baselines",
        metavar="DIR",
        ini="string",
        default="baselines",
        help="folder of the committed baselines, relative to the root (default: baselines)",
    ),
    Setting(
        flag="assets",
        metavar="DIR",
        ini="string",
        help="folder that holds the files named under `assets` of a case",
    ),
    Setting(
        flag="engine-cmd",
        metavar="CMD",
        ini="string",
        default="sglang",
        help="the engine's command (default: sglang)",
    ),
    Setting(
        flag="fail-on",
        metavar="OUTCOMES",
        ini="args",
        help="more outcomes that fail a case, such as 'inconclusive'",
    ),
    Setting(
        flag="isolation",
        metavar="|".join(ISOLATIONS),
        ini="string",
        help="what else may run on the host during a launch (default: confirm; alone when recording)",
    ),
    Setting(
        flag="strict",
        switch=True,
        ini="bool",
        default=False,
        help="fail a case that would be skipped or inconclusive",
    ),
    Setting(
        flag="report",
        metavar="PATH",
        repeatable=True,
        help="write a report; the suffix chooses the format: .html .json .md .csv .txt (repeatable)",
    ),
    Setting(
        flag="history",
        metavar="FILE",
        ini="string",
        help="append this run to the history file (SQLite) that `sgdiff trend` reads; eight earlier runs or more of a "
        "case also give its drift from night to night",
    ),
    Setting(
        flag="gpu-timeout",
        metavar="SECONDS",
        ini="string",
        default="3600",
        help="how long a case waits for its GPUs; then it fails and names who holds them (default: 3600)",
    ),
    Setting(
        flag="lock-dir",
        metavar="DIR",
        ini="string",
        help="folder of the GPU leases; all runs on the host must share it (default: /run/lock/sgdiff)",
    ),
    Setting(
        flag="files",
        metavar="GLOB",
        ini="linelist",
        repeatable=True,
        help="which files are case files (default: cases/*.yaml cases/*.yml *.sgdiff.yaml)",
    ),
)

CASE_FILES = ("cases/*.yaml", "cases/*.yml", "*.sgdiff.yaml")
"""Which files are case files unless `--sgdiff-files` says otherwise; a glob matches from the right."""
