"""The rules of docs/law.md by example, where a property would not show which rule broke."""

import hashlib
from typing import Any

import msgspec

from devicesync.law.event import decode
from devicesync.law.profile import Profile, digest, view
from devicesync.law.state import join_all, state_of

NOW_MS = 1_700_000_000_000
V = 1_600_000_000_000_000


def shown(*events: dict[str, Any]) -> dict[str, Any]:
    states = [state_of(decode(msgspec.json.encode({"device_id": "d", **event}), taken_ms=NOW_MS)) for event in events]
    return view("d", join_all(states))


def profile(*events: dict[str, Any]) -> Profile:
    found = shown(*events)["profile"]
    assert isinstance(found, dict)
    return found


def test_a_move_does_not_keep_the_old_district() -> None:
    """A facet is replaced whole: its empty fields become absent."""
    after = profile(
        {"version": V, "city": "Bengaluru", "district_custom": "Bengaluru Urban", "fcm_token": "t"},
        {"version": V + 1, "city": "Hubballi", "district_custom": ""},
    )
    assert (after["city"], after.get("district_custom"), after["fcm_token"]) == ("Hubballi", None, "t")


def test_an_empty_facet_touches_nothing() -> None:
    """Empty values leave the facet as it was."""
    after = profile({"version": V, "city": "Pune", "uaspec": {"a": "b"}}, {"version": V + 1, "city": "", "uaspec": {}})
    assert (after["city"], after["uaspec"]) == ("Pune", {"a": "b"})


def test_first_access_is_a_minimum_clamped_to_its_own_version() -> None:
    """A later first_access than the event itself counts as the event's time."""
    after = profile({"version": V, "first_access": V}, {"version": V + 5_000_000, "first_access": V // 1000 + 4000})
    assert after["first_access"] == V // 1000


def test_after_an_erase_first_access_is_not_before_it() -> None:
    """Whatever came before the erase or comes late, first_access and user_declared_on are the erase's time."""
    erase = {"erase": True, "version": V + 1000}
    late = {"version": V, "first_access": 1, "user_declared_state": "KA"}
    after = profile(late, erase, {"version": V + 9_000_000, "user_declared_state": "MH", "first_access": V // 1000})
    assert after["first_access"] == after["user_declared_on"] == V // 1000 + 1


def test_an_old_event_never_resurrects() -> None:
    """The tombstone outlives replays; only a newer registration starts anew."""
    erase = {"erase": True, "version": V + 1}
    assert shown({"version": V, "city": "Pune"}, erase, {"version": V + 1, "city": "Agra"}) == {
        "device_id": "d", "version": V + 1, "erased": True, "digest": None, "profile": None,
    }  # fmt: skip
    assert shown(erase, {"version": V + 2})["profile"] == {
        "api_last_updated_on": V // 1000,
        "first_access": V // 1000,
    }


def test_user_declared_on_is_the_earliest_declaration() -> None:
    """Also when the declaration itself was replaced since; and it shows only beside a declaration."""
    assert (
        profile(
            {"version": V, "api_last_updated_on": 5, "user_declared_state": "KA"},
            {"version": V + 1000, "user_declared_state": "MH"},
        )["user_declared_on"]
        == 5
    )
    assert "user_declared_on" not in profile({"version": V, "city": "Pune"})


def test_a_tie_that_empties_the_facet_hides_user_declared_on() -> None:
    """Two declarations of one version that share no field leave nothing declared."""
    tied = profile({"version": V, "user_declared_state": "KA"}, {"version": V, "user_declared_district": "Agra"})
    assert tied == {"api_last_updated_on": V // 1000}


def test_equal_versions_merge_as_cassandra_does() -> None:
    """No value beats a value, else the greater UTF-8 bytes win; maps entry by entry."""
    tied = profile(
        {"version": V, "city": "Pune", "state": "MH", "device_spec": {"os": "9", "make": "A"}},
        {"version": V, "city": "Agra", "device_spec": {"os": "10", "cpu": "x"}},
    )
    assert tied["city"] == "Pune"
    assert "state" not in tied
    assert tied["device_spec"] == {"os": "9", "make": "A", "cpu": "x"}


def test_digest_is_of_the_profile_alone() -> None:
    """Equal profiles under other versions have equal digests; no profile has none."""
    one = shown({"version": V, "api_last_updated_on": 7, "city": "Pune"})
    two = shown({"version": V + 9, "api_last_updated_on": 7, "city": "Pune"})
    assert one["digest"] == two["digest"] == hashlib.sha256(b'{"api_last_updated_on":7,"city":"Pune"}').hexdigest()
    assert digest(None) is None
    assert digest({"city": "Pune", "api_last_updated_on": 7}) == one["digest"]
