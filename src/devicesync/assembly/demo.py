"""`demo`: a whole devicesync in this process, one registration through it, then live traffic."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import msgspec

from devicesync.assembly.serving import api_beside
from devicesync.assembly.updater import Embedded, updating
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.jobs.update import READER, Counts
from devicesync.law.state import State
from devicesync.simulation import Simulation
from devicesync.status.freshness import Spread

DEVICES = 1000
BAD_SHARE = 0.01
_TICK_SECONDS = 0.02


class Second(NamedTuple):
    """A second of live traffic: its freshness, and what was done since the start."""

    spread: Spread
    counts: Counts


class Demo(NamedTuple):
    """What runs, where its API listens, and where its page is."""

    embedded: Embedded
    public: str
    admin: str

    def register(self, device_id: str, event: bytes) -> State:
        """Append the event to the log; what the database knows of the device once the updater has it."""
        journal = self.embedded.journal
        record = journal.append([event])
        while journal.committed(READER) <= record:
            SYSTEM.sleep(0.001)
        return self.embedded.stores.database.read([device_id])[device_id]

    def traffic(self, stop: threading.Event, seconds: float | None, rate: float) -> Iterator[Second]:
        """So many simulated registrations a second, for so long or until `stop` is set; what each second was like."""
        simulation = Simulation(seed=1, devices=DEVICES, bad_share=BAD_SHARE)
        began = told = SYSTEM.monotonic()
        written = 0
        freshness = self.embedded.updater.counts.freshness
        freshness.take()
        while not stop.wait(_TICK_SECONDS) and (seconds is None or SYSTEM.monotonic() - began < seconds):
            due = int((SYSTEM.monotonic() - began) * rate) - written
            now_ms = SYSTEM.now_ms()
            if due:
                self.embedded.journal.append([simulation.record(now_ms) for _ in range(due)])
                written += due
            if SYSTEM.monotonic() - told >= 1:
                told += 1
                yield Second(freshness.take(), self.embedded.updater.counts)


@contextmanager
def demonstrating(settings: Settings, stop: threading.Event) -> Iterator[Demo]:
    """Run updater and API while the body does. Raises WrongUse, Held, Unavailable."""
    with updating(settings, "up", stop) as embedded, api_beside(settings, embedded, stop) as (public, admin):
        updater = threading.Thread(target=embedded.updater.run, name="updater")
        updater.start()
        try:
            yield Demo(embedded, public, admin)
        finally:
            stop.set()
            updater.join()


def with_admin_key(settings: Settings) -> Settings:
    """With an admin's key for this run, where none is set: the page shows and replays dead letters with it."""
    return settings if settings.admin_keys else msgspec.structs.replace(settings, admin_keys=secrets.token_urlsafe(9))


def with_city_file(settings: Settings) -> Settings:
    """With the City file that `make run` could get, where none is set."""
    return settings if settings.city_file else msgspec.structs.replace(settings, city_file=installed_city_file())


def installed_city_file() -> str:
    """The path of that file, "" where there is none: years old, but real, and enough to try."""
    found = find_spec("_maxminddb_geolite2")
    return str(Path(found.origin).with_name("GeoLite2-City.mmdb")) if found and found.origin else ""
