"""The flags that `sglang generate --help` shows."""

from __future__ import annotations

import argparse
import pathlib
import re

import pytest

from pytest_sgdiff.data import Flag
from pytest_sgdiff.engines.flags.help_text import flags_in
from pytest_sgdiff.engines.flags.lookup import choices_of, kind_of, known_flags

# As the real 0.5.23 printed it on a terminal of 80 columns.
HELP = (pathlib.Path(__file__).parent.parent / "data" / "help_0.5.23.txt").read_text()

EXPECTED = {
    "model-path": Flag(kind="value"),
    "width": Flag(kind="value"),
    "gpu-ids": Flag(kind="list"),
    "prompt": Flag(kind="list"),
    "enable-torch-compile": Flag(kind="boolean"),
    "debug": Flag(kind="switch"),
    "vae-tiling": Flag(kind="switch", off="no-vae-tiling"),
    "no-vae-tiling": Flag(kind="switch"),
    "save-output": Flag(kind="switch", off="no-save-output"),
    "no-save-output": Flag(kind="switch"),
    "backend": Flag(kind="value", choices=("auto", "sglang", "diffusers")),
    "pipeline": Flag(kind="value"),
    "pipeline-class-name": Flag(kind="value"),
    "window-size": Flag(kind="value"),
    "window_size": Flag(kind="value"),
    "720p": Flag(kind="switch"),
    "brand-new-flag-with-a-name-that-fills-the-whole-line": Flag(kind="value"),
}


@pytest.fixture
def parser(monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """A parser with every way in which SGLang's declares flags, or may."""
    monkeypatch.setenv("NO_COLOR", "1")
    made = argparse.ArgumentParser(
        prog="sglang",
        description="SGLang",
        epilog="Read more:\n    --not-a-flag is one of another program",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--model-path", "-m", required=True, help="the model, or see --no-such-flag and [--nor-this-one]")
    made.add_argument("--width", type=int, help="50 %% of it is a line that says: " + "--inside-of-help X " * 12)
    made.add_argument("--gpu-ids", nargs="+")
    made.add_argument("--prompt", nargs="*")
    made.add_argument("--enable-torch-compile", nargs="?", const=True)
    made.add_argument("--debug", action="store_true")
    made.add_argument("--vae-tiling", action=argparse.BooleanOptionalAction)
    made.add_argument("--save-output", action="store_true")
    made.add_argument("--no-save-output", action="store_false", dest="save_output")
    made.add_argument("--backend", choices=["auto", "sglang", "diffusers"])
    made.add_argument("--pipeline", "--pipeline-class-name", dest="pipeline_class_name")
    made.add_argument("--window-size", "--window_size", type=float)
    made.add_argument("--720p", action="store_true", dest="p720")
    made.add_argument("--brand-new-flag-with-a-name-that-fills-the-whole-line", help="new")
    made.add_argument("--hidden", help=argparse.SUPPRESS)
    return made


@pytest.mark.parametrize("columns", ["10", "20", "40", "80", "200", "10000"])
def test_every_flag_is_read_at_every_width(
    parser: argparse.ArgumentParser, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert flags_in(parser.format_help()) == EXPECTED


def test_colours_and_carriage_returns_do_not_matter(parser: argparse.ArgumentParser) -> None:
    coloured = re.sub(r"(--[\w-]+)", "\x1b[1;36m\\1\x1b[0m", parser.format_help()).replace("\n", "\r\n")
    assert flags_in(coloured) == EXPECTED


def test_the_last_name_shows_the_value_of_all_where_python_writes_it_once() -> None:
    text = "usage: sglang [-h]\n\noptions:\n  -m, --model, --model-path MODEL_PATH\n  --dp, --dp-size {1,2}  copies\n"
    assert flags_in(text) == {
        "model": Flag(kind="value"),
        "model-path": Flag(kind="value"),
        "dp": Flag(kind="value", choices=("1", "2")),
        "dp-size": Flag(kind="value", choices=("1", "2")),
    }


def test_a_usage_line_alone_tells_flags_too(parser: argparse.ArgumentParser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    found = flags_in(parser.format_usage())
    # Other names of a flag stand in the list only.
    others = ("pipeline-class-name", "window_size")
    assert found == {name: flag for name, flag in EXPECTED.items() if name not in others}


@pytest.mark.parametrize(
    "text", ["", "usage: sglang [-h] {serve,generate}", "Traceback (most recent call last):\n  ..."]
)
def test_what_is_no_help_of_the_engine_tells_nothing(text: str) -> None:
    assert flags_in(text) is None


def test_the_real_help_shows_the_flags_of_the_table() -> None:
    found = flags_in(HELP)
    assert found is not None
    # Settings of a component, and one that every release declares and none implements, are not in the table.
    others = {name for name in found if "." in name} | {"text-encoder-configs"}
    assert sorted(found.keys() - others) == known_flags(23)
    assert {name: flag.kind for name, flag in found.items() if name not in others} == {
        name: kind_of(name, 23) for name in known_flags(23)
    }
    assert found["quality"].choices == choices_of("quality", 23)
    assert found["disable-conditioning-cache"] == Flag(kind="switch")
