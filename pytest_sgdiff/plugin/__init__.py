"""The pytest plugin: registers options, hooks and fixtures, and starts a session only in runs that measure.

It is loaded in every pytest run of its environment, so nothing here imports more than pytest and the standard
library until there is work to do.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff.plugin import fixtures
from pytest_sgdiff.plugin.fixtures import NOT_MEASURING, SESSION

if TYPE_CHECKING:
    from pytest_sgdiff.plugin.settings import Settings

ASKING = ("sgdiff_gpus", "sgdiff_cluster", "sgdiff_replay", "sgdiff_dry_run", "sgdiff_update", "sgdiff_against")
"""Options any of which asks for cases to be measured or shown."""

ASKED: pytest.StashKey[bool] = pytest.StashKey()
"""On the config: whether any of these was given, once a YAML file was looked at."""

NEED_A_MEASUREMENT = (
    *("sgdiff_strict", "sgdiff_fail_on", "sgdiff_accept", "sgdiff_exit_codes"),
    *("sgdiff_report", "sgdiff_history", "sgdiff_shard"),
)
"""Options that nobody types who does not want a measurement (`asked.JUDGES`)."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--sgdiff-*` and the ini values `sgdiff_*`."""
    from pytest_sgdiff.options import GROUPS, SETTINGS

    groups = {name: parser.getgroup(f"sgdiff-{name}", title) for name, title in GROUPS.items()}
    for setting in SETTINGS:
        group = groups[setting.group]
        if setting.switch:
            group.addoption(setting.option, dest=setting.dest, action="store_true", default=None, help=setting.help)
        elif setting.repeatable:
            group.addoption(
                setting.option, dest=setting.dest, action="append", metavar=setting.metavar, help=setting.help
            )
        else:
            group.addoption(
                setting.option,
                dest=setting.dest,
                metavar=setting.metavar,
                nargs=setting.nargs,
                const=setting.const,
                help=setting.help,
            )
        if setting.ini is not None:
            parser.addini(
                setting.dest, setting.help, type=setting.ini, default=None if setting.ini != "bool" else False
            )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Let a bare `--sgdiff-update` stand before a node id, which argparse would take for its value."""
    args[:] = ["--sgdiff-update=all" if word == "--sgdiff-update" else word for word in args]


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Add the extension points."""
    from pytest_sgdiff.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    """Register marks and fixtures; start a session if anything asks for one.

    Raises:
        pytest.UsageError: an option is wrong, no GPU is there, or the engine is not (exit code 4).
    """
    from pytest_sgdiff.cases.marks import CASE_MARKS

    config.addinivalue_line("markers", "sgdiff: a performance case of SGLang Diffusion, collected from YAML")
    for name, meaning in CASE_MARKS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")
    config.pluginmanager.register(fixtures, "sgdiff-fixtures")
    if _asked(config):
        from pytest_sgdiff.plugin import startup
        from pytest_sgdiff.plugin.role import role

        startup.start(config, run_id=_run_id(config))
        if role(config).leads:
            config.pluginmanager.register(Distribution(config), "sgdiff-xdist")
    elif any(config.getoption(name, None) is not None for name in NEED_A_MEASUREMENT):
        _refuse_idle(config)


