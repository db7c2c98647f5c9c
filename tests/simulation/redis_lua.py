"""Redis' scripts, run as Redis runs them: Lua 5.1, with redis.call, cjson and cmsgpack as far as our scripts use them."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec
from lupa import lua51

Call = Callable[..., Any]

_lua = lua51.LuaRuntime(encoding=None, register_eval=False, register_builtins=False)
_unpack = msgspec.msgpack.Decoder().decode
_HEADER = b"return function(redis, cjson, cmsgpack, KEYS, ARGV)\n"


class Script:
    """A script that the server knows."""

    def __init__(self, text: str) -> None:
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._run = _lua.execute(_HEADER + text.encode() + b"\nend")

    def run(self, call: Call, keys: list[bytes], arguments: list[bytes]) -> Any:
        """Run it; its reply as the protocol gives it."""

        def answer(name: bytes, *given: Any) -> Any:
            return _to_lua(call(name, *given))

        redis = _lua.table_from({b"call": answer, b"pcall": answer})
        return _reply(self._run(redis, _CJSON, _CMSGPACK, _lua.table_from(keys), _lua.table_from(arguments)))


@cache
def compiled(text: str) -> Script:
    """The script, compiled once."""
    return Script(text)


def _to_lua(reply: Any) -> Any:
    """A reply as a script sees it: nil is false, a list is a table."""
    if reply is None:
        return False
    return _lua.table_from([_to_lua(each) for each in reply]) if isinstance(reply, list) else reply


def _reply(value: Any) -> Any:
    """What a script returns, as a client sees it: false is nil, numbers are cut to integers, a table ends at its first nil."""
    if value is None or value is False:
        return None
    if value is True:
        return 1
    if isinstance(value, int | float):
        return int(value)
    if isinstance(value, bytes):
        return value
    found: list[Any] = []
    while (each := value[len(found) + 1]) is not None:
        found.append(_reply(each))
    return found


def _table_of(packed: bytes) -> Any:
    """cmsgpack.unpack of a flat array. A nil leaves a hole."""
    return _lua.table_from([value.encode() if isinstance(value, str) else value for value in _unpack(packed)])


def _decoded(text: bytes) -> Any:
    """cjson.decode of an array or a map of texts."""
    found = json.loads(text, strict=False)
    if isinstance(found, list):
        return _lua.table_from([each.encode() for each in found])
    return _lua.table_from({key.encode(): each.encode() for key, each in found.items()})


def _encoded(text: bytes) -> bytes:
    """cjson.encode of a text."""
    return msgspec.json.encode(text.decode()).replace(b"/", b"\\/").replace(b"\x7f", b"\\u007f")


_CJSON = _lua.table_from({b"decode": _decoded, b"encode": _encoded})
_CMSGPACK = _lua.table_from({b"unpack": _table_of})
