import pytest

from pytest_sgdiff.reports import numbers


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0.0418, "ms", "0.04 ms"),
        (5.249, "ms", "5.25 ms"),
        (34.76, "ms", "34.8 ms"),
        (314.11, "ms", "314 ms"),
        (999.9, "ms", "1000 ms"),
        (1024.9, "ms", "1.025 s"),
        (81747.14, "ms", "81.75 s"),
        (135790.0, "ms", "135.8 s"),
        (-450.0, "ms", "-450 ms"),
        (645.0, "MiB", "645 MiB"),
        (22036.5, "mb", "21.52 GiB"),
        (2.5, "frames/s", "2.500 frames/s"),
        (None, "ms", "-"),
    ],
)
def test_quantity_carries_the_unit_that_reads_best(value: float | None, unit: str, shown: str) -> None:
    assert numbers.quantity(value, unit) == shown


def test_values_that_are_compared_share_one_unit() -> None:
    assert numbers.quantity(996.0, "ms", like=1004.0) == "0.996 s"
    assert numbers.quantity(1000.0, "MiB", like=2048.0) == "0.98 GiB"


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(0.053, "+5.3 %"), (-0.003, "-0.3 %"), (0.0004, "0.0 %"), (-0.0004, "0.0 %"), (1.32, "+132 %"), (12.0, "+1200 %")],
)
def test_changes_carry_their_sign_and_zero_has_none(fraction: float, shown: str) -> None:
    assert numbers.signed(fraction) == shown


@pytest.mark.parametrize(("fraction", "shown"), [(0.04, "4 %"), (0.015, "1.5 %"), (0.0, "0 %"), (1.0, "100 %")])
def test_margins_drop_a_needless_decimal(fraction: float, shown: str) -> None:
    assert numbers.percent(fraction) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(3.21, "3.2 s"), (42.4, "42 s"), (725.0, "12 min 5 s"), (4325.0, "1 h 12 min"), (3599.9, "1 h 0 min")],
)
def test_durations_read_as_people_say_them(seconds: float, shown: str) -> None:
    assert numbers.duration(seconds) == shown


def test_plurals() -> None:
    assert [numbers.plural(1, "launch"), numbers.plural(2, "launch"), numbers.plural(2, "case")] == [
        "1 launch",
        "2 launches",
        "2 cases",
    ]


def test_clean_drops_terminal_escapes_and_control_characters_but_keeps_lines() -> None:
    dirty = "\x1b[1;33mFalling back\x1b[0m\x00 to\tdiffusers\r\n\x1b]0;title\x07 50%\r100%\x9b"
    assert numbers.clean(dirty) == "Falling back to\tdiffusers\n\n 50%\n100%"
