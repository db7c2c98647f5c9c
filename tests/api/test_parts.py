"""The API's parts alone: addresses, places, user agents, limits."""

import csv
import os
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import structlog

from devicesync.api import access as access_module
from devicesync.api.access import RateLimit
from devicesync.api.agents import uaspec
from devicesync.api.answers import RequestError
from devicesync.api.clients import Clients, parsed
from devicesync.api.location import Location, Locations
from devicesync.errors import WrongUse
from tests.api.conftest import AGENT


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ("", "9.9.9.9", "1.2.3.4", "9.9.9.9"),
        ("10.0.0.0/8", "10.1.1.1", None, "10.1.1.1"),
        ("10.0.0.0/8", "10.1.1.1", "61.12.65.222:33740, 61.12.65.222", "61.12.65.222"),
        ("10.0.0.0/8", "10.1.1.1", "6.6.6.6, 61.12.65.222:33740, 10.2.2.2", "61.12.65.222"),
        ("10.0.0.0/8", "10.1.1.1", "61.12.65.222, unknown", "10.1.1.1"),
        ("10.0.0.0/8", "10.1.1.1", "junk, , 10.9.9.9", "10.9.9.9"),
        ("10.0.0.0/8,fd00::/8", "fd00::1", "[2001:db8::7]:443", "2001:db8::7"),
        ("10.0.0.0/8", "::ffff:10.1.1.1", "::ffff:1.2.3.4", "1.2.3.4"),
        ("10.0.0.0/8", "10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("10.0.0.0/8", "10.1.1.1", "fe80::1%" + "x" * 10_000, "10.1.1.1"),
    ],
)
@pytest.mark.parametrize("header", [b"x-forwarded-for", b"x-real-ip"])
def test_the_client_is_whom_the_last_trusted_proxy_names(
    header: bytes, trusted: str, peer: str, forwarded: str | None, expected: str
) -> None:
    """Nobody else is believed."""
    assert str(Clients(trusted).address(peer, {header: forwarded.encode()} if forwarded else {})) == expected


def test_x_forwarded_for_says_more_than_x_real_ip() -> None:
    """It names every proxy on the way."""
    headers = {b"x-real-ip": b"1.1.1.1", b"x-forwarded-for": b"2.2.2.2"}
    assert Clients("10.0.0.0/8").address("10.1.1.1", headers) == parsed("2.2.2.2")


def test_who_is_not_trusted_may_not_speak_for_others() -> None:
    """Neither by one header nor by the other."""
    for header in (b"x-forwarded-for", b"x-real-ip"):
        with pytest.raises(RequestError, match="trusted_proxies"):
            Clients("10.0.0.0/8").address("9.9.9.9", {header: b"1.2.3.4"})
    with pytest.raises(WrongUse):
        Clients("10.0.0.0/99")


def test_a_proxy_that_is_not_believed_is_said_once() -> None:
    """Else every device would silently get the proxy's place."""
    clients = Clients("")
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            assert clients.address("10.1.1.1", {b"x-real-ip": b"1.2.3.4"}) == parsed("10.1.1.1")
    assert [line["log_level"] for line in told] == ["warning"]
    assert "1.2.3.4" not in str(told)


def test_what_is_no_address() -> None:
    """An IPv6 scope neither: it means something on its own host only, and could be of any length."""
    for text in ("1.2.3", "", "x", "fe80::1%eth0", "fe80::1%" + "x" * 10_000, " " * 100 + "1.2.3.4"):
        assert parsed(text) is None
    assert str(parsed(" 1.2.3.4 ")) == "1.2.3.4"


def test_user_agents() -> None:
    """The seed's, one without a version, and one that nobody knows."""
    assert uaspec(AGENT) == {"agent": "Chrome", "ver": "68.0.3440.75", "system": "Linux", "raw": AGENT}
    assert uaspec("") == {}
    assert uaspec("x") == {"agent": "Other", "system": "Other", "raw": "x"} or uaspec("x") == {"raw": "x"}


def test_the_shipped_table_has_all_states_of_india_once_each() -> None:
    """Every census code from 1 to 37."""
    with resources.files("devicesync.api").joinpath("india.csv").open() as file:
        states = [row for row in csv.DictReader(file) if not row["city"]]
    assert {int(row["state_code_custom"]) for row in states} == set(range(1, 38))


