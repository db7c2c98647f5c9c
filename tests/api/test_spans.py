"""Spans of a registration, by the SDK itself, kept in memory: from the call through the record's header to the stores' write."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind

from devicesync.cache.memory import MemoryCache
from devicesync.database.sqlite import SqliteDatabase
from devicesync.dead_letters.sqlite import SqliteDeadLetters
from devicesync.errors import Unavailable
from devicesync.jobs.shared.refusal_limit import RefusalLimit
from devicesync.jobs.ship import ship
from devicesync.jobs.update import Updater
from devicesync.log.memory import MemoryLog
from devicesync.log.port import Headers, Record
from devicesync.status.open_telemetry import OpenTelemetrySpans
from devicesync.status.spans import NO_SPANS, Spans
from devicesync.stores import Stores
from tests.api.conftest import Start
from tests.end_to_end.command import until

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
REGISTER = "/v1/device/register/"


class Made:
    """What makes spans, and those that have ended."""

    def __init__(self, **options: Any) -> None:
        self._kept = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False, **options)
        provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.spans = OpenTelemetrySpans(provider, "kafka")

    def ended(self) -> dict[str, ReadableSpan]:
        """The spans by their names."""
        return {span.name: span for span in self._kept.get_finished_spans()}


@pytest.fixture
def made() -> Made:
    """Spans that are all sampled."""
    return Made()


def header_of(span: ReadableSpan) -> list[tuple[str, bytes]]:
    """By which a record tells of it."""
    context = span.get_span_context()
    assert context
    return [("traceparent", f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}".encode())]


def id_of(context: Any) -> str:
    """A span's own."""
    return f"{context.span_id:016x}"


@pytest.fixture
def work_off(tmp_path: Path) -> Iterator[Any]:
    """Have an updater work off a log that makes these spans."""
    stores = Stores(MemoryCache(), SqliteDatabase(tmp_path / "updated.db"))
    dead = SqliteDeadLetters(tmp_path / "dead.db")

    def work(log: MemoryLog, spans: Spans) -> int:
        limit = RefusalLimit(1, 1000, 0)
        stop = threading.Event()
        reader = log.reader("updater")
        updater = Updater(reader, stores, dead, source="topic", batch_records=1000, refusal_limit=limit, stop=stop, spans=spans)
        return updater.step(0)

    yield work
    stores.close()
    dead.close()


def test_from_the_call_to_the_write(start: Start, made: Made, work_off: Any) -> None:
    """One trace, which the caller began; no span tells whose device it was."""
    started = start(spans=made.spans)
    answer = started.client.post(REGISTER + "my-device", json={}, headers={"traceparent": TRACEPARENT})
    assert answer.status_code == 200
    (record,) = started.log.records
    assert work_off(started.log, made.spans) == 1
    spans = made.ended()
    call, write = (spans[name] for name in ("POST /v1/device/register/{device_id}", "process topic"))
    assert record.headers == header_of(call)
    assert [span.kind for span in (call, write)] == [SpanKind.SERVER, SpanKind.CONSUMER]
    assert {f"{span.get_span_context().trace_id:032x}" for span in (call, write)} == {TRACE}  # type: ignore[union-attr]
    assert id_of(call.parent) == CALLER
    assert [id_of(each) for each in (write.parent, *(link.context for link in write.links))] == [
        id_of(call.get_span_context())
    ] * 2
    assert {**(call.attributes or {})} == {
        "http.request.method": "POST",
        "http.route": "/v1/device/register/{device_id}",
        "http.response.status_code": 200,
    }
    assert (write.attributes or {})["messaging.batch.message_count"] == 1
    assert not any("my-device" in str(span.to_json()) for span in spans.values())


def test_a_batch_has_links_to_what_its_records_tell_of(made: Made, work_off: Any) -> None:
    """To 128 of them at most, each once; what tells of nothing is none. It is a trace of its own, for no one call made it."""
    log = MemoryLog()
    told = [[("traceparent", f"00-{TRACE}-{number + 1:016x}-01".encode())] for number in range(200)]
    headers: list[Any] = [told[0], None, [("traceparent", b"\xff")], [("traceparent", None)], [("other", b"x")], *told]
    log.append([b'{"device_id":"d","version":1600000000000000}'] * len(headers), None, headers)
    assert work_off(log, made.spans) == len(headers)
    batch = made.ended()["process topic"]
    assert batch.parent is None
    assert [link.context.span_id for link in batch.links] == [number + 1 for number in range(128)]


