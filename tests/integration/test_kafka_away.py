"""Kafka is not there, goes away, comes back, or lacks the topic: it is said, and so is the way back."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock
from unittest.mock import Mock

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from devstack.server import free_ports
from devstack.servers import Kafka

from devicesync.errors import Unavailable
from devicesync.log.kafka import KafkaLog, KafkaReader, KafkaUrl, admin, commits, contact, member
from devicesync.log.kafka import reader as reader_module
from devicesync.log.kafka.admin import create_topics
from tests import servers
from tests.end_to_end.command import FROZEN_AT_ASSIGNMENT, Devicesync, is_frozen, stopped, until
from tests.integration.real import Real, finish

if TYPE_CHECKING:
    import subprocess

COMMANDS = [("update",), ("backup", "run", "--to", "backup")]


@pytest.fixture
def devicesync(tmp_path: Path) -> Iterator[Devicesync]:
    commands = Devicesync(tmp_path)
    yield commands
    commands.stop_all()


def line_with(process: "subprocess.Popen[str]", text: str, *, without: str = "\0") -> str:
    """The next line on stderr that holds the text."""
    assert process.stderr
    lines = []
    try:
        for line in process.stderr:
            lines.append(line)
            assert without not in line
            if text in line:
                return line
    except BaseException as error:
        error.add_note(f"{text!r} did not come; so far: {lines}")
        raise
    raise AssertionError(f"ended without {text!r}: {lines}")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_dead_address_is_said(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """With the address and since when; SIGTERM ends it well."""
    (port,) = free_ports(1)
    process = devicesync.start(*command, "--log", f"kafka://127.0.0.1:{port}/t")
    line = line_with(process, "Kafka is unreachable")
    assert f"127.0.0.1:{port}" in line
    assert "since" in line
    assert stopped(process) == 0


def test_ship_says_what_it_cannot_reach(devicesync: Devicesync) -> None:
    """A dead address and a missing topic, before there is anything to ship."""
    (port,) = free_ports(1)
    process = devicesync.start("ship", "--ship-to", f"kafka://127.0.0.1:{port}/t")
    assert f"127.0.0.1:{port}" in line_with(process, "Kafka is unreachable")
    assert stopped(process) == 0
    process = devicesync.start("ship", "--ship-to", f"kafka://127.0.0.1:{servers.own_kafka().port}/missing-ship")
    line_with(process, "has no topic missing-ship")
    assert stopped(process) == 0


@pytest.mark.parametrize("command", COMMANDS)
def test_a_broker_that_goes_away_and_comes_back(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """Both are said, also where nothing comes to be read."""
    kafka = servers.own_kafka()
    url = f"kafka://127.0.0.1:{kafka.port}/away-{command[0]}"
    create_topics(KafkaUrl.parse(url), partitions=2)
    process = devicesync.start(*command, "--log", url)
    kafka.stop()
    try:
        assert f"127.0.0.1:{kafka.port}" in line_with(process, "Kafka is unreachable")
    finally:
        kafka.start()
    line_with(process, "going on")
    assert stopped(process) == 0


def test_what_a_backup_asks_of_a_broker_that_went_away_fails_with_its_address() -> None:
    """Also while partitions are being assigned: then nothing is polled, and nobody else looks whether it is there."""
    kafka = servers.own_kafka()
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{kafka.port}/away-asked")
    create_topics(url, partitions=1)
    with closing(KafkaLog(url, "backup")) as log, closing(log.full_reader("backup", Mock())) as reader:
        assert reader.bounds(0) == (0, 0)
        kafka.stop()
        try:
            for ask in (reader.identity, partial(reader.bounds, 0)):
                with pytest.raises(Unavailable, match=f"Kafka is unreachable, 127.0.0.1:{kafka.port}"):
                    ask()
        finally:
            kafka.start()


@contextmanager
def with_a_commit_due(topic: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Kafka, KafkaReader]]:
    """A reader that has polled a record. Its commit waits for half a second."""
    monkeypatch.setattr(commits, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(
        reader_module, "_COMMIT_SECONDS", 0.0
    )  # a reader that has just committed, as at its beginning, puts the next off
    kafka = servers.own_kafka()
    url = KafkaUrl.parse(f"kafka://127.0.0.1:{kafka.port}/{topic}")
    create_topics(url, partitions=1)
    with closing(KafkaLog(url, "updater")) as log, closing(log.reader("updater")) as reader:
        log.append([b"a"])
        until(lambda: bool(reader.poll(1, 0.2)))
        yield kafka, reader


def answered(reader: KafkaReader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its commit is, by a broker that is there again. Then it leaves its group when it closes."""
    monkeypatch.setattr(commits, "_ANSWER_SECONDS", 60.0)
    reader.commit()


