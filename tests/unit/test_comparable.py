"""When a baseline may be compared, and in which words it is said why not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.data import (
    Baseline,
    Difference,
    Environment,
    Launch,
    LaunchRecord,
    Machine,
    Measurement,
    Recorded,
    Workload,
)
from pytest_sgdiff.judging.comparable import (
    differences,
    digest_of,
    encodings_cached,
    mixture,
    other_work,
    same_node,
)

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
FIELDS = {"model": "Wan-AI/Wan2.2", "args": {"num-inference-steps": 40, "enable-torch-compile": True}, "env": {}}
WORKLOAD = Workload(digest="aa", fields=FIELDS)


def launches(*environments):
    return tuple(LaunchRecord(number=i, environment=e) for i, e in enumerate(environments))


def baseline(*environments, machine=H200, workload=WORKLOAD, kind="recorded"):
    measured = Measurement(case="wan", machine=machine, workload=workload, launches=launches(*environments))
    return Baseline(measurement=measured, recorded=Recorded(at="2026-11-02", command="pytest"), kind=kind)


SYNCED = Environment(gpu_uuids=("GPU-1",), host="h1", sync_stages=True)


def test_the_same_kind_of_machine_workload_and_timers_is_comparable():
    assert differences(H200, WORKLOAD, SYNCED, baseline(SYNCED)) == ()


def changed(key: str, then: object, now: object, *, inherited: bool = False) -> Difference:
    return Difference(code="field", key=key, then=then, now=now, inherited=inherited)


def test_another_machine_is_named_on_both_sides():
    h100 = Machine(kind="gpu", product="NVIDIA H100 80GB HBM3", count=4, mig_profile="1g.10gb")
    cpu = Machine(kind="cpu", product="AMD EPYC 9654", count=2)
    found = differences(h100, WORKLOAD, SYNCED, baseline(SYNCED, machine=cpu))
    assert found == (Difference(code="machine", machines=(cpu, h100)),)


def test_what_a_recorded_launch_did_is_held_against_what_the_case_asks_for_now():
    asked = Workload(digest="bb", fields={"model": "Wan-AI/Wan2.2", "args": {"num-inference-steps": 50}, "env": {}})
    assert other_work(WORKLOAD, asked) == (
        changed("args.num-inference-steps", 40, 50),
        changed("args.enable-torch-compile", True, None),
    )
    assert other_work(WORKLOAD, WORKLOAD) == other_work(None, asked) == other_work(Workload(digest="x"), asked) == ()


def test_files_that_a_case_sends_along_need_not_be_where_its_recording_is_judged():
    fields = {"args.width": 832, "assets.image-path": "3f2a"}
    launched = Workload(digest="aa", fields=fields)
    assert other_work(launched, Workload(digest="bb", fields={"args.width": 832})) == ()
    assert other_work(launched, Workload(digest="bb", fields={"args.width": 480, "assets.image-path": "0"})) == (
        changed("args.width", 832, 480),
    )


B200X2 = Machine(kind="gpu", product="NVIDIA B200", count=2)
LAUNCH = Launch(
    case="wan",
    number=0,
    argv=("sglang",),
    machine=H200,
    workload=WORKLOAD,
    environment=replace(SYNCED, engine_version="0.5.17"),
)


@pytest.mark.parametrize(
    ("change", "apart"),
    [
        ({"machine": B200X2}, [Difference(code="machine", machines=(H200, B200X2))]),
        ({"workload": replace(WORKLOAD, digest="bb")}, [Difference(code="digest", then="aa", now="bb")]),
        (
            {"workload": Workload(digest="bb", fields={**FIELDS, "args": {"num-inference-steps": 50}})},
            [changed("args.num-inference-steps", 40, 50), changed("args.enable-torch-compile", True, None)],
        ),
        (
            {"environment": replace(LAUNCH.environment, sync_stages=False)},
            [Difference(code="timers", then=True, now=False)],
        ),
        (
            {"environment": replace(LAUNCH.environment, engine_version="0.5.20")},
            [Difference(code="engine", then="0.5.17", now="0.5.20")],
        ),
    ],
)
def test_launches_of_two_measurements_are_told_apart(change, apart):
    assert mixture(LAUNCH, replace(LAUNCH, **change)) == tuple(apart)


@pytest.mark.parametrize(
    "change",
    [
        {"number": 4, "session": "another", "started_at": "2026-11-24"},
        {"environment": replace(LAUNCH.environment, host="h2", gpu_uuids=("GPU-2",), driver="580")},
        {"machine": None, "workload": None, "environment": Environment()},
        {"environment": replace(LAUNCH.environment, engine_version=None)},
    ],
)
def test_what_a_launch_does_not_tell_and_where_it_ran_keep_it_in_its_measurement(change):
    assert mixture(LAUNCH, replace(LAUNCH, **change)) == mixture(replace(LAUNCH, **change), LAUNCH) == ()


def test_another_workload_is_told_field_by_field():
    fields = {"model": "Wan-AI/Wan2.2", "args": {"num-inference-steps": 50, "seed": 42}, "env": {"A": "1"}}
    assert differences(H200, Workload(digest="bb", fields=fields), SYNCED, baseline(SYNCED)) == (
        changed("args.num-inference-steps", 40, 50),
        changed("args.enable-torch-compile", True, None),
        changed("args.seed", None, 42),
        changed("env.A", None, "1"),
    )


def test_a_tuple_read_back_as_a_list_is_no_difference():
    then = Workload(digest="aa", fields={"args": {"sizes": [1, 2]}, "seed": 1})
    now = Workload(digest="bb", fields={"args": {"sizes": (1, 2)}, "seed": 2})
    assert differences(H200, now, SYNCED, baseline(SYNCED, workload=then)) == (changed("seed", 1, 2),)


def test_digests_that_differ_without_readable_fields_are_shown():
    assert differences(H200, Workload(digest="bb"), SYNCED, baseline(SYNCED, workload=Workload(digest="aa"))) == (
        Difference(code="digest", then="aa", now="bb"),
    )


@pytest.mark.parametrize(
    ("then", "was"),
    [((False,), False), ((True, False), None)],
)
def test_other_stage_timers_are_not_comparable(then, was):
    recorded = baseline(*(Environment(sync_stages=flag) for flag in then))
    assert differences(H200, WORKLOAD, SYNCED, recorded) == (Difference(code="timers", then=was, now=True),)


def test_a_reference_that_tells_its_work_is_compared_by_it():
    published = baseline(SYNCED, kind="reference")
    assert differences(H200, WORKLOAD, SYNCED, published) == ()
    other = Workload(digest="bb", fields={**FIELDS, "model": "m/other"})
    assert differences(H200, other, SYNCED, published) == (changed("model", "Wan-AI/Wan2.2", "m/other"),)


def test_a_reference_is_compared_by_machine_only():
    published = baseline(Environment(), workload=Workload(digest=""), kind="reference")
    assert differences(H200, WORKLOAD, SYNCED, published) == ()
    other = Machine(kind="gpu", product="NVIDIA H100", count=1)
    assert differences(other, WORKLOAD, SYNCED, published) == (Difference(code="machine", machines=(H200, other)),)


@pytest.mark.parametrize(
    ("now", "then", "same"),
    [
        ([("GPU-1",)], [("GPU-1",)], True),
        ([("GPU-1",), ("GPU-2",)], [("GPU-2", "GPU-1")], True),
        ([("GPU-1",), ("GPU-3",)], [("GPU-1", "GPU-2")], False),
        ([("GPU-2",)], [("GPU-1",)], False),
    ],
)
def test_the_node_is_known_by_its_gpus(now, then, same):
    sides = [[Environment(gpu_uuids=uuids, host="h") for uuids in side] for side in (now, then)]
    assert same_node(launches(*sides[0]), baseline(*sides[1])) is same


@pytest.mark.parametrize(
    ("now", "then", "same"),
    [(["h1"], ["h1"], True), (["h2"], ["h1"], False), ([None], ["h1"], False), ([None], [None], False)],
)
@pytest.mark.parametrize("uuids", [(), ("GPU-1",)], ids=["cpu", "unknown-now"])
def test_without_uuids_on_both_sides_the_hosts_decide_and_unknown_is_another(now, then, same, uuids):
    recorded = baseline(*(Environment(host=h, gpu_uuids=uuids) for h in then))
    assert same_node(launches(*(Environment(host=h) for h in now)), recorded) is same


# --------------------------------------------------------------------------------------------------- conditioning cache

WARM = Workload(digest="aa", fields={"model": "Wan-AI/Wan2.2", "warmup": "request"})


def of_engine(version, cached=None):
    return LaunchRecord(number=0, environment=replace(SYNCED, engine_version=version), conditioning_cache=cached)


@pytest.mark.parametrize(
    ("version", "told", "cached"),
    [
        ("0.5.17", None, False),
        ("0.5.20", None, False),
        # Recorded before the plugin turned it off: it was on.
        ("0.5.21", None, True),
        ("0.5.23", None, True),
        ("0.5.24", None, True),
        ("0.0.0.dev1+gc6416b13d", None, True),
        ("0.5.23", False, False),
        ("0.5.23", True, True),
        ("0.1.dev1", False, False),
        (None, None, None),
    ],
)
def test_whether_encodings_were_cached_is_told_by_the_launches_or_else_by_the_version(version, told, cached):
    assert encodings_cached([of_engine(version, told)], WARM) is cached


def test_without_a_warmup_nothing_was_cached():
    assert encodings_cached([of_engine("0.5.23")], replace(WARM, fields={"warmup": "off"})) is False


@pytest.mark.parametrize(
    ("then", "now", "apart"),
    [
        # The upgrade from an engine without the cache to one with it is what a gate is for.
        (of_engine("0.5.17"), of_engine("0.5.23", False), ()),
        (of_engine("0.5.23", False), of_engine("0.5.24", False), ()),
        (
            of_engine("0.5.23"),
            of_engine("0.5.23", False),
            (Difference(code="conditioning-cache", then=True, now=False),),
        ),
        (
            of_engine("0.5.17"),
            of_engine("0.5.23", True),
            (Difference(code="conditioning-cache", then=False, now=True),),
        ),
        (of_engine(None), of_engine("0.5.23", False), ()),
    ],
)
def test_a_baseline_whose_encoders_did_not_work_is_not_comparable(then, now, apart):
    old = baseline(workload=WARM)
    old = replace(old, measurement=replace(old.measurement, launches=(then,)))
    assert differences(H200, WARM, SYNCED, old, launches=(now,)) == apart


def taken(*inherited: str, recorded: bool = True, **own: str) -> Workload:
    """The workload of launches that inherited these variables, each 1, where the case gives `own`."""
    fields = {"model": "m", **{f"env.{name}": value for name, value in own.items()}}
    fields |= {f"env.{name}": "1" for name in inherited}
    return Workload(digest=digest_of(fields), fields=fields, inherited=inherited if recorded else None)


UNRECORDED = taken(recorded=False)


@pytest.mark.parametrize(
    ("then", "now", "reasons"),
    [
        (taken("SGLANG_A"), taken("SGLANG_A"), ()),
        (taken("SGLANG_A"), taken(), (changed("env.SGLANG_A", "1", None, inherited=True),)),
        (taken(), taken("SGLANG_A"), (changed("env.SGLANG_A", None, "1", inherited=True),)),
        # From the shell or from the case: the engine is told the same.
        (taken("SGLANG_A"), taken(SGLANG_A="1"), ()),
        (taken("SGLANG_A"), taken(SGLANG_A="2"), (changed("env.SGLANG_A", "1", "2", inherited=True),)),
        # What was not recorded is not the same as not set.
        (UNRECORDED, taken("SGLANG_A"), ()),
        (taken("SGLANG_A"), UNRECORDED, ()),
        (UNRECORDED, taken("SGLANG_A", SGLANG_B="1"), (changed("env.SGLANG_B", None, "1"),)),
    ],
)
def test_inherited_variables_are_compared_where_both_sides_tell_them(
    then: Workload, now: Workload, reasons: tuple[Difference, ...]
) -> None:
    assert differences(H200, now, SYNCED, baseline(SYNCED, workload=then)) == reasons


def test_a_recording_is_not_held_against_a_case_for_what_its_launches_inherited():
    asked = replace(taken(), inherited=None)
    assert other_work(taken("SGLANG_A"), asked) == ()
    asked = replace(taken(SGLANG_A="1"), inherited=None)
    assert other_work(taken("SGLANG_A"), asked) == ()
    assert other_work(taken("SGLANG_B"), asked) == (changed("env.SGLANG_A", None, "1"),)


def test_launches_that_inherited_otherwise_are_of_two_measurements():
    one, other = replace(LAUNCH, workload=taken("SGLANG_A")), replace(LAUNCH, workload=taken())
    assert mixture(one, other) == (changed("env.SGLANG_A", "1", None),)
    assert mixture(one, replace(LAUNCH, workload=UNRECORDED)) == ()
