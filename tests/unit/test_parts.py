"""Parts of the plugin: each is registered under a name that `-p no:` cannot switch off unnoticed."""

from __future__ import annotations

import ast
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pytest_sgdiff
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.plugin import startup


def registered() -> set[str]:
    """The names that the package registers plugins under, read from its code."""
    package = Path(pytest_sgdiff.__file__).parent
    calls = [
        node
        for path in sorted(package.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "register"
    ]
    names = [node.args[1] for node in calls if len(node.args) == 2]
    texts = {name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str)}
    return {text for text in texts if text.startswith("sgdiff-")}


def test_every_part_is_on_the_list() -> None:
    assert registered() == set(startup.PARTS)


@pytest.mark.parametrize("part", startup.PARTS)
def test_a_run_without_a_part_is_refused_with_its_name(part: str) -> None:
    manager = SimpleNamespace(is_blocked=lambda name: name == part)
    config: Any = SimpleNamespace(pluginmanager=manager)
    with pytest.raises(OptionError, match=f"-p no:{part} switches off"):
        startup._refuse_parts(config)
