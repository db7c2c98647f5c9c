"""One of our answers, as a response of Starlette."""

from typing import Any

from starlette.responses import Response

from devicesync.api.answers import Answer


class Sent(Response):
    """answer: what is sent."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See Starlette."""
        del scope, receive
        await self.answer.send(send)
