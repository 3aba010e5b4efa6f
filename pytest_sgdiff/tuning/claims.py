"""What SGLang's performance guide claims of its settings, and which of its claims held in a measurement.

A claim compares two settings of one axis. It is looked up in every pair of measured variants that differ in these two
settings alone, whatever else both have. The intervals of the standings hold for all variants at once, and so does what
follows from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.data import Case
from pytest_sgdiff.data.tuning import Axis, Pruned, Setting, Space, Standing, Variant
from pytest_sgdiff.tuning.axes.protocol import GUIDE, LOSSLESS, LOSSY, TABLE
from pytest_sgdiff.tuning.ratios import Ratio, quickest_of, ratio
from pytest_sgdiff.tuning.settings import AXES, Ground, choices
from pytest_sgdiff.tuning.variants import same_but_for, work

Quantity = Literal["time", "memory"]
Telling = Literal["", "as-fast", "as-long"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The time (or peak memory) with a setting whose name matches `this`, over that with one that matches `that`, lies
    from `least` to `most`; a `least` of None is no bound. An empty `that` stands for no setting of the axis. The first
    variant has `times_gpus` as many GPUs as the second, and where `gpus` is given, that many. Both have the settings
    `beside`, by axis.

    `models` is a pattern of the models that it is made for. `told_as` is what it calls the ratio of two times, beside
    shares: so many times as fast, or as long; empty where it calls it nothing. `says` is what the guide says, `reading`
    how it was made a figure where the guide has none. `figures_ms` are the guide's measurement of both, on
    `machine`."""

    name: str
    axis: Axis
    this: str
    that: str = ""
    most: float = 1.0
    least: float | None = None
    times_gpus: int = 1
    beside: Mapping[Axis, str] = field(default_factory=dict)
    quantity: Quantity = "time"
    models: str = ""
    told_as: Telling = ""
    gpus: int | None = None
    figures_ms: tuple[float, float] | None = None
    machine: str = ""
    says: str = ""
    reading: str = ""
    source: str = ""


ClaimCode = Literal["held", "less", "more", "open", "mixed", "untried"]
"""held: the whole interval lies where the claim says; less, more: it lies beyond it, on the side of a smaller or a
larger advantage; open: the interval reaches into both; mixed: one pair says this and another says that; untried: no two
measured variants differ in these settings alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Two variants of a claim: `ratio` is the time or the peak memory of `this` over that of `that`. Memory has no
    interval."""

    this: str
    that: str
    code: ClaimCode
    ratio: Ratio


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """What became of a claim, with the pairs that it rests on."""

    claim: Claim
    code: ClaimCode
    pairs: tuple[Compared, ...] = field(default=())


_FIRERED = f'{GUIDE}, recipe "Image-edit baselines: JoyAI and FireRed"'
_BY_LAYER = r"layerwise(-p0\.05|-p0\.1|-p2)?"
_CFG = r"cfg2(-ulysses\d+)?"
_ULYSSES = r"ulysses\d+"
_TWO_STAGES = r"LTX-2"
_IMAGES = r"FLUX|(?<![A-Za-z])Image|SANA|stable-diffusion|ideogram|FireRed"

