"""Who may call: API keys or JWT for registering and for administration, and how often."""

import hmac
from collections import OrderedDict
from typing import Literal

from devicesync.api.answers import RequestError
from devicesync.api.clients import Address, network_of
from devicesync.api.requests import Headers
from devicesync.api.tokens import Tokens
from devicesync.clock import SYSTEM

Role = Literal["register", "admin"]

_REMEMBERED_CLIENTS = 100_000


class Access:
    """Checks keys and tokens. Without register_keys and jwt_key anybody may register. Administration always needs a key or token.

    A token must expire (`exp`) and name the role in `scope`, as in OAuth. Raises WrongUse for a jwt_key of the wrong form.
    """

    def __init__(self, register_keys: str, admin_keys: str, jwt_key: str) -> None:
        admin = _keys(admin_keys)
        self._keys: dict[Role, list[bytes]] = {"register": _keys(register_keys) + admin, "admin": admin}
        self._tokens = Tokens(jwt_key) if jwt_key else None
        self._open = not _keys(register_keys) and not jwt_key

    def check(self, role: Role, headers: Headers) -> None:
        """Return if the caller may act in this role. Raises RequestError."""
        if role == "register" and self._open:
            return
        if not self._keys[role] and not self._tokens:
            raise RequestError(403, "FORBIDDEN", "this call is switched off here: neither admin_keys nor jwt_key is set")
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        key = headers.get(b"x-api-key", b"")
        if not key and scheme.lower() != b"bearer":
            raise RequestError(401, "UNAUTHORIZED", "send a key as X-API-Key, or a token as Authorization: Bearer")
        matches = [hmac.compare_digest(key, known) for known in self._keys[role]]
        if key and any(matches):
            return
        if key or not self._tokens:
            raise RequestError(401, "UNAUTHORIZED", f"this key does not open {role} calls")
        if role not in self._tokens.scope(bearer.strip()):
            raise RequestError(403, "FORBIDDEN", f"the token's scope does not name {role}")


class RateLimit:
    """Limits how many requests a client's network makes in a minute; 0 for no limit. Each has a bucket that fills steadily."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def check(self, address: Address | None) -> None:
        """Count one request. Raises RequestError when it is one too many."""
        if not self._per_minute:
            return
        client = network_of(address)
        now = SYSTEM.monotonic()
        left, at = self._buckets.pop(client, (float(self._per_minute), now))
        left = min(left + (now - at) * self._per_minute / 60, float(self._per_minute)) - 1
        if left < 0:
            self._buckets[client] = left + 1, now
            wait_seconds = int(-left * 60 / self._per_minute) + 1
            raise RequestError(429, "TOO_MANY_REQUESTS", f"at most {self._per_minute} requests a minute", wait_seconds)
        self._buckets[client] = left, now
        if len(self._buckets) > _REMEMBERED_CLIENTS:
            self._buckets.popitem(last=False)


def _keys(setting: str) -> list[bytes]:
    return [key.strip().encode() for key in setting.split(",") if key.strip()]
