"""What is waited for is said, and said again."""

import threading

import pytest
from structlog.testing import capture_logs

from devicesync.errors import Unavailable
from devicesync.jobs.patience import Patience


def test_what_is_waited_for_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not once in nine minutes, nor at every try."""
    monkeypatch.setattr(Patience, "say_again_seconds", 0.2)
    tries = 0

    def call() -> int:
        nonlocal tries
        tries += 1
        if tries < 6:
            raise Unavailable("no credentials")
        return tries

    with capture_logs() as lines:
        assert Patience(threading.Event()).until_it_works(call) == 6
    told = [line["event"] for line in lines]
    assert told[:2] == ["waiting", "waiting"]
    assert (told.count("waiting") < 5, told[-1]) == (True, "going on")
