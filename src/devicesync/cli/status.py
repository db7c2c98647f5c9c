"""`status`: the page's figures on a terminal."""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from devicesync.cli.outcome import Outcome
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.printable import printable

_EVERY_SECONDS = 1.0


def status_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `status`."""
    parser.add_argument("--admin-listen", metavar="HOST:PORT", help="the admin port to ask [127.0.0.1:9464]")
    parser.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")


def status(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Show the figures of a running command: freshness, rate, lag, and what was refused.

    It asks the admin port of `up` or `api`, or that of another command. Exit status 3 when nothing answers there, or when the
    command that answers lacks something that it needs.
    """
    from devicesync.assembly.status import address_of, status_at

    address = address_of(settings)
    if arguments.watch:
        if arguments.json:
            raise WrongUse("--watch is for people", "call `devicesync status --json` as often as you need it")
        _watch(address)
        return Outcome()
    found = status_at(address)
    return Outcome(found, [*_lines(found)], status=0 if found["ready"] else 3)


def _watch(address: str) -> None:
    """On a terminal the figures move in their place; in a pipe they come one after the other."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    from devicesync.assembly.status import status_at
    from devicesync.errors import Unavailable

    def now() -> Text:
        try:
            lines = [*_lines(status_at(address))]
        except Unavailable as error:
            lines = [str(error), f"  hint: {error.hint}"]
        return Text("\n".join(map(printable, lines)))

    console = Console()
    try:
        if not sys.stdout.isatty():
            while True:
                console.print(now())
                SYSTEM.sleep(_EVERY_SECONDS)
        with Live(now(), console=console, auto_refresh=False) as live:
            while True:
                SYSTEM.sleep(_EVERY_SECONDS)
                live.update(now(), refresh=True)
    except KeyboardInterrupt:
        return


def _lines(found: dict[str, Any]) -> Iterator[str]:
    from devicesync.status.words import milliseconds, nines

    yield f"devicesync {found['command']} {found['version']}: {'ready' if found['ready'] else 'not ready'}"
    yield from (f"  {name:<12}{what}" for name, what in found["uses"].items())
    for name, reason in found["lacking"].items():
        yield f"  {name:<12}{reason}"
    if spread := found["freshness"]:
        times = [f"{name} {milliseconds(spread[f'{name}_ms'])}" for name in ("p50", "p99", "max")] if spread["records"] else ["–"]
        yield f"  {'freshness':<12}{', '.join(times)} (last minute)"
        yield f"  {'rate':<12}{found['events_per_second']:,.2f} events/s"
    if lag := found["lag"]:
        oldest = f", the oldest {milliseconds(lag['seconds'] * 1000)} old" if lag["records"] else ""
        held = f"; {lag['held']:,.0f} of them lie behind an open transaction" if lag.get("held") else ""
        yield f"  {'lag':<12}{lag['records']:,.0f} records{oldest}{held}"
    for name, count in found["totals"].items():
        yield f"  {name.replace('_', ' '):<12}{count:,.0f}"
    if found["refused"] is not None:
        reasons = ", ".join(f"{reason} {count:,.0f}" for reason, count in sorted(found["refused"].items()))
        yield f"  {'refused':<12}{sum(found['refused'].values()):,.0f}" + (f" ({reasons})" if reasons else "")
    if audit := found["audit"]:
        agreeing = f"at least {nines(audit['bound_95'])} agree at 95 %, " if audit["bound_95"] is not None else ""
        yield f"  {'audit':<12}{agreeing}{audit['differing']:,} of {audit['checked']:,} differ"
