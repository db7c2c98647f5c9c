"""`get`: prints a device's profile. Nothing heavy is loaded here: people and scripts call it often."""

import argparse
from typing import TYPE_CHECKING

from devicesync.cli.options import id_argument, print_json, say, settings_of, show
from devicesync.config import Settings

if TYPE_CHECKING:
    from devicesync.law.state import State


def get_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `get`."""
    parser.add_argument("device_id", metavar="DEVICE_ID", type=id_argument)
    parser.add_argument(
        "--from",
        dest="store",
        choices=["cache", "database"],
        default="cache",
        help="the cache, filled from the database on a miss, or the database alone [cache]",
    )


def get(arguments: argparse.Namespace) -> int:
    """Print the profile of DEVICE_ID. Exit status 1 when the device is not known, or erased."""
    from devicesync.law.profile import view  # noqa: PLC0415 - --help needs none of it

    device_id: str = arguments.device_id
    document = view(device_id, _state(device_id, settings_of(arguments).settings, arguments.store))
    if arguments.json:
        print_json(document)
    elif document["erased"]:
        say(f"{device_id} is erased, version {document['version']}")
    elif document["profile"] is None:
        say(f"{device_id} is not known")
    else:
        show(f"{device_id}  version {document['version']}  digest {document['digest'][:16]}…")
        for name, value in sorted(document["profile"].items()):
            show(f"  {name:<24}{_text(value)}")
    return 0 if document["profile"] else 1


def _text(value: str | int | dict[str, str]) -> str:
    return ", ".join(f"{key}={entry}" for key, entry in value.items()) if isinstance(value, dict) else str(value)


def _state(device_id: str, settings: Settings, store: str) -> "State":
    from devicesync import adapters, data_directory  # noqa: PLC0415 - --help needs none of it
    from devicesync.law.state import NOTHING  # noqa: PLC0415 - --help needs none of it

    data_directory.check_format(settings.directory)
    if not adapters.database_exists(settings):
        return NOTHING
    database = adapters.open_database(settings, read_only=True)
    if store == "database":
        return database.read([device_id]).get(device_id, NOTHING)
    from devicesync.stores import Stores  # noqa: PLC0415 - --help needs none of it

    return Stores(adapters.open_cache(settings), database).read(device_id)
