"""`sgdiff inspect PATH`: what people have at hand is a folder that a run left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Launch, Request
from pytest_sgdiff.engines.inspection import LaunchFlaw
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.reports import inspect_text

PAUSED = Path(__file__).parents[1] / "data" / "compare" / "firered-04.json"
REAL = Path(__file__).parents[2] / "examples" / "recordings" / "h200"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for case in ("wan22_t2v", "tiny_wan_unchanged", "tiny_wan_port_lost"):
        shutil.copytree(REAL / case, tmp_path / "out" / case)
    return tmp_path


def inspected(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, list[str]]:
    code = main(["inspect", *arguments])
    return code, capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("form", ["{}", "{}/", "./{}"])
def test_a_launch_folder_is_what_its_dump_and_log_are(
    here: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    folder = "out/wan22_t2v/00"
    code, lines = inspected(capsys, form.format(folder))
    assert (code, lines[0]) == (0, f"== {folder}")
    by_files = inspected(capsys, "--dump", f"{folder}/perf.json", "--log", f"{folder}/engine.log")
    assert (code, lines[1:]) == by_files


def test_so_it_is_from_inside_the_folder(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(here / "out" / "wan22_t2v" / "00")
    assert main(["inspect", ".", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["case"], found["launch"], found["backend"], found["warmup"]) == (
        "wan22_t2v", 0, "sglang", "proven"
    )  # fmt: skip


def test_a_case_folder_is_every_launch_of_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = inspected(capsys, "out/tiny_wan_unchanged")
    assert code == 0
    assert [line for line in lines if line.startswith("==")] == [
        "== out/tiny_wan_unchanged/00",
        "== out/tiny_wan_unchanged/01",
    ]
    assert lines[-1] == "2 launches, none with problems"


def test_a_recording_is_every_launch_of_every_case(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = inspected(capsys, "out")
    assert code == 1
    assert [line.removeprefix("== out/") for line in lines if line.startswith("==")] == [
        "tiny_wan_port_lost/00",
        "tiny_wan_unchanged/00",
        "tiny_wan_unchanged/01",
        "wan22_t2v/00",
    ]
    assert lines[-1] == "4 launches, 1 with problems"
    assert "  the engine exited with 1" in lines


def test_what_a_launch_can_show_is_said_below_its_metrics(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", "out/wan22_t2v"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["pause_ms"] is None
    primary = found["shows"][0]
    assert primary == {
        "metric": "denoise_steps",
        "metric_class": "primary",
        "noise": pytest.approx(0.0811, abs=0.0002),
        "shows": None,
        "more": pytest.approx(0.055, abs=0.001),
    }
    said = [line for line in inspected(capsys, "out/wan22_t2v")[1] if line.startswith("one launch against one: ")]
    assert len(said) == 1
    # Once for all launches of a case, and nothing of launches that do not count.
    lines = inspected(capsys, "out/tiny_wan_unchanged")[1]
    assert [line[:24] for line in lines if " against " in line] == ["  2 launches against 2: "]
    assert not [line for line in inspected(capsys, "out/tiny_wan_port_lost")[1] if " against " in line]


def test_the_pause_of_a_launch_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--json", "--dump", str(PAUSED)]) == 0
    assert json.loads(capsys.readouterr().out)["pause_ms"] == pytest.approx(482, abs=1)
    assert [line for line in inspected(capsys, "--dump", str(PAUSED))[1] if line.startswith("a pause of 48")]


def test_of_an_ab_recording_both_engines_are_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(REAL / "wan22_t2v", here / "out" / "against" / "wan22_t2v")
    _, lines = inspected(capsys, "out")
    assert [line for line in lines if line.startswith("==") and "wan22_t2v" in line] == [
        "== out/wan22_t2v/00",
        "== out/against/wan22_t2v/00",
    ]


def test_json_of_one_launch_is_an_object_and_of_more_a_list(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = ["folder", "case", "launch", "backend", "pipeline", "warmup", "generation", "tag", "metrics", "pause_ms"]
    keys += ["shows", "problems"]
    assert main(["inspect", "--json", "out/wan22_t2v/00"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == keys
    for folder, count, code in (("out/wan22_t2v", 1, 0), ("out/tiny_wan_unchanged", 2, 0), ("out", 4, 1)):
        assert main(["inspect", "--json", folder]) == code
        found = json.loads(capsys.readouterr().out)
        assert [list(one) for one in found] == [keys] * count


@pytest.mark.parametrize(
    ("record", "flaw"),
    [
        ({"returncode": 3}, LaunchFlaw(code="exit-code", number=3)),
        ({"ending": "timeout", "returncode": None}, LaunchFlaw(code="timeout")),
        ({"ending": "interrupted", "returncode": None}, LaunchFlaw(code="interrupted")),
    ],
)
def test_how_the_process_ended_is_a_problem(
    here: Path, capsys: pytest.CaptureFixture[str], record: dict[str, object], flaw: LaunchFlaw
) -> None:
    path = here / "out" / "wan22_t2v" / "00" / "launch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **record}))
    code, lines = inspected(capsys, "out/wan22_t2v/00")
    assert code == 1
    assert lines[-2:] == ["problems:", f"  {inspect_text.words(flaw)}"]


def test_a_launch_without_a_dump_and_one_with_an_old_one_are_no_measurement(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "out" / "wan22_t2v" / "00"
    (folder / "perf.json").unlink()
    code, lines = inspected(capsys, str(folder))
    assert (code, lines[-1]) == (1, f"  {inspect_text.words(LaunchFlaw(code='no-dump'))}")
    path = folder / "launch.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "stale_dump": True}))
    code, lines = inspected(capsys, str(folder))
    assert (code, lines[-1]) == (1, f"  {inspect_text.words(LaunchFlaw(code='stale-dump'))}")


def test_a_disturbed_launch_says_what_disturbed_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = inspected(capsys, str(REAL / "tiny_wan_contended"))
    assert code == 1
    assert any(line.startswith("  disturbed: GPU-") and "5138" in line for line in lines)


def test_a_torn_launch_hides_none_of_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "out" / "wan22_t2v" / "00" / "launch.json").write_text("{")
    assert main(["inspect", "out"]) == 2
    out, err = capsys.readouterr()
    assert out.splitlines()[-1] == "3 launches, 1 with problems"
    assert err.startswith("sgdiff: inspect: out/wan22_t2v/00/launch.json:1: ")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere"], "sgdiff: nowhere: no such folder or file\n"),
        (["empty"], "sgdiff: empty: holds no launch\n"),
        (["."], "sgdiff: .: holds no launch: it holds runs, name one of them: out\n"),
        (
            ["out", "--log", "x.log"],
            "sgdiff: inspect: give folders or files, not both: a folder has its own dump and log\n",
        ),
        (
            ["out/wan22_t2v/00/perf.json", "empty.json"],
            "sgdiff: inspect: give one perf dump, not 2: out/wan22_t2v/00/perf.json, empty.json\n",
        ),
        ([], "sgdiff inspect: give a folder with launches, --dump FILE, --log FILE, or both\n"),
    ],
)
def test_what_holds_no_launch_is_a_mistake(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    (here / "empty").mkdir()
    (here / "empty.json").write_text("{}")
    assert main(["inspect", *arguments]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", told)


def test_files_need_no_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = "out/wan22_t2v/00"
    named = inspected(capsys, "--dump", f"{folder}/perf.json", "--log", f"{folder}/engine.log")
    assert inspected(capsys, f"{folder}/perf.json", f"{folder}/engine.log") == named
    assert inspected(capsys, f"{folder}/perf.json") == inspected(capsys, "--dump", f"{folder}/perf.json")


def test_the_installed_command_takes_a_folder(here: Path) -> None:
    command = str(Path(sys.executable).with_name("sgdiff"))
    done = subprocess.run([command, "inspect", "out/tiny_wan_port_lost"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    assert "port 30005 was already in use" in done.stdout


def test_requests_of_loads_are_told_from_measured_ones_and_failed_ones_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent = [
        Request(number=0, path="/v1/videos", warmup=True, client_ms=9.0, status=200),
        Request(number=1, path="/v1/videos", failure="status", status=500, message="CUDA error"),
        *(Request(number=n, path="/v1/videos", load="c\u202e4", client_ms=5.0, status=200) for n in range(2, 60)),
    ]
    launch = Launch(case="tiny", number=0, argv=("sglang", "serve"), ending="stopped", requests=tuple(sent))
    folder = recordings.write_launch(tmp_path, launch)
    main(["inspect", str(folder)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "(warmup)", "client_e2e", "9.0"] in lines
    assert ["1", "failed:", "HTTP", "500"] in lines
    assert ["2", "(c\\u202e4)", "client_e2e", "5.0"] in lines
    assert ["and", "20", "more,", "which", "--json", "lists"] in lines
    main(["inspect", str(folder), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [one["failure"] for one in found["requests"][:3]] == [None, "status", None]
    assert len(found["requests"]) == 60
