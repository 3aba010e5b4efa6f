"""Where the plugin's lines begin on pytest's terminal."""

from __future__ import annotations

import pytest


def new_line(config: pytest.Config) -> None:
    """End the line that pytest is writing, if there is one.

    pytest's own `ensure_newline` does not know the dots and the counts of workers that it writes under xdist.
    """
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(terminal, pytest.TerminalReporter):
        terminal.ensure_newline()
        writer = config.get_terminal_writer()
        if writer.width_of_current_line:
            writer.line()
