"""Noise between launches, as families to draw from: of one metric, and of whole cases.

Every draw is a ratio to the true value, positive, of shape (N, launches). The recordings' family follows the real
launches of tests/data/h200_launches.json: steps with a CV of 0.3 to 0.8 %, stages of 35 to 50 ms that vary by 10 to
14 %, and a pause of 440 to 550 ms outside the steps in 5 of 14 launches. A second host
(tests/data/h200_host_launches.json) never paused, but held up the GPU between the kernels in 7 of 16 launches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from decision_cases import LOOKS, Cases, Sides, Steps
from decision_core import simulated
from decision_history import read, steady_cvs
from decision_rules import Array, Flags

PAUSE_SHARE = 5 / 14
"""Synchronised launches on the recorded H200 that paused; of 14 that were not synchronised two did."""

HELD_SHARE = 7 / 16
"""Launches on the second host whose steps took 2.4 to 12.4 % longer; the others' sums had a CV of 0.3 %."""


def held_by(rng: np.random.Generator, shape: tuple[int, int], share: float) -> Array:
    """Factors by which the host holds up the steps of a share of the launches: 5.6 % in the middle, 2 to 15 %."""
    longer = np.clip(0.056 * np.exp(0.5 * rng.standard_normal(shape)), 0.02, 0.15)
    return np.where(rng.random(shape) < share, 1 + longer, 1.0)


