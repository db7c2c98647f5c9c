"""Exact reading of numbers and the limits of depth and length."""

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
