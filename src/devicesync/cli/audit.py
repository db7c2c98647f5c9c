"""`audit`: whether cache and database agree, as a figure."""

import argparse
from collections.abc import Callable, Iterator
from itertools import chain, islice

import msgspec

from devicesync.cli.options import admin_option, log_options, number, processes, until_caught_up_option
from devicesync.cli.outcome import Outcome
from devicesync.clock import SYSTEM, date_of
from devicesync.config import Settings

_SHOWN_WITHOUT_LIST = 100
_PRIVATE = "the cache is in the memory of one process: what a reader is filled with was compared instead"


def audit_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `audit`."""
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--sweep", action="store_true", help="compare every device of both stores, then end [this one]")
    how.add_argument("--live", action="store_true", help="follow the log, and look for its events in both stores")
    parser.add_argument("--sample", metavar="N", type=number(int, 1), default=1, help="look at one in N devices, or events [1]")
    parser.add_argument("--repair", action="store_true", help="repair what differs")
    parser.add_argument("--list", action="store_true", help="show each difference, with both sides and their versions")
    sweep = parser.add_argument_group("with --sweep")
    sweep.add_argument("--on", metavar="processes:N", type=processes, default=2, help="N processes at once [processes:2]")
    sweep.add_argument("--rate", metavar="N", type=number(float, 0.001), default=0, help="at most N devices a second [no limit]")
    sweep.add_argument("--restart", action="store_true", help="begin again, instead of going on with an interrupted sweep")
    live = parser.add_argument_group("with --live")
    until_caught_up_option(live)
    admin_option(live)
    log_options(live)


def audit(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Compare what readers see in the cache with what readers see in the database: hashes and rows, both ways.

    --sweep: a difference counts only if it is still there 1 s and 10 s later. An interrupted sweep goes on for 12 hours.
    --live: 1, 10 and 60 s after the log took an event, both stores must be at its version or a newer one, and agree. Exit
    status 1 when a difference is left. docs/audit.md says what each figure means, and what it does not prove.

        devicesync audit --sweep --list
        devicesync audit --sweep --repair --on processes:4 --rate 20000
        devicesync audit --live --sample 10 --repair
    """
    return _follow(arguments, settings) if arguments.live else _sweep(arguments, settings)


def _sweep(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    from devicesync.assembly.audit import Sweep, sweep
    from devicesync.cli.audit_text import shown, summary
    from devicesync.cli.process import Terminal

    began = SYSTEM.monotonic()
    asked = Sweep(arguments.sample, arguments.rate, arguments.repair, arguments.on)
    swept = sweep(asked, settings, Terminal("audit"), restart=arguments.restart)
    seconds = round(SYSTEM.monotonic() - began, 3)
    status = 1 if swept.findings.left else 0
    if arguments.json:
        document = {**swept.findings.document(), "resumed": swept.resumed, "as_of_ms": swept.as_of_ms, "seconds": seconds}
        found = swept.differences if arguments.list else islice(swept.differences, _SHOWN_WITHOUT_LIST)
        document["devices"] = [msgspec.Raw(line) for line in found]
        swept.close()
        return Outcome(document, status=status)
    listed = map(msgspec.json.decode, swept.differences) if arguments.list else ()
    partly = f", partly as of {date_of(swept.as_of_ms)}" if swept.resumed else ""
    lines = chain(
        chain.from_iterable(map(shown, listed)),
        summary(swept.findings, seconds, are_listed=arguments.list, partly=partly),
        _closed(swept.close),
    )
    return Outcome(lines=lines, remark=_PRIVATE if swept.cache_is_private else "", status=status)


def _follow(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    from devicesync.assembly.live_audit import follow
    from devicesync.cli.audit_text import shown, summary
    from devicesync.cli.process import long_run

    began = SYSTEM.monotonic()
    run = long_run("audit", arguments)
    followed = follow(settings, run, one_in=arguments.sample, repairs=arguments.repair, names_devices=arguments.list)
    seconds = round(SYSTEM.monotonic() - began, 3)
    found = [*followed.differences][0 if arguments.list else -_SHOWN_WITHOUT_LIST :]
    document = {**followed.findings.document(), "seconds": seconds, "devices": found}
    listed = chain.from_iterable(map(shown, followed.differences if arguments.list else ()))
    return Outcome(
        document,
        chain(listed, summary(followed.findings, seconds, are_listed=arguments.list)),
        status=1 if followed.findings.left else 0,
    )


def _closed(close: Callable[[], None]) -> Iterator[str]:
    """No lines: what was found is dropped once it is shown."""
    close()
    yield from ()
