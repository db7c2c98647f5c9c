"""From a registration's request to the line of device-profile.log, checked by the law before anything is written."""

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from devicesync.api.answers import Refusal
from devicesync.api.location import Place
from devicesync.law.event import MAX_BYTES

OLDEST_FIRST_ACCESS_MS = 946_684_800_000
"""2000-01-01: a first_access before it was meant in seconds."""

_MAX_CHARACTERS = 128


class DeclaredLocation(msgspec.Struct):
    """What the owner says about where the device is."""

    state: str | None = None
    district: str | None = None


class Registration(msgspec.Struct):
    """The part `request` of the body; `channel` and `ext` are taken and not used, as by the existing service."""

    channel: str | None = None
    producer: str | None = None
    fcmToken: str | None = None  # noqa: N815 - the wire's name
    first_access: int | None = None
    ip_addr: str | None = None
    dspec: dict[str, str | int | None] | None = None
    userDeclaredLocation: DeclaredLocation | None = None  # noqa: N815 - the wire's name


class Body(msgspec.Struct):
    """The body; `id`, `ver`, `ts` and `params` are taken and not used."""

    request: Registration


class _Line(msgspec.Struct):
    """A line as the existing service writes it (seed), and after it what is new."""

    device_id: str
    uaspec: dict[str, str]
    city: str
    country_code: str
    country: str
    api_last_updated_on: int
    device_spec: dict[str, str | int | None]
    district_custom: str
    fcm_token: str
    first_access: int | UnsetType
    state_code_custom: str
    state: str
    state_code: str
    state_custom: str
    producer_id: str
    user_declared_state: str | UnsetType
    user_declared_district: str | UnsetType
    version: int


_decode_body = msgspec.json.Decoder(Body).decode
_encode = msgspec.json.Encoder().encode


def read(body: bytes) -> Registration:
    """The body's registration. Raises Refusal."""
    try:
        return _decode_body(body).request
    except msgspec.ValidationError as error:
        raise Refusal(400, "INVALID_REQUEST", f"the body is not a registration: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refusal(400, "MALFORMED_JSON", f"the body is not JSON: {error}") from None


def line_of(
    device_id: str,
    registration: Registration,
    *,
    place: Place,
    agent: dict[str, str],
    version: int,
    max_clock_ahead_ms: int,
) -> bytes:
    """The line: what the law takes, by construction (a fuzz test holds it to that). Raises Refusal.

    version: in µs; api_last_updated_on is its ms. device_id: checked by the law.
    """
    now_ms = version // 1000
    declared = registration.userDeclaredLocation or DeclaredLocation()
    for name, text in (("state", declared.state), ("district", declared.district), ("producer", registration.producer)):
        _check_text(name, text)
    _check_first_access(registration.first_access, now_ms + max_clock_ahead_ms)
    line = _encode(
        _Line(
            device_id,
            agent,
            place.city,
            place.country_code,
            place.country,
            now_ms,
            registration.dspec or {},
            place.district_custom,
            registration.fcmToken or "",
            registration.first_access or UNSET,
            place.state_code_custom,
            place.state,
            place.state_code,
            place.state_custom,
            registration.producer or "",
            declared.state or UNSET,
            declared.district or UNSET,
            version,
        )
    )
    if len(line) > MAX_BYTES:
        raise Refusal(413, "TOO_LARGE", f"the registration may have {MAX_BYTES} bytes at most")
    return line


def _check_text(name: str, text: Any) -> None:
    if text and (len(text) > _MAX_CHARACTERS or not text.isprintable() or "<" in text or ">" in text):
        raise Refusal(
            400, "INVALID_REQUEST", f"{name} may have {_MAX_CHARACTERS} printable characters at most, and neither < nor >"
        )


def _check_first_access(first_access: int | None, latest_ms: int) -> None:
    if first_access and not OLDEST_FIRST_ACCESS_MS <= first_access <= latest_ms:
        hint = "it looks like seconds" if 0 < first_access < OLDEST_FIRST_ACCESS_MS else "it lies in the future"
        raise Refusal(400, "INVALID_REQUEST", f"first_access is a time in ms since 1970, and {hint}")
