"""`simulate`: writes realistic registrations."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded, Settings

_BATCH = 500
_TICK_SECONDS = 0.02


@click.command()
@with_settings
@as_json
@click.option("--count", type=click.IntRange(min=0), help="Stop after so many registrations. [never]")
@click.option("--devices", type=click.IntRange(min=1), default=1000, show_default=True, help="How many devices take part.")
@click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), help="Registrations a second. [100, with --count as fast as possible]"
)
@click.option(
    "--bad", type=click.FloatRange(0, 1), default=0.01, show_default=True, help="The share of records that are invalid."
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same devices.")
@click.option(
    "--start-ms", type=int, help="The time of the first registration, in ms; one a ms from there. [the last one is now]"
)
@click.option("--to", metavar="FILE|-", help="Write lines to a file or stdout. [into the log]")
def simulate(
    loaded: Loaded,
    as_json: bool,
    count: int | None,
    devices: int,
    rate: float | None,
    bad: float,
    seed: int,
    start_ms: int | None,
    to: str | None,
) -> None:
    """Write realistic registrations: moving devices, legacy forms, a share of bad records.

    They go into the log, from where a running `up` or `update` takes them; or with --to into a file for `apply`.
    """
    from devicesync.cli.process import progress_bar, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.simulate import Simulation  # noqa: PLC0415 - --help needs none of it

    simulation = Simulation(seed=seed, devices=devices, bad_share=bad)
    stop = stop_on_signals()
    if rate is None and count is None:
        rate = 100.0
    began_ms, began = time.time_ns() // 1_000_000, time.monotonic()
    if not rate:
        began_ms = start_ms or began_ms - (count or 0)
    written = 0
    with _sink(loaded.settings, to) as write, progress_bar("simulate", count, "records") as advance:
        while not stop.is_set() and written != count:
            due = int((time.monotonic() - began) * rate) if rate else written + _BATCH
            size = min(due - written, _BATCH, (count or sys.maxsize) - written)
            steps = [int((time.monotonic() - began) * 1000)] * size if rate else range(written, written + size)
            write([simulation.record(began_ms + step) for step in steps])
            written += size
            advance(size)
            if rate:
                stop.wait(_TICK_SECONDS)
    if as_json and to != "-":
        print_json({"written": written})
    else:
        click.echo(f"{written} registrations written", err=True)


@contextmanager
def _sink(settings: Settings, to: str | None) -> Iterator[Callable[[list[bytes]], object]]:
    if to is None:
        from devicesync import adapters, hold  # noqa: PLC0415 - only where it goes into the log

        hold.prepare(settings.directory)
        journal = adapters.open_journal(settings)
        yield lambda values: journal.append(values) if values else None
        journal.close()
        return
    file = sys.stdout.buffer if to == "-" else Path(to).open("wb")  # noqa: SIM115 - closed below
    yield lambda values: file.writelines(value + b"\n" for value in values)
    file.flush()
    if to != "-":
        file.close()
