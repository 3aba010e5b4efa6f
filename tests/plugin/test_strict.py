"""Under the strictest settings of pytest, and with settings from every kind of configuration file."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, Project

NINE = pytest.mark.skipif(pytest.version_tuple < (9, 0), reason="native TOML and `strict` came with pytest 9.0")

STRICT = ("--strict-markers", "--strict-config", "-m", "nightly")


def configured(project: Project, text: str) -> None:
    (project.root / "pytest.ini").unlink()
    project.write("pyproject.toml", text)


@pytest.fixture
def elsewhere(project: Project) -> Project:
    """A project whose cases and baselines are not where they are by default."""
    project.write("perf/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3"))
    (project.root / "cases" / "tiny.yaml").unlink()
    return project


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_strict_markers_strict_config_and_warnings_as_errors(project: Project, workers: tuple[str, ...]) -> None:
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3"))
    result = project.run_apart("--sgdiff-gpus=4", "--sgdiff-update", "-W", "error", *STRICT, *workers)
    assert result.ret == 0, result.stdout.str()


@NINE
def test_strict_mode(project: Project) -> None:
    configured(project, "[tool.pytest]\nstrict = true\n")
    project.write(
        "cases/tiny.yaml", CASE + "    matrix:\n      size:\n        small: {args: {height: 240}}\n        large: {}\n"
    )
    result = project.run_apart("--sgdiff-dry-run", "-W", "error")
    assert result.ret == 0, result.stdout.str()
    assert "# cases/tiny.yaml::tiny[small]" in result.outlines
    assert "# cases/tiny.yaml::tiny[large]" in result.outlines


def test_settings_of_the_ini_table(elsewhere: Project) -> None:
    configured(
        elsewhere,
        "[tool.pytest.ini_options]\nsgdiff_files = ['perf/*.yaml']\nsgdiff_baselines = 'of/ours'\n"
        "sgdiff_fail_on = 'inconclusive'\nsgdiff_gpu_timeout = '60'\nsgdiff_strict = true\n",
    )
    elsewhere.record()
    assert (elsewhere.root / "of" / "ours" / "nvidia-h200-x1" / "tiny.json").exists()


@NINE
def test_settings_of_the_native_table(elsewhere: Project) -> None:
    configured(
        elsewhere,
        "[tool.pytest]\nsgdiff_files = ['perf/*.yaml']\nsgdiff_baselines = 'of/ours'\n"
        "sgdiff_fail_on = ['inconclusive']\nsgdiff_gpu_timeout = '60'\nsgdiff_strict = true\n",
    )
    elsewhere.record()
    assert (elsewhere.root / "of" / "ours" / "nvidia-h200-x1" / "tiny.json").exists()


@NINE
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sgdiff_baselines", "3"),
        ("sgdiff_fail_on", "'inconclusive'"),
        ("sgdiff_strict", "'yes'"),
        ("sgdiff_files", "'perf/*.yaml'"),
        ("sgdiff_gpu_timeout", "60"),
    ],
)
def test_a_native_value_of_the_wrong_type_is_a_usage_error(elsewhere: Project, name: str, value: str) -> None:
    configured(elsewhere, f"[tool.pytest]\n{name} = {value}\n")
    result = elsewhere.run("--sgdiff-dry-run")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert name in result.stderr.str()
    assert "INTERNALERROR" not in result.stdout.str() + result.stderr.str()
