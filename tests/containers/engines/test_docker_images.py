"""Pulling and removing images, with the real registries' refusals."""

from __future__ import annotations

import base64
import json
import platform

import pytest

from dewy.containers.engines.docker import DockerEngine
from dewy.containers.engines.docker_images import shown_to
from dewy.errors import EngineError, ImageMissing, PullDenied
from dewy.remotes.oci.credentials import Credentials
from tests.standins.engines import RealEngine
from tests.standins.fake_engine import FakeEngine
from tests.standins.images import Publisher
from tests.standins.registry import NAME, PASSWORD

IMAGE = {"Id": "sha256:aa", "RepoTags": ["r.test/x:1"], "Config": {}}


def ignore(done: int, total: int | None) -> None:
    pass


@pytest.mark.parametrize(
    ("credentials", "expected"),
    [
        (None, None),
        (
            Credentials("me", "pw"),
            {"username": "me", "password": "pw", "serveraddress": "r.test:5000"},
        ),
        (
            Credentials(token="t"),
            {"identitytoken": "t", "serveraddress": "r.test:5000"},
        ),
    ],
)
def test_registry_auth_is_built_from_credentials(
    credentials: Credentials | None, expected: object
) -> None:
    assert expected == shown_to("r.test:5000/a/b@sha256:aa", credentials)


async def test_engine_is_told_once_and_in_base64(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    fake.answer("images/create", b'{"status": "fine"}\n')
    fake.answer("images/r.test/x:1/json", IMAGE)

    await docker.pull("r.test/x:1", Credentials(token="t"), ignore)

    asked = next(one for one in fake.asked if one.path == "images/create")
    shown = json.loads(base64.urlsafe_b64decode(asked.headers["X-Registry-Auth"]))
    assert "t" == shown["identitytoken"]
    assert "r.test/x:1" == asked.query["fromImage"]


async def test_pull_that_breaks_off_is_no_success(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Its stream ends like a good one."""
    fake.answer("images/create", b'{"status": "Pulling fs layer", "id": "a"}\n')

    with pytest.raises(EngineError, match="broke off"):
        await docker.pull("r.test/x:1", None, ignore)


async def test_refused_pull_quotes_no_password(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    line = {"error": "unauthorized: verysecret at https://r.test/t?sig=abc"}
    fake.answer("images/create", json.dumps(line).encode() + b"\n")

    with pytest.raises(PullDenied) as refused:
        await docker.pull("r.test/x:1", Credentials("me", "verysecret"), ignore)

    assert "verysecret" not in str(refused.value)
    assert "sig" not in str(refused.value)


async def test_image_that_vanishes_is_listed_again(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """The engine stumbles over what is removed while it looks."""
    fake.answer("images/json", {"message": "image not known"}, 500)
    fake.answer("images/json", [IMAGE, {**IMAGE, "Id": "sha256:gone"}])
    fake.answer("images/sha256:aa/json", IMAGE)

    assert ["sha256:aa"] == [image.id for image in await docker.images("r.test/x")]


async def test_images_are_asked_for_by_name(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Podman looks into every image there is otherwise, for seconds."""
    fake.answer("images/json", [])

    await docker.images("r.test/x")

    (asked,) = [each for each in fake.asked if each.path == "images/json"]
    assert {"reference": ["r.test/x"]} == json.loads(asked.query["filters"])


async def test_image_is_looked_at_again_while_another_vanishes(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """A neighbour that removes its images must not fail a deployment."""
    fake.answer("images/r.test/x:1/json", {"message": "image not known"}, 500)
    fake.answer("images/r.test/x:1/json", IMAGE)

    image = await docker.image("r.test/x:1")

    assert image is not None
    assert "sha256:aa" == image.id


async def test_image_in_use_keeps_its_name(
    fake: FakeEngine, docker: DockerEngine
) -> None:
    """Podman would take it off, so it is not even asked."""
    fake.answer("images/r.test/x:1/json", IMAGE)
    fake.answer("containers/json", [{"Id": "c", "ImageID": "aa"}])

    assert not await docker.remove_image("r.test/x:1")

    assert "DELETE" not in {asked.method for asked in fake.asked}


async def test_registry_that_wants_a_password(
    engine: RealEngine, private_publisher: Publisher
) -> None:
    """None, a wrong one, and the right one."""
    pushed = await private_publisher.publish(engine.name(), "v1")

    for wrong in (None, Credentials(NAME, "wrong-password")):
        with pytest.raises(PullDenied) as refused:
            await engine.engine.pull(pushed.by_digest, wrong, ignore)
        assert "wrong-password" not in str(refused.value)
    await engine.engine.pull(pushed.by_digest, Credentials(NAME, PASSWORD), ignore)

    image = await engine.engine.image(pushed.by_digest)
    assert image is not None
    assert pushed.by_digest in image.digests


async def test_index_gives_the_image_of_this_platform(
    engine: RealEngine, publisher: Publisher
) -> None:
    platforms = ("linux/arm64", "linux/amd64")
    ours = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    pushed = await publisher.publish(engine.name(), "v1", platforms=platforms)

    await engine.engine.pull(pushed.by_digest, None, ignore)

    image = await engine.engine.image(pushed.by_digest)
    assert image is not None
    assert image.platform.startswith(ours)
    assert await engine.engine.remove_image(pushed.by_digest)
    assert await engine.engine.image(pushed.by_digest) is None


async def test_removing_tag_keeps_image_and_other_tags(
    engine: RealEngine, publisher: Publisher
) -> None:
    """The others, and the image, stay."""
    name = engine.name()
    first = await publisher.publish(name, "v1", env={"APP_VERSION": "same"})
    second = await publisher.publish(name, "v2", env={"APP_VERSION": "same"})
    for pushed in (first, second):
        await engine.engine.pull(pushed.tagged, None, ignore)

    assert await engine.engine.remove_image(first.tagged)

    assert await engine.engine.image(first.tagged) is None
    left = await engine.engine.image(second.tagged)
    assert left is not None
    assert (second.tagged,) == left.tags


async def test_image_with_a_tag_survives_usual_cleaning(
    engine: RealEngine, publisher: Publisher
) -> None:
    """By digest alone it would be dangling."""
    kept = await publisher.publish(engine.name(), "v1")
    tag = f"localhost/{engine.name('dewy')}:sha256-1"
    await engine.engine.pull(kept.by_digest, None, ignore)
    image = await engine.engine.image(kept.by_digest)
    assert image is not None
    await engine.engine.tag_image(image.id, tag)

    await engine.prune_images()

    for name in (kept.by_digest, tag):
        found = await engine.engine.image(name)
        assert found is not None
        assert image.id == found.id
    assert [tag] == [
        each for one in await engine.engine.images(tag) for each in one.tags
    ]
    assert await engine.engine.remove_image(tag)
    assert await engine.engine.image(tag) is None
    left = await engine.engine.image(kept.by_digest)
    assert left is not None
    assert () == left.tags


async def test_container_of_an_image_that_is_gone_tells_so(engine: RealEngine) -> None:
    name = f"127.0.0.1:9/{engine.name()}@sha256:{'0' * 64}"
    for image in (name, f"sha256:{'0' * 64}"):
        with pytest.raises(ImageMissing):
            await engine.engine.create(engine.name(), {"Image": image})
        with pytest.raises(ImageMissing):
            await engine.engine.tag_image(image, f"localhost/{engine.name()}:x")
