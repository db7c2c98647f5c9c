"""The two ASGI applications: the API with its page, and the admin port's health and metrics."""

from collections.abc import Callable
from importlib import resources
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devicesync.api.answers import PROFILE, REGISTER, Answer, Refusal, refused
from devicesync.api.documents import asyncapi, openapi
from devicesync.api.endpoints import PROFILE_PATH, REGISTER_PATH, Calls
from devicesync.api.metrics import Metrics

Ready = Callable[[], dict[str, str]]
"""What is not ready: a name and why. Empty when all is well."""

_ERRORS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class _Sent(Response):
    """One of our answers, as a response of Starlette."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        del scope, receive
        await self._answer.send(send)


def api_app(calls: Calls) -> Starlette:
    """The API: the two paths, their OpenAPI and AsyncAPI documents, and a page for people."""
    page = resources.files("devicesync.api").joinpath("page.html").read_bytes()
    documents = {
        "/": Answer(200, page, b"text/html; charset=utf-8"),
        "/openapi.json": Answer(200, msgspec.json.encode(openapi())),
        "/asyncapi.json": Answer(200, msgspec.json.encode(asyncapi())),
    }
    return Starlette(
        routes=[
            Route(REGISTER_PATH + "{device_id:path}", calls.register, methods=["POST"]),
            Route(PROFILE_PATH + "{device_id:path}", calls.profile, methods=["GET", "DELETE"]),
            *(Route(path, _always(answer)) for path, answer in documents.items()),
        ],
        exception_handlers={HTTPException: _http_error, Exception: _fault},
    )


def admin_app(metrics: Metrics, ready: Ready) -> Starlette:
    """/livez: the process answers. /readyz: it can do its work, else 503 and why. /metrics: for Prometheus."""

    async def readyz(request: Request) -> Response:
        del request
        lacking = ready()
        return _Sent(Answer(503 if lacking else 200, msgspec.json.encode({"ready": not lacking, "lacking": lacking})))

    async def show_metrics(request: Request) -> Response:
        del request
        return _Sent(Answer(200, metrics.text(), b"text/plain; version=0.0.4; charset=utf-8"))

    return Starlette(
        routes=[
            Route("/livez", _always(Answer(200, b'{"live":true}'))),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
        ]
    )


def _always(answer: Answer) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        del request
        return _Sent(answer)

    return endpoint


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    told = "the calls are POST " + REGISTER_PATH + "{device_id} and GET " + PROFILE_PATH + "{device_id}"
    api = REGISTER if request.url.path.startswith(REGISTER_PATH) else PROFILE
    return _Sent(refused(api, Refusal(status, _ERRORS.get(status, "BAD_REQUEST"), told)))


async def _fault(request: Request, error: Exception) -> Response:
    del error
    api = REGISTER if request.url.path.startswith(REGISTER_PATH) else PROFILE
    return _Sent(refused(api, Refusal(500, "INTERNAL", "a fault of this service; it is in its log")))
