"""Whose place a registration gets, and whose a profile shows."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from devicesync.api.location import Locations
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


def city_file(city: bytes) -> bytes:
    """A City file in MaxMind's format in which every IPv4 address is in that city."""
    data = b"\xe1\x44city\xe1\x45names\xe1\x42en" + bytes([0x40 + len(city)]) + city
    numbers = b"\x4anode_count\xc1\x01" + b"\x4brecord_size\xa1\x18" + b"\x4aip_version\xa1\x04"
    versions = b"\x5bbinary_format_major_version\xa1\x02\x5bbinary_format_minor_version\xa0"
    texts = b"\x4ddatabase_type\x44City" + b"\x49languages\x00\x04" + b"\x4bbuild_epoch\x01\x02\x01" + b"\x4bdescription\xe0"
    return b"\0\0\x11" * 2 + bytes(16) + data + b"\xab\xcd\xefMaxMind.com\xe9" + numbers + versions + texts


CUT = """
import sys
from ipaddress import ip_address
from pathlib import Path
from devicesync.api.location import Locations
path = Path(sys.argv[1])
locations = Locations(str(path), "")
print(locations.locate(ip_address("8.8.8.8")).city)
with path.open("r+b") as file:
    file.truncate(0)
print(locations.locate(ip_address("9.9.9.9")).city)
"""


def test_a_city_file_that_is_cut_ends_nothing(tmp_path: Path) -> None:
    """As `cp` does it, which writes over the file that is there: the old places count until the new file is whole."""
    path = tmp_path / "city.mmdb"
    path.write_bytes(city_file(b"Pune"))
    done = subprocess.run([sys.executable, "-c", CUT, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "Pune\nPune\n"), done.stderr


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: _made(path, 1 << 30)])
def test_a_city_file_without_end_is_not_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    """The old places go on to count, and a new file does when it is there."""
    monkeypatch.setattr("devicesync.api.location._LOOK_AGAIN_SECONDS", 0.0)
    path = tmp_path / "city.mmdb"
    path.write_bytes(city_file(b"Pune"))
    locations = Locations(str(path), "")
    path.unlink()
    make(path)
    with capture_logs() as logs:
        assert locations.locate(ip_address("8.8.8.8")).city == "Pune"
    assert [(log["event"], "regular" in log["reason"] or "more than" in log["reason"]) for log in logs] == [
        ("city file not renewed", True)
    ]
    path.unlink()
    path.write_bytes(city_file(b"Agra"))
    assert locations.locate(ip_address("8.8.8.8")).city == "Agra"


def _made(path: Path, size: int) -> None:
    """A file of one byte more, which takes no room."""
    path.touch()
    os.truncate(path, size + 1)
