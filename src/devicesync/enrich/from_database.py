"""Enrichment without a cache that others fill: the embedded default, whose database is read for each batch."""

import sys
from collections.abc import Mapping, Sequence

from devicesync.clock import SYSTEM
from devicesync.database.port import Database
from devicesync.enrich.counts import Counts
from devicesync.enrich.devicedata import members, values_of
from devicesync.enrich.enrichment import Enrichment
from devicesync.enrich.near_cache import Boarded, Entry, NearCache
from devicesync.law.profile import profile_of
from devicesync.law.refusal import Refused
from devicesync.law.state import NOTHING


class DatabaseEnricher:
    """As Enricher, over a database; None for one that was not made yet. Remembers nothing, so it is never behind."""

    def __init__(self, database: Database | None, *, stamped: bool) -> None:
        self._database = database
        self._stamped = stamped
        self._near = NearCache(0)
        self._enrichment = Enrichment(self._near, self, stamped=stamped, max_age_seconds=0)
        self.proven_at = 0.0

    @property
    def counts(self) -> Counts:
        """See Enricher."""
        return self._enrichment.counts

    def enrich(self, events: Sequence[bytes], until_bytes: int = sys.maxsize) -> list[bytes | Refused]:
        """See Enricher."""
        return self._enrichment.enrich(events, until_bytes)

    def read(self, boarded: Boarded) -> Mapping[str, Entry]:
        """See enrichment.Knowledge."""
        read_at = SYSTEM.monotonic()
        try:
            states = self._database.read(boarded.mine) if self._database else {}
        except BaseException as error:
            self._near.cancel(boarded.flight, boarded.mine, error)
            raise
        entries = {}
        for device_id in boarded.mine:
            state = states.get(device_id, NOTHING)
            values = values_of(profile_of(state), state.version)
            entries[device_id] = Entry(*members(values, stamped=self._stamped), read_at)
        self._near.land(boarded.flight, entries)
        return entries

    def check(self) -> None:
        """See Enricher."""
        if self._database:
            self._database.check()

    def close(self) -> None:
        """See Enricher."""
        if self._database:
            self._database.close()
