"""What `sgdiff init` will write, found out before anything is written, and what it leaves alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pytest_sgdiff.cli.configuration import configuration
from pytest_sgdiff.errors import OptionError, SgdiffError
from pytest_sgdiff.files import all_or_none, data_files
from pytest_sgdiff.files.held_back import held_back

CASES = Path("cases")
SCHEMA = CASES / "case.schema.json"
CONFIGURATION = Path("pytest.ini")
IGNORED = Path(".gitignore")
WORKFLOW = Path(".github/workflows/sgdiff.yml")
OF_RUNS = (".sgdiff/", "baselines/.lock")
"""What runs leave that is nothing for a repository: their launches, and the lock of a run that was killed."""

Fate = Literal["wrote", "replaced", "added to", "unchanged", "left alone"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What becomes of a file; `note` says more."""

    fate: Fate
    path: str
    note: str = ""

    def __str__(self) -> str:
        return f"{self.fate:10}  {self.path}{f': {self.note}' if self.note else ''}"


@dataclass(kw_only=True, slots=True)
class Plan:
    """The files of a project: those that are written, all at once or not at all, and what becomes of each."""

    here: Path
    force: bool
    texts: dict[Path, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)

    def stays(self, path: Path) -> bool:
        """Whether a file is not to be written."""
        return data_files.kind(path, below=self.here) is not None and not self.force

    def check(self, *paths: Path) -> None:
        """Raises OptionError for what is no regular file, and DataFileError for what lies behind a link."""
        for path in paths:
            if data_files.kind(path, below=self.here) not in (None, "file"):
                raise OptionError(f"init: {path} is not a regular file: move it away")

    def put(self, path: Path, text: str) -> None:
        """A new file. One that is there stays, unless it is the same or may be replaced."""
        old = data_files.read_bytes(path, below=self.here)
        if old == text.encode():
            self._told("unchanged", path)
        elif old is not None and not self.force:
            self._told("left alone", path, "it is there already (--force replaces it)")
        else:
            self.texts[path] = text
            self._told("wrote" if old is None else "replaced", path)

    def configure(self, settings: Mapping[str, str]) -> bool:
        """pytest.ini, where pytest has no configuration. Whether it has the settings then."""
        there = self.configuration()
        lines = [f"{key} = {value}" for key, value in settings.items()]
        text = "\n".join(
            [
                "# `pytest --help` explains the settings sgdiff_*; the command line and the environment win over them.",
                "[pytest]",
                "addopts = -ra",
                "sgdiff_baselines = baselines",
                *lines,
                "",
            ]
        )
        if there is None:
            self.put(CONFIGURATION, text)
            return True
        if there.name == CONFIGURATION.name and there.read_bytes() == text.encode():
            self._told("unchanged", CONFIGURATION)
            return True
        wanted = f"; settings to add: {', '.join(lines)}" if lines else ""
        self._told("left alone", _shown(there), f"it configures pytest here{wanted}")
        return not lines

    def configuration(self) -> Path | None:
        """The file that configures pytest here, as pytest finds it: in this folder, or above it in the same repository.

        Raises:
            OptionError: it cannot be read.
        """
        file, _ = configuration(self.here.absolute(), fix="correct it first")
        top = _repository(self.here) or self.here.absolute()
        return file if file is not None and file.is_relative_to(top) else None

    def ignore(self) -> None:
        """Have git ignore what runs leave: lines more, whatever else the file says. No run needs them."""
        try:
            old = data_files.read_bytes(IGNORED, below=self.here)
            before = (old or b"").decode()
        except UnicodeDecodeError:
            self._not_ignored("it is not UTF-8 text", OF_RUNS)
            return
        except data_files.DataFileError as error:
            self._not_ignored(error.why, OF_RUNS)
            return
        known = {line.strip().strip("/") for line in before.splitlines()}
        new = [line for line in OF_RUNS if line.strip("/") not in known]
        if not new:
            self._told("unchanged", IGNORED)
        elif why := _closed(self.here / IGNORED):
            self._not_ignored(why, new)
        else:
            end = "" if not before or before.endswith("\n") else "\n"
            self.texts[IGNORED] = before + end + "".join(f"{line}\n" for line in new)
            self._told("wrote" if old is None else "added to", IGNORED, ", ".join(new))

    def _not_ignored(self, why: str, lines: Sequence[str]) -> None:
        self._told("left alone", IGNORED, f"{why}; lines to add: {', '.join(lines)}")

    def workflow(self, text: str) -> None:
        """A workflow at the top of the repository. No run needs it."""
        top = _repository(self.here)
        if top is not None and top != self.here.absolute():
            self._told("left alone", WORKFLOW, f"GitHub reads workflows at the top of the repository, {top}")
            return
        try:
            self.check(WORKFLOW)
            there = data_files.kind(WORKFLOW, below=self.here) is not None
            why = "" if there and not self.force else _closed(self.here / WORKFLOW)
            if not why:
                self.put(WORKFLOW, text)
        except data_files.DataFileError as error:
            why = f"{error.path} {error.why}" if error.path != WORKFLOW else error.why
        except SgdiffError as error:
            why = str(error).removeprefix("init: ")
        if why:
            self._told("left alone", WORKFLOW, why)

    def write(self) -> None:
        """Write the files, all of them or none. A signal that ends this process does so afterwards.

        Raises:
            OptionError: one of them cannot be written.
        """
        try:
            with held_back():
                all_or_none.write_all(self.texts, below=self.here)
        except all_or_none.WriteError as error:
            end = "" if error.left else ". Nothing was written: no file here has changed"
            raise OptionError(f"init: {error}{end}") from None

    def _told(self, fate: Fate, path: Path | str, note: str = "") -> None:
        self.steps.append(Step(fate=fate, path=str(path), note=note))


def _closed(path: Path) -> str:
    """Why a file cannot be written, as far as its mode and those of the folders above it say; else empty."""
    effective = os.access in os.supports_effective_ids
    if os.path.exists(path) and not os.access(path, os.W_OK, effective_ids=effective):
        return "it is read-only"
    folder = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):
        return f"the folder {_shown(folder)} is read-only"
    return ""


def _repository(here: Path) -> Path | None:
    """The top of the git repository of a folder, None where there is none."""
    folders = (here.absolute(), *here.absolute().parents)
    # Not Path.exists: it raises for a folder that may not be entered.
    return next((folder for folder in folders if os.path.exists(folder / ".git")), None)


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
