"""All variants of a case that are worth a launch, and those that are not, with the reason.

Not every combination is tried: of eight axes that would be thousands. Settings are tried alone, and together where they
are known to interact (docs/tune.md says which).
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_sgdiff.cases.transformers import folders, read_transformers
from pytest_sgdiff.data import Advice, Case, Transformer
from pytest_sgdiff.data.tuning import Axis, PruneCode, Pruned, Setting, Space, Variant
from pytest_sgdiff.engines.flags.check import complaints, has_flags
from pytest_sgdiff.engines.flags.lookup import EngineFlags
from pytest_sgdiff.lint import advise, together
from pytest_sgdiff.tuning.presets import PRESETS, Preset, recipe_of
from pytest_sgdiff.tuning.settings import AXES, Choice, Ground, choices
from pytest_sgdiff.tuning.variants import name_of, same_but_for, variant_of, work

Lossy = Literal["no", "yes"]
"""Whether settings that change the picture are tried."""

_CROSSED: tuple[Axis, ...] = ("topology", "compile", "offload")
"""What interacts: more GPUs leave each less to compute, so that compiling gains less, and a transfer hides less."""

_CORNER: Mapping[Axis, str] = {"compile": "compile", "offload": "resident"}
"""What is likely fastest, whatever the topology: the ground for settings that are tried on top of it."""

_ON_TOP: tuple[Axis, ...] = ("attention", "cache", "quantised", "device-mode")


def space(
    case: Case,
    *,
    gpus: int,
    engine: EngineFlags | None,
    products: Sequence[str] = (),
    allow_lossy: Lossy = "no",
    axes: Sequence[Axis] | None = None,
    transformers: Sequence[str] = (),
    preset: str | None = None,
) -> Space:
    """The variants of a case, the case as it is written first, then single settings, then combinations.

    `gpus` is how many a launch may have, 0 for the CPU. `engine` is the one that will run them, None if nobody knows;
    `products` are the names of the GPUs. With `axes` only settings of these are tried, but all of them. `transformers`
    are folders, repositories or files of quantised weights; of a model with two transformers two, with a comma between
    them. `preset` is a name in PRESETS; it may allow lossy settings by itself. Raises KeyError for an unknown preset,
    and OptionError for a transformer without a path.
    """
    chosen = None if preset is None else PRESETS[preset]
    ground = Ground(case=case, gpus=gpus, engine=engine, products=tuple(products), transformers=tuple(transformers))
    lossy: Lossy = "yes" if chosen is not None and chosen.allow_lossy else allow_lossy
    sieve = _Sieve(ground=ground, lossy=lossy)
    sieve.single()
    if has_flags(case):
        _fill(sieve, _offered(ground, axes, chosen), chosen)
    return sieve.space()


def matrix_space(
    cases: Sequence[Case],
    *,
    gpus: int,
    engine: EngineFlags | None,
    products: Sequence[str] = (),
    allow_lossy: Lossy = "no",
) -> Space:
    """The variants that a case file states itself, as the matrix of one case: the first is what the others are compared
    with. A case with the mark `lossy` is a lossy variant. Raises ValueError where there is no case."""
    if not cases:
        raise ValueError("a matrix of no cases")
    sieve = _Sieve(ground=Ground(case=cases[0], gpus=gpus, engine=engine, products=tuple(products)), lossy=allow_lossy)
    # Of one case the variants' names are enough.
    alone = len({case.name for case in cases}) == 1
    for number, case in enumerate(cases):
        sieve.given(case, name=(case.variant if alone else None) or case.id, changes=number > 0)
    return sieve.space()


def limited(found: Space, names: Collection[str]) -> Space:
    """The case as it is written, and the variants with no other settings than those that are named. A setting that no
    variant has by itself, as none but on a topology of all GPUs, comes with the fewest others that it is tried on top
    of, and these are tried without it, too. What is left out has a named setting, too. Each name is that of a setting
    of a variant."""
    others = {
        one.name: frozenset(setting.name for setting in one.settings if setting.name not in names)
        for one in found.variants
    }
    grounds = {frozenset[str]()}
    for name in names:
        having = [others[one.name] for one in found.variants if any(setting.name == name for setting in one.settings)]
        grounds.add(min(having, key=len))
    # What nobody asked for is not left out.
    asked = [one for one in found.pruned if not one.settings or any(each.name in names for each in one.settings)]
    kept = tuple(one for one in found.variants if others[one.name] in grounds)
    return replace(found, variants=kept, pruned=tuple(asked))


def _offered(ground: Ground, axes: Sequence[Axis] | None, preset: Preset | None) -> dict[Axis, tuple[Choice, ...]]:
    """What is tried on each axis. Rare settings are, where their axis is asked for by name."""
    found: dict[Axis, tuple[Choice, ...]] = {}
    for axis in AXES if axes is None else [one for one in AXES if one in axes]:
        limited = None if preset is None else preset.offered.get(axis)
        recipe = "" if preset is None else preset.settings.get(axis, "")
        found[axis] = tuple(
            replace(one, role="main") if one.setting.name == recipe else one
            for one in choices(axis, ground)
            if (one.setting.name in limited if limited is not None else one.role != "rare" or axes is not None)
        )
    return found


def _fill(sieve: _Sieve, offered: Mapping[Axis, Sequence[Choice]], preset: Preset | None) -> None:
    sieve.mend(one.setting for axis in AXES if axis != "topology" for one in choices(axis, sieve.ground))
    topologies = _filling(sieve.ground)
    # What is asked is what these GPUs can do: a case of another number of them is the ground for nothing but itself,
    # also where its topology is not asked about.
    spread = sieve.first_allowed(topologies) if sieve.ground.case.gpus != sieve.ground.gpus else ()
    first = sieve.first_allowed(topologies) if "topology" in offered else spread
    corner = (*first, *_named(offered, _CORNER if preset is None else preset.settings, _CROSSED))
    if spread:
        sieve.single(*spread)
    for axis, found in offered.items():
        # A purpose has a ground of its own: the case may need more memory than there is.
        beside = preset is not None and axis not in _CROSSED
        sieve.base = () if axis == "topology" else sieve.not_in_place(corner) if beside else spread
        for choice in found:
            sieve.single(choice.setting)
    sieve.base = ()

    mains = {axis: [one.setting for one in found if one.role == "main"] for axis, found in offered.items()}
    if "topology" in mains and (unusual := [one for one in first if one not in mains["topology"]]):
        # The model allows none of the usual ones.
        sieve.single(*unusual)
        mains["topology"] += unusual
    for combination in itertools.product(*(mains[axis] for axis in _CROSSED if mains.get(axis))):
        sieve.combination(*combination)

    for extras in _on_top(mains):
        sieve.combination(*corner, *extras)
    for axis in _ON_TOP:
        for choice in offered.get(axis, ()):
            # What cannot be had where weights are now, may be where they stay on the GPU.
            if sieve.refuses(choice.setting):
                sieve.combination(*corner, choice.setting)

    recipe = recipe_of(sieve.ground.case.model) if preset is None else preset
    if recipe is not None:
        sieve.combination(*first, *_named(offered, recipe.settings, AXES))


def _filling(ground: Ground) -> list[Setting]:
    """The topologies of all the GPUs, those first that are likely fast, then those of half of them."""

    def rank(one: Choice) -> tuple[int, ...]:
        degrees = (one.setting.args.get(flag) for flag in ("tp-size", "ring-degree"))
        role = ("main", "side", "rare").index(one.role)
        return one.setting.gpus != ground.gpus, role, *(each if isinstance(each, int) else 1 for each in degrees)

    return [one.setting for one in sorted(choices("topology", ground), key=rank)]


def _on_top(mains: Mapping[Axis, Sequence[Setting]]) -> Iterator[tuple[Setting, ...]]:
    """What is tried on the likely fastest ground: each setting of these axes, and the lossy ones that go together."""
    for axis in _ON_TOP:
        yield from ((one,) for one in mains.get(axis, ()))
    yield from itertools.product(mains.get("attention", ()), mains.get("cache", ()))
    yield from itertools.product(mains.get("quantised", ()), mains.get("cache", ())[:1])


def _named(
    offered: Mapping[Axis, Sequence[Choice]], names: Mapping[Axis, str], axes: Sequence[Axis]
) -> tuple[Setting, ...]:
    """The settings of these names on these axes, as far as they are tried."""
    found = (choice.setting for axis in axes for choice in offered.get(axis, ()))
    return tuple(one for one in found if names.get(one.axis) == one.name)


@dataclass(kw_only=True, slots=True)
class _Sieve:
    """Takes candidates one after the other, and keeps those that can be launched and are like no other. `base` is what
    every single setting but a topology is tried on. `mended` is a setting with which a case can be launched that cannot
    be as it is written: all others are tried together with it, but for those of its axis."""

    ground: Ground
    lossy: Lossy
    base: tuple[Setting, ...] = ()
    mended: tuple[Setting, ...] = ()
    kept: dict[str, Variant] = field(default_factory=dict)
    pruned: list[Pruned] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _idle: dict[str, bool] = field(default_factory=dict)
    _works: dict[Hashable, str] = field(default_factory=dict)
    _refused: dict[frozenset[str], frozenset[tuple[str, str]]] = field(default_factory=dict)
    # Thousands of variants are of one model.
    _transformers: dict[tuple[str, ...] | None, tuple[Transformer, ...] | None] = field(default_factory=dict)

    def space(self) -> Space:
        """What was kept and what was not."""
        return Space(variants=tuple(self.kept.values()), pruned=tuple(self.pruned))

    def mend(self, settings: Iterable[Setting]) -> None:
        """Find a lossless setting without which nothing can be launched, and with which the case can; none where the
        case can be launched as it is written."""
        if frozenset() not in self._refused:
            return
        for one in settings:
            case = variant_of(self.ground.case, [one]).case
            if not one.lossy and case.gpus <= self.ground.gpus and not self._refusals(case)[1]:
                self.mended = (one,)
                self.single(one)
                return

    def _with_mended(self, settings: Sequence[Setting]) -> tuple[Setting, ...]:
        taken = {one.axis for one in settings}
        return (*settings, *(one for one in self.mended if one.axis not in taken))

    def single(self, *setting: Setting) -> None:
        """Judge the case as it is written, or one setting; what is not kept is listed with its reason."""
        settings = (*self.base, *setting)
        if self.lossy == "no" and any(one.lossy for one in setting):
            self._prune(settings, "lossy")
        else:
            self._judge(settings)

    def combination(self, *settings: Setting) -> None:
        """Judge several settings together. Those that the case has anyway are left out. A combination that is refused
        for what one of its parts was refused for is passed over."""
        if self.lossy == "yes" or not any(one.lossy for one in settings):
            self._judge(self.not_in_place(settings))

    def first_allowed(self, settings: Sequence[Setting]) -> tuple[Setting, ...]:
        """The first of these that nothing is known against, none if all are refused."""
        allowed = ((one,) for one in settings if not self._refusals(self._variant([one]).case)[1])
        return next(allowed, ())

    def given(self, case: Case, *, name: str, changes: bool) -> None:
        """Judge a case as it stands; the first of several `changes` nothing."""
        setting = Setting(axis="matrix", name=name, lossy="lossy" in case.marks, source="the case file's matrix")
        if setting.lossy and changes and self.lossy == "no":
            self._prune((setting,), "lossy")
            return
        settings = (setting,) if changes else ()
        self._sift(Variant(name=name, case=replace(case, faster_than=None), settings=settings))

    def not_in_place(self, settings: Sequence[Setting]) -> tuple[Setting, ...]:
        """Those settings that the case as it is written does not have anyway."""
        return tuple(one for one in settings if not self._in_place(one))

    def refuses(self, setting: Setting) -> bool:
        """Whether the setting was refused by itself."""
        return frozenset((setting.name,)) in self._refused

    def _in_place(self, setting: Setting) -> bool:
        known = self._idle.get(setting.name)
        if known is None:
            case = self.ground.case
            known = self._idle[setting.name] = same_but_for(case, [setting]) == work(case)
        return known

    def _judge(self, settings: Sequence[Setting]) -> None:
        variant = self._variant(settings)
        if variant.name not in self._seen:
            self._sift(variant)

    def _variant(self, settings: Sequence[Setting]) -> Variant:
        return variant_of(self.ground.case, sorted(self._with_mended(settings), key=lambda one: AXES.index(one.axis)))

    def _sift(self, variant: Variant) -> None:
        name, settings = variant.name, variant.settings
        self._seen.add(name)
        needed = max(variant.case.gpus, 2 if _sharded(settings) else 0)
        if needed > self.ground.gpus or (_sharded(settings) and variant.case.gpus < 2):
            if len(settings) <= len(self.base) + len(self.mended) + 1:
                self._prune(settings, "gpus", name=name)
            return
        code, advice = self._refusals(variant.case)
        if advice:
            self._refuse(variant, code, advice)
            return
        done = work(variant.case)
        if done in self._works:
            self._prune(settings, "same", name=name, same=self._works[done])
        else:
            self._works[done] = name
            self.kept[name] = variant

    def _refusals(self, case: Case) -> tuple[PruneCode, tuple[Advice, ...]]:
        """Every error that is known of a case: of the engine's flags, then in general."""
        engine = self.ground.engine
        found = () if engine is None else complaints(case, engine)
        flags = [
            Advice(level="error", slug=one.slug, message=one.message, location=case.at(one.key), key=one.key)
            for one in found
            if one.level == "error"
        ]
        named = folders(case)
        if named not in self._transformers:
            self._transformers[named] = read_transformers(named)
        general = advise(case, engine=engine, gpu_products=self.ground.products, transformers=self._transformers[named])
        errors = [one for one in general if one.level == "error"]
        return "flag" if flags else "advice", together(flags, errors)

    def _refuse(self, variant: Variant, code: PruneCode, advice: tuple[Advice, ...]) -> None:
        names = frozenset(one.name for one in variant.settings) - {one.name for one in (*self.base, *self.mended)}
        wrong = frozenset((one.slug, one.key) for one in advice)
        told = frozenset().union(*(found for parts, found in self._refused.items() if parts <= names))
        self._refused[names] = self._refused.get(names, frozenset()) | wrong
        if not variant.settings or not wrong <= told:
            self._prune(variant.settings, code, name=variant.name, advice=advice)

    def _prune(
        self,
        settings: Sequence[Setting],
        code: PruneCode,
        *,
        name: str = "",
        advice: tuple[Advice, ...] = (),
        same: str = "",
    ) -> None:
        name = name or name_of(settings)
        self._seen.add(name)
        self.pruned.append(Pruned(name=name, settings=tuple(settings), code=code, advice=advice, same=same))


def _sharded(settings: Sequence[Setting]) -> bool:
    """Whether the weights are to be split over several GPUs."""
    return any(one.args.get("use-fsdp-inference") is True for one in settings)
