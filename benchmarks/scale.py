"""What a large suite costs: its collection, its results in the controller, its page and its history.

    python benchmarks/scale.py [collect] [results] [page] [history] [--rounds N] [--quick]

Each figure is that of a process of its own: CPU seconds (user and system, with its children) and its peak of memory.
Kinds of runs take turns, so that a machine that slows down for a while slows all of them; a figure is the median of the
rounds. Ratios are to be compared, not seconds. Every size is ten times the one before: where cost grows linearly the
column per case stays as it is, or falls by what a run costs whatever its size.

collect   Collecting cases, beside plain pytest collecting as many parametrised tests: with all plugins of this
          environment on both sides, and with none. `cases` are entries of their own with six keys, in files of a
          hundred; `variants` are those of matrices, a hundred in a file.
results   A run in which each case has a result of a real launch at once, taken from the bundled recordings: what it
          takes from the end of a test to the reports (.json, .csv, .md) and the history, alone and under xdist, beside
          plain pytest running as many passing tests.
page      The HTML report of cases with the launches of the bundled recordings, varied by 1 %: its size, the time to
          make it, and, where Chromium is installed, what it takes until it can be used: CPU time of the page's main
          thread, on which everything of a page happens, and on an idle machine that is the time.
history   `sgdiff trend` of a history of so many rows, 10 metrics and 1,000 runs: of one case (--case), and of all.

Every run imports byte code that an earlier one has compiled. Plain pytest never loads pytest-sgdiff. But for `collect`,
nothing else is loaded either, and under xdist pytest-xdist. Exits 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
SIZES = (100, 1_000, 10_000)
PAGES = (100, 500, 2_000)
ROWS = (10_000, 100_000, 1_000_000)
PER_FILE = 100
PLUGIN = ("-p", "pytest_sgdiff.plugin")

HEAD = """\
defaults:
  engine: sglang-generate
  warmup: request
  timeout: 45m
  requires: {gpu: [H100, H200]}
  args: {width: 1280, height: 720, num-frames: 81, seed: 42}
cases:
"""
CASE = """\
  case_{n:05d}:
    summary: Text to video at 720p, prompt {n}
    marks: [nightly]
    model: Wan-AI/Wan2.2-T2V-A14B-Diffusers
    gpus: 4
    args: {{prompt: "A cat and a dog, number {n}", ulysses-degree: 2, num-inference-steps: {steps}}}
"""
MATRIX = """\
  case_{n:05d}:
    marks: [nightly]
    model: Wan-AI/Wan2.2-T2V-A14B-Diffusers
    gpus: 4
    matrix:
      steps:
"""
VARIANT = "        s{n:05d}: {{args: {{num-inference-steps: {steps}}}}}\n"
PLAIN = """\
import pytest
@pytest.mark.parametrize("case", range({first}, {end}))
def test_case(case):
    pass
"""
CANNED = """\
import json, pathlib
import pytest
from pytest_sgdiff.plugin.session import RESULT

RESULTS = json.loads((pathlib.Path(__file__).parent / "results.json").read_text())

class Canned:
    def __init__(self, item, case):
        self.item, self.case = item, case

    def check(self):
        place = {"path": self.case.location.path, "line": self.case.location.line, "column": 3}
        named = {"case": self.case.id, "node_id": self.item.nodeid, "location": place}
        self.item.stash[RESULT] = {**RESULTS[int(self.case.name[-5:]) % len(RESULTS)], **named}

@pytest.fixture
def sgdiff(request, sgdiff_case):
    return Canned(request.node, sgdiff_case)
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one process took with its children: CPU seconds, and MiB at its own peak."""

    cpu_s: float
    peak_mb: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A goal, and the figure that meets it or not."""

    name: str
    found: float
    goal: float

    @property
    def met(self) -> bool:
        return self.found <= self.goal


def cost(argv: Sequence[str], folder: pathlib.Path, *, plugins: bool = False) -> Cost:
    """Run a program of this environment; with `plugins` pytest loads those that are installed. Raises SystemExit if it
    fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SGDIFF_"))}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    environment = {**kept, "PYTHONPATH": str(ROOT)} | ({} if plugins else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen([sys.executable, *argv], cwd=folder, env=environment, stdout=output, stderr=output)
        # Not Popen.wait(): only wait4 tells what this one child used, with those that it has waited for itself.
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1) or (process.returncode == 1 and "trend" not in argv):
        raise SystemExit(f"{' '.join(argv)}: exit {process.returncode}\n{(folder / 'output.txt').read_text()[-3000:]}")
    return Cost(cpu_s=used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss / 1024)


def in_turn(kinds: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, Cost]:
    """The median of each kind of run over rounds in which all take turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in kinds}
    for _ in range(rounds):
        for name, run in kinds.items():
            costs[name].append(run())
    return {
        name: Cost(
            cpu_s=statistics.median(one.cpu_s for one in found), peak_mb=statistics.median(one.peak_mb for one in found)
        )
        for name, found in costs.items()
    }


