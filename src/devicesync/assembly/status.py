"""`status`: the figures of a process that runs, asked of its admin port."""

import urllib.error
import urllib.request
from typing import Any

import msgspec

from devicesync.config import Settings, host_and_port, http_url
from devicesync.errors import Unavailable

_TIMEOUT_SECONDS = 30.0  # what is away may be waited for there
_MOST_BYTES = 1 << 20
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to ask, not to listen


class _Status(msgspec.Struct):
    """What is shown of the document (status/summary.py)."""

    command: str
    version: str
    uses: dict[str, str]
    ready: bool
    lacking: dict[str, str]
    freshness: dict[str, float] | None
    events_per_second: float | None
    lag: dict[str, float] | None
    totals: dict[str, float]
    refused: dict[str, float] | None
    audit: dict[str, float | None] | None


def address_of(settings: Settings) -> str:
    """Where the admin port that the settings name is asked. Raises WrongUse."""
    host, port = host_and_port("admin_listen", settings.admin_listen)
    return http_url(_EVERYWHERE.get(host, host), port)


def status_at(address: str) -> dict[str, Any]:
    """The document of the process there. Raises Unavailable."""
    hint = "is it running? name the port that it says at its start with --admin-listen HOST:PORT"
    try:
        with urllib.request.urlopen(f"{address}/status.json", timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - always http
            found: dict[str, Any] = msgspec.json.decode(answer.read(_MOST_BYTES))
            msgspec.convert(found, _Status)
            return found
    except urllib.error.HTTPError as error:
        raise Unavailable(f"{address} is no admin port, or not known by that name: it answers {error.code}", hint) from None
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Unavailable(f"{address} is no admin port: it answers no status", hint) from None
    except (OSError, ValueError) as error:
        raise Unavailable(f"{address} does not answer: {getattr(error, 'reason', error)}", hint) from None
