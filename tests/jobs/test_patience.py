"""What is said while something is waited for."""

import gc
import threading
import weakref

import pytest
from structlog.testing import capture_logs

from devicesync.database.cassandra.driver import Failed, succeeded
from devicesync.errors import Unavailable
from devicesync.jobs.shared import patience
from devicesync.jobs.shared.patience import Patience, let_go, waited_for


class Batch:
    """Something that can be seen to be gone."""


def test_waiting_is_said_again_and_again_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, then with growing pauses, always since when; then that it goes on."""
    monkeypatch.setattr(patience, "_FIRST_SILENCE_SECONDS", 0.1)
    monkeypatch.setattr(patience, "_LONGEST_WAIT_SECONDS", 0.01)
    calls = 0

    def call() -> str:
        nonlocal calls
        calls += 1
        if len(said) < 4:
            assert waited_for() == ("Kafka is unreachable" if said else "")
            raise Unavailable("Kafka is unreachable", "check it")
        return "done"

    with capture_logs() as said:
        assert Patience(threading.Event()).until_it_works(call) == "done"
    assert waited_for() == ""
    *waiting, end = said
    assert [line["event"] for line in waiting] == ["waiting"] * 4
    assert len({line["since"] for line in waiting}) == 1
    assert calls > 4  # not every attempt is said
    assert end["event"] == "going on"
    assert end["waited_seconds"] >= 0.6  # 0.1, 0.2 and 0.4 s of silence


def test_what_failed_is_forgotten_at_once() -> None:
    """An error that holds itself keeps all that its call held, until the garbage collector comes, which jobs keep calm.

    redis-py keeps one in a variable when nobody listens at the server's port.
    """
    held: list[weakref.ref[Batch]] = []

    def write() -> int:
        batch = Batch()
        held.append(weakref.ref(batch))
        try:
            return len(succeeded(Failed("no") if len(held) < 4 else [()]))
        except Failed as error:
            kept = error
        raise kept

    def failing() -> int:
        try:
            return write()
        except Failed as error:
            raise Unavailable("no") from error

    gc.disable()
    try:
        assert Patience(threading.Event()).until_it_works(failing) == 1
        assert [each() for each in held] == [None] * 4
    finally:
        gc.enable()


def test_errors_that_are_each_other_s_cause_are_let_go() -> None:
    """As when one that was kept is raised again."""
    one, other = Unavailable("one"), Unavailable("other")
    one.__cause__, other.__cause__ = other, one
    let_go(one)
