"""The page's requests: what they weigh, whom they answer, and that nothing from outside becomes markup."""

import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import httpx
import pytest

from devicesync.api.access import Access
from devicesync.api.admin import admin
from devicesync.api.status_page.rendering import plot
from devicesync.api.status_page.sight import Replayed, Sight
from devicesync.errors import Unavailable
from devicesync.status.metrics import Metrics
from tests.api.conftest import Start
from tests.end_to_end.command import Devicesync, until
from tests.end_to_end.test_readiness import admin_of

KEYS = 'register_keys = "r"\nadmin_keys = "a"\n'
MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture
def devicesync(tmp_path: Path) -> Iterator[Devicesync]:
    (tmp_path / "devicesync.toml").write_text(KEYS)
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()


def status(admin: httpx.Client, path: str, key: str = "", *, post: bool = False) -> int:
    headers = {"X-API-Key": key} if key else {}
    return admin.request("POST" if post else "GET", path, headers=headers).status_code


def test_up_serves_it_to_whom_it_may(devicesync: Devicesync) -> None:
    """Light, under a strict policy; keys as the API's calls need them; markup in ids and records is text."""
    with admin_of(devicesync.start("up", ready=False)) as admin:
        devicesync.run("apply", "-", stdin=b"bad %s\n" % MARKUP.encode())
        page = admin.get("/", params={"device": MARKUP})
        weight = sum(len(admin.get(path).content) for path in ("/", "/page.css", "/page.js"))
        assert weight < 60_000
        assert "script-src 'self'; style-src 'self'" in page.headers["content-security-policy"]
        assert not re.search(r"<[^>]+\s(style|on\w+)=|<script(?! src)|<style|https?://", admin.get("/").text)
        assert "send a key" in page.text
        assert [status(admin, "/device?id=d", key) for key in ("", "x", "r", "a")] == [401, 401, 200, 200]
        assert [status(admin, "/dead-letters", key) for key in ("", "x", "r", "a")] == [401, 401, 401, 200]
        assert [status(admin, "/dead-letters/replay", key, post=True) for key in ("", "x", "r")] == [401, 401, 401]
        assert status(admin, "/dead-letters/replay", "a") == 405
        assert status(admin, "/device?id=", "r") == status(admin, "/device?id=%01", "r") == 400
        until(lambda: "1 in all" in admin.get("/dead-letters", headers={"X-API-Key": "a"}).text)
        for path in ("/dead-letters", f"/device?id={MARKUP}", f"/?device={MARKUP}"):
            shown = admin.get(path, headers={"X-API-Key": "a"}).text
            assert "&lt;img src=x onerror" in shown
            assert "<img" not in shown
        replayed = admin.post("/dead-letters/replay", headers={"X-API-Key": "a"})
        assert "1 tried again, 0 applied, 1 still refused" in replayed.text
        assert admin.get("/status.json").json()["refused"] is not None


def test_where_too_many_dead_letters_are_to_be_listed_the_page_says_what_to_do() -> None:
    """Also after a replay, which is told all the same."""

    def too_many(_: int) -> NoReturn:
        raise Unavailable("they are too many", "list them otherwise")

    with ThreadPoolExecutor(1) as thread:
        sight = Sight(thread, lambda _: pytest.fail("no device is followed"), too_many, lambda _: Replayed(3, 2))
        with admin("127.0.0.1:0", Metrics("up", {}), {}, Access("", "a", ""), sight) as url:
            listed = httpx.get(f"{url}/dead-letters", headers={"X-API-Key": "a"})
            replayed = httpx.post(f"{url}/dead-letters/replay", headers={"X-API-Key": "a"})
    assert (listed.status_code, replayed.status_code) == (503, 503)
    assert ">they are too many; list them otherwise<" in listed.text
    assert ">3 tried again, 2 applied, 1 still refused; they are too many; list them otherwise<" in replayed.text


def test_it_is_shown_under_our_names_alone(start: Start) -> None:
    """Another site's name may have been given our address. Health and metrics are open, since Prometheus goes by any name."""
    started = start(admin_listen="localhost:0")

    def under(host: str, path: str) -> int:
        return started.admin.get(path, headers={"Host": host}).status_code

    foreign = (
        "evil.example",
        "evil.example:9464",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1.",
        "ai.",
        "[::1].evil.example",
        "localhost:1@evil.example",
    )
    ours = ("127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "10.1.2.3:80", "LOCALHOST:1", "devicesync", socket.gethostname())
    for path in ("/", "/figures", "/status.json", "/page.js", "/device?id=d", "/nothing"):
        assert {under(host, path) for host in foreign} == {421}
        assert {under(host, path) for host in ours} == {404 if path in ("/device?id=d", "/nothing") else 200}
    for path in ("/livez", "/readyz", "/metrics"):
        assert {under(host, path) for host in foreign} == {200}


def test_jobs_that_know_no_devices_show_their_figures_alone(devicesync: Devicesync) -> None:
    """No form that leads nowhere."""
    flags = ("--to", "backup", "--admin-listen", "127.0.0.1:0")
    with admin_of(devicesync.start("backup", "run", *flags, ready=False)) as admin:
        page = admin.get("/")
        assert (page.status_code, "backup run" in page.text, "<form" in page.text) == (200, True, False)
        assert [status(admin, path, "a") for path in ("/device?id=d", "/dead-letters")] == [404, 404]
        assert admin.get("/status.json").json()["totals"] == {"retries": 0, "backed_up": 0}


def test_the_plot_has_a_place_for_each_second() -> None:
    """From five minutes ago at the left to now at the right; the greatest value at the top."""
    drawn = plot([{"at": 700, "p50_ms": 1.0, "p99_ms": 2.0}, {"at": 999, "p50_ms": 0.0, "p99_ms": 4.0}], 1_000_000)
    assert (drawn["p99"], drawn["p50"], drawn["most_ms"]) == ("0,40.0 598,0.0", "0,60.0 598,80.0", 4.0)
    assert plot([], 0)["p99"] == ""
