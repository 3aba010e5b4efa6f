"""Results of SGLang's nightly comparison, in the shapes that its runners wrote, as points of a history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.history import store
from pytest_sgdiff.reports.refusal_text import key
from pytest_sgdiff.upstream.nightly_results import Nights, is_results, is_table, read_results, read_table
from pytest_sgdiff.upstream.refusals import Why

HEADER = "at,commit,run,framework,case,latency_s,error\n"
SHA = "3d8690f27e2c1ee9e19742f1908c11dd036760b3"


def result(**more: Any) -> dict[str, Any]:
    """One case of a night, as run_comparison.py writes it from methodology client-e2e-v1 on."""
    usual = {
        "case_id": "flux1_dev_t2i_1024",
        "framework": "sglang",
        "model": "black-forest-labs/FLUX.1-dev",
        "task": "text-to-image",
        "latency_s": 4.302,
        "latency_samples_s": [4.302, 4.29, 4.31],
        "measurement_count": 3,
        "error": None,
        "server_latency_samples_s": [4.21, 4.2, 4.22],
        "server_latency_s": 4.21,
        "server_stage_medians_ms": {"TextEncodingStage": 40.0, "DenoisingStage": 4010.0},
    }
    return {**usual, **more}


def night(*results: Any, **more: Any) -> dict[str, Any]:
    usual = {
        "timestamp": "2026-10-07T04:22:54.123456+00:00",
        "commit_sha": SHA,
        "run_id": "38554777367",
        "measurement_repeats": 3,
        "methodology": "client-e2e-v1",
        "warmup_requests": 1,
        "results": list(results or [result()]),
    }
    return {name: value for name, value in {**usual, **more}.items() if value is not ...}


def figures(nights: Nights) -> dict[str, float]:
    return {point.metric: point.value for point in nights.points}


def refused(nights: Nights) -> dict[str, Why]:
    return {key(refusal.path): refusal.why for refusal in nights.refusals}


# ------------------------------------------------------------------------------------------------------------ results


def test_a_night_of_today_has_the_clients_time_and_the_servers() -> None:
    nights = read_results(night())
    assert refused(nights) == {}
    assert figures(nights) == {
        "client_e2e": 4302.0,
        "e2e": 4210.0,
        "stage:TextEncodingStage": 40.0,
        "stage:DenoisingStage": 4010.0,
    }
    point = nights.points[0]
    assert (point.case, point.at, point.commit) == ("flux1_dev_t2i_1024", "2026-10-07T04:22:54+00:00", SHA[:12])
    assert point.workload == "nightly client-e2e-v1, warmup 1"


@pytest.mark.parametrize(
    ("more", "metric"),
    [
        # The client's: it is beside the server's, or a dump is known to be missing.
        ({"server_latency_s": 4.2}, "client_e2e"),
        ({"missing_perf_dumps": 3}, "client_e2e"),
        # The server's where a dump was read, the client's otherwise: run_comparison.py of spring 2026 does not tell.
        ({}, "nightly_latency"),
        ({"latency_samples_s": [4.302]}, "nightly_latency"),
    ],
)
def test_whose_time_it_is_without_a_methodology(more: dict[str, Any], metric: str) -> None:
    old = {name: value for name, value in result().items() if not name.startswith(("server", "latency_samples"))}
    nights = read_results(night({**old, **more}, methodology=..., warmup_requests=...))
    assert figures(nights)[metric] == 4302.0
    assert {"client_e2e", "nightly_latency"} & set(figures(nights)) == {metric}
    assert {point.workload for point in nights.points} == {"nightly unstated, warmup unstated"}


def test_nights_that_were_measured_otherwise_are_other_series() -> None:
    told: list[dict[str, Any]] = [
        {},
        {"warmup_requests": 0},
        {"warmup_requests": ...},
        {"methodology": "client-e2e-v2"},
    ]
    nights = [read_results(night(**more)) for more in told]
    assert len({one.points[0].workload for one in nights}) == 4


def test_a_list_of_nights_is_a_history() -> None:
    document = [night(), night(timestamp="2026-10-08T01:00:00Z", run_id="7")]
    assert is_results(document)
    nights = read_results(document)
    assert {point.at for point in nights.points} == {"2026-10-07T04:22:54+00:00", "2026-10-08T01:00:00+00:00"}
    assert len({point.run for point in nights.points}) == 2
    assert not is_results([])
    assert not is_results([document])
    assert not is_results({"scenarios": {}})


@pytest.mark.parametrize(
    ("entry", "place", "why"),
    [
        (result(error="Timed out after 1200s", latency_s=None), "results[0].error", Why.FAILED),
        (result(framework="vllm-omni"), "results[0].framework", Why.OTHER_FRAMEWORK),
        (result(framework=3), "results[0].framework", Why.OTHER_FRAMEWORK),
        (result(latency_s=None), "results[0].latency_s", Why.EMPTY),
        (result(latency_s=0), "results[0].latency_s", Why.EMPTY),
        (result(latency_s=-1.0), "results[0].latency_s", Why.NOT_A_NUMBER),
        (result(latency_s=True), "results[0].latency_s", Why.NOT_A_NUMBER),
        (result(latency_s="4.3"), "results[0].latency_s", Why.NOT_A_NUMBER),
        (result(latency_s=float("nan")), "results[0].latency_s", Why.NOT_A_NUMBER),
        (result(latency_s=10**400), "results[0].latency_s", Why.NOT_A_NUMBER),
        (result(latency_s=9.0), "results[0].latency_s", Why.NOT_THE_MEDIAN),
        (result(server_latency_s=9.0), "results[0].server_latency_s", Why.NOT_THE_MEDIAN),
        (result(latency_samples_s=[4.302, None]), "results[0].latency_samples_s[1]", Why.EMPTY),
        (result(latency_samples_s="4.302"), "results[0].latency_samples_s", Why.WRONG_KIND),
        (result(server_stage_medians_ms=[1]), "results[0].server_stage_medians_ms", Why.WRONG_KIND),
        (result(case_id="../x"), "results[0].case_id", Why.NO_NAME),
        (result(case_id=7), "results[0].case_id", Why.NO_NAME),
        ({"case_id": "a", "framework": "sglang"}, "results[0].latency_s", Why.MISSING),
        ("a", "results[0]", Why.WRONG_KIND),
    ],
)
def test_a_result_that_cannot_be_used_is_named(entry: Any, place: str, why: Why) -> None:
    nights = read_results(night(entry))
    assert refused(nights) == {place: why}
    assert nights.points == ()


def test_a_night_without_a_time_has_no_place_in_a_history() -> None:
    for stamp in ("yesterday", "2026-10-07T04:22:54", 3, None):
        assert refused(read_results(night(timestamp=stamp))) == {"timestamp": Why.NO_TIME}
    assert refused(read_results([night(timestamp=...)])) == {"[0].timestamp": Why.MISSING}


def test_what_no_metric_stands_for_is_named_and_the_rest_kept() -> None:
    stages = {"DenoisingStage": 5.0, "DecodingStage": 0.0, "Scheduler.return_result": 1.0}
    more = {"median_denoise_step_ms": 80.5, "first_request_latency_s": 4.29, "server_stage_medians_ms": stages}
    nights = read_results(night(result(**more), hardware="H200"))
    assert refused(nights) == {
        "hardware": Why.NO_METRIC,
        "results[0].median_denoise_step_ms": Why.NO_METRIC,
        "results[0].first_request_latency_s": Why.NO_METRIC,
        "results[0].server_stage_medians_ms.DecodingStage": Why.EMPTY,
        "results[0].server_stage_medians_ms.Scheduler.return_result": Why.NO_METRIC,
    }
    assert set(figures(nights)) == {"client_e2e", "e2e", "stage:DenoisingStage"}


# -------------------------------------------------------------------------------------------------------------- tables


def test_rows_of_a_table_are_points_and_failures_are_named_by_line() -> None:
    text = HEADER + (
        f"2026-03-19T12:40:37Z,{SHA},23294950463,sglang,flux1_dev_t2i_1024,7.586,\n"
        f"2026-03-19T12:40:37Z,{SHA},23294950463,sglang,hunyuanvideo_t2v_480p,,405 Client Error: Method Not Allowed\n"
        f"2026-03-20T01:51:39Z,unknown,23302367418,vllm-omni,flux1_dev_t2i_1024,8.0,\n"
        f"2026-03-20T01:51:39Z,unknown,23302367418,sglang,flux1_dev_t2i_1024,7.046,\n"
    )
    assert is_table(text)
    nights = read_table(text)
    assert [(point.at, point.value, point.commit) for point in nights.points] == [
        ("2026-03-19T12:40:37+00:00", 7586.0, SHA[:12]),
        ("2026-03-20T01:51:39+00:00", 7046.0, None),
    ]
    assert {point.metric for point in nights.points} == {"nightly_latency"}
    assert [(refusal.line, refusal.path, refusal.why) for refusal in nights.refusals] == [
        (3, ("case",), Why.FAILED),
        (4, ("framework",), Why.OTHER_FRAMEWORK),
    ]


@pytest.mark.parametrize(
    ("row", "place", "why"),
    [
        (f"2026-03-19,{SHA},1,sglang,a,1.0,\n", "at", Why.NO_TIME),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,,\n", "latency_s", Why.EMPTY),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,nan,\n", "latency_s", Why.NOT_A_NUMBER),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,soon,\n", "latency_s", Why.NOT_A_NUMBER),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a b,1.0,\n", "case", Why.NO_NAME),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a\n", "(the file)", Why.WRONG_KIND),
        (f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,1.0,,7\n", "(the file)", Why.WRONG_KIND),
    ],
)
def test_a_row_that_cannot_be_used_is_named(row: str, place: str, why: Why) -> None:
    nights = read_table(HEADER + row)
    assert nights.points == ()
    assert refused(nights) == {place: why}
    assert nights.refusals[0].line == 2


def test_a_table_may_state_the_methodology_and_other_columns_are_named() -> None:
    text = "at,case,latency_s,methodology,warmup_requests,gpu\n2026-10-07T04:22:54Z,a,4.3,client-e2e-v1,1,H200\n"
    nights = read_table(text)
    (point,) = nights.points
    assert (point.metric, point.workload) == ("client_e2e", "nightly client-e2e-v1, warmup 1")
    assert refused(nights) == {
        "gpu": Why.NO_METRIC,
        **dict.fromkeys(("run", "commit", "framework", "error"), Why.MISSING),
    }


# ------------------------------------------------------------------------------------------------------------- command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_nights_are_added_to_a_history_once(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "2026-10-07.json").write_text(json.dumps(night(result(), result(case_id="b", error="OOM")), indent=1))
    (here / "2026-10-08.json").write_text(json.dumps(night(timestamp="2026-10-08T01:00:00Z")))
    files = ["2026-10-07.json", "2026-10-08.json"]
    for _ in range(2):
        assert main(["import", "--history", "h.db", *files]) == 0
    found = store.tracks(here / "h.db", metric="client_e2e")
    assert [(one.case, one.machine, len(one.points)) for one in found] == [("flux1_dev_t2i_1024", "sglang-nightly", 2)]
    assert [(p.engine_version, p.commit, p.imported) for p in found[0].points] == [(None, SHA[:12], True)] * 2
    lines = capsys.readouterr().out.splitlines()
    # Of an error by its place in the file.
    assert lines[0].startswith("2026-10-07.json:45: results[1].error: ")
    assert main(["trend", "h.db", "--metric", "client_e2e"]) == 0
    assert capsys.readouterr().out.startswith("flux1_dev_t2i_1024  sglang-nightly  client_e2e: 2 runs")
    assert main(["import", "--history", "h.db", "--machine", "nvidia-h200-x2", files[0]]) == 0
    assert {one.machine for one in store.tracks(here / "h.db")} == {"sglang-nightly", "nvidia-h200-x2"}


def test_nights_need_a_history_and_a_night_that_failed_adds_nothing(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "t.csv").write_text(HEADER + f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,,OOM\n")
    assert main(["import", "t.csv"]) == 2
    assert capsys.readouterr().err == (
        "sgdiff: t.csv: holds results of nights: name the history to add them to with --history FILE\n"
    )
    assert main(["import", "t.csv", "--history", "h.db"]) == 1
    assert not (here / "h.db").exists()


def test_a_table_that_cannot_be_read_and_a_text_that_is_none_are_mistakes(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "t.csv").write_text(HEADER + "2026-03-19T12:40:37Z," + "x" * 200_000 + ",1,sglang,a,1.0,\n")
    assert main(["import", "t.csv", "--history", "h.db"]) == 2
    assert capsys.readouterr().err.startswith("sgdiff: t.csv: no table that can be read: ")
    (here / "t.csv").write_text("a,b\n1,2\n")
    assert main(["import", "t.csv", "--history", "h.db"]) == 2
    assert capsys.readouterr().err.startswith("sgdiff: t.csv:1: not JSON")


def test_a_document_on_one_long_line_is_read(here: Path) -> None:
    (here / "long.json").write_text(json.dumps(night(notes="x" * 200_000)))
    assert main(["import", "long.json", "--history", "h.db"]) == 0


@pytest.mark.parametrize("text", ["", "\x00,at\n", '"at', "{", "[[[[", "at,case\n"])
def test_what_is_neither_is_a_mistake(here: Path, text: str) -> None:
    (here / "x").write_text(text)
    assert main(["import", "x", "--history", "h.db"]) == 2


def test_a_table_of_a_spreadsheet_is_read(here: Path) -> None:
    (here / "t.csv").write_text("\ufeff" + HEADER + f"2026-03-19T12:40:37Z,{SHA},1,sglang,a,1.0,\n")
    assert main(["import", "t.csv", "--history", "h.db"]) == 0
