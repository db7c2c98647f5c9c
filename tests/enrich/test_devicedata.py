"""What a profile's hash gives an event, whatever others have written into it."""

import json

import pytest

from devicesync.enrich.devicedata import FIELDS, members

NUMBERS = ["9" * 19, "9" * 5000, "-1", "1.5", ""]
MAPS = ['{"a":' + "[" * 5000 + "]" * 5000 + "}", '{"a":1e999}', "[]", "{"]


@pytest.mark.parametrize("field", ["version", "firstaccess", "api_last_updated_on"])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_none_of_us_wrote_ends_no_enrichment(field: str, number: str) -> None:
    """It counts as none, or as it is; the rest is there."""
    data = devicedata({field: number})
    assert data.get("city", "Pune") == "Pune"


@pytest.mark.parametrize("spec", MAPS)
def test_a_map_that_none_of_us_wrote_ends_no_enrichment(spec: str) -> None:
    """However deep it nests."""
    assert devicedata({"devicespec": spec})["devicespec"] == {}


def devicedata(foreign: dict[str, str]) -> dict[str, object]:
    """The `devicedata` of a profile in which these fields were written over."""
    profile = {"city": "Pune", "version": "1566383863167123", "api_last_updated_on": "1566383863167"} | foreign
    found, _ = members([profile[name].encode() if name in profile else None for name in FIELDS], stamped=True)
    data: dict[str, object] = json.loads(b"{%b}" % found).get("devicedata", {})
    return data
