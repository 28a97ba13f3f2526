from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from dewy.deploy.archive.tree import HOPS, Tree, quoted
from dewy.errors import ArchiveError
from tests.standins.archives import listing


@pytest.fixture
def tree(release: Path) -> Iterator[Tree]:
    with Tree(release) as tree:
        yield tree


def write(tree: Tree, name: str, content: bytes = b"x", mode: int = 0o644) -> None:
    with tree.file(name, mode) as file:
        file.write(content)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_files_get_their_parents(tree: Tree, release: Path) -> None:
    write(tree, "a/b/c")

    assert {"a": None, "a/b": None, "a/b/c": b"x"} == listing(release)
    assert 0o755 == mode_of(release / "a/b")


@pytest.mark.parametrize("name", ["/etc/app", "//etc//app", "./etc/./app"])
def test_names_count_from_the_release(tree: Tree, release: Path, name: str) -> None:
    write(tree, name)

    assert {"etc": None, "etc/app": b"x"} == listing(release)


@pytest.mark.parametrize("name", ["../secret", "a/../../secret", "/../x", "..", "a/.."])
def test_names_do_not_climb(tree: Tree, name: str) -> None:
    with pytest.raises(ArchiveError, match="outside") as failure:
        write(tree, name)
    assert repr(name) in str(failure.value)

    with pytest.raises(ArchiveError, match="outside"):
        tree.directory(name, 0o755)


@pytest.mark.parametrize("name", ["", ".", "/", "./"])
def test_only_a_directory_may_be_the_release_itself(tree: Tree, name: str) -> None:
    tree.directory(name, 0o700)

    with pytest.raises(ArchiveError, match="no name"):
        write(tree, name)


def test_release_directory_keeps_its_own_mode(tree: Tree, release: Path) -> None:
    """Archives made in a private temporary directory begin with that one's mode."""
    before = mode_of(release)
    tree.directory("./", 0o700)

    assert before == mode_of(release)


def test_permission_bits_are_kept_and_no_others(tree: Tree, release: Path) -> None:
    write(tree, "program", mode=0o6755)
    write(tree, "private", mode=0o400)
    tree.directory("shared", 0o1750)

    assert 0o755 == mode_of(release / "program")
    assert 0o400 == mode_of(release / "private")
    assert 0o750 == mode_of(release / "shared")


def test_umask_applies(release: Path) -> None:
    before = os.umask(0o027)
    try:
        with Tree(release) as tree:
            write(tree, "a/open", mode=0o777)
            tree.directory("a", 0o777)
            tree.directory("b", 0o777)
    finally:
        os.umask(before)

    assert [0o750] * 3 == [mode_of(release / name) for name in ("a", "a/open", "b")]


def test_directory_can_be_written_to_whatever_its_mode(
    tree: Tree, release: Path
) -> None:
    tree.directory("closed", 0o055)
    write(tree, "closed/file")

    assert 0o755 == mode_of(release / "closed")


def test_later_directory_entry_sets_the_mode(tree: Tree, release: Path) -> None:
    write(tree, "a/file")
    tree.directory("a", 0o700)

    assert 0o700 == mode_of(release / "a")


def test_last_of_equal_names_wins(tree: Tree, release: Path) -> None:
    write(tree, "file", b"a long first version")
    write(tree, "file", b"second")
    tree.symlink("link", "one")
    tree.symlink("link", "two")
    tree.directory("empty", 0o755)
    write(tree, "empty", b"a file now")
    write(tree, "folder")
    tree.directory("folder", 0o755)

    expected = {"file": b"second", "link": "-> two", "empty": b"a file now"}
    assert {**expected, "folder": None} == listing(release)


def test_file_is_not_written_through_a_link(tree: Tree, release: Path) -> None:
    write(tree, "target", b"old")
    tree.symlink("link", "target")
    write(tree, "link", b"new")

    assert {"target": b"old", "link": b"new"} == listing(release)


