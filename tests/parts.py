"""
The two parts of the suite: what `make quick` runs within a minute, and the rest.

Quick are decisions, parsers, and objects over stand-ins in memory. The rest starts
programs, engines or servers, or makes thousands of connections.
"""

from __future__ import annotations

__all__ = ["QUICK", "REST", "part_of"]

QUICK, REST = "quick", "rest"

_SLOW = (
    "tests/_speedups/",
    "tests/admin/test_browser",
    "tests/admin/test_preview.py",
    "tests/artifacts/",
    "tests/benchmarks/",
    "tests/caches/",
    "tests/cli/test_check.py",
    "tests/cli/test_doctor.py",
    "tests/cli/test_no_secrets.py",
    "tests/cli/test_proxy.py",
    "tests/cli/test_wrong_urls.py",
    "tests/containers/engines/",
    "tests/containers/test_interleavings.py",
    "tests/containers/test_kills.py",
    "tests/containers/test_rollout.py",
    "tests/contracts/",
    "tests/daemon/",
    "tests/demo/",
    "tests/deploy/archive/test_extract.py",
    "tests/deploy/archive/test_fuzz.py",
    "tests/deploy/archive/test_published.py",
    "tests/deploy/archive/test_streams.py",
    "tests/deploy/signatures/test_openpgp.py",
    "tests/deploy/test_artifact_cache.py",
    "tests/deploy/test_fetch",
    "tests/deploy/test_hooks.py",
    "tests/integration/",
    "tests/ioprocess/",
    "tests/notifiers/test_mail",
    "tests/notifiers/test_slack",
    "tests/notifiers/test_webhook",
    "tests/proxy/",
    "tests/registries/",
    "tests/remotes/",
    "tests/supervisor/",
    "tests/telemetry/",
    "tests/test_docs.py",
    "tests/test_figures.py",
    "tests/test_first_hour.py",
    "tests/test_logging_page.py",
    "tests/test_messages.py",
    "tests/test_packaging.py",
    "tests/test_plugins.py",
    "tests/test_systemd_sockets.py",
    "tests/test_threads.py",
)


def part_of(path: str) -> str:
    """Return the part that the test file *path*, below the checkout, belongs to."""
    return REST if path.startswith(_SLOW) else QUICK
