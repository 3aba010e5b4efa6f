"""`sgdiff trend`: figures with their units, settings that a case no longer has, the public nights, and the page."""

from __future__ import annotations

import json
import random
import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.data import HistoryPoint, Workload
from pytest_sgdiff.history import store as history
from pytest_sgdiff.history.trend import creep, creeps
from tests import factories


def nights(path: Path, month: int, digest: str, *values: float) -> None:
    """One run a night of a case with the settings `digest`, whose denoising takes so many ms."""
    for day, value in enumerate(values, start=1):
        launch = factories.record(metrics={"denoise": value, "peak_memory": 21000.0, "stage:DecodingStage": 0.05})
        result = factories.result(workload=Workload(digest=digest), launches=(launch,))
        run = replace(factories.run(result), started_at=f"2026-{month:02d}-{day:02d}T02:00:00+00:00")
        history.append(path, run, run_id=run.started_at)


def test_figures_have_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path / "h.db", 10, "a", 81750.0)
    assert main(["trend", str(tmp_path / "h.db")]) == 0
    assert [line.partition("  ")[2] for line in capsys.readouterr().out.splitlines()[:-1]] == [
        "nvidia-h100-80gb-hbm3-x4  denoise: 1 run, latest 81.75 s",
        "nvidia-h100-80gb-hbm3-x4  peak_memory: 1 run, latest 20.51 GiB",
        "nvidia-h100-80gb-hbm3-x4  stage:DecodingStage: 1 run, latest 0.05 ms",
    ]


def test_what_crept_under_settings_that_a_case_no_longer_has_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "h.db"
    nights(path, 10, "a", 1000.0, 1000.0, 1000.0, 1050.0, 1050.0, 1050.0)
    assert main(["trend", str(path), "--metric", "denoise"]) == 1
    nights(path, 11, "b", 1050.0)
    capsys.readouterr()
    assert main(["trend", str(path), "--metric", "denoise"]) == 0
    old, new, short = capsys.readouterr().out.splitlines()
    creep = "the latest three +5.0 % against the best three (earlier series: the case has other settings now)"
    assert old.endswith(f"6 runs, latest 1.050 s, {creep}")
    assert new.endswith("denoise: 1 run, latest 1.050 s")
    assert short == "2 series with fewer than 7 runs, which change points need"
    assert main(["trend", str(path), "--metric", "denoise", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["workload"], row["ended"], row["unit"]) for row in rows] == [("a", True, "ms"), ("b", False, "ms")]


REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SGLang's nights of March to June 2026, imported."""
    path = tmp_path_factory.mktemp("public") / "h.db"
    assert main(["import", "--history", str(path), str(REPOSITORY / "benchmarks/nightly_history.csv")]) == 0
    return path


def test_the_public_nights_have_slowdowns_gains_and_other_settings(
    public: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["trend", str(public), "--json"]) == 1
    rows = {row["case"]: row for row in json.loads(capsys.readouterr().out)}
    shown = {
        case: (row["worse"], row["step"] and round(row["step"], 2), [c["at"][:10] for c in row["changes"][-1:]])
        for case, row in rows.items()
    }
    assert shown == {
        "flux1_dev_t2i_1024": (True, 0.07, ["2026-05-23"]),
        "flux2_dev_t2i_1024": (True, 0.08, ["2026-05-23"]),
        "hunyuanvideo_t2v_480p": (False, None, []),
        "ltx2.3_twostage_t2v_2gpus": (False, None, []),
        "ltx2.3_twostage_ti2v_2gpus": (False, -0.48, ["2026-05-17"]),
        "ltx2_twostage_t2v": (False, -0.11, ["2026-05-25"]),
        "qwen_image_2512_t2i_1024": (False, -0.03, ["2026-05-06"]),
        "qwen_image_edit_2511": (False, -0.2, ["2026-04-04"]),
        "wan22_i2v_a14b_720p": (False, 8.88, ["2026-04-04"]),
        "wan22_t2v_a14b_720p": (False, -0.01, ["2026-05-25"]),
        "wan22_ti2v_5b_720p": (True, 0.1, ["2026-05-23"]),
        "zimage_turbo_t2i_1024": (True, 0.02, ["2026-05-04"]),
    }
    settings = {case: [c["at"][:10] for c in row["changes"] if c["settings"]] for case, row in rows.items()}
    assert {case: found for case, found in settings.items() if found} == {
        "wan22_i2v_a14b_720p": ["2026-04-04"],
        "wan22_t2v_a14b_720p": ["2026-04-05"],
    }
    assert rows["flux2_dev_t2i_1024"]["changes"][-1]["commit"] == "c112f7623a6b"
    assert rows["flux2_dev_t2i_1024"]["changes"][-1]["last_commit"] == "ff700aa37a5a"
    assert rows["wan22_t2v_a14b_720p"]["above_best"] == pytest.approx(0.009, abs=0.002)