def test_a_commit_to_a_silent_broker_fails_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client itself would wait for a minute, or without end, without a word, and a stop signal would wait as long."""
    with with_a_commit_due("silent-commit", monkeypatch) as (kafka, reader):
        kafka.pause()
        try:
            with ThreadPoolExecutor(1) as threads, pytest.raises(Unavailable, match="can't commit"):
                threads.submit(reader.commit).result(40)
        finally:
            kafka.resume()
        answered(reader, monkeypatch)


def test_who_just_waited_for_a_commit_in_vain_asks_nobody_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question took 5 s more. Once a commit has its answer, the group is left as ever."""
    with with_a_commit_due("silent-close", monkeypatch) as (kafka, reader):
        kafka.pause()
        try:
            with pytest.raises(Unavailable, match="can't commit"):
                reader.commit()
            with mock.patch.object(AdminClient, "list_topics") as asked:
                assert reader._member.is_lost()
            assert asked.call_count == 0
        finally:
            kafka.resume()
        answered(reader, monkeypatch)
        assert not reader._member.is_lost()
        reader.close()  # `up` does so before its API has ended, and again with all that it opened


def test_who_reaches_nobody_leaves_its_client_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python freed it at the process' end, and that waited a minute for the broker."""
    freed: list[int] = []

    class Told(Consumer):
        def __del__(self) -> None:
            freed.append(1)

    monkeypatch.setattr(contact, "_TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(member, "Consumer", Told)
    (port,) = free_ports(1)
    KafkaReader(KafkaUrl.parse(f"kafka://127.0.0.1:{port}/t"), "updater").close()
    gc.collect()
    assert not freed


def test_making_topics_at_a_broker_that_just_fell_silent_fails_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has said what topics it has, and not that it made one."""
    monkeypatch.setattr(admin, "_TIMEOUT_SECONDS", 1.0)
    kafka = servers.own_kafka()
    made = AdminClient.create_topics

    def silent(*arguments: Any, **settings: Any) -> Any:
        kafka.pause()
        return made(*arguments, **settings)

    monkeypatch.setattr(AdminClient, "create_topics", silent)
    try:
        with pytest.raises(Unavailable, match="can't make topics in Kafka"):
            create_topics(KafkaUrl.parse(f"kafka://127.0.0.1:{kafka.port}/silent-made"), partitions=1)
    finally:
        kafka.resume()


@pytest.mark.parametrize("comes_back", [True, False])
def test_a_broker_that_falls_silent_while_a_backup_is_given_its_partitions(devicesync: Devicesync, *, comes_back: bool) -> None:
    """It takes requests and answers none. It is said; what was given is read when it is back; SIGTERM ends the waiting well."""
    kafka = servers.own_kafka()
    url = f"kafka://127.0.0.1:{kafka.port}/silent-{comes_back}"
    create_topics(KafkaUrl.parse(url), partitions=2)
    with closing(KafkaLog(KafkaUrl.parse(url), "devicesync")) as log:
        log.append([b"a", b"b", b"c"])
    words = ("backup", "run", "--to", "backup", "--log", url)
    process = devicesync.start(*words, by=FROZEN_AT_ASSIGNMENT)
    until(lambda: is_frozen(process))
    kafka.pause()
    try:
        os.kill(process.pid, signal.SIGCONT)
        line = line_with(process, "Kafka is unreachable")
        assert f"127.0.0.1:{kafka.port}" in line
        assert "since" in line
        if not comes_back:
            assert stopped(process) == 0
    finally:
        kafka.resume()
    if comes_back:
        line_with(process, "going on")
        assert stopped(process) == 0
    devicesync.run(*words, "--until-caught-up")
    assert devicesync.json("backup", "verify", "--in", "backup")["records"] == 3


@pytest.mark.parametrize("command", COMMANDS)
def test_a_missing_topic_is_said_until_it_is_there(devicesync: Devicesync, command: tuple[str, ...]) -> None:
    """It does not go on before."""
    url = f"kafka://127.0.0.1:{servers.own_kafka().port}/missing-{command[0]}"
    process = devicesync.start(*command, "--log", url)
    line_with(process, f"missing-{command[0]}", without="going on")
    create_topics(KafkaUrl.parse(url), partitions=2)
    line_with(process, "going on", without="no topic")
    assert stopped(process) == 0


def test_producers_and_updaters_wait_for_it() -> None:
    """And then both stores equal the law."""
    with closing(Real(kafka=servers.own_kafka())) as real:
        real.start_updater()
        real.load().join()
        real.kafka.stop()
        time.sleep(1)
        real.kafka.start()
        real.load(count=500, seed=2).join()
        finish(real)
