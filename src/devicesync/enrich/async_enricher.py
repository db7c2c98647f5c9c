"""The Enricher for asyncio: what is remembered is answered at once, and what is missing is read in a thread."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from devicesync.enrich.counts import Counts
from devicesync.enrich.enricher import Device, Enricher
from devicesync.law.refusal import Refused


class AsyncEnricher:
    """See Enricher, whose arguments it takes. The loop is never blocked: only what waits for Redis goes to a thread."""

    def __init__(self, url: str, **options: Any) -> None:
        self._enricher = Enricher(url, **options)

    @property
    def counts(self) -> Counts:
        """See Enricher."""
        return self._enricher.counts

    async def enrich(self, events: Sequence[bytes]) -> list[bytes | Refused]:
        """See Enricher."""
        steps = self._enricher.steps
        await self._start()
        batch = steps.read(events)
        if batch.recall.missing:
            await asyncio.to_thread(steps.fetch, batch)
        return steps.splice(batch)

    async def enrich_batch(self, events: Sequence[bytes]) -> list[bytes]:
        """See Enricher."""
        return [
            event if isinstance(done, Refused) else done for event, done in zip(events, await self.enrich(events), strict=True)
        ]

    async def lookup(self, device_ids: Sequence[str]) -> dict[str, Device | None]:
        """See Enricher."""
        await self._start()
        held = self._enricher.remembered(device_ids)
        return await asyncio.to_thread(self._enricher.lookup, device_ids) if held is None else held

    async def close(self) -> None:
        """See Enricher."""
        await asyncio.to_thread(self._enricher.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def _start(self) -> None:
        if not self._enricher.is_started:
            await asyncio.to_thread(self._enricher.start)
