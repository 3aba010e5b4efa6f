"""SECURITY.md: each promise names tests, and each test that is named exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROMISES = [
    line.split(" | ")
    for line in (ROOT / "SECURITY.md").read_text(encoding="utf-8").partition("## What is promised")[2].splitlines()
    if line.startswith("| ") and not line.startswith(("| promise", "| :---"))
]


def names_in(file: Path) -> set[str]:
    """Names of all test functions in a file, also those in classes."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_each_test_that_is_named_exists() -> None:
    named = [name for _, shown in PROMISES for name in re.findall(r"`(tests/\S+::\w+)`", shown)]
    assert len(named) > 20
    assert [name for name in named if name.split("::")[-1] not in names_in(ROOT / name.split("::")[0])] == []


def test_each_promise_names_a_test() -> None:
    assert [promise for promise, shown in PROMISES if "`tests/" not in shown] == []
