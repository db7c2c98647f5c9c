"""`simulate`: writes realistic registrations."""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from devicesync.cli.options import number, print_json, say, settings_of
from devicesync.config import Settings
from devicesync.errors import WrongUse

_BATCH = 500
_TICK_SECONDS = 0.02


def simulate_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `simulate`."""
    add = parser.add_argument
    add("--count", type=number(int, 0), help="stop after so many registrations [never]")
    add("--devices", type=number(int, 1), default=1000, help="how many devices take part [1000]")
    add("--rate", type=number(float, 0.001), help="registrations a second [100; with --count as fast as possible]")
    add("--bad", type=number(float, 0, 1), default=0.01, help="the share of records that are invalid [0.01]")
    add("--seed", type=int, default=1, help="the same seed gives the same devices [1]")
    add("--start-ms", type=int, help="the time of the first registration, in ms; one a ms from there [the last one is now]")
    add("--to", metavar="FILE|-", help="write lines to a file or stdout [into the log]")


def simulate(arguments: argparse.Namespace) -> None:
    """Write realistic registrations: moving devices, legacy forms, a share of bad records.

    They go into the log, from where a running `up` or `update` takes them; or with --to into a file for `apply`.
    """
    from devicesync.cli.process import progress_bar, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.simulation import Simulation  # noqa: PLC0415 - --help needs none of it

    simulation = Simulation(seed=arguments.seed, devices=arguments.devices, bad_share=arguments.bad)
    count: int | None = arguments.count
    rate: float | None = arguments.rate
    stop = stop_on_signals()
    if rate is None and count is None:
        rate = 100.0
    began_ms, began = time.time_ns() // 1_000_000, time.monotonic()
    if not rate:
        began_ms = arguments.start_ms or began_ms - (count or 0)
    written = 0
    with _sink(settings_of(arguments).settings, arguments.to) as write, progress_bar("simulate", count, "records") as advance:
        while not stop.is_set() and written != count:
            due = int((time.monotonic() - began) * rate) if rate else written + _BATCH
            size = min(due - written, _BATCH, (count or sys.maxsize) - written)
            steps = [int((time.monotonic() - began) * 1000)] * size if rate else range(written, written + size)
            write([simulation.record(began_ms + step) for step in steps])
            written += size
            advance(size)
            if rate:
                stop.wait(_TICK_SECONDS)
    if arguments.json and arguments.to != "-":
        print_json({"written": written})
    else:
        say(f"{written} registrations written")


@contextmanager
def _sink(settings: Settings, to: str | None) -> Iterator[Callable[[list[bytes]], object]]:
    if to is None:
        from devicesync import adapters, data_directory  # noqa: PLC0415 - only where it goes into the log
        from devicesync.simulation import key_of  # noqa: PLC0415 - only where it goes into the log

        if not adapters.is_shared(settings):
            data_directory.prepare(settings.directory)
        log = adapters.open_log(settings)
        yield lambda values: log.append(values, [key_of(value) for value in values]) if values else None
        log.close()
        return
    try:
        file = sys.stdout.buffer if to == "-" else Path(to).open("wb")  # noqa: SIM115 - closed below
    except OSError as error:
        raise WrongUse(
            f"can't write {to}: {error.strerror}", "name a file in a directory that is there, or - for stdout"
        ) from None
    yield lambda values: file.writelines(value + b"\n" for value in values)
    file.flush()
    if to != "-":
        file.close()
