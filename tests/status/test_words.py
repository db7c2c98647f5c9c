"""Figures as a person reads them."""

from devicesync.status.words import milliseconds, nines


def test_the_nines_promise_no_more_than_is_known() -> None:
    """None in n checked means at most 3/n; with differences the bound is wider."""
    assert [nines(checked, 0) for checked in (0, 2, 1000, 1_000_000, 3_000_000)] == [
        "0 %", "0.0 %", "99.700 %", "99.999700 %", "99.999900 %",
    ]  # fmt: skip
    assert float(nines(1000, 5).split()[0]) < 99.5


def test_times_are_short() -> None:
    assert [milliseconds(value) for value in (0.04, 9.96, 31, 999, 12_000, 500_000, 90_000_000)] == [
        "0.0 ms", "10.0 ms", "31 ms", "999 ms", "12 s", "8.3 min", "25.0 h",
    ]  # fmt: skip