def test_file_is_not_written_through_a_hard_link(tree: Tree, release: Path) -> None:
    write(tree, "one", b"old")
    tree.hard_link("two", "one")
    write(tree, "two", b"new")

    assert {"one": b"old", "two": b"new"} == listing(release)


def test_filled_directory_is_not_replaced(tree: Tree) -> None:
    write(tree, "a/file")

    with pytest.raises(ArchiveError, match="not empty"):
        write(tree, "a")


def test_nothing_is_below_a_file(tree: Tree) -> None:
    write(tree, "a")

    with pytest.raises(ArchiveError, match="'a', which is a file"):
        write(tree, "a/b")


def test_links_may_stay_inside(tree: Tree, release: Path) -> None:
    """Directories such as node_modules/.bin and those of Python are full of them."""
    tree.symlink("node_modules/.bin/tool", "../tool/cli.js")
    tree.symlink("venv/lib64", "lib")
    tree.symlink("here", ".")
    tree.symlink("up", "venv/../venv")
    tree.finish()

    assert "-> ../tool/cli.js" == listing(release)["node_modules/.bin/tool"]


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../secret", "a/../../x", "/"])
def test_links_do_not_lead_outside(tree: Tree, target: str) -> None:
    with pytest.raises(ArchiveError, match="'link' leads outside"):
        tree.symlink("link", target)


def test_links_lead_somewhere(tree: Tree) -> None:
    with pytest.raises(ArchiveError, match="'link' is a link to nothing"):
        tree.symlink("link", "")


def test_links_do_not_lead_outside_through_links(tree: Tree) -> None:
    tree.symlink("a/b/up", "../..")

    with pytest.raises(ArchiveError, match="outside"):
        tree.symlink("out", "a/b/up/../secret")


def test_links_do_not_lead_outside_through_later_links(tree: Tree) -> None:
    """`deep/..` is the release as long as there is no `deep`, or a real one."""
    tree.symlink("out", "deep/../secret")
    tree.symlink("deep", ".")

    with pytest.raises(ArchiveError, match="'out' leads outside"):
        tree.finish()


def test_nothing_is_written_through_later_links(tree: Tree) -> None:
    tree.symlink("out", "deep/../host")
    tree.symlink("deep", ".")

    with pytest.raises(ArchiveError, match="outside"):
        write(tree, "out/file")


def test_recent_directory_is_forgotten_when_replaced(tree: Tree, release: Path) -> None:
    tree.directory("a", 0o755)
    tree.directory("b", 0o755)
    tree.directory("a/x", 0o755)
    tree.directory("a/x/y", 0o755)
    tree.symlink("a/x/y", "../../b")
    write(tree, "a/x/y/file")

    assert b"x" == listing(release)["b/file"]


def test_entries_may_pass_through_links_inside(tree: Tree, release: Path) -> None:
    tree.directory("lib", 0o755)
    tree.symlink("lib64", "lib")
    write(tree, "lib64/deep/file")

    assert b"x" == (release / "lib/deep/file").read_bytes()
    assert (release / "lib64").is_symlink()


def test_loops_of_links_end(tree: Tree) -> None:
    tree.symlink("a", "b")
    tree.symlink("b", "a")

    with pytest.raises(ArchiveError, match="circle of links"):
        write(tree, "a/file")
    with pytest.raises(ArchiveError, match="circle of links"):
        tree.finish()


def test_links_that_double_end(tree: Tree) -> None:
    """Each leads twice through the one before it: 2**n steps if followed."""
    tree.directory("l0", 0o755)

    with pytest.raises(ArchiveError, match="circle of links"):
        for n in range(1, HOPS):
            tree.symlink(f"l{n}", f"l{n - 1}/../l{n - 1}")


def test_hard_links_share_the_file(tree: Tree, release: Path) -> None:
    write(tree, "a/one", b"content")
    tree.hard_link("b/two", "/a/one")

    assert (release / "a/one").samefile(release / "b/two")


def test_hard_link_to_itself_changes_nothing(tree: Tree, release: Path) -> None:
    write(tree, "one", b"content")
    tree.hard_link("./one", "one")

    assert {"one": b"content"} == listing(release)


