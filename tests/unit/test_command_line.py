"""Command lines for people: what is kept and reported of them."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data import Case, EngineInfo
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.runner import command_line
from tests import factories

INFO = EngineInfo(command=("sglang",), version="0.5.17")


def test_a_command_is_kept_without_secrets_and_shown_with_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "of-this-process")
    case = Case(
        name="wan",
        location=factories.location(),
        model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        env={"MY_API_KEY": "of the case"},
        args={"prompt": "of-this-process"},
    )
    exact = command_line.exact(case, ENGINES[case.engine], INFO, None)
    assert "MY_API_KEY='of the case'" in exact
    assert "--prompt of-this-process" in exact
    text = command_line.text(case, ENGINES[case.engine], INFO, None)
    assert "MY_API_KEY='<redacted>'" in text
    assert "--prompt <redacted>" in text


def test_a_command_of_the_plugin_is_kept_without_secrets() -> None:
    words = ["pytest", "--sgdiff-engine-cmd=env HF_TOKEN=secret sglang", "cases/my file.yaml"]
    assert (
        command_line.line(words) == "pytest '--sgdiff-engine-cmd=env HF_TOKEN=<redacted> sglang' 'cases/my file.yaml'"
    )
