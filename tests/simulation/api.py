"""An API process: the real versions, lines, writer and profiles, asked one request after the other."""

from contextlib import suppress
from typing import Any

import msgspec

from devicesync.api.answers import RequestError
from devicesync.api.fuse import Fuse
from devicesync.api.line import line_of
from devicesync.api.location import Location
from devicesync.api.profiles import Profiles
from devicesync.api.registration import DeclaredLocation, Registration
from devicesync.api.versions import Versions
from devicesync.api.writer import Writer
from devicesync.jobs.erase import erase_line
from devicesync.law.event import Event
from devicesync.law.facets import FIELDS
from devicesync.law.version import DEFAULT_MAX_CLOCK_AHEAD_MS
from tests.simulation.world import Living, World

_WAIT_MS = 100


class Api:
    """One process. `law` is told of what is acknowledged and of what is shown."""

    def __init__(self, world: World, law: Any, process: Living) -> None:
        self._world, self._law = world, law
        log = world.log(process.clock)
        fuse = Fuse(1, "LOG_UNAVAILABLE", "")
        self._versions = Versions(log, DEFAULT_MAX_CLOCK_AHEAD_MS, fuse, process.clock)
        self._writer = Writer(log, fuse)
        self._profiles = Profiles(lambda: world.stores(process.clock), _WAIT_MS, 1, process.clock)
        self._last: int | None = None

    async def serve(self, requests: list[tuple[str, int, Any]]) -> None:
        """Answer requests: what is asked, of which device, and with what."""
        for what, device, given in requests:
            name = self._world.names[device]
            with suppress(RequestError):
                await getattr(self, f"_{what}")(name, given)

    async def _ready(self) -> None:
        before = self._law.acknowledged()
        await self._versions.ready()
        self._last = before if self._last is None else self._last

    async def _register(self, name: str, event: Event) -> None:
        await self._ready()
        version = self._versions.next()
        line = self._line(name, event, version)
        taken_ms = await self._writer.append(line, name.encode())
        self._versions.check_logged(version, taken_ms)
        self._law.acknowledges(name, version, self._last)
        self._last = version

    @staticmethod
    def _line(name: str, event: Event, version: int) -> bytes:
        asked, place, agent = _asked(event)
        return line_of(name, asked, location=place, agent=agent, version=version, left_out=lambda field: None)

    async def _erase(self, name: str, _: None) -> None:
        await self._ready()
        known = await self._profiles.read_anew(name)
        version = self._versions.for_erase(known.profile_version)
        is_given = self._versions.has_given(version)  # else it follows another clock
        taken_ms = await self._writer.append(erase_line(name, version, is_given=is_given), name.encode())
        self._versions.check_logged(version, taken_ms)
        self._law.acknowledges(name, version, self._last if is_given else None)
        self._last = version if is_given else self._last

    async def _get(self, name: str, _: None) -> None:
        await self._show(name, 0)

    async def _get_own(self, name: str, _: None) -> None:
        """At least as new as what this process acknowledged last."""
        await self._show(name, self._last or 0)

    async def _show(self, name: str, min_version: int) -> None:
        began = self._law.begins(name)
        state = await self._profiles.read(name, min_version)
        assert state.profile_version >= min_version
        self._law.sees(name, state, began)


def _asked(event: Event) -> tuple[Any, ...]:
    """What line_of is given: a registration, a place and an agent."""
    values = dict(zip(FIELDS, event.values, strict=True))
    declared = DeclaredLocation(values["user_declared_state"], values["user_declared_district"])
    maps = {name: msgspec.json.decode(values[name] or "{}") for name in ("device_spec", "uaspec")}
    asked = Registration(
        values["producer_id"], values["fcm_token"], event.first_access or None, None, maps["device_spec"], declared
    )
    return asked, Location(*[values[name] or "" for name in Location._fields]), maps["uaspec"]
