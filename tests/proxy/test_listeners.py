"""Opening listening sockets."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from dewy.config import Endpoint
from dewy.errors import ConfigError, DewyError
from dewy.proxy.listeners import Permissions, find_offered, listen


async def test_file_of_a_dead_socket_is_replaced(tmp_path: Path) -> None:
    """A killed proxy leaves one behind."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with await listen(Endpoint(path=path)) as sock, socket.socket(socket.AF_UNIX) as c:
        c.connect(path)
        assert path == sock.getsockname()


async def test_socket_that_somebody_serves_is_not_taken_away(tmp_path: Path) -> None:
    """Two proxies can't have one path."""
    endpoint = Endpoint(path=str(tmp_path / "socket"))
    with await listen(endpoint), pytest.raises(DewyError, match="is in use"):
        await listen(endpoint)


async def test_other_file_is_not_taken_away(tmp_path: Path) -> None:
    """Whatever it is, it is no socket."""
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(DewyError, match="is a file, but no socket"):
        await listen(Endpoint(path=str(path)))
    assert "precious" == path.read_text()


async def test_address_of_another_host_is_an_error() -> None:
    """The message says which and why."""
    with pytest.raises(DewyError, match=r"192\.0\.2\.1:1 cannot be opened"):
        await listen(Endpoint("192.0.2.1", 1))


async def test_ipv6_address_is_ipv6_only() -> None:
    """`[::]:80` and `0.0.0.0:80` may be different listeners."""
    with await listen(Endpoint("::1", 0)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        assert Endpoint("::1", sock.getsockname()[1]) == Endpoint.of(sock)


def test_passed_socket_is_found_by_name_or_address() -> None:
    """Or not at all."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        endpoint = Endpoint(*sock.getsockname())
        assert ("web", sock) == find_offered(endpoint, [("web", sock)])
        assert ("80", sock) == find_offered(Endpoint(port=80), [("80", sock)])
        assert find_offered(Endpoint(port=80), [("web", sock)]) is None


async def test_socket_file_has_its_mode_and_owner(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    ours = f"{os.getuid()}:{os.getgid()}"
    with await listen(Endpoint(path=str(path)), Permissions(0o620, ours)):
        found = path.stat()
    assert 0o620 == stat.S_IMODE(found.st_mode)
    assert (os.getuid(), os.getgid()) == (found.st_uid, found.st_gid)


@pytest.mark.parametrize(
    ("owner", "named"),
    [("nobody-of-that-name", "no user"), (":no-such-group", "no group")],
)
async def test_owner_that_does_not_exist_is_a_mistake(
    tmp_path: Path, owner: str, named: str
) -> None:
    """No file is left."""
    endpoint = Endpoint(path=str(tmp_path / "socket"))
    with pytest.raises(ConfigError, match=named):
        await listen(endpoint, Permissions(owner=owner))
    assert [] == list(tmp_path.iterdir())  # noqa: ASYNC240
