"""Spans by OpenTelemetry's SDK, with the names of its semantic conventions for HTTP and for messaging."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from devicesync.log.port import Headers, Record
from devicesync.status.spans import Request

_TRACEPARENT = "traceparent"
_LONGEST = 512
_MOST_LINKS = 128
_SERVER_ERROR = 500


class _Answered:
    def __init__(self, span: Span) -> None:
        self._span = span

    def answered(self, status: int) -> None:
        """See spans.Request."""
        self._span.set_attribute("http.response.status_code", status)
        if status >= _SERVER_ERROR:
            self._span.set_status(StatusCode.ERROR)


class OpenTelemetrySpans:
    """See spans.Spans. system: what kind of log it is, as `messaging.system` names it."""

    def __init__(self, provider: TracerProvider, system: str) -> None:
        self._tracer = provider.get_tracer("devicesync", version("devicesync"))
        self._propagator = TraceContextTextMapPropagator()
        self._system = system

    @contextmanager
    def request(self, method: str, route: str, traceparent: bytes) -> Iterator[Request]:
        """See spans.Spans. Of what the caller says only the traceparent counts: its tracestate may be long."""
        given = {"http.request.method": method, "http.route": route}
        parent = self._context(traceparent) if traceparent else None
        with self._tracer.start_as_current_span(f"{method} {route}", parent, SpanKind.SERVER, given) as span:
            yield _Answered(span)

    def headers(self) -> Headers | None:
        """See spans.Spans."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        return [(_TRACEPARENT, carrier[_TRACEPARENT].encode())] if carrier else None

    def send(self, topic: str, records: int) -> AbstractContextManager[None]:
        """See spans.Spans."""
        return self._messages("send", SpanKind.PRODUCER, "kafka", topic, records)

    def batch(self, source: str, records: Sequence[Record]) -> AbstractContextManager[None]:
        """See spans.Spans. Where all records tell of one span, that is the parent too."""
        contexts = self._contexts(records)
        links = [Link(get_current_span(context).get_span_context()) for context in contexts]
        parent = contexts[0] if len(contexts) == 1 and all(record.headers for record in records) else None
        return self._messages("process", SpanKind.CONSUMER, self._system, source, len(records), parent, links)

    @contextmanager
    def _messages(  # noqa: PLR0917 - the words of the convention
        self,
        what: str,
        kind: SpanKind,
        system: str,
        place: str,
        records: int,
        parent: Context | None = None,
        links: Sequence[Link] = (),
    ) -> Iterator[None]:
        given: dict[str, str | int] = {
            "messaging.system": system,
            "messaging.destination.name": place,
            "messaging.operation.name": what,
            "messaging.operation.type": what,
            "messaging.batch.message_count": records,
        }
        with self._tracer.start_as_current_span(f"{what} {place}", parent, kind, given, links):
            yield

    def _contexts(self, records: Sequence[Record]) -> list[Context]:
        """Those of the distinct spans of which the records' headers tell, at most 128: a span has no more links.

        A record tells of one, by its first header of that name: any producer may write thousands.
        """
        found: dict[bytes, Context] = {}
        for record in records:
            value = next((value for name, value in record.headers or () if name == _TRACEPARENT), None)
            if value and value not in found:
                context = self._context(value)
                if get_current_span(context).get_span_context().is_valid:
                    found[value] = context
            if len(found) == _MOST_LINKS:
                break
        return [*found.values()]

    def _context(self, traceparent: bytes) -> Context:
        if len(traceparent) > _LONGEST:  # of which the SDK would say a word, instead of one about the collector
            return Context()
        return self._propagator.extract({_TRACEPARENT: traceparent.decode("latin-1")}, Context())
