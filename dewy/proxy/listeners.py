"""Listening sockets of the proxy, and the files of Unix ones."""

from __future__ import annotations

import asyncio
import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Self

from ..config import Endpoint
from ..errors import ConfigError, DewyError
from ..supervisor.processes import holder

__all__ = [
    "BACKLOG",
    "Permissions",
    "SocketFile",
    "find_offered",
    "listen",
    "option_named",
    "permit",
]

BACKLOG = 4096

Offered = Sequence[tuple[str, socket.socket]]
"""Listening sockets that the service manager passed, with their names."""


@dataclass(frozen=True, slots=True)
class Permissions:
    """
    Permissions of the files of Unix sockets.

    Attributes:
        mode: Permission bits; None for what the umask leaves.

        owner: `USER`, `USER:GROUP` or `:GROUP`, as names or numbers; "" for those of
            this process.
    """

    mode: int | None = None
    owner: str = ""

    def apply(self, path: str) -> None:
        """
        Give the file at *path* these permissions.

        Raises:
            ConfigError: there is no such user or group.
            OSError: they cannot be given.
        """
        user, _, group = self.owner.partition(":")
        if self.owner:
            os.chown(path, _user_id(user), _group_id(group))
        if self.mode is not None:
            os.chmod(path, self.mode)


def _user_id(user: str) -> int:
    if not user or user.isdecimal():
        return int(user or -1)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ConfigError(f"--socket-owner: there is no user {user}") from None


def _group_id(group: str) -> int:
    if not group or group.isdecimal():
        return int(group or -1)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(f"--socket-owner: there is no group {group}") from None


@dataclass(frozen=True, slots=True)
class SocketFile:
    """File of a listening Unix socket, known by its device and inode number."""

    path: str
    identity: tuple[int, int]

    @classmethod
    def of(cls, path: str) -> Self:
        """
        Return the file at *path*.

        Raises:
            OSError: there is none.
        """
        return cls(path, _identity(path))

    def permit(self, permissions: Permissions) -> None:
        """Apply *permissions*, unless the file was removed or replaced."""
        with suppress(FileNotFoundError):
            if _identity(self.path) == self.identity:
                permissions.apply(self.path)

    def remove(self) -> None:
        """Remove the file, unless it was removed or replaced."""
        with suppress(OSError):
            if _identity(self.path) == self.identity:
                os.unlink(self.path)


def _identity(path: str) -> tuple[int, int]:
    found = os.lstat(path)
    return found.st_dev, found.st_ino


async def listen(
    endpoint: Endpoint, permissions: Permissions | None = None
) -> socket.socket:
    """
    Return a socket that listens at *endpoint*.

    Without a host the socket is dual-stack, or IPv4 where this host has no IPv6. The
    stale file of a dead Unix socket is replaced; nobody can connect to the new socket
    before its file has *permissions*.

    Raises:
        ConfigError: the permissions name a user or group that does not exist.
        DewyError: the socket cannot be opened.
    """
    try:
        if endpoint.path:
            return await asyncio.to_thread(
                _listen_unix, endpoint.path, permissions or Permissions()
            )
        return _listen(endpoint)
    except OSError as exc:
        raise DewyError(await _explain_with_holder(endpoint, exc)) from exc


@contextmanager
def option_named(option: str) -> Iterator[None]:
    """Prefix the message of a DewyError in the block with the *option*."""
    try:
        yield
    except ConfigError:
        raise
    except DewyError as exc:
        raise DewyError(f"{option} {exc}") from exc


async def permit(file: SocketFile, permissions: Permissions) -> None:
    """
    Change the *permissions* of *file*.

    Raises:
        ConfigError: they name a user or group that does not exist.
        DewyError: they cannot be changed.
    """
    try:
        await asyncio.to_thread(file.permit, permissions)
    except OSError as exc:
        raise DewyError(_explain(Endpoint(path=file.path), exc)) from exc


def find_offered(
    endpoint: Endpoint, offered: Offered
) -> tuple[str, socket.socket] | None:
    """
    Return the entry of *offered* that listens at *endpoint*, or whose name is this
    address or its port number.
    """
    for name, sock in offered:
        if name in (str(endpoint), str(endpoint.port)) or endpoint == Endpoint.of(sock):
            return name, sock
    return None


def _listen(endpoint: Endpoint) -> socket.socket:
    try:
        return _bind(endpoint.family, endpoint)
    except OSError as exc:
        if endpoint.host or exc.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
            raise
    return _bind(socket.AF_INET, Endpoint("0.0.0.0", endpoint.port))


def _bind(family: socket.AddressFamily, endpoint: Endpoint) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            only = bool(endpoint.host)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        sock.bind(endpoint.address)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str, permissions: Permissions) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    bound = False
    try:
        if _is_stale(path):
            os.unlink(path)
        sock.bind(path)
        bound = True
        permissions.apply(path)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        if bound:
            os.unlink(path)
        raise
    return sock


def _is_stale(path: str) -> bool:
    """Return whether *path* is a socket at which no process listens."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            return probe.connect_ex(path) == errno.ECONNREFUSED
    return False


async def _explain_with_holder(endpoint: Endpoint, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE and not endpoint.path:
        process = await asyncio.to_thread(holder, endpoint.port)
        return f"{endpoint} is in use by {process}; stop it, or use another port"
    return _explain(endpoint, exc)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        return True


def _explain(endpoint: Endpoint, exc: OSError) -> str:
    if exc.errno == errno.EADDRINUSE:
        if endpoint.path and not _is_socket(endpoint.path):
            return f"{endpoint} is a file, but no socket; use another path"
        return f"{endpoint} is in use; stop what listens there, or use another"
    if exc.errno == errno.EPERM and endpoint.path:
        return f"{endpoint} cannot be given to its --socket-owner: that takes root"
    if exc.errno == errno.EACCES and endpoint.path:
        return f"{endpoint} cannot be opened: dewy may not write to its directory"
    if exc.errno == errno.EACCES:
        return f"{endpoint} needs root or CAP_NET_BIND_SERVICE; or use another port"
    return f"{endpoint} cannot be opened: {exc.strerror}"
