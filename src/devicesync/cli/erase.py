"""`erase`: forgets a device, for good."""

import argparse

from devicesync.cli.options import id_argument, print_json, say, settings_of, show
from devicesync.errors import WrongUse


def erase_options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `erase`."""
    parser.add_argument("device_id", metavar="DEVICE_ID", type=id_argument)


def erase(arguments: argparse.Namespace) -> int:
    """Erase DEVICE_ID: writes a versioned erase into the log, and returns when both stores have it.

    Replaying an older registration never brings the device back; a newer registration starts its profile anew. Exit status 1
    when neither store knows the device; then nothing is written.
    """
    from devicesync import adapters  # noqa: PLC0415 - --help needs none of it
    from devicesync.assembly import delivering  # noqa: PLC0415 - --help needs none of it
    from devicesync.cli.process import log_to_stderr, stop_on_signals  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.erase import erase as erase_device  # noqa: PLC0415 - --help needs none of it
    from devicesync.jobs.shared.patience import Stopped  # noqa: PLC0415 - --help needs none of it
    from devicesync.law.event import check_id  # noqa: PLC0415 - --help needs none of it
    from devicesync.law.refusal import Refused  # noqa: PLC0415 - --help needs none of it

    log_to_stderr(verbose=False)
    device_id: str = arguments.device_id
    settings = settings_of(arguments).settings
    stop = stop_on_signals()
    version = None
    try:
        check_id(device_id)
        if adapters.database_exists(settings) or adapters.journal_exists(settings):
            with delivering(settings, "erase", stop) as delivery:
                version = erase_device(device_id, adapters.open_stores(settings), delivery)
    except Refused as refused:
        ahead = "its profile lies ahead, by another clock: erase it when that time has come"
        raise WrongUse(f"it can't be erased: {refused.detail}", ahead if "version" in refused.reason else "") from None
    except Stopped:
        say("devicesync: stopped before both stores had the erase; what the log has of it is done on the next start")
        return 130
    if arguments.json:
        print_json({"device_id": device_id, "version": version})
    elif version is None:
        say(f"{device_id} is not found: neither store knows it, so nothing was erased")
    else:
        show(f"{device_id} is erased, version {version}")
    return 0 if version else 1
