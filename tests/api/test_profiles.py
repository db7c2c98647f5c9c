"""Reading profiles back: what is shown, and what a read waits for."""

import select
import time
from pathlib import Path
from typing import Any

import pytest

from devicesync.api import profiles
from tests.api.conftest import Start, Started, crowd, put
from tests.api.test_http import BODY, PROFILE, REGISTER, assert_refused


def profile(started: Started, device_id: str, **parameters: Any) -> Any:
    return started.client.get(PROFILE + device_id, params=parameters)


def test_reads_that_can_not_be_answered_do_not_wait(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version past what the clock bears is refused at once, and few may wait for another at a time."""
    started = start(min_version_wait_ms=3_600_000)
    far = time.time_ns() // 1000 + 301_000_000
    assert_refused(profile(started, "d", min_version=far), 400, "INVALID_REQUEST")
    monkeypatch.setattr(profiles, "MOST_WAITING", 0)
    assert_refused(profile(started, "d", min_version=far - 100_000_000), 504, "NOT_YET")


def test_one_address_takes_few_of_the_places_to_wait(start: Start, tmp_path: Path) -> None:
    """Of its waits one too many is answered at once. Another address waits until its version is there."""
    started = start(min_version_wait_ms=3_600_000, trusted_proxies="127.0.0.0/8")
    soon = time.time_ns() // 1000 + 100_000_000
    head = b"GET /v1/device/profile/d?min_version=%d HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %b\r\n\r\n"
    with crowd(started, head % (soon, b"198.51.100.2"), 5) as five:
        (answered,) = select.select(five, [], [], 60)[0]
        assert answered.recv(100).startswith(b"HTTP/1.1 504")
        with crowd(started, head % (soon, b"203.0.113.1"), 1) as (other,):
            assert not select.select([other], [], [], 0.1)[0]
            put(tmp_path, b'{"device_id":"d","version":%d}', 200)
            other.settimeout(60)
            assert other.recv(100).startswith(b"HTTP/1.1 200")


def test_a_profile_that_is_not_there_yet(start: Start) -> None:
    """504 after the wait, with a clear error; a min_version that is none is refused; an unknown device has no profile."""
    started = start()
    version = started.client.post(REGISTER + "d", json=BODY).json()["result"]["version"]  # nobody works this log off
    began = time.monotonic()
    assert_refused(profile(started, "d", min_version=version), 504, "NOT_YET")
    assert time.monotonic() - began >= 0.1
    assert_refused(started.client.get(PROFILE + "d", headers={"X-Min-Version": "soon"}), 400, "INVALID_REQUEST")
    found = profile(started, "d").json()["result"]
    assert found == {
        "ipLocation": {"state": "", "district": "", "city": ""},
        "version": None,
        "profile": None,
    }


def test_the_last_min_version_of_a_query_counts(start: Start) -> None:
    """Among other parameters, and before the header; one of a longer name is another."""
    started = start()
    far = time.time_ns() // 1000 + 301_000_000

    def read(query: str, header: str = "") -> Any:
        return started.client.get(f"{PROFILE}d?{query}", headers={"X-Min-Version": header} if header else {})

    assert_refused(read(f"a=1&min_version={far}&b=2"), 400, "INVALID_REQUEST")
    assert_refused(read(f"min_version=1&min_version={far}"), 400, "INVALID_REQUEST")
    assert_refused(read("a=1", str(far)), 400, "INVALID_REQUEST")
    for query in (f"min_version={far}&min_version=", f"x_min_version={far}", "&" * 32_000):
        assert read(query, "" if "&min_version=" not in query else str(far)).status_code == 200


def test_the_place_that_a_profile_shows_is_that_of_who_asks(start: Start, tmp_path: Path) -> None:
    """Empty texts where it is not known; what a device declared is absent until it declared a state."""
    started = start()
    put(tmp_path, b'{"device_id":"d","version":%d,"state":"Goa","user_declared_district":"Pune"}')
    found = started.client.get(PROFILE + "d").json()["result"]
    assert found["ipLocation"] == {"state": "", "district": "", "city": ""}
    assert found["profile"]["state"] == "Goa"
    assert "userDeclaredLocation" not in found
    put(tmp_path, b'{"device_id":"e","version":%d,"user_declared_state":"Goa"}')
    assert started.client.get(PROFILE + "e").json()["result"]["userDeclaredLocation"] == {"state": "Goa", "district": ""}
