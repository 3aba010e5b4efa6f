"""Change points of `sgdiff trend` beside those of Apache Otava.

    python benchmarks/trend_alarms.py [--series N]

prints three tables: both on the public history of SGLang's nights (`nightly_history.csv`), false alarms of series in
which nothing changed, and steps that are found. Otava's answers on the public history are stored in
tests/data/trend/otava.json; `--store` asks it again. Otava's part of the other tables needs it installed beside this
project: pip install apache-otava.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import decision_history as public
import numpy as np
from numpy.typing import NDArray

from pytest_sgdiff.history.change_points import MAX_PVALUE, MIN_CHANGE, WINDOW, levels

STORED = Path(__file__).parents[1] / "tests" / "data" / "trend" / "otava.json"
SEED = 20261130

Find = Callable[[Sequence[float]], list[int]]
"""Values, oldest first -> the indices of their change points."""


def ours(values: Sequence[float]) -> list[int]:
    """The change points of `sgdiff trend`."""
    return [step.index for step in levels(values).steps]


def otava() -> Find | None:
    """Otava's with its own defaults and our smallest change; None where it is not installed."""
    try:
        from otava.series import AnalysisOptions, Metric, Series
    except ImportError:
        return None
    logging.disable(logging.INFO)
    options = AnalysisOptions()
    options.min_magnitude = MIN_CHANGE
    assert (options.window_len, options.max_pvalue) == (WINDOW, MAX_PVALUE)

    def find(values: Sequence[float]) -> list[int]:
        times = list(range(len(values)))
        series = Series("series", None, times, {"value": Metric(-1)}, {"value": list(values)}, {})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [int(change.index) for change in series.analyze(options).change_points["value"]]

    return find


# --------------------------------------------------------------------------------------------------- the public history


def stored() -> Mapping[str, Sequence[int]]:
    """Otava's change points on the public history, by case, as they are stored."""
    found: Mapping[str, Sequence[int]] = json.loads(STORED.read_text())["change_points"]
    return found


def store(find: Find) -> None:
    """Ask Otava anew. Like `sgdiff trend` it is asked of series from seven runs on."""
    answers = {case: find(values) for case, values in public.read().items() if len(values) >= 7}
    document = {
        "what": "change points (index of the first run of the new level) of benchmarks/nightly_history.csv, by case",
        "otava": version("apache-otava"),
        "window_len": WINDOW,
        "max_pvalue": MAX_PVALUE,
        "min_magnitude": MIN_CHANGE,
        "change_points": answers,
    }
    STORED.parent.mkdir(exist_ok=True)
    lines = json.dumps(document, indent=2)
    for points in answers.values():
        lines = lines.replace(json.dumps(points, indent=2).replace("\n", "\n    "), json.dumps(points))
    STORED.write_text(f"{lines}\n")


def near(index: int, others: Sequence[int]) -> bool:
    """Whether one of the others is at most a run away."""
    return any(abs(index - other) <= 1 for other in others)


def compare() -> None:
    """Both answers, and which of them the other does not have within one run."""
    print("The public history: index of the first run of each level. Only in one of both: in brackets.")
    both = 0
    for case, theirs in stored().items():
        found = ours(public.read()[case])
        both += sum(near(index, found) for index in theirs)
        told = [f"{index}" if near(index, theirs) else f"[{index}]" for index in found]
        peer = [f"{index}" if near(index, found) else f"[{index}]" for index in theirs]
        print(f"  {case:<30} sgdiff {', '.join(told) or '-':<24} otava {', '.join(peer) or '-'}")
    print(f"  {both} of Otava's {sum(map(len, stored().values()))} are ours within one run")


# ------------------------------------------------------------------------------------------------------------ simulated


def noise(random: np.random.Generator, kind: str, count: int) -> NDArray[np.float64]:
    """Noise of `count` runs with a standard deviation of about 1."""
    drawn = random.standard_normal(count)
    if kind == "heavy tails":
        return random.standard_t(3, count)
    if kind == "disturbed":
        # One run in twenty is held up, by twenty standard deviations on average.
        return drawn + (random.random(count) < 0.05) * random.exponential(20, count)
    if kind == "two values":
        # As where a client asks once a second whether the output is there.
        return 0.05 * drawn + 2.0 * (random.random(count) < 0.2)
    if kind == "drifting":
        for i in range(1, count):
            drawn[i] = 0.4 * drawn[i - 1] + np.sqrt(1 - 0.4**2) * drawn[i]
    return drawn


def series(
    random: np.random.Generator, kind: str, count: int, *, cv: float, step: float = 0.0, last: int = 0
) -> list[float]:
    """Runs of a case that takes a second, the last of them slower by `step`."""
    values = 1000.0 * np.exp(cv * noise(random, kind, count))
    values[count - last :] *= 1 + (step if last else 0.0)
    return values.tolist()


def alarms(peers: Mapping[str, Find], repeats: int) -> None:
    """Of series in which nothing changed, those with a change point."""
    print(f"\nFalse alarms: unchanged series with a change point, of {repeats}")
    print(f"  {'noise':<14} {'CV':>5} {'runs':>5} " + " ".join(f"{name:>8}" for name in peers))
    for kind in ("normal", "heavy tails", "disturbed", "two values", "drifting"):
        for cv in (0.008, 0.02):
            for count in (10, 30, 75, 365):
                row = [share(find, kind, count, repeats, cv=cv) for find in peers.values()]
                print(f"  {kind:<14} {100 * cv:>3.1f} % {count:>5} " + " ".join(row))


def steps(peers: Mapping[str, Find], repeats: int) -> None:
    """Of series whose last runs are slower, those with a change point at most one run from where that began."""
    print(f"\nSteps found within one run, of {repeats} series of 40 runs with a CV of 0.8 %")
    print(f"  {'step':<6} {'runs since':>10} " + " ".join(f"{name:>8}" for name in peers))
    for step in (0.02, 0.03, 0.05, 0.08):
        for last in (1, 2, 3, 5, 10):
            row = [share(find, "normal", 40, repeats, cv=0.008, step=step, last=last) for find in peers.values()]
            print(f"  {100 * step:>3.0f} %  {last:>10} " + " ".join(row))


def share(find: Find, kind: str, count: int, repeats: int, *, cv: float, step: float = 0.0, last: int = 0) -> str:
    """The share of series with a change point (with a step: with one there), and of those that end with an error."""
    found = failed = 0
    random = np.random.default_rng((SEED, count, last))
    for _ in range(repeats):
        values = series(random, kind, count, cv=cv, step=step, last=last)
        try:
            points = find(values)
        except ValueError:
            failed += 1
            continue
        found += near(count - last, points) if last else bool(points)
    return f"{100 * found / repeats:>6.1f} %" + (f" ({failed} errors)" if failed else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=1000, help="simulated series for each row (default: 1000)")
    parser.add_argument("--store", action="store_true", help="ask Otava for its answers on the public history")
    chosen = parser.parse_args()
    theirs = otava()
    if chosen.store:
        assert theirs is not None, "Otava is not installed"
        store(theirs)
    compare()
    known = {"sgdiff": ours, **({"otava": theirs} if theirs is not None else {})}
    alarms(known, chosen.series)
    steps(known, chosen.series)
