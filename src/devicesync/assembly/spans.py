"""Which spans a command makes: those that OpenTelemetry's own environment variables ask for, else none."""

import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import structlog

from devicesync import extras
from devicesync.assembly import named_log
from devicesync.clock import SYSTEM
from devicesync.config import Settings
from devicesync.errors import WrongUse
from devicesync.status.spans import NO_SPANS, Spans

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_EXPORTER = "OTEL_TRACES_EXPORTER"
_END_SECONDS = 3.0
_SAY_SECONDS = 60.0
_log: Any = structlog.get_logger("devicesync")


@contextmanager
def spans_of(command: str, settings: Settings, variables: Mapping[str, str] = os.environ) -> Iterator[Spans]:
    """The spans of a command while the body runs; what is not exported yet is, within 3 s. Raises WrongUse."""
    exporter = _exporter(variables)
    if exporter == "none":
        yield NO_SPANS
        return
    lacking = extras.missing("otel")
    if lacking:
        _log.warning("OTEL_* asks for traces, and there are none", lacking=", ".join(lacking), hint=extras.hint("otel"))
        yield NO_SPANS
        return
    # ruff: noqa: PLC0415 - loaded where it is asked for, and there alone
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider

    from devicesync.status.open_telemetry import OpenTelemetrySpans

    named = OTELResourceDetector().detect().attributes
    resource = Resource.create({"service.name": f"devicesync-{command.replace(' ', '-')}", **named})
    try:
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(_processor(exporter))
    except (ValueError, OSError) as error:
        raise WrongUse(f"an OTEL_* variable is not understood: {error}", "see OpenTelemetry's own list of them") from error
    logger, said = logging.getLogger("opentelemetry"), _Said()
    logger.addHandler(said)
    logger.propagate = False
    try:
        yield OpenTelemetrySpans(provider, "kafka" if named_log.is_shared(settings) else "journal")
    finally:
        ending = threading.Thread(target=provider.shutdown, name="spans", daemon=True)  # a collector may be away
        ending.start()
        ending.join(_END_SECONDS)
        logger.removeHandler(said)
        logger.propagate = True


class _Said(logging.Handler):
    """What the SDK has to say, as a log line of ours, once a minute: of a collector that is away it speaks at every try."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        now = SYSTEM.monotonic()
        if now - self._at >= _SAY_SECONDS:
            self._at = now
            _log.warning("OpenTelemetry has trouble", reason=record.getMessage())


def _exporter(variables: Mapping[str, str]) -> str:
    """Which exporter is asked for: otlp, console or none."""
    asked = variables.get(_EXPORTER, "")
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return "none"
    if not asked:
        return "otlp" if any(variables.get(name) for name in _ENDPOINTS) else "none"
    if asked not in {"otlp", "console", "none"}:
        raise WrongUse(f"{_EXPORTER} = {asked!r} is not understood", "write otlp, console or none")
    return asked


def _processor(exporter: str) -> "SpanProcessor":
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor

    if exporter == "console":
        return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return BatchSpanProcessor(OTLPSpanExporter())
