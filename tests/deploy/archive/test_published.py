"""Archives as people publish them unpack as `tar` and `unzip` unpack them."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.deploy.archive import UnpackRules, unpack
from dewy.errors import ArchiveError
from tests.deploy.archive import recipes
from tests.needs import needs, require

pytestmark = needs("zip", "unzip", "zstd", "xz", "bzip2", "git")

# The umask of the test left out: of all these tools unzip alone disregards it.
PERMISSIONS = 0o755
ENVIRONMENT = {**os.environ, "LC_ALL": "C.UTF-8", "TAR_OPTIONS": ""}


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directories to pack."""
    directory = tmp_path_factory.mktemp("trees")
    for name, text in recipes.PROGRAMS.items():
        (directory / f"{name}.py").write_text(text)
    run(recipes.TREES + recipes.REPOSITORY, directory)
    return directory


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two empty directories."""
    before = os.umask(0o022)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    yield tmp_path / "theirs", tmp_path / "ours"
    os.umask(before)


def run(script: str, directory: Path, *arguments: str) -> None:
    command = ["bash", "-euo", "pipefail", "-c", script, "bash", *arguments]
    subprocess.run(command, cwd=directory, env=ENVIRONMENT, check=True)


def made(trees: Path, name: str, into: Path) -> Path:
    require(recipes.tool_of(name))
    archive = into / name
    run(recipes.RECIPES[name].replace("$1", '"$1"'), trees, str(archive))
    return archive


def tree(directory: Path) -> dict[bytes, object]:
    """Kind, mode and content of all that is in *directory*, and which files are one."""
    found: dict[bytes, object] = {}
    first: dict[int, bytes] = {}
    for path in sorted(directory.rglob("*"), key=os.fsencode):
        name, facts = os.fsencode(path.relative_to(directory)), path.lstat()
        if stat.S_ISLNK(facts.st_mode):
            content: object = os.readlink(os.fsencode(path))
        elif stat.S_ISDIR(facts.st_mode):
            # Dewy has to be able to fill it, and to remove it.
            content = facts.st_mode & PERMISSIONS | 0o700
        else:
            with open(path, "rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            content = facts.st_mode & PERMISSIONS, digest
        one = first.setdefault(facts.st_ino, name)
        found[name] = stat.S_IFMT(facts.st_mode), content, one
    return found


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_archive_unpacks_as_by_the_usual_tool(
    trees: Path, tmp_path: Path, two: tuple[Path, Path], name: str
) -> None:
    theirs, ours = two
    archive = made(trees, name, tmp_path)
    done = subprocess.run(recipes.unpacking(archive, theirs), env=ENVIRONMENT)
    unpack(archive, name, ours, UnpackRules(absolute_links=True))

    assert done.returncode in (0, 1)  # 1 is a warning of unzip
    assert tree(theirs)
    assert tree(theirs) == tree(ours)


def test_holes_take_no_room(
    trees: Path, tmp_path: Path, two: tuple[Path, Path]
) -> None:
    unpack(made(trees, "sparse-gnu.tar", tmp_path), "a.tar", two[1])
    facts = (two[1] / "sparse/data.mdb").stat()

    assert facts.st_size > 66 << 20
    assert facts.st_blocks * 512 < 2 << 20


@pytest.mark.parametrize("name", ["venv.tar.gz", "log.tar.gz", "zip-log.zip"])
def test_links_to_absolute_paths_are_refused_unless_allowed(
    trees: Path, tmp_path: Path, two: tuple[Path, Path], name: str
) -> None:
    with pytest.raises(ArchiveError, match=r"outside .*--absolute-links allow"):
        unpack(made(trees, name, tmp_path), name, two[1])


@pytest.mark.parametrize("name", ["gnu.tar", "zip.zip", "links-gnu.tar.gz"])
def test_first_directories_are_left_out(
    trees: Path, tmp_path: Path, two: tuple[Path, Path], name: str
) -> None:
    archive, (theirs, ours) = made(trees, name, tmp_path), two
    subprocess.run(recipes.unpacking(archive, theirs), env=ENVIRONMENT, check=True)
    unpack(archive, name, ours, UnpackRules(strip=1))

    (top,) = theirs.iterdir()
    assert tree(top) == tree(ours)


DANGERS = {
    "fifo.tar": ("mkfifo f; tar -cf $1 f; rm f", "named pipe"),
    "climbing.tar": ("tar -P -cf $1 plain/../latin", "outside"),
    "climbing-link.tar.gz": ("ln -s ../../etc l; tar -czf $1 l; rm l", "outside"),
    "climbing-link.zip": ("ln -s ../../etc l; zip -qy $1 l; rm l", "outside"),
    "through-link.tar": (
        (
            "mkdir -p a b/x; ln -s /tmp a/x; printf 1 >b/x/owned;"
            " tar -cf $1 -C a x; tar -rf $1 -C b x/owned; rm -r a b"
        ),
        "outside",
    ),
    "bomb.tar.gz": (
        "head -c 80M /dev/zero | tr '\\0' x >f; tar -cf - f | gzip -9 >$1; rm f",
        "more than 200 times its own size; --archive-max-ratio",
    ),
    "volume.tar": (
        "tar -M -L 40 -c -f v1 -f $1 plain/share; rm v1",
        "another volume",
    ),
    "cut.tar": ("tar -b 1 -c plain | head -c -1024 >$1", "cut short"),
    "two.tar": ("tar -cf $1 plain; tar -c names >>$1", "another archive"),
    "encrypted.zip": ("zip -qrP secret $1 plain", "encrypted"),
}


@pytest.mark.parametrize("name", DANGERS)
def test_danger_is_refused_and_named(
    trees: Path, tmp_path: Path, two: tuple[Path, Path], name: str
) -> None:
    script, reason = DANGERS[name]
    run(script.replace("$1", '"$1"'), trees, str(tmp_path / name))

    with pytest.raises(ArchiveError, match=reason):
        unpack(tmp_path / name, name, two[1], UnpackRules(absolute_links=True))
