"""Measures variants: has pytest launch each of them once, natively, in a run as any other, and reads what came of it.

Leases, pytest-xdist, the watch over GPUs, the proof of the native backend and the redaction of secrets are the
plugin's; so is the replacement of disturbed launches.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Case, CaseResult, Dropped, LaunchRecord, Tried, TuneLaunch, TuneTrouble, Variant
from pytest_sgdiff.errors import OptionError, SgdiffError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.launch import child
from pytest_sgdiff.metrics.reading import is_peak_of_first
from pytest_sgdiff.tuning.blame import disturbed_by, trouble_of
from pytest_sgdiff.tuning.lost import lost_share
from pytest_sgdiff.tuning.rounds import SETTINGS, Ending, Round, read_endings, read_round, remove_ending, write_round

ROUNDS, LAUNCHES = "rounds", "launches"
"""The folder of a search with its rounds, and the one of a round that keeps its launches."""

ROOM = 1 << 20
"""What a round needs at least, in bytes, as a guess: the log, the launches and their pictures are larger."""
USAGE_ERROR = 4
"""The exit code of pytest for a command line that it does not understand."""


class MeasuringError(SgdiffError):
    """pytest says nothing of the variants: its command is wrong, or it failed; or there are `troubles` that are no
    fault of theirs, which `reports.tune_step_text.trouble` puts into words."""

    def __init__(self, *lines: str, troubles: Sequence[TuneTrouble] = ()) -> None:
        super().__init__(*lines, *(": ".join(filter(None, (one.code, one.variant, one.why))) for one in troubles))
        self.troubles = tuple(troubles)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How variants are launched: `case` is the case as it is written, `metric` what variants are ranked by, `gpus` the
    GPUs as `--sgdiff-gpus` has them, `cwd` where pytest is called, `arguments` more of pytest's."""

    case: Case
    metric: str
    engine_cmd: tuple[str, ...]
    gpus: str
    cwd: Path
    arguments: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """Launches in rounds, each in a folder of its own below `folder`. `inherits` are descriptors that pytest is to keep
    open as long as it runs."""

    plan: Plan
    folder: Path
    inherits: Sequence[int] = ()

    def next_round(self) -> int:
        """The number of a round that has no folder yet."""
        return 1 + max(self.known_rounds(), default=0)

    def known_rounds(self) -> tuple[int, ...]:
        """The numbers of the rounds that have a folder, in order."""
        taken = data_files.names(self.folder / ROUNDS, below=self.folder)
        return tuple(sorted(int(name) for name in taken if name.isdecimal() and name.isascii()))

    def launched(self, number: int) -> frozenset[str]:
        """The ids of the cases that a round was begun for; none where that is not known."""
        try:
            return frozenset(case.id for case in read_round(self._folder(number)).cases)
        except SgdiffError:
            # It was killed before it began.
            return frozenset()

    def measure(self, number: int, variants: Sequence[Variant], *, timeout_s: float | None) -> tuple[TuneLaunch, ...]:
        """Launch the variants, at the same time as far as there are GPUs. What did not end within `timeout_s` is left
        out.

        Raises MeasuringError, DataFileError, OSError, and KeyboardInterrupt; `known` has what is known all the same.
        """
        where = self._folder(number)
        write_round(where, Round(case=self.plan.case.id, cases=tuple(one.case for one in variants)), below=self.folder)
        log = where / "pytest.log"
        started = time.monotonic()
        code = self._run(where, log, at_once=len(variants), timeout_s=timeout_s)
        if code == USAGE_ERROR and len(variants) > 1 and not list(self._endings(number, variants)):
            # Without pytest-xdist, or with `-p no:xdist`, pytest does not know how to do several things at a time.
            left_s = None if timeout_s is None else max(1.0, timeout_s - (time.monotonic() - started))
            code = self._run(where, log, at_once=1, timeout_s=left_s)
        found = self.known(number, variants, took_s=time.monotonic() - started)
        troubles = list(self._troubles(number, variants))
        missing = {one.name for one in variants} - {launch.variant for launch in found}
        failed = {one.variant for one in found if one.dropped is not None and one.dropped.code == "failed"}
        if (troubles or failed or (missing and code is not None)) and (full := self._full()):
            # Nobody knows whether these would have failed as well where there is room.
            for one in variants:
                if one.name in failed:
                    remove_ending(where, one.case, below=self.folder)
            raise MeasuringError(troubles=[full])
        if troubles:
            raise MeasuringError(troubles=troubles)
        if missing and code is not None:
            raise MeasuringError(
                f"pytest measured nothing of {', '.join(sorted(missing))} (exit code {code}), and its log ends with:",
                *child.tail(log, below=self.folder).splitlines(),
                f"(all of it is in {log})",
            )
        return found

    def _run(self, where: Path, log: Path, *, at_once: int, timeout_s: float | None) -> int | None:
        return child.run(
            self._words(where, at_once=at_once),
            log=log,
            below=self.folder,
            cwd=self.plan.cwd,
            env=self._environment(where),
            inherits=self.inherits,
            timeout_s=timeout_s,
        )

    def known(self, number: int, variants: Sequence[Variant], *, took_s: float | None = None) -> tuple[TuneLaunch, ...]:
        """What is known of the variants of a round, also of one that was killed. `took_s` is how long it took, None
        where nobody knows. Raises SgdiffError for a file that is damaged."""
        alone = len(variants) == 1
        return tuple(
            launch
            for variant, ending in self._endings(number, variants)
            for launch in self._launches(number, variant, ending, took_s=took_s, alone=alone)
        )

    def _endings(self, number: int, variants: Sequence[Variant]) -> Iterator[tuple[Variant, Ending]]:
        cases = [variant.case for variant in variants]
        endings = {one.case: one for one in read_endings(self._folder(number), cases, below=self.folder)}
        for variant in variants:
            if (ending := endings.get(variant.case.id)) is not None:
                yield variant, ending

    def _troubles(self, number: int, variants: Sequence[Variant]) -> Iterator[TuneTrouble]:
        """Why variants were not measured through no fault of their own: the next one would fare no better."""
        for variant, ending in self._endings(number, variants):
            if (trouble := trouble_of(variant, ending, model=self.plan.case.model)) is not None:
                yield trouble

    def _full(self) -> TuneTrouble | None:
        """That there is no room for a round, which pytest and the engine say in many ways; None where there is."""
        path = self.folder / ROUNDS / data_files.temporary_name()
        try:
            data_files.write(path, bytes(ROOM), below=self.folder)
        except OSError as error:
            if error.errno not in data_files.NO_ROOM:
                return None
            return TuneTrouble(code="disk", why=f"{self.folder}: {os.strerror(error.errno)}")
        data_files.remove(path, below=self.folder)
        return None

    def lasted_s(self, number: int) -> float:
        """How long a round went on at least, by the times of its files; 0 where there are none."""
        times = []
        for folder, _, names in os.walk(self._folder(number)):
            for name in names:
                with contextlib.suppress(OSError):
                    times.append(os.lstat(os.path.join(folder, name)).st_mtime)
        return max(times, default=0.0) - min(times, default=0.0)

    def assets(self, variants: Sequence[Variant], launches: Sequence[TuneLaunch]) -> Path | None:
        """The folder with the files that cases name, as the last launch that counts had it, wherever that was said;
        None where none was named. Raises SgdiffError for a file that is damaged."""
        by_name = {one.name: one for one in variants}
        for launch in reversed(launches):
            if launch.tried is not None:
                for _, ending in self._endings(launch.round, [by_name[launch.variant]]):
                    return Path(ending.assets) if ending.assets else None
        return None

    def launches(self, number: int) -> Path:
        """The folder with the launches of a round."""
        return self._folder(number) / LAUNCHES

    def _folder(self, number: int) -> Path:
        return self.folder / ROUNDS / f"{number:04d}"

    def _launches(
        self, number: int, variant: Variant, ending: Ending, *, took_s: float | None, alone: bool
    ) -> Iterator[TuneLaunch]:
        result = ending.result
        if trouble_of(variant, ending, model=self.plan.case.model) is not None:
            return
        if result is None:
            yield TuneLaunch(
                round=number,
                variant=variant.name,
                dropped=Dropped(code="failed", why=ending.why),
                took_s=took_s or 0.0,
                alone=alone,
            )
            return
        if any(problem.code == "interrupted" for problem in result.problems):
            return
        took = result.elapsed_s if took_s is None else took_s
        told = disturbed_by(result) or came_of(variant, result, self.plan.metric)
        for tried in told if isinstance(told, tuple) else (told,):
            yield TuneLaunch(
                round=number,
                variant=variant.name,
                tried=tried if isinstance(tried, Tried) else None,
                dropped=tried if isinstance(tried, Dropped) else None,
                took_s=took,
                e2e_ms=_e2e_ms(result) if isinstance(tried, Tried) else None,
                alone=alone,
            )

    def _words(self, where: Path, *, at_once: int) -> list[str]:
        case = self.plan.case
        return [
            *(sys.executable, "-m", "pytest", f"{case.location.path}::{case.name}"),
            *("-p", "pytest_sgdiff.plugin.tuned", "-o", f"cache_dir={self.folder / 'cache'}"),
            *(("-n", str(at_once)) if at_once > 1 else ()),
            f"--sgdiff-gpus={self.plan.gpus}",
            f"--sgdiff-engine-cmd={shlex.join(self.plan.engine_cmd)}",
            # Nothing is judged: there is no baseline of a variant.
            f"--sgdiff-baselines={where / 'baselines'}",
            f"--sgdiff-out={where / LAUNCHES}",
            *("-o", "sgdiff_history=", "-o", "sgdiff_profile="),
            # What the project's `addopts` choose for other runs does not deselect the case.
            *("-m", "", "-k", ""),
            *self.plan.arguments,
        ]

    def _environment(self, where: Path) -> Mapping[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in child.OF_OTHER_RUNS}
        told = {"round": str(where), "parent": os.getpid(), "file": self.plan.case.location.path}
        return {**kept, SETTINGS: json.dumps(told)}