def test_the_page_draws_every_series_and_loads_nothing(
    public: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "trend.html"
    assert main(["trend", str(public), "--html", str(page)]) == 1
    assert "flux1_dev_t2i_1024  sglang-nightly" in capsys.readouterr().out
    text = page.read_text()
    # Each of the two with other settings has a picture for these.
    assert (text.count("<section"), text.count("<svg")) == (12, 14)
    assert "2026-05-23T01:09:21+00:00: 24.48 s, commit c112f7623a6b" in text
    assert text.count('class="change slower"') == 7
    assert "<script" not in text
    assert not re.search(r"""(src|href)=["'](?!#|data:,)""", text)
    assert "default-src 'none'" in text


HOSTILE = "</title><script>alert(1)</script>\"' onload=x \x1b[31m\u202e::error::"


def test_names_and_commits_of_others_are_text_on_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, page = tmp_path / "h.db", tmp_path / "p.html"
    nights(path, 10, "a", *[1000.0 + day for day in range(12)], *[1100.0 + day for day in range(12)])
    with sqlite3.connect(path) as database:
        for column in ("case_id", "machine", "workload", "engine_version", "commit_id"):
            database.execute(f"UPDATE points SET {column} = ? WHERE at > '2026-10-12T12'", (HOSTILE,))
        database.execute("UPDATE points SET case_id = ?, machine = ?, workload = ?", (HOSTILE,) * 3)
    database.close()
    assert main(["trend", str(path), "--html", str(page)]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    text = page.read_text()
    assert "&lt;script&gt;" in text
    for raw in ("<script", "onload=x \x1b", "\x1b", "\u202e", "\"' onload"):
        assert raw not in text


def test_a_page_that_cannot_be_written_is_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.db"
    nights(path, 10, "a", 1000.0)
    (tmp_path / "file").touch()
    assert main(["trend", str(path), "--html", str(tmp_path / "file" / "p.html")]) == 2
    assert capsys.readouterr().err.startswith(f"sgdiff: --html={tmp_path / 'file' / 'p.html'}: cannot be written: ")


def test_a_long_series_is_drawn_as_ranges(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    rows = [
        (f"r{n}", f"2026-01-01T{n:06}", "a", "m", "w", "denoise", 1000.0 + n % 7, 5, "pass", None, None)
        for n in range(3000)
    ]
    nights(path, 10, "a", 1000.0)
    with sqlite3.connect(path) as database:
        database.executemany(f"INSERT INTO points VALUES ({', '.join('?' * 11)})", rows)
    database.close()
    page = tmp_path / "p.html"
    assert main(["trend", str(path), "--case", "a", "--html", str(page)]) == 0
    text = page.read_text()
    assert 'path class="range"' in text
    assert text.count("<circle") == 1
    assert len(text) < 60_000


def test_an_empty_history_has_a_page(tmp_path: Path) -> None:
    path, page = tmp_path / "h.db", tmp_path / "p.html"
    history.append(path, factories.run(factories.result(measured=False)), run_id="1")
    assert main(["trend", str(path), "--html", str(page)]) == 0
    assert "No runs in the history" in page.read_text()


def test_the_example_of_the_documentation_is_what_it_prints(public: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = (REPOSITORY / "docs" / "reports.md").read_text(encoding="utf-8")
    example = page.partition("exits with 1 if something got slower:\n\n```\n")[2].partition("```")[0].splitlines()
    assert len(example) == 4
    main(["trend", str(public)])
    printed = capsys.readouterr().out.splitlines()
    start = printed.index(example[0])
    assert [*printed[start : start + 3], *(line for line in printed if line == example[3])] == example


def test_the_page_is_never_written_over_the_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, link, other = tmp_path / "h.db", tmp_path / "page.html", tmp_path / "other.db"
    nights(path, 10, "a", 1000.0)
    nights(other, 10, "a", 1000.0)
    link.symlink_to(path)
    before = path.read_bytes(), other.read_bytes()
    for page in (path, link, other):
        assert main(["trend", str(path), "--html", str(page)]) == 2
        assert "is a database" in capsys.readouterr().err
    assert (path.read_bytes(), other.read_bytes()) == before


@pytest.mark.parametrize("value", [5e-324, 1.7e308])
def test_what_nothing_takes_is_no_figure_of_a_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    path = tmp_path / "h.db"
    nights(path, 10, "a", *[1000.0] * 8)
    with sqlite3.connect(path) as database:
        database.execute("update points set value = ? where at like '%-10-03%'", (value,))
    assert main(["trend", str(path), "--json"]) == 0
    assert [row["runs"] for row in json.loads(capsys.readouterr().out)] == [7, 7, 7]


def test_a_history_that_is_in_use_is_not_called_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "h.db"
    nights(path, 10, "a", 1000.0)
    monkeypatch.setattr(history, "BUSY_TIMEOUT_S", 0.0)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    assert main(["trend", str(path)]) == 2
    holder.close()
    err = capsys.readouterr().err
    assert ("locked" in err, "move it away" in err) == (True, False)


def test_a_fault_of_the_program_is_no_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pytest_sgdiff.cli.trend._series", lambda chosen: 1 / 0)
    assert main(["trend", "h.db"]) == 3
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("values", [(100.0, 105.0), (20.0, 21.0)])
def test_a_series_of_two_values_creeps_by_chance_in_few_of_many(values: tuple[float, float]) -> None:
    """Most steps are none there, and a robust spread of them is zero."""
    draw = random.Random(20261130)
    series = [[HistoryPoint(at=str(i), value=draw.choice(values)) for i in range(60)] for _ in range(200)]
    crept = sum(creeps("e2e", points, creep(points)) for points in series)
    assert crept <= 4