CLAIMS: tuple[Claim, ...] = (
    Claim(
        name="cfg-firered-1.0",
        axis="topology",
        this="cfg2",
        that="ulysses2",
        most=0.9,
        models=r"FireRed-Image-Edit-1\.0",
        gpus=2,
        beside={"compile": "compile", "offload": "resident"},
        figures_ms=(10955.90, 13419.15),
        machine="2 x H100",
        says="on H100, CFG parallel on 2 GPUs was faster than Ulysses: 13419.15 -> 10955.90 ms",
        reading="at least 10 % faster, as the shipped case has it",
        source=_FIRERED,
    ),
    Claim(
        name="cfg-firered-1.1",
        axis="topology",
        this="cfg2",
        that="ulysses2",
        most=0.9,
        models=r"FireRed-Image-Edit-1\.1",
        gpus=2,
        beside={"compile": "compile", "offload": "resident"},
        figures_ms=(10934.21, 13414.72),
        machine="2 x H100",
        says="on H100, CFG parallel on 2 GPUs was faster than Ulysses: 13414.72 -> 10934.21 ms",
        reading="at least 10 % faster, as the shipped case has it",
        source=_FIRERED,
    ),
    Claim(
        name="cfg-against-ulysses",
        axis="topology",
        this=_CFG,
        that=_ULYSSES,
        says="CFG parallel is often faster than sequence parallelism alone, for models with guidance",
        source=f"{LOSSLESS}, CFG parallel",
    ),
    Claim(
        name="scaling",
        axis="topology",
        this=_ULYSSES,
        that=rf"1gpu|{_ULYSSES}",
        times_gpus=2,
        most=0.625,
        told_as="as-long",
        says="sequence parallelism scales near-linearly with the GPUs",
        reading="twice the GPUs take at most 0.625 times as long: 80 % of a doubling",
        source=f"{LOSSLESS}, multi-GPU",
    ),
    Claim(
        name="ulysses-against-ring",
        axis="topology",
        this=_ULYSSES,
        that=rf"{_ULYSSES}-ring\d+",
        models=r"Wan2\.2",
        says="for Wan2.2, start with pure Ulysses before a mixed Ulysses and ring layout",
        reading="pure Ulysses is faster",
        source=f"{LOSSLESS}, multi-GPU",
    ),
    Claim(
        name="compile",
        axis="compile",
        this="compile",
        that="eager",
        least=1 / 1.5,
        most=1 / 1.2,
        told_as="as-fast",
        says="torch.compile is 1.2 to 1.5 times as fast in denoising",
        source=f"{LOSSLESS}, torch.compile",
    ),
    Claim(
        name="layerwise-video",
        axis="offload",
        this=_BY_LAYER,
        that="resident",
        most=1.05,
        models=r"Wan|MOVA|HunyuanVideo|LTX|Cosmos|video",
        says="layerwise offload can cost near to nothing for video models",
        reading="at most 5 % slower than without",
        source=f"{LOSSLESS}, layerwise offload",
    ),
    Claim(
        name="resident-image",
        axis="offload",
        this="resident",
        that=_BY_LAYER,
        models=_IMAGES,
        says="for image models layerwise offload can slow down: disable it where memory allows",
        reading="faster without",
        source=f'{GUIDE}, recipe "Maximum speed, image model"',
    ),
    Claim(
        name="layerwise-memory",
        axis="offload",
        this=_BY_LAYER,
        that="resident",
        quantity="memory",
        says="layerwise offload saves memory (40 to some 11 GB for Wan A14B)",
        reading="less memory",
        source=f"{LOSSLESS}, layerwise offload",
    ),
    Claim(
        name="prefetch-half",
        axis="offload",
        this=r"layerwise(-p0\.05|-p0\.1)?",
        that=r"layerwise-p0\.5",
        says="prefetch sizes of 0.5 and more need as much memory as no offload, and are slower",
        reading="smaller ones are faster",
        source=f"{LOSSLESS}, offload prefetch size",
    ),
    Claim(
        name="fsdp-overhead",
        axis="offload",
        this="resident",
        that="fsdp",
        says="FSDP has more overhead than sequence parallelism alone",
        reading="faster without",
        source=f"{LOSSLESS}, FSDP",
    ),
    Claim(
        name="fsdp-memory",
        axis="offload",
        this="fsdp",
        that="resident",
        quantity="memory",
        says="FSDP reduces the memory of each GPU",
        reading="less memory",
        source=f"{LOSSLESS}, FSDP",
    ),
    Claim(
        name="flash-attention",
        axis="attention",
        this="fa",
        that="sdpa",
        says="FlashAttention is usually faster than PyTorch's attention on long sequences",
        source=f"{LOSSLESS}, attention backend",
    ),
    Claim(
        name="sage-attention",
        axis="attention",
        this="sage",
        that="fa",
        told_as="as-fast",
        says="approximate attention is 1.5 to 2 times as fast, in attention alone",
        reading="faster as a whole",
        source=f"{LOSSY}, approximate attention",
    ),
    Claim(
        name="cache-dit",
        axis="cache",
        this="cache-dit",
        least=1 / 2,
        most=1 / 1.5,
        told_as="as-fast",
        says="Cache-DiT is 1.5 to 2 times as fast on supported models",
        source=f"{LOSSY}, Cache-DiT",
    ),
    Claim(
        name="quantised",
        axis="quantised",
        this="transformer-.*",
        least=1 / 2,
        most=1 / 1.3,
        told_as="as-fast",
        says="quantised transformers are 1.3 to 1.5 times as fast in compute, SVDQuant 1.5 to 2 times",
        reading="1.3 to 2 times as fast as a whole",
        source=f"{LOSSY}, quantised models and pre-quantised transformers",
    ),
    Claim(
        name="device-mode",
        axis="device-mode",
        this="stages-resident",
        that="stages-original|stages-snapshot",
        models=_TWO_STAGES,
        says="of LTX-2's device modes resident is fastest",
        source=f'{TABLE}, row "LTX-2 / LTX-2.3"',
    ),
    Claim(
        name="device-mode-memory",
        axis="device-mode",
        this="stages-original",
        that="stages-resident",
        models=_TWO_STAGES,
        quantity="memory",
        says="device mode resident uses more memory",
        source=f'{TABLE}, row "LTX-2 / LTX-2.3"',
    ),
)
"""What the guide claims, in its order. What it says of one step or one kernel alone no time of a request can show."""


