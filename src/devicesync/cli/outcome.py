"""What a command returns, and how it is printed."""

import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from devicesync.printable import json_for, printable


class Outcome(NamedTuple):
    """What a command has to say at its end.

    document: for --json; None: it has none, so people's text is printed with --json too.
    lines: for people, on stdout. data: bytes that follow them as they are. remark: for people, on stderr.
    notes: on stderr, with --json too.
    status: the exit status.
    """

    document: Any = None
    lines: Iterable[str] = ()
    data: bytes | None = None
    remark: str = ""
    notes: Iterable[str] = ()
    status: int = 0


def present(outcome: Outcome, *, as_json: bool) -> int:
    """Print it; its exit status."""
    if as_json and outcome.document is not None:
        print(json_for(sys.stdout, outcome.document))
    else:
        for line in outcome.lines:
            show(line)
        if outcome.data is not None:
            _write(outcome.data)
        if outcome.remark:
            say(outcome.remark)
    for note in outcome.notes:
        say(note)
    return outcome.status


def show(text: str) -> None:
    """A line for people, on stdout. Whatever of it came from outside, no terminal obeys it; what stdout can't take is escaped."""
    encoding = sys.stdout.encoding
    print(printable(text).encode(encoding, "backslashreplace").decode(encoding))


def say(text: str) -> None:
    """A line for people, on stderr; with its own line ends, and nothing else that a terminal would obey."""
    print("\n".join(map(printable, text.split("\n"))), file=sys.stderr, flush=True)


def _write(data: bytes) -> None:
    """The bytes as they are into a pipe or file; a terminal would obey what is in them."""
    if sys.stdout.isatty():
        show(data.decode(errors="backslashreplace"))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data + b"\n")
