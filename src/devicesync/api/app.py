"""The two ASGI applications: the API with its page, and the admin port's health and metrics."""

import asyncio
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from devicesync.api.access import Access
from devicesync.api.answers import PAGE_HEADERS, PROFILE, REGISTER, Answer, RequestError, refused
from devicesync.api.documents import asyncapi, openapi
from devicesync.api.endpoints import PROFILE_PATH, REGISTER_PATH, Calls
from devicesync.api.hosts import KnownHosts
from devicesync.api.sent import Sent
from devicesync.api.status_page.page import Ready, StatusPage
from devicesync.api.status_page.sight import Sight
from devicesync.log.leaderless import leaderless, named
from devicesync.status.metrics import Metrics

_HOST_IN_PAGE = b"127.0.0.1:8080"
_HOST = re.compile(rb"[A-Za-z0-9.:\[\]-]{1,255}").fullmatch
_ERRORS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


class Front:
    """The API: its calls, their OpenAPI and AsyncAPI documents, and a page for people.

    A path is matched as it was sent: a percent-encoded character belongs to a device's id, never to the path. There is no
    router and no middleware, which cost 15 µs a request.
    """

    def __init__(self, calls: Calls) -> None:
        reading = {"GET": calls.profile, "HEAD": calls.profile, "DELETE": calls.profile}
        self._calls = ((REGISTER_PATH.encode(), {"POST": calls.register}), (PROFILE_PATH.encode(), reading))
        self._page = resources.files("devicesync.api").joinpath("page.html").read_bytes()
        self._documents = {
            b"/openapi.json": Answer(200, msgspec.json.encode(openapi())),
            b"/asyncapi.json": Answer(200, msgspec.json.encode(asyncapi())),
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        path, method = scope["raw_path"], scope["method"]
        for start, methods in self._calls:
            if path.startswith(start):
                if method in methods:
                    await methods[method](scope, receive, send)
                else:
                    await _nothing_here(path, 405).send(send)
                return
        document = _page(self._page, scope["headers"]) if path == b"/" else self._documents.get(path)
        if document and method not in ("GET", "HEAD"):
            document = _nothing_here(path, 405)
        await (document or _nothing_here(path, 404)).send(send)


def _nothing_here(path: bytes, status: int) -> Answer:
    told = "the calls are POST " + REGISTER_PATH + "{device_id} and GET " + PROFILE_PATH + "{device_id}"
    api = REGISTER if path.startswith(REGISTER_PATH.rstrip("/").encode()) else PROFILE
    return refused(api, RequestError(status, _ERRORS[status], told))


def _page(raw: bytes, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    """The page. Its examples have the address that the client used."""
    host = dict(headers).get(b"host", b"")
    shown = raw.replace(_HOST_IN_PAGE, host) if _HOST(host) else raw
    return Answer(200, shown, b"text/html; charset=utf-8", PAGE_HEADERS)


def admin_app(metrics: Metrics, ready: Ready, access: Access, sight: Sight | None, host: str) -> KnownHosts:
    """/livez: the process answers. /readyz: it can do its work, else 503 and why not. /metrics: for Prometheus. /: the page.

    host: where it listens, as the setting says.
    """

    async def readyz(request: Request) -> Response:
        del request
        lacking = await ready()
        return Sent(
            Answer(503 if lacking else 200, msgspec.json.encode({"ready": not lacking, "lacking": lacking} | _impaired()))
        )

    async def show_metrics(request: Request) -> Response:
        del request
        return Sent(Answer(200, await asyncio.to_thread(metrics.text), b"text/plain; version=0.0.4; charset=utf-8"))

    app = Starlette(
        routes=[
            Route("/livez", _always(Answer(200, b'{"live":true}'))),
            Route("/readyz", readyz),
            Route("/metrics", show_metrics),
            *StatusPage(metrics, ready, access, sight).routes(),
        ]
    )
    app.router.redirect_slashes = False  # a redirect would repeat whatever Host says
    return KnownHosts(app, host)


def _impaired() -> dict[str, dict[str, str]]:
    """What works only in part. Whoever is asked says the same, so a balancer that took it for a failure would send to nobody."""
    found = leaderless()
    return {"impaired": {"log": f"partitions without a leader: {named(found)}"}} if found else {}


def _always(answer: Answer) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        del request
        return Sent(answer)

    return endpoint
