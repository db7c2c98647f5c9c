"""Who may call: keys and tokens."""

import base64
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from devicesync.api.access import Access
from devicesync.api.answers import PROFILE, RequestError, refused
from devicesync.errors import WrongUse

SECRET = "a secret of more than thirty-two bytes"  # noqa: S105 - of this test alone


def allowed(access: Access, role: Any, **headers: str) -> int:
    """200, or the status of the error."""
    try:
        access.check(role, {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})
    except RequestError as error:
        return refused(PROFILE, error).status
    return 200


def test_keys() -> None:
    """Open by default; an admin's key registers too, a registrar's does not erase."""
    assert (allowed(Access("", "", ""), "register"), allowed(Access("", "", ""), "admin")) == (200, 403)
    access = Access("one, two", "boss", "")
    for key, register, admin in (("one", 200, 401), ("two", 200, 401), ("boss", 200, 200), ("no", 401, 401), ("", 401, 401)):
        assert allowed(access, "register", x_api_key=key) == register
        assert allowed(access, "admin", x_api_key=key) == admin
    assert allowed(Access("", "boss", ""), "register") == 200


def token(key: Any, algorithm: str = "HS256", **claims: Any) -> str:
    """A bearer header."""
    return "Bearer " + jwt.encode({"exp": time.time() + 60, "scope": "register", **claims}, key, algorithm)


def test_tokens(tmp_path: Path) -> None:
    """HS256 with a secret, RS256 with a public key; expired, foreign, unsigned and scopeless ones are refused."""
    access = Access("", "", "hs256:" + SECRET)
    assert allowed(access, "register", authorization=token(SECRET)) == 200
    assert allowed(access, "admin", authorization=token(SECRET)) == 403
    assert allowed(access, "admin", authorization=token(SECRET, scope="register admin")) == 200
    for no_space in ("\u00a0", "\t", "\n", "\u2003"):  # OAuth separates scopes by U+0020 alone
        assert allowed(access, "admin", authorization=token(SECRET, scope=f"register{no_space}admin")) == 403
    assert allowed(access, "admin", authorization=token(SECRET, scope=" register  admin ")) == 200
    assert allowed(access, "register", authorization=token(SECRET, exp=time.time() - 1)) == 401
    assert allowed(access, "register", authorization=token("another secret of more than 32 bytes")) == 401
    assert allowed(access, "register", authorization=token(None, "none")) == 401
    assert allowed(access, "register", authorization="Bearer " + jwt.encode({"scope": "register"}, SECRET)) == 401
    assert allowed(access, "register", authorization=token(SECRET, scope=None)) == 403
    assert allowed(access, "register") == 401
    private = rsa.generate_private_key(65537, 2048)
    pem = tmp_path / "key.pem"
    public = private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    pem.write_bytes(public)
    access = Access("", "", f"file:{pem}")
    assert allowed(access, "register", authorization=token(private, "RS256")) == 200
    assert allowed(access, "register", authorization=token(SECRET)) == 401


def test_what_is_no_token_is_refused() -> None:
    """Whatever it is, never a fault of the service."""
    access = Access("", "", "hs256:" + SECRET)
    deep, lone = (
        base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in (b"[" * 6000, b'{"alg":"HS256","crit":["\\ud800"]}')
    )
    for text in (
        "",
        "x",
        "a.b.c",
        "é.é.é",
        deep + ".e30.x",
        deep * 2,
        lone + ".e30.AAAA",
        token(SECRET)[7:] + "x",
        token(SECRET, exp="soon")[7:],
    ):
        assert allowed(access, "register", authorization="Bearer " + text) == 401


def test_a_long_token_is_not_read() -> None:
    """32 KB of one kept the event loop for 4 ms before its signature was looked at."""
    access = Access("", "", "hs256:" + SECRET)
    assert allowed(access, "register", authorization=token(SECRET, names="x" * 5000)) == 200
    assert allowed(access, "register", authorization=token(SECRET, names="x" * 9000)) == 401


def keys_of_other_kinds(directory: Path) -> Iterator[str]:
    """What may be taken for a jwt_key, and is none."""
    weak, strong = (rsa.generate_private_key(65537, bits) for bits in (1024, 2048))
    curve = ec.generate_private_key(ec.SECP256R1())
    public = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    private = strong.private_bytes(public[0], serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = (weak.public_key().public_bytes(*public), curve.public_key().public_bytes(*public), private, b"junk", b"")
    for number, content in enumerate(contents):
        (directory / f"{number}.pem").write_bytes(content)
        yield f"file:{directory / f'{number}.pem'}"
    yield "hs256:" + contents[0].decode()
    os.mkfifo(directory / "fifo")
    (directory / "large.pem").write_bytes(strong.public_key().public_bytes(*public) + b"\n" * 70_000)
    yield from (f"file:{directory / name}" for name in ("fifo", "large.pem"))
    yield from (
        f"file:{directory}",
        f"file:{directory / 'missing.pem'}",
        "file:" + "x" * 300,
        "file:",
        "hs256:short",
        "hs256:" + " " * 40,
    )
    yield from (SECRET, str(directory / "missing.pem"), SECRET * 10, "rs256:" + SECRET)


def test_a_jwt_key_is_never_guessed(tmp_path: Path) -> None:
    """A path that is not there, a key of another kind, a secret without its form: said at start, and no secret with it."""
    for setting in keys_of_other_kinds(tmp_path):
        with pytest.raises(WrongUse) as wrong:
            Access("", "", setting)
        assert SECRET not in f"{wrong.value} {wrong.value.hint}"
        assert wrong.value.__cause__ is None
