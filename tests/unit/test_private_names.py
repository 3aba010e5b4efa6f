"""The package uses what others publish: their private names change without notice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_sgdiff"

ALLOWED = {
    (
        "cli/configuration.py",
        "_pytest.config.findpaths",
    ): "pytest reads its configuration files only as part of a whole run",
    (
        "plugin/collect.py",
        "super()._genfunctions",
    ): "half of the time of a large suite was to find the same fixtures anew; "
    "a pytest without it makes each test itself",
    ("plugin/collect.py", "pytest.Module._genfunctions"): "whether pytest has it",
    ("plugin/collect.py", "made[0]._fixtureinfo"): "what that found; a pytest without it makes each test itself",
    ("plugin/collect.py", "like._fixtureinfo"): "as above",
    ("plugin/collect.py", "item._fixtureinfo"): "as above",
    (
        "plugin/collect.py",
        "metafunc._calls",
    ): "whether other plugins make tests of it; without it they are asked each time",
    ("gpus/pool.py", "pool._lease"): "of its own class, which a forked child finds through a weak reference",
}
"""The private names that are used, and why. None is the terminal's or xdist's."""

PUBLISHED = ("_asdict", "_fields", "_make", "_replace")
"""Of named tuples, which spell their public names so."""


def private_names(text: str) -> Iterator[str]:
    """Uses of private names of anything but `self` and `cls`, as they are written."""
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                pass
            case ast.Attribute(attr=name) if _private(name):
                yield ast.unparse(node)
            case ast.Call(
                func=ast.Name(id="getattr" | "hasattr" | "setattr"), args=[of, ast.Constant(value=str(name)), *_]
            ):
                if _private(name):
                    yield f"{ast.unparse(of)}.{name}"
            case ast.ImportFrom(module=str(module), names=names):
                if any(map(_private, module.split("."))):
                    yield module
                yield from (f"{module}.{alias.name}" for alias in names if _private(alias.name))
            case ast.Import(names=names):
                yield from (alias.name for alias in names if any(map(_private, alias.name.split("."))))


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLISHED


def test_no_private_name_of_others_is_used() -> None:
    found = {
        (str(path.relative_to(PACKAGE)), name)
        for path in PACKAGE.rglob("*.py")
        for name in private_names(path.read_text())
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("terminal._tw._file = screen", ["terminal._tw._file", "terminal._tw"]),
        ("getattr(terminal, '_tw', None)", ["terminal._tw"]),
        ("setattr(self, '_tw', 1)", ["self._tw"]),
        ("self.config._store", ["self.config._store"]),
        ("from _pytest.terminal import TerminalReporter", ["_pytest.terminal"]),
        ("from xdist.dsession import _Private", ["xdist.dsession._Private"]),
        ("import a, _pytest.config", ["_pytest.config"]),
        ("self._own, cls._own, one._replace(x=1), pytest.__version__, getattr(x, 'y')", []),
        ("from __future__ import annotations", []),
    ],
)
def test_a_private_name_is_seen(text: str, names: list[str]) -> None:
    assert list(private_names(text)) == names
