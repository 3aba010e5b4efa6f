"""Options, environment and ini values become one Settings, and every mistake names its fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.options import SETTINGS
from pytest_sgdiff.plugin.option_values import Renamed
from pytest_sgdiff.plugin.settings import CASE_FILES, Settings, read_settings

EMPTY = "has an empty value, as of a shell variable that is not set: give one, or leave the option out"


def settle(
    root: Path, *, option: dict[str, Any] | None = None, ini: dict[str, Any] | None = None, **env: str
) -> Settings:
    options, inis = option or {}, ini or {}
    unknown = (options.keys() | inis.keys()) - {setting.dest for setting in SETTINGS}
    assert not unknown
    return read_settings(option=options.get, ini=inis.get, env=env, root=root, cwd=root, run_id="run-1")


def test_nothing_given_measures_nothing(tmp_path: Path) -> None:
    settings = settle(tmp_path)
    assert settings.mode == "off"
    assert not settings.measuring
    assert settings.out is None
    assert settings.baselines == tmp_path / "baselines"
    assert settings.engine_cmd == ("sglang",)
    assert settings.files == CASE_FILES
    assert settings.fail_on == {"regressed", "invalid", "no-baseline"}


def test_the_command_line_wins_over_the_environment_which_wins_over_ini(tmp_path: Path) -> None:
    ini = {"sgdiff_engine_cmd": "from-ini"}
    env = {"SGDIFF_ENGINE_CMD": "from-env --fast"}
    assert settle(tmp_path, ini=ini).engine_cmd == ("from-ini",)
    assert settle(tmp_path, ini=ini, **env).engine_cmd == ("from-env", "--fast")
    option = {"sgdiff_engine_cmd": "'/opt/my engine/sglang'"}
    assert settle(tmp_path, option=option, ini=ini, **env).engine_cmd == ("/opt/my engine/sglang",)


@pytest.mark.parametrize(
    ("option", "mode", "live"),
    [
        ({"sgdiff_gpus": "4"}, "gate", True),
        ({"sgdiff_gpus": "4", "sgdiff_update": "all"}, "update", True),
        ({"sgdiff_gpus": "4", "sgdiff_against": "old/sglang"}, "against", True),
        ({"sgdiff_dry_run": True, "sgdiff_gpus": "4"}, "dry-run", False),
        ({"sgdiff_replay": "."}, "replay", False),
        ({"sgdiff_replay": ".", "sgdiff_update": "missing"}, "update", False),
    ],
)
def test_the_mode_follows_from_what_was_asked(tmp_path: Path, option: dict[str, Any], mode: str, live: bool) -> None:
    settings = settle(tmp_path, option=option)
    assert (settings.mode, settings.live) == (mode, live)


def test_launches_are_kept_below_the_root_unless_a_folder_is_named(tmp_path: Path) -> None:
    assert settle(tmp_path, option={"sgdiff_gpus": "1"}).out == tmp_path / ".sgdiff" / "run-1"
    assert settle(tmp_path, option={"sgdiff_gpus": "1", "sgdiff_out": "kept"}).out == tmp_path / "kept"
    assert settle(tmp_path, option={"sgdiff_replay": "."}).out is None


def test_recording_is_alone_and_gating_confirms_unless_told_otherwise(tmp_path: Path) -> None:
    assert settle(tmp_path, option={"sgdiff_gpus": "1"}).isolation == "confirm"
    assert settle(tmp_path, option={"sgdiff_gpus": "1", "sgdiff_update": "all"}).isolation == "alone"
    assert settle(tmp_path, option={"sgdiff_gpus": "1", "sgdiff_isolation": "shared"}).isolation == "shared"


@pytest.mark.parametrize("old", ["window", "quiet", "host"])
@pytest.mark.parametrize("by", ["option", "variable", "ini"])
def test_a_former_name_of_alone_works_and_is_noted(tmp_path: Path, old: str, by: str) -> None:
    given = {"sgdiff_isolation": old}
    settings = {
        "option": lambda: settle(tmp_path, option=given),
        "variable": lambda: settle(tmp_path, SGDIFF_ISOLATION=old),
        "ini": lambda: settle(tmp_path, ini=given),
    }[by]()
    assert settings.isolation == "alone"
    assert settings.renamed == (Renamed(option="--sgdiff-isolation", old=old, new="alone"),)


@pytest.mark.parametrize("value", [None, "shared", "confirm", "alone"])
def test_of_a_name_that_is_still_one_nothing_is_noted(tmp_path: Path, value: str | None) -> None:
    settings = settle(tmp_path, option={"sgdiff_isolation": value})
    assert (settings.isolation, settings.renamed) == (value or "confirm", ())


def test_outcomes_are_added_to_those_that_fail(tmp_path: Path) -> None:
    chosen = settle(tmp_path, option={"sgdiff_fail_on": "inconclusive,improved"}).fail_on
    assert chosen == {"regressed", "invalid", "no-baseline", "inconclusive", "improved"}
    assert "inconclusive" in settle(tmp_path, option={"sgdiff_strict": True}).fail_on
    assert "inconclusive" in settle(tmp_path, ini={"sgdiff_fail_on": ["inconclusive"]}).fail_on


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            {"sgdiff_replay": "nowhere"},
            (
                "--sgdiff-replay=nowhere: no such folder; give one that a run wrote with --sgdiff-out "
                "(DIR/<case id>/<NN>/perf.json, engine.log, launch.json)"
            ),
        ),
        (
            {"sgdiff_replay": ".", "sgdiff_gpus": "2"},
            "--sgdiff-replay judges recorded launches and uses no GPU: leave --sgdiff-gpus out",
        ),
        (
            {"sgdiff_replay": ".", "sgdiff_against": "old"},
            "--sgdiff-replay has no engine to launch: leave --sgdiff-against out",
        ),
        (
            {"sgdiff_against": "old"},
            "--sgdiff-against needs --sgdiff-gpus or --sgdiff-cluster, which says what to launch on",
        ),
        (
            {"sgdiff_cluster": "auto", "sgdiff_gpus": "2"},
            (
                "--sgdiff-gpus=2 are GPUs of this machine, and --sgdiff-cluster=auto launches on the nodes of a "
                "cluster, where a case gets as many GPUs as it asks for: leave one of them out (or unset SGDIFF_GPUS, "
                "SGDIFF_CLUSTER)"
            ),
        ),
        (
            {"sgdiff_cluster": "auto", "sgdiff_replay": "."},
            "--sgdiff-replay judges recorded launches and uses no node: leave --sgdiff-cluster out",
        ),
        (
            {"sgdiff_cluster": "ray://10.0.0.1:10001"},
            (
                "--sgdiff-cluster=ray://10.0.0.1:10001: give the address of the cluster's head, HOST:PORT, or 'auto'; "
                "Ray's client (ray://) cannot be used: run pytest on a node of the cluster, as `ray job submit` does"
            ),
        ),
        (
            {"sgdiff_cluster": "auto", "sgdiff_lock_dir": "/locks"},
            (
                "--sgdiff-lock-dir names a folder of this machine, and --sgdiff-cluster launches on others: leave it "
                "out, and set SGDIFF_LOCK_DIR on the nodes before `ray start`, if their default does not do"
            ),
        ),
        (
            {"sgdiff_against": "old", "sgdiff_gpus": "1", "sgdiff_update": "all"},
            "--sgdiff-against compares two engines and records no baseline: leave --sgdiff-update out",
        ),
        (
            {"sgdiff_update": "all"},
            (
                "--sgdiff-update needs --sgdiff-gpus (or --sgdiff-cluster, or --sgdiff-replay): without it nothing is "
                "measured"
            ),
        ),
        (
            {"sgdiff_gpus": "1", "sgdiff_update": "sometimes"},
            "--sgdiff-update=sometimes: unknown, use one of all, missing, extend",
        ),
        (
            {"sgdiff_fail_on": "slow"},
            "--sgdiff-fail-on=slow: no such outcome, use pass, improved, regressed, inconclusive, no-baseline, invalid",
        ),
        (
            {"sgdiff_isolation": "Alone"},
            "--sgdiff-isolation=Alone: unknown, use one of shared, confirm, alone",
        ),
        ({"sgdiff_gpu_timeout": "soon"}, "--sgdiff-gpu-timeout=soon: must be a number of seconds above 0"),
        ({"sgdiff_gpus": ""}, f"--sgdiff-gpus {EMPTY}"),
        ({"sgdiff_replay": " "}, f"--sgdiff-replay {EMPTY}"),
        ({"sgdiff_report": ["r.html", ""]}, f"--sgdiff-report {EMPTY}"),
        (
            {"sgdiff_engine_cmd": "env X='1 sglang"},
            "--sgdiff-engine-cmd=env X='1 sglang: no closing quotation; the value is split into words as a shell does",
        ),
        (
            {"sgdiff_against": '"/opt/base', "sgdiff_gpus": "1"},
            '--sgdiff-against="/opt/base: no closing quotation; the value is split into words as a shell does',
        ),
        ({"sgdiff_gpu_timeout": "nan"}, "--sgdiff-gpu-timeout=nan: must be a number of seconds above 0"),
    ],
)
def test_a_mistake_names_its_fix(tmp_path: Path, option: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        settle(tmp_path, option=option)
    assert str(caught.value) == message


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    settings = settle(tmp_path, SGDIFF_GPUS="", SGDIFF_REPLAY="", SGDIFF_DRY_RUN="", SGDIFF_STRICT="")
    assert (settings.mode, settings.gpus, settings.strict) == ("off", None, False)


@pytest.mark.parametrize(("value", "on"), [("1", True), ("TRUE", True), ("0", False), ("no", False), ("Off", False)])
def test_the_variable_of_a_switch_turns_it_on_or_off(tmp_path: Path, value: str, on: bool) -> None:
    assert settle(tmp_path, SGDIFF_STRICT=value).strict is on


def test_a_switch_that_is_neither_on_nor_off_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(OptionError) as caught:
        settle(tmp_path, SGDIFF_STRICT="maybe")
    assert str(caught.value) == "SGDIFF_STRICT=maybe: use one of 1, true, yes, on or 0, false, no, off"


def test_an_empty_ci_variable_is_no_ci(tmp_path: Path) -> None:
    assert not settle(tmp_path, CI="").ci
    assert settle(tmp_path, CI="true").ci


LIVE = {"sgdiff_gpus": "1"}


@pytest.mark.parametrize(("place", "option"), [(".sgdiff", "--sgdiff-out"), ("baselines", "--sgdiff-baselines")])
def test_a_link_out_of_the_project_in_a_place_that_nobody_named_is_refused(
    tmp_path: Path, place: str, option: str
) -> None:
    root = tmp_path / "project"
    (root / "inside").mkdir(parents=True)
    (root / place).symlink_to(tmp_path)
    with pytest.raises(OptionError, match=f"is a link out of {root}, to {tmp_path}: .* with {option}"):
        settle(root, option=LIVE)
    assert settle(root).mode == "off"  # where nothing is measured, it is nobody's business
    named = {option[2:].replace("-", "_"): place}
    assert settle(root, option={**LIVE, **named}).live
    (root / place).unlink()
    (root / place).symlink_to("inside")
    assert settle(root, option=LIVE).live


@pytest.mark.parametrize("option", [{"sgdiff_report": ["r.md"]}, {"sgdiff_history": "r.md"}])
def test_a_file_to_be_written_may_be_a_link_within_the_project_only(tmp_path: Path, option: dict[str, Any]) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "r.md").symlink_to(tmp_path / "bashrc")
    with pytest.raises(OptionError, match=r"=r\.md: is a link out of"):
        settle(root, option={**LIVE, **option})
    (root / "r.md").unlink()
    (root / "r.md").symlink_to("kept.md")
    assert settle(root, option={**LIVE, **option}).live


@pytest.mark.parametrize(
    "option",
    [
        {"sgdiff_report": ["h.json"], "sgdiff_history": "h.json"},
        {"sgdiff_report": ["link.json"], "sgdiff_history": "h.json"},
        {"sgdiff_report": ["r.md", "sub/../h.json"], "sgdiff_history": "h.json"},
        {"sgdiff_report": ["h.json", "link.json"]},
    ],
)
def test_no_two_things_are_written_to_one_file(tmp_path: Path, option: dict[str, Any]) -> None:
    (tmp_path / "link.json").symlink_to("h.json")
    with pytest.raises(OptionError, match="give each its own"):
        settle(tmp_path, option={**LIVE, **option})


def test_a_report_that_is_named_twice_is_one(tmp_path: Path) -> None:
    assert settle(tmp_path, option={**LIVE, "sgdiff_report": ["r.json", "r.json"], "sgdiff_history": "h.db"}).live


@pytest.mark.parametrize(("value", "size"), [("0", 0), ("200MB", 200_000_000), ("1 gb", 1_000_000_000), ("512", 512)])
def test_outputs_are_kept_up_to_a_size(tmp_path: Path, value: str, size: int) -> None:
    assert settle(tmp_path, option={"sgdiff_keep_outputs": value}).keep_outputs_bytes == size
    assert settle(tmp_path, SGDIFF_KEEP_OUTPUTS=value).keep_outputs_bytes == size


@pytest.mark.parametrize("value", ["all", "-1", "1.5GB", "200 MiB", "MB"])
def test_what_is_no_size_of_outputs_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(OptionError, match="must be a size such as 200MB"):
        settle(tmp_path, option={"sgdiff_keep_outputs": value})


@pytest.mark.parametrize(
    ("typed", "ini", "env", "named"),
    [
        ("1GB", None, {}, "--sgdiff-keep-outputs=1GB"),
        (None, None, {"SGDIFF_KEEP_OUTPUTS": "1GB"}, "SGDIFF_KEEP_OUTPUTS=1GB in the environment"),
        (None, "1GB", {}, "sgdiff_keep_outputs in the configuration"),
    ],
)
def test_files_of_nodes_are_not_kept_wherever_it_is_asked_for(
    tmp_path: Path, typed: str | None, ini: str | None, env: dict[str, str], named: str
) -> None:
    option, configured = {"sgdiff_cluster": "auto"}, {"sgdiff_keep_outputs": ini}
    with pytest.raises(OptionError) as caught:
        settle(tmp_path, option={**option, "sgdiff_keep_outputs": typed}, ini=configured, **env)
    assert str(caught.value).startswith(f"{named} keeps files")
    # The fix that it names.
    found = settle(tmp_path, option={**option, "sgdiff_keep_outputs": "0"}, ini=configured, **env)
    assert (found.cluster, found.keep_outputs_bytes) == ("auto", 0)
