"""How a request can be spread over GPUs: classifier-free guidance (CFG), Ulysses and ring sequence parallelism, and
tensor parallelism (TP). The product of the four degrees is the number of GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.tuning.axes.protocol import LOSSLESS, Choice, Ground, Role
from pytest_sgdiff.tuning.variants import SPREAD

_REPLICAS = ("dp-size", "data-parallel-size", "dp")
_CFG = f"{LOSSLESS}, CFG parallel: often faster than sequence parallelism alone"
_ULYSSES = f"{LOSSLESS}, multi-GPU: scales near-linearly with the GPUs"
_RING = f"{LOSSLESS}, multi-GPU: start with pure Ulysses before a mixed layout"
_TP = "engine flag tp-size; the topology of SGLang's own nightly case of Cosmos3 Super"
_HALF = "half of the GPUs: whether the last doubling pays"


def settings(ground: Ground) -> Sequence[Choice]:
    """The topologies that fill the GPUs, and for comparison those of half of them; empty where there is nothing to
    choose.

    CFG parallel is first: the guide saw it win. That a model has no second branch is a matter of advice.
    """
    # The diffusers backend runs on one GPU, whatever the degrees say; how a server under load shares its GPUs between
    # requests is the case's own matter.
    if not ground.native or any(given(ground.case, flag) not in (None, 1) for flag in _REPLICAS):
        return ()
    if ground.gpus < 2:
        return (
            () if ground.case.gpus == ground.gpus else [Choice(setting=_alone(ground.gpus, "the GPUs that there are"))]
        )
    found: dict[str, Choice] = {}
    for role, setting in (*_usual(ground.gpus), *_halves(ground.gpus), *_all(ground.gpus)):
        found.setdefault(setting.name, Choice(setting=setting, role=role))
    return tuple(found.values())


def _alone(gpus: int, source: str) -> Setting:
    """One GPU, or the CPU: no degrees."""
    name = "1gpu" if gpus else "cpu"
    return Setting(axis="topology", name=name, args=dict.fromkeys(SPREAD), gpus=gpus, source=source)


def _usual(gpus: int) -> Iterator[tuple[Role, Setting]]:
    half = gpus // 2
    if gpus % 2 == 0:
        yield "main", _spread(_CFG, cfg=2, ulysses=half)
    yield "main", _spread(_ULYSSES, ulysses=gpus)
    if gpus == 2:
        yield "side", _spread(_RING, ring=2)
    elif gpus % 2 == 0:
        yield "side", _spread(_RING, ulysses=half, ring=2)
        yield "side", _spread(_TP, cfg=2, tp=half)
        yield "side", _spread(_TP, ulysses=half, tp=2)
    yield "side", _spread(_TP, tp=gpus)


def _halves(gpus: int) -> Iterator[tuple[Role, Setting]]:
    half = gpus // 2
    if gpus % 2:
        return
    if half == 1:
        yield "side", _alone(1, _HALF)
        return
    if half % 2 == 0:
        yield "side", _spread(_HALF, cfg=2, ulysses=half // 2)
    yield "side", _spread(_HALF, ulysses=half)


def _all(gpus: int) -> Iterator[tuple[Role, Setting]]:
    """Every way to write the number of GPUs as a product."""
    for cfg in (1, 2):
        rest, odd = divmod(gpus, cfg)
        for tp in _divisors(rest) if not odd else ():
            for ring in _divisors(rest // tp):
                ulysses = rest // tp // ring
                yield "rare", _spread("engine, server_args: any product", cfg=cfg, ulysses=ulysses, ring=ring, tp=tp)


def _divisors(number: int) -> Iterator[int]:
    return (each for each in range(1, number + 1) if number % each == 0)


def _spread(source: str, *, cfg: int = 1, ulysses: int = 1, ring: int = 1, tp: int = 1) -> Setting:
    """The setting of these degrees. The degree of Ulysses is always given: without any the engine chooses."""
    degrees = {"cfg": cfg, "tp": tp, "ulysses": ulysses, "ring": ring}
    return Setting(
        axis="topology",
        name="-".join(f"{name}{degree}" for name, degree in degrees.items() if degree > 1),
        args={
            "enable-cfg-parallel": True if cfg == 2 else None,
            "cfg-parallel-size": None,
            "sp-degree": None,
            "ulysses-degree": ulysses,
            "ring-degree": ring if ring > 1 else None,
            "tp-size": tp if tp > 1 else None,
        },
        gpus=cfg * ulysses * ring * tp,
        source=source,
    )
