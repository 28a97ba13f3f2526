"""`dewy completion`."""

from __future__ import annotations

import shutil

import pytest

from tests.cli.conftest import Dewy


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_printed(dewy: Dewy, shell: str) -> None:
    """For the shell to read."""
    if shell == "bash" and not shutil.which("bash"):
        pytest.skip("click asks bash for its version")
    ended = dewy("completion", shell)

    assert 0 == ended.status
    assert f"_DEWY_COMPLETE={shell}_complete" in ended.out


@pytest.mark.parametrize(
    ("words", "index", "expected"),
    [("dewy ro", 1, "rollback"), ("dewy server --sta", 2, "--start-grace")],
)
def test_script_is_answered(
    dewy: Dewy,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: str,
    index: int,
    expected: str,
) -> None:
    """With commands and with the options of each."""
    monkeypatch.setenv("_DEWY_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(index))
    with pytest.raises(SystemExit):
        dewy()

    assert expected in capsys.readouterr().out
