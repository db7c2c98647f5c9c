"""The API as users start it: in `up` and alone, read-your-write, erased, killed, and held to its OpenAPI document."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest

from devicesync.database.sqlite import SqliteDatabase
from tests.api.conftest import AGENT
from tests.api.test_http import BODY, PROFILE, REGISTER
from tests.docs.test_docs import ROOT
from tests.end_to_end.command import WAIT_SECONDS, Devicesync, until

KILLS = 20
CLIENTS = 8


Serve = Callable[..., tuple[Any, httpx.Client]]


@pytest.fixture
def serve(devicesync: Devicesync) -> Iterator[Serve]:
    """Start a process that serves the API; it, and a client of it."""
    with ExitStack() as opened:

        def begin(*arguments: str) -> tuple[Any, httpx.Client]:
            process = devicesync.start(*arguments, ready=False)
            assert process.stderr
            line = process.stderr.readline()
            assert "API on http://" in line or "listening on http://" in line, line
            url = line.partition("http://")[2].partition(",")[0]
            return process, opened.enter_context(
                httpx.Client(base_url=f"http://{url}", headers={"User-Agent": AGENT}, timeout=30)
            )

        yield begin


def test_the_readmes_requests(serve: Serve) -> None:
    """Typed as they stand there, a device reads itself back, however late the stores have it."""
    _, client = serve("up")
    (lines,) = re.findall(r"```sh\n(version=.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    typed = lines.replace("127.0.0.1:8080", f"127.0.0.1:{client.base_url.port}")
    shown = subprocess.run(["bash", "-ec", typed], capture_output=True, check=True).stdout
    assert json.loads(shown)["result"]["userDeclaredLocation"] == {"state": "Karnataka", "district": "Bengaluru Urban"}


def test_the_addresses_that_it_says_lead_to_it(serve: Serve) -> None:
    """Of IPv6 too: without brackets they were none."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    process, client = serve("up", "--listen", "[::1]:0", "--admin-listen", "[::1]:0")
    assert client.post(f"{REGISTER}d", json=BODY).status_code == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(WAIT_SECONDS) == 0


def test_a_device_reads_its_own_write(devicesync: Devicesync, serve: Serve) -> None:
    """Registered, read at that version, seen by the commands; one line in the log; erased, and gone for older registrations."""
    _, client = serve("up")
    for number in range(50):
        version = client.post(f"{REGISTER}device-{number}", json=BODY).json()["result"]["version"]
        found = read_at(client, f"device-{number}", version)
        assert found["version"] == version
    assert found["userDeclaredLocation"] == {"state": "Karnataka", "district": "Bengaluru Urban"}
    assert found["profile"]["device_spec"]["os"] == "Android 6.0"
    assert "fcm_token" not in found["profile"]
    assert devicesync.json("get", "device-7", "--from", "database")["profile"]["fcm_token"] == BODY["request"]["fcmToken"]
    log = (devicesync.directory / "devicesync-data" / "device-profile.log").read_bytes()
    assert log.count(b'"device-7"') == 1
    assert client.get(f"{PROFILE}device-7", params={"min_version": version + 1_000_000}).status_code == 504


def read_at(client: httpx.Client, device_id: str, version: int) -> Any:
    """The device's profile when it is that new: at once, but for a busy machine, where 504 says that it is not there yet."""
    found = until(
        lambda: (answer := client.get(PROFILE + device_id, params={"min_version": version})).status_code == 200 and answer
    )
    return found.json()["result"]


def test_the_api_alone_beside_an_updater(devicesync: Devicesync, serve: Serve) -> None:
    """It writes the journal, an updater takes it on, and it reads the database; an admin erases."""
    (devicesync.directory / "devicesync.toml").write_text('admin_keys = "boss"\n')
    devicesync.start("update")
    _, client = serve("api")
    version = client.post(f"{REGISTER}d", json=BODY).json()["result"]["version"]
    assert read_at(client, "d", version)["profile"]["producer_id"]
    erased = client.delete(f"{PROFILE}d", headers={"X-API-Key": "boss"}).json()["result"]["version"]
    assert erased > version
    read_at(client, "d", erased)
    found = client.get(f"{PROFILE}d", headers={"X-Min-Version": str(erased)}).json()["result"]
    assert (found["version"], found["profile"]) == (erased, None)
    assert b"boss" not in devicesync.run("config").stdout


def test_kill_nine_loses_nothing_acknowledged(devicesync: Devicesync, serve: Serve) -> None:
    """Twenty times under load; every acknowledged registration is in the log once and in both stores."""
    acknowledged: dict[str, int] = {}
    for kill in range(KILLS):
        process, client = serve("up")
        client.post(f"{REGISTER}warm", json=BODY)

        def load(client: httpx.Client = client, kill: int = kill, number: int = 0) -> None:
            for count in range(100_000):
                name = f"{kill}-{number}-{count}"
                try:
                    answer = client.post(REGISTER + name, json=BODY)
                except httpx.TransportError:
                    return
                acknowledged[name] = answer.json()["result"]["version"]

        threads = [threading.Thread(target=load, kwargs={"number": number}) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        until(lambda enough=(kill + 1) * CLIENTS: len(acknowledged) > enough)  # type: ignore[misc]
        time.sleep(0.01 * kill)
        process.kill()
        for thread in threads:
            thread.join()
    assert len(acknowledged) > KILLS * CLIENTS
    _, client = serve("up")
    last = client.post(f"{REGISTER}warm", json=BODY).json()["result"]["version"]
    read_at(client, "warm", last)  # all before it is worked off
    log = b"".join(path.read_bytes() for path in sorted((devicesync.directory / "devicesync-data").glob("device-profile.log*")))
    lines = [json.loads(line) for line in log.splitlines() if line.startswith(b'{"device_id"')]
    logged = [line["device_id"] for line in lines if line["device_id"] != "warm"]
    assert len(logged) == len(set(logged))
    assert acknowledged.keys() <= set(logged)
    database = SqliteDatabase(devicesync.directory / "devicesync-data" / "device-profile.db", read_only=True)
    stored = database.read([*acknowledged])
    database.close()
    assert {name: stored[name].version for name in acknowledged} == acknowledged
    for name, version in acknowledged.items():
        assert client.get(PROFILE + name, params={"min_version": version}).json()["result"]["version"] == version


def test_the_handlers_keep_to_the_openapi_document(devicesync: Devicesync, serve: Serve) -> None:
    """schemathesis, against the running server. A 500 is in no document, so it would be found; 504 is an answer."""
    _, client = serve("up")
    checks = "status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", f"{client.base_url}/openapi.json", "--checks", checks,
            "--max-examples", "60", "--seed", "1", "--generation-database", "none", "--suppress-health-check", "all",
        ],
        cwd=devicesync.directory, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert client.post(f"{REGISTER}d", json=BODY).status_code == 200


