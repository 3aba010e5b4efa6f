"""How well slowdowns are told from noise: the shipped rule and, on the same draws, the rules that others use.

    nice python benchmarks/decision.py [--nights N] [--json]

Simulates launches from fixed seeds and judges them with vectorised forms of the shipped rules, which
tests/unit/test_rules_vectorised.py holds to `judging.rules` and `judging.judge` of the package draw by draw. Prints

1. one metric, by baseline size and CV: false alarms, what becomes of slowdowns of 2, 3, 5, 10 and 20 %, launches;
2. one metric under other kinds of noise, and the rules of others on the same draws;
3. a night of 30 cases with five metrics each, beside the rules of others;
4. the noise of real launches (short stages, pauses outside the steps), beside the same rules;
5. A/B pairs: which rule, and how many pairs a slowdown takes;
6. the resolution that a baseline prints, and how often a slowdown of that size is found;
7. the warnings of the step profile: false ones, and what they find;
8. the core of the steps beside their sum, on launches drawn from real ones.

A share of p out of N has a binomial standard error of sqrt(p (1 - p) / N), which is printed for 1 % of each N; no event
in N means less than 3 / N (95 %). Exits 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from decision_core import real_launches
from decision_metric import one_metric, other_noise, printed
from decision_nights import Night, Nights, simulate_nights
from decision_pairs import pairs
from decision_profile import profiles
from decision_tables import SEED


def claims(found: Nights) -> list[dict[str, object]]:
    """What is promised, ours beside the best and the usual rule of others on the same draws."""
    rows: list[dict[str, object]] = []

    def claim(name: str, scenario: list[Night], read: Callable[[Night], float], goal: float, *, least: bool) -> None:
        ours = read(scenario[0])
        rows.extend(
            {
                "name": f"{name} (peer: {peer.rule})",
                "ours": round(ours, 5),
                "peer": round(read(peer), 5),
                "goal": f"at {'least' if least else 'most'} {goal}",
                "met": bool(ours >= goal if least else ours <= goal),
            }
            for peer in scenario[1:]
        )

    clean, real, ten = found.uniform, found.recorded, found.recorded_ten
    claim("nights with a false alarm, launch CV 1 %", clean, lambda night: night.alarms, 0.01, least=False)
    claim("5 % slowdowns found, launch CV 1 %", clean, lambda night: night.found[0.05], 0.95, least=True)
    claim("launches per unchanged case, launch CV 1 %", clean, lambda night: night.launches, 1.25, least=False)
    claim(
        "nights with a false alarm, nights of the public history",
        found.public_ten,
        lambda night: night.alarms,
        0.01,
        least=False,
    )
    claim(
        "nights with a false alarm, realistic mixture", found.realistic, lambda night: night.alarms, 0.01, least=False
    )
    noisy = "noise of real launches"
    claim(f"nights with a false alarm, {noisy}, baseline of 5", real, lambda night: night.alarms, 0.01, least=False)
    claim(f"nights with a false alarm, {noisy}, baseline of 10", ten, lambda night: night.alarms, 0.01, least=False)
    claim(f"7 % slowdowns found, {noisy}", real, lambda night: night.found[0.07], 0.95, least=True)
    claim(f"launches per unchanged case, {noisy}", real, lambda night: night.launches, 1.25, least=False)
    for size, held in (("5", found.held), ("10", found.held_ten)):
        where = f"the host holds up 7 of 16 launches, baseline of {size}"
        claim(f"nights with a false alarm, {where}", held, lambda night: night.alarms, 0.01, least=False)
        claim(f"5 % slowdowns found, {where}", held, lambda night: night.found[0.05], 0.90, least=True)
    return rows


def main(argv: Sequence[str]) -> int:
    """Simulate, print, and say by the exit code whether every goal was met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nights", type=int, default=4000, help="nights per scenario (default 4000)")
    parser.add_argument("--json", action="store_true", help="print rows {name, ours, peer, goal, met} instead")
    options = parser.parse_args(argv)
    began = time.perf_counter()
    found = simulate_nights(options.nights)
    rows = claims(found)
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0 if all(row["met"] for row in rows) else 1
    draws = 5 * options.nights
    print(f"python benchmarks/decision.py --nights {options.nights}, seed {SEED}")
    print()
    for part in (
        one_metric(draws),
        other_noise(draws),
        found.text,
        pairs(options.nights),
        printed(options.nights // 4),
        profiles(options.nights // 4),
        real_launches(2 * options.nights),
    ):
        for line in part:
            print(line)
        print()
    for name, row in {str(row["name"]).partition(" (peer")[0]: row for row in rows}.items():
        print(f"{'met   ' if row['met'] else 'MISSED'} {name}: {row['ours']} ({row['goal']})")
    print(f"{time.perf_counter() - began:.0f} s")
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
