"""docs/messages.md has every code of a message, and the words that the product prints."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_sgdiff.lint import RULES
from tests.unit.messagespage import COMPLAINTS, PAGE, sections, text

PACKAGE = Path(__file__).parents[2] / "pytest_sgdiff"


def test_the_page_is_what_the_values_say() -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text(), "write it anew: python -m tests.unit.messagespage"


def tables_of_codes() -> Iterator[tuple[str, frozenset[str]]]:
    """Every table of codes in the package: its name, and its codes. These are the aliases and fields named `code`,
    `…Code`, `Cause` or `Gap` that are Literals, and the enum `Why`."""
    for file in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Assign):
                name, value = ast.unparse(node.targets[0]), node.value
            elif isinstance(node, ast.AnnAssign):
                name, value = ast.unparse(node.target), node.annotation
            else:
                continue
            named = name in {"code", "Cause", "Gap", "Code"} or name.endswith("Code")
            if named and ast.unparse(value).startswith("Literal["):
                codes = (one.value for one in ast.walk(value) if isinstance(one, ast.Constant))
                yield f"{file.relative_to(PACKAGE)}: {name}", frozenset(code for code in codes if code is not None)


def test_no_table_of_codes_is_missing_on_the_page() -> None:
    shown = [frozenset(section.codes) for section in sections()]
    found = dict(tables_of_codes())
    assert len(found) >= 15
    missing = {name: codes for name, codes in found.items() if not any(codes <= section for section in shown)}
    assert missing == {}


def test_each_code_has_words_and_a_meaning_of_its_own() -> None:
    for section in sections():
        assert section.codes, section.title
        for table in (section.says, section.means):
            assert table is None or all(table[code].strip() for code in section.codes), section.title
        if section.means is not None:
            assert set(section.means) == set(section.codes), section.title


def test_slugs_of_flags_and_of_advice_are_all_there() -> None:
    sources = [*(PACKAGE / "engines").rglob("*.py"), *(PACKAGE / "plugin").rglob("*.py")]
    used = {slug for file in sources for slug in re.findall(r'slug="([a-z-]+)"', file.read_text(encoding="utf-8"))}
    assert used == set(COMPLAINTS)
    page = PAGE.read_text(encoding="utf-8")
    assert [rule.slug for rule in RULES if f"(advice.md#{rule.slug}-{rule.level})" not in page] == []
