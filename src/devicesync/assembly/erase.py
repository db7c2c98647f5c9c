"""`erase`: a device forgotten, by whatever updater is at work."""

import threading
from contextlib import closing

from devicesync.assembly import adapters, named_log
from devicesync.assembly.delivery import delivering
from devicesync.config import Settings
from devicesync.errors import Stopped, WrongUse
from devicesync.jobs.erase import erase as erase_device
from devicesync.law.event import check_id
from devicesync.law.refusal import Refused


def erase(device_id: str, settings: Settings, stop: threading.Event) -> int | None:
    """The erase's version in µs, when both stores have it; None where neither store knows the device, and nothing is written.

    Raises WrongUse for what is no id, and where the profile's version lies ahead of the clock; Unavailable, Stopped.
    """
    try:
        check_id(device_id)
        if not named_log.journal_exists(settings) and adapters.nothing_is_there(settings):
            return None
        with delivering(settings, "erase", stop) as delivery, closing(adapters.open_stores(settings)) as stores:
            return erase_device(device_id, stores, delivery, max_clock_ahead_ms=settings.max_clock_ahead_ms)
    except Refused as refused:
        ahead = "its profile lies ahead, by another clock: erase it when that time has come"
        raise WrongUse(f"it can't be erased: {refused.detail}", ahead if "version" in refused.reason else "") from None
    except Stopped:
        raise Stopped("stopped before both stores had the erase; what the log has of it is done on the next start") from None
