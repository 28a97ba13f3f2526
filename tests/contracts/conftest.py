"""Cases that need servers of their own join the tables before tests are made."""

from __future__ import annotations

from tests.contracts import object_cases
from tests.contracts.cases import (
    ARTIFACTS_CASES,
    CACHE_CASES,
    IMAGES,
    NOTIFIER_CASES,
    REGISTRY_CASES,
    SINGLE,
)
from tests.contracts.grpc_cases import grpc_registry
from tests.contracts.image_cases import image_registry
from tests.contracts.notifier_cases import (
    mail_notifier,
    slack_notifier,
    webhook_notifier,
)
from tests.contracts.remote_cases import (
    github_artifacts,
    github_registry,
    http_artifacts,
)
from tests.contracts.shared_cases import SHARED_CASES, as_cache

REGISTRY_CASES["ghr"] = github_registry
REGISTRY_CASES["img"] = image_registry
REGISTRY_CASES["grpc"] = grpc_registry
IMAGES.add("img")
SINGLE.add("grpc")
ARTIFACTS_CASES["ghr"] = github_artifacts
ARTIFACTS_CASES["http"] = http_artifacts
NOTIFIER_CASES["slack"] = slack_notifier
NOTIFIER_CASES["mail"] = mail_notifier
NOTIFIER_CASES["http"] = webhook_notifier

for scheme in object_cases.BUCKETS:
    REGISTRY_CASES[scheme] = object_cases.registry(scheme)
    ARTIFACTS_CASES[scheme] = object_cases.artifacts(scheme)
    SHARED_CASES[scheme] = object_cases.shared(scheme)

CACHE_CASES |= {
    name: as_cache(SHARED_CASES[name]) for name in sorted(SHARED_CASES.keys() - {"mem"})
}
