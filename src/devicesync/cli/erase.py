"""`erase`: forgets a device, for good."""

import argparse

from devicesync.cli.options import id_argument
from devicesync.cli.outcome import Outcome
from devicesync.config import Settings


def erase_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `erase`."""
    parser.add_argument("device_id", metavar="DEVICE_ID", type=id_argument)


def erase(arguments: argparse.Namespace, settings: Settings) -> Outcome:
    """Erase DEVICE_ID: write a versioned erase into the log, and return when both stores have it.

    An older registration never brings the device back, however often it is replayed. A newer registration starts a new
    profile. Exit status 1 when neither store knows the device; then nothing is written.
    """
    from devicesync.assembly.erase import erase as erase_device
    from devicesync.cli.process import stop_on_signals

    device_id: str = arguments.device_id
    version = erase_device(device_id, settings, stop_on_signals())
    document = {"device_id": device_id, "version": version}
    if version is None:
        remark = f"{device_id} is not found: neither store knows it, so nothing was erased"
        return Outcome(document, remark=remark, status=1)
    return Outcome(document, [f"{device_id} is erased, version {version}"])
