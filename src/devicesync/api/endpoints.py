"""The three calls: register, read, erase (docs/reference/api.md)."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
import structlog

from devicesync.api import agents, registration
from devicesync.api.access import Access, RateLimit
from devicesync.api.answers import PROFILE, REGISTER, Answer, Api, PartitionUnavailable, RequestError, refused, success
from devicesync.api.clients import Address, Clients, parsed
from devicesync.api.counts import ApiCounts
from devicesync.api.line import line_of
from devicesync.api.location import Location, Locations
from devicesync.api.profiles import Profiles
from devicesync.api.requests import Headers, device_id_of, json_body
from devicesync.api.turns import LARGE_BYTES, LARGEST_BYTES, Turns
from devicesync.api.versions import Versions
from devicesync.api.writer import Writer
from devicesync.jobs.erase import erase_line
from devicesync.law.facets import DECLARED, FACETS, MAP_FIELDS
from devicesync.law.profile import texts_of
from devicesync.law.state import State
from devicesync.status.spans import NO_SPANS, Spans

REGISTER_PATH, PROFILE_PATH = "/v1/device/register/", "/v1/device/profile/"
MIN_VERSION_HEADER = b"x-min-version"
_NOT_SHOWN = {"fcm_token"}
_DIGITS = 16
_log: Any = structlog.get_logger("devicesync")


class Dependencies(NamedTuple):
    """What the calls work with."""

    writer: Writer
    profiles: Profiles
    locations: Locations
    clients: Clients
    access: Access
    rate_limit: RateLimit
    counts: ApiCounts
    versions: Versions
    spans: Spans = NO_SPANS


class Endpoint:
    """An ASGI application for one call. It sends what the call returns, or its refusal in the envelope."""

    def __init__(self, api: Api, path: str, needs: Dependencies, call: Callable[[Any, Headers, Any], Awaitable[Answer]]) -> None:
        self._api = api
        self._route = path + "{device_id}"
        self._call = call
        self._observe = needs.counts.observer(api)
        self._spans = needs.spans

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        began = time.perf_counter()
        headers = dict(scope["headers"])
        with self._spans.request(scope["method"], self._route, headers.get(b"traceparent", b"")) as span:
            try:
                answer = await self._call(scope, headers, receive)
            except RequestError as error:
                answer = refused(self._api, error)
            except Exception:  # noqa: BLE001 - whatever it is, the caller gets an envelope and the next request is served
                _log.exception("a fault")
                answer = refused(self._api, RequestError(500, "INTERNAL", "a fault of this service; it is in its log"))
            span.answered(answer.status)
            await answer.send(send)
        self._observe(answer.status, time.perf_counter() - began)


class Calls:
    """The calls, for one process."""

    def __init__(self, needs: Dependencies) -> None:
        self._needs = needs
        self._turns, self._turns_of_largest = Turns(), Turns()
        self.register = Endpoint(REGISTER, REGISTER_PATH, needs, self._register)
        self.profile = Endpoint(PROFILE, PROFILE_PATH, needs, self._profile)

    async def _register(self, scope: Any, headers: Headers, receive: Any) -> Answer:
        needs = self._needs
        client = self._client(scope, headers)
        device_id = device_id_of(scope, REGISTER_PATH.encode())
        needs.access.check("register", headers)
        look = await needs.versions.ready(client, key := device_id.encode())
        body = await json_body(headers, receive)
        if len(body) <= LARGE_BYTES and len(headers.get(b"user-agent", b"")) <= agents.LARGE_BYTES:
            await needs.versions.ready(client, key, look)  # again: a body may take seconds
            version, line = self._line(device_id, body, client, headers)
        else:
            turns = self._turns if len(body) <= LARGEST_BYTES else self._turns_of_largest
            async with turns.next(client):
                await needs.versions.ready(client, key, look)
                version, line = self._line(device_id, body, client, headers)
        await self._append(version, line, device_id, client)
        return success(REGISTER, {"message": "Device registered successfully", "actions": [], "version": version})

    def _line(self, device_id: str, body: bytes, client: Address | None, headers: Headers) -> tuple[int, bytes]:
        """A version, and the line with it."""
        needs, left_out = self._needs, self._needs.counts.left_out
        asked = registration.read(body, left_out)
        location = needs.locations.locate(_whereabouts(client, asked.ip_addr, left_out))
        version = needs.versions.next()
        agent = agents.uaspec(_user_agent(headers, left_out))
        try:
            return version, line_of(device_id, asked, location=location, agent=agent, version=version, left_out=left_out)
        except RequestError:
            needs.versions.not_sent(version)
            raise

    async def _append(self, version: int, line: bytes, device_id: str, client: Address | None = None) -> None:
        """Return when the log has the line, and the law accepts it. Raises RequestError."""
        needs = self._needs
        try:
            taken_ms = await needs.writer.append(line, device_id.encode(), needs.spans.headers(), client)
        except BaseException as error:
            needs.versions.may_be_logged(version)
            if isinstance(error, PartitionUnavailable):
                needs.versions.doubt(device_id.encode())
            raise
        needs.versions.check_logged(version, taken_ms)

    async def _profile(self, scope: Any, headers: Headers, receive: Any) -> Answer:
        client = self._client(scope, headers)
        device_id = device_id_of(scope, PROFILE_PATH.encode())
        if scope["method"] == "DELETE":
            return await self._erase(device_id, headers)
        del receive
        self._needs.access.check("register", headers)
        min_version = _min_version(scope, headers)
        self._needs.versions.check_asked(min_version)
        state = await self._needs.profiles.read(device_id, min_version, client)
        return success(PROFILE, shown(state, self._needs.locations.locate(client)))

    async def _erase(self, device_id: str, headers: Headers) -> Answer:
        needs = self._needs
        needs.access.check("admin", headers)
        look = await needs.versions.ready(key=device_id.encode())
        known = await needs.profiles.read_anew(device_id)  # another job's write may not be in the cache
        await needs.versions.ready(key=device_id.encode(), look=look)
        version = needs.versions.for_erase(known.profile_version)
        line = erase_line(device_id, version, is_given=needs.versions.has_given(version))
        await self._append(version, line, device_id)
        return success(PROFILE, {"message": "Device erased", "version": version})

    def _client(self, scope: Any, headers: Headers) -> Address | None:
        client = self._needs.clients.address(scope["client"][0] if scope["client"] else "", headers)
        self._needs.rate_limit.check(client)
        return client


def _whereabouts(client: Address | None, said: registration.Scalar, left_out: registration.LeftOut) -> Address | None:
    """The caller's address. The body's `ip_addr` counts only where the caller's address is missing or private."""
    if not said or (client and client.is_global):
        return client
    address = parsed(str(said))
    if address is None:
        left_out("ip_addr")
    return address or client


