"""Launches until the quickest variant of a space is found: `sgdiff tune` beside a grid and two other searches.

    pip install optuna
    python benchmarks/tune.py [--runs 400] [--seed 1] [--noise NAME ...] [--sizes 6 12 ...] [--guarantee SIZE]

Spaces are products of axes, as tuning makes them: some axes hardly matter, some matter much, and they interact. Times
are invented; the noise of a launch is drawn from residuals of recorded launches (`tune_noise`), for each variant from a
group of its own where there are several. An answer is right if the variant named is within 2 % of the quickest.

`sgdiff tune` stops by itself. The others have no such end: each is run with several budgets, and the first that is
right in 95 % of the runs stands beside it. Optuna's part is left out where it is not installed.

`--guarantee SIZE` prints another table: how often the guarantee of `pytest_sgdiff.tuning.search` fails, also under
noise that nobody recorded and that it does not assume.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tune_noise
from tune_noise import Array, Pool

from pytest_sgdiff.data import Tried, Tuned
from pytest_sgdiff.tuning.search import Race

WITHIN, CONFIDENCE, GRID = 0.02, 0.95, 5
LOADING_S, REQUEST_S, REQUESTS = 30.0, 10.0, 2
"""A launch loads the model and serves a warmup and a measured request; the quickest variant's takes ten seconds."""
SHAPES: Mapping[int, tuple[int, ...]] = {6: (3, 2), 12: (3, 2, 2), 24: (4, 3, 2), 60: (5, 4, 3)}
NOISES: Mapping[str, Callable[[], list[Pool]]] = {
    "steps": tune_noise.steady_steps,
    "public nights": tune_noise.public_nights,
    "steps on held-up hosts": tune_noise.held_up_steps,
    "steps on a third such host": tune_noise.third_host_steps,
    "requests with pauses": tune_noise.whole_requests,
}
AXIS_SCALES = (0.01, 0.05, 0.3)
"""Sizes of what an axis does to the logarithm of the time: nothing to speak of, a little, much."""
INTERACTION = 0.02
DRIFTS = (0.0005, 0.001)


@dataclass
class Bench:
    """A space with true times (logarithms), and its launches drawn. `drift` makes each launch slower than the last."""

    levels: Sequence[tuple[int, ...]]
    logs: Array
    pools: Sequence[Pool]
    rng: np.random.Generator
    drift: float = 0.0
    launches: int = 0
    gpu_s: float = 0.0
    took: float = 0.0
    lost: float | None = None

    def launch(self, variant: int) -> float:
        """One launch of a variant: its time in ms. `took` and `lost` are of the last one."""
        pool = self.pools[variant]
        drawn = int(self.rng.integers(len(pool.residuals)))
        log = float(self.logs[variant]) + float(pool.residuals[drawn]) + self.drift * self.launches
        self.lost = pool.lost[drawn]
        self.launches += 1
        self.took = LOADING_S + REQUESTS * REQUEST_S * math.exp(log - float(self.logs.min()))
        self.gpu_s += self.took
        return 1000 * REQUEST_S * math.exp(log)

    def right(self, variant: int) -> bool:
        return bool(self.logs[variant] <= self.logs.min() + math.log1p(WITHIN))


def space(seed: int, size: int, noise: Sequence[Pool], *, drift: float = 0.0) -> Bench:
    """A space that follows from the seed."""
    rng = np.random.default_rng((20261130, size, seed))
    shape = SHAPES[size]
    levels = list(itertools.product(*(range(n) for n in shape)))
    logs = np.asarray(INTERACTION * rng.standard_normal(len(levels)), np.float64)
    for axis, n in enumerate(shape):
        effect = rng.choice(AXIS_SCALES) * rng.exponential(size=n)
        logs += np.array([effect[at[axis]] for at in levels])
    pools = [noise[i] for i in rng.integers(len(noise), size=len(levels))]
    return Bench(levels=levels, logs=logs, pools=pools, rng=rng, drift=drift)


