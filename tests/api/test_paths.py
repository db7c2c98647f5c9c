"""Paths, ids in them, and what a request's head says about its body."""

import json
import socket
import time
from urllib.parse import unquote

import pytest

from devicesync.law.event import decode
from tests.api.conftest import Start
from tests.api.test_http import BODY, PROFILE, REGISTER, assert_refused


@pytest.mark.parametrize("path", ["a%2Fb", "%C3%A9", "a%20b", "%F0%9F%98%80", "x" * 256, "..", "%2e"])
def test_unusual_ids(start: Start, path: str) -> None:
    """Whatever the law takes as an id."""
    started = start()
    with socket.create_connection((started.client.base_url.host, started.client.base_url.port or 0)) as raw:
        raw.sendall(
            f"POST {REGISTER}{path} HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nContent-Length: 14\r\nConnection: close\r\n\r\n".encode()
            + b'{"request":{}}'
        )
        assert raw.recv(100).startswith(b"HTTP/1.1 200")
    (line,) = started.lines()
    assert decode(line, taken_ms=time.time_ns() // 1_000_000).device_id == unquote(path)


@pytest.mark.parametrize(
    ("path", "status", "err"),
    [
        (REGISTER, 400, "INVALID_DEVICE_ID"),
        (REGISTER + "%00", 400, "INVALID_DEVICE_ID"),
        (REGISTER + "%C2%85", 400, "INVALID_DEVICE_ID"),
        (REGISTER + "%FF", 400, "INVALID_DEVICE_ID"),
        (REGISTER + "x" * 10_000, 400, "INVALID_DEVICE_ID"),
        (REGISTER + "a/b", 404, "NOT_FOUND"),
        ("/v2/anything", 404, "NOT_FOUND"),
        ("/v1/device/register", 404, "NOT_FOUND"),
        ("/v1/device/register%2Fabc", 404, "NOT_FOUND"),
        ("/%761/device/register/abc", 404, "NOT_FOUND"),
        ("/openapi.json/", 404, "NOT_FOUND"),
        ("/openapi.json", 405, "METHOD_NOT_ALLOWED"),
        (PROFILE + "d", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_bad_paths(start: Start, path: str, status: int, err: str) -> None:
    started = start()
    assert_refused(started.client.post(path, json=BODY), status, err)
    assert started.lines() == []


def test_a_path_counts_as_it_was_sent(start: Start) -> None:
    """An encoded slash does not end a path: `profile%2Fabc` names no device, least of all `2Fabc`."""
    started = start(admin_keys="boss")
    answer = started.client.delete("/v1/device/profile%2Fabc", headers={"X-API-Key": "boss"})
    assert_refused(answer, 404, "NOT_FOUND")
    assert_refused(started.client.get("/v1/device/profile%2Fabc"), 404, "NOT_FOUND")
    assert started.lines() == []


@pytest.mark.parametrize("path", ["/v1/device/register", "/v1/device/profile", "/openapi.json/"])
def test_nothing_is_redirected(start: Start, path: str) -> None:
    """A redirect would lead to whatever the Host header says."""
    started = start()
    for client in (started.client, started.admin):
        answer = client.get(path, headers={"Host": "evil"})
        assert (answer.status_code, "location" in answer.headers) == (404, False)
    assert started.admin.get("/livez/").status_code == 404


@pytest.mark.parametrize("content_type", [None, "", "application/json", "Application/JSON; charset=UTF-8"])
def test_a_body_without_content_type_counts_as_json(start: Start, content_type: str | None) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert start().client.post(REGISTER + "d", content=json.dumps(BODY), headers=headers).status_code == 200


def test_a_content_length_of_many_digits(start: Start) -> None:
    """It is too large, or no HTTP; never a fault of the service."""
    started = start()
    for digits in ("9" * 5000, "9" * 19, "0" * 5000 + "9"):
        with socket.create_connection((started.client.base_url.host, started.client.base_url.port or 0)) as raw:
            raw.sendall(f"POST {REGISTER}d HTTP/1.1\r\nHost: x\r\nContent-Length: {digits}\r\n\r\n".encode())
            assert raw.recv(100)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 413")
