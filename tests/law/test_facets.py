"""What every store takes for granted about the declaration of the profile (docs/adding-a-field.md)."""

import re

from devicesync.law.facets import FACETS, FIELDS, MAP_FIELDS, SLICES

OTHERS = {
    "api_last_updated_on", "avg_ts", "device_id", "erase", "erased", "first_access", "firstaccess", "last_access", "rowid", "total_launches",
    "total_ts", "updated_date", "user_declared_on", "version",
}  # fmt: skip
"""What else an event, a row or a hash holds."""


def test_no_name_is_used_twice() -> None:
    """Neither by two fields, nor by a field and what a store keeps beside it."""
    versions = {f"{name}_version" for name in (*FIELDS, *(facet.name for facet in FACETS))}
    assert len({*FIELDS}) == len(FIELDS)
    assert len({facet.name for facet in FACETS}) == len(FACETS)
    assert {*FIELDS} & (OTHERS | versions) == set()
    assert {facet.name for facet in FACETS if len(facet.fields) > 1} & OTHERS == set()


def test_every_name_is_one_in_every_store() -> None:
    """CQL folds capitals, and what begins with _ is ours in a hash."""
    for name in (*FIELDS, *(facet.name for facet in FACETS)):
        assert re.fullmatch(r"[a-z][a-z0-9_]*", name)


def test_a_map_is_a_facet_of_its_own() -> None:
    """A tie with no value empties a field. Cassandra would keep the map: it can't delete one at the version of its entries."""
    assert {*FIELDS} >= MAP_FIELDS
    for facet in FACETS:
        assert not {*facet.fields} & MAP_FIELDS or len(facet.fields) == 1


def test_the_slices_cut_the_fields_into_the_facets() -> None:
    """In the order of both."""
    assert [FIELDS[where] for where in SLICES] == [facet.fields for facet in FACETS]
