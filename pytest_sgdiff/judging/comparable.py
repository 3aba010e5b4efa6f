"""Whether two measurements may be compared at all, and what between them forgives a difference. Pure.

Numbers from other hardware, another workload or another way of timing say nothing about the engine; a baseline from
another node of the same GPU model does, with wider margins.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sgdiff.data import Baseline, Difference, Environment, Launch, LaunchRecord, Machine, Workload
from pytest_sgdiff.engine_version import engine_version

_CACHE_SINCE = (0, 5, 21)
"""The first release with a conditioning cache, which is on by default."""


def counted(launches: Iterable[LaunchRecord]) -> tuple[LaunchRecord, ...]:
    """The launches whose numbers count: those that were not replaced."""
    return tuple(launch for launch in launches if launch.counts)


def digest_of(fields: Mapping[str, Any]) -> str:
    """The digest of a workload's readable fields, whether they come of a case or of a file."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def alike(one: Workload, other: Workload) -> tuple[Workload, Workload]:
    """Two workloads as far as both tell. Where one of them does not say what its launches inherited, nothing that the
    other's did counts: what was not recorded is not the same as not set."""
    if one.inherited is not None and other.inherited is not None:
        return one, other
    return _without_inherited(one, other), _without_inherited(other, one)


def _without_inherited(work: Workload, other: Workload) -> Workload:
    # What the other one's case gives itself is known of it, wherever this one has it from.
    given = {f"env.{name}" for name in work.inherited or ()} - set(other.fields)
    if not given:
        return work
    fields = {name: value for name, value in work.fields.items() if name not in given}
    return Workload(digest=digest_of(fields), fields=fields)


def same_work(one: Workload, other: Workload) -> bool:
    """Whether both are the same work, as far as both tell."""
    one, other = alike(one, other)
    return one.digest == other.digest


def differences(
    machine: Machine,
    workload: Workload,
    environment: Environment,
    baseline: Baseline,
    *,
    launches: Sequence[LaunchRecord] = (),
) -> tuple[Difference, ...]:
    """Why the baseline is not comparable, one reason per item; empty where it is. `launches` are those of now.

    A reference without a workload digest is compared by machine only: published numbers come without one.
    """
    then = baseline.measurement
    found = []
    if then.machine != machine:
        found.append(Difference(code="machine", machines=(then.machine, machine)))
    if baseline.kind == "reference" and not then.workload.digest:
        return tuple(found)
    known, mine = alike(then.workload, workload)
    if known.digest != mine.digest:
        fields = tuple(work_differences(known, mine))
        found += fields or (Difference(code="digest", then=known.digest, now=mine.digest),)
    synchronised = {launch.environment.sync_stages for launch in counted(then.launches)}
    if synchronised and synchronised != {environment.sync_stages}:
        was = synchronised.pop() if len(synchronised) == 1 else None
        found.append(Difference(code="timers", then=was, now=environment.sync_stages))
    found += cache_differences(then.launches, then.workload, launches, workload)
    return tuple(found)


def cache_differences(
    then: Iterable[LaunchRecord], workload_then: Workload, now: Iterable[LaunchRecord], workload_now: Workload
) -> tuple[Difference, ...]:
    """Whether encoders worked on one side only, and on the other found what the warmup had made in the engine's
    cache. Empty where both sides are alike, or nobody knows."""
    was, is_now = encodings_cached(then, workload_then), encodings_cached(now, workload_now)
    if None in (was, is_now) or was == is_now:
        return ()
    return (Difference(code="conditioning-cache", then=was, now=is_now),)


def encodings_cached(launches: Iterable[LaunchRecord], workload: Workload) -> bool | None:
    """Whether the measured requests could find the encodings of their warmup in the engine's cache, None if that is
    not known. Where the launches do not say so, the engine's version does: the cache came with 0.5.21, and was on."""
    kept = counted(launches)
    told = {launch.conditioning_cache for launch in kept} - {None}
    if told:
        return True in told
    versions = {launch.environment.engine_version for launch in kept} - {None}
    if not versions:
        return None
    warm = workload.fields.get("warmup") == "request"
    return warm and any(engine_version(version).numbers >= _CACHE_SINCE for version in versions)


def same_node(launches: Sequence[LaunchRecord], baseline: Baseline) -> bool:
    """Whether the launches ran on GPUs that the baseline knows, so that no slack is due for another node.

    Every GPU UUID of the launches must occur among the baseline's. Where either side has none (CPU cases, recordings
    made without NVML) the hosts decide, and hosts that are not known are not the same: slack costs power, a difference
    between nodes taken for a slowdown costs trust.
    """
    then, now = counted(baseline.measurement.launches), counted(launches)
    known = {uuid for launch in then for uuid in launch.environment.gpu_uuids}
    used = {uuid for launch in now for uuid in launch.environment.gpu_uuids}
    if known and used:
        return used <= known
    hosts_then, hosts_now = ({launch.environment.host for launch in side} for side in (then, now))
    return bool(hosts_now) and None not in hosts_now and hosts_now <= hosts_then


def other_work(launched: Workload | None, asked: Workload) -> tuple[Difference, ...]:
    """What a recorded launch did otherwise than the case asks for now, field by field; nothing where the
    recording of the launch does not say what its case asked for. Files that a case sends along are left out: a
    recording is judged where they need not be.
    """
    if launched is None or not launched.fields:
        return ()
    # A case says nothing of what launches inherit: that is held against a baseline's, not against the case.
    launched, asked = alike(launched, asked)
    then, now = (
        {name: value for name, value in _flat(work.fields) if not name.startswith("assets.")}
        for work in (launched, asked)
    )
    return tuple(_unequal(then, now))


def mixture(one: Launch, other: Launch) -> tuple[Difference, ...]:
    """Why two launches are not of one measurement; nothing where they are. What one of them does not tell is no
    difference.

    The engine's version is one of the reasons: what two versions take, put together, is a figure of neither.
    """
    found = []
    if one.machine and other.machine and one.machine != other.machine:
        found.append(Difference(code="machine", machines=(one.machine, other.machine)))
    if one.workload and other.workload and not same_work(one.workload, other.workload):
        works = alike(one.workload, other.workload)
        fields = tuple(_unequal(*(dict(_flat(work.fields)) for work in works)))
        found += fields or (Difference(code="digest", then=works[0].digest, now=works[1].digest),)
    was, is_now = one.environment, other.environment
    # An environment of which nothing was recorded does not tell how the timers were either.
    if Environment() not in (was, is_now) and was.sync_stages != is_now.sync_stages:
        found.append(Difference(code="timers", then=was.sync_stages, now=is_now.sync_stages))
    versions = was.engine_version, is_now.engine_version
    if None not in versions and versions[0] != versions[1]:
        found.append(Difference(code="engine", then=versions[0], now=versions[1]))
    return tuple(found)


def work_differences(then: Workload, now: Workload) -> Iterator[Difference]:
    """The fields of the workload that differ, as far as both tell, and whether launches inherited them."""
    then, now = alike(then, now)
    marked = {f"env.{name}" for name in (*(then.inherited or ()), *(now.inherited or ()))}
    for found in _unequal(dict(_flat(then.fields)), dict(_flat(now.fields))):
        yield replace(found, inherited=found.key in marked)


def _unequal(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """The keys whose values differ."""
    for key in dict.fromkeys((*old, *new)):
        was, is_now = old.get(key), new.get(key)
        if was != is_now:
            yield Difference(code="field", key=key, then=was, now=is_now)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            # Tuples come back from files as lists; the two mean the same workload.
            yield f"{prefix}{key}", list(value) if isinstance(value, tuple) else value
