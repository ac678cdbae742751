"""CURVE keys: who may connect to a socket that other hosts can reach.

CurveZMQ (ZeroMQ RFC 26) encrypts and authenticates both sides. A publisher's folder holds
`server.key_secret`, `server.key` and `clients/*.key`, the public keys that are let in; a
subscriber's folder holds `client.key_secret` and the `server.key` that it was given. Invariant: a
secret that others than its owner can read is refused, not used.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

import zmq
import zmq.auth

from streaming.errors import UsageError

SERVER, CLIENT, ALLOWED = "server", "client", "clients"
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Pair:
    """A public and a secret key, 40 characters of Z85 each."""

    public: bytes
    secret: bytes = field(repr=False)


@dataclass(frozen=True)
class ServerKeys:
    """What a publisher needs: its own pair, and the public keys it lets in or their folder."""

    pair: Pair
    allowed: Path | frozenset[bytes]


@dataclass(frozen=True)
class ClientKeys:
    """What a subscriber needs: its own pair, and the public key of the publisher."""

    pair: Pair
    server: bytes


class AllowList:
    """Lets in the given keys, or those that lie in a folder now, and counts whom it refused.

    The folder is read for each new connection, so a key can be added or withdrawn at any time;
    connections that exist are not cut.
    """

    def __init__(self, allowed: Path | frozenset[bytes]) -> None:
        self._allowed = allowed
        self.refused = 0

    def name_of(self, key: str) -> str:
        """What the file of a public key is called; empty for one that is not in a folder."""
        if not isinstance(self._allowed, Path):
            return ""
        for path in sorted(self._allowed.glob("*.key")):
            try:
                if zmq.auth.load_certificate(path)[0] == key.encode():
                    return path.stem
            except (OSError, ValueError):
                continue
        return ""

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether the client with this public key may come in."""
        try:
            known = key in (
                zmq.auth.load_certificates(self._allowed)
                if isinstance(self._allowed, Path)
                else self._allowed
            )
        except (OSError, ValueError):
            known = False
        self.refused += not known
        return known


def run_keys() -> tuple[ServerKeys, ClientKeys]:
    """Keys that are nowhere but in memory: for sockets that bind, and for those that connect."""
    server, client = Pair(*zmq.curve_keypair()), Pair(*zmq.curve_keypair())
    return ServerKeys(server, frozenset({client.public})), ClientKeys(client, server.public)


def use_keys(socket: zmq.Socket[bytes], keys: ClientKeys | None) -> None:
    """Have a socket that will connect prove who it is, and talk to that publisher only."""
    if keys is not None:
        socket.curve_publickey = keys.pair.public
        socket.curve_secretkey = keys.pair.secret
        socket.curve_serverkey = keys.server


def make_server_keys(folder: Path) -> None:
    """Make a publisher's pair and an empty list of clients; existing keys stay as they are."""
    _make(folder, SERVER)
    (folder / ALLOWED).mkdir(mode=0o700, exist_ok=True)


def make_client_keys(server: Path, folder: Path, name: str) -> None:
    """Make a subscriber's pair in `folder` and let it in at the publisher whose folder is known."""
    public = server / f"{SERVER}.key"
    if not public.exists():
        raise UsageError(f"{public}: expected a publisher's key: make it by attune keys server")
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r}: expected a name of 1 to 64 letters, digits, '_', '.' or '-'")
    _make(folder, CLIENT)
    (folder / f"{SERVER}.key").write_bytes(public.read_bytes())
    allowed = server / ALLOWED
    allowed.mkdir(mode=0o700, exist_ok=True)
    (allowed / f"{name}.key").write_bytes((folder / f"{CLIENT}.key").read_bytes())


def read_server_keys(folder: Path) -> ServerKeys:
    """The publisher's keys, checked."""
    return ServerKeys(_read_pair(folder, SERVER), folder / ALLOWED)


def read_client_keys(folder: Path) -> ClientKeys:
    """The subscriber's keys, checked."""
    return ClientKeys(_read_pair(folder, CLIENT), _load(folder / f"{SERVER}.key")[0])


def _make(folder: Path, name: str) -> None:
    secret = folder / f"{name}.key_secret"
    if secret.exists():
        raise UsageError(f"{secret}: there is a key already: remove it, or choose another folder")
    before = os.umask(0o077)  # the secret is never readable by others, not even for a moment
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        zmq.auth.create_certificates(folder, name)
    except FileExistsError:
        raise UsageError(f"{folder}: expected a folder for the keys, got a file") from None
    except OSError as error:
        raise UsageError(f"{folder}: cannot write keys there: {error.strerror}") from None
    finally:
        os.umask(before)


def _read_pair(folder: Path, name: str) -> Pair:
    path = folder / f"{name}.key_secret"
    public, secret = _load(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"{path}: others can read this secret key: chmod 600 {path}")
    if secret is None:
        raise UsageError(f"{path}: expected a secret key, found only a public one")
    return Pair(public, secret)


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except OSError:
        raise UsageError(f"{path}: expected a key, found no such file: see attune keys") from None
    except ValueError:
        raise UsageError(f"{path}: expected a key as attune keys makes them") from None
    if len(public) != 40 or (secret is not None and len(secret) != 40):
        raise UsageError(f"{path}: expected keys of 40 characters: the file is damaged")
    return public, secret
