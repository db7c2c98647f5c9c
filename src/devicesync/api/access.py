"""Who may call: API keys or JWT for registering and for administration, and how often."""

import hmac
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal

from devicesync.api.answers import Refusal
from devicesync.api.clients import Address
from devicesync.api.requests import Headers
from devicesync.errors import WrongUse

Role = Literal["register", "admin"]

_LEAST_SECRET_BYTES = 32
_REMEMBERED_CLIENTS = 100_000
_NETWORK_BYTES = 8


class Access:
    """Checks keys and tokens. Registering is open where neither register_keys nor jwt_key is set; administration never is.

    jwt_key: the secret of HS256 tokens, at least 32 bytes, or the path of a PEM public key of RS256 ones. Tokens must expire
    (`exp`) and name the role in `scope`, as OAuth does.
    """

    def __init__(self, register_keys: str, admin_keys: str, jwt_key: str) -> None:
        admin = _keys(admin_keys)
        self._keys: dict[Role, list[bytes]] = {"register": _keys(register_keys) + admin, "admin": admin}
        self._jwt_key, self._algorithm = _jwt_key(jwt_key)
        self._open = not _keys(register_keys) and not jwt_key

    def check(self, role: Role, headers: Headers) -> None:
        """Return if the caller may act in this role. Raises Refusal."""
        if role == "register" and self._open:
            return
        if not self._keys[role] and not self._jwt_key:
            raise Refusal(403, "FORBIDDEN", "this call is switched off here: neither admin_keys nor jwt_key is set")
        scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
        key = headers.get(b"x-api-key", b"")
        if not key and scheme.lower() != b"bearer":
            raise Refusal(401, "UNAUTHORIZED", "send a key as X-API-Key, or a token as Authorization: Bearer")
        matches = [hmac.compare_digest(key, known) for known in self._keys[role]]
        if key and any(matches):
            return
        if key or not self._jwt_key:
            raise Refusal(401, "UNAUTHORIZED", f"this key does not open {role} calls")
        self._check_token(bearer.strip(), role)

    def _check_token(self, token: bytes, role: Role) -> None:
        import jwt  # noqa: PLC0415 - only where tokens are used: its import costs 60 ms

        try:
            claims: dict[str, Any] = jwt.decode(token, self._jwt_key, [self._algorithm], options={"require": ["exp"]})
        except jwt.InvalidTokenError as error:
            raise Refusal(401, "UNAUTHORIZED", f"the token is not valid: {error}") from None
        scope = claims.get("scope")
        if not isinstance(scope, str) or role not in scope.split():
            raise Refusal(403, "FORBIDDEN", f"the token's scope does not name {role}")


class RateLimit:
    """At most so many requests a minute of one client, 0 for no limit: a bucket per client that fills steadily.

    A client is an IPv4 address, or an IPv6 network of 64 bits: whoever has one address of it has them all.
    """

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def check(self, address: Address | None) -> None:
        """Count one request. Raises Refusal when it is one too many."""
        if not self._per_minute:
            return
        client = address.packed[:_NETWORK_BYTES] if address else b""
        now = time.monotonic()
        left, at = self._buckets.pop(client, (float(self._per_minute), now))
        left = min(left + (now - at) * self._per_minute / 60, float(self._per_minute)) - 1
        if left < 0:
            self._buckets[client] = left + 1, now
            wait_seconds = int(-left * 60 / self._per_minute) + 1
            raise Refusal(429, "TOO_MANY_REQUESTS", f"at most {self._per_minute} requests a minute", wait_seconds)
        self._buckets[client] = left, now
        if len(self._buckets) > _REMEMBERED_CLIENTS:
            self._buckets.popitem(last=False)


def _keys(setting: str) -> list[bytes]:
    return [key.strip().encode() for key in setting.split(",") if key.strip()]


def _jwt_key(setting: str) -> tuple[str, str]:
    if setting and Path(setting).is_file():
        return Path(setting).read_text(), "RS256"
    if setting and len(setting.encode()) < _LEAST_SECRET_BYTES:
        raise WrongUse("jwt_key is neither a file nor a secret of at least 32 bytes", "name a PEM public key, or a longer secret")
    return setting, "HS256"
