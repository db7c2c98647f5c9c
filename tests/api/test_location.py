"""Whose place a registration gets, and whose a profile shows."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import Start
from tests.api.test_http import PROFILE, REGISTER


class Cities:
    """Stands for a City file in which every address is a city of its own."""

    def get(self, address: Any) -> Any:
        return {"city": {"names": {"en": str(address)}}}


@pytest.fixture
def placed(start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """An API with such a file, behind a proxy on this machine."""
    monkeypatch.setattr("devicesync.api.location.maxminddb.open_database", lambda path: Cities())
    (tmp_path / "city.mmdb").touch()
    return start(city_file=str(tmp_path / "city.mmdb"), trusted_proxies="127.0.0.0/8")


@pytest.mark.parametrize(
    ("headers", "ip_addr", "expected"),
    [
        ({}, None, "127.0.0.1"),
        ({}, "8.8.8.8", "8.8.8.8"),
        ({}, "fe80::1%eth0", "127.0.0.1"),
        ({"X-Real-IP": "1.1.1.1"}, "8.8.8.8", "1.1.1.1"),
        ({"X-Forwarded-For": "1.1.1.1:33740, 1.1.1.1"}, "8.8.8.8", "1.1.1.1"),
        ({"X-Forwarded-For": "192.168.3.4"}, "8.8.8.8", "8.8.8.8"),
        ({"X-Real-IP": "192.168.3.4"}, "junk", "192.168.3.4"),
        ({"X-Real-IP": "192.168.3.4"}, 5, "192.168.3.4"),
    ],
)
def test_the_callers_address_counts(placed: Any, headers: dict[str, str], ip_addr: Any, expected: str) -> None:
    """What the body says counts where the caller's address is a private one."""
    placed.client.post(REGISTER + "d", json={"request": {"ip_addr": ip_addr}}, headers=headers)
    assert json.loads(placed.lines()[-1])["city"] == expected


def test_a_profile_shows_the_place_of_who_asks(placed: Any) -> None:
    found = placed.client.get(PROFILE + "d", headers={"X-Real-IP": "9.9.9.9"}).json()["result"]["ipLocation"]
    assert found == {"state": "", "district": "", "city": "9.9.9.9"}
