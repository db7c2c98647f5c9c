"""What a checkup finds."""

from typing import Literal, NamedTuple

INIT = "run `devicesync init`"
"""The hint for whatever is not there yet."""


class Finding(NamedTuple):
    """One thing looked at. `hint` says what to do, where there is something to do."""

    what: str
    status: Literal["ok", "warning", "failed"]
    detail: str
    hint: str = ""
