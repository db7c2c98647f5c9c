"""The API as a client sees it: the envelope, what is logged, what is refused, and that the server takes no harm."""

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from devicesync.api import protocol, readiness, registration, requests, writer
from devicesync.errors import Unavailable
from devicesync.law.facets import FIELDS
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Record
from tests.api.attacked import is_cut_off
from tests.api.conftest import Start
from tests.end_to_end.command import WAIT_SECONDS, until

REGISTER, PROFILE = "/v1/device/register/", "/v1/device/profile/"
BODY: dict[str, Any] = {
    "id": "analytics.device",
    "ver": "1.0",
    "params": {"msgid": "x"},
    "request": {
        "channel": "01",
        "producer": "dev.sunbird.portal",
        "fcmToken": "asda",
        "first_access": 1565328282703,
        "dspec": {"os": "Android 6.0", "make": "Motorola XT1706"},
        "userDeclaredLocation": {"state": "Karnataka", "district": "Bengaluru Urban"},
        "ext": {"userid": "x"},
    },
}
SEED_FIELDS = [
    "device_id",
    "uaspec",
    "city",
    "country_code",
    "country",
    "api_last_updated_on",
    "device_spec",
    "district_custom",
    "fcm_token",
    "first_access",
    "state_code_custom",
    "state",
    "state_code",
    "state_custom",
    "producer_id",
]


def request(**changes: Any) -> dict[str, Any]:
    """The body with some of its request changed."""
    return BODY | {"request": BODY["request"] | changes}


