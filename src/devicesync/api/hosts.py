"""The names under which the admin port shows its page.

A site can give its own name our address, and then read our page in its visitor's browser (DNS rebinding). What is asked under
the site's name is refused. Nobody outside can have a name without a dot, or an address for a name.
"""

import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from devicesync.api.answers import Answer
from devicesync.api.clients import parsed

_OPEN = frozenset({"/livez", "/readyz", "/metrics"})
_REFUSAL = Answer(
    421,
    b"This page is not shown under that name. Open it by its address, by the machine's name, or by the name in admin_listen.\n",
    b"text/plain; charset=utf-8",
)

_PORT = re.compile(":[0-9]*$")

App = Callable[[Any, Any, Any], Awaitable[None]]


class KnownHosts:
    """An ASGI application that answers 421 under a foreign name. Health and metrics tell nothing of devices, and are open.

    listens_on: the host that the setting names.
    """

    def __init__(self, app: App, listens_on: str) -> None:
        self._app = app
        self._known = {listens_on.lower(), socket.gethostname().lower()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        asked = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if scope["path"] in _OPEN or self._is_known(asked):
            await self._app(scope, receive, send)
        else:
            await _REFUSAL.send(send)

    def _is_known(self, host: str) -> bool:
        """host: a name or an address, with a port or without; "" where the client sends none, as no browser does."""
        name = _PORT.sub("", host).lower()
        if name.startswith("["):
            return name.endswith("]") and parsed(name) is not None
        return "@" not in name and ("." not in name or name in self._known or parsed(name) is not None)
