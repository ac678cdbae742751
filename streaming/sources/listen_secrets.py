"""What guards a WebSocket that is served here: the token and the certificate.

Invariants: a token is never part of an address or a message, and compared in constant time; a
secret that others than its owner can read is refused, not used.
"""

from __future__ import annotations

import hmac
import re
import ssl
import stat
from pathlib import Path

from websockets.datastructures import Headers

from streaming.errors import SourceError

TOKEN = re.compile(r"[A-Za-z0-9_-]{16,256}")  # what a subprotocol may be made of
BEARER, OFFERED = "Bearer ", "token."


def read_token(path: str, name: str) -> bytes:
    """The token in the file `path`; nothing where no file is given."""
    if not path:
        return b""
    token = _owned(path, name, "a token").read_text(encoding="utf-8", errors="replace").strip()
    if not TOKEN.fullmatch(token):
        raise SourceError(
            f"{name}: expected in {path} one token of 16 to 256 letters, digits, _ and -; make "
            "one with openssl rand -hex 32"
        )
    return token.encode()


def read_certificate(path: str, name: str) -> ssl.SSLContext | None:
    """What TLS needs, from a PEM file with certificate and key; None where no file is given."""
    if not path:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(_owned(path, name, "a certificate"))
    except (ssl.SSLError, OSError):
        raise SourceError(
            f"{name}: expected in {path} a certificate and its private key without password, "
            "both as PEM; put both files into one"
        ) from None
    return context


def is_let_in(headers: Headers, token: bytes) -> bool:
    """Whether who asks knows `token`: as a bearer token, or as an offered subprotocol, which is
    all that a browser can send."""
    if not token:
        return True
    offers = ",".join(headers.get_all("Sec-WebSocket-Protocol")).split(",")
    shown = [h.removeprefix(BEARER) for h in headers.get_all("Authorization")]
    shown += [o.strip().removeprefix(OFFERED) for o in offers]
    return any(hmac.compare_digest(s.encode(errors="replace"), token) for s in shown)


def _owned(path: str, name: str, what: str) -> Path:
    """`path`, where nobody but its owner can read it."""
    try:
        mode = Path(path).stat().st_mode
        Path(path).open("rb").close()
    except OSError as error:
        raise SourceError(
            f"{name}: expected {what} in {path}, but {error.strerror}; check the path"
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise SourceError(f"{name}: others can read {path}; chmod 600 {path}")
    return Path(path)
