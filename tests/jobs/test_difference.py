"""Which differences there are, which of them last, and what a count of them proves."""

import math

import pytest

from devicesync.jobs.audit.difference import Sides, kind_of, lasting
from devicesync.jobs.audit.findings import Findings
from devicesync.law.seen import Seen
from devicesync.status.words import most_of, nines

LIVE, OTHER = Seen(5, {"city": "Pune"}), Seen(5, {"city": "Agra"})
OLD, NEW = Seen(4, {"city": "Pune"}), Seen(6, {"city": "Pune"})
TOMBSTONE = Seen(5, None, 5)
FOREIGN, UNREADABLE = Seen(0, {"city": "Pune"}, is_ours=False), Seen(0, {}, is_ours=False)
REGISTERED_AGAIN = LIVE._replace(erased=4)


@pytest.mark.parametrize(
    ("cache", "database", "kind"),
    [
        (None, None, None),
        (LIVE, LIVE, None),
        (LIVE, REGISTERED_AGAIN, None),
        (None, TOMBSTONE, None),
        (TOMBSTONE, TOMBSTONE, None),
        (None, LIVE, "missing_in_cache"),
        (FOREIGN, LIVE, "missing_in_cache"),
        (FOREIGN, None, "missing_in_database"),
        (LIVE, None, "missing_in_database"),
        (TOMBSTONE, None, "missing_in_database"),
        (OLD, LIVE, "stale_in_cache"),
        (TOMBSTONE, NEW, "stale_in_cache"),
        (NEW, LIVE, "stale_in_database"),
        (NEW, TOMBSTONE, "stale_in_database"),
        (LIVE, OTHER, "content_differs"),
        (LIVE, TOMBSTONE, "resurrected"),
        (FOREIGN, TOMBSTONE, "resurrected"),
        (TOMBSTONE, OLD, "resurrected"),
        (LIVE, LIVE._replace(erased=5), "resurrected"),
        (UNREADABLE, LIVE, "missing_in_cache"),
        (UNREADABLE, REGISTERED_AGAIN, "missing_in_cache"),
        (UNREADABLE, None, "missing_in_database"),
        (UNREADABLE, TOMBSTONE, "resurrected"),
        (UNREADABLE, LIVE._replace(erased=5), "resurrected"),
        (FOREIGN, REGISTERED_AGAIN, "resurrected"),
    ],
)
def test_each_kind(cache: Seen | None, database: Seen | None, kind: str | None) -> None:
    """Both sides as their readers see them."""
    assert kind_of(Sides(cache, database)) == kind


@pytest.mark.parametrize(
    ("cache", "database", "version", "verdict"),
    [
        (LIVE, LIVE, 5, (None, False)),
        (NEW, NEW, 5, (None, False)),
        (OLD, LIVE, 5, ("stale_in_cache", True)),
        (OLD, LIVE, 4, ("stale_in_cache", False)),
        (LIVE, OTHER, 5, ("content_differs", True)),
        (LIVE, OTHER, 4, ("content_differs", False)),
        (LIVE, TOMBSTONE, 5, ("resurrected", True)),
        (OLD, TOMBSTONE, 4, ("resurrected", False)),
        (None, LIVE, 5, ("missing_in_cache", True)),
        (OLD, OLD, 5, ("stale_in_database", True)),
        (None, None, 5, ("missing_in_database", True)),
        (TOMBSTONE, TOMBSTONE, 5, (None, False)),
    ],
)
def test_what_lasts(cache: Seen | None, database: Seen | None, version: int, verdict: tuple[str | None, bool]) -> None:
    """The store that is behind did not get past what was known before."""
    assert lasting(Sides(cache, database), version) == verdict


def test_the_bound() -> None:
    """The rule of three for none; for some found the Poisson interval's end, as its tables have it."""
    assert Findings().bound_95 is None
    assert Findings(1000).bound_95 == 3 / 1000
    for found, most in ((1, 4.744), (2, 6.296), (5, 10.513), (20, 29.062), (100, 118.079)):
        assert math.isclose(most_of(found), most, rel_tol=0.005)
    assert Findings(1000, {"stale_in_cache": 1, "content_differs": 1}).bound_95 == most_of(2) / 1000


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (3e-6, "99.9997 %"),
        (3 / 88, "96 %"),
        (0.3, "70 %"),
        (3.0, "0 %"),
        (3 / 7, "57 %"),
        (4.4e-6, "99.9995 %"),
        (3e-10, "99.99999997 %"),
    ],
)
def test_nines_promise_no_more_than_is_proved(share: float, text: str) -> None:
    """They are never rounded up."""
    assert nines(share) == text


def test_what_is_left() -> None:
    """What was found and not repaired."""
    findings = Findings(10, {"missing_in_cache": 3}, expiring=2, repaired=4)
    findings += Findings(5, {"missing_in_cache": 1}, repaired=2)
    assert (findings.checked, findings.differing, findings.left) == (15, 4, 0)
    assert Findings(**findings.counts()).document() == findings.document()