def test_nothing_personal_in_what_the_service_says(devicesync: Devicesync, serve: Serve) -> None:
    """No token, key, address or id on stdout or stderr, whatever is sent; SIGTERM ends it with 0 within seconds."""
    (devicesync.directory / "devicesync.toml").write_text('register_keys = "key-secret"\n')
    process, client = serve("up", "--verbose")
    secrets = {"X-API-Key": "key-secret", "Authorization": "Bearer bearer-secret", "X-Forwarded-For": "198.51.100.7"}
    body = json.dumps(BODY).replace("asda", "fcm-secret").encode()
    for content in (body, body[:-1], b'{"request":{"fcmToken":["fcm-secret"]}}', b""):
        client.post(f"{REGISTER}id-secret", content=content, headers=secrets)
        client.post(f"{REGISTER}id-secret", content=content, headers={"X-API-Key": "wrong-secret"})
        client.get(f"{PROFILE}id-secret", headers=secrets)
    process.terminate()
    told = "".join(process.communicate(timeout=WAIT_SECONDS))
    assert process.returncode == 0
    assert '"batch"' in told or "batch" in told
    assert "secret" not in told
    assert "198.51.100.7" not in told


def test_places_from_a_real_city_file(devicesync: Devicesync, serve: Serve) -> None:
    """MaxMind's own data, and what our table calls them; a broken new file leaves the old one in use, a good one counts."""
    package = find_spec("_maxminddb_geolite2")
    if package is None or package.origin is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("no City file: `make .venv/city-ready` gets one")
    real = Path(str(package.origin)).with_name("GeoLite2-City.mmdb")
    file = devicesync.directory / "city.mmdb"
    shutil.copy(real, file)
    (devicesync.directory / "devicesync.toml").write_text(f"city_file = {json.dumps(str(file))}\n")
    _, client = serve("up")

    def place(name: str) -> Any:
        body = BODY | {"request": {"ip_addr": "106.51.74.1"}}
        version = client.post(REGISTER + name, json=body).json()["result"]["version"]
        return read_at(client, name, version)["profile"]

    found = place("a")
    expected = {"country_code": "IN", "state_code": "KA", "city": "Bengaluru", "state_code_custom": "29"}
    assert found.items() >= (expected | {"district_custom": "Bengaluru Urban"}).items()
    for content in (b"broken", real.read_bytes()):
        beside = file.with_suffix(".new")
        beside.write_bytes(content)
        beside.replace(file)
        time.sleep(1.2)
        assert place("b").items() >= expected.items()


def test_a_log_that_is_down(serve: Serve) -> None:
    """Kafka is not there: 503 and when to come again, within the time that a client waits; nothing is acknowledged."""
    _, client = serve("api", "--log", "kafka://127.0.0.1:1/t")
    answer = client.post(f"{REGISTER}d", json=BODY)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert "127.0.0.1" not in answer.json()["params"]["errmsg"]


def test_a_taken_port(devicesync: Devicesync, serve: Serve) -> None:
    """Is said, with a hint."""
    _, client = serve("up")
    done = devicesync.run("api", "--listen", f"127.0.0.1:{client.base_url.port}")
    assert (done.returncode, b"can't listen" in done.stderr, b"hint: " in done.stderr) == (3, True, True)
    assert devicesync.run("api", "--listen", "nowhere").returncode == 2


def test_doctor_says_whose_word_on_addresses_counts(devicesync: Devicesync) -> None:
    """Without trusted_proxies, a proxy would silently give every device its own place."""
    devicesync.run("init")
    assert b"trusted_proxies is empty" in devicesync.run("doctor").stdout
    (devicesync.directory / "devicesync.toml").write_text('trusted_proxies = "10.0.0.0/8"\n')
    assert b"trusted_proxies" not in devicesync.run("doctor").stdout


@pytest.mark.parametrize("command", ["api", "doctor"])
def test_a_jwt_key_that_is_not_there_is_said_at_start(devicesync: Devicesync, command: str) -> None:
    """By the service and by doctor; before, its path was the secret."""
    devicesync.run("init")
    (devicesync.directory / "devicesync.toml").write_text('jwt_key = "file:no/such/key.pem"\nlisten = "127.0.0.1:0"\n')
    done = devicesync.run(command, "--json") if command == "doctor" else devicesync.run(command)
    assert done.returncode in (2, 3)
    assert b"can't read no/such/key.pem" in done.stdout + done.stderr