def _user_agent(headers: Headers, left_out: registration.LeftOut) -> str:
    """The header's text, "" without one. It is decoded as UTF-8, or else as Latin-1."""
    raw = headers.get(b"user-agent", b"").strip()
    if len(raw) > agents.MAX_BYTES:
        left_out("User-Agent")
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _min_version(scope: Any, headers: Headers) -> int:
    # Not split: of 32 KB of "&" that would take 3 ms of the loop.
    _, found, rest = (b"&" + scope["query_string"]).rpartition(b"&min_version=")
    given = rest.partition(b"&")[0] if found else headers.get(MIN_VERSION_HEADER, b"")
    if given and not (given.isdigit() and len(given) <= _DIGITS):
        raise RequestError(400, "INVALID_REQUEST", "min_version is the number that result.version of a registration gave")
    return int(given or 0)


def shown(state: State, location: Location) -> dict[str, Any]:
    """The result: the answer of the existing service, plus the version and the profile without its push token."""
    declared = dict(zip(FACETS[DECLARED].fields, state.registers[DECLARED][1], strict=True))
    state_name, district = declared["user_declared_state"], declared["user_declared_district"]
    texts = texts_of(state)
    return {
        **({"userDeclaredLocation": {"state": state_name, "district": district or ""}} if state_name else {}),
        "ipLocation": {
            "state": location.state_custom or location.state,
            "district": location.district_custom,
            "city": location.city,
        },
        "version": state.profile_version or None,
        "profile": texts and {name: _as_json(name, value) for name, value in texts.items() if name not in _NOT_SHOWN},
    }


def _as_json(name: str, value: str | int) -> str | int | msgspec.Raw:
    """A map's text is JSON already. Reading and writing one of 6,000 keys took 1 to 2 ms of the loop, at each request."""
    return msgspec.Raw(str(value).encode()) if name in MAP_FIELDS else value
