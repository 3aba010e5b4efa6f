"""Formats that other systems store, each read by what really reads it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sgdiff.data import Location, Machine, Run
from pytest_sgdiff.metrics import Metric, table
from pytest_sgdiff.plugin.option_values import REPORT_SUFFIXES, report_suffix
from pytest_sgdiff.reports import REPORTS
from pytest_sgdiff.reports.exported import exported
from tests import factories

COMMIT = "3d8690f27e2c1ee9e19742f1908c11dd036760b3"
WAN, H100 = "wan22_t2v_a14b_720p", "nvidia-h100-80gb-hbm3-x4"
PLACE = {"case": WAN, "file": "cases/wan22.yaml", "machine": H100}
HOSTILE = 'a b,c=d "e" \\ {}#\\'


def full() -> Run:
    return factories.run(commit=COMMIT)


def hostile() -> Run:
    """Names that no case file may have, but a hook or a replayed recording."""
    result = replace(
        factories.regressed(),
        case=HOSTILE,
        location=Location(path=HOSTILE, line=1, column=1),
        machine=None,
        workload=None,
    )
    verdict = replace(result.verdicts[0], metric=HOSTILE, unit="")
    return factories.run(replace(result, verdicts=(verdict,), launches=()), commit=COMMIT)


RUNS = {"full": full, "hostile": hostile, "empty": lambda: factories.run(results=(), selected=0)}


# ----------------------------------------------------------------------------------------------------------- Prometheus


def samples(run: Run, *, strict: bool = True) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a parser of Prometheus' own client reads: that of OpenMetrics, or that of the older format."""
    if strict:
        from prometheus_client.openmetrics.parser import text_string_to_metric_families
    else:
        from prometheus_client.parser import text_string_to_metric_families
    found = {}
    for family in text_string_to_metric_families(REPORTS[".prom"].render(run)):
        assert (family.type, bool(family.documentation)) == ("gauge", True)
        for sample in family.samples:
            place = sample.name, frozenset(sample.labels.items())
            assert place not in found
            found[place] = sample.value
    return found


def sample(run: Run, name: str, **labels: str) -> float:
    return samples(run)[name, frozenset(labels.items())]


@pytest.mark.parametrize("kind", RUNS)
def test_both_parsers_of_prometheus_read_the_same(kind: str) -> None:
    run = RUNS[kind]()
    assert samples(run) == samples(run, strict=False)


def test_prometheus_has_outcomes_and_figures_in_base_units() -> None:
    run = full()
    assert sample(run, "sgdiff_case_outcome", **PLACE, outcome="regressed") == 1
    assert sample(run, "sgdiff_case_outcome", **PLACE, outcome="pass") == 0
    assert sample(run, "sgdiff_case_engine", **PLACE, engine_version="0.5.17", commit=COMMIT) == 1
    denoise = {**PLACE, "metric": "denoise"}
    assert sample(run, "sgdiff_metric_seconds", **denoise, side="now") == 86.08
    assert sample(run, "sgdiff_metric_seconds", **denoise, side="baseline") == 81.75
    assert sample(run, "sgdiff_metric_ratio", **denoise, bound="allowed") == 1.012
    assert sample(run, "sgdiff_metric_ratio", **denoise, bound="low") == 1.046
    memory = {**PLACE, "metric": "peak_memory"}
    assert sample(run, "sgdiff_metric_bytes", **memory, side="now") == 22036.5 * 2**20
    assert sample(run, "sgdiff_run_started_seconds") == 1795399211
    assert sample(run, "sgdiff_run_cases", state="measured") == 4


def test_a_case_that_was_not_measured_has_its_outcome_and_no_figure() -> None:
    found = samples(factories.run(factories.fallback()))
    assert {name for name, labels in found if ("case", "firered_1_1[cfg]") in labels} == {
        "sgdiff_case_outcome",
        "sgdiff_case_launches",
        "sgdiff_case_engine",
    }


def test_labels_are_what_they_were() -> None:
    place = {"case": HOSTILE, "file": HOSTILE, "machine": "", "metric": HOSTILE, "unit": ""}
    assert sample(hostile(), "sgdiff_metric_value", **place, side="now") == 87710.0


