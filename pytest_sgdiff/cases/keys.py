"""The keys of a case file: one line per key, with its shape and what editors and docs/cases.md say of it.

The keys are the fields of `pytest_sgdiff.data.Case` and its parts (a test keeps them in step); `timeout` is
`timeout_s` there, and `matrix` becomes one case per variant.
"""

from __future__ import annotations

from typing import get_args

from pytest_sgdiff import metrics
from pytest_sgdiff.cases.shapes import (
    Bool,
    Choice,
    Duration,
    Flag,
    Increasing,
    Int,
    Json,
    ListOf,
    MapOf,
    OneOf,
    Record,
    Share,
    Specifier,
    Text,
)
from pytest_sgdiff.cases.tree import Mistakes, Table
from pytest_sgdiff.data import Backend, Case, Expect, FasterThan, LaunchPlan, MetricChoice, OutputSize, Requires

CASE_ID = r"[A-Za-z_][A-Za-z0-9_.-]*"
VARIANT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
NAME_HELP = "letters, digits, '_', '.' and '-'"

# Merged key by key with what is inherited; every other key replaces.
MERGED = ("args", "env", "config")

_FLAG = r"[A-Za-z0-9][A-Za-z0-9.]*(?:-[A-Za-z0-9.]+)*"
_FLAG_HELP = "a long flag without its dashes, words joined by '-'"
_NAME = r"(?!\d)\w+"
_WORD = Text(pattern=r"\S(?:[\s\S]*\S)?", what="text without spaces around it")
# Names of classes and products are ASCII: a character that cannot be seen would make one that nothing has.
_CALLED = Text(pattern=r"[!-~](?:[ -~]*[!-~])?", what="a name of ASCII characters without spaces around it")
# An asset is found inside one folder: no absolute path, no way out.
_ASSET = r"(?!/)(?!(?:.*/)?\.\.(?:/|$))[^\\\0]*[^\\/\0]"

_OUTPUT = Record(
    kind=OutputSize,
    keys={"width": Int(minimum=1), "height": Int(minimum=1), "frames": Int(minimum=1)},
    help={
        "width": "width of the image or video, in pixels",
        "height": "height of the image or video, in pixels",
        "frames": "number of frames of the video",
    },
)
_EXPECT = Record(
    kind=Expect,
    keys={
        "pipeline": _CALLED,
        "stages": ListOf(item=_CALLED),
        "output": _OUTPUT,
        "attention": _CALLED,
    },
    help={
        "pipeline": "pipeline class that the log must name",
        "stages": "names that the perf dump's steps must hold",
        "output": "size of what must have been produced",
        "attention": "attention backend that must have been used",
    },
)


def _limits_are_gated(choice: MetricChoice, table: Table, name: str, mistakes: Mistakes) -> None:
    """A limit on what is not gated would be a promise that nobody keeps."""
    for metric in choice.limits:
        if not metrics.gates(choice, metric):
            limits = table.entries["limits"]
            assert isinstance(limits, Table)
            mistakes.add(limits.keys[metric], f"'{name}.limits.{metric}' has no effect: add {metric} to '{name}.gate'")


_PRIMARY = OneOf(names=metrics.primary_names)
_GATE = OneOf(names=metrics.gate_names)
_METRICS = Record(
    kind=MetricChoice,
    keys={
        "primary": _PRIMARY,
        "gate": ListOf(item=_GATE, least=1),
        "limits": MapOf(value=Share(), key=_GATE),
    },
    help={
        "primary": "the metric that decides first",
        "gate": "metrics that fail the case when they get worse",
        "limits": "slowdown that a pass must exclude, by metric, such as 4%",
    },
    relation=_limits_are_gated,
)
_LAUNCHES = Record(
    kind=LaunchPlan,
    keys={"baseline": Int(minimum=3), "looks": Increasing()},
    help={
        "baseline": "launches that a baseline is recorded from, 3 or more; a case marked `nightly` has 10 by default",
        "looks": "launches after which a verdict is sought, increasing",
    },
)
_REQUIRES = Record(
    kind=Requires,
    keys={
        "gpu": ListOf(item=_CALLED, least=1),
        "engine": Specifier(),
        "token": Bool(),
    },
    help={
        "gpu": "words of which the GPU's product name must hold one, such as H100 (H20 is no H200)",
        "engine": "versions of the engine that can run the case, a PEP 440 specifier; a build from source counts as "
        "the newest",
        "token": "whether the model is gated, so that HF_TOKEN must be set",
    },
)
_FASTER_THAN = Record(
    kind=FasterThan,
    keys={"case": _WORD, "at_least": Share(or_zero=True)},
    help={
        "case": "id of the other case of the same run, such as firered_1_1[ulysses]",
        "at_least": "by how much this case must be faster, such as 10%",
    },
)

CASE = Record(
    kind=Case,
    keys={
        "summary": Text(),
        "marks": ListOf(item=Text(pattern=r"(?!_)" + _NAME, what="the name of a mark, such as nightly")),
        "fixtures": ListOf(item=Text(pattern=_NAME, what="the name of a fixture")),
        "model": _WORD,
        "gpus": Int(minimum=0),
        "engine": _WORD,
        "backend": Choice(options=get_args(Backend)),
        "warmup": Choice(options=("request", "off")),
        "args": MapOf(value=Flag(), key=_FLAG, what=_FLAG_HELP, nullable=True),
        "env": MapOf(value=Text(), key=r"[A-Za-z_][A-Za-z0-9_]*", what="the name of a variable", nullable=True),
        "config": MapOf(value=Json(), key=r".+", what="a name", nullable=True),
        "assets": MapOf(
            value=Text(pattern=_ASSET, what="a path inside the assets folder, such as cat.png"),
            key=_FLAG,
            what=_FLAG_HELP,
        ),
        "expect": _EXPECT,
        "metrics": _METRICS,
        "launches": _LAUNCHES,
        "timeout": Duration(),
        "requires": _REQUIRES,
        "faster_than": _FASTER_THAN,
        "source": Text(),
    },
    help={
        "summary": "one line for people, shown in reports",
        "marks": "pytest marks, selected with -m",
        "fixtures": "pytest fixtures that the case uses",
        "model": "model id or folder, --model-path of the engine",
        "gpus": "how many GPUs the case leases; 0 runs the engine on the CPU",
        "engine": "how the model is run: sglang-generate, or an engine that a plugin adds",
        "backend": "the backend that must have run",
        "warmup": "request: warm up before the measured request, in the words of its version and with the cache of "
        "encodings off; off: measure cold",
        "args": "flags of the engine without dashes, in order: true is a bare flag, a list several values",
        "env": "environment variables, text only",
        "config": "written to a JSON file that the engine gets as --config",
        "assets": "flag and file in the assets folder, such as image-path: cat.png",
        "expect": "what a launch must show before it counts",
        "metrics": "which metrics are gated, and how tightly",
        "launches": "how often the engine is launched",
        "timeout": "bound of one launch: 45m, 90s, 2h, or seconds",
        "requires": "what the case needs; elsewhere it is skipped",
        "faster_than": "another case of the same run that this one must beat",
        "source": "the document or upstream file that the case follows",
    },
)

MATRIX_HELP = (
    "axes, each with its variants and what they change: "
    "{topology: {cfg: {…}, ulysses: {…}}} makes case[cfg] and case[ulysses]"
)
