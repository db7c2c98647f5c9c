"""Which spans a command makes, by OpenTelemetry's environment variables."""

import logging
from typing import Any

import pytest

from devicesync import extras
from devicesync.assembly.spans import spans_of
from devicesync.config import load
from devicesync.errors import WrongUse
from devicesync.status.open_telemetry import OpenTelemetrySpans
from devicesync.status.spans import NO_SPANS

SETTINGS = load({}, {}).settings
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


@pytest.mark.parametrize(
    ("variables", "are_made"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "x"}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:9"}, True),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        (ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"}, False),
        (ENDPOINT | {"OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_what_asks_for_them(variables: dict[str, str], *, are_made: bool) -> None:
    """The standard variables, and no setting of ours."""
    with spans_of("update", SETTINGS, variables) as spans:
        assert isinstance(spans, OpenTelemetrySpans) == are_made
        assert (spans is NO_SPANS) != are_made


def test_what_the_sdk_says_is_a_log_line_once_a_minute(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Of a collector that is away it speaks at every try."""
    sdk = logging.getLogger("opentelemetry.exporter")
    with spans_of("update", SETTINGS, {"OTEL_TRACES_EXPORTER": "console"}):
        sdk.warning("the collector is %s", "away")
        sdk.warning("still")
    told = capsys.readouterr().out
    assert ("the collector is away" in told, "still" in told, caplog.text) == (True, False, "")
    sdk.warning("after it")
    assert "after it" in caplog.text


def test_an_exporter_that_is_not_there_is_wrong_use() -> None:
    """It says which there are."""
    with (
        pytest.raises(WrongUse, match="'jaeger' is not understood"),
        spans_of("up", SETTINGS, {"OTEL_TRACES_EXPORTER": "jaeger"}),
    ):
        pass


@pytest.mark.parametrize(
    "variables", [{"OTEL_BSP_MAX_QUEUE_SIZE": "-1"}, {"OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": "-5"}, {"OTEL_BSP_SCHEDULE_DELAY": "-1"}]
)
def test_a_value_that_the_sdk_refuses_is_wrong_use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """The SDK reads the process' environment by itself."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(WrongUse, match=r"an OTEL_\* variable is not understood: "), spans_of("up", SETTINGS, ENDPOINT):
        pass


def test_without_the_extra_there_are_none(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """A warning: a platform may set the variables for whatever runs on it."""
    monkeypatch.setattr(extras, "missing", lambda extra: [f"{extra} is not there"])
    with spans_of("up", SETTINGS, ENDPOINT) as spans:
        assert spans is NO_SPANS
    assert "devicesync[otel]" in capsys.readouterr().out
