"""Images: pulled when they are missing, removed when nobody needs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dewy.artifacts import Progress
from dewy.config import Reloadable
from dewy.containers.application import Application
from dewy.containers.image_store import ImageStore, find_image
from dewy.containers.options.arguments import RunOptions
from dewy.deploy.state import Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.errors import EngineError, ImageMissing, PullDenied
from dewy.release import Release
from dewy.remotes.oci.credentials import Credentials
from tests.standins.fleets import REPOSITORY, SHOP
from tests.standins.memory_engine import MemoryEngine
from tests.standins.memory_host import MemoryHost


@dataclass
class Store:
    """A supply, and what it was asked."""

    host: MemoryHost
    state_store: StateStore
    asked: int = 0
    shown: list[tuple[int, int | None]] = field(default_factory=list)
    found: Credentials | None = None

    @property
    def image_store(self) -> ImageStore:
        engine = MemoryEngine(self.host)
        return ImageStore(
            engine,
            SHOP,
            self.state_store,
            self.credentials,
            self.progress,
            Reloadable(RunOptions()),
        )

    async def credentials(self) -> Credentials | None:
        self.asked += 1
        return self.found

    @contextmanager
    def progress(self, release: Release) -> Iterator[Progress]:
        yield lambda done, total: self.shown.append((done, total))

    def publish(self, tag: str) -> Release:
        digest = self.host.publish(f"{REPOSITORY}:{tag}").partition("@")[2]
        return Release(tag, f"img://{REPOSITORY}:{tag}", digest)

    async def bring(self, tag: str) -> Installed:
        async with self.image_store.brought(self.publish(tag)) as delivery:
            installed = await delivery.reserve(5.0)
            await delivery.install(installed)
        return installed

    def calls(self, what: str) -> list[str]:
        return [subject for call, subject in self.host.calls if call == what]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(MemoryHost("images"), StateStore(StateFile(tmp_path), State()))


def reference(installed: Installed) -> str:
    return f"{REPOSITORY}@{installed.identity}"


async def test_an_image_is_pulled_by_digest_and_remembered(store: Store):
    installed = await store.bring("v1")

    assert [reference(installed)] == store.calls("pull")
    assert (installed.identity,) == store.state_store.state.pulled
    assert "v1" == installed.tag
    assert store.shown


async def test_image_already_present_is_neither_pulled_nor_removed(store: Store):
    release = store.publish("v1")
    name = f"{REPOSITORY}@{release.identity}"
    await MemoryEngine(store.host).pull(name, None, lambda done, total: None)
    store.host.calls.clear()
    async with store.image_store.brought(release):
        pass
    await store.image_store.retain(State(), cached=True)

    assert [] == store.calls("pull")
    (image,) = store.host.images.values()
    assert (name,) == image.digests
    assert () == image.tags


async def test_credentials_are_asked_for_again_when_they_are_refused(store: Store):
    store.host.fail("pull", PullDenied("token expired"))
    await store.bring("v1")

    assert 2 == store.asked
    assert 1 == len(store.host.images)


async def test_denied_pull_error_includes_credential_failures(store: Store):
    store.found = Credentials(failures=("docker-credential-x is not on PATH",))
    store.host.fail("pull", PullDenied("no"), PullDenied("no"))
    with pytest.raises(PullDenied, match=r"^no; docker-credential-x is not on PATH$"):
        await store.bring("v1.0.0")


async def test_credentials_that_stay_refused_are_an_error(store: Store):
    store.host.fail("pull", PullDenied("no"), PullDenied("no"))
    with pytest.raises(PullDenied):
        await store.bring("v1")

    assert 2 == store.asked


async def test_an_image_that_is_gone_is_pulled_again(store: Store):
    installed = await store.bring("v1")
    await store.image_store.ensure(installed)
    assert 1 == len(store.calls("pull"))
    store.host.images.clear()
    await store.image_store.ensure(installed)

    assert 2 == len(store.calls("pull"))
    assert (installed.identity,) == store.state_store.state.pulled


async def test_retain_removes_only_unused_images(store: Store):
    old, used, kept = [await store.bring(tag) for tag in ("v1", "v2", "v3")]
    engine = MemoryEngine(store.host)
    await engine.create("user", {"Image": reference(used)})
    foreign = store.host.publish("registry.test/other/thing:v1")
    await engine.pull(foreign, None, lambda done, total: None)
    await store.state_store.change(lambda state: state.deployed(kept, 2))
    await store.image_store.retain(store.state_store.state, cached=True)

    left = {name for image in store.host.images.values() for name in image.digests}
    assert {reference(used), reference(kept), foreign} == left
    assert (used.identity, kept.identity) == store.state_store.state.pulled
    assert reference(old) in store.calls("remove_image")
    await engine.remove("user")
    await store.image_store.retain(store.state_store.state, cached=True)
    assert (kept.identity,) == store.state_store.state.pulled


async def test_failed_image_removal_is_retried(store: Store):
    await store.bring("v1")
    store.host.fail("remove_image", EngineError("busy"))
    await store.image_store.retain(store.state_store.state, cached=True)
    assert 1 == len(store.state_store.state.pulled)
    await store.image_store.retain(store.state_store.state, cached=True)

    assert () == store.state_store.state.pulled
    assert {} == store.host.images


async def test_kept_images_survive_usual_cleaning(store: Store):
    kept = [await store.bring(tag) for tag in ("v1", "v2")]
    store.host.prune_images()
    store.host.registry.clear()
    for installed in kept:
        await store.image_store.ensure(installed)

    assert 2 == len(store.host.images)


async def test_kept_images_of_an_earlier_dewy_get_their_tag(store: Store):
    installed = await store.bring("v1")
    engine = MemoryEngine(store.host)
    await engine.remove_image(SHOP.image_tag(installed.identity))
    await store.state_store.change(lambda state: state.deployed(installed, 2))
    await store.image_store.retain(store.state_store.state, cached=True)

    (image,) = store.host.images.values()
    assert (SHOP.image_tag(installed.identity),) == image.tags


async def test_image_is_found_by_its_tag_or_its_container(store: Store):
    installed = await store.bring("v1")
    engine = MemoryEngine(store.host)
    labels = SHOP.labels(0, "v1", installed.identity, "spec", [])
    await engine.create("old", {"Image": reference(installed), "Labels": labels})
    (image,) = store.host.images.values()
    store.host.registry.clear()
    for left in ((SHOP.image_tag(installed.identity),), ()):
        store.host.images[image.id] = replace(image, digests=(), tags=left)
        found = await find_image(engine, SHOP, installed.identity)
        assert found is not None
        assert image.id == found.reference == found.image.id
    await store.image_store.ensure(installed)

    # From here on by its tag again, whatever becomes of the container.
    assert (SHOP.image_tag(installed.identity),) == store.host.images[image.id].tags


async def test_image_to_which_nothing_leads_any_more_is_found_by_its_id(store: Store):
    """The dead container that led to it may be gone before its successor is made."""
    installed = await store.bring("v1")
    image_store = store.image_store
    await image_store.ensure(installed)
    (image,) = store.host.images.values()
    store.host.images[image.id] = replace(image, digests=(), tags=())
    store.host.registry.clear()
    await image_store.ensure(installed)

    assert (SHOP.image_tag(installed.identity),) == store.host.images[image.id].tags


async def test_image_that_another_application_keeps_is_not_removed(store: Store):
    installed = await store.bring("v1")
    engine = MemoryEngine(store.host)
    other = Application("shop-beta", REPOSITORY, named=True).image_tag("sha256:1")
    await engine.tag_image(reference(installed), other)
    await store.image_store.retain(store.state_store.state, cached=True)

    (image,) = store.host.images.values()
    assert (other,) == image.tags
    assert (reference(installed),) == image.digests
    assert (installed.identity,) == store.state_store.state.pulled
    await engine.remove_image(other)
    await store.image_store.retain(store.state_store.state, cached=True)
    assert {} == store.host.images
    assert () == store.state_store.state.pulled


async def test_image_removed_right_after_pull_raises_image_missing(store: Store):
    release = store.publish("v1")

    async def remove(phase: str, call: str, subject: str) -> None:
        if (phase, call) == ("after", "pull"):
            store.host.images.clear()

    store.host.hook = remove
    with pytest.raises(ImageMissing, match="removed as soon as"):
        async with store.image_store.brought(release):
            pass


async def test_hooks_are_told_the_image(store: Store):
    installed = await store.bring("v1")

    assert {"DEWY_IMAGE": reference(installed)} == store.image_store.describe(installed)