def parts(count: int) -> Iterator[tuple[int, int]]:
    """First and end of what stands in each file."""
    return ((first, min(count, first + PER_FILE)) for first in range(0, count, PER_FILE))


def project(folder: pathlib.Path, kind: str, count: int) -> pathlib.Path:
    """A project of so many tests: `plain`, `cases` or `variants`."""
    (folder / "cases").mkdir(parents=True)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for first, end in parts(count):
        if kind == "plain":
            (folder / f"test_{first:05d}.py").write_text(PLAIN.format(first=first, end=end))
        elif kind == "cases":
            text = "".join(CASE.format(n=n, steps=20 + n % 30) for n in range(first, end))
            (folder / "cases" / f"suite_{first:05d}.yaml").write_text(HEAD + text)
        else:
            text = "".join(VARIANT.format(n=n, steps=n + 1) for n in range(first, end))
            (folder / "cases" / f"suite_{first:05d}.yaml").write_text(HEAD + MATRIX.format(n=first) + text)
    return folder


def collect(top: pathlib.Path, sizes: Sequence[int], rounds: int) -> list[Claim]:
    claims = []
    folders = {
        (size, kind): project(top / f"{kind}-{size}", kind, size)
        for size in sizes
        for kind in ("plain", "cases", "variants")
    }
    for plugins, words in ((True, "with the plugins of this environment"), (False, "with no other plugin")):
        print(f"\ncollecting, {words}")
        print("                           CPU s        us each   to plain   peak MiB   to plain")
        without = ("-p", "no:sgdiff") if plugins else ()
        with_ours = () if plugins else PLUGIN
        for size in sizes:
            runs = {}
            for kind in ("plain", "cases", "variants"):
                argv = ["-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider"]
                argv += without if kind == "plain" else with_ours
                folder = folders[size, kind]
                cost(argv, folder, plugins=plugins)
                runs[kind] = partial(cost, argv, folder, plugins=plugins)
            found = in_turn(runs, rounds)
            for kind, one in found.items():
                cpu, peak = one.cpu_s / found["plain"].cpu_s, one.peak_mb / found["plain"].peak_mb
                each = 1e6 * one.cpu_s / size
                print(f"{size:7,} {kind:14} {one.cpu_s:9.2f} {each:14.0f} {cpu:10.2f} {one.peak_mb:10.0f} {peak:10.2f}")
                if kind != "plain" and size == SIZES[-1]:
                    name = f"{size:,} {kind} {words}, to plain pytest"
                    claims.append(Claim(name=f"CPU of collecting {name}", found=cpu, goal=2.0))
                    claims.append(Claim(name=f"memory of collecting {name}", found=peak, goal=1.5))
    return claims


def real_run() -> Any:
    """The run that judges the bundled recordings."""
    code = (
        "import json, sys, pytest\n"
        "from pytest_sgdiff.files.wire import to_plain\n"
        "class Keep:\n"
        "    def pytest_sgdiff_report(self, run):\n"
        "        json.dump(to_plain(run), open(sys.argv[1], 'w'))\n"
        "sys.exit(pytest.main(sys.argv[2:], plugins=[Keep()]) not in (0, 1))\n"
    )
    with tempfile.TemporaryDirectory() as name:
        file = pathlib.Path(name) / "run.json"
        examples = ROOT / "examples"
        words = ["-q", "-p", "no:cacheprovider", *PLUGIN, f"--rootdir={ROOT}", str(examples / "cases" / "demo.yaml")]
        words += [f"--sgdiff-replay={examples / 'recordings' / 'h200'}", f"--sgdiff-baselines={examples / 'baselines'}"]
        words += [f"--sgdiff-assets={examples / 'assets'}"]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-c", code, str(file), *words]
        subprocess.run(argv, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)
        from pytest_sgdiff.data import Run
        from pytest_sgdiff.files.wire import from_plain

        return from_plain(Run, json.loads(file.read_text()))