class City:
    """Stands for an opened City file."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def get(self, address: Any) -> Any:
        if address.version == 6:
            raise ValueError  # as a file of IPv4 addresses does
        return self._found


def test_a_place_and_its_custom_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """From MaxMind's record and the table; a file that is replaced counts within a second; a broken one does not."""
    record: Any = {
        "country": {"iso_code": "IN", "names": {"en": "India"}},
        "subdivisions": [{"iso_code": "KA", "names": {"en": "Karnataka"}}],
        "city": {"names": {"en": "Bengaluru"}},
    }
    file = tmp_path / "city.mmdb"
    file.write_bytes(b"1")
    contents: dict[bytes, Any] = {b"1": City(record), b"2": City(record | {"city": {}}), b"3": City("not a record")}

    def opened(path: str) -> Any:
        try:
            return contents[Path(path).read_bytes()]
        except KeyError:
            raise OSError("broken") from None

    monkeypatch.setattr("devicesync.api.location.maxminddb.open_database", opened)
    monkeypatch.setattr("devicesync.api.location._LOOK_AGAIN_SECONDS", 0.0)
    locations = Locations(str(file), "")
    full = Location("IN", "India", "KA", "Karnataka", "Bengaluru", "Karnataka", "29", "Bengaluru Urban")
    assert locations.locate(parsed("1.1.1.1")) == full
    assert locations.locate(parsed("2001:db8::1")) == locations.locate(None) == Location()
    for content, city in ((b"2", ""), (b"broken", ""), (b"1", "Bengaluru")):
        file.write_bytes(content)
        assert locations.locate(parsed("1.1.1.1")).city == city
    file.write_bytes(b"3")
    assert locations.locate(parsed("1.1.1.1")) == Location()
    assert Locations("", "").locate(parsed("1.1.1.1")) == Location()


def test_files_that_can_not_be_read(tmp_path: Path) -> None:
    """Are said at the start."""
    table, pipe = tmp_path / "table.csv", str(tmp_path / "fifo")
    os.mkfifo(pipe)
    tables = ("missing.csv", str(table), pipe)
    for city_file, location_table in (
        *((name, "") for name in ("missing.mmdb", str(tmp_path), pipe)),
        *(("", name) for name in tables),
    ):
        table.write_text("state,district\nx,y\n")
        with pytest.raises(WrongUse):
            Locations(city_file, location_table)
    (tmp_path / "no.mmdb").write_bytes(b"no database")
    with pytest.raises(WrongUse):
        Locations(str(tmp_path / "no.mmdb"), "")


def test_a_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at once, then steadily; each client for itself; 0 is no limit."""
    clock = [0.0]
    monkeypatch.setattr("devicesync.api.access.SYSTEM.monotonic", lambda: clock[0])
    monkeypatch.setattr(access_module, "_REMEMBERED_CLIENTS", 2)
    limit = RateLimit(60)
    for _ in range(60):
        limit.check(parsed("1.1.1.1"))
    with pytest.raises(RequestError) as refused:
        limit.check(parsed("1.1.1.1"))
    assert (refused.value.status, refused.value.retry_after_seconds) == (429, 2)
    limit.check(parsed("1.1.1.2"))
    clock[0] = 2.5
    limit.check(parsed("1.1.1.1"))
    limit.check(parsed("1.1.1.1"))
    with pytest.raises(RequestError):
        limit.check(parsed("1.1.1.1"))
    limit.check(parsed("1.1.1.3"))
    limit.check(parsed("1.1.1.4"))
    RateLimit(0).check(None)


def test_an_ipv6_network_is_one_client_for_the_rate_limit() -> None:
    """Whoever has one of its 2^64 addresses has them all."""
    limit = RateLimit(2)
    limit.check(parsed("2001:db8:0:1::1"))
    limit.check(parsed("2001:db8:0:1:ffff::2"))
    with pytest.raises(RequestError):
        limit.check(parsed("2001:db8:0:1::3"))
    limit.check(parsed("2001:db8:0:2::1"))
