"""Volumes and mounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dewy.containers.options.mounts import mount, tmpfs, volume
from dewy.errors import ConfigError

ROOT = Path("/srv/app")
EVERYTHING = (
    'source=vol,target=/x,volume-nocopy,"volume-opt=o=addr=1,rw",'
    "volume-label=a=b,volume-driver=local"
)


@pytest.mark.parametrize(
    ("value", "bind", "place"),
    [
        ("/data:/d", "/data:/d", "/d"),
        ("/data:/d:ro,z", "/data:/d:ro,z", "/d"),
        ("data:/d", "data:/d", "/d"),
        ("./data:/d", "/srv/app/data:/d", "/d"),
        ("../data:/d:rw", "/srv/data:/d:rw", "/d"),
        (".:/d", "/srv/app:/d", "/d"),
        ("/:/host", "/:/host", "/host"),
        (
            "/run/docker.sock:/run/docker.sock",
            "/run/docker.sock:/run/docker.sock",
            None,
        ),
        ("/anonymous", "", "/anonymous"),
    ],
)
def test_volume_is_a_directory_a_name_or_neither(
    value: str, bind: str, place: str | None
) -> None:
    """Directories with a dot are meant from dewy's own."""
    assert (bind, place or "/run/docker.sock") == volume(value, "-v", ROOT)


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("", "[SOURCE:]PLACE"),
        ("a:/b:ro:z", "[SOURCE:]PLACE"),
        (":/b", "[SOURCE:]PLACE"),
        ("/a:b", "an absolute path"),
        ("b", "an absolute path"),
        ("/a:/", "over the root"),
        ("/a://", "over the root"),
        ("/a:/b/..", "over the root"),
        ("a/b:/c", "begins with / or ./"),
        ("~/b:/c", "begins with / or ./"),
        ("/a:/b:rx", "no mode 'rx'"),
        ("/a:/b:", "[SOURCE:]PLACE"),
        ("/a:/b:ro,rw", "exclude each other"),
        ("/a:/b:z,Z", "exclude each other"),
    ],
)
def test_other_volumes_are_refused(value: str, right: str) -> None:
    """With what is right."""
    with pytest.raises(ConfigError) as caught:
        volume(value, "-v", ROOT)

    assert right in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (
            "type=bind,source=/a,target=/b,readonly,bind-propagation=rslave",
            {
                "Type": "bind",
                "Source": "/a",
                "Target": "/b",
                "ReadOnly": True,
                "BindOptions": {"Propagation": "rslave"},
            },
        ),
        (
            "type=bind,src=./a,dst=/b,ro=false",
            {"Type": "bind", "Source": "/srv/app/a", "Target": "/b", "ReadOnly": False},
        ),
        ("destination=/x", {"Type": "volume", "Target": "/x"}),
        (
            EVERYTHING,
            {
                "Type": "volume",
                "Source": "vol",
                "Target": "/x",
                "VolumeOptions": {
                    "NoCopy": True,
                    "Labels": {"a": "b"},
                    "DriverConfig": {
                        "Name": "local",
                        "Options": {"o": "addr=1,rw"},
                    },
                },
            },
        ),
        (
            "type=tmpfs,target=/t,tmpfs-size=64m,tmpfs-mode=1777",
            {
                "Type": "tmpfs",
                "Target": "/t",
                "TmpfsOptions": {"SizeBytes": 64 * 1024**2, "Mode": 0o1777},
            },
        ),
    ],
)
def test_mount_says_the_same_in_words(value: str, expected: dict[str, Any]) -> None:
    """Keys have their aliases, as everywhere."""
    assert expected == mount(value, "--mount", ROOT)


@pytest.mark.parametrize(
    ("value", "right"),
    [
        ("type=npipe,target=/x", "bind, volume, tmpfs"),
        ("type=bind,target=/x", "needs a source"),
        ("type=bind,source=a,target=/x", "needs a source"),
        ("source=vol", "an absolute path"),
        ("source=v/w,target=/x", "the name of a volume"),
        ("type=tmpfs,source=a,target=/x", "another type"),
        ("type=bind,source=/a,target=/x,tmpfs-size=1m", "another type"),
        ("type=tmpfs,target=/x,tmpfs-mode=9", "octal"),
        ("target=/x,size=1", "no key 'size'"),
        ("target=/x,readonly=perhaps", "true or false"),
        ("type=bind,source=/a,target=/x,bind-propagation=up", "one of private"),
        ("target=/x,volume-opt=o=user=u,password=hunter2", "no key 'password'"),
        ("target=/x,volume-opt=o=password=a,hunter2", "a bare word"),
        ("target=", "must not be empty"),
    ],
)
def test_other_mounts_are_refused(value: str, right: str) -> None:
    """What may be a password is not told."""
    with pytest.raises(ConfigError) as caught:
        mount(value, "--mount", ROOT)

    assert right in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_tmpfs_has_a_place_and_options() -> None:
    """The kernel reads the latter."""
    assert ("/run", "rw,size=1m") == tmpfs("/run:rw,size=1m", "--tmpfs")
    assert ("/run", "") == tmpfs("/run", "--tmpfs")
    with pytest.raises(ConfigError, match="absolute path"):
        tmpfs("run", "--tmpfs")