def test_a_case_that_ran_twice_is_stored_once() -> None:
    run = factories.run(factories.regressed(), factories.regressed())
    assert samples(run) == {**samples(factories.run(factories.regressed())), **run_samples(2)}
    assert len(json.loads(REPORTS[".asv.json"].render(run))["results"]) == 6
    assert len(REPORTS[".lp"].render(run).splitlines()) == 8
    assert len(json.loads(REPORTS[".benchmark.json"].render(run))) == 6


def run_samples(cases: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {("sgdiff_run_cases", frozenset({("state", state)})): float(cases) for state in ("selected", "measured")}


# ------------------------------------------------------------------------------------------------------------- InfluxDB


def points(run: Run) -> list[dict[str, Any]]:
    from line_protocol_parser import parse_line

    return [parse_line(line) for line in REPORTS[".lp"].render(run).splitlines()]


def test_influx_reads_a_point_for_each_case_and_metric() -> None:
    found = points(full())
    assert len({json.dumps([p["measurement"], p["tags"]], sort_keys=True) for p in found}) == len(found)
    assert {point["time"] for point in found} == {1795399211 * 10**9}
    (case,) = [p for p in found if p["measurement"] == "sgdiff_case" and p["tags"]["case"] == WAN]
    assert case["tags"] == PLACE
    assert case["fields"] == {"outcome": "regressed", "launches": 5, "engine_version": "0.5.17", "commit": COMMIT}
    (denoise,) = [p for p in found if p["tags"].get("metric") == "denoise" and p["tags"]["case"] == WAN]
    assert denoise["tags"] == {**PLACE, "metric": "denoise", "unit": "s"}
    shown = {key: denoise["fields"][key] for key in ("now", "baseline", "low", "allowed", "launches", "outcome")}
    expected = {"now": 86.08, "baseline": 81.75, "low": 1.046, "allowed": 1.012, "launches": 5, "outcome": "regressed"}
    assert shown == expected


def test_influx_reads_hostile_names_with_slashes_for_backslashes() -> None:
    _, case, metric = points(hostile())
    name = HOSTILE.replace("\\", "/")
    assert case["tags"] == {"case": name, "file": name}
    assert metric["tags"] == {"case": name, "file": name, "metric": name}
    assert metric["fields"]["now"] == 87710.0


def test_a_run_without_cases_is_a_point() -> None:
    (point,) = points(RUNS["empty"]())
    assert (point["measurement"], point["tags"]) == ("sgdiff_run", {})
    assert point["fields"] == {"selected": 0, "measured": 0, "elapsed_s": 4325.0}


# ------------------------------------------------------------------------------------------------------------------ asv


def loaded(run: Run, folder: Path) -> Any:
    from asv.results import Results

    machine = json.loads(REPORTS[".asv.json"].render(run))["params"]["machine"]
    path = folder / machine / "run.asv.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(REPORTS[".asv.json"].render(run), encoding="utf-8")
    return Results.load(str(path), machine_name=machine)


def test_asv_loads_results_with_their_samples(tmp_path: Path) -> None:
    found = loaded(full(), tmp_path)
    assert (found.commit_hash, found.date, found.env_name) == (COMMIT, 1795399211000, "sglang")
    assert found.params == {"machine": "nvidia-h100-80gb-hbm3", "gpu": "nvidia-h100-80gb-hbm3"}
    name = f"{WAN}.denoise"
    assert found.get_result_value(name, []) == [86.08]
    (samples,) = found.get_result_samples(name, [])
    assert [round(value, 3) for value in samples] == [86.083, 85.738, 86.513, 85.911, 86.341]
    (stats,) = found.get_result_stats(name, [])
    assert (stats["repeat"], round(stats["q_25"], 3), round(stats["q_75"], 3)) == (5, 85.911, 86.341)
    # `asv compare` needs the interval where there are samples.
    assert (round(stats["ci_99_a"], 3), round(stats["ci_99_b"], 3)) == (85.471, 86.764)
    # One launch alone has none.
    assert found.get_result_stats("ltx2_twostage_t2v.denoise", []) == [None]
    # Results of another workload are not compared.
    assert found.benchmark_version[name] == factories.regressed().workload.digest  # type: ignore[union-attr]
    found.save(str(tmp_path / "again"))


def test_asv_loads_what_has_no_commit_no_machine_and_no_cases(tmp_path: Path) -> None:
    assert loaded(factories.run(), tmp_path).commit_hash == "0" * 40
    odd = loaded(hostile(), tmp_path)
    assert list(odd.get_all_result_keys()) == ["a_b_c_d_e_.a_b_c_d_e_"]
    assert odd.params["machine"] == "unknown"
    assert list(loaded(RUNS["empty"](), tmp_path).get_all_result_keys()) == []


def test_the_program_on_the_page_makes_a_tree_that_asv_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from asv.benchmarks import Benchmarks
    from asv.results import iter_results_for_machine_and_hash

    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    program = page.partition("### asv")[2].partition("```python\n")[2].partition("```")[0]
    path = tmp_path / "results" / "nvidia-h100-80gb-hbm3" / f"{COMMIT[:8]}-sglang.asv.json"
    path.parent.mkdir(parents=True)
    path.write_text(REPORTS[".asv.json"].render(full()), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, "docs/reports.md", "exec"), {})
    benchmarks = Benchmarks.load(SimpleNamespace(results_dir=str(tmp_path / "results"), benchmark_dir=""))
    (found,) = iter_results_for_machine_and_hash(str(tmp_path / "results"), path.parent.name, COMMIT[:8])
    assert f"{WAN}.denoise" in found.get_result_keys(benchmarks)
    assert set(found.get_result_keys(benchmarks)) == set(found.get_all_result_keys())
    assert {benchmarks[f"{WAN}.{name}"]["unit"] for name in ("denoise", "peak_memory")} == {"seconds", "bytes"}


