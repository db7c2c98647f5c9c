"""What is said while something is waited for."""

import threading

import pytest
from structlog.testing import capture_logs

from devicesync.errors import Unavailable
from devicesync.jobs.shared import patience
from devicesync.jobs.shared.patience import Patience, waited_for


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
