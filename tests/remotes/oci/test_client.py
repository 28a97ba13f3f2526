from __future__ import annotations

import asyncio

import pytest

from dewy.errors import OddAnswer, RateLimited, RemoteError
from dewy.remotes import Clients, http
from dewy.remotes.oci import client as oci
from dewy.remotes.oci.client import MOST_PAGES, OCI
from dewy.remotes.oci.reference import Reference
from tests.eventually import eventually
from tests.remotes.oci.conftest import Connect
from tests.standins.files import Fault
from tests.standins.image_api import MANIFEST, ImageAPI
from tests.standins.pushed_images import digest_of

TAGS = tuple(f"v1.0.{number}" for number in range(25))


async def test_tags_are_listed_page_by_page(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag(*TAGS)
    server.page = 10

    assert TAGS == await client.tags(reference)
    assert 3 == len(server.seen)


async def test_all_tags_are_asked_for_at_once(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag(*TAGS)
    await client.tags(reference)

    assert ["/v2/app/tags/list?n=1000"] == [seen.path for seen in server.seen]


async def test_registry_that_refuses_large_pages_is_asked_without(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    """Some answer 400 to more than a hundred; the refusal is remembered."""
    server.tag(*TAGS)
    server.page, server.most = 10, 100
    await client.tags(reference)
    server.seen.clear()

    assert TAGS == await client.tags(reference)
    assert 3 == len(server.seen)
    assert "/v2/app/tags/list" == server.seen[0].path


async def test_link_with_the_wrong_scheme_leads_to_ourselves(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    """A registry behind a proxy that ends TLS does not know better."""
    server.tag(*TAGS)
    server.page = 20
    server.link = '<https://127.0.0.1:1{next}>; rel="next"'

    assert TAGS == await client.tags(reference)


async def test_link_to_another_host_is_not_followed(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    """Neither with our credentials nor without: its tags are not this registry's."""
    server.tag(*TAGS)
    server.page = 10
    async with ImageAPI() as foreign:
        place = foreign.host.replace("127.0.0.1", "localhost")
        server.link = f'<http://{place}{{next}}>; rel="next"'
        with pytest.raises(RemoteError, match="localhost, which is not its own"):
            await client.tags(reference)

        assert [] == foreign.seen


async def test_link_that_is_no_url_is_said(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag(*TAGS)
    server.page = 10
    server.link = '<http://[x/>; rel="next"'

    with pytest.raises(RemoteError, match="names no URL"):
        await client.tags(reference)


async def test_circle_of_pages_ends(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag(*TAGS)
    server.page = 10
    server.link = '<?n=1000>; rel="next"'

    with pytest.raises(RemoteError, match="in circles"):
        await client.tags(reference)
    assert 1 == len(server.seen)


async def test_pages_without_end_end(
    client: OCI,
    server: ImageAPI,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oci, "MOST_PAGES", 3)
    server.tag(*TAGS)
    server.page = 5

    with pytest.raises(RemoteError, match="more than 3 pages"):
        await client.tags(reference)
    assert 3 == len(server.seen)
    assert MOST_PAGES >= 100


async def test_unchanged_list_costs_a_304(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag(*TAGS)
    server.etag = '"one"'
    first = await client.tags(reference)

    assert first == await client.tags(reference)
    assert [None, '"one"'] == [s.headers.get("If-None-Match") for s in server.seen]
    server.etag = '"two"'
    server.tag("v2.0.0")
    assert (*first, "v2.0.0") == await client.tags(reference)


async def test_tag_repeated_across_pages_is_listed_once(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.faults = [
        Fault(
            body=b'{"tags": ["v1", "v2"]}',
            headers={"Link": "</v2/app/tags/list?last=v2>; rel=next"},
        ),
        Fault(body=b'{"tags": ["v2", "v3", "no+tag", 7]}'),
    ]

    assert ("v1", "v2", "v3") == await client.tags(reference)


@pytest.mark.parametrize("body", [b'{"tags": null}', b'{"tags": []}'])
async def test_repository_may_be_empty(
    client: OCI, server: ImageAPI, reference: Reference, body: bytes
) -> None:
    server.faults = [Fault(body=body)]

    assert () == await client.tags(reference)


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b"{}", b'{"tags": {}}', b'{"tags": "v1"}', b""]
)
async def test_garbage_is_no_list(
    client: OCI, server: ImageAPI, reference: Reference, body: bytes
) -> None:
    server.faults = [Fault(body=body)]

    with pytest.raises(RemoteError, match=r"127\.0\.0\.1:\d+ answered with something"):
        await client.tags(reference)


async def test_list_may_not_be_endless(
    client: OCI,
    server: ImageAPI,
    reference: Reference,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(oci, "LARGEST_PAGE", 1000)
    server.faults = [Fault(body=b" " * 1001)]

    with pytest.raises(RemoteError, match="exceeds 1000 bytes"):
        await client.tags(reference)


async def test_digest_costs_a_head(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    """GET would be counted as a pull."""
    server.tag("v1.0.0")

    assert digest_of(b"v1.0.0") == await client.digest(reference, "v1.0.0")
    assert ["HEAD /v2/app/manifests/v1.0.0"] == server.asked()
    accepted = server.seen[0].headers["Accept"]
    assert accepted.index("image.index") < accepted.index("image.manifest")
    assert accepted.index("manifest.list.v2") < accepted.index(".manifest.v2")


async def test_missing_tag_is_none(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    assert await client.digest(reference, "v1.0.0") is None
    assert await client.digest(reference, "v1.0.0+blue") is None
    assert 1 == len(server.seen)


@pytest.mark.parametrize(("heads", "header"), [(405, True), (405, False), (200, False)])
async def test_manifest_is_read_where_head_tells_nothing(
    client: OCI, server: ImageAPI, reference: Reference, heads: int, header: bool
) -> None:
    server.digests = {"v1": digest_of(MANIFEST)}
    server.heads, server.digest_header = heads, header

    assert digest_of(MANIFEST) == await client.digest(reference, "v1")
    assert ["HEAD", "GET"] == [seen.method for seen in server.seen]


async def test_tag_may_vanish_meanwhile(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.faults = [Fault(status=405)]

    assert await client.digest(reference, "v1") is None


async def test_error_page_of_a_blocked_image_is_no_manifest(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    """Its digest would be deployed."""
    server.faults = [Fault(status=405), Fault(status=412)]

    with pytest.raises(OddAnswer, match=r"does not hand app:v1 out \(412\)"):
        await client.digest(reference, "v1")


async def test_platforms_of_a_failed_request_are_not_cached(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.tag_index("v1", "linux/amd64")
    index = await client.stands_for(reference, "v1")
    assert index
    server.faults = [Fault(status=404)]

    assert () == await client.platforms(reference, index)
    assert ["linux/amd64"] == [*map(str, await client.platforms(reference, index))]


async def test_manifest_that_is_another_is_refused(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.digests = {"v1": digest_of(b"another")}
    server.heads = 405

    with pytest.raises(RemoteError, match="does not have the stated digest"):
        await client.digest(reference, "v1")


@pytest.mark.parametrize("digest", ["sha256:12", "latest", "sha256:" + "g" * 64])
async def test_invalid_digest_is_rejected(
    client: OCI, server: ImageAPI, reference: Reference, digest: str
) -> None:
    server.digests = {"v1": digest}

    with pytest.raises(RemoteError, match="not the digest of app:v1"):
        await client.digest(reference, "v1")


async def test_rate_limit_says_when_to_come_back(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.faults = [Fault(status=429, headers={"Retry-After": "17"})]

    with pytest.raises(RateLimited) as caught:
        await client.tags(reference)

    assert 17.0 == caught.value.retry_after


async def test_missing_repository_is_said(client: OCI, reference: Reference) -> None:
    absent = Reference(reference.host, "acme/none")

    with pytest.raises(RemoteError, match="404 Not Found: it has no acme/none"):
        await client.tags(absent)


async def test_registry_that_hangs_is_left(
    connect: Connect, server: ImageAPI, reference: Reference
) -> None:
    server.faults = [Fault(then="stall")]
    async with connect(http.Deadlines(1.0, 0.1, 0.2)) as client:
        with pytest.raises(RemoteError, match="did not answer in time"):
            await client.tags(reference)


async def test_cancellation_is_no_failure_of_the_registry(
    client: OCI, server: ImageAPI, reference: Reference
) -> None:
    server.faults = [Fault(then="stall")]
    task = asyncio.create_task(client.tags(reference))
    await eventually(lambda: server.seen)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


async def test_connect_returns_shared_client() -> None:
    async with Clients() as clients:
        assert await oci.connect(clients) is await oci.connect(clients)
