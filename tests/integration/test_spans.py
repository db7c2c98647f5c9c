"""One trace over real Kafka, told to a collector of OTLP over HTTP: from the call of one process to the write of another."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.end_to_end.command import Devicesync, stopped, until
from tests.integration.real import Real

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Collector(HTTPServer):
    """Takes traces, and keeps them: (service, span)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.spans: list[tuple[str, Any]] = []

    def named(self, service: str, beginning: str) -> list[Any]:
        """The spans of a service whose names begin so."""
        return [span for of, span in self.spans if of == service and span.name.startswith(beginning)]


class _Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
        for resource in request.resource_spans:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            spans = [span for scope in resource.scope_spans for span in scope.spans]
            self.server.spans += [(names["service.name"], span) for span in spans]
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    """One that runs."""
    running = Collector()
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


def test_one_trace_from_the_call_to_the_write(devicesync: Devicesync, real: Real, collector: Collector) -> None:
    """The record carries it as a header of W3C Trace Context, which other consumers understand too."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    api = devicesync.start("api", "--log-format", "text", ready=False, variables=variables)
    update = devicesync.start("update", variables=variables | {"OTEL_SERVICE_NAME": "my-updater"})
    assert api.stderr
    line = api.stderr.readline()
    url = next(word.rstrip(",.") for word in line.split() if word.startswith("http://"))
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert httpx.post(f"{url}/v1/device/register/d", json={}, headers=headers, timeout=60).status_code == 200
    (call,) = until(lambda: collector.named("devicesync-api", "POST "))
    (write,) = until(lambda: collector.named("my-updater", "process "))
    assert [span.trace_id.hex() for span in (call, write)] == [TRACE] * 2
    assert write.parent_span_id == call.span_id
    assert [link.span_id for link in write.links] == [call.span_id]
    assert write.name == f"process {real.topic.topic}"
    (records,) = [some for partition in range(6) for some in real.log.records(partition, 0, 1)]
    assert records[0][4] == [("traceparent", f"00-{TRACE}-{call.span_id.hex()}-01".encode())]
    assert [stopped(process) for process in (api, update)] == [0, 0]


def test_a_collector_that_is_away_keeps_nobody(devicesync: Devicesync, real: Real) -> None:
    """Registrations are taken and written, and the process leaves when it is asked to."""
    assert real
    update = devicesync.start("update", variables={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    real.send(b'{"device_id":"d","version":1600000000000000}')
    until(lambda: real.cache.read(["d"]))
    assert stopped(update) == 0