def test_a_record_tells_of_one_span(made: Made, work_off: Any) -> None:
    """However many headers of that name a producer gives it: they cost nothing, and crowd out no other record's."""
    log = MemoryLog()
    told: Headers = [("traceparent", f"00-{TRACE}-{number + 1:016x}-01".encode()) for number in range(10_000)]
    event = b'{"device_id":"d","version":1600000000000000}'
    log.append([event] * 3, None, [told, [*told[-1:], *told], [("traceparent", b"00-" + b" " * 65_000), *told]])
    assert work_off(log, made.spans) == 3
    assert [link.context.span_id for link in made.ended()["process topic"].links] == [1, 10_000]


def test_a_traceparent_without_end_is_none(start: Start, made: Made, caplog: pytest.LogCaptureFixture) -> None:
    """And nothing is said of it: a stranger's line a minute would hide those about the collector."""
    started = start(spans=made.spans)
    longer = TRACEPARENT + "-" + "x" * 20_000
    assert started.client.post(REGISTER + "d", json={}, headers={"traceparent": longer}).status_code == 200
    assert until(lambda: made.ended().get("POST /v1/device/register/{device_id}")).parent is None
    assert caplog.text == ""


def test_what_fails_is_an_error(start: Start, made: Made) -> None:
    """Of this service; what is wrong with a call is none."""

    class Broken(MemoryLog):
        def append(self, *given: Any, **named: Any) -> None:
            del given, named
            raise Unavailable("the disk is full", "")

    started = start(Broken(), spans=made.spans)
    assert started.client.post(REGISTER + "d", json={}).status_code == 503
    assert not until(lambda: made.ended().get("POST /v1/device/register/{device_id}")).status.is_ok
    assert started.client.get("/v1/device/profile/%00").status_code == 400
    found = until(lambda: made.ended().get("GET /v1/device/profile/{device_id}"))  # it ends when the answer is written
    assert found.status.is_unset


def test_what_is_not_sampled_says_so(start: Start) -> None:
    """In the header, so that nobody after it samples it."""
    made = Made(sampler=ALWAYS_OFF)
    started = start(spans=made.spans)
    started.client.post(REGISTER + "d", json={}, headers={"traceparent": TRACEPARENT})
    ((name, value),) = started.log.records[0].headers or []
    assert (name, value and value.startswith(f"00-{TRACE}-".encode()), value and value[-3:]) == ("traceparent", True, b"-00")
    assert made.ended() == {}


def test_ship_begins_a_trace(made: Made) -> None:
    """A journal keeps no headers; from the topic on, records tell of the batch in which they were shipped."""
    source, target = MemoryLog(), MemoryLog()
    source.append([b'{"device_id":"first"}', b'{"device_id":"d"}', b"{"])  # the first one goes alone
    stop = threading.Event()
    ship(
        source.reader("ship"),
        target,
        stop,
        batch_records=10,
        max_clock_ahead_ms=300_000,
        until_caught_up=True,
        topic="target",
        spans=made.spans,
    )
    sent = made.ended()["send target"]
    assert sent.kind == SpanKind.PRODUCER
    assert [record.headers for record in target.records[1:]] == [header_of(sent)] * 2


def test_without_spans_records_have_no_headers(start: Start, work_off: Any) -> None:
    """Nothing is made, whatever a caller sends."""
    started = start()
    started.client.post(REGISTER + "d", json={}, headers={"traceparent": TRACEPARENT})
    assert [record.headers for record in started.log.records] == [None]
    assert work_off(started.log, NO_SPANS) == 1
    target = MemoryLog()
    ship(
        started.log.reader("ship"), target, threading.Event(), batch_records=10, max_clock_ahead_ms=300_000, until_caught_up=True
    )
    assert [record.headers for record in target.records] == [None]
    assert Record(b"{}", 0, 0, 1, 1).headers is None
