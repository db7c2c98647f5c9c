"""Figures as a person reads them."""

import math

_TENTHS_BELOW = 10


def milliseconds(value: float) -> str:
    """A time: 2.4 ms, 31 ms, 12 s, 3.2 h."""
    for limit, unit, size in ((1_000, "ms", 1), (120_000, "s", 1_000), (7_200_000, "min", 60_000)):
        if value < limit:
            return f"{value / size:.1f} {unit}" if value / size < _TENTHS_BELOW else f"{value / size:.0f} {unit}"
    return f"{value / 3_600_000:.1f} h"


def nines(checked: int, differing: int) -> str:
    """What share is sound at least, with 95 % confidence, in percent: rounded down, so never more than is known."""
    if not checked:
        return "0 %"
    bound = min((3 + differing + 2 * math.sqrt(differing)) / checked, 1.0)
    digits = max(-math.floor(math.log10(bound)), 1) if bound < 1 else 1
    scale = 10**digits
    return f"{math.floor((1 - bound) * 100 * scale) / scale:.{digits}f} %"
