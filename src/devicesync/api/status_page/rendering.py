"""Figures and findings as HTML. The templates escape everything, and show control characters as text."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from devicesync.dead_letters.port import DeadLetter
from devicesync.printable import printable
from devicesync.status.freshness import KEPT_SECONDS
from devicesync.status.words import milliseconds, nines

_SHOWN_BYTES = 2_000
_WIDTH, _HEIGHT = 600, 80


def render(template: str, **values: Any) -> bytes:
    """The template of that name, filled in."""
    return _environment.get_template(template).render(values).encode()


def plot(seconds: Sequence[dict[str, float]], now_ms: int) -> dict[str, Any]:
    """p99 and p50 of the last minutes as the points of two lines, each second 2 wide; and the greatest value, in ms."""
    most_ms = max((each["p99_ms"] for each in seconds), default=0.0) or 1.0
    began = now_ms // 1000 - KEPT_SECONDS

    def line(name: str) -> str:
        placed = (((each["at"] - began) * _WIDTH / KEPT_SECONDS, each[name]) for each in seconds)
        return " ".join(f"{x:.0f},{_HEIGHT - value / most_ms * _HEIGHT:.1f}" for x, value in placed)

    return {"p99": line("p99_ms"), "p50": line("p50_ms"), "most_ms": most_ms, "width": _WIDTH, "height": _HEIGHT}


def when(time_ms: int) -> str:
    """A time in UTC."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + " UTC"
    except (OverflowError, ValueError):
        return str(time_ms)


def content(letter: DeadLetter) -> str:
    """The record's bytes as text, cut where they are many."""
    return "(the record had no value)" if letter.value is None else letter.value[:_SHOWN_BYTES].decode(errors="backslashreplace")


_environment = Environment(
    loader=PackageLoader("devicesync.api.status_page", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
)
_environment.filters |= {"milliseconds": milliseconds, "when": when, "content": content}
_environment.globals |= {"plot": plot, "nines": nines}
