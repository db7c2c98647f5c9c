"""/readyz while Redis is frozen and Kafka away."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devicesync.log.kafka import KafkaUrl
from devicesync.log.kafka.admin import create_topics
from tests import servers
from tests.api.test_http import BODY, REGISTER
from tests.end_to_end.command import Devicesync, stopped, until
from tests.end_to_end.test_readiness import admin_of, lacking


@pytest.fixture
def devicesync(tmp_path: Path) -> Iterator[Devicesync]:
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()


def test_a_frozen_redis(devicesync: Devicesync) -> None:
    """It does not answer, so the service is not ready, until it goes on."""
    redis = servers.redis()
    process = devicesync.start("up", "--cache", f"redis://127.0.0.1:{redis.port}/3", ready=False)
    with admin_of(process) as admin:
        until(lambda: lacking(admin) == {})
        redis.pause()
        try:
            until(lambda: lacking(admin).keys() == {"cache"})
        finally:
            redis.resume()
        until(lambda: lacking(admin) == {})
    assert stopped(process) == 0


def test_kafka_away_and_back(devicesync: Devicesync) -> None:
    """One registration is answered 503 meanwhile; when Kafka is back it is ready, though nobody registers."""
    kafka = servers.own_kafka()
    url = f"kafka://127.0.0.1:{kafka.port}/ready"
    create_topics(KafkaUrl.parse(url), partitions=1)
    devicesync.run("init", "--log", url)
    process = devicesync.start("api", "--log", url, ready=False)
    assert process.stderr
    public, private = re.findall(r"http://[0-9.]+:[0-9]+", process.stderr.readline())
    with httpx.Client(base_url=private, timeout=60) as admin:
        until(lambda: lacking(admin) == {})
        kafka.stop()
        try:
            assert httpx.post(f"{public}{REGISTER}d", json=BODY, timeout=60).status_code == 503
            assert "log" in lacking(admin)
        finally:
            kafka.start()
        until(lambda: lacking(admin) == {})
    assert stopped(process) == 0
