"""The platform an image is for."""

from __future__ import annotations

import pytest

from dewy.versions.platforms import ImagePlatform


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/arm64/v8", "linux/arm64/v8"),
        ("Linux/AArch64", "linux/arm64"),
        ("x86_64", "linux/amd64"),
        ("linux", None),
        ("windows", None),
    ],
)
def test_option_of_docker_is_read(text: str, expected: str | None) -> None:
    read = ImagePlatform.read(text)

    assert expected == (str(read) if read else None)


@pytest.mark.parametrize(
    ("host", "image", "runs"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/amd64", "linux/386", True),
        ("linux/amd64", "linux/arm64", False),
        ("linux/amd64", "windows/amd64", False),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm64", "linux/arm/v7", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm/v7", "linux/arm/v6", True),
        ("linux/arm/v7", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v7", True),
        ("linux/arm", "linux/arm/v8", False),
        ("linux/arm/v7", "linux/arm", True),
        ("linux/arm/v6", "linux/arm", False),
        ("linux/386", "linux/amd64", False),
    ],
)
def test_image_runs_only_on_compatible_host_platform(
    host: str, image: str, runs: bool
) -> None:
    one, other = ImagePlatform.read(host), ImagePlatform.read(image)

    assert one
    assert other
    assert runs == one.runs(other)
