"""`enrich`: telemetry from a topic into another, or from a file into another."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING

from devicesync.cli.options import admin_option, log_options, until_caught_up_option
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.url import file_of

if TYPE_CHECKING:
    from devicesync.jobs.enrich import Progress

_USE = "--telemetry-from kafka://HOST:PORT/TOPIC --telemetry-to kafka://HOST:PORT/TOPIC, or --from FILE|- --to FILE|-"


def enrich_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `enrich`."""
    add = parser.add_argument
    add("--telemetry-from", metavar="URL", help="kafka://HOST:PORT/TOPIC with telemetry")
    add("--telemetry-to", metavar="URL", help="kafka://HOST:PORT/TOPIC for enriched telemetry")
    add("--from", dest="source", metavar="FILE", type=file_of, help="a file of JSON lines instead; - is stdin")
    add("--to", dest="target", metavar="FILE", type=file_of, help="the file to write; - is stdout")
    add("--no-stamps", action="store_true", help="leave out devicedata_version and devicedata_age_ms")
    add("--mark-unavailable", action="store_true", help="while Redis is away, pass events on with a mark [they wait]")
    until_caught_up_option(parser)
    log_options(parser)
    admin_option(parser)


def enrich(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    r"""Add devicedata from the cache to telemetry events, and keep every other byte. At least once, in order.

    It reads a Kafka topic and writes another one, with keys, headers and times. Any number of these processes may share the
    topic's partitions. Or it reads a file of JSON lines and writes another one. What is no JSON object goes to the dead
    letters.

        devicesync enrich --cache redis://localhost:6379/2 --telemetry-from kafka://localhost:9092/dev.telemetry.unique \
            --telemetry-to kafka://localhost:9092/dev.telemetry.denorm
    """
    topics, files = (arguments.telemetry_from, arguments.telemetry_to), (arguments.source, arguments.target)
    if all(topics) == all(files) or any(topics) == any(files):
        raise WrongUse("enrich needs to know where telemetry comes from, and where it goes", _USE)
    from devicesync.assembly.enrich import enrich_file, enrich_topic, enricher_of
    from devicesync.cli.process import AGAIN_SECONDS, long_run

    run = long_run("enrich", arguments, AGAIN_SECONDS if all(topics) else None)  # a file is not read again by itself
    stamped, mark = not arguments.no_stamps, arguments.mark_unavailable
    with enricher_of(settings, stamped=stamped, mark_unavailable=mark) as enricher:
        if not all(topics):
            progress = enrich_file(files, settings, enricher, run)
            has_stdout = str(arguments.target) == "-"
            return Outcome(None if has_stdout else progress.document(), remark="\n".join(_lines(progress)))
        progress = enrich_topic(topics, settings, enricher, run)
    return Outcome(progress.document(), remark="\n".join(_lines(progress)))


def _lines(progress: "Progress") -> Iterator[str]:
    yield f"{progress.read} read, {progress.written} written, {progress.dead.total()} refused"
    for reason, count in sorted(progress.dead.items()):
        yield f"  {reason}: {count}"
