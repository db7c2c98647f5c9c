"""What is asked of Cassandra."""

from collections.abc import Sequence
from typing import Any, NamedTuple


class Call(NamedTuple):
    """A statement of schema.py, and the values that it binds: times in ms, timestamps in µs."""

    statement: str
    values: Sequence[Any]


Request = Sequence[Call]
"""One call; or several writes sent as one batch without a log, each with the timestamp that its statement names."""
