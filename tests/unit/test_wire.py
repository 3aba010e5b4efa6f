"""What crosses a process or file border is checked, and a mistake is named by its path."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_sgdiff.data import (
    Baseline,
    Case,
    CaseResult,
    Environment,
    Finding,
    GpuSeries,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    Reason,
    Recorded,
    Verdict,
    Watch,
    Workload,
)
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire import from_plain, spell, to_plain

RESULT = CaseResult(
    case="wan22",
    node_id="cases/wan22.yaml::wan22",
    location=Location(path="cases/wan22.yaml", line=12, column=3),
    outcome="pass",
    reason=Reason(),
    machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
    launches=(
        LaunchRecord(number=0, metrics={"e2e": 1143.69}, steps_ms=(49.8, 52.1)),
        LaunchRecord(
            number=1,
            watch=Watch(gpus=(GpuSeries(gpu_uuid="GPU-1", at_s=(0.0, 0.2), sm_mhz=(1980, None)),), alone=True),
            environment=Environment(gpu_uuids=("GPU-1",), sync_stages=True),
        ),
    ),
    verdicts=(
        Verdict(
            metric="e2e",
            metric_class="primary",
            unit="ms",
            outcome="pass",
            finding=Finding(code="ruled-out", size=0.02),
            ratio=1.01,
        ),
    ),
)


def mistake(path: list[str | int], value: object) -> str:
    """The message for RESULT with one value replaced."""
    plain = to_plain(RESULT)
    at = plain
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    with pytest.raises(WireError) as caught:
        from_plain(CaseResult, plain)
    return str(caught.value)


def test_a_result_survives_json_unchanged() -> None:
    assert from_plain(CaseResult, json.loads(json.dumps(to_plain(RESULT), allow_nan=False))) == RESULT


def test_only_builtins_leave() -> None:
    def types(plain: object) -> set[type]:
        inner = plain.values() if isinstance(plain, dict) else plain if isinstance(plain, list) else ()
        return {type(plain)}.union(*(types(item) for item in inner))

    assert types(to_plain(RESULT)) <= {type(None), bool, int, float, str, list, dict}


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["launches", 0, "metrics", "e2e"], "x", "launches[0].metrics.e2e: must be a finite number, got 'x'"),
        (["launches", 0, "metrics", "e2e"], True, "launches[0].metrics.e2e: must be a finite number, got True"),
        (["launches", 0, "metrics", "e2e"], float("nan"), "launches[0].metrics.e2e: must be a finite number, got nan"),
        (
            ["launches", 1, "watch", "gpus", 0, "at_s", 1],
            float("inf"),
            "launches[1].watch.gpus[0].at_s[1]: must be a finite number, got inf",
        ),
        (["launches", 0, "number"], "2", "launches[0].number: must be a whole number, got '2'"),
        (["launches", 0, "number"], True, "launches[0].number: must be a whole number, got True"),
        (["launches", 0, "number"], 2.0, "launches[0].number: must be a whole number, got 2.0"),
        (["launches", 0], 7, "launches[0]: must be a mapping of LaunchRecord's fields, got 7"),
        (["launches"], {"0": 1}, "launches: must be a list, got {'0': 1}"),
        (
            ["launches", 1, "watch", "gpus", 0, "sm_mhz"],
            [1980],
            "launches[1].watch.gpus[0].sm_mhz: has 1 values for 2 samples",
        ),
        (["case"], 3, "case: must be text, got 3"),
        (["recorded"], 1, "recorded: must be true or false, got 1"),
        (["recorded"], None, "recorded: must be true or false, got None"),
        (
            ["outcome"],
            "passed",
            (
                "outcome: must be one of 'pass', 'improved', 'regressed', 'inconclusive', 'no-baseline', 'invalid', "
                "got 'passed'"
            ),
        ),
        (["machine", "slug"], "nvidia-h200-x1", "machine: has the unknown key 'slug'"),
        (["launches", 0, "metrics", 7], 1.0, "launches[0].metrics: must have text as keys, got 7"),
        (["reason"], ["x" * 99], "reason: must be a mapping of Reason's fields, got ['" + "x" * 57 + "…"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(path: list[str | int], value: object, message: str) -> None:
    assert mistake(path, value) == message


def test_a_missing_field_is_named() -> None:
    plain = to_plain(RESULT)
    del plain["location"]["line"]
    with pytest.raises(WireError) as caught:
        from_plain(CaseResult, plain, where="report.sgdiff")
    assert str(caught.value) == "report.sgdiff.location.line: is missing"
    assert caught.value.path == ("location", "line")


def test_unknown_keys_are_ignored_only_where_the_reader_asks_for_it() -> None:
    plain = {"path": "a", "line": 1, "column": 2, "offset": 3}
    assert from_plain(Location, plain, unknown="ignore") == Location(path="a", line=1, column=2)
    with pytest.raises(WireError, match=r"^has the unknown key 'offset'$"):
        from_plain(Location, plain)


def test_a_number_that_is_not_finite_does_not_leave() -> None:
    with pytest.raises(WireError) as caught:
        to_plain(LaunchRecord(number=0, metrics={"stage:Decoding Stage": float("nan")}))
    assert str(caught.value) == "metrics['stage:Decoding Stage']: must be a finite number, got nan"


def test_a_value_without_plain_form_does_not_leave() -> None:
    with pytest.raises(WireError) as caught:
        to_plain({"when": {1, 2}})
    assert str(caught.value) == "when: has no plain form, got {1, 2}"
    with pytest.raises(WireError, match=r"^must have text as keys, got 1$"):
        to_plain({1: "one"})


def test_undecodable_bytes_of_a_log_do_not_break_the_result() -> None:
    text = b"step \xff".decode("utf-8", "surrogateescape")
    assert to_plain({"log": text, "pictogram": "µ"}) == {"log": "step ?", "pictogram": "µ"}


def test_whole_numbers_stay_whole_where_both_kinds_are_allowed() -> None:
    case = Case(
        name="x",
        location=Location(path="a", line=1, column=1),
        model="m",
        args={"seed": 42, "scale": 5.0, "compile": True, "prompt": ("a", 1, 2.5, False)},
        timeout_s=60,
    )
    back = from_plain(Case, json.loads(json.dumps(to_plain(case))))
    assert back == case
    assert {key: type(value) for key, value in back.args.items()} == {
        "seed": int, "scale": float, "compile": bool, "prompt": tuple,
    }  # fmt: skip


def test_a_value_of_none_of_the_allowed_kinds_names_them_all() -> None:
    plain = to_plain(Case(name="x", location=Location(path="a", line=1, column=1), model="m"))
    plain["args"] = {"seed": None}
    with pytest.raises(WireError) as caught:
        from_plain(Case, plain)
    assert str(caught.value) == (
        "args.seed: must be text, true or false, a whole number, a finite number or a list, got None"
    )


def test_a_free_field_holds_builtins_only() -> None:
    plain = to_plain(Workload(digest="d", fields={"args": {"steps": 20}, "sizes": (1, 2)}))
    assert from_plain(Workload, plain) == Workload(digest="d", fields={"args": {"steps": 20}, "sizes": [1, 2]})
    plain["fields"]["args"]["steps"] = float("inf")
    with pytest.raises(WireError, match=r"^fields\.args\.steps: must be a finite number, got inf$"):
        from_plain(Workload, plain)
    plain["fields"]["args"]["steps"] = object()
    with pytest.raises(WireError, match=r"^fields\.args\.steps: must be null, true, false, a number, text, a list or"):
        from_plain(Workload, plain)


def test_an_integer_too_large_for_a_float_is_refused_and_not_a_crash() -> None:
    with pytest.raises(WireError, match=r"^elapsed_s: must be a finite number, got 1000"):
        from_plain(CaseResult, {**to_plain(RESULT), "elapsed_s": 10**400})


def test_defaults_can_be_left_out_and_come_back() -> None:
    baseline = Baseline(
        measurement=Measurement(
            case="c",
            machine=Machine(kind="cpu", product="Xeon", count=2),
            workload=Workload(digest="d"),
            launches=(LaunchRecord(number=0, metrics={"e2e": 1.0}, alone=False),),
        ),
        recorded=Recorded(at="2026-11-23T17:18:01Z", command="pytest"),
    )
    plain = to_plain(baseline, omit_defaults=True)
    assert plain == {
        "measurement": {
            "case": "c",
            "machine": {"kind": "cpu", "product": "Xeon", "count": 2},
            "workload": {"digest": "d"},
            "launches": [{"number": 0, "metrics": {"e2e": 1.0}, "alone": False}],
        },
        "recorded": {"at": "2026-11-23T17:18:01Z", "command": "pytest"},
    }
    assert from_plain(Baseline, plain) == baseline


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("launches", 2, "metrics", "e2e"), "launches[2].metrics.e2e"),
        (("args", "guidance scale"), "args['guidance scale']"),
        (("args", "a.b", ""), "args['a.b']['']"),
        ((0, "x"), "[0].x"),
    ],
)
def test_a_path_is_spelt_as_people_read_it(path: tuple[str | int, ...], text: str) -> None:
    assert spell(path) == text


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, pytest_sgdiff.files.wire; print(*{m.partition('.')[0] for m in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"pydantic", "yaml", "numpy", "scipy", "pytest", "json"} & set(loaded)
