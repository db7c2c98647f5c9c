"""User-Agent to uaspec, by ua-parser: {agent, ver, system, raw}."""

from functools import lru_cache
from typing import Any

MAX_BYTES = 1024
"""Of the header; longer ones are not kept."""

LARGE_BYTES = 384
"""Of one that may take long: made to be slow, 1,000 bytes take 7 ms of the event loop."""

_KEPT = 4096


@lru_cache(_KEPT)
def uaspec(user_agent: str) -> dict[str, str]:
    """Return what the header says. Unknown parts are left out."""
    if not user_agent:
        return {}
    from ua_parser import parse  # noqa: PLC0415 - the API alone needs it

    found = parse(user_agent)
    browser, system = found.user_agent, found.os
    spec = {
        "agent": browser.family if browser else "",
        "ver": _joined(browser and (browser.major, browser.minor, browser.patch, browser.patch_minor)),
        "system": system.family if system else "",
        "raw": user_agent,
    }
    return {name: value for name, value in spec.items() if value}


def _joined(parts: Any) -> str:
    return ".".join(part for part in parts or () if part)
