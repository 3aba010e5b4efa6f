"""`--sgdiff-dry-run`: the exact command lines, and nothing is launched."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, FAKE_BIN, Project

COMMAND = (
    "sglang generate --model-path Wan-AI/Wan2.1-T2V-1.3B-Diffusers --prompt 'a cat' --width 832 --height 480 "
    "--num-frames 17 --num-inference-steps 20 --seed 42 --warmup-mode request --perf-dump-path perf.json "
    "--output-path outputs"
)

TEST = """
import pytest
from pytest_sgdiff.data import Case, Location

@pytest.fixture
def sgdiff_case():
    here = Location(path="test_more.py", line=1, column=1)
    return Case(name="more", location=here, model="a/b", args={"prompt": "dog"})

def test_more(sgdiff):
    assert sgdiff.measure().outcome == "pass"
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_each_case_gives_one_runnable_line(project: Project, workers: tuple[str, ...]) -> None:
    project.no_gpus()
    result = project.run("--sgdiff-dry-run", *workers)
    assert result.ret == 0
    assert "# cases/tiny.yaml::tiny" in result.outlines
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert line.endswith(COMMAND)
    assert line.startswith("SGLANG_DIFFUSION_SYNC_STAGE_PROFILING=1 ")
    assert not (project.root / ".sgdiff").exists()


def test_the_line_is_written_for_the_installed_version(project: Project) -> None:
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.13")
    result = project.run("--sgdiff-dry-run")
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert "--warmup --perf-dump-path" in line
    assert "--warmup-mode" not in line


def test_without_an_engine_the_newest_known_version_is_written_for(project: Project) -> None:
    project.setenv("PATH", "/usr/bin:/bin")
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0
    assert "--warmup-mode request" in result.stdout.str()


def test_what_the_launch_will_need_and_this_machine_lacks_is_said(project: Project) -> None:
    more = "    assets: {image-path: cat.png}\n    requires: {token: true}\n"
    project.write("cases/tiny.yaml", CASE.replace("model: Wan-AI/", "model: /no/such/") + more)
    project.setenv("HOME", str(project.root))
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0
    slugs = [line.rpartition("[")[2] for line in result.outlines if ": warning: " in line]
    assert {"model-not-here]", "asset-not-here]", "token-not-here]"} <= set(slugs)
    assert any("sglang generate --model-path /no/such/Wan2.1" in line for line in result.outlines)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_a_case_that_would_not_be_launched_fails_and_says_why(project: Project, workers: tuple[str, ...]) -> None:
    cases = CASE.replace("num-inference-steps", "inference-steps")
    cases += f"  heads:\n    model: {project.root}\n    gpus: 4\n    args: {{ulysses-degree: 4}}\n"
    config = '{"_class_name": "WanTransformer3DModel", "num_attention_heads": 2}'
    project.write("transformer/config.json", config)
    cases += "  later:\n    model: a/b\n    requires: {engine: '>=0.5.18'}\n    args: {warmup: true}\n"
    project.write("cases/tiny.yaml", cases)
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.17")
    result = project.run("--sgdiff-dry-run", "--no-header", "-q", "--tb=no", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=2, passed=1)
    told = [line for line in result.outlines if line.startswith("#") or " generate --model-path" in line]
    # The folder of the model is read where it is measured.
    (heads,) = [line for line in told if line.endswith("[attention-heads]")]
    assert heads.startswith("# cases/tiny.yaml:15:12: error: ")
    shown = [line for line in told if ": warning: " not in line and line != heads]
    assert shown == [
        "# cases/tiny.yaml::tiny",
        (
            "# cases/tiny.yaml:9:68: error: sglang 0.5.17 has no --inference-steps; did you mean "
            "`num-inference-steps`? [flag-unknown]"
        ),
        "# not launched: see the errors above",
        "# cases/tiny.yaml::heads",
        "# not launched: see the errors above",
        "# cases/tiny.yaml::later",
        "# not for sglang 0.5.17: the case requires >=0.5.18",
    ]


