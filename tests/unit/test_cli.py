"""The `sgdiff` command as it is typed: what it prints, and its exit codes."""

from __future__ import annotations

import argparse
import gc
import io
import json
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.cli import COMMANDS, build_parser, main
from pytest_sgdiff.data import Baseline, MetricChoice, Workload
from pytest_sgdiff.judging.power import first_figures
from pytest_sgdiff.judging.series import own_series
from pytest_sgdiff.options import GROUPS, SETTINGS
from pytest_sgdiff.reports.metric_text import detectable
from tests import factories

CASES = """\
cases:
  tiny:
    summary: a tiny case
    marks: [nightly]
    model: a/b
    gpus: 2
    args: {prompt: a cat}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "a.yaml").write_text(CASES)
    return tmp_path


def mistakes_in(out: str) -> list[str]:
    """The lines of `cases --check` but for its warnings."""
    return [line for line in out.splitlines() if ": warning: " not in line]


def test_without_a_command_the_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().out
    for words in ("sgdiff inspect --dump perf.json", "sgdiff cases --check", "pytest --sgdiff-gpus=4 -m nightly"):
        assert words in shown


def test_cases_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cases"]) == 0
    assert capsys.readouterr().out == "cases/a.yaml::tiny  2 GPUs   nightly               a tiny case\n"


def test_a_terminal_without_the_letters_of_a_summary_gets_escapes(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "cases" / "a.yaml").write_text(CASES.replace("a tiny case", "ein Kätzchen"), encoding="utf-8")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii", write_through=True))
    assert main(["cases"]) == 0
    assert written.getvalue().endswith(b"ein K\\xe4tzchen\n")


def test_cases_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cases", "--json"]) == 0
    (case,) = json.loads(capsys.readouterr().out)
    assert (case["name"], case["gpus"], case["marks"]) == ("tiny", 2, ["nightly"])


def test_checking_prints_every_mistake_and_exits_with_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "cases" / "b.yaml").write_text("cases:\n  bad:\n    model: a/b\n    gpu: 4\n    timeout: soon\n")
    assert main(["cases", "--check", "cases/b.yaml"]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cases/b.yaml:4:5: unknown key 'gpu', did you mean 'gpus'?"
    assert lines[1].startswith("cases/b.yaml:5:14: 'timeout' ")
    assert len(lines) == 2


def test_checking_tells_what_cannot_work_beside_what_is_malformed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cases" / "b.yaml").write_text("cases:\n  bad:\n    model: a/b\n    gpu: 4\n")
    (here / "cases" / "c.yaml").write_text(
        "cases:\n  one:\n    model: a/b\n    gpus: 1\n    engine: sglang-generat\n"
        "    args: {enable-cfg-parallel: true, prompt: [a, b]}\n"
    )
    assert main(["cases", "--check"]) == 2
    assert mistakes_in(capsys.readouterr().out) == [
        "cases/b.yaml:4:5: unknown key 'gpu', did you mean 'gpus'?",
        "cases/c.yaml:5:5: no engine is called 'sglang-generat', did you mean 'sglang-generate'?",
        (
            "cases/c.yaml:6:12: CFG parallel needs 2 GPUs or more, the case has 'gpus: 1': raise 'gpus', or drop CFG "
            "parallel [cfg-parallel-on-one-gpu]"
        ),
        (
            "cases/c.yaml:6:39: the perf dump describes the first of 2 prompts only: give one prompt per case "
            "[several-prompts]"
        ),
    ]


def test_checking_for_a_version_refuses_its_unknown_flags_once_for_all_variants(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cases" / "d.yaml").write_text(
        "cases:\n  two:\n    model: a/b\n    gpus: 1\n    args: {quality: exact}\n    matrix: {size: {s: {}, l: {}}}\n"
        "  old:\n    model: a/b\n    gpus: 1\n    args: {quality: exact}\n    requires: {engine: '>=0.5.22'}\n"
    )
    assert main(["cases", "--check", "cases/d.yaml"]) == 0
    capsys.readouterr()
    assert main(["cases", "--check", "cases/d.yaml", "--engine-version", "0.5.17"]) == 2
    (told,) = mistakes_in(capsys.readouterr().out)
    assert told == "cases/d.yaml:5:12: sglang 0.5.17 has no --quality exact; it has lossless, high [flag-value]"


def test_checking_refuses_what_every_version_that_a_case_is_meant_for_does(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cases" / "e.yaml").write_text(
        "cases:\n  every:\n    model: a/b\n    args: {num-fram: 3, warmup-steps: 2}\n"
        "  old:\n    model: a/b\n    args: {warmup-steps: 2}\n    requires: {engine: '<0.5.10'}\n"
        "  none:\n    model: a/b\n    args: {num-fram: 3}\n    requires: {engine: '>0.6'}\n"
        "  theirs:\n    model: a/b\n    args: {num-fram: 3}\n    engine: my-server\n"
    )
    assert main(["cases", "--check", "cases/e.yaml"]) == 2
    assert mistakes_in(capsys.readouterr().out) == [
        (
            "cases/e.yaml:4:12: `num-fram` is an abbreviation, which the engine accepts and then ignores: write it in "
            "full (num-frame-per-block, num-frames, num-frames-round-down) [flag-abbreviated]"
        ),
        "cases/e.yaml:7:12: sglang 0.5.9 has no --warmup-steps: it came with 0.5.10 [flag-missing]",
    ]


def test_checking_warns_of_a_flag_that_only_a_newer_engine_can_have(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cases" / "n.yaml").write_text(
        "cases:\n  new:\n    model: a/b\n    args: {brand-new-flag: 3}\n"
        "  newer:\n    model: a/b\n    args: {brand-new-flag: 3}\n    requires: {engine: '>0.5.23'}\n"
        "  typo:\n    model: a/b\n    args: {inference-steps: 3}\n    requires: {engine: '>0.5.23'}\n"
    )
    assert main(["cases", "--check", "cases/n.yaml"]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.endswith("[flag-unknown]")]
    assert [line.split(": ")[:2] for line in told] == [
        ["cases/n.yaml:4:12", "warning"],
        ["cases/n.yaml:7:12", "warning"],
    ]
    for newer in ("0.5.24", "0.1.dev1"):
        assert main(["cases", "--check", "cases/n.yaml", "--engine-version", newer]) == 0
    for known in ("0.5.17", "0.5.23"):
        assert main(["cases", "--check", "cases/n.yaml", "--engine-version", known]) == 2

    text = (here / "cases" / "n.yaml").read_text()
    # What resembles a flag is rather misspelt than new.
    (here / "cases" / "n.yaml").write_text(text.replace("brand-new-flag", "num-framess"))
    assert main(["cases", "--check", "cases/n.yaml"]) == 2


@pytest.mark.parametrize("version", ["0.5.24", "0.0.0.dev1+gc6416b13d"])
def test_a_command_for_a_newer_engine_is_printed_with_flags_that_nobody_knows(
    here: Path, capsys: pytest.CaptureFixture[str], version: str
) -> None:
    (here / "cases" / "n.yaml").write_text(
        "cases:\n  new:\n    model: a/b\n    args: {brand-new-flag: 3}\n    requires: {engine: '>=0.5.13'}\n"
    )
    assert main(["cases", "--as-command", "cases/n.yaml", "--engine-version", version]) == 0
    assert "--brand-new-flag 3 --warmup-mode request --disable-conditioning-cache" in capsys.readouterr().out


def test_commands_are_printed_for_copying_and_those_that_cannot_work_are_not(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "cases" / "f.yaml").write_text(
        "cases:\n  bad:\n    model: a/b\n    gpus: 1\n    args: {enable-cfg-parallel: true, warmup-steps: x}\n"
        "  later:\n    model: a/b\n    requires: {engine: '>=0.5.18'}\n"
    )
    assert main(["cases", "--as-command", "--engine-version", "0.5.17"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "# cases/a.yaml::tiny",
        (
            "SGLANG_PERF_LOG_DIR=perf-log sglang generate --model-path a/b --num-gpus 2 --prompt 'a cat' "
            "--warmup-mode request --perf-dump-path perf.json --output-path outputs"
        ),
        "# cases/f.yaml::bad",
        "# cases/f.yaml:5:39: --warmup-steps takes a whole number, not x [flag-value]",
        (
            "# cases/f.yaml:5:12: CFG parallel needs 2 GPUs or more, the case has 'gpus: 1': raise 'gpus', or drop CFG "
            "parallel [cfg-parallel-on-one-gpu]"
        ),
        "# cases/f.yaml::later",
        "# not for sglang 0.5.17: the case requires >=0.5.18",
    ]


def test_rows_nested_without_end_are_wrong_input(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "deep.json").write_text("[" * 100_000)
    assert main(["judge", "deep.json"]) == 2
    assert capsys.readouterr().err == "sgdiff judge: deep.json:1: not usable JSON: nested too deeply\n"


@pytest.mark.parametrize("action", ["diff", "apply"])
def test_a_folder_without_candidates_is_a_mistake(here: Path, capsys: pytest.CaptureFixture[str], action: str) -> None:
    assert main(["baselines", action, "nowhere"]) == 2
    assert capsys.readouterr().err == f"sgdiff: baselines {action}: no candidates below nowhere\n"


def test_good_files_are_counted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cases", "--check", "cases/a.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 case in 1 file, no mistakes, 4 warnings"


def test_a_folder_without_case_files_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["cases"]) == 2
    assert capsys.readouterr().err == "sgdiff cases: no case files below cases/; name some\n"


def test_a_missing_file_is_named(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--dump", "nowhere.json"]) == 2
    assert capsys.readouterr().err == "sgdiff: nowhere.json: No such file or directory\n"
    assert main(["inspect"]) == 2
    assert capsys.readouterr().err == "sgdiff inspect: give a folder with launches, --dump FILE, --log FILE, or both\n"


def test_plain_numbers_are_judged(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = [1000.0, 1004.0, 998.0, 1001.0, 1003.0]
    rows = [
        {"id": "same", "metric_class": "primary", "unit": "ms", "same_node": True, "baseline": base, "candidate": base},
        {
            "id": "slow",
            "metric_class": "primary",
            "unit": "ms",
            "same_node": True,
            "baseline": base,
            "candidate": [value * 1.1 for value in base],
        },
    ]
    (here / "numbers.json").write_text(json.dumps(rows))
    assert main(["judge", "numbers.json", "--json"]) == 1
    same, slow = json.loads(capsys.readouterr().out)
    assert (same["id"], same["verdict"]) == ("same", "pass")
    assert (slow["id"], slow["verdict"]) == ("slow", "regressed")
    assert slow["ratio"] == pytest.approx(1.1, rel=1e-3)
    assert slow["low"] < slow["ratio"] < slow["high"]
    assert set(slow) == {"id", "verdict", "code", "why", "ratio", "low", "high"}
    rows.append({"id": "new", "metric_class": "stage", "baseline": [], "candidate": [1.0]})
    (here / "numbers.json").write_text(json.dumps(rows))
    assert main(["judge", "numbers.json"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "id    verdict       ratio     low    high  why",
        "same  pass         1.0000  0.9881  1.0121  slowdowns above 1.3 % ruled out",
        "slow  regressed    1.1000  1.0869  1.1133  1.2 % allowed",
        "new   no-baseline       -       -       -  no baseline: record one with --sgdiff-update",
    ]


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_a_list_without_rows_is_no_pass(here: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    (here / "numbers.json").write_text("[]")
    assert main(["judge", "numbers.json", *words]) == 2
    assert capsys.readouterr() == ("", "sgdiff judge: numbers.json: has no rows: nothing was judged\n")


def test_a_list_that_is_none_is_an_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "numbers.json").write_text("{")
    assert main(["judge", "numbers.json"]) == 2
    assert capsys.readouterr().err.startswith("sgdiff judge: numbers.json:1: ")
    (here / "numbers.json").write_text(
        '[{"id": "a", "metric_class": "primary",\n"baseline": [1.0],\n"baseline": [2.0]}]'
    )
    assert main(["judge", "numbers.json"]) == 2
    assert capsys.readouterr().err == "sgdiff judge: numbers.json:3: the key 'baseline' stands twice (see line 2)\n"


def test_an_id_cannot_break_the_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "a\x1b[31m\nb", "metric_class": "stage", "candidate": [1.0]}
    (here / "numbers.json").write_text(json.dumps([row]))
    assert main(["judge", "numbers.json"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("a b  no-baseline  ")


def test_reviewed_candidates_are_put_in_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = factories.baseline()
    baselines.save(here / "run" / "baselines", candidate)
    relative = baselines.path_for(Path("baselines"), candidate.measurement.machine, candidate.measurement.case)
    # The folder of the run is enough: candidates lie in `baselines/` of it.
    assert main(["baselines", "diff", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("(new)")
    assert not (here / "baselines").exists()
    assert main(["baselines", "apply", "run"]) == 0
    assert capsys.readouterr().out == f"{relative}\n"
    assert (here / relative).read_bytes() == (here / "run" / relative).read_bytes()
    assert main(["baselines", "list"]) == 0
    assert "5 launches  recorded" in capsys.readouterr().out
    baselines.save(here / "baselines", factories.baseline("single", launches=1))
    assert main(["baselines", "list"]) == 0
    assert "  1 launch  recorded" in capsys.readouterr().out
    assert main(["baselines", "show", candidate.measurement.case]) == 0
    assert "detects" in capsys.readouterr().out


def test_candidates_are_shown_against_the_tree_with_interval_and_verdict_and_what_changed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def recorded(case: str, *, scale: float = 1.0, driver: str = "580.82.07", **changes: Any) -> Baseline:
        launches = tuple(factories.record(i, scale=scale) for i in range(5))
        launches = tuple(replace(one, environment=replace(one.environment, driver=driver)) for one in launches)
        made = factories.baseline(case)
        return replace(made, measurement=replace(made.measurement, launches=launches, **changes))

    for case in ("same", "slower", "other"):
        baselines.save(here / "baselines", recorded(case))
    baselines.save(here / "run" / "baselines", recorded("same"))
    baselines.save(here / "run" / "baselines", recorded("slower", scale=1.08, driver="590.1"))
    other = replace(factories.WORKLOAD, digest="0", fields={**factories.WORKLOAD.fields, "args.seed": 43})
    baselines.save(here / "run" / "baselines", recorded("other", workload=other))
    torn = baselines.save(here / "run" / "baselines", recorded("torn"))
    torn.write_text(torn.read_text()[:300])
    assert main(["baselines", "diff", "run"]) == 2
    shown = capsys.readouterr()
    lines = [" ".join(line.split()) for line in shown.out.splitlines()]
    assert [line for line in lines if "nvidia-h100" in line and line.count(" ") < 4] == [
        "other nvidia-h100-80gb-hbm3-x4",
        "same nvidia-h100-80gb-hbm3-x4 (the same)",
        "slower nvidia-h100-80gb-hbm3-x4",
    ]
    folder = "run/baselines/nvidia-h100-80gb-hbm3-x4"
    apart = "which is not comparable: args.seed: 42 in the baseline, 43 now"
    assert lines[1:3] == [
        f"{folder}/other.json:1: 5 launches replace the baseline, {apart}",
        "old: the baseline of 2026-11-02 (5 launches, sglang 0.5.16)",
    ]
    assert "changed: driver 590.1 now, 580.82.07 then" in lines
    judged = [line for line in lines if "(primary)" in line]
    assert judged == [
        "denoise (primary) 81.78 s ±0.4 % 81.78 s 0.0 % -1.2 .. +1.2 % not comparable 3.5 %",
        "denoise (primary) 81.78 s ±0.4 % 88.32 s +8.0 % +6.7 .. +9.3 % REGRESSED, 1.2 % allowed 3.5 %",
    ]
    assert shown.err == (
        f"sgdiff: {folder}/torn.json:12: not JSON: Expecting property name enclosed in double quotes "
        "(restore the file with git, or record it again with --sgdiff-update)\n"
    )


def test_of_an_extension_only_the_launches_that_it_adds_are_compared(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = factories.baseline("tiny", recorded=replace(factories.RECORDED, sessions=("2026-11-23T02-00-11",)))
    baselines.save(here / "baselines", made)
    fresh = tuple(replace(factories.record(i, scale=1.02), number=5 + i, session="later") for i in range(5))
    both = replace(made.measurement, launches=(*made.measurement.launches, *fresh))
    sessions = (*made.recorded.sessions, "later")
    baselines.save(
        here / "run" / "baselines", replace(made, measurement=both, recorded=replace(made.recorded, sessions=sessions))
    )
    assert main(["baselines", "diff", "run"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == "cases/a.yaml:2: 5 launches added to the 5 of the baseline"
    assert next(line for line in lines if "(primary)" in line).startswith(
        "denoise (primary) 81.78 s ±0.4 % 83.42 s +2.0 % +0.8 .. +3.3 % pass"
    )


def test_one_damaged_file_hides_none_of_the_others(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    baselines.save(here / "baselines", factories.baseline("good"))
    torn = baselines.save(here / "baselines", factories.baseline("torn"))
    torn.write_bytes(torn.read_bytes()[:300])
    assert main(["baselines", "list"]) == 2
    shown = capsys.readouterr()
    assert shown.out.startswith("good  nvidia-h100-80gb-hbm3-x4  5 launches  recorded")
    assert "torn.json:12: not JSON: " in shown.err
    assert main(["baselines", "show", "good"]) == 0
    assert main(["baselines", "show", "torn"]) == 2


def test_a_reference_without_a_date_is_listed_as_such_with_its_source(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    undated = replace(factories.RECORDED, at="", sessions=())
    published = factories.baseline("good", launches=1, kind="reference", source="a guide", recorded=undated)
    baselines.save(here / "baselines", published)
    assert main(["baselines", "list"]) == 0
    assert capsys.readouterr().out.split("  ")[-2:] == ["date unknown", "sglang 0.5.16\n"]
    assert main(["baselines", "show", "good"]) == 0
    assert capsys.readouterr().out.splitlines()[:2] == [
        "baselines/nvidia-h100-80gb-hbm3-x4/good.json: reference, date unknown, sglang 0.5.16",
        "  source: a guide",
    ]


def test_no_size_of_a_pause_is_promised_to_be_found(capsys: pytest.CaptureFixture[str]) -> None:
    examples = Path(__file__).parents[2] / "examples" / "baselines"
    assert main(["baselines", "show", "tiny_wan_unchanged", "--folder", str(examples)]) == 0
    shown = capsys.readouterr().out.splitlines()
    lines = {line.split()[0]: line for line in shown if line.startswith("  ")}
    assert lines["denoise_core"].endswith("1022.12 ms  CV 0.11 %  detects 3.2 % in 5 launches")
    assert lines["denoise_steps"].endswith("1028.28 ms  CV 0.83 %")
    assert lines["e2e"].endswith("CV 14.40 %  detects 3.6 % in 5 launches, net of pauses")
    assert lines["stage:DecodingStage"].endswith("CV 12.98 %  detects > 100 % in 5 launches")
    # The core of the steps stands for it, and is judged in its place.
    assert "detects" not in lines["denoise"]
    assert "CV" in lines["denoise_gap"]
    assert "detects" not in lines["denoise_gap"]
    assert shown[-3].startswith("  noise between launches: primary: prior of 12 baselines: CV 0.36 %")
    assert shown[-2:] == [
        "  denoise excess: 1 of 5 launches is held up for 22 ms: record 10 to distinguish rare hold-ups from new ones",
        "  pause: 1 of 5 launches pauses for 447 ms: record 10 to distinguish rare pauses from new ones",
    ]


def test_a_baseline_is_shown_with_what_its_case_allows_and_launches(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline = baselines.save(here / "baselines", factories.baseline("tiny"))
    (here / "cases" / "broken.yaml").write_text("cases: [")

    def detects(*words: str) -> str:
        assert main(["baselines", "show", "tiny", *words]) == 0
        (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  denoise ")]
        return line.partition("  detects ")[2]

    usual = detects()
    (here / "cases" / "a.yaml").write_text(
        f"{CASES}    metrics: {{allow: 10%}}\n    launches: {{checkpoints: [3, 7]}}\n"
    )
    of_case = detects()
    assert (usual.partition(" in ")[2], of_case.partition(" in ")[2]) == ("5 launches", "7 launches")
    choice = MetricChoice(allow=0.1)
    found = first_figures(own_series(baselines.load(baseline), choice), looks=(3, 7))
    assert of_case.startswith(next(detectable(v) for v in found if v.primary))
    assert not usual.startswith(of_case[:4])
    # Of a case that is not there all is shown as usual, and that it is not there is said.
    (here / "cases" / "a.yaml").rename(here / "a.yaml")
    assert detects() == usual
    main(["baselines", "show", "tiny"])
    assert "no case file here has 'tiny'" in capsys.readouterr().err
    (here / "more").mkdir()
    (here / "a.yaml").rename(here / "more" / "a.yaml")
    assert detects("--cases", "more") == of_case


def test_a_corrupt_candidate_leaves_the_tree_as_it_was(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = baselines.save(here / "run" / "baselines", factories.baseline())
    for name in ("aa_torn.json", "zz_torn.json"):
        (good.parent / name).write_text(good.read_text()[:200])
    assert main(["baselines", "apply", "run"]) == 2
    first, second, end = capsys.readouterr().err.splitlines()
    assert "aa_torn.json" in first
    assert "zz_torn.json" in second
    assert end == "sgdiff: baselines apply: nothing was changed"
    assert not (here / "baselines").exists()


def test_a_folder_without_candidates_is_an_error(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert main(["baselines", "apply", "empty"]) == 2
    assert capsys.readouterr().err == "sgdiff: baselines apply: no candidates below empty\n"
    assert main(["baselines", "apply"]) == 2
    assert capsys.readouterr().err == "sgdiff: baselines apply: give a folder of candidates\n"


def test_applied_candidates_keep_the_best_ever(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = baselines.save(here / "baselines", factories.baseline(best={"denoise": 900.0}))
    baselines.save(here / "run" / "baselines", factories.baseline(best={"denoise": 1000.0}))
    assert main(["baselines", "apply", "run"]) == 0
    assert capsys.readouterr().out == f"{path.relative_to(here)}\n"
    assert baselines.load(path).best == {"denoise": 900.0}


def test_an_extension_of_an_earlier_file_is_not_applied(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def known_by(*sessions: str) -> Baseline:
        return factories.baseline(recorded=replace(factories.RECORDED, sessions=sessions, extends=sessions[:-1]))

    path = baselines.save(here / "baselines", known_by("s1", "s2", "s4"))
    before = path.read_bytes()
    baselines.save(here / "run" / "baselines", known_by("s1", "s3"))
    assert main(["baselines", "apply", "run"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == (
        f"sgdiff: {path.relative_to(here)}: the candidate lacks the launches of session s2, s4; nothing was changed. "
        "To extend the current baseline, repeat the run with --sgdiff-update=extend\n"
    )
    assert path.read_bytes() == before


def test_check_knows_the_cases_of_every_case_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = {
        "nested": "cases/more/b.yml",
        "anywhere": "benchmarks/some.sgdiff.yaml",
        "twice": "cases/some.sgdiff.yml",
        "hidden": ".cache/some.sgdiff.yaml",
    }
    for case, place in places.items():
        (here / place).parent.mkdir(exist_ok=True)
        text = CASES.replace("tiny:", f"{case}:").replace("[nightly]", "[]")
        (here / place).write_text(text.replace("gpus: 2", "gpus: 4"))
        published = replace(factories.baseline(case), kind="reference", source="a guide")
        work = Workload(digest="")
        published = replace(published, measurement=replace(published.measurement, workload=work))
        path = baselines.save(here / "baselines", published)
    (here / "cases" / "more" / "values.yaml").write_text("replicas: 3\n")
    assert main(["baselines", "check"]) == 1
    hidden = path.relative_to(here)
    assert capsys.readouterr().out == (
        f"{hidden}: no case is called hidden (any more): delete the file, or rename it with its case\n"
    )
    (here / hidden).unlink()
    assert main(["baselines", "check"]) == 0
    assert capsys.readouterr().out == "3 baselines, nothing wrong\n"


def test_check_of_a_folder_that_is_not_there_is_a_mistake(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baselines", "check"]) == 2
    assert capsys.readouterr().err == (
        "sgdiff: baselines check: there is no folder baselines: name that of the baselines with --folder\n"
    )
    (here / "baselines").mkdir()
    assert main(["baselines", "check"]) == 0
    assert capsys.readouterr().out == "0 baselines, nothing wrong\n"
    assert main(["baselines", "check", "--cases", "nowhere"]) == 2
    wrong = "sgdiff: baselines check: there is no folder {}: name that of the case files with --cases\n"
    assert capsys.readouterr().err == wrong.format("nowhere")
    (here / "cases" / "a.yaml").rename(here / "a.yaml")
    (here / "cases").rmdir()
    assert main(["baselines", "check"]) == 2
    assert capsys.readouterr().err == wrong.format("cases")
    # All cases may lie in files that need no such folder.
    (here / "a.yaml").rename(here / "a.sgdiff.yaml")
    assert main(["baselines", "check"]) == 0
    assert main(["baselines", "check", "--cases", "cases"]) == 2


def test_a_baseline_says_of_which_estimator_its_figures_are(capsys: pytest.CaptureFixture[str]) -> None:
    examples = Path(__file__).parents[2] / "examples" / "baselines"
    assert main(["baselines", "show", "wan22_t2v", "--folder", str(examples)]) == 0
    told = "  the figures are geometric means over the launches, high outliers pulled in; medians for denoise gap"
    assert told in capsys.readouterr().out.splitlines()


def test_what_is_printed_holds_no_secret_and_leaves_the_streams_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "s3cr3t-value")
    log = tmp_path / "s3cr3t-value.log"
    assert main(["inspect", "--log", str(log)]) == 2
    gc.collect()
    assert "s3cr3t-value" not in capsys.readouterr().err
    print("open")
    assert capsys.readouterr().out == "open\n"


# ---------------------------------------------------------------------------------------------------- limits of `judge`

SLOWER = {
    "id": "wan",
    "metric_class": "primary",
    "baseline": [100.0, 100.1, 99.9, 100.0, 100.05],
    "candidate": [105.0, 105.1, 104.9, 105.0, 105.05],
}


@pytest.mark.parametrize(
    ("limits", "row", "verdict"),
    [
        ([], {}, "regressed"),
        (["--allow", "7%"], {}, "pass"),
        (["--allow", "0.07"], {}, "pass"),
        # A row that states a limit keeps it.
        (["--allow", "7%"], {"allow": 0.02}, "regressed"),
        (["--allow", "2%", "--detect", "9%"], {"allow": 0.07}, "pass"),
    ],
)
def test_judging_with_limits_of_the_command_line(
    here: Path, capsys: pytest.CaptureFixture[str], limits: list[str], row: dict[str, float], verdict: str
) -> None:
    (here / "n.json").write_text(json.dumps([SLOWER | row]))
    assert main(["judge", "n.json", "--json", *limits]) == (1 if verdict == "regressed" else 0)
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("limits", "row", "says"),
    [
        (["--allow", "10%", "--detect", "5%"], {}, "sgdiff: judge: --detect=5% must be more than --allow=10%"),
        (
            ["--detect", "5%"],
            {"metric_class": "stage"},
            "sgdiff judge: --detect=5% must be more than what stage metrics allow, 12% (n.json: [0]): give --allow too",
        ),
        (["--detect", "5%"], {"allow": 0.1}, "sgdiff judge: --detect=5% must be more than n.json: [0].allow, 10%"),
        (["--allow", "10%"], {"detect": 0.05}, "sgdiff judge: n.json: [0].detect, 5%, must be more than --allow=10%"),
        (
            [],
            {"detect": 0.01},
            "sgdiff judge: n.json: [0].detect, 1%, must be more than what primary metrics allow, 1.2%",
        ),
    ],
)
def test_limits_that_contradict_each_other_are_named_where_they_stand(
    here: Path, capsys: pytest.CaptureFixture[str], limits: list[str], row: dict[str, Any], says: str
) -> None:
    (here / "n.json").write_text(json.dumps([SLOWER | row]))
    assert main(["judge", "n.json", *limits]) == 2
    assert capsys.readouterr().err == f"{says}\n"


@pytest.mark.parametrize("share", ["x", "-1%", "100%", "1", "nan", "5 percent"])
def test_a_limit_that_is_no_share_is_refused(here: Path, share: str) -> None:
    (here / "n.json").write_text(json.dumps([SLOWER]))
    with pytest.raises(SystemExit) as caught:
        main(["judge", "n.json", f"--allow={share}"])
    assert caught.value.code == 2


def test_limits_do_not_hide_what_is_no_row(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "n.json").write_text("[3]")
    assert main(["judge", "n.json", "--allow", "7%"]) == 2
    assert "[0]: must be an object" in capsys.readouterr().err


# ----------------------------------------------------------------------------------------------------------------- help


def help_of(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as caught:
        main([*words, "--help"])
    assert caught.value.code == 0
    return capsys.readouterr().out


def parsers(parser: argparse.ArgumentParser, *words: str) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield words, parser
    for action in parser._actions:
        for name, inner in (action.choices or {}).items() if isinstance(action.choices, dict) else ():
            yield from parsers(inner, *words, name)


def test_the_help_lists_every_command_once_under_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    shown = help_of(capsys)
    for title, adds in COMMANDS.items():
        assert f"\n{title}:\n" in shown
        assert adds
    names = {words[0] for words, _ in parsers(build_parser()) if words}
    for name in names:
        assert len(re.findall(rf"^  {name} +\w", shown, re.MULTILINE)) == 1, name


def test_every_command_and_action_has_a_help_of_its_own_that_explains_every_word_of_it() -> None:
    found = dict(parsers(build_parser()))
    assert ("baselines", "check") in found
    for words, parser in found.items():
        assert parser.description, words
        parser.format_help()
        for action in parser._actions:
            text = action.help or ""
            # One sentence: an example, a default and what a value does may follow in it.
            assert text, (words, action.dest)
            assert not re.search(r"[a-z)]\. ", text), (words, text)


def test_every_command_and_action_shows_examples_that_can_be_typed() -> None:
    for words, parser in parsers(build_parser()):
        examples = parser.format_help().partition("\nexamples:\n")[2].partition("\n\n")[0]
        lines = [re.split(r"\s{2,}| > | && ", line.strip())[0] for line in examples.splitlines()]
        typed = [shlex.split(line.rpartition("| ")[2]) for line in lines if "sgdiff" in line]
        assert typed, words
        for program, *rest in typed:
            assert program == "sgdiff"
            assert tuple(rest[: len(words)]) == words
            if rest[0] != "COMMAND":
                build_parser().parse_args(rest)


def test_every_option_of_pytest_is_one_sentence_in_a_group() -> None:
    for setting in SETTINGS:
        assert setting.group in GROUPS
        assert setting.help[0].isupper(), setting.flag
        assert setting.help.endswith("."), setting.flag
        assert not re.search(r"\w\. [A-Z]|;(?! alone)", setting.help), setting.flag
    assert {setting.group for setting in SETTINGS} == set(GROUPS)
