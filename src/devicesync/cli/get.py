"""`get`: prints a device's profile. Nothing heavy is loaded here: people and scripts call it often."""

import argparse

from devicesync.cli.options import id_argument
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def get_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `get`."""
    parser.add_argument("device_id", metavar="DEVICE_ID", type=id_argument)
    text = "the cache, filled from the database on a miss, or the database alone [cache]"
    parser.add_argument("--from", dest="store", choices=["cache", "database"], default="cache", help=text)


def get(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Print the profile of DEVICE_ID. Exit status 1 when the device is not known, or erased."""
    from devicesync.assembly.profile import find
    from devicesync.law.profile import view
    from devicesync.status.words import milliseconds, value_text

    device_id: str = arguments.device_id
    state, left_ms = find(device_id, settings, arguments.store)
    document = view(device_id, state)
    if left_ms is not None:
        document["expires_in_ms"] = left_ms
    if document["erased"]:
        return Outcome(document, remark=f"{device_id} is erased, version {document['version']}", status=1)
    if document["profile"] is None:
        return Outcome(document, remark=f"{device_id} is not known", status=1)
    lines = [f"{device_id}  version {document['version']}  digest {document['digest'][:16]}…"]
    lines += [f"  {name:<24}{value_text(value)}" for name, value in sorted(document["profile"].items())]
    if left_ms is not None:
        lines.append(f"the cache forgets it in {milliseconds(left_ms)} unless it changes; the database does not")
    return Outcome(document, lines)