def came_of(variant: Variant, result: CaseResult, metric: str) -> tuple[Tried, ...] | Dropped:
    """What a result says of a variant: its launches that count, or why there are none."""
    if result.problems:
        return Dropped(code="failed", problem=result.problems[0])
    counted = [launch for launch in result.launches if launch.counts]
    if not counted:
        return Dropped(code="disturbed")
    # The launches that were disturbed took GPUs, too.
    gpu_s = variant.case.gpus * sum(launch.wall_s or 0.0 for launch in result.launches) / len(counted)
    values = [value_of(launch, metric) for launch in counted]
    if not all(value is not None and value > 0 for value in values):
        return Dropped(code="failed", why=f"its launches have no {metric}")
    return tuple(
        Tried(
            variant=variant.name,
            ms=value,
            lost=lost_share(launch, variant.case, metric),
            memory_mib=memory_mib(launch),
            gpu_s=gpu_s,
        )
        for launch, value in zip(counted, values, strict=True)
        if value is not None
    )


def memory_mib(launch: LaunchRecord) -> float | None:
    """The peak of memory of a launch: as the engine reports it, else the most that was in use on one of its GPUs while
    they were watched, once a second; None where nobody knows. Of several GPUs whose engine reports only the first one's
    peak it is the larger of the two: another one may need more."""
    reported = launch.metrics.get(metrics.PEAK_MEMORY)
    gpus = () if launch.watch is None else launch.watch.gpus
    if reported is not None and not (len(gpus) > 1 and is_peak_of_first(launch)):
        return reported
    seen = [size for series in gpus for size in series.memory_mb if size is not None]
    return max([*seen, reported or 0.0]) or None


def value_of(launch: LaunchRecord, metric: str) -> float | None:
    """What variants are ranked by in a launch. In place of denoising the sum of its steps where that is known, which no
    pause before a step lengthens: the core of the steps, by which the gate judges, takes several launches of a variant
    to know (`pytest_sgdiff.step_core`)."""
    steps = launch.metrics.get(metrics.DENOISE_STEPS) if metric == metrics.DENOISE else None
    return launch.metrics.get(metric) if steps is None else steps


def ranked_by(case: Case, named: str | None = None) -> str:
    """The metric that variants of a case are ranked by: the one that is named, or what the case is judged by first.

    Raises OptionError for a metric that there is none of, or whose values are no times.
    """
    name = named or metrics.primary_of(case.metrics) or metrics.E2E
    entry = metrics.entry(name)
    if entry is None or not entry.may_be_primary or entry.unit != "ms" or entry.read is None:
        raise OptionError(f"--metric {name}: variants cannot be ranked by it: name a time, such as denoise or e2e")
    return name


def _e2e_ms(result: CaseResult) -> float | None:
    """The time of the whole request, of several launches that of the first."""
    return next((launch.metrics.get(metrics.E2E) for launch in result.launches if launch.counts), None)
