"""Tokens: JWT, signed with a secret or an RSA key. Its `scope` names what the bearer may do."""

from pathlib import Path
from typing import Any

from devicesync.api.answers import RequestError
from devicesync.durable import content_of
from devicesync.errors import WrongUse

_LEAST_SECRET_BYTES = 32
_LEAST_RSA_BITS = 2048
_MOST_KEY_BYTES = 1 << 16
_MOST_TOKEN_BYTES = 1 << 13
"""What proxies take of a header. Reading more, before anything is verified, takes 4 ms of the event loop for 32 KiB."""
_FORMS = "hs256:SECRET, or file:PATH of an RSA public key (PEM)"


class Tokens:
    """jwt_key: `hs256:SECRET` of at least 32 bytes, or `file:PATH` of a PEM public key of RS256 tokens. Raises WrongUse.

    The form is never guessed: the path of a missing file must not become a secret that everybody knows.
    """

    def __init__(self, jwt_key: str) -> None:
        form, _, rest = jwt_key.partition(":")
        if form == "hs256":
            self._key, self._algorithm = _secret(rest), "HS256"
        elif form == "file":
            if "://" in rest:
                raise WrongUse("jwt_key: a URL stands where a file belongs", f"write {_FORMS}")
            self._key, self._algorithm = _public_key(Path(rest)), "RS256"
        else:
            raise WrongUse("jwt_key says neither hs256: nor file:", f"write {_FORMS}")

    def scope(self, token: bytes) -> list[str]:
        """What the token's bearer may do. Raises RequestError for a token that is not valid, or never expires."""
        if len(token) > _MOST_TOKEN_BYTES:
            raise RequestError(401, "UNAUTHORIZED", f"the token has over {_MOST_TOKEN_BYTES} bytes")
        import jwt  # noqa: PLC0415 - only where tokens are used: its import costs 60 ms

        try:
            claims: dict[str, Any] = jwt.decode(token, self._key, [self._algorithm], options={"require": ["exp"]})
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise RequestError(401, "UNAUTHORIZED", f"the token is not valid: {error}") from None
        scope = claims.get("scope")
        return scope.split(" ") if isinstance(scope, str) else []


def _secret(text: str) -> Any:
    from jwt import InvalidKeyError  # noqa: PLC0415 - as above
    from jwt.algorithms import HMACAlgorithm  # noqa: PLC0415 - as above

    if len(text.strip().encode()) < _LEAST_SECRET_BYTES:
        raise WrongUse(f"the secret of jwt_key has fewer than {_LEAST_SECRET_BYTES} bytes", "write a longer one")
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(text)
    except InvalidKeyError:
        raise WrongUse("the secret of jwt_key is a key or certificate", "put it into a file, and write file:PATH") from None


def _public_key(path: Path) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_public_key  # noqa: PLC0415 - as above

    hint = "an RSA public key as PEM: openssl rsa -in private.pem -pubout"
    try:
        key = load_pem_public_key(content_of(path, _MOST_KEY_BYTES))
    except OSError as error:
        raise WrongUse(f"jwt_key: can't read {path}: {error.strerror}", hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongUse(f"jwt_key: {path} is no public key in PEM", hint) from None
    if not isinstance(key, RSAPublicKey) or key.key_size < _LEAST_RSA_BITS:
        raise WrongUse(f"jwt_key: {path} is not an RSA key of {_LEAST_RSA_BITS} bits or more", hint)
    return key
