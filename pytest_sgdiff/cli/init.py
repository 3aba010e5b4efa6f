"""`sgdiff init`: what a project needs for its first run, and the commands that come next."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pytest_sgdiff import __version__
from pytest_sgdiff.cases.recipes import recipes, with_schema
from pytest_sgdiff.cli.first_case import FRAMES, MODEL, PROMPT, SIZE, STEPS, FirstCase
from pytest_sgdiff.cli.init_plan import CASES, CONFIGURATION, SCHEMA, Plan
from pytest_sgdiff.cli.protocol import GOOD, MISTAKES, Subparsers, read
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.data import Case

T = TypeVar("T")

ASSETS = "assets"
WHEELS = Path("wheels")
"""Where the workflow finds the plugin, unless it is a release."""
NIGHTLY = "nightly"
MOST = 1 << 16
"""A number beyond this is a slip: no image is so wide, and no machine has so many GPUs."""

EXAMPLES = """\
examples:
  sgdiff init                                                on a terminal: asks
  sgdiff init --model /models/my-wan --gpus 2 --size 1280x720 --frames 81
  sgdiff init --cases wan22,firered                          shipped recipes instead
"""

_STATED = ("model", "gpus", "size", "width", "height", "frames", "steps", "prompt", "cases")
"""Options any of which says that nobody is to be asked."""


def add(commands: Subparsers) -> None:
    """Add the command `init`."""
    parser = commands.add_parser(
        "init",
        help="set up a project: a first case, settings, a workflow, and the next commands",
        description="Writes into this folder what a first run needs: a case file, its JSON Schema for editors, "
        "pytest.ini, a line of .gitignore, and a GitHub workflow: all of it or, if anything fails, nothing. Prints "
        "what this machine lacks for it, and the next three commands. On a terminal it asks for model, GPUs and size. "
        "It asks nothing if an option states any of them, or where nobody types: then what is not stated has its "
        "default. A file that is there stays as it is, and is named. With --cases it copies shipped recipes instead of "
        "writing a first case.",
        epilog=f"{EXAMPLES}\n" + textwrap.fill(f"shipped recipes: {', '.join(recipes())}", 100),
    )
    first = parser.add_argument_group("the first case")
    first.add_argument("--model", metavar="MODEL", help="model id or folder (default: the small public Wan 2.1)")
    first.add_argument(
        "--gpus", type=_from(0), metavar="N", help="GPUs of the case, 0 for the CPU (default: 1, or 0 where no GPU is)"
    )
    first.add_argument("--size", type=_size, metavar="WxH", help=f"width and height (default: {_times(SIZE)})")
    first.add_argument("--width", type=_from(1), metavar="PIXELS", help="width alone")
    first.add_argument("--height", type=_from(1), metavar="PIXELS", help="height alone")
    first.add_argument(
        "--frames",
        type=_from(1),
        metavar="N",
        help=f"frames of a video (default: {FRAMES} without --model, else as many as the engine makes)",
    )
    first.add_argument("--steps", type=_from(1), metavar="N", default=None, help=f"denoising steps (default: {STEPS})")
    first.add_argument("--prompt", metavar="TEXT", help="the prompt (default: a raccoon in a field)")
    others = parser.add_argument_group("other files and settings")
    others.add_argument("--cases", metavar="NAMES", help="copy these shipped recipes, such as wan22,firered")
    others.add_argument("--engine-cmd", metavar="CMD", help="the engine's command (default: sglang)")
    others.add_argument("--force", action="store_true", help="replace case files, schema and workflow that are there")
    parser.set_defaults(run=_init)


def _init(chosen: argparse.Namespace) -> int:
    here = Path()
    names = _names(chosen.cases) if chosen.cases is not None else ()
    stated = any(getattr(chosen, name) is not None for name in _STATED)
    if names and any(getattr(chosen, name) is not None for name in _STATED if name != "cases"):
        raise OptionError("init: --cases copies recipes as they are: leave out the options of a first case, or --cases")
    if chosen.size and (chosen.width or chosen.height):
        raise OptionError("init: give --size, or --width and --height")
    _check_command(chosen.engine_cmd)
    try:
        case = None if names else _first(chosen, ask=not stated and sys.stdin.isatty())
    except (EOFError, KeyboardInterrupt):
        print("sgdiff init: nothing was written", file=sys.stderr)
        return MISTAKES
    files = _case_files(case, names)
    plan = Plan(here=here, force=chosen.force)
    cases = _checked(files, plan)
    plan.check(*files, SCHEMA, *([CONFIGURATION] if plan.configuration() is None else []))
    for path, text in files.items():
        plan.put(path, text)
    plan.put(SCHEMA, _schema())
    needs_assets = any(one.assets for one in cases)
    settings = {"sgdiff_assets": ASSETS if needs_assets else None, "sgdiff_engine_cmd": chosen.engine_cmd}
    configured = plan.configure({key: value for key, value in settings.items() if value})
    plan.ignore()
    plan.workflow(_workflow(cases))
    plan.write()
    notes = []
    if case is not None and case.gpus == 0 and chosen.gpus is None:
        notes = ["note        the case runs on the CPU (gpus: 0): no GPU was found here, or none was asked for"]
    for line in (*map(str, plan.steps), *notes, *_needs(cases, chosen.engine_cmd)):
        print(printable(line))
    print("\nnext, in this folder:")
    options = [] if configured else _typed(settings)
    for words, meaning in _next(files, cases, options):
        print(printable(f"  {shlex.join(words)}"))
        print(f"      # {meaning}")
    return GOOD


def _check_command(text: str | None) -> None:
    """Raises OptionError for what is no command in one line."""
    try:
        words = ["sglang"] if text is None else shlex.split(text)
    except ValueError as error:
        raise OptionError(f"init: --engine-cmd={text}: {str(error).lower()}") from None
    if not words or not all(character.isprintable() for character in text or ""):
        # Whatever ends a line, or is no text, would be another line of pytest.ini.
        raise OptionError("init: --engine-cmd must be a command in one line of printable characters")


def _names(text: str) -> tuple[str, ...]:
    from pytest_sgdiff.cases.shapes import did_you_mean

    known = recipes()
    names = tuple(dict.fromkeys(word.removesuffix(".yaml") for word in re.split(r"[,\s]+", text) if word))
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"; there are {', '.join(known)}"
            raise OptionError(f"init: no recipe is called '{name}'{hint}")
    if not names:
        raise OptionError(f"init: --cases names no recipe; there are {', '.join(known)}")
    return names


# ----------------------------------------------------------------------------------------------------- the first case


def _first(chosen: argparse.Namespace, *, ask: bool) -> FirstCase:
    model, gpus, size, frames = chosen.model, chosen.gpus, chosen.size, chosen.frames
    if ask:
        print("A first case: press Enter for what stands in brackets.")
        model = _asked("model id or folder", MODEL, str)
        gpus = _asked("GPUs of the case, 0 for the CPU", str(min(1, _gpus_here())), _from(0))
        size = _asked("width and height", _times(SIZE), _size)
        frames = _asked("frames of a video, 0 for an image", str(FRAMES if model == MODEL else 0), _from(0)) or None
    elif model is None and frames is None:
        frames = FRAMES
    width, height = size or (chosen.width or SIZE[0], chosen.height or SIZE[1])
    return FirstCase(
        model=_model(MODEL if model is None else model),
        gpus=min(1, _gpus_here()) if gpus is None else gpus,
        width=width,
        height=height,
        frames=frames,
        steps=chosen.steps or STEPS,
        prompt=PROMPT if chosen.prompt is None else chosen.prompt,
    )


def _asked(what: str, otherwise: str, read_as: Callable[[str], T]) -> T:
    """The answer of whoever sits at the terminal, asked again until it makes sense."""
    while True:
        # A line of its own: what `sgdiff` prints leaves by whole lines.
        print(f"{what} [{otherwise}]:")
        answer = input().strip()
        try:
            return read_as(answer or otherwise)
        except argparse.ArgumentTypeError as error:
            print(f"  {error}")


def _gpus_here() -> int:
    """How many GPUs the driver shows."""
    from pytest_sgdiff import gpus
    from pytest_sgdiff.errors import LeaseError

    try:
        return len(gpus.inventory(gpus.default_reader()))
    except LeaseError:
        return 0


def _model(text: str) -> str:
    """A model as the case names it: launches have folders of their own, so a folder is named in full."""
    if not text.strip():
        raise OptionError("init: --model is empty")
    # Not Path: it raises for an unknown user, a name that is too long, and a folder that may not be entered.
    folder = os.path.expanduser(text)
    return os.path.abspath(folder) if os.path.isdir(folder) else text


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        digits = text.lstrip("0") or "0"
        if not (text.isascii() and text.isdecimal() and len(digits) <= 9 and least <= int(digits) <= MOST):
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number from {least} to {MOST}")
        return int(digits)

    return number


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})", text.strip().lower(), re.ASCII)
    if match is None or not (0 < int(match[1]) <= MOST and 0 < int(match[2]) <= MOST):
        raise argparse.ArgumentTypeError(f"'{text}' is no size such as {_times(SIZE)}")
    return int(match[1]), int(match[2])


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


# ---------------------------------------------------------------------------------------------------------- the files


def _case_files(case: FirstCase | None, names: Sequence[str]) -> dict[Path, str]:
    if case is not None:
        return {CASES / f"{case.id}.yaml": case.text(SCHEMA.name)}
    known = recipes()
    return {CASES / f"{name}.yaml": with_schema(read(known[name]), SCHEMA.name) for name in names}


def _checked(files: dict[Path, str], plan: Plan) -> list[Case]:
    """The cases of the files as they will lie there. Raises CaseFileError for what is wrong with them, or between them
    and the case files that are there already: an id has one case."""
    from pytest_sgdiff.cases.load import check_ids, load_cases, read_if_cases
    from pytest_sgdiff.errors import CaseFileError

    found: list[Case] = []
    for path in sorted({*files, *plan.here.glob("cases/*.yaml"), *plan.here.glob("cases/*.yml")}):
        try:
            new = path in files and not plan.stays(path)
            cases = load_cases(path.as_posix(), files[path]) if new else read_if_cases(path, plan.here)
        except CaseFileError:
            if path in files and not plan.stays(path):
                raise
            continue  # its mistakes are for `sgdiff cases --check`
        found += cases or ()
    # Of two places of an id the one that was there is named first.
    if mistakes := check_ids(sorted(found, key=lambda case: Path(case.location.path) in files)):
        raise CaseFileError([*mistakes, "nothing was written: move one of the files away, or rename the case"])
    return [case for case in found if Path(case.location.path) in files]


def _schema() -> str:
    from pytest_sgdiff.cases import json_schema

    return read(json_schema.FILE)


def _workflow(cases: Sequence[Case]) -> str:
    text = read(Path(__file__).with_name("workflow.yml"))
    words = shlex.join([*_selection(cases), f"--sgdiff-gpus={_pool(cases)}"])
    return text.replace("@SELECTION@", words).replace("@PLUGIN@", _plugin())


def _plugin() -> str:
    """What a job installs the plugin from: a release, or its wheel in the repository for a build between two, which no
    index has."""
    if _released():
        return f"pytest-sgdiff[html]=={__version__}"
    return f"./{WHEELS / _wheel()}[html]"


def _released() -> bool:
    from packaging.version import Version

    version = Version(__version__)
    return not (version.is_devrelease or version.local)


def _wheel() -> str:
    return f"pytest_sgdiff-{__version__}-py3-none-any.whl"


# ------------------------------------------------------------------------------------------------------- what is said


def _needs(cases: Sequence[Case], engine_cmd: str | None) -> Iterable[str]:
    """What a run will ask for that is not here."""
    from pytest_sgdiff.cases.assets import SOURCES
    from pytest_sgdiff.cases.here import models
    from pytest_sgdiff.reports.numbers import plural

    for name in dict.fromkeys(name for case in cases for name in case.assets.values()):
        if not Path(ASSETS, name).is_file():
            yield f"needed      {ASSETS}/{name}" + (f": get it from {SOURCES[name]}" if name in SOURCES else "")
    yield from dict.fromkeys(f"needed      the model: {one.message}" for case in cases for one in models(case))
    if gated := list(dict.fromkeys(case.model for case in cases if case.requires.token)):
        yield f"needed      HF_TOKEN: {', '.join(gated)} {'is' if len(gated) == 1 else 'are'} gated"
    wanted, here = _most(cases), _gpus_here()
    if wanted > here:
        has = f"has {here}" if here else "has none that the NVIDIA driver shows"
        yield f"needed      {plural(wanted, 'GPU')}: this machine {has}; the dry run below works all the same"
    if not _released() and not Path(WHEELS, _wheel()).is_file():
        yield f"needed      {WHEELS / _wheel()}: the workflow installs this build from there, as no index has it"
    command = shlex.split(engine_cmd or "sglang")[0]
    if shutil.which(command) is None:
        fix = "install SGLang, or name it with --engine-cmd=CMD" if engine_cmd is None else "is that its path?"
        yield f"needed      the engine: '{command}' is not found; {fix}"


def _pool(cases: Sequence[Case]) -> str:
    """What `--sgdiff-gpus` names: as many GPUs as the largest selected case wants."""
    return str(_most(cases) or "none")


def _most(cases: Sequence[Case]) -> int:
    """How many GPUs the largest selected case wants."""
    nightly = bool(_selection(cases))
    return max((case.gpus for case in cases if not nightly or NIGHTLY in case.marks), default=0)


def _selection(cases: Sequence[Case]) -> tuple[str, ...]:
    """Of recipes those for every night, where there are some: others compare layouts, or want larger machines."""
    return ("-m", NIGHTLY) if any(NIGHTLY in case.marks for case in cases) else ()


def _typed(settings: dict[str, str | None]) -> list[str]:
    return [f"--{key.replace('_', '-')}={value}" for key, value in settings.items() if value]


def _next(files: dict[Path, str], cases: Sequence[Case], options: Sequence[str]) -> Iterable[tuple[list[str], str]]:
    """The commands that come next, with what each does."""
    named = ["pytest", *(path.as_posix() for path in files), *_selection(cases), *options]
    measured = [*named, f"--sgdiff-gpus={_pool(cases)}"]
    yield [*named, "--sgdiff-dry-run"], "prints the command line of each case, and launches nothing"
    yield [*measured, "--sgdiff-update"], "records the baselines: review and commit them"
    yield measured, "from then on the gate: exit 1 if something got slower"
