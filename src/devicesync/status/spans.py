"""Spans of a registration's way, for OpenTelemetry: from the call, through the log, to the stores.

They are off, unless OTEL_* asks for them. What makes them is chosen once, when a command begins (assembly/spans.py). NO_SPANS
makes none, and costs a call.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from devicesync.log.port import Headers, Record


class Request(Protocol):
    """The span of a call of the API."""

    def answered(self, status: int) -> None:
        """It was answered with this HTTP status."""
        ...


class Spans(Protocol):
    """Each method but `headers` returns a context, and its span lasts as long. No span holds an id or a value of a profile."""

    def request(self, method: str, route: str, traceparent: bytes) -> AbstractContextManager[Request]:
        """A call of the API is answered. traceparent: the caller's header of W3C Trace Context, b"" for none."""
        ...

    def headers(self) -> Headers | None:
        """Return the headers that carry the current span's trace context. None when there is no current span."""
        ...

    def send(self, topic: str, records: int) -> AbstractContextManager[None]:
        """So many records are sent to a topic."""
        ...

    def batch(self, source: str, records: Sequence[Record]) -> AbstractContextManager[None]:
        """A batch of a log's records is written into both stores. The span links to the spans that their headers carry."""
        ...


class _NoRequest:
    def answered(self, status: int) -> None:
        del status


_no_request: AbstractContextManager[Request] = nullcontext(_NoRequest())
_nothing: AbstractContextManager[None] = nullcontext()


class _NoSpans:
    def __repr__(self) -> str:
        return "NO_SPANS"

    def request(self, method: str, route: str, traceparent: bytes) -> AbstractContextManager[Request]:
        del method, route, traceparent
        return _no_request

    def headers(self) -> Headers | None:
        return None

    def send(self, topic: str, records: int) -> AbstractContextManager[None]:
        del topic, records
        return _nothing

    def batch(self, source: str, records: Sequence[Record]) -> AbstractContextManager[None]:
        del source, records
        return _nothing


NO_SPANS: Spans = _NoSpans()
"""Makes none."""
