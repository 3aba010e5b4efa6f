"""How a request can be spread over GPUs: classifier-free guidance (CFG), Ulysses and ring sequence parallelism, and
tensor parallelism (TP). The product of the four degrees is the number of GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.tuning.variants import SPREAD

Role = Literal["main", "side", "rare"]

_CFG = "performance guide, lossless options, CFG parallel: often faster than sequence parallelism alone"
_ULYSSES = "performance guide, lossless options, multi-GPU: scales near-linearly with the GPUs"
_RING = "performance guide, lossless options, multi-GPU: start with pure Ulysses before a mixed layout"
_TP = "engine flag tp-size; the topology of SGLang's own nightly case of Cosmos3 Super"
_HALF = "half of the GPUs: whether the last doubling pays"


def topologies(gpus: int, written: int) -> tuple[tuple[Setting, Role], ...]:
    """The topologies that fill the GPUs, and for comparison those of half of them; empty where there is nothing to
    choose. `written` is the number of GPUs of the case as it is written.

    CFG parallel is first: the guide saw it win. A model without a second branch is a matter of advice.
    """
    if gpus < 2:
        alone = Setting(
            axis="topology",
            name="1gpu" if gpus else "cpu",
            args=dict.fromkeys((*SPREAD, "dp-size")),
            gpus=gpus,
            source="one GPU" if gpus else "no GPU",
        )
        return () if written == gpus else ((alone, "main"),)
    found: dict[str, tuple[Setting, Role]] = {}
    for setting, role in (*_usual(gpus), *_halves(gpus), *_all(gpus)):
        found.setdefault(setting.name, (setting, role))
    return tuple(found.values())


def _usual(gpus: int) -> Iterator[tuple[Setting, Role]]:
    half = gpus // 2
    if gpus % 2 == 0:
        yield _spread(_CFG, cfg=2, ulysses=half), "main"
    yield _spread(_ULYSSES, ulysses=gpus), "main"
    if gpus == 2:
        yield _spread(_RING, ring=2), "side"
    elif gpus % 2 == 0:
        yield _spread(_RING, ulysses=half, ring=2), "side"
        yield _spread(_TP, cfg=2, tp=half), "side"
        yield _spread(_TP, ulysses=half, tp=2), "side"
    yield _spread(_TP, tp=gpus), "side"


def _halves(gpus: int) -> Iterator[tuple[Setting, Role]]:
    half = gpus // 2
    if gpus % 2:
        return
    if half == 1:
        yield topologies(1, gpus)[0][0], "side"
        return
    if half % 2 == 0:
        yield _spread(_HALF, cfg=2, ulysses=half // 2), "side"
    yield _spread(_HALF, ulysses=half), "side"


def _all(gpus: int) -> Iterator[tuple[Setting, Role]]:
    """Every way to write the number of GPUs as a product."""
    for cfg in (1, 2):
        rest, odd = divmod(gpus, cfg)
        for tp in _divisors(rest) if not odd else ():
            for ring in _divisors(rest // tp):
                yield _spread("engine: any product of degrees", cfg=cfg, ulysses=rest // tp // ring, ring=ring, tp=tp), "rare"


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
            "dp-size": None,
        },
        gpus=cfg * ulysses * ring * tp,
        source=source,
    )
