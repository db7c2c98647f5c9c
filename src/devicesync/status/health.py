"""Health: what can't be used now, found out each time somebody asks, so that it heals by itself."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

_LONGEST_SECONDS = 5.0

Probe = Callable[[], Awaitable[None]]
"""Raises where something can't be used."""


class Readiness:
    """Runs probes. For one event loop: one that does not answer is not begun twice."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._probes = probes
        self._running: dict[str, asyncio.Future[None]] = {}

    async def lacking(self) -> dict[str, str]:
        """What is not ready: its name and why. Empty when all is well."""
        told = await asyncio.gather(*map(self._look, self._probes))
        return {name: reason for name, reason in zip(self._probes, told, strict=True) if reason}

    async def _look(self, name: str) -> str:
        running = self._running.get(name)
        if running is None or running.done():
            running = self._running[name] = asyncio.ensure_future(self._probes[name]())
            running.add_done_callback(lambda done: done.cancelled() or done.exception())
        try:
            await asyncio.wait_for(asyncio.shield(running), _LONGEST_SECONDS)
        except TimeoutError:
            return f"no answer within {_LONGEST_SECONDS:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not ready
            return str(error) or type(error).__name__
        return ""


class ReadinessElsewhere:
    """Readiness whose probes run in the event loop in which it was made. Whoever asks has a loop of another thread."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self._readiness = Readiness(probes)
        self._loop = asyncio.get_running_loop()

    async def lacking(self) -> dict[str, str]:
        """See Readiness."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._readiness.lacking(), self._loop))
