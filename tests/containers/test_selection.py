"""What a host wants of its registry."""

from __future__ import annotations

from pathlib import Path

import pytest

from dewy.config import Settings
from dewy.containers.selection import selection_of
from dewy.versions import Platform


def wanted(tmp_path: Path, *words: str, **environ: str) -> str:
    settings = Settings(
        command="container",
        registry="img://ghcr.io/acme/app",
        root=tmp_path,
        cache_dir=tmp_path,
        run_options=words,
    )
    return str(selection_of(settings, environ).image_platform)


def test_images_are_for_this_host(tmp_path: Path) -> None:
    assert wanted(tmp_path).startswith(f"linux/{Platform.here().arch}")
    assert wanted(tmp_path) == wanted(tmp_path, DOCKER_HOST="unix:///run/docker.sock")


def test_option_of_the_container_decides(tmp_path: Path) -> None:
    assert "linux/s390x" == wanted(tmp_path, "--platform", "linux/s390x")


@pytest.mark.parametrize("words", [("--platform", "linux"), ("--no-such-option",)])
def test_undetermined_platform_is_left_to_engine(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert "None" == wanted(tmp_path, *words)
    assert "None" == wanted(tmp_path, DOCKER_HOST="tcp://10.0.0.1:2376")


def test_files_are_chosen_by_their_names(tmp_path: Path) -> None:
    settings = Settings(
        command="server", registry="mem://x", root=tmp_path, cache_dir=tmp_path
    )

    assert selection_of(settings, {}).image_platform is None
