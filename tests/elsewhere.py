"""Modules whose tests stand elsewhere, and where."""

from __future__ import annotations

TESTED_ELSEWHERE = {
    "__main__.py": "test_layout.py",
    "_speedups/connection_py.py": "_speedups/test_streams.py",
    "_speedups/peers.py": "_speedups/test_silence.py",
    "registries/s3.py": "registries/test_objects.py",
    "registries/gs.py": "registries/test_objects.py",
    "remotes/objects/store.py": "contracts/test_object_stores.py",
    "proxy/backend.py": "proxy/test_proxy.py",
    "proxy/port.py": "proxy/test_proxy.py",
    "artifacts/s3.py": "artifacts/test_objects.py",
    "artifacts/gs.py": "artifacts/test_objects.py",
    "caches/s3.py": "caches/test_objects.py",
    "caches/gs.py": "caches/test_objects.py",
    "ioprocess/protocol.py": "ioprocess/test_process.py",
    "ioprocess/serve.py": "ioprocess/test_process.py",
    "daemon/runtime.py": "daemon/test_run.py",
    "config/general.py": "config/test_options.py",
    "config/option.py": "config/test_options.py",
    "config/proxying.py": "config/test_options.py",
    "daemon/measuring.py": "daemon/test_telemetry.py",
    "caches/outages.py": "caches/test_circuit_breaker.py",
    "remotes/objects/gcs.py": "remotes/gcs/test_store.py",
    "remotes/objects/gcs_errors.py": "remotes/gcs/test_errors.py",
    "remotes/objects/s3.py": "remotes/s3/test_store.py",
    "remotes/objects/s3_errors.py": "remotes/s3/test_errors.py",
    "notifiers/filters.py": "notifiers/test_throttle.py",
}