# ---------------------------------------------------------------------------------------------- github-action-benchmark


@pytest.mark.parametrize("kind", RUNS)
def test_the_action_for_benchmarks_gets_what_its_custom_tools_take(kind: str) -> None:
    entries = json.loads(REPORTS[".benchmark.json"].render(RUNS[kind]()))
    for entry in entries:
        assert {key: type(value) for key, value in entry.items()} == {
            "name": str,
            "unit": str,
            "value": float,
            "extra": str,
            **({"range": str} if "range" in entry else {}),
        }
    assert len({entry["name"] for entry in entries}) == len(entries)
    assert bool(entries) is (kind != "empty")


def test_less_is_better_of_every_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Metric(name="rate", unit="images/s", metric_class="primary", better="more")
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, fresh))
    verdict = factories.verdict("rate", unit="images/s", now=4.0, baseline=5.0, now_values=(4.0, 4.0))
    result = factories.result(verdicts=(verdict,), launches=(factories.record(0), factories.record(1)))
    entries = json.loads(REPORTS[".benchmark.json"].render(factories.run(result)))
    (entry,) = [one for one in entries if " rate " in one["name"]]
    assert (entry["value"], entry["unit"], entry["range"]) == (0.25, "1/(images/s)", "± 0")


# ------------------------------------------------------------------------------------------------------------------ all


def test_a_metric_without_a_baseline_has_its_figure_and_nothing_to_compare() -> None:
    found = {one.metric: one for one in exported(factories.without_baseline())}
    assert found["denoise"].now == 81.75
    assert {(one.baseline, one.ratio, one.allowed) for one in found.values()} == {(None, None, None)}


def test_the_machine_of_a_run_on_two_kinds_names_both() -> None:
    other = replace(factories.result("b"), machine=Machine(kind="gpu", product="NVIDIA H200", count=1))
    document = json.loads(REPORTS[".asv.json"].render(factories.run(factories.result("a"), other)))
    assert document["params"]["machine"] == "nvidia-h100-80gb-hbm3-and-nvidia-h200"


def test_the_longest_suffix_chooses_the_format() -> None:
    assert set(REPORT_SUFFIXES) == set(REPORTS)
    chosen = {name: report_suffix(Path(name)) for name in ("r.json", "r.asv.json", "r.benchmark.json", "asv.json")}
    assert chosen == {
        "r.json": ".json",
        "r.asv.json": ".asv.json",
        "r.benchmark.json": ".benchmark.json",
        "asv.json": ".json",
    }
    assert [report_suffix(Path(name)) for name in ("r.xml", "r", ".json", "out.html/r")] == [None] * 4
