"""`sgdiff profile`: two traces side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main

TRACES = Path(__file__).parents[1] / "data" / "traces"
BASE, SLOWER = (str(TRACES / f"{name}.trace.json.gz") for name in ("h200_base", "h200_slower_gelu"))


def test_two_traces_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", BASE, SLOWER, "--json"]) == 0
    change = json.loads(capsys.readouterr().out)["change"]
    assert (change["rows"][0]["name"], change["stage"]) == ("aten::gelu", "DenoisingStage")
    assert main(["profile", BASE, SLOWER]) == 0
    printed = capsys.readouterr().out.splitlines()
    page = (TRACES.parents[2] / "docs" / "attribution.md").read_text(encoding="utf-8")
    shown = page.split("$ sgdiff profile", 1)[1].split("```", 1)[0].splitlines()[1:]
    assert len(shown) > 3
    assert [line for line in shown if line != "…" and line not in printed] == []


@pytest.mark.parametrize("content", [None, "{}", '{"traceEvents": []}', '{"traceEvents": [{'])
def test_what_is_no_trace_is_named(content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.trace.json"
    if content is not None:
        path.write_text(content)
    assert main(["profile", BASE, str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_a_gpu_is_not_compared_with_a_cpu() -> None:
    assert main(["profile", BASE, str(TRACES / "wan_0.5.23.trace.json.gz")]) == 2
