"""The requests of the page. A request that shows or changes a device's data needs the same keys as the API's calls."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Any, Literal

import msgspec
import structlog
from starlette.requests import Request
from starlette.routing import Route

from devicesync.api.access import Access
from devicesync.api.answers import Answer, RequestError
from devicesync.api.sent import Sent
from devicesync.api.status_page.rendering import render
from devicesync.api.status_page.sight import Sight
from devicesync.errors import Stopped, Unavailable
from devicesync.law.event import check_id
from devicesync.law.refusal import Refused
from devicesync.status.metrics import Metrics
from devicesync.status.summary import summary

Ready = Callable[[], Awaitable[dict[str, str]]]
"""What is not ready: a name and why. Empty when all is well."""

_MOST_LETTERS = 20
_KEPT_SECONDS = 1.0
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = ((b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer"))
_HTML = b"text/html; charset=utf-8"
_log: Any = structlog.get_logger("devicesync")


class StatusPage:
    """sight: what it may look at beside the figures; None in a process that does not work on devices."""

    def __init__(self, metrics: Metrics, ready: Ready, access: Access, sight: Sight | None) -> None:
        self._metrics = metrics
        self._ready = ready
        self._access = access
        self._sight = sight
        self._found: asyncio.Task[dict[str, Any]] | None = None
        self._found_at = 0.0

    def routes(self) -> list[Route]:
        """Where it is served."""
        files = {"/page.js": b"text/javascript; charset=utf-8", "/page.css": b"text/css; charset=utf-8"}
        routes = [Route(path, _always(path, kind)) for path, kind in files.items()]
        routes += [Route("/", self._page), Route("/figures", self._figures), Route("/status.json", self._json)]
        if self._sight:
            routes += [Route("/device", self._device), Route("/dead-letters", self._letters)]
            routes.append(Route("/dead-letters/replay", self._replay, methods=["POST"]))
        return routes

    async def _page(self, request: Request) -> Sent:
        followed = b""
        device_id = request.query_params.get("device", "")
        if self._sight and device_id:
            followed = (await self._shown(lambda: self._followed(request, device_id))).answer.body
        found = await self._summary()
        return _html(render("page.html", found=found, device_id=device_id, followed=followed.decode(), looks=bool(self._sight)))

    async def _figures(self, request: Request) -> Sent:
        del request
        return _html(render("figures.html", found=await self._summary()))

    async def _json(self, request: Request) -> Sent:
        del request
        return Sent(Answer(200, msgspec.json.encode(await self._summary())))

    async def _device(self, request: Request) -> Sent:
        return await self._shown(lambda: self._followed(request, request.query_params.get("id", "")))

    async def _letters(self, request: Request) -> Sent:
        return await self._shown(lambda: self._listed(request, ""))

    async def _replay(self, request: Request) -> Sent:
        return await self._shown(lambda: self._replayed(request))

    async def _followed(self, request: Request, device_id: str) -> bytes:
        sight = self._sight_for("register", request)
        check_id(device_id)
        return render("device.html", trace=await sight.run(lambda: sight.trace(device_id)))

    async def _listed(self, request: Request, told: str) -> bytes:
        sight = self._sight_for("admin", request)
        total, letters = await sight.run(lambda: sight.dead_letters(_MOST_LETTERS))
        return render("letters.html", total=total, letters=letters, told=told)

    async def _replayed(self, request: Request) -> bytes:
        sight = self._sight_for("admin", request)
        done = await sight.run(lambda: sight.replay(request.query_params.get("id")))
        told = f"{done.tried} tried again, {done.applied} applied, {done.tried - done.applied} still refused"
        try:
            return await self._listed(request, told)
        except Unavailable as error:
            raise Unavailable(f"{told}; {error}", error.hint) from error

    def _sight_for(self, role: Literal["register", "admin"], request: Request) -> Sight:
        """What the page may look at. Raises RequestError for a caller without this role."""
        self._access.check(role, dict(request.scope["headers"]))
        assert self._sight  # noqa: S101 - else there is no such route
        return self._sight

    async def _shown(self, make: Callable[[], Awaitable[bytes]]) -> Sent:
        """A part of the page, or a sentence that says what is wrong."""
        status = 200
        try:
            return _html(await make())
        except RequestError as error:
            status, words = error.status, str(error)
        except Refused as error:
            status, words = 400, error.detail
        except Unavailable as error:
            status, words = 503, f"{error}; {error.hint}" if error.hint else str(error)
        except Stopped as error:
            status, words = 503, str(error)
        return _html(render("problem.html", status=status, words=words), status)

    async def _summary(self) -> dict[str, Any]:
        """The summary, at most a second old, however many pages are open, and however long it takes to find the lag."""
        now = asyncio.get_running_loop().time()
        if self._found is None or now - self._found_at > _KEPT_SECONDS:
            self._found, self._found_at = asyncio.create_task(self._look()), now
        return await asyncio.shield(self._found)

    async def _look(self) -> dict[str, Any]:
        lacking = await self._ready()
        return await asyncio.to_thread(summary, self._metrics, lacking)


def _html(body: bytes, status: int = 200) -> Sent:
    return Sent(Answer(status, body, _HTML, _HEADERS))


def _always(path: str, kind: bytes) -> Callable[[Request], Awaitable[Sent]]:
    content = resources.files("devicesync.api.status_page").joinpath(path[1:]).read_bytes()

    async def endpoint(request: Request) -> Sent:
        del request
        return Sent(Answer(200, content, kind, _HEADERS))

    return endpoint
