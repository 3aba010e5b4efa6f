"""The keys of a case file: one line per key, with its shape and what editors and docs/cases.md say of it.

The keys are the fields of `pytest_sgdiff.data.Case` and its parts (a test keeps them in step); `timeout` is
`timeout_s` there, and `matrix` becomes one case per variant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    OneOrEach,
    Positive,
    Record,
    Share,
    Specifier,
    Text,
    WordOrRecord,
)
from pytest_sgdiff.cases.tree import Mistakes, Node, Place, Table
from pytest_sgdiff.data import (
    Backend,
    Case,
    Expect,
    FasterThan,
    LaunchPlan,
    MetricChoice,
    OutputSize,
    QualityChoice,
    Requires,
)
from pytest_sgdiff.judging.rules import CLASS_MARGINS

CASE_ID = r"[A-Za-z_][A-Za-z0-9_.-]*"
VARIANT = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
RESERVED = ("against", "again", "baselines", "profile")
"""Names of the folders that a recording has beside those of its cases."""

NAME_HELP = "letters, digits, '_', '.' and '-'"

# Merged key by key with what is inherited; every other key replaces.
MERGED = ("args", "env", "config")

FLAG = r"[A-Za-z0-9][A-Za-z0-9.]*(?:-[A-Za-z0-9.]+)*"
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
        "fallback": ListOf(item=_CALLED),
    },
    help={
        "pipeline": "pipeline class that the log must name",
        "stages": "stages that the perf dump must contain",
        "output": "size that the output must have",
        "attention": "attention backend that must have been used",
        "fallback": "components that may run as a class of transformers or diffusers where the engine could not load "
        "its own, such as text_encoder",
    },
)


def _figures_make_sense(choice: MetricChoice, table: Table, name: str, mistakes: Mistakes) -> None:
    """What is stated of a metric that is not gated would be a promise that nobody keeps."""
    if choice.gate is not None and "primary" in table.entries and not metrics.gates(choice, choice.primary):
        mistakes.add(
            table.keys["primary"],
            f"'{name}.primary' is not gated: add {choice.primary} to '{name}.gate', or leave it out",
        )
    for key in ("allow", "detect"):
        stated = table.entries.get(key)
        for metric, place in stated.keys.items() if isinstance(stated, Table) else ():
            if not metrics.gates(choice, metric):
                mistakes.add(place, f"'{name}.{key}.{metric}' has no effect: add {metric} to '{name}.gate'")
    for place, metric, detect in _each(table.entries.get("detect"), choice.detect):
        allow = choice.allow.get(metric) if isinstance(choice.allow, Mapping) else choice.allow
        if allow is None and metric:
            family = metrics.entry(metric)
            kind = family.metric_class if family is not None and family.metric_class != "pause" else "primary"
            allow = CLASS_MARGINS[kind].allow
        if detect <= (CLASS_MARGINS["primary"].allow if allow is None else allow):
            least = f"{100 * (CLASS_MARGINS['primary'].allow if allow is None else allow):g}%"
            mistakes.add(place, f"'{name}.detect' must be more than the {least} that is allowed")


def _each(node: Node | None, stated: float | Mapping[str, float] | None) -> Iterator[tuple[Place, str, float]]:
    """Every figure with its place and metric; one for the case has no metric."""
    if isinstance(node, Table) and isinstance(stated, Mapping):
        yield from ((node.keys[metric], metric, figure) for metric, figure in stated.items())
    elif node is not None and isinstance(stated, float):
        yield node.place, "", stated


_PRIMARY = OneOf(names=metrics.primary_names)
_GATE = OneOf(names=metrics.gate_names)
_METRICS = Record(
    kind=MetricChoice,
    keys={
        "primary": _PRIMARY,
        "gate": ListOf(item=_GATE, least=1),
        "allow": OneOrEach(value=Share(or_zero=True), key=_GATE, what=Share.what),
        "detect": OneOrEach(value=Share(), key=_GATE, what=Share.what),
    },
    help={
        "primary": "the metric that decides first, one of those in `gate`",
        "gate": "the only metrics that fail the case when they get worse",
        "allow": "slowdown that is accepted and never fails, for the case or by metric, such as 10%",
        "detect": "slowdown that a pass rules out, for the case or by metric; more than `allow`",
    },
    formerly={"limits": "allow"},
    relation=_figures_make_sense,
)
_LAUNCHES = Record(
    kind=LaunchPlan,
    keys={
        "baseline": Int(minimum=3),
        "checkpoints": Increasing(),
        "requests": Int(minimum=1),
        "inputs": Choice(options=("varied", "same")),
        "side_by_side": Bool(),
        "concurrency": Increasing(),
        "rate": ListOf(item=Positive(), least=1),
        "load_requests": Int(minimum=2),
    },
    help={
        "baseline": "number of launches of a baseline, 3 or more; a case marked `nightly` has 10 by default",
        "checkpoints": "numbers of launches after which the case is judged, increasing",
        "requests": "measured requests of each launch of a server, 3 by default; a launch's value is their median",
        "inputs": "whether each request to a server has a prompt and image of its own (varied, the default), or all "
        "have the same, without the cache of encodings",
        "side_by_side": "true: in an A/B run both engines run at the same time, each on GPUs of its own, so that the "
        "case leases twice as many",
        "concurrency": "after the measured requests a server gets `load_requests` more, so many at a time, for each "
        "number",
        "rate": "after them it gets as many at random times, so many a second on average, for each number",
        "load_requests": "requests of each number of `concurrency` and `rate`",
    },
    aliases={"looks": "checkpoints"},
    fields={"checkpoints": "looks"},
)
_REQUIRES = Record(
    kind=Requires,
    keys={
        "gpu": ListOf(item=_CALLED, least=1),
        "engine": Specifier(),
        "token": Bool(),
    },
    help={
        "gpu": "the GPU's product name must contain one of these words, such as H100 (H20 does not match H200)",
        "engine": "versions of the engine that can run the case, a PEP 440 specifier; a build from source counts as "
        "the newest version",
        "token": "true if the model is gated: HF_TOKEN must be set",
    },
)
_FASTER_THAN = Record(
    kind=FasterThan,
    keys={"case": _WORD, "at_least": Share(or_zero=True)},
    help={
        "case": "id of another case of the same run, such as firered_1_1[ulysses]",
        "at_least": "by how much this case must be faster, such as 10%",
    },
)


def _says_something(choice: QualityChoice, table: Table, name: str, mistakes: Mistakes) -> None:
    """What allows nothing in particular has a word of its own."""
    if not table.entries:
        mistakes.add(table.place, f"'{name}' must not be empty: state a figure, or write lossless, lossy or off")


_QUALITY = WordOrRecord(
    words={mode: QualityChoice(mode=mode) for mode in ("lossless", "lossy", "off")},
    record=Record(
        kind=QualityChoice,
        also={"mode": "bounded"},
        keys={
            "ssim": Share(),
            "psnr": Positive(),
            "difference": Positive(),
            "chamfer": Share(),
        },
        help={
            "ssim": "least structural similarity (SSIM) of each picture or frame, such as 0.95",
            "psnr": "least peak signal-to-noise ratio of each, in dB, such as 28",
            "difference": "largest mean absolute difference of each, in levels of 255, such as 8",
            "chamfer": "largest mean distance between the surfaces of meshes, as a share of the box around them",
        },
        relation=_says_something,
    ),
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
        "args": MapOf(value=Flag(), key=FLAG, what=_FLAG_HELP, nullable=True),
        "env": MapOf(value=Text(), key=r"[A-Za-z_][A-Za-z0-9_]*", what="the name of a variable", nullable=True),
        "config": MapOf(value=Json(), key=r".+", what="a name", nullable=True),
        "assets": MapOf(
            value=Text(pattern=_ASSET, what="a path inside the assets folder, such as cat.png"),
            key=FLAG,
            what=_FLAG_HELP,
        ),
        "expect": _EXPECT,
        "metrics": _METRICS,
        "launches": _LAUNCHES,
        "quality": _QUALITY,
        "timeout": Duration(),
        "requires": _REQUIRES,
        "faster_than": _FASTER_THAN,
        "source": Text(),
    },
    help={
        "summary": "one line that describes the case in reports",
        "marks": "pytest marks, selected with -m",
        "fixtures": "pytest fixtures that the case uses",
        "model": "model id or folder, passed to the engine as --model-path",
        "gpus": "how many GPUs the case leases; 0 runs the engine on the CPU",
        "engine": "how the model is run: sglang-generate, sglang-serve, or an engine that a plugin adds",
        "backend": "the backend that must run",
        "warmup": "request: warm up before the measured request, with the flag of the engine's version and without the "
        "cache of encodings; off: measure cold",
        "args": "flags of the engine without dashes, in order: true is a flag without value, a list is several values",
        "env": "environment variables, text only",
        "config": "settings in a JSON file that the engine gets as --config",
        "assets": "flags, each with a file in the assets folder, such as image-path: cat.png",
        "expect": "what the log and dump of a launch must show, or the launch is invalid",
        "metrics": "which metrics are gated, and how tightly",
        "launches": "how often the engine is launched",
        "quality": "lossless (the default): pictures are those of the baseline, but for its noise; lossy: they may "
        "differ; off: they are not looked at; or the least likeness that is accepted",
        "timeout": "time limit of one launch: 45m, 90s, 2h, or seconds",
        "requires": "what the case needs; without it the case is skipped",
        "faster_than": "another case of the same run that this case must beat",
        "source": "the document or upstream file that the case follows",
    },
)

LISTED = ("engine", "backend", "warmup", "gpus")
"""Keys whose values may be listed in a matrix: each is a variant of that name."""

MATRIX_HELP = (
    "axes with their variants, and what each variant changes: "
    "{topology: {cfg: {…}, ulysses: {…}}} makes case[cfg] and case[ulysses]; an axis that has the name of a key may "
    "list its values: {engine: [sglang-generate, sglang-serve]}"
)