def results(top: pathlib.Path, sizes: Sequence[int], rounds: int) -> list[Claim]:
    from pytest_sgdiff.files.wire import to_plain

    # Those that pass, as nearly all results of a large suite do.
    canned = [to_plain(one) for one in real_run().results if one.outcome == "pass"]
    print("\nresults                    CPU s     ms each     peak MiB, largest process    KiB each   plain CPU s")
    claims, each_s, each_mb = [], {}, {}
    for size in sizes:
        folder, peer = project(top / f"run-{size}", "cases", size), project(top / f"peer-{size}", "plain", size)
        (folder / "conftest.py").write_text(CANNED)
        (folder / "results.json").write_text(json.dumps(canned))
        (folder / "launches").mkdir()
        plain = ["-m", "pytest", "-q", "-p", "no:cacheprovider"]
        reports = [f"--sgdiff-report=run.{suffix}" for suffix in ("json", "csv", "md")]
        ours = [*plain, *PLUGIN, "--sgdiff-replay=launches", *reports, "--sgdiff-history=history.db"]
        xdist = ["-p", "xdist.plugin", "-n", "2"]
        found = in_turn(
            {
                "alone": partial(cost, ours, folder),
                "plain": partial(cost, plain, peer),
                "-n 2": partial(cost, [*ours, *xdist], folder),
                "plain -n 2": partial(cost, [*plain, *xdist], peer),
            },
            rounds,
        )
        for kind in ("alone", "-n 2"):
            one, other = found[kind], found["plain" if kind == "alone" else "plain -n 2"]
            each_s[size, kind] = one.cpu_s / size
            each_mb[size, kind] = one.peak_mb / size
            print(
                f"{size:7,} {kind:14} {one.cpu_s:8.2f} {1000 * one.cpu_s / size:11.2f} {one.peak_mb:18.0f}"
                f" {1024 * one.peak_mb / size:21.0f} {other.cpu_s:13.2f}"
            )
    for kind in ("alone", "-n 2"):
        if len(sizes) > 2:
            grown = each_s[sizes[2], kind] / each_s[sizes[1], kind]
            claims.append(
                Claim(name=f"time for each of 10,000 results to that of 1,000, {kind}", found=grown, goal=1.1)
            )
            grown = each_mb[sizes[2], kind] / each_mb[sizes[1], kind]
            claims.append(
                Claim(name=f"memory of each of 10,000 results to that of 1,000, {kind}", found=grown, goal=1.1)
            )
    return claims


def varied(value: Any, chance: random.Random) -> Any:
    """Every figure in it off by up to 1 %."""
    if isinstance(value, float):
        return value * chance.uniform(0.99, 1.01)
    if isinstance(value, tuple):
        return tuple(varied(one, chance) for one in value)
    return {key: varied(one, chance) for key, one in value.items()} if isinstance(value, Mapping) else value


def suite(run: Any, count: int) -> Any:
    """The run with so many cases, each with figures of its own."""
    chance = random.Random(1)

    def launch(one: Any) -> Any:
        return replace(one, metrics=varied(one.metrics, chance), steps_ms=varied(one.steps_ms, chance))

    def case(number: int, one: Any) -> Any:
        values = {"now_values": None, "baseline_values": None}
        verdicts = (replace(v, **{name: varied(getattr(v, name), chance) for name in values}) for v in one.verdicts)
        return replace(
            one,
            case=f"{one.case}_{number:05d}",
            node_id=f"{one.node_id}_{number:05d}",
            launches=tuple(map(launch, one.launches)),
            baseline_records=tuple(map(launch, one.baseline_records)),
            verdicts=tuple(verdicts),
        )

    made = tuple(case(n, run.results[n % len(run.results)]) for n in range(count))
    return replace(run, results=made, selected=count, trends=(), history={}, relations=())


def page(top: pathlib.Path, sizes: Sequence[int], rounds: int) -> list[Claim]:
    from time import process_time

    from pytest_sgdiff.reports.html import HtmlReport

    run = real_run()
    print("\npage                          MB    KB each   ms of CPU each   ms until usable (least of the rounds)")
    claims = []
    for size in sizes:
        made = suite(run, size)
        began = process_time()
        text = HtmlReport().render(made)
        took = process_time() - began
        file = top / f"page-{size}.html"
        file.write_text(text, encoding="utf-8")
        megabytes = file.stat().st_size / 1e6
        opened = usable(file, rounds)
        shown = "no Chromium here" if opened is None else f"{opened[0]:.0f} of CPU, {opened[1]:.0f} passed"
        print(f"{size:7,} cases {megabytes:18.2f} {1000 * megabytes / size:10.2f} {1000 * took / size:16.2f}   {shown}")
        if size == PAGES[-1]:
            claims.append(Claim(name="MB of the page of 2,000 cases", found=megabytes, goal=10.0))
            if opened is not None:
                claims.append(Claim(name="CPU seconds until it can be used", found=opened[0] / 1000, goal=1.0))
    return claims


