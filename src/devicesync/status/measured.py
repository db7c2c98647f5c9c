"""Cache and database as their callers have them, with the time of each call and the failures counted."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from devicesync.errors import Unavailable
from devicesync.status.declared import FAST_SECONDS, STORE_CALL, STORE_ERRORS, Readings
from devicesync.status.tally import Tallies, Tally
from devicesync.stores import Stores

_CALLS = {"look", "read", "merge", "settle"}


class StoreCalls:
    """What the calls of both stores took, and how many failed."""

    def __init__(self) -> None:
        self._seconds = Tallies(FAST_SECONDS)
        self._errors: Counter[str] = Counter({"cache": 0, "database": 0})

    def measured(self, stores: Stores) -> Stores:
        """These stores, measured."""
        cache = _Measured(stores.cache, self._seconds["cache"], lambda: self._errors.update(("cache",)))
        database = _Measured(stores.database, self._seconds["database"], lambda: self._errors.update(("database",)))
        return stores._replace(cache=cast("Any", cache), database=cast("Any", database))

    def readings(self) -> Readings:
        """For Metrics."""
        return {STORE_CALL: self._seconds, STORE_ERRORS: self._errors}


class _Measured:
    """A store; its calls are timed."""

    def __init__(self, store: object, tally: Tally, failed: Callable[[], None]) -> None:
        self._store = store
        self._tally = tally
        self._failed = failed
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name not in _CALLS:
            return found
        timed = self._timed(found)
        setattr(self, name, timed)  # so that the next call finds it at once
        return timed

    def _timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return call(*arguments, **named)
            except Unavailable:
                with self._lock:
                    self._failed()
                raise
            finally:
                with self._lock:
                    self._tally.observe(time.perf_counter() - began)

        return timed
