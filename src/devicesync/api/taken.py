"""Whether a client has taken its answers, as the system knows: what was written may lie in the system's buffer for long."""

import fcntl
import socket
import struct
import termios
from typing import Any

_AT_ONCE = struct.pack("ii", 1, 0)
_NUMBER = struct.Struct("i")


def is_all_taken(transport: Any) -> bool:
    """Whether the client's system has all that was written to this connection."""
    untaken = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, _NUMBER.pack(0))
    return not transport.get_write_buffer_size() and _NUMBER.unpack(untaken) == (0,)


def close_if_taken(transport: Any) -> bool:
    """Close the connection if its client's system has all. Return whether it is closed."""
    if is_taken := is_all_taken(transport):
        transport.close()
    return is_taken


def throw_away(transport: Any) -> None:
    """Let the connection's end throw away what is not taken. Else the system keeps it after the end, for the client."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
