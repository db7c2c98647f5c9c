"""Reads a registration's body as the existing service does. A field that can't be used is left out, and refuses nothing."""

from collections.abc import Callable
from typing import Any

import msgspec

from devicesync.api.answers import RequestError
from devicesync.law import exact_json

Scalar = str | int | float | bool | None
LeftOut = Callable[[str], None]
"""Is told the name of each field that is left out."""


class DeclaredLocation(msgspec.Struct):
    """Where the owner says that the device is."""

    state: Scalar = None
    district: Scalar = None


class Registration(msgspec.Struct):
    """The body's `request`. `channel` and `ext` are accepted and not used, as in the existing service."""

    producer: Scalar = None
    fcmToken: Scalar = None  # noqa: N815 - the wire's name
    first_access: Scalar = None
    ip_addr: Scalar = None
    dspec: dict[str, Any] | None = None
    userDeclaredLocation: DeclaredLocation | None = None  # noqa: N815 - the wire's name


class Body(msgspec.Struct):
    """The body. `id`, `ver`, `ts` and `params` are accepted and not used."""

    request: Registration | None = None


# Without the hook msgspec takes thirty times as long for numbers like 1e308.
_read_ordinary = msgspec.json.Decoder(Body, float_hook=float).decode
_SCALARS = ("producer", "fcmToken", "first_access", "ip_addr")


def read(body: bytes, left_out: LeftOut) -> Registration:
    """Return the body's registration. Raises RequestError for a body that is no JSON object."""
    try:
        return _read_ordinary(body).request or Registration()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_exactly(body, left_out)


def _read_exactly(body: bytes, left_out: LeftOut) -> Registration:
    """The slow and exact way: field by field."""
    try:
        document = exact_json.read(body.decode())
    except (exact_json.MalformedJson, UnicodeDecodeError) as error:
        raise RequestError(400, "MALFORMED_JSON", f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise RequestError(400, "INVALID_REQUEST", "the body is JSON, but not an object")
    request = _object(document, "request", left_out)
    declared = _object(request, "userDeclaredLocation", left_out)
    return Registration(
        **{name: _scalar(request, name, left_out) for name in _SCALARS},
        dspec=_object(request, "dspec", left_out),
        userDeclaredLocation=DeclaredLocation(_scalar(declared, "state", left_out), _scalar(declared, "district", left_out)),
    )


def _object(parent: dict[str, Any], name: str, left_out: LeftOut) -> dict[str, Any]:
    value = parent.get(name)
    if value is None or isinstance(value, dict):
        return value or {}
    left_out(name)
    return {}


def _scalar(parent: dict[str, Any], name: str, left_out: LeftOut) -> Scalar:
    value = parent.get(name)
    if value is None or isinstance(value, str | int | float):
        return value
    left_out(name)
    return None
