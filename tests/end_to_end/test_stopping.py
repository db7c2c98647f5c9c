"""A stop signal at any moment is a clean stop, start-up included."""

import json
import signal
import subprocess
import sys
import time

import pytest

from tests.end_to_end.command import WAIT_SECONDS, Devicesync, catches, until

MOMENTS = [moment / 10 for moment in range(11)]
"""Seconds after the handler stands; on any machine some of them lie in the start-up and some after it."""


@pytest.mark.parametrize("command", ["up", "update"])
@pytest.mark.parametrize(("number", "moments"), [(signal.SIGTERM, MOMENTS), (signal.SIGINT, MOMENTS[::4])], ids=["TERM", "INT"])
def test_a_stop_signal_in_the_first_second(
    devicesync: Devicesync, command: str, number: signal.Signals, moments: list[float]
) -> None:
    """Exit status 0 at every moment, without a traceback."""
    for moment in moments:
        process = devicesync.start(command, ready=False, whole=True)
        until(lambda: catches(process.pid, signal.SIGTERM))  # noqa: B023 - used at once
        time.sleep(moment)
        process.send_signal(number)
        _, told = process.communicate()
        assert process.returncode == 0, (moment, told)
        assert "Traceback" not in told


def test_a_stop_signal_for_workers_that_start(devicesync: Devicesync) -> None:
    """Exit status 0 too, whether the workers stand already or not, and none of them stays."""
    for moment in MOMENTS[::4]:
        process = devicesync.start("update", "--workers", "2", "--log", "kafka://127.0.0.1:1/t", ready=False, whole=True)
        until(lambda: catches(process.pid, signal.SIGTERM))  # noqa: B023 - used at once
        time.sleep(moment)
        process.terminate()
        _, told = process.communicate()  # ends when the last worker has closed its end
        assert process.returncode == 0, (moment, told)


def test_a_command_that_waits_for_an_updater_is_stopped(devicesync: Devicesync) -> None:
    """Exit status 130 and one line: nothing is wrong, but not all is done."""
    updater = devicesync.start("up")
    updater.send_signal(signal.SIGSTOP)
    event = devicesync.directory / "event.json"
    event.write_text(json.dumps({"device_id": "d", "version": time.time_ns() // 1000}))
    process = devicesync.start("apply", event, ready=False, whole=True)
    until(lambda: catches(process.pid, signal.SIGTERM))
    process.terminate()
    _, told = process.communicate()
    assert process.returncode == 130
    assert told == "devicesync: stopped; apply the file again to finish it, what was done stays done\n"


def test_a_stop_signal_while_the_event_is_looked_at() -> None:
    """A job waits with the event that the signal sets, and now and then has its lock just then: it ended with kill -9 only."""
    code = (
        "import os, signal; from devicesync.cli.process import stop_on_signals; stop = stop_on_signals()\n"
        "with stop._cond: os.kill(os.getpid(), signal.SIGTERM)\n"
        "assert stop.wait(60) and stop.why == 'SIGTERM'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_SECONDS)


def test_a_stop_waits_for_no_frozen_server() -> None:
    """An updater whose Cassandra was frozen took 57 s: each call may take 10 s, and a batch has many."""
    code = (
        "import os, signal, time; from devicesync.cli.process import stop_on_signals; stop_on_signals(most_seconds=0.1)\n"
        "os.kill(os.getpid(), signal.SIGTERM); time.sleep(1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=WAIT_SECONDS, capture_output=True, text=True)
    assert "stopped without waiting any longer" in done.stdout + done.stderr


def test_the_handlers_stand_before_anything_is_loaded() -> None:
    """What is loaded before them is so little that a signal hardly ever finds none."""
    code = "import sys, devicesync.cli.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {"argparse", "logging", "msgspec", "structlog", "devicesync.config"} & {*loaded}
