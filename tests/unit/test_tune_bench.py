"""What `sgdiff tune` gives to the runs of pytest that it starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Case, Location
from pytest_sgdiff.launch import child
from pytest_sgdiff.tuning.bench import Bench, Plan
from tests.unit.test_bisect_workshop import OF_OTHERS


def test_a_run_that_is_started_has_no_options_that_the_shell_has_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[dict[str, Any]] = []

    def instead(words: Sequence[str], **options: Any) -> int:
        ran.append(options)
        return 0

    monkeypatch.setattr(child, "run", instead)
    for name in (*OF_OTHERS, "SGDIFF_LOCK_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    case = Case(name="tiny", location=Location(path="cases/tiny.yaml", line=2, column=1), model="m")
    plan = Plan(case=case, metric="e2e", engine_cmd=("sglang",), gpus="1", cwd=tmp_path)
    Bench(plan=plan, folder=tmp_path).measure(1, (), timeout_s=None)
    (options,) = ran
    assert not {*OF_OTHERS} & {*options["env"]}
    assert options["env"]["SGDIFF_LOCK_DIR"] == "elsewhere"
