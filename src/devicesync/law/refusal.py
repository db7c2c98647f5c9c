"""Why an event is refused. The words are a contract: metrics and dead letters carry them (docs/law.md, "Refusals")."""

from typing import Literal, get_args

Reason = Literal[
    "too_large",
    "wrong_encoding",
    "malformed_json",
    "not_an_object",
    "missing_device_id",
    "invalid_device_id",
    "invalid_field",
    "missing_version",
    "version_too_old",
    "version_in_future",
]

REASONS: tuple[Reason, ...] = get_args(Reason)
"""Every reason, in the order in which they are looked for: an event with several faults is refused for the first."""


class Refused(ValueError):
    """An event that the law does not accept. `reason` is one of REASONS; `detail` says more, without personal data."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason: Reason = reason
        self.detail = detail
