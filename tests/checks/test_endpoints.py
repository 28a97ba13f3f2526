"""What the URLs name, opened as the command opens it."""

from __future__ import annotations

from pathlib import Path

from dewy.checks.endpoints import constructor_findings
from dewy.checks.finding import Level
from dewy.config import Settings


async def test_every_url_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """And the variables of the supervisor."""
    settings = Settings(
        command="server",
        root=tmp_path,
        cache_dir=tmp_path / ".dewy/cache",
        registry="nobody://x",
        cache="nowhere://x",
        notifiers=("noone://x", "mem://fine", "nothing://x"),
        verify_signature=("missing.pub",),
        env_files=("missing.env",),
    )
    environ = {"KILL_OLD_DELAY": "soon"}
    found = [each async for each in constructor_findings(settings, environ)]

    assert {Level.MISTAKE} == {each.level for each in found}
    urls = ("nobody://", "nowhere://", "noone://", "nothing://")
    named = (*urls, "--verify-signature missing.pub", "KILL_OLD_DELAY", "--env-file")
    assert len(named) == len(found)
    for name, finding in zip(named, found, strict=True):
        assert name in finding.text
