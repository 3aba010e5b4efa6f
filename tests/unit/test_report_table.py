import subprocess
import sys

from pytest_sgdiff.data import Run
from pytest_sgdiff.reports import REPORTS
from tests import factories


def test_reports_are_chosen_by_suffix() -> None:
    stores = [".asv.json", ".benchmark.json", ".lp", ".prom"]
    assert sorted(REPORTS) == sorted([".csv", ".html", ".json", ".md", ".txt", *stores])


def test_every_report_renders_a_full_run_and_an_empty_one() -> None:
    empty = Run(started_at="2026-11-23T02:00:11Z", elapsed_s=0.1, command="pytest", plugin_version="0.1.0")
    for report in REPORTS.values():
        assert "wan22_t2v_a14b_720p" in report.render(factories.run())
        assert report.render(empty).endswith("\n")


def test_importing_the_reports_loads_neither_jinja_nor_statistics_packages() -> None:
    code = "import sys, pytest_sgdiff.reports; print({'jinja2', 'numpy', 'scipy', 'yaml', 'pytest'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
