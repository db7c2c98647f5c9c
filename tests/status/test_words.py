"""Figures as a person reads them."""

from devicesync.status.words import milliseconds


def test_times_are_short() -> None:
    assert [milliseconds(value) for value in (0.04, 9.96, 31, 999, 12_000, 500_000, 90_000_000)] == [
        "0.0 ms", "10.0 ms", "31 ms", "999 ms", "12 s", "8.3 min", "25.0 h",
    ]  # fmt: skip
