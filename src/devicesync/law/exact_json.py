"""Reading JSON exactly: no number loses a digit, and depth and length limits do not depend on the machine's stack.

This is the slow, certain path. `event` reads ordinary events with msgspec and comes here for everything else.
"""

import json
import re
from typing import Any

MAX_DEPTH = 500
"""Levels of nesting that are read; deeper is malformed. (The law: 64 must be read, over 1,000 must not.)"""

MAX_DIGITS = 1000
"""Digits of one number that are read; more is malformed."""

# An unclosed string runs to the end, so that hostile input is scanned once and not once per quote.
_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")
# Looked for where a number begins, not at each of its digits: 60 texts of 1,000 digits would take as long as 3 MB.
_LONG_NUMBER = rf"(?<![-+0-9.eE])[-+0-9.eE]{{{MAX_DIGITS + 1},}}"
_LONG_NUMBER_IN_TEXT = re.compile(_LONG_NUMBER)
_LONG_NUMBER_IN_BYTES = re.compile(_LONG_NUMBER.encode())
_NUMBER = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?")
_CHEAPLY_SAFE_DEPTH = 64


class MalformedJson(ValueError):
    """Not JSON, or beyond the limits of this module."""


class Real(str):
    """A JSON number written with a fraction or an exponent, kept as its text."""

    __slots__ = ()

    def whole(self) -> int | None:
        """The number if it is whole and has at most MAX_DIGITS digits, else None: "29.0" is 29, "1.5e12" is 1500000000000."""
        found = _NUMBER.fullmatch(self)
        if found is None:
            return None
        sign, units, decimals, exponent = found.groups(default="")
        digits = (units + decimals).lstrip("0")
        significant = digits.rstrip("0")
        if not significant:
            return 0
        shift = int(exponent or 0) - len(decimals) + len(digits) - len(significant)
        if shift < 0 or len(significant) + shift > MAX_DIGITS:
            return None
        return int(sign + significant + "0" * shift)


def may_exceed_limits(raw: bytes) -> bool:
    """A cheap test that no text beyond the limits passes: False means that `raw` is certainly within them."""
    if len(raw) <= MAX_DIGITS:  # too short for a number of more digits, and for what opens and closes over MAX_DEPTH times
        return False
    return raw.count(b"{") + raw.count(b"[") > _CHEAPLY_SAFE_DEPTH or _LONG_NUMBER_IN_BYTES.search(raw) is not None


def check_limits(text: str) -> None:
    """Raise MalformedJson if `text` nests deeper than MAX_DEPTH or holds a number of more than MAX_DIGITS digits."""
    bare = _STRING.sub('""', text)
    depth = 0
    for bracket in _BRACKET.findall(bare):
        if bracket in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedJson(f"nested more than {MAX_DEPTH} levels deep")
        else:
            depth -= 1
    if any(sum(map(str.isdigit, number)) > MAX_DIGITS for number in _LONG_NUMBER_IN_TEXT.findall(bare)):
        raise MalformedJson(f"a number of more than {MAX_DIGITS} digits")


def read(text: str) -> Any:
    """Decode one JSON text. Objects with a key twice keep the last; reals come as Real; integers are exact.

    Raises MalformedJson, also for NaN and Infinity, which are not JSON.
    """
    check_limits(text)
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise MalformedJson(str(error)) from None


def _not_json(word: str) -> Any:
    raise MalformedJson(f"{word} is not JSON")


_DECODER = json.JSONDecoder(parse_float=Real, parse_constant=_not_json)
