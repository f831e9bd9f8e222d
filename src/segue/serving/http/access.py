"""Who may call what: tokens with scopes, and the hosts that a service on a loopback address answers to."""

import hmac
import re
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from segue.errors import ParameterError

SCOPES = ("read", "write", "admin")
ALL = frozenset(SCOPES)
_MIN_LETTERS = 16
_COMMENT = re.compile(r"(^|\s)#.*")


class Tokens:
    """Bearer tokens and their scopes; only hashes of the tokens are kept.

    Args:
        scopes: scopes by token. Several tokens can be valid at once, so that one can be replaced without an outage.
    """

    def __init__(self, scopes: Mapping[str, frozenset[str]]) -> None:
        self._scopes = [(sha256(token.encode()).digest(), names) for token, names in scopes.items()]

    def __bool__(self) -> bool:
        return bool(self._scopes)

    @classmethod
    def parse(cls, text: str, place: str) -> "Tokens":
        """Read tokens from lines such as ``read,write 4f0c...``; what follows a # is a comment.

        Raises:
            ParameterError: a line is something else.
        """
        found: dict[str, frozenset[str]] = {}
        for number, line in enumerate(text.replace(";", "\n").splitlines(), start=1):
            words = _COMMENT.sub("", line).split()
            if not words:
                continue
            names = frozenset(words[0].split(","))
            if len(words) != 2 or not names <= ALL:
                raise ParameterError(
                    f"{place}: line {number} must be scopes and a token, such as 'read,write TOKEN'; the scopes are "
                    f"{', '.join(SCOPES)}"
                )
            if len(words[1]) < _MIN_LETTERS or not words[1].isascii():
                raise ParameterError(
                    f"{place}: the token in line {number} must have at least {_MIN_LETTERS} ASCII characters, got "
                    f"{len(words[1])}; make one with: openssl rand -hex 32"
                )
            if words[1] in found:
                raise ParameterError(f"{place}: line {number} has the token of an earlier line; name its scopes in one")
            found[words[1]] = names
        return cls(found)

    @classmethod
    def read(cls, file: Path) -> "Tokens":
        """Read tokens from a file; see ``parse``.

        Raises:
            ParameterError: it cannot be read, or is something else.
        """
        try:
            text = file.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ParameterError(f"--tokens: {file} cannot be read ({error})") from error
        tokens = cls.parse(text, f"--tokens: {file}")
        if not tokens:
            raise ParameterError(f"--tokens: {file} must have at least one line such as 'read,write TOKEN', got none")
        return tokens

    def scopes(self, authorization: bytes | None) -> frozenset[str] | None:
        """Return the scopes of the header ``Authorization``; None if its token is not valid.

        Every token is compared, in constant time: the time tells nothing about them.
        """
        kind, _, token = (authorization or b"").partition(b" ")
        given, found = sha256(token.strip()).digest(), None
        for known, names in self._scopes:
            if hmac.compare_digest(given, known):
                found = names
        return found if kind.lower() == b"bearer" else None


def is_loopback(host: str) -> bool:
    """Return whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=64)
def is_local(header: bytes | None) -> bool:
    """Return whether the header ``Host`` names this machine; a page that rebinds its name to 127.0.0.1 does not."""
    host = (header or b"").decode("latin-1").lower()
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return is_loopback(name.strip("[]"))
