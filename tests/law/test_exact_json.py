"""Exact reading of numbers and the limits of depth and length."""

import time
import timeit

import pytest

from devicesync.law import exact_json
from devicesync.law.version import next_version


def test_limits_do_not_depend_on_the_stack() -> None:
    """Exactly MAX_DEPTH levels are read, one more is not; brackets inside strings do not count."""
    deep = exact_json.MAX_DEPTH
    exact_json.check_limits("[" * deep + "]" * deep)
    exact_json.check_limits('"' + "[" * 9999 + '"' + "[]" * 9999)
    with pytest.raises(exact_json.MalformedJson):
        exact_json.check_limits("[" * (deep + 1))


def test_a_real_that_is_no_number_is_not_whole() -> None:
    """Real is made by the decoder only; anything else is not a number."""
    assert exact_json.Real("x").whole() is None


def test_versions_only_grow() -> None:
    """Whatever the clock does."""
    assert [next_version(5, 3), next_version(5, 5), next_version(5, 9)] == [6, 6, 9]


def test_the_time_to_look_for_long_numbers_grows_with_the_length_only() -> None:
    """Texts of as many digits as may be were looked at from each digit on, and took fifty times as long as letters."""

    def seconds(character: bytes) -> float:
        raw = (b'"' + character * exact_json.MAX_DIGITS + b'",') * 60
        return min(timeit.repeat(lambda: exact_json.may_exceed_limits(raw), number=3, repeat=7, timer=time.process_time))

    assert seconds(b"9") < 15 * max(seconds(b"x"), 0.0001)


def test_limits_are_found_beside_texts() -> None:
    """What a text holds is no number, and no text joins two; an unclosed one runs to the end."""
    longest = "9" * exact_json.MAX_DIGITS
    for within in (longest, f"-{longest}.e", f'"{longest}9"', f'"\\"{longest}9"', f'{longest}"x"9', f'"{longest}9', '"\\'):
        exact_json.check_limits(within)
    for beyond in (f"{longest}9", f"[1,{longest}9]", f'"x"{longest}9', f"1.{longest}"):
        with pytest.raises(exact_json.MalformedJson):
            exact_json.check_limits(beyond)