def usable(file: pathlib.Path, rounds: int) -> tuple[float, float] | None:
    """CPU and wall time in ms until the page's script has run and a frame after it is drawn, the least of the rounds;
    None without Chromium."""
    import shutil
    import socket

    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        return None
    sys.path.insert(0, str(ROOT))
    from tests.browser.conftest import Browser, _wait_for

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(port)
            took = []
            for _ in range(rounds):
                # A browser of its own: what a thread has used is counted from its start.
                with tempfile.TemporaryDirectory() as profile:
                    browser = Browser(port, pathlib.Path(profile))
                    browser.devtools("Performance.enable")
                    browser.open(file)
                    wall = browser.run("return performance.getEntriesByType('navigation')[0].domComplete")
                    found = browser.devtools("Performance.getMetrics")["metrics"]
                    took.append((1000 * next(one["value"] for one in found if one["name"] == "ThreadTime"), wall))
                    browser.close()
            return min(cpu for cpu, _ in took), min(wall for _, wall in took)
        finally:
            process.terminate()


def history(top: pathlib.Path, sizes: Sequence[int], rounds: int) -> list[Claim]:
    from pytest_sgdiff.history.store import Figure, append_figures

    print("\nhistory                    CPU s    peak MiB   (sgdiff trend of a history of so many rows)")
    claims = []
    runs = 1_000
    metrics = ("denoise_steps", "e2e", "denoise", "peak_memory", *(f"stage:Stage{n}" for n in range(6)))
    for size in sizes:
        file, chance = top / f"history-{size}.db", random.Random(1)
        cases = [f"case_{n:05d}" for n in range(size // runs // len(metrics))]
        for first in range(0, runs, 50):
            append_figures(
                file,
                [
                    Figure(
                        run=f"run-{number:05d}",
                        at=f"{2020 + number // 336}-{number % 336 // 28 + 1:02d}-{number % 28 + 1:02d}T02:00:00+00:00",
                        case=case,
                        machine="nvidia-h200-x1",
                        workload="a739cfb13035bb4a",
                        metric=metric,
                        value=1000 * chance.gauss(1, 0.008) * (1.05 if number > 700 else 1),
                        engine_version=f"0.5.{number // 60}",
                    )
                    for number in range(first, first + 50)
                    for case in cases
                    for metric in metrics
                ],
            )
        command = "import sys; from pytest_sgdiff.cli import main; sys.exit(main(sys.argv[1:]))"
        argv = ["-c", command, "trend", str(file)]
        kinds = {"one case": [*argv, "--case", cases[-1]], "all cases": argv}
        found = in_turn({kind: partial(cost, words, top) for kind, words in kinds.items()}, rounds)
        for kind, one in found.items():
            print(f"{size:9,} rows, {kind:9} {one.cpu_s:7.2f} {one.peak_mb:11.0f}")
        if size == ROWS[-1]:
            took = found["one case"].cpu_s
            claims.append(Claim(name="CPU seconds of a trend in 1,000,000 rows", found=took, goal=1.0))
    return claims


PARTS: Mapping[str, tuple[Callable[[pathlib.Path, Sequence[int], int], list[Claim]], Sequence[int]]] = {
    "collect": (collect, SIZES),
    "results": (results, SIZES),
    "page": (page, PAGES),
    "history": (history, ROWS),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each kind of run (default 5)")
    parser.add_argument("--quick", action="store_true", help="without the largest size")
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    claims = []
    with tempfile.TemporaryDirectory() as name:
        for part in chosen.parts or PARTS:
            measure, sizes = PARTS[part]
            claims += measure(pathlib.Path(name), sizes[:-1] if chosen.quick else sizes, chosen.rounds)
    print()
    for claim in claims:
        print(f"{'met   ' if claim.met else 'MISSED'} {claim.name}: {claim.found:.2f}, at most {claim.goal:g}")
    return 0 if all(claim.met for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