def test_its_variable_can_be_off(project: Project) -> None:
    project.setenv("SGDIFF_DRY_RUN", "0")
    result = project.run("-rs")
    assert result.ret == 0
    assert "not measuring: give --sgdiff-gpus=N" in result.stdout.str()


def test_a_test_that_goes_on_with_the_result_is_skipped_with_its_command_shown(project: Project) -> None:
    project.write("test_more.py", TEST)
    result = project.run("--sgdiff-dry-run", "-rs", "test_more.py")
    result.assert_outcomes(skipped=1)
    assert "# test_more.py::test_more" in result.outlines
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert "--prompt dog" in line
    assert "a dry run launches nothing, so `sgdiff.measure()` has no result" in result.stdout.str()


NEW_FLAG = CASE.replace("seed: 42", "seed: 42, brand-new-flag: 3")


@pytest.mark.parametrize("version", ["0.5.24", "0.1.dev1"])
def test_a_flag_that_only_the_installed_engine_knows_is_written(project: Project, version: str) -> None:
    asked = project.help("--brand-new-flag NEW", version=version)
    project.write("cases/tiny.yaml", NEW_FLAG)
    for _ in range(2):
        result = project.run("--sgdiff-dry-run")
        assert result.ret == 0, result.stdout.str()
        (line,) = [line for line in result.outlines if " generate --model-path" in line]
        assert "--brand-new-flag 3 --warmup-mode request --disable-conditioning-cache" in line
    # By one of the workers, and not again in the next run.
    assert asked.read_text() == "asked\n"


@pytest.mark.parametrize(
    ("version", "workers"),
    [
        pytest.param("0.5.24", (), id="0.5.24"),
        pytest.param("0.5.24", ("-n", "2"), id="0.5.24-xdist"),
        pytest.param("0.1.dev1", (), id="0.1.dev1"),
        pytest.param("0.5.23", (), id="0.5.23"),
    ],
)
def test_a_flag_that_the_installed_engine_lacks_fails_the_dry_run(
    project: Project, version: str, workers: tuple[str, ...]
) -> None:
    project.help("--brand-new-flags NEW", "--brand-old-flag OLD", version=version)
    project.write("cases/tiny.yaml", NEW_FLAG.replace("brand-new-flag:", "brand-nwe-flags:"))
    result = project.run("--sgdiff-dry-run", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"sglang {version} has no --brand-nwe-flags; did you mean `brand-new-flags`? [flag-unknown]" in (
        result.stdout.str()
    )
    assert " generate --model-path" not in result.stdout.str()


def test_a_flag_that_nobody_knows_is_a_warning_on_an_engine_newer_than_the_tables(project: Project) -> None:
    """Its help fails here: the stand-in has none."""
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.24")
    project.write("cases/tiny.yaml", NEW_FLAG)
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0, result.stdout.str()
    assert "--brand-new-flag 3" in result.stdout.str()
    slugs = [line.rpartition("[")[2] for line in result.outlines if ": warning: " in line]
    assert {"engine-unknown]", "flag-unknown]", "engine-help]"} <= set(slugs)


def test_an_engine_whose_flags_are_in_the_tables_is_not_asked(project: Project) -> None:
    asked = project.help(version="0.5.23")
    assert project.run("--sgdiff-dry-run").ret == 0
    assert project.run("--sgdiff-gpus=1", "--sgdiff-dry-run", "--collect-only").ret == 0
    assert not asked.exists()


def test_a_replay_and_a_collection_ask_no_engine(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    asked = project.help(version="0.1.dev1")
    project.run("--sgdiff-replay=kept")
    project.run("--sgdiff-gpus=4", "--collect-only")
    assert not asked.exists()


def test_a_secret_in_the_command_is_not_shown_when_the_engine_is_asked(project: Project) -> None:
    project.help(version="0.5.24")
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-engine-cmd=env HF_TOKEN=short-secret {FAKE_BIN / 'sglang'}")
    assert "asking the engine for its flags" in result.stdout.str()
    assert "short-secret" not in result.stdout.str()
