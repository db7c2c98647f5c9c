"""rediss+sentinel:// speaks TLS to Sentinel too."""

import socket
import threading
from contextlib import suppress

import pytest
import redis

from devicesync.cache.redis_connect import connect

_TLS_HANDSHAKE = 0x16


@pytest.mark.parametrize(("scheme", "is_tls"), [("rediss+sentinel", True), ("redis+sentinel", False)])
def test_what_sentinel_is_asked_is_encrypted(scheme: str, is_tls: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """Seen on the wire: the first byte of each connection is that of a TLS handshake."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def listen() -> None:
            with suppress(OSError):  # it is shut down
                while True:
                    connection, _ = server.accept()
                    with connection:
                        heard.append(connection.recv(1))

        listener = threading.Thread(target=listen)
        listener.start()
        connections = connect(f"{scheme}://127.0.0.1:{server.getsockname()[1]}/main/2")
        with pytest.raises(redis.RedisError):
            connections.ping()
        server.shutdown(socket.SHUT_RDWR)
        listener.join()
        connections.close()
    assert {first[0] == _TLS_HANDSHAKE for first in heard} == {is_tls}
