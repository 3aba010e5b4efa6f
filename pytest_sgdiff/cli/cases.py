"""`sgdiff cases`: list the cases of case files, or check the files."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, as_json
from pytest_sgdiff.errors import CaseFileError, SgdiffError
from pytest_sgdiff.files.data_files import read_named
from pytest_sgdiff.lookalikes import in_name
from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.data import Case


EPILOG = """\
examples:
  sgdiff cases                                     every case below cases/
  sgdiff cases --check cases/wan22.yaml            mistakes and warnings of one file
  sgdiff cases --check --engine-version 0.5.17     what that version refuses, too
  sgdiff cases --as-command --assets assets        what would be launched
"""


def add(commands: Subparsers) -> None:
    """Add the command `cases`."""
    parser = commands.add_parser(
        "cases",
        help="list the cases of case files, or check the files",
        description="Lists the cases of case files with their GPUs and marks. With an option it checks the files, or "
        "prints command lines.",
        epilog=EPILOG,
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="case files (default: cases/*.yaml)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    check = parser.add_argument_group("check")
    check.add_argument(
        "--check", action="store_true", help="print every mistake as file:line:column, then warnings; a mistake exits 2"
    )
    check.add_argument(
        "--check-nightly",
        type=Path,
        metavar="FILE",
        help="compare cases with FILE, the comparison_configs.json that their `source` names; a difference exits 1",
    )
    command = parser.add_argument_group("command lines")
    command.add_argument("--as-command", action="store_true", help="print each case's command line, shell-quoted")
    command.add_argument("--assets", type=Path, metavar="DIR", help="take input files from DIR in command lines")
    parser.add_argument(
        "--engine-version",
        metavar="VERSION",
        help="write command lines for VERSION (default: the newest), and have --check refuse what it refuses",
    )
    parser.set_defaults(run=_cases)


def _cases(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.cases.load import check_files, read_cases
    from pytest_sgdiff.files.wire import to_plain

    here = Path.cwd()
    files = chosen.files or sorted([*here.glob("cases/*.yaml"), *here.glob("cases/*.yml")])
    if not files:
        print("sgdiff cases: no case files below cases/; name some", file=sys.stderr)
        return MISTAKES
    if chosen.check:
        return _check(files, here, chosen.engine_version)
    if mistakes := check_files(files, here):
        print("\n".join(map(printable, mistakes)))
        return MISTAKES
    cases = [case for file in files for case in read_cases(file, here)]
    if chosen.check_nightly is not None:
        return _check_nightly(cases, chosen.check_nightly, as_data=chosen.json)
    if chosen.as_command:
        return _as_command(cases, chosen)
    if chosen.json:
        print(as_json([to_plain(case) for case in cases]))
    else:
        width = max((len(case.node_id) for case in cases), default=0)
        for case in cases:
            gpus = f"{case.gpus} GPU{'s' if case.gpus != 1 else ''}"
            print(
                f"{case.node_id:{width}}  {gpus:7}  {','.join(case.marks) or '-':20}  {' '.join(case.summary.split())}"
            )
    return GOOD


def _check(files: Sequence[Path], here: Path, version: str | None) -> int:
    """Every mistake of the files, then every warning; only mistakes make it fail."""
    from pytest_sgdiff.cases.load import check_files
    from pytest_sgdiff.cli.marks import Marks, registered
    from pytest_sgdiff.reports.numbers import clean, plural

    cases = _readable(files, here)
    # Of files that name none nobody has to be asked.
    marked = [file for file in files if _names_marks(file)]
    marks = registered(marked, here) if marked else Marks(known=None)
    mistakes = (*check_files(files, here, known_marks=marks.known), *_impossible(cases, version))
    warnings = list(dict.fromkeys(line for case in cases for line in _told(case, version, level="warning")))
    warnings += [] if version else _doubts(cases)
    warnings += [f"warning: marks were not checked: {clean(marks.trouble)}"] if marks.trouble else []
    for line in (*mistakes, *warnings):
        print(line)
    if mistakes:
        return MISTAKES
    found = f", {plural(len(warnings), 'warning')}" if warnings else ""
    print(f"{plural(len(cases), 'case')} in {plural(len(files), 'file')}, no mistakes{found}")
    return GOOD


def _names_marks(file: Path) -> bool:
    """Whether a case file has marks, also one that cannot be read as YAML."""
    from pytest_sgdiff.cases.yaml import MAX_BYTES

    try:
        return b"marks" in read_named(file, at_most=MAX_BYTES)
    except SgdiffError:
        return False


def _readable(files: Sequence[Path], here: Path) -> list[Case]:
    """The cases of the files that have no mistake."""
    from pytest_sgdiff.cases.load import read_cases

    found: list[Case] = []
    for file in files:
        with contextlib.suppress(CaseFileError):
            found += read_cases(file, here)
    return found


def _impossible(cases: Sequence[Case], version: str | None) -> Iterator[str]:
    """What well-formed cases ask for that cannot work: on any engine, and on that of `version` if one is named."""
    from pytest_sgdiff.engines import ENGINES

    told: dict[str, None] = {}
    for case in cases:
        meant = difflib.get_close_matches(case.engine, ENGINES, n=1, cutoff=0.8)
        if meant and case.engine not in ENGINES:
            # Any other name may be that of an engine which a plugin brings.
            said = f"no engine is called '{case.engine}', did you mean '{meant[0]}'?{in_name(case.engine)}"
            told[f"{case.at('engine')}: {said}"] = None
        told |= dict.fromkeys(_refused(case, version))
    yield from told


def _doubts(cases: Sequence[Case]) -> Iterator[str]:
    """Flags that resemble none of a known release: a newer one may have them."""
    from pytest_sgdiff.engines.flags.translate import complaints, meant_for, table_flags

    told: dict[str, None] = {}
    for case in cases:
        for one in complaints(case, table_flags("")) if meant_for(case, "") else ():
            if one.new:
                flag = one.key.partition(".")[2]
                told[f"{case.at(one.key)}: warning: no known release has --{flag} [{one.slug}]"] = None
    yield from told


def _refused(case: Case, version: str | None) -> Iterator[str]:
    """Each error of a case at its place."""
    yield from _told(case, version, level="error")


def _told(case: Case, version: str | None, *, level: str) -> Iterator[str]:
    """Each error or warning of a case at its place: what that version ignores or rejects, then what is so on any
    engine. Without a version, what each that the case is meant for does."""
    from pytest_sgdiff.cases.here import models
    from pytest_sgdiff.cases.transformers import transformers
    from pytest_sgdiff.engines.flags.translate import VERSIONS, complaints, meant_for, table_flags
    from pytest_sgdiff.lint import advise

    word = "" if level == "error" else f"{level}: "
    meant = [one for one in ([version] if version else VERSIONS) if meant_for(case, one)]
    by_version = [{(one.key, one.slug): one for one in complaints(case, table_flags(each))} for each in meant]
    # Of all versions the newest tells it.
    for of_all, one in by_version[-1].items() if by_version else ():
        # Without a version the engine may be a newer one, which has it.
        later = one.new and version is None and meant_for(case, "")
        if one.level == level and all(of_all in found for found in by_version) and not later:
            yield f"{case.at(one.key)}: {word}{one.message} [{one.slug}]"
    general = [*advise(case, engine=table_flags(version) if version else None, transformers=transformers(case))]
    general += models(case)
    yield from (f"{one.location}: {word}{one.message} [{one.slug}]" for one in general if one.level == level)


def _check_nightly(cases: Sequence[Case], file: Path, *, as_data: bool) -> int:
    from pytest_sgdiff.reports.numbers import plural
    from pytest_sgdiff.upstream.nightly import (
        REVISIONS,
        check_nightly,
        compared,
        follows,
        generation_of,
        load_nightly,
    )

    document = load_nightly(file)
    found = check_nightly(cases, document, name=file.name)
    generation = generation_of(document, name=file.name)
    revision = next((known for known, of in REVISIONS.items() if of is generation), None)
    following = compared(cases, generation)
    others = sum(map(follows, cases)) - len(following)
    if as_data:
        told = {"file": file.name, "generation": generation.value, "revision": revision, "compared": len(following)}
        print(as_json({**told, "other_generations": others, "differences": list(found)}))
        return FOUND if found else GOOD
    print(printable(f"{file.name}: generation {generation.value}{f', as revision {revision}' if revision else ''}"))
    if others:
        print(f"not compared: {plural(others, 'case')} of another generation")
    for line in found:
        print(printable(line))
    if not found:
        print(printable(f"no difference: {plural(len(following), 'case')} here against {file.name}"))
    return FOUND if found else GOOD


def _as_command(cases: Sequence[Case], chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.data import EngineInfo
    from pytest_sgdiff.engines import ENGINES
    from pytest_sgdiff.engines.flags.translate import NEWEST, meant_for
    from pytest_sgdiff.runner import command_line

    version = chosen.engine_version or NEWEST
    info = EngineInfo(command=("sglang",), version=version)
    outcome = GOOD
    for case in cases:
        print(f"# {case.node_id}")
        if not meant_for(case, version):
            print(f"# not for sglang {version}: the case requires {case.requires.engine}")
            continue
        refused = list(_refused(case, version))
        if refused:
            # A command that is rejected, or runs as something else, is not for copying.
            print("\n".join(f"# {printable(line)}" for line in refused))
            outcome = FOUND
            continue
        engine = ENGINES.get(case.engine)
        # An engine of a plugin is known to pytest, which loads it, and not to this command.
        print(
            f"# engine {case.engine} is not known here"
            if engine is None
            else command_line.text(case, engine, info, chosen.assets)
        )
    return outcome
