"""examples/telemetry, each on real servers."""

import asyncio
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from devicesync.assembly.opening import open_cache
from tests import servers
from tests.end_to_end.command import WAIT_SECONDS, Devicesync
from tests.integration.test_enricher import event, register

EXAMPLES = Path(__file__).parents[2] / "examples" / "telemetry"
DATABASE = 9
SPARK = Path(sys.prefix) / "spark"
"""Where `make spark` puts it: beside everything else, for this test alone."""
JOB = """\
import sys
from pyspark.sql import SparkSession
from spark import enrich

session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
events = session.sparkContext.parallelize([(line.encode(),) for line in sys.stdin.read().splitlines()], 2)
for row in events.toDF("value binary").mapInArrow(enrich, "value binary").collect():
    print(bytes(row.value).decode())
"""


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a Redis that knows the device d1."""
    url = f"redis://127.0.0.1:{servers.redis().port}/{DATABASE}"
    cache = open_cache(url)
    cache.forget(["d1"])
    register(cache, 1, city="Mysuru")
    cache.close()
    monkeypatch.setenv("REDIS_URL", url)
    monkeypatch.syspath_prepend(EXAMPLES)
    yield url
    for name in ("spark", "web_handler"):
        sys.modules.pop(name, None)


def test_the_consumer_loop(url: str) -> None:
    kafka = f"127.0.0.1:{servers.kafka().port}"
    topics = ("loop.unique", "loop.denorm")
    admin = AdminClient({"bootstrap.servers": kafka})
    for made in admin.create_topics([NewTopic(topic, 1, 1) for topic in topics]).values():
        made.result()
    producer = Producer({"bootstrap.servers": kafka})
    for device_id in ["d1"] * 9 + ["nobody"]:
        producer.produce(topics[0], event(device_id))
    assert producer.flush(30) == 0
    command: list[str | Path] = [sys.executable, EXAMPLES / "consumer_loop.py", kafka, *topics, url, "10"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True, timeout=WAIT_SECONDS).stdout
    assert shown.startswith("10 events, ")
    assert shown.endswith(" 1 of unknown ones\n")


@pytest.mark.usefixtures("url")
def test_the_function_for_spark() -> None:
    """Called as Spark calls it: with an iterator of record batches."""
    spark = importlib.import_module("spark")
    batches = [pa.RecordBatch.from_pydict({"value": [event(), event("nobody")]})] * 2
    done = [value for batch in spark.enrich(iter(batches)) for value in batch.column("value").to_pylist()]
    assert [json.loads(value)["flags"]["device_denorm"] for value in done] == [True, False] * 2
    spark.enricher().close()


def test_in_spark(url: str, tmp_path: Path) -> None:
    """The same function in Spark's own Python workers: two partitions, each with what is known and what is not."""
    if not SPARK.exists():
        servers.lack("Spark is not installed; `make spark` gets it, 700 MB")
    job = tmp_path / "job.py"
    job.write_text(JOB)
    variables = {
        "PYTHONPATH": f"{SPARK}{os.pathsep}{EXAMPLES}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "REDIS_URL": url,
    }
    sent = [event(device_id) for device_id in ("d1", "nobody", "d1")]
    done = subprocess.run(
        [sys.executable, job], input=b"\n".join(sent), env=os.environ | variables, capture_output=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["flags"]["device_denorm"] for each in told] == [True, False, True]
    assert [each.get("devicedata", {}).get("city") for each in told] == ["Mysuru", None, "Mysuru"]


@pytest.mark.usefixtures("url")
def test_the_web_handler() -> None:
    app: Any = importlib.import_module("web_handler").app

    async def run() -> None:
        transport = httpx.ASGITransport(app)
        async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            found = await client.get("/devices/d1")
            assert (found.status_code, found.json()["devicedata"]["city"]) == (200, "Mysuru")
            assert (await client.get("/devices/nobody")).status_code == 404
            lines = (await client.post("/telemetry", content=event() + b"\n" + event("nobody") + b"\n")).text.splitlines()
            assert [json.loads(line)["flags"]["device_denorm"] for line in lines] == [True, False]

    asyncio.run(run())


def two_cities(devicesync: Devicesync, later_ms: int) -> "subprocess.CompletedProcess[str]":
    command: list[str | Path] = [
        sys.executable,
        EXAMPLES / "two_cities.py",
        devicesync.directory / "devicesync.toml",
        str(later_ms),
    ]
    return subprocess.run(command, cwd=devicesync.directory, check=False, capture_output=True, text=True, timeout=WAIT_SECONDS)


def test_two_cities(devicesync: Devicesync) -> None:
    """What `make stack` shows in 100 ms; a busy machine gets longer."""
    done = two_cities(devicesync, later_ms=3000)
    assert done.returncode == 0, done.stderr
    assert "registered in Bengaluru; telemetry says Bengaluru:" in done.stdout
    assert "registered in Mysuru; telemetry says Mysuru:" in done.stdout


def test_two_cities_says_so_where_the_second_does_not_show(devicesync: Devicesync) -> None:
    """Here no time is given at all; on a machine that is quicker than that it ends well."""
    done = two_cities(devicesync, later_ms=0)
    shows = "registered in Mysuru; telemetry says Mysuru:" in done.stdout
    assert (done.returncode, "give more" in done.stderr) == ((0, False) if shows else (1, True))
