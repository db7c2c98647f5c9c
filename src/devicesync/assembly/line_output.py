"""Where `enrich` and `simulate` write lines: a file, standard output, or another pipe that nobody may read from for long."""

import errno
import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from devicesync.errors import Stopped, WrongUse

_LOOK_SECONDS = 0.2


@contextmanager
def lines_into(target: Path, stop: threading.Event) -> Iterator[Callable[[Sequence[bytes]], None]]:
    """A function that writes lines there for the body; - is standard output. It waits for who reads the pipe.

    Both raise Stopped when `stop` is set and nobody reads. Raises WrongUse. The function raises OSError, which names the file.
    """
    with ExitStack() as closing:
        try:
            descriptor = sys.stdout.fileno() if str(target) == "-" else _opened(target, stop, closing)
        except OSError as error:
            raise WrongUse(f"can't write {target}: {error.strerror}", "name a file in a directory that is there, or -") from None
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        room = select.poll()  # select takes no descriptor above 1,023
        room.register(descriptor, select.POLLOUT)
        at_once = sys.maxsize if is_file else select.PIPE_BUF  # so many bytes fit into a pipe that can be written to

        def write(lines: Sequence[bytes]) -> None:
            left = memoryview(b"\n".join([*lines, b""]))
            while left:
                while not room.poll(_LOOK_SECONDS * 1000):
                    if stop.is_set():
                        raise Stopped
                try:
                    left = left[os.write(descriptor, left[:at_once]) :]
                except OSError as error:
                    error.filename = None if str(target) == "-" else str(target)
                    raise

        yield write


def _opened(path: Path, stop: threading.Event, closing: ExitStack) -> int:
    """The descriptor, closed with `closing`. Raises OSError, and Stopped while nobody has opened the pipe to read it."""
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno != errno.ENXIO or not path.is_fifo():
                raise
            if stop.wait(_LOOK_SECONDS):
                raise Stopped from None
        else:
            closing.callback(os.close, descriptor)
            os.set_blocking(descriptor, True)
            return descriptor
