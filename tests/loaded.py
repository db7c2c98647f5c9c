"""Commands that begin with their code loaded: each is a copy (fork) of one process, which has loaded all of it once for a whole run.

Loading costs a command a third of a second of processor time, which is more than most commands of tests then work. To the test it is a
process like any other, with an id, pipes, signals and an exit status of its own. A test of the start itself starts its command whole.

`python -m tests.loaded SOCKET` is that one process. A connection begins a command, and tells its id and how it ended.
"""

import functools
import gc
import importlib
import json
import os
import pkgutil
import resource
import runpy
import selectors
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from devstack.server import Server

_ROOT = Path(__file__).parents[1]
_VARIABLE = "TESTS_COMMANDS_ARE_LOADED_AT"
_BYTES = 1 << 17
_ALSO = ("rich.progress", "rich.live", "s3fs")
"""What commands load while they work, beside modules of our own."""


class Loader(Server):
    """The process that has loaded the code, and takes connections then."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "commands"
        command = [sys.executable, "-m", "tests.loaded", str(self.socket)]
        super().__init__(
            "the loader of commands", directory, command, self.socket.exists, {"PYTHONPATH": f"{_ROOT / 'src'}:{_ROOT}"}
        )

    def start(self, *, wait: bool = True) -> None:
        """See Server. Commands of this process, and of those that it starts from now on, are loaded by it."""
        super().start(wait=wait)
        os.environ[_VARIABLE] = str(self.socket)


@functools.cache
def _socket() -> Path:
    from tests import servers  # noqa: PLC0415 - it starts the loader of a whole run

    if _VARIABLE not in os.environ:
        servers.started(Loader)
    path = Path(os.environ[_VARIABLE])
    while not path.exists():
        time.sleep(0.05)
    return path


class Popen(subprocess.Popen[Any]):
    """As subprocess.Popen, of `[MODULE or SCRIPT, WORD…]`; env is to be given."""

    def _execute_child(self, args: Any, *rest: Any) -> None:
        cwd, env, pipes = rest[4], rest[5], rest[9:15]
        theirs = [given if given >= 0 else number for number, given in enumerate(pipes[number] for number in (0, 3, 5))]
        self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._connection.connect(str(_socket()))
        words, descriptors = [os.fspath(word) for word in args], resource.getrlimit(resource.RLIMIT_NOFILE)
        asked = {"words": words, "cwd": os.fspath(cwd or Path.cwd()), "env": env, "descriptors": descriptors}
        socket.send_fds(self._connection, [json.dumps(asked).encode()], theirs)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = int(self._connection.recv(_BYTES))
        self._child_created = True

    def _try_wait(self, flags: int) -> tuple[int, int]:
        try:
            status = int(self._connection.recv(_BYTES, socket.MSG_DONTWAIT if flags & os.WNOHANG else 0))
        except BlockingIOError:
            return 0, 0
        self._connection.close()
        return self.pid, status

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                ended, status = self._try_wait(os.WNOHANG)
                if ended:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def _load() -> None:
    import devicesync  # noqa: PLC0415 - by the process that loads, not by a test that starts a command

    for name in (*_ALSO, *(module.name for module in pkgutil.walk_packages(devicesync.__path__, "devicesync."))):
        if not name.endswith("__main__"):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _serve(listener: socket.socket) -> list[str]:
    """Returns in each command, with its words."""
    ready = selectors.DefaultSelector()
    ready.register(listener, selectors.EVENT_READ, (0, listener))
    while True:
        for key, _ in ready.select():
            pid, connection = key.data
            if key.fileobj is listener:
                connection, _ = listener.accept()
                asked, theirs, *_ = socket.recv_fds(connection, _BYTES, 3)
                pid = os.fork()
                if not pid:
                    connection.close()
                    _leave(ready)
                    return _become(json.loads(asked), theirs)
                for each in theirs:
                    os.close(each)
                _tell(connection, pid)
                ready.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, connection))
            elif isinstance(key.fileobj, int):  # it has ended, and lies there until who waits for it knows how
                ready.unregister(key.fileobj)
                os.close(key.fileobj)
                _tell(connection, _status(pid))
                ready.register(connection, selectors.EVENT_READ, (pid, connection))
            else:
                ready.unregister(connection)
                connection.close()
                os.waitpid(pid, 0)


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(BrokenPipeError):  # whoever began it is gone
        connection.send(str(number).encode())


def _status(pid: int) -> int:
    """How it ended, as waitpid has it."""
    ended = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert ended
    return ended.si_status << 8 if ended.si_code == os.CLD_EXITED else ended.si_status


def _leave(ready: selectors.BaseSelector) -> None:
    """In the copy: what it has open of the others is closed."""
    for key in ready.get_map().values():
        key.data[1].close()
        if isinstance(key.fileobj, int):
            os.close(key.fileobj)
    ready.close()


def _become(asked: dict[str, Any], theirs: list[int]) -> list[str]:
    """In the copy: what exec would give a new process."""
    for number, given in enumerate(theirs):
        os.dup2(given, number)
        os.close(given)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    resource.setrlimit(resource.RLIMIT_NOFILE, asked["descriptors"])
    words: list[str] = asked["words"]
    return words


def _begin(path: Path) -> None:
    _load()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path) + ".")
        listener.listen(128)
        Path(str(path) + ".").rename(path)  # who sees it finds it open
        what, *words = _serve(listener)
    sys.argv = [what, *words]
    if what.endswith(".py"):
        runpy.run_path(what, run_name="__main__")
    else:
        runpy.run_module(what, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _begin(Path(sys.argv[1]))
