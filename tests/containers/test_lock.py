"""Two dewys do not keep the same containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.containers.application import Application
from dewy.containers.lock import directory, engine_lock
from dewy.errors import DewyError, RootBusy

SHOP = Application("shop", "registry.test/acme/shop")
SOCKET = "unix:///run/docker.sock"


def test_the_second_is_told_who_keeps_them(tmp_path: Path):
    with engine_lock(tmp_path, SOCKET, SHOP):
        busy = pytest.raises(RootBusy, match="kept by the dewy in /")
        with busy as caught, engine_lock(tmp_path, SOCKET, SHOP):
            pass
        assert str(Path.cwd()) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_engine_is_one_by_whichever_path(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "link").symlink_to("run")
    one, other = (f"unix://{tmp_path}/{name}/docker.sock" for name in ("run", "link"))
    refused = pytest.raises(RootBusy)
    with engine_lock(tmp_path, one, SHOP), refused, engine_lock(tmp_path, other, SHOP):
        pass


def test_whoever_comes_after_the_end_of_the_first_has_it(tmp_path: Path):
    for _ in range(2):
        with engine_lock(tmp_path / "new", SOCKET, SHOP):
            pass


def test_the_refused_one_does_not_release_it(tmp_path: Path):
    with engine_lock(tmp_path, SOCKET, SHOP):
        for _ in range(2):
            with pytest.raises(RootBusy), engine_lock(tmp_path, SOCKET, SHOP):
                pass


@pytest.mark.parametrize(
    ("address", "application"),
    [
        ("unix:///run/podman/podman.sock", SHOP),
        (SOCKET, Application("shop", "registry.test/other/shop")),
        (SOCKET, Application("other", SHOP.repository)),
    ],
)
def test_others_are_not_in_the_way(
    tmp_path: Path, address: str, application: Application
):
    mine = engine_lock(tmp_path, SOCKET, SHOP)
    with mine, engine_lock(tmp_path, address, application):
        pass


def test_a_place_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    refused = pytest.raises(DewyError, match=r"file/\S+ cannot be locked")
    with refused, engine_lock(tmp_path / "file", SOCKET, SHOP):
        pass


@pytest.mark.parametrize(
    ("environ", "uid", "expected"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 7, "/run/user/7/dewy"),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, 0, "/run/dewy"),
    ],
)
def test_all_roots_of_a_user_look_in_one_place(
    environ: dict[str, str], uid: int, expected: str
):
    assert Path(expected) == directory(environ, uid)


@pytest.mark.parametrize("runtime", ["", "relative"])
def test_without_a_runtime_directory_users_have_one_each(runtime: str):
    one, other = (directory({"XDG_RUNTIME_DIR": runtime}, uid) for uid in (7, 8))

    assert one.is_absolute()
    assert one != other