def applying(case: Case, claims: Sequence[Claim] = CLAIMS) -> tuple[Claim, ...]:
    """The claims that are made for the case's model."""
    return tuple(one for one in claims if re.search(one.models, case.model, re.IGNORECASE))


def held(claims: Sequence[Claim], standings: Sequence[Standing], space: Space) -> tuple[ClaimResult, ...]:
    """What became of each claim that is made for the space's model, in the order of the claims."""
    if not space.variants:
        return ()
    pairs = _Pairs(space, {one.variant: one for one in standings})
    return tuple(pairs.judge(claim) for claim in applying(space.variants[0].case, claims))


class _Pairs:
    """Finds the variants that differ in two settings alone: one has the first of them, and would be the other if it had
    the second one in its place."""

    def __init__(self, space: Space, standings: Mapping[str, Standing]) -> None:
        self._standings = standings
        self._measured = [one for one in space.variants if one.name in standings]
        self._by_work = {work(one.case): one for one in self._measured}
        self._settings = _settings_of(space)
        self._quickest = quickest_of(tuple(standings.values()))

    def judge(self, claim: Claim) -> ClaimResult:
        """Compare every pair that the claim is about."""
        found = (self._compare(claim, this, that) for this, that in self._of(claim))
        pairs = tuple(one for one in found if one is not None)
        said = {one.code for one in pairs} - {"open"}
        code: ClaimCode = "untried" if not pairs else "open" if not said else said.pop() if len(said) == 1 else "mixed"
        return ClaimResult(claim=claim, code=code, pairs=pairs)

    def _of(self, claim: Claim) -> Iterator[tuple[Variant, Variant]]:
        seen = set()
        for variant in self._measured:
            for that in self._others(claim, variant):
                fits = variant.case.gpus == that.case.gpus * claim.times_gpus
                fits = fits and claim.gpus in (None, variant.case.gpus) and self._beside(claim, variant)
                if fits and that is not variant and (variant.name, that.name) not in seen:
                    seen.add((variant.name, that.name))
                    yield variant, that

    def _beside(self, claim: Claim, variant: Variant) -> bool:
        wanted = (self._settings.get(axis, {}).get(name) for axis, name in claim.beside.items())
        return all(one is not None and _has(variant, one) for one in wanted)

    def _others(self, claim: Claim, variant: Variant) -> Iterator[Variant]:
        """The variants that this one would be with a setting that it is compared with."""
        if not claim.that:
            rest = [one.name for one in variant.settings if one.axis != claim.axis]
            if any(one.axis == claim.axis and re.fullmatch(claim.this, one.name) for one in variant.settings):
                yield from (one for one in self._measured if [each.name for each in one.settings] == rest)
            return
        settings = self._settings.get(claim.axis, {})
        mine = [one for name, one in settings.items() if re.fullmatch(claim.this, name)]
        if any(_has(variant, one) for one in mine):
            for name, one in settings.items():
                other = self._by_work.get(same_but_for(variant.case, [one]))
                if re.fullmatch(claim.that, name) and other is not None:
                    yield other

    def _compare(self, claim: Claim, this: Variant, that: Variant) -> Compared | None:
        one, other = self._standings[this.name], self._standings[that.name]
        by_time = claim.quantity == "time"
        found = ratio(one, other, quickest=self._quickest) if by_time else _of_memory(one, other)
        if found is None:
            return None
        code: ClaimCode = "open"
        if claim.least is not None and found.high < claim.least:
            code = "more"
        elif found.low > claim.most:
            code = "less"
        elif found.high <= claim.most and (claim.least is None or found.low >= claim.least):
            code = "held"
        return Compared(this=this.name, that=that.name, code=code, ratio=found)


def _has(variant: Variant, setting: Setting) -> bool:
    """Whether the variant would be the same work with the setting."""
    return same_but_for(variant.case, [setting]) == work(variant.case)


def _of_memory(one: Standing, other: Standing) -> Ratio | None:
    if one.memory_mib is None or not other.memory_mib:
        return None
    value = one.memory_mib / other.memory_mib
    return Ratio(value=value, low=value, high=value)


def _settings_of(space: Space) -> Mapping[Axis, Mapping[str, Setting]]:
    """Every setting that is known for the space, by axis and name: those of its variants first."""
    first = space.variants[0].case
    found: dict[Axis, dict[str, Setting]] = {}
    tried: list[Variant | Pruned] = [*space.variants, *space.pruned]
    for one in (setting for part in tried for setting in part.settings):
        found.setdefault(one.axis, {}).setdefault(one.name, one)
    for gpus in sorted({variant.case.gpus for variant in space.variants}, reverse=True):
        for axis in AXES:
            for choice in choices(axis, Ground(case=first, gpus=gpus)):
                found.setdefault(axis, {}).setdefault(choice.setting.name, choice.setting)
    return found