def clean(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    return np.exp(cv * rng.standard_normal((n, launches)))


def outliers(share: float) -> Callable[[np.random.Generator, int, int, float], Array]:
    """Launches that a share of the time take 5 to 50 % longer."""

    def draw(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
        hit = rng.random((n, launches)) < share
        return clean(rng, n, launches, cv) * np.where(hit, 1 + rng.uniform(0.05, 0.5, (n, launches)), 1.0)

    return draw


def skewed(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """A gamma distribution of shape 2, of the same CV: never much faster, now and then slower."""
    return 1 + cv * (rng.gamma(2.0, 1.0, (n, launches)) - 2) / np.sqrt(2)


def modes(share: float, apart: float) -> Callable[[np.random.Generator, int, int, float], Array]:
    """A slower mode `apart` away, in a share of the launches: an autotuned kernel choice."""

    def draw(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
        return clean(rng, n, launches, cv) * np.where(rng.random((n, launches)) < share, 1 + apart, 1.0)

    return draw


def held_up(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """A third as noisy, but held up by the host now and then, as on the second recorded host."""
    return clean(rng, n, launches, 0.3 * cv) * held_by(rng, (n, launches), HELD_SHARE)


def heavy(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """Student's t with three degrees of freedom, scaled to the CV."""
    return np.exp(cv * rng.standard_t(3, (n, launches)) / np.sqrt(3))


def correlated(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """Each launch resembles the one before it (rho 0.6)."""
    noise = rng.standard_normal((n, launches))
    for i in range(1, launches):
        noise[:, i] = 0.6 * noise[:, i - 1] + 0.8 * noise[:, i]
    return np.exp(cv * noise)


def drifting(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """Each launch is 0.3 % slower than the last."""
    return clean(rng, n, launches, cv) * 1.003 ** np.arange(launches)


def sessions(sd: float) -> Callable[[np.random.Generator, int, int, float], Array]:
    """All launches of one side share an offset."""

    def draw(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
        return clean(rng, n, launches, cv) * np.exp(sd * rng.standard_normal((n, 1)))

    return draw


def cold(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """The first launch of a session takes 3 % longer."""
    return clean(rng, n, launches, cv) * np.where(np.arange(launches) == 0, 1.03, 1.0)


def contended(rng: np.random.Generator, n: int, launches: int, cv: float) -> Array:
    """In 2 of 100 sessions something else runs throughout: 4 % slower."""
    return clean(rng, n, launches, cv) * np.where(rng.random((n, 1)) < 0.02, 1.04, 1.0)


Family = Callable[[np.random.Generator, int, int, float], Array]
FAMILIES: Mapping[str, Family] = {
    "clean": clean,
    "2 % outliers, +5..50 %": outliers(0.02),
    "5 % outliers": outliers(0.05),
    "right-skewed": skewed,
    "slow mode +6 %, 10 % of launches": modes(0.10, 0.06),
    "slow mode +6 %, 30 % of launches": modes(0.30, 0.06),
    "session drift 0.5 %": sessions(0.005),
    "t3 tails": heavy,
    "launches correlated, rho 0.6": correlated,
    "each launch 0.3 % slower than the last": drifting,
    "cold first launch +3 %": cold,
    "two modes 12 % apart, 50/50": modes(0.50, 0.12),
    "2 % of sessions contended, +4 %": contended,
    "host holds up 7 of 16 launches": held_up,
}


def suite(rng: np.random.Generator, n: int, nb: int, slower: float, *, cv: float | None, node_sd: float = 0.0) -> Cases:
    """N cases of 5 to 80 s: denoise, e2e, text encoding, decoding, memory.

    `cv` is the CV of every time. None draws a realistic mixture: CV median 0.7 % (a factor of 1.9 either way), stages
    2.5 times as noisy, 1 % of launches outliers, 5 % of cases with two modes, session drift 0.25 %. Memory varies by
    0.1 %. `slower` slows denoising. `node_sd` is the offset of the candidate's node, cut at 2 %.
    """
    denoise_ms = np.exp(rng.uniform(np.log(5e3), np.log(8e4), n))
    own = np.full(n, cv) if cv is not None else 0.007 * np.exp(0.64 * rng.standard_normal(n))
    two_modes = np.zeros(n, bool) if cv is not None else rng.random(n) < 0.05
    node = np.clip(node_sd * rng.standard_normal(n), -0.02, 0.02)

    def side(launches: int, factor: float, *, other_node: bool) -> dict[str, Array]:
        drift = np.ones((n, 1)) if cv is not None else np.exp(0.0025 * rng.standard_normal((n, 1)))
        if other_node:
            drift = drift * (1 + node)[:, None]

        def noisy(scale: float) -> Array:
            return drift * np.exp(scale * own[:, None] * rng.standard_normal((n, launches)))

        stage_noise = 1.0 if cv is not None else 2.5
        spike: Array = np.ones((n, launches))
        if cv is None:
            spike = np.where(rng.random((n, launches)) < 0.01, 1 + rng.uniform(0.05, 0.5, (n, launches)), 1.0)
            spike = spike * np.where(two_modes[:, None] & (rng.random((n, launches)) < 0.3), 1.06, 1.0)
        denoise = denoise_ms[:, None] * factor * noisy(1.0) * spike
        text, decode = 350 * noisy(stage_noise), (0.02 * denoise_ms)[:, None] * noisy(stage_noise)
        memory = 21500 * np.exp(0.001 * rng.standard_normal((n, launches)))
        return {
            "denoise": denoise,
            "text": text,
            "decode": decode,
            "e2e": denoise + text + decode + 15,
            "memory": memory,
        }

    then, now = side(nb, 1.0, other_node=False), side(7, 1 + slower, other_node=node_sd > 0)
    both = {name: (then[name], now[name]) for name in then}
    return Cases(
        primary={name: both[name] for name in ("denoise", "e2e")},
        stages={name: both[name] for name in ("text", "decode")},
        memory=both["memory"],
        e2e="e2e",
    )


def recorded(
    rng: np.random.Generator,
    n: int,
    nb: int,
    slower: float,
    *,
    share: float = PAUSE_SHARE,
    held: float = 0.0,
    every: float = 0.0,
    decode_ms: float = 0.0,
    synchronised: bool = True,
) -> tuple[Cases, Cases]:
    """N cases like the recorded one, as the shipped rule sees them (steps, pause, e2e net) and as the dump has them.

    `share` of the launches pause, the host holds up `held` of them. `every` is a pause in each candidate launch,
    `decode_ms` what its decoding gained. Without `synchronised` stage timers the first steps end before the GPU has
    done them, and decoding waits for what is left of the last: 70 ms of steps move, as in the eight recorded launches
    (sum of steps 949 ms with a CV of 0.3 %, decoding 90 ms with 5 %, text encoding 50 ms with 10 %).
    """
    own = rng.uniform(0.003, 0.008, n) if synchronised else rng.uniform(0.002, 0.005, n)

    def side(launches: int, factor: float, added: float, decode_added: float) -> dict[str, Array]:
        shape = (n, launches)
        calm = (1024 if synchronised else 949) * factor * np.exp(own[:, None] * rng.standard_normal(shape))
        longer = held_by(rng, shape, held) if held else np.ones(shape)
        steps = calm * longer
        usual = rng.random(shape) < 0.7
        text = np.where(
            usual, 53 * np.exp(0.03 * rng.standard_normal(shape)), 40 * np.exp(0.08 * rng.standard_normal(shape))
        )
        quiet: Flags = rng.random(shape) < 0.8
        decode = (
            34.5 * np.where(quiet, np.exp(0.01 * rng.standard_normal(shape)), rng.uniform(1.1, 1.5, shape))
            + decode_added
        )
        if not synchronised:
            text = 50 * np.exp(0.1 * rng.standard_normal(shape))
            decode = 90 * np.exp(0.05 * rng.standard_normal(shape)) + decode_added
        overhead = 10 * np.exp(0.15 * rng.standard_normal(shape))
        pause = np.where(rng.random(shape) < share, np.clip(rng.normal(490, 45, shape), 430, 600), 0.0)
        pause = overhead + np.maximum(pause, added)
        memory = 3011.5 * np.exp(1e-5 * rng.standard_normal(shape))
        net = steps + text + decode
        return {
            "calm": calm,
            "longer": longer,
            "steps": steps,
            "net": net,
            "text": text,
            "decode": decode,
            "pause": pause,
            "memory": memory,
            "denoise": steps + pause,
            "e2e": net + pause,
        }

    then, now = side(nb, 1.0, 0.0, 0.0), side(7, 1 + slower, every, decode_ms)
    both: dict[str, Sides] = {name: (then[name], now[name]) for name in then}
    stages = {name: both[name] for name in ("text", "decode")}
    apart = Cases(
        primary={"steps": both["steps"], "net": both["net"]},
        stages=stages,
        memory=both["memory"],
        e2e="net",
        pause=both["pause"],
        steps=_steps(rng, both) if synchronised else None,
    )
    whole = Cases(
        primary={name: both[name] for name in ("denoise", "e2e")}, stages=stages, memory=both["memory"], e2e="e2e"
    )
    return apart, whole


def _steps(rng: np.random.Generator, both: Mapping[str, Sides]) -> Steps:
    """What is judged of synchronised launches, which keep steps that say something."""
    # No more launches than the looks take: the others are for the retries of other rules.
    calm, longer = ((then, now[:, : LOOKS[-1]]) for then, now in (both["calm"], both["longer"]))
    found = simulated(rng, calm, longer)
    then, now = both["net"]
    net = then - found.held[0], now[:, : LOOKS[-1]] - found.held[1]
    return Steps(core=found.core, net=net, excess=found.excess, rests=found.rests)


def public_nights(rng: np.random.Generator, n: int, nb: int, slower: float) -> Cases:
    """N cases of 5 to 80 s, each as steady from night to night as one of the public history's steady cases.

    A night of the history is one request, so that it cannot say how much of its noise the launches of one session have:
    half of the variance here is the session's, which they share, and half their own. Stages are 2.5 times as noisy.
    """
    total = rng.choice(list(steady_cvs(read()).values()), n) / np.sqrt(2)
    denoise_ms = np.exp(rng.uniform(np.log(5e3), np.log(8e4), n))

    def side(launches: int, factor: float) -> dict[str, Array]:
        session = np.exp(total[:, None] * rng.standard_normal((n, 1)))

        def noisy(scale: float) -> Array:
            return session * np.exp(scale * total[:, None] * rng.standard_normal((n, launches)))

        denoise, text = denoise_ms[:, None] * factor * noisy(1.0), 350 * noisy(2.5)
        decode = (0.02 * denoise_ms)[:, None] * noisy(2.5)
        memory = 21500 * np.exp(0.001 * rng.standard_normal((n, launches)))
        e2e = denoise + text + decode + 15
        return {"denoise": denoise, "text": text, "decode": decode, "e2e": e2e, "memory": memory}

    then, now = side(nb, 1.0), side(7, 1 + slower)
    both = {name: (then[name], now[name]) for name in then}
    return Cases(
        primary={name: both[name] for name in ("denoise", "e2e")},
        stages={name: both[name] for name in ("text", "decode")},
        memory=both["memory"],
        e2e="e2e",
    )