def raced(bench: Bench) -> Tuned:
    """`sgdiff tune` itself, to its end; variants are named by their numbers."""
    search = Race([str(i) for i in range(len(bench.logs))], confidence=CONFIDENCE, within=WITHIN)
    while search.over is None:
        for name in search.next(1):
            ms = bench.launch(int(name))
            search.add(Tried(variant=name, ms=ms, lost=bench.lost, gpu_s=bench.took))
    return search.tuned()


def race(bench: Bench) -> int:
    return int(raced(bench).standings[0].variant)


def grid(bench: Bench, budget: float) -> int:
    """Every variant as often as every other one; the lowest median wins."""
    each = max(1, round(budget))
    medians = [statistics.median(bench.launch(i) for _ in range(each)) for i in range(len(bench.logs))]
    return int(np.argmin(medians))


def halving(bench: Bench, budget: float) -> int:
    """Successive halving (Karnin, Koren, Somekh 2013): rounds of equal cost, after each the slower half is dropped."""
    left = list(range(len(bench.logs)))
    rounds = math.ceil(math.log2(len(left)))
    values: dict[int, list[float]] = {i: [] for i in left}
    for _ in range(rounds):
        each = max(1, math.floor(budget * len(bench.logs) / (len(left) * rounds)))
        for i in left:
            values[i] += [bench.launch(i) for _ in range(each)]
        left.sort(key=lambda i: statistics.median(values[i]))
        left = left[: math.ceil(len(left) / 2)]
    return left[0]


def tpe(bench: Bench, budget: float) -> int:
    """Optuna's TPE over the axes, one launch a trial; its best trial wins."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    index = {at: i for i, at in enumerate(bench.levels)}
    sizes = [max(column) + 1 for column in zip(*bench.levels, strict=True)]

    def at(params: Mapping[str, int]) -> int:
        return index[tuple(params[f"axis{axis}"] for axis in range(len(sizes)))]

    def objective(trial: optuna.Trial) -> float:
        return bench.launch(
            at({f"axis{axis}": trial.suggest_categorical(f"axis{axis}", range(n)) for axis, n in enumerate(sizes)})
        )

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=int(bench.rng.integers(2**31))))
    study.optimize(objective, n_trials=round(budget * len(bench.logs)))
    return at(study.best_params)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A method on many spaces of a size: launches and GPU-seconds in the mean, and the share of right answers."""

    method: str
    launches: float
    gpu_s: float
    right: float


def measured(method: str, find: Callable[[Bench], int], benches: Sequence[Bench]) -> Row:
    right = [bench.right(find(bench)) for bench in benches]
    return Row(
        method=method,
        launches=statistics.fmean(bench.launches for bench in benches),
        gpu_s=statistics.fmean(bench.gpu_s for bench in benches),
        right=statistics.fmean(right),
    )


PEERS: Mapping[str, tuple[Callable[[Bench, float], int], Sequence[float]]] = {
    "grid": (grid, (1, 2, 3, 5, 8, 12)),
    "successive halving": (halving, (1.5, 2, 3, 5, 8, 12)),
    "Optuna TPE": (tpe, (1, 2, 3, 5)),
}
"""With budgets in launches for each variant."""


