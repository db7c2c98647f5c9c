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

from devicesync.api.answers import PAGE_HEADERS, PROFILE, REGISTER, Answer, Refusal, refused
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


class Front:
    """The API: the busy calls go straight to their endpoints, everything else through Starlette, which costs 15 µs a request."""

    def __init__(self, calls: Calls) -> None:
        self._register, self._profile = calls.register, calls.profile
        self._others = _others(calls)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        path, method = scope["path"], scope["method"]
        if method == "POST" and path.startswith(REGISTER_PATH):
            await self._register(scope, receive, send)
        elif method == "GET" and path.startswith(PROFILE_PATH):
            await self._profile(scope, receive, send)
        else:
            await self._others(scope, receive, send)


def _others(calls: Calls) -> Starlette:
    """All paths, their OpenAPI and AsyncAPI documents, and a page for people."""
    page = resources.files("devicesync.api").joinpath("page.html").read_bytes()
    documents = {
        "/": Answer(200, page, b"text/html; charset=utf-8", PAGE_HEADERS),
        "/openapi.json": Answer(200, msgspec.json.encode(openapi())),
        "/asyncapi.json": Answer(200, msgspec.json.encode(asyncapi())),
    }
    return Starlette(
        routes=[
            Route(REGISTER_PATH + "{device_id:path}", calls.register, methods=["POST"]),
            Route(PROFILE_PATH + "{device_id:path}", calls.profile, methods=["GET", "DELETE"]),
            *(Route(path, _always(answer)) for path, answer in documents.items()),
        ],
        exception_handlers={HTTPException: _http_error},
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
