"""Brings the remote implementations into the tables of cases."""

from __future__ import annotations

from tests.contracts.cases import (
    ARTIFACTS_CASES,
    CACHE_CASES,
    IMAGES,
    REGISTRY_CASES,
)
from tests.contracts.image_cases import image_registry
from tests.contracts.remote_cases import (
    github_artifacts,
    github_registry,
    http_artifacts,
)
from tests.contracts.shared_cases import SHARED_CASES, as_cache

REGISTRY_CASES["ghr"] = github_registry
REGISTRY_CASES["img"] = image_registry
IMAGES.add("img")
ARTIFACTS_CASES["ghr"] = github_artifacts
ARTIFACTS_CASES["http"] = http_artifacts
CACHE_CASES |= {
    name: as_cache(SHARED_CASES[name]) for name in SHARED_CASES.keys() - {"mem"}
}
