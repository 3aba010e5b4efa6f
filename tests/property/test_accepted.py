"""Whatever a file of accepted slowdowns holds, it is read, or its lines are named."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.cases.accepted import AT_MOST, DAYS, FILE, read_acceptances
from pytest_sgdiff.data import Acceptance
from pytest_sgdiff.errors import AcceptanceError

TODAY = date(2026, 11, 30)
WORDS = st.sampled_from(
    [
        "sgdiff-accept:",
        "wan[cfg]",
        "denoise",
        "+5",
        "%",
        "until",
        "2027-01-31",
        "because",
        "it",
        "<!--",
        "-->",
        "#",
        "\n",
    ]
)
TEXTS = st.one_of(st.text(), st.lists(WORDS | st.text(max_size=4), max_size=30).map(" ".join), st.binary())


def read(path: Path) -> tuple[tuple[Acceptance, ...], tuple[str, ...]]:
    try:
        return read_acceptances([path], path.parent, today=TODAY), ()
    except AcceptanceError as error:
        return (), error.mistakes


@given(TEXTS, st.sampled_from([FILE, "text.md"]))
def test_every_file_is_read_or_refused_with_its_lines(content: str | bytes, name: str) -> None:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(raw)
        found, mistakes = read(path)
    assert all(mistake.startswith(f"{name}:") for mistake in mistakes)
    assert not (found and mistakes)
    for one in found:
        assert 0 < one.size <= AT_MOST
        assert (date.fromisoformat(one.until) - TODAY).days <= DAYS
        assert one.because
        assert 1 <= one.line <= raw.count(b"\n") + 1
