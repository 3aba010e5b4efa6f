"""The configuration file that pytest finds from a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_sgdiff.errors import OptionError


def configuration(here: Path, *, fix: str) -> tuple[Path | None, Mapping[str, Any]]:
    """The file that configures a pytest that is started in `here`, None if there is none, and what it says.

    Raises:
        OptionError: it cannot be read; the message ends with the `fix`.
    """
    import pytest
    from _pytest.config.findpaths import locate_config

    try:
        # pytest 9 gives a fourth value.
        _, file, values, *_ = locate_config(here, [here])
    except (pytest.UsageError, pytest.fail.Exception) as error:
        raise OptionError(f"pytest's configuration cannot be read: {error}; {fix}") from None
    # pytest 9 wraps what it read, to note where that comes from.
    return file, {name: getattr(value, "value", value) for name, value in values.items()}
