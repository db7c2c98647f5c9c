"""How requests are sent: neighbours together, what failed again and alone."""

from collections.abc import Iterator, Mapping, Sequence

from cassandra.metadata import Murmur3Token

from devicesync.clock import Clock
from devicesync.database.cassandra.call import Call, Request
from devicesync.database.cassandra.driver import Driver, Failed, Rows, succeeded
from devicesync.few import few_at_once

_ROWS_PER_WRITE = 4
_MANY_DEVICES = 200
_TRIES = 3
_REPEAT_SECONDS = 0.05
_token = Murmur3Token.hash_fn

Writes = Mapping[str, Sequence[Call]]
"""By device what is written of it, in one request: Cassandra shows all of it at once, or nothing."""


def token_of(device_id: str) -> int:
    """Where on the ring the device lies."""
    return int(_token(device_id.encode()))


def until_done(driver: Driver, clock: Clock, requests: Sequence[Sequence[Request]]) -> list[Rows]:
    """Run requests, each made of one or several whole ones; their rows, in order.

    What failed is repeated, each whole one alone. Raises the last failure.
    """
    if not requests:
        return []
    outcomes = driver.run([[call for whole in request for call in whole] for request in requests])
    for attempt in range(1, _TRIES):
        failed = [index for index, outcome in enumerate(outcomes) if isinstance(outcome, Failed)]
        if not failed:
            break
        clock.sleep(_REPEAT_SECONDS * attempt)
        alone = [(index, whole) for index in failed for whole in requests[index]]
        again = driver.run([whole for _, whole in alone])
        for index in failed:
            outcomes[index] = []
        for (index, _), outcome in zip(alone, again, strict=True):
            outcomes[index] = outcome if isinstance(outcome, Failed) else outcomes[index] or outcome
    return [succeeded(outcome) for outcome in outcomes]


def together(writes: Writes) -> Iterator[list[Request]]:
    """The requests that go together: of many devices, those of a few neighbours by token, which mostly share replicas.

    A request costs both sides as much as three rows do. So few stay below what Cassandra warns of (10 partitions, 5 KiB).
    """
    written = {device_id: calls for device_id, calls in writes.items() if calls}
    if len(written) < _MANY_DEVICES:
        yield from ([calls] for calls in written.values())
        return
    for neighbours in few_at_once(sorted(written, key=token_of), _ROWS_PER_WRITE):
        yield [written[device_id] for device_id in neighbours]
