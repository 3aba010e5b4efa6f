"""What is handed on of a very long log: enough to judge it as if it were short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.launch import log_text
from pytest_sgdiff.launch.log_text import read_log

LOGS = sorted((Path(__file__).parents[1] / "data" / "logs").glob("*.log"))


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_log_amid_much_other_output_tells_what_it_tells_alone(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_text, "TEXT_LIMIT", 2 * path.stat().st_size + 200)
    monkeypatch.setattr(log_text, "CHUNK", 1 << 14)
    noise = b"".join(b"step %d\r" % number for number in range(20_000))
    (tmp_path / "engine.log").write_bytes(noise + b"\n" + path.read_bytes() + b"\n" + noise)
    text = read_log(tmp_path / "engine.log")
    assert len(text) <= log_text.TEXT_LIMIT * 1.5 + 100
    assert text.startswith("step 0\rstep 1\r")
    assert text.endswith("step 19999\r")
    assert replace(examine(text), lines=()) == replace(examine(path.read_text()), lines=())


def test_a_very_long_log_is_handed_on_with_its_middle_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_text, "TEXT_LIMIT", 40)
    path = tmp_path / "engine.log"
    path.write_bytes(b"first\n" + b"x" * 500 + b"\nan error\n" + b"y" * 500 + b"\nlast\n")
    assert (
        read_log(path) == f"first\n\n[sgdiff: 501 bytes left out here, see engine.log]\nan error\n{'y' * 500}\nlast\n"
    )


def test_a_log_up_to_the_limit_is_handed_on_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_text, "TEXT_LIMIT", 12)
    (tmp_path / "engine.log").write_bytes(b"50%\r100%\n\xff\r\n")
    assert read_log(tmp_path / "engine.log") == "50%\r100%\n\ufffd\r\n"