@pytest.mark.parametrize("target", ["../secret", "a/../../secret"])
def test_hard_links_do_not_lead_outside(tree: Tree, target: str) -> None:
    with pytest.raises(ArchiveError, match="outside"):
        tree.hard_link("link", target)


@pytest.mark.parametrize("target", ["missing", "folder", "", "file/below"])
def test_hard_links_lead_to_files_unpacked_before(tree: Tree, target: str) -> None:
    tree.directory("folder", 0o755)
    write(tree, "file")

    with pytest.raises(ArchiveError, match="no file unpacked before"):
        tree.hard_link("hard", target)


def test_hard_link_to_a_link_is_that_link(tree: Tree, release: Path) -> None:
    """tar writes one where it meets a link for the second time."""
    tree.symlink("link", "file")
    tree.hard_link("same", "link")

    assert {"link": "-> file", "same": "-> file"} == listing(release)


def test_hard_link_to_a_link_does_not_lead_outside(tree: Tree) -> None:
    """What stays inside from one directory may not from another."""
    tree.symlink("a/b/link", "../secret")

    with pytest.raises(ArchiveError, match="'link' leads outside"):
        tree.hard_link("link", "a/b/link")


@pytest.fixture
def open_tree(release: Path) -> Iterator[Tree]:
    """A tree that takes absolute targets of links."""
    with Tree(release, absolute_links=True) as tree:
        yield tree


def test_links_to_absolute_paths_are_taken_where_allowed(
    open_tree: Tree, release: Path
) -> None:
    open_tree.symlink("venv/bin/python", "python3")
    open_tree.symlink("venv/bin/python3", "/usr/bin/python3")
    open_tree.symlink("lib", "/usr/lib")
    open_tree.symlink("libc", "lib/libc.so")
    open_tree.finish()

    assert "-> /usr/bin/python3" == listing(release)["venv/bin/python3"]


@pytest.mark.parametrize("target", ["..", "../secret", "a/../../x"])
def test_other_links_outside_stay_refused(open_tree: Tree, target: str) -> None:
    with pytest.raises(ArchiveError, match="'link' leads outside"):
        open_tree.symlink("link", target)


def test_nothing_is_written_through_absolute_links(
    open_tree: Tree, release: Path
) -> None:
    """Neither a file nor a directory, nor a hard link from there."""
    open_tree.symlink("out", str(release.parent.parent))
    open_tree.symlink("again", "out")

    for out in ("out", "again"):
        with pytest.raises(ArchiveError, match="outside"):
            write(open_tree, f"{out}/secret", b"gone")
        with pytest.raises(ArchiveError, match="outside"):
            open_tree.directory(f"{out}/made", 0o755)
        with pytest.raises(ArchiveError, match="outside"):
            open_tree.symlink(f"{out}/link", "secret")
        with pytest.raises(ArchiveError, match="outside"):
            open_tree.hard_link("stolen", f"{out}/secret")


def test_absolute_link_is_replaced_not_followed(open_tree: Tree, release: Path) -> None:
    open_tree.symlink("secret", str(release.parent.parent / "secret"))
    write(open_tree, "secret", b"mine")
    open_tree.symlink("folder", str(release.parent))
    open_tree.directory("folder", 0o700)

    assert {"secret": b"mine", "folder": None} == listing(release)


def test_names_that_differ_by_case_are_two(tree: Tree, release: Path) -> None:
    write(tree, "README", b"1")
    write(tree, "readme", b"2")

    assert {"README": b"1", "readme": b"2"} == listing(release)


def test_root_may_be_reached_through_a_link(tmp_path: Path, release: Path) -> None:
    other = tmp_path / "other"
    other.symlink_to(release)
    with Tree(other) as tree:
        write(tree, "file")

    assert {"file": b"x"} == listing(release)


def test_quoted_names_fit_a_line() -> None:
    assert "'a\\nb'" == quoted("a\nb")
    assert len(quoted("x" * 100_000)) < 250
