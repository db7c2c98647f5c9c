"""devicesync in a process of its own, to be attacked over raw sockets: its memory, its sockets, what it said, how it ends."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.end_to_end.command import Devicesync

REGISTER = b"/v1/device/register/d"
BODY = b'{"request":{}}'


class Attacked:
    """A process that serves the API. stop: SIGTERM; how long it then took, s, and all that it said on stderr."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self._commands = Devicesync(directory)
        self.process = self._commands.start(*arguments, ready=False)
        assert self.process.stderr
        self.said: list[str] = []
        while len(ports := re.findall(r"http://127\.0\.0\.1:(\d+)", "".join(self.said))) < 2:
            line = self.process.stderr.readline()
            assert line, self.said
            self.said.append(line)
        self.port, self.admin_port = int(ports[0]), int(ports[1])

    def connect(self, port: int | None = None, source: str = "127.0.0.1") -> socket.socket:
        """A connection to the API, or to another port, from a loopback address."""
        return socket.create_connection(("127.0.0.1", port or self.port), timeout=20, source_address=(source, 0))

    def ask(self, request: bytes, port: int | None = None, source: str = "127.0.0.1") -> bytes:
        """All that is answered to a request, until the connection ends."""
        with self.connect(port, source) as opened:
            with suppress(OSError):
                opened.sendall(request)
            return rest_of(opened)

    def registers(self, source: str = "127.0.0.1") -> bool:
        """Whether a registration is served now."""
        return self.ask(post(BODY, b"Connection: close"), source=source).startswith(b"HTTP/1.1 200")

    def rss_mb(self) -> float:
        """The process' memory, MiB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024

    def sockets(self) -> int:
        """How many sockets it holds."""
        count = 0
        for descriptor in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with suppress(OSError):
                count += str(descriptor.readlink()).startswith("socket:")
        return count

    def stop(self) -> tuple[float, str]:
        """End it by SIGTERM."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        _, told = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, told
        return time.monotonic() - began, "".join(self.said) + told

    def kill(self) -> None:
        """End it whatever it does."""
        self._commands.stop_all()


@contextmanager
def many(attacked: Attacked, count: int, source: str = "127.0.0.1") -> Iterator[list[socket.socket]]:
    """So many connections."""
    with ExitStack() as opened:
        yield [opened.enter_context(attacked.connect(source=source)) for _ in range(count)]


def post(body: bytes, *headers: bytes, path: bytes = REGISTER) -> bytes:
    """A registration's bytes."""
    lines = [b"POST %b HTTP/1.1" % path, b"Host: x", b"User-Agent: x", b"Content-Type: application/json"]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), *headers, b"", body])


def chunked(path: bytes = REGISTER, *headers: bytes, method: bytes = b"POST") -> bytes:
    """The head of a request whose body comes in chunks."""
    lines = [b"%b %b HTTP/1.1" % (method, path), b"Host: x", b"User-Agent: x", *headers]
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""])


def rest_of(opened: socket.socket) -> bytes:
    """All that comes until the connection ends; TimeoutError when it does not end."""
    parts = []
    with suppress(ConnectionError):
        while part := opened.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def is_cut_off(opened: socket.socket, data: bytes, every_seconds: float = 0.02) -> bool:
    """Whether the server ends a connection on which this comes again and again, at most a thousand times."""
    with suppress(ConnectionError):
        for _ in range(1000):
            opened.sendall(data)
            time.sleep(every_seconds)
        return False
    return True


def pour(opened: socket.socket, data: bytes, most_bytes: int, seconds: float = 15.0) -> int:
    """Send `data` again and again until the other side ends it, at most so many bytes and seconds; how many were taken."""
    deadline, sent = time.monotonic() + seconds, 0
    opened.settimeout(1)
    while sent < most_bytes and time.monotonic() < deadline:
        try:
            sent += opened.send(data)
        except TimeoutError:
            continue
        except OSError:
            break
    return sent