def rows(size: int, noise: Sequence[Pool], *, runs: int, seed: int, peers: Sequence[str]) -> list[Row]:
    """All methods on the same spaces; a peer with what we needed, and with the first budget that suffices."""

    def spaces() -> list[Bench]:
        return [space(i, size, noise) for i in range(seed, seed + runs)]

    found = [measured("sgdiff tune", race, spaces())]
    ours = found[0].launches / size
    found.append(measured(f"grid of {GRID} each", lambda bench: grid(bench, GRID), spaces()))
    for name in peers:
        find, budgets = PEERS[name]
        if name != "grid":
            found.append(measured(f"{name}, as many as ours", lambda bench: find(bench, ours), spaces()))  # noqa: B023
        for budget in budgets:
            row = measured(f"{name}, as few as suffice", lambda bench: find(bench, budget), spaces())  # noqa: B023
            if row.right >= CONFIDENCE or budget == budgets[-1]:
                found.append(row)
                break
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What became of the guarantee in many races: launches in the mean, and shares of the races. `right`: the first is
    within the tolerance; `dropped`: the quickest was dropped; `intervals`: the share of all intervals that miss."""

    launches: float
    ended: float
    right: float
    dropped: float
    intervals: float


def held(benches: Sequence[Bench]) -> Held:
    """Races to their ends, held against the true times."""
    right = dropped = ended = missed = 0
    for bench in benches:
        tuned = raced(bench)
        quickest = str(int(np.argmin(bench.logs)))
        right += bench.right(int(tuned.standings[0].variant))
        ended += tuned.code in ("decided", "equal")
        for one in tuned.standings:
            dropped += one.variant == quickest and one.dropped is not None
            true = math.exp(float(bench.logs[int(one.variant)] - bench.logs.min()))
            assert one.ratio_low is not None
            assert one.ratio_high is not None
            missed += not one.ratio_low - 1e-9 <= true <= one.ratio_high + 1e-9
    runs = len(benches)
    return Held(
        launches=statistics.fmean(bench.launches for bench in benches),
        ended=ended / runs,
        right=right / runs,
        dropped=dropped / runs,
        intervals=missed / sum(len(bench.logs) for bench in benches),
    )


def guarantee(size: int, *, runs: int, seed: int) -> None:
    """The table of what the guarantee holds against."""
    head = ("noise", "of the grid", "decided or equal", "right", "quickest dropped", "intervals that miss")
    print(f"{size} variants\n\n| {' | '.join(head)} |")
    print("|---|---|---|---|---|---|")
    rows = [(name, pools, 0.0) for name, pools in tune_noise.INVENTED.items()]
    rows += [(name, make(), 0.0) for name, make in NOISES.items()]
    for drift in DRIFTS:
        name = f"normal, CV 0.5 %, each launch {100 * drift:g} % slower than the last"
        rows.append((name, tune_noise.INVENTED["normal, CV 0.5 %"], drift))
    for name, pools, drift in rows:
        row = held([space(i, size, pools, drift=drift) for i in range(seed, seed + runs)])
        shares = (row.launches / (GRID * size), row.ended, row.right, row.dropped, row.intervals)
        print(f"| {name} | {' | '.join(f'{100 * share:.1f} %' for share in shares)} |", flush=True)


def installed(peers: Sequence[str]) -> list[str]:
    try:
        import optuna  # noqa: F401
    except ImportError:
        return [name for name in peers if name != "Optuna TPE"]
    return list(peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=list(NOISES))
    parser.add_argument("--sizes", nargs="+", type=int, choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--guarantee", type=int, choices=SHAPES, help="only the table of the guarantee, of this size")
    chosen = parser.parse_args()
    if chosen.guarantee is not None:
        guarantee(chosen.guarantee, runs=chosen.runs, seed=chosen.seed)
        return
    peers = installed(chosen.peers)
    for name in chosen.noise:
        noise = NOISES[name]()
        tables = [rows(size, noise, runs=chosen.runs, seed=chosen.seed, peers=peers) for size in chosen.sizes]
        print(f"\n| {name} | {' | '.join(f'{size} variants' for size in chosen.sizes)} |")
        print("|---" * (1 + len(chosen.sizes)) + "|")
        for line in zip(*tables, strict=True):
            cells = [shown(row, size) for row, size in zip(line, chosen.sizes, strict=True)]
            print(f"| {line[0].method} | {' | '.join(cells)} |", flush=True)


def shown(row: Row, size: int) -> str:
    """Launches, their share of the grid's, GPU-seconds, and the share of right answers."""
    share = row.launches / (GRID * size)
    return f"{row.launches:.0f} ({100 * share:.0f} %), {row.gpu_s:.0f} s: {100 * row.right:.0f} %"


if __name__ == "__main__":
    main()