def _refuse_idle(config: pytest.Config) -> None:
    """Refuse options that are about a measurement, typed for a run that makes none.

    Raises:
        pytest.UsageError: names the option, and those that measure (exit code 4).
        pytest.exit.Exception: the same, of a run with the exit codes of a bisection.
    """
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.plugin.asked import refuse_idle, shows_only
    from pytest_sgdiff.plugin.bisect_codes import refuse
    from pytest_sgdiff.plugin.role import role

    if role(config).leads and not shows_only(config):
        try:
            refuse_idle([str(word) for word in config.invocation_params.args])
        except OptionError as error:
            refuse(config, error)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect case files."""
    if file_path.suffix not in (".yaml", ".yml"):
        return None
    from pytest_sgdiff.cases import discover

    def has_cases(path: Path) -> bool:
        from pytest_sgdiff.plugin.collect import case_files

        return case_files(parent.config).has_cases(path)

    config = parent.config
    named = parent.session.isinitpath(file_path) or file_path in config.stash.get(discover.NAMED, ())
    if ASKED not in config.stash:
        config.stash[ASKED] = _asked(config)
    if not discover.is_case_file(
        file_path, _globs(config), named=named, asked=config.stash[ASKED], has_cases=has_cases
    ):
        return None
    from pytest_sgdiff.plugin.collect import CaseFile
    from pytest_sgdiff.printable import printable

    name = os.path.relpath(file_path, parent.config.rootpath)
    if (shown := printable(name)) != name:
        # pytest prints node ids as they are, and this one would give orders to whoever reads them.
        raise pytest.Collector.CollectError(
            f"{shown}: the name of a case file holds more than letters and signs: rename it"
        )
    collector: pytest.Collector = CaseFile.from_parent(parent, path=file_path)
    return collector


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip the cases of a run that does not measure, with the reason."""
    if SESSION in config.stash:
        return
    skip = pytest.mark.skip(reason=NOT_MEASURING)
    parents = {item.parent for item in items}
    files = [one for one in parents if one is not None and one.path.suffix in (".yaml", ".yml")]
    if not files:
        return
    from pytest_sgdiff.plugin.collect import CaseFile

    # Of the file, whose items are cases all of them: a large suite has ten thousand.
    for file in files:
        if isinstance(file, CaseFile):
            file.add_marker(skip)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """`-n auto`: as many workers as can hold leases. xdist asks before plugins are configured, and counts CPUs if its
    own answer comes first; a number that it is told by its own variable stands."""
    if not _asked(config) or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    from pytest_sgdiff.plugin import startup

    return startup.workers_at_most(config)


def _asked(config: pytest.Config) -> bool:
    """Whether anything asks for cases. An option with an empty value does too: it was typed to ask, and whoever reads
    the settings refuses it."""
    from pytest_sgdiff.options import SETTINGS

    return any(
        setting.empty(config.getoption(setting.dest))
        or (
            setting.dest in ASKING
            and (config.getoption(setting.dest) is not None or setting.in_environment(os.environ))
        )
        for setting in SETTINGS
    )


def _globs(config: pytest.Config) -> Sequence[str]:
    from pytest_sgdiff.options import CASE_FILES

    return config.getoption("sgdiff_files") or config.getini("sgdiff_files") or CASE_FILES


def _run_id(config: pytest.Config) -> str:
    # Workers of one run share its folder, so the controller's id travels to them.
    from pytest_sgdiff.plugin.role import RUN_ID, role

    return str(role(config).given.get(RUN_ID) or f"{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime())}-{os.getpid()}")


class Distribution:
    """What only xdist's controller does; its hooks are never called where xdist is not."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    @property
    def settings(self) -> Settings:
        """The settings of the run."""
        return self.config.stash[SESSION].settings

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a new worker which run it belongs to, and which GPUs that has."""
        from pytest_sgdiff.plugin import startup
        from pytest_sgdiff.plugin.role import POOL, RUN_ID, give

        give(node, RUN_ID, self.settings.run_id)
        give(node, POOL, startup.handed(self.config.stash[SESSION]))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Stop before the first case if a case file has mistakes, as pytest itself does; xdist would go on."""
        dsession = self.config.pluginmanager.getplugin("dsession")
        wrong = getattr(report, "sgdiff_mistakes", False)
        if dsession is not None and wrong and not self.config.getoption("continue_on_collection_errors"):
            dsession.shouldstop = "mistakes in case files"

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, config: pytest.Config) -> None:
        """Refuse what would record a case several times.

        Raises:
            pytest.UsageError: `--dist each` with an update.
        """
        if self.settings.mode == "update" and config.getoption("dist") == "each":
            raise pytest.UsageError(
                "--sgdiff-update with --dist each would record every case once per worker: use --dist load"
            )
