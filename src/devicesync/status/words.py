"""Figures and values as a person reads them."""

import math
from decimal import ROUND_FLOOR, Decimal

_TENTHS_BELOW = 10
_Z_95 = 1.6449
_NONE_FOUND = 3.0
_MOST_NINES = 12


def value_text(value: str | int | dict[str, str]) -> str:
    """A value of a profile: a map's entries as key=value."""
    return ", ".join(f"{key}={entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value)


def milliseconds(value: float) -> str:
    """A time: 2.4 ms, 31 ms, 12 s, 3.2 h."""
    for limit, unit, size in ((1_000, "ms", 1), (120_000, "s", 1_000), (7_200_000, "min", 60_000)):
        if value < limit:
            return f"{value / size:.1f} {unit}" if value / size < _TENTHS_BELOW else f"{value / size:.0f} {unit}"
    return f"{value / 3_600_000:.1f} h"


def most_of(found: int) -> float:
    """How many there may be at most, at 95 %, where so many were found: 3 where none was.

    It is the upper end of the one-sided interval of a Poisson count, in the form of Wilson and Hilferty.
    """
    if not found:
        return _NONE_FOUND
    shape = found + 1
    return shape * (1 - 1 / (9 * shape) + _Z_95 / (3 * math.sqrt(shape))) ** 3


def nines(share: float) -> str:
    """What does not differ where at most this share does, with so many nines as are proved: 0.000003 gives "99.9997 %"."""
    whole = max(1 - Decimal(repr(share)), Decimal(0)) * 100
    places = min(max(math.ceil(-math.log10(share)) - 2, 0), _MOST_NINES) if share > 0 else _MOST_NINES
    return f"{whole.quantize(Decimal(1).scaleb(-places), ROUND_FLOOR)} %"  # never rounded up: that would promise more
