"""The requests of a server's life on the page: whatever a recording holds, and however many there are."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from pytest_sgdiff.data import LaunchRecord, Reason, RequestRecord
from pytest_sgdiff.reports.csv import CsvReport
from pytest_sgdiff.reports.html import HtmlReport
from pytest_sgdiff.reports.html.requests import DOTS, LOADS, ROWS, lives, requests_of
from tests import factories


def page(*launches: LaunchRecord) -> str:
    return HtmlReport().render(factories.run(factories.result(launches=launches)))


def test_each_life_has_a_table_of_its_requests_with_both_clocks() -> None:
    shown = requests_of(factories.served(2), factories.verdict())
    assert shown is not None
    assert shown["title"] == "Requests of launch 2: 3 measured, 1 of warmup"
    assert [(row["number"], row["kind"], row["state"]) for row in shown["rows"]] == [
        ("0", "warmup", "ok"),
        *((str(number), "measured", "ok") for number in (1, 2, 3)),
    ]
    first = shown["rows"][1]
    cells = (first["sent"], first["value"], first["server"], first["client"], first["queue"])
    assert cells == ("31.00 s", "901 ms", "951 ms", "1.001 s", "50.0 ms")
    source = page(factories.served(0), factories.served(1))
    assert source.count('<details class="requests">') == 2
    assert "Requests of launch" not in page(factories.record(0))


def test_an_ab_run_shows_the_requests_of_both_engines() -> None:
    both = factories.result(
        launches=(factories.served(0),),
        baseline_records=(factories.served(0), factories.served(1)),
        baseline_path=None,
        reason=Reason(pairs=1),
    )
    assert [life["title"].partition(":")[0] for life in lives(both, factories.verdict())] == [
        "Requests of base engine launch 0",
        "Requests of base engine launch 1",
        "Requests of launch 0",
    ]


def test_a_request_that_failed_or_was_never_answered_says_so() -> None:
    life = factories.served()
    failed = replace(life.requests[2], metrics={}, failure="status", status=500, said="CUDA error")
    hanging = replace(life.requests[3], metrics={}, status=None)
    shown = requests_of(replace(life, requests=(*life.requests[:2], failed, hanging)), factories.verdict())
    assert shown is not None
    assert [row["state"] for row in shown["rows"][2:]] == ["failed: HTTP 500: CUDA error", "not answered"]
    assert [row["client"] for row in shown["rows"][2:]] == ["-", "-"]
    assert shown["title"].endswith("3 measured, 1 of warmup, 1 failed, 1 not answered")


def test_a_load_has_a_picture_and_its_percentiles() -> None:
    metrics = {"throughput:r2": 1.9, "latency_p50:r2": 1600.0, "latency_p95:r2": 1900.0, "latency_p99:r2": 2000.0}
    life = factories.served(loads={"c4": 5, "r2": 7}, metrics=metrics)
    shown = requests_of(life, factories.verdict())
    assert shown is not None
    assert [load["words"] for load in shown["loads"]] == [
        "load c4: 5 requests",
        "load r2: 7 requests, 1.900 a second, p50 1.600 s, p95 1.900 s, p99 2.000 s",
    ]
    assert [len(re.findall("h0", load["plot"].paths[0].d)) for load in shown["loads"]] == [5, 7]
    # None of them is in the table of those that went one after the other.
    assert len(shown["rows"]) == 4


def test_requests_by_the_thousand_do_not_bloat_the_page() -> None:
    bare = len(page(*(factories.served(number) for number in range(5))))
    loads = {f"c{n}": 1000 for n in range(LOADS + 3)}
    full = page(*(factories.served(number, loads=loads) for number in range(5)))
    assert len(full) - bare < 5 * LOADS * DOTS * 16
    assert full.count("3 more loads in the JSON report") == 5
    plain = tuple(RequestRecord(number=n, metrics={"client_e2e": 1.0}) for n in range(1000))
    failed = replace(plain[990], failure="connection", metrics={})
    shown = requests_of(factories.record(requests=(*plain[:990], failed, *plain[991:])), None)
    assert shown is not None
    assert len(shown["rows"]) == ROWS
    assert (shown["rows"][-1]["number"], shown["left_out"]) == ("990", f"{1000 - ROWS} more requests")


HOSTILE = "</script><img src=x onerror=alert(1)>\x1b[2J\n::error::\u202e" + "x" * 5000


@pytest.mark.parametrize("value", [0.0, -5.0, 1e308, 1e-300])
def test_a_hostile_recording_breaks_no_page(value: float) -> None:
    metrics = {"client_e2e": value, "e2e": value, "queue": -value, "denoise": value}
    sent = RequestRecord(number=0, sent_s=value, said=HOSTILE, failure="connection", status=-1, metrics=metrics)
    life = factories.record(requests=(sent, replace(sent, number=1, load=HOSTILE, intended_s=-value, failure=None)))
    source = page(life)
    assert "<img" not in source
    assert "</script><img" not in source
    assert "\x1b" not in source
    assert "\u202e" not in source
    assert "NaN" not in source
    assert "x" * 1000 not in source.partition('class="dots"')[0]
    # The same with times that are all one, and with none.
    page(replace(life, requests=(replace(sent, load="c1", failure=None, sent_s=None),)))


def test_a_row_of_the_csv_has_the_values_of_every_measured_request() -> None:
    lives = (factories.served(0, loads={"c1": 3}), factories.served(1))
    run = factories.run(factories.result(launches=lives))
    head, first, *_ = CsvReport().render(run).splitlines()
    assert head.endswith(",request_values,accepted")
    assert first.endswith(",901 902 903; 901 902 903,")
    plain = CsvReport().render(factories.run(factories.result())).splitlines()
    assert plain[1].endswith(",,")
