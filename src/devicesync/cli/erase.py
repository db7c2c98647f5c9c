"""`erase`: forgets a device, for good."""

import sys

import click

from devicesync.cli.options import as_json, print_json, with_settings
from devicesync.config import Loaded
from devicesync.errors import WrongUse


@click.command()
@click.argument("device_id")
@with_settings
@as_json
def erase(device_id: str, loaded: Loaded, as_json: bool) -> None:
    """Erase DEVICE_ID: writes a versioned erase into the log, and returns when both stores have it.

    Replaying an older registration never brings the device back; a newer registration starts its profile anew.
    """
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import delivering  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.erase import erase as erase_device  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.patience import Stopped  # noqa: PLC0415 - --help needs none of it
    from devicesync.law import Refused  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    stop = stop_on_signals()
    with delivering(loaded.settings, "erase", stop) as delivery:
        try:
            version = erase_device(
                device_id, adapters.open_cache(loaded.settings), adapters.open_database(loaded.settings), delivery
            )
        except Refused as refused:
            raise WrongUse(f"not a device id: {refused.detail}") from None
        except Stopped:
            click.echo("devicesync: stopped before both stores had the erase; it is in the log if anything is", err=True)
            sys.exit(130)
    print_json({"device_id": device_id, "version": version}) if as_json else click.echo(
        f"{device_id} is erased, version {version}"
    )