def test_a_registration(start: Start) -> None:
    """One line in the seed's format and order; the existing service's envelope, and the version."""
    started = start()
    answer = started.client.post(REGISTER + "232455", json=BODY)
    found = answer.json()
    assert answer.status_code == 200
    assert [*found] == ["id", "ver", "ts", "params", "responseCode", "result"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", found["ts"])
    assert [*found["params"]] == ["resmsgid", "status", "client_key", "err", "errmsg"]
    assert (found["id"], found["params"]["status"], found["responseCode"]) == ("analytics.device-register", "successful", "OK")
    (line,) = started.lines()
    event = json.loads(line)
    assert [*event] == [*SEED_FIELDS, "user_declared_state", "user_declared_district", "version"]
    assert event["version"] == found["result"]["version"]
    assert event["uaspec"]["agent"] == "Chrome"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_versions_only_grow(start: Start) -> None:
    started = start()
    versions = [started.client.post(REGISTER + "d", json=BODY).json()["result"]["version"] for _ in range(50)]
    assert versions == sorted(set(versions))


BAD: dict[str, tuple[int, str, dict[str, Any]]] = {
    "not JSON": (400, "MALFORMED_JSON", {"content": b"{"}),
    "empty": (400, "MALFORMED_JSON", {"content": b""}),
    "not UTF-8": (400, "MALFORMED_JSON", {"content": b'{"request":{"producer":"\xff"}}'}),
    "huge": (413, "TOO_LARGE", {"content": b" " * 70_000}),
    "deep": (400, "MALFORMED_JSON", {"content": b'{"request":{"ext":' + b"[" * 30_000 + b"]" * 30_000 + b"}}"}),
    "NaN": (400, "MALFORMED_JSON", {"content": b'{"request":{"dspec":{"a":NaN}}}'}),
    "a number without end": (400, "MALFORMED_JSON", {"content": b'{"request":{"dspec":{"a":' + b"9" * 5000 + b"}}}"}),
    "a list": (400, "INVALID_REQUEST", {"content": b"[]"}),
    "a megabyte of text": (413, "TOO_LARGE", {"json": request(userDeclaredLocation={"district": "x" * 1_000_000})}),
    "content type": (415, "UNSUPPORTED_MEDIA_TYPE", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}),
    "charset": (
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        {"content": b"{}", "headers": {"Content-Type": "application/json; charset=latin-1"}},
    ),
    "encoding": (415, "UNSUPPORTED_ENCODING", {"json": BODY, "headers": {"Content-Encoding": "gzip"}}),
    "a spoofed proxy": (400, "UNTRUSTED_PROXY", {"json": BODY, "headers": {"X-Forwarded-For": "1.2.3.4"}}),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_requests(start: Start, name: str) -> None:
    """A 4xx in the envelope that says what to change; nothing is logged; the next request is served."""
    status, err, arguments = BAD[name]
    started = start(trusted_proxies="10.0.0.0/8")
    answer = started.client.post(REGISTER + "d", **arguments)
    assert_refused(answer, status, err)
    assert started.lines() == []
    assert started.client.post(REGISTER + "d", json=BODY).status_code == 200


def assert_refused(answer: httpx.Response, status: int, err: str) -> None:
    found = answer.json()
    assert (answer.status_code, found["params"]["status"], found["params"]["err"]) == (status, "failed", err), found
    assert found["responseCode"] == ("CLIENT_ERROR" if status < 500 else "SERVER_ERROR")
    assert len(found["params"]["errmsg"]) > 10


def test_slow_clients_are_cut_off(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that never ends, in time or in size, and a body that never comes; others are served meanwhile."""
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(requests, "BODY_SECONDS", 0.5)
    started = start()
    where = (started.client.base_url.host, started.client.base_url.port or 0)
    with (
        socket.create_connection(where) as slow,
        socket.create_connection(where) as silent,
        socket.create_connection(where) as big,
    ):
        for opened in (slow, silent, big):
            opened.settimeout(60)
        slow.sendall(b"POST / HTTP/1.1\r\nX-A: ")
        silent.sendall(f"POST {REGISTER}d HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nContent-Length: 50\r\n\r\n".encode())
        assert started.client.post(REGISTER + "d", json=BODY).status_code == 200
        assert slow.recv(100) == b""
        assert silent.recv(100).startswith(b"HTTP/1.1 408")
        big.sendall(b"GET / HTTP/1.1\r\n")
        assert is_cut_off(big, b"X-A: y\r\n" * 100, every_seconds=0.001)
    assert len(started.lines()) == 1


class Broken(MemoryLog):
    """A log that takes nothing."""

    def append(self, *given: Any, **named: Any) -> None:
        del given, named
        raise Unavailable("the disk is full", "")


class Slow(MemoryLog):
    """A log that takes a while."""

    def append(self, *given: Any, **named: Any) -> None:
        time.sleep(0.3)
        super().append(*given, **named)


def test_a_log_that_takes_nothing(start: Start) -> None:
    """503 and when to come again, never an acknowledgement; /readyz says so."""
    started = start(Broken())
    until(lambda: started.admin.get("/readyz").status_code == 200)
    answer = started.client.post(REGISTER + "d", json=BODY)
    assert_refused(answer, 503, "LOG_UNAVAILABLE")
    assert answer.headers["retry-after"] == "2"
    assert (started.admin.get("/readyz").status_code, started.admin.get("/livez").status_code) == (503, 200)


class Sick(MemoryLog):
    """A log that can be broken and mended."""

    is_broken = True

    def check(self) -> None:
        if self.is_broken:
            raise Unavailable("the log is broken", "")

    def append(self, *given: Any, **named: Any) -> None:
        self.check()
        super().append(*given, **named)


class Unasked(MemoryLog):
    """A log that takes records, and can't be asked for its newest."""

    is_broken = True

    def taken_since(self, *given: Any) -> Iterator[Record]:
        if self.is_broken:
            raise Unavailable("this user may not read it", "")
        return super().taken_since(*given)


def test_a_log_that_can_not_be_asked_for_its_last_version_is_not_ready(start: Start) -> None:
    """No registration can be taken. /readyz said that all was well."""
    log = Unasked()
    started = start(log)
    assert "last version" in started.admin.get("/readyz").json()["lacking"]["log"]
    log.is_broken = False
    until(lambda: started.admin.get("/readyz").status_code == 200)


def test_readiness_needs_no_traffic_to_heal(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at the log itself; a registration that failed is held against it only for a while."""
    monkeypatch.setattr(readiness, "_DISTRUST_SECONDS", 3.0)
    log = Sick()
    started = start(log)
    assert started.admin.get("/readyz").json()["lacking"]["log"] == "the log is broken"
    log.is_broken = False
    until(lambda: started.admin.get("/readyz").json() == {"ready": True, "lacking": {}})
    log.is_broken = True
    assert started.client.post(REGISTER + "d", json=BODY).status_code == 503
    log.is_broken = False
    assert started.admin.get("/readyz").json()["lacking"]["log"] == "the last registrations could not be written"
    until(lambda: started.admin.get("/readyz").status_code == 200)


def test_the_admin_port_does_not_wait_for_the_api(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,980 connections of four addresses that only read made /livez slow, and a healthy process not ready."""
    reading, go_on = threading.Event(), threading.Event()

    def read(body: bytes, left_out: Any) -> Any:
        del body, left_out
        reading.set()
        go_on.wait(WAIT_SECONDS)
        return registration.Registration()

    monkeypatch.setattr(registration, "read", read)
    started = start()
    with ThreadPoolExecutor(1) as thread:
        answer = thread.submit(started.client.post, REGISTER + "d", json=request())
        reading.wait(WAIT_SECONDS)
        answers = [started.admin.get(path).status_code for path in ("/livez", "/metrics")]
        is_waiting = not answer.done()
        go_on.set()
        assert (answers, is_waiting, answer.result().status_code) == ([200, 200], True, 200)


def test_the_queue_is_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much is refused; what was taken is in the log."""
    monkeypatch.setattr(writer, "MAX_WAITING", 3)
    started = start(Slow())

    async def many() -> list[int]:
        async with httpx.AsyncClient(base_url=started.client.base_url, headers={"User-Agent": "x"}) as client:
            answers = await asyncio.gather(*[client.post(f"{REGISTER}d{number}", json=BODY) for number in range(12)])
            return [answer.status_code for answer in answers]

    statuses = asyncio.run(many())
    assert set(statuses) == {200, 503}
    assert len(started.lines()) == statuses.count(200)


def test_the_page_names_the_address_that_it_was_asked_on(start: Start) -> None:
    """As it stands in the Host header, but nothing that is no host."""
    started = start()
    host = f"{started.client.base_url.host}:{started.client.base_url.port}"
    assert f"curl -X POST http://{host}/v1/device/register/" in started.client.get("/").text
    assert "http://api.example.org/v1/" in started.client.get("/", headers={"Host": "api.example.org"}).text
    assert "<script>" not in started.client.get("/", headers={"Host": "<script>"}).text


def test_keys_guard_both_doors(start: Start) -> None:
    started = start(register_keys="one", admin_keys="boss")
    assert_refused(started.client.post(REGISTER + "d", json=BODY), 401, "UNAUTHORIZED")
    assert started.client.post(REGISTER + "d", json=BODY, headers={"X-API-Key": "one"}).status_code == 200
    assert_refused(started.client.get(PROFILE + "d"), 401, "UNAUTHORIZED")
    assert_refused(started.client.delete(PROFILE + "d", headers={"X-API-Key": "one"}), 401, "UNAUTHORIZED")
    erased = started.client.delete(PROFILE + "d", headers={"X-API-Key": "boss"}).json()
    line = {"device_id": "d", "erase": True, "version": erased["result"]["version"], "given": True}
    assert json.loads(started.lines()[-1]) == line


def test_too_many_requests(start: Start) -> None:
    started = start(rate_limit_per_minute=2)
    statuses = [started.client.post(REGISTER + "d", json=BODY).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]


def test_documents_and_metrics(start: Start) -> None:
    """The page shows both calls; OpenAPI 3.1; no id, address or token in the metrics."""
    started = start()
    started.client.post(REGISTER + "secret-id", json=BODY)
    started.client.post(REGISTER + "secret-id", content=b"")
    page = started.client.get("/").text
    assert "curl -X POST" in page
    assert "/v1/device/profile/" in page
    assert started.client.get("/openapi.json").json()["openapi"] == "3.1.0"
    payload = started.client.get("/asyncapi.json").json()["channels"]["deviceprofile"]["messages"]["event"]["payload"]
    assert {"device_id", *FIELDS} <= payload["properties"].keys()
    metrics = started.admin.get("/metrics").text
    assert 'devicesync_api_requests_total{call="analytics.device-register",status="200"} 1.0' in metrics
    assert 'status="400"} 1.0' in metrics
    assert "secret-id" not in metrics
