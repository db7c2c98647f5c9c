"""The Device Register API: rate, grouping, and read-your-write.

- POST register into a journal, durable, keep-alive, 64 connections (wrk), one process, against a bare Starlette endpoint and
  one of FastAPI (echo.py) on the same server. Expect at least 0.6 of the first and 2 times the second.
- registrations per sync to disk at 64 connections. Expect at least 20.
- from POST register to GET ?min_version= answered, one after the other: embedded (`up`), and over Kafka, Redis and
  Cassandra (`api` and `update`). Expect p99 of 10 and 40 ms at most.

    PYTHONPATH=. python benchmarks/api.py [--seconds 8]      needs wrk (Debian: apt-get install wrk)
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from devstack.server import free_ports
from devstack.servers import Cassandra, Kafka, Redis
from figures import tell

BENCHMARKS = Path(__file__).parent
BODY = {"request": {"producer": "dev.sunbird.portal", "userDeclaredLocation": {"state": "Karnataka"}}}
TURNS = 3
ROUNDS = 500
PAUSE_SECONDS = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8)
    seconds = parser.parse_args().seconds
    if shutil.which("wrk") is None:
        sys.exit("wrk is missing, which makes the load; on Debian: apt-get install wrk")
    rates(seconds)
    with tempfile.TemporaryDirectory() as directory, served(["up"], directory) as (client, _):
        read_your_write("embedded", client, 10)
    over_the_stack()


def rates(seconds: int) -> None:
    best: dict[str, tuple[float, float, float]] = {}
    for _ in range(TURNS):
        for kind in ("bare", "register", "fastapi"):
            with tempfile.TemporaryDirectory() as directory:
                (port,) = free_ports(1)
                words = [str(BENCHMARKS / "echo.py"), kind, str(port)] if kind != "register" else ["-m", "devicesync", "api"]
                with process(words, directory, port) as admin_port:
                    best[kind] = max(best.get(kind, (0.0, 0.0, 0.0)), measured(port, admin_port, seconds))
    for kind, (rate, p99_ms, group) in best.items():
        print(
            f"{kind:<9} {rate:8,.0f} requests/s   p99 {p99_ms:5.1f} ms"
            + (f"   {group:.1f} registrations a sync" if group else "")
        )
    of_bare, of_fastapi = (best["register"][0] / best[other][0] for other in ("bare", "fastapi"))
    rate, _, group = best["register"]
    what = "`POST register`, durable in the journal, 64 connections, one process, against"
    tell(f"{what} a Starlette echo", of_bare, "×", least=0.6, more=f"{rate:,.0f} requests/s")
    tell(f"{what} a FastAPI echo", of_fastapi, "×", least=2)
    tell("registrations per sync to disk, at 64 connections", group, least=20)


def measured(port: int, admin_port: int, seconds: int) -> tuple[float, float, float]:
    """Requests/s, p99 in ms, and registrations per sync (0 for what writes nothing), after a second of warming up."""
    wrk = ["wrk", "-t1", "-c64", "--latency", "-s", str(BENCHMARKS / "register.lua"), f"http://127.0.0.1:{port}"]
    subprocess.run([*wrk, "-d1s"], check=True, capture_output=True)
    told = subprocess.check_output([*wrk, f"-d{seconds}s"], text=True)
    assert "Non-2xx" not in told, told
    value, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", told)[0]
    rate = float(re.findall(r"Requests/sec:\s+([\d.]+)", told)[0])
    return rate, float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit], group_size(admin_port)


def group_size(admin_port: int) -> float:
    try:
        text = httpx.get(f"http://127.0.0.1:{admin_port}/metrics").text
    except httpx.TransportError:
        return 0.0
    (answered,) = re.findall(r'requests_total\{call="analytics.device-register",status="200"\} ([\d.]+)', text)
    (groups,) = re.findall(r"^devicesync_api_log_groups_total ([\d.]+)", text, re.MULTILINE)
    return float(answered) / float(groups)


@contextmanager
def process(words: list[str], directory: str, port: int, **variables: str) -> Iterator[int]:
    """A server process on `port`; the port of its admin side."""
    (admin_port,) = free_ports(1)
    places = {"DEVICESYNC_LISTEN": f"127.0.0.1:{port}", "DEVICESYNC_ADMIN_LISTEN": f"127.0.0.1:{admin_port}"}
    started = subprocess.Popen(
        [sys.executable, *words], cwd=directory, env={**os.environ, **places, **variables}, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        yield admin_port
    finally:
        started.terminate()
        started.wait()


@contextmanager
def served(words: list[str], directory: str, **variables: str) -> Iterator[tuple[httpx.Client, int]]:
    (port,) = free_ports(1)
    with (
        process(["-m", "devicesync", *words], directory, port, **variables) as admin_port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        yield client, admin_port


def wait_for(port: int) -> None:
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}/")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return


def read_your_write(where: str, client: httpx.Client, aim_ms: int) -> None:
    took_ms = []
    for number in range(ROUNDS + 100):
        name = f"device-{number % 97}"
        began = time.perf_counter()
        version = client.post(f"/v1/device/register/{name}", json=BODY).json()["result"]["version"]
        found = client.get(f"/v1/device/profile/{name}", params={"min_version": version}).json()["result"]
        assert found["version"] == version
        took_ms.append((time.perf_counter() - began) * 1000)
        time.sleep(PAUSE_SECONDS)
    took_ms = sorted(took_ms[100:])
    more = f"p50 {took_ms[ROUNDS // 2]:.1f} ms, max {took_ms[-1]:.1f} ms"
    tell(f"register, then readable at its version, {where}, p99", took_ms[int(ROUNDS * 0.99)], "ms", most=aim_ms, more=more)


def over_the_stack() -> None:
    directory = Path(tempfile.mkdtemp())
    cache, log, database = Redis(directory / "redis"), Kafka(directory / "kafka"), Cassandra(directory / "cassandra")
    try:
        for server in (cache, log, database):
            server.start()
        variables = {
            "DEVICESYNC_LOG": f"kafka://127.0.0.1:{log.port}/bench",
            "DEVICESYNC_CACHE": f"redis://127.0.0.1:{cache.port}/2",
            "DEVICESYNC_DATABASE": f"cassandra://127.0.0.1:{database.port}/bench",
        }
        subprocess.run([sys.executable, "-m", "devicesync", "init"], check=True, env={**os.environ, **variables}, cwd=directory)
        updater = subprocess.Popen(
            [sys.executable, "-m", "devicesync", "update"],
            env={**os.environ, **variables},
            cwd=directory,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(8)
        with served(["api"], str(directory), **variables) as (client, _):
            read_your_write("over Kafka, Redis and Cassandra", client, 40)
        updater.terminate()
        updater.wait()
    finally:
        for server in (cache, log, database):
            server.stop()
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
