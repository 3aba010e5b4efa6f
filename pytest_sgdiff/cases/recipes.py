"""The shipped recipes: case files of SGLang's performance guide and nightly comparison, as `cases/` has them.

A wheel carries them within the package. A checkout that is installed in place has them beside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (_PACKAGE / "recipes", _PACKAGE.parent / "cases")

SCHEMA_LINE = "# yaml-language-server: $schema="
"""How the line begins that names the schema of a case file to editors."""


def recipes() -> dict[str, Path]:
    """Name -> file of every shipped recipe, sorted by name."""
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    return {} if folder is None else {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def with_schema(text: str, schema: str) -> str:
    """The text of a case file whose first line names this schema to editors, in place of another."""
    first, _, rest = text.partition("\n")
    return f"{SCHEMA_LINE}{schema}\n{rest if first.startswith(SCHEMA_LINE) else text}"
