"""
S3 by moto, in a process of its own; and buckets in it, as a publisher sees them.

It is a model of S3, not S3: it takes any credentials.
"""

from __future__ import annotations

import io
import threading
import uuid
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from tests.standins.files import Fault
from tests.standins.serving import announce, served

REGION = "eu-central-1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_EC2_METADATA_DISABLED": "true",
}


def url() -> str:
    """Where it is."""
    return served("tests.standins.s3")


@cache
def client() -> Any:
    """A client of the server, with credentials of its own."""
    return boto3.client(
        "s3",
        endpoint_url=url(),
        region_name=REGION,
        aws_access_key_id=ENVIRONMENT["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        config=Config(s3={"addressing_style": "path"}),
    )


def refused(status: int, code: str, **headers: str) -> Fault:
    """An answer with the error *code*."""
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>".encode()
    return Fault(status, {"Content-Type": "application/xml", **headers}, body)


class S3Bucket:
    """A new bucket."""

    environment: Mapping[str, str] = ENVIRONMENT

    def __init__(self) -> None:
        self.name = f"bucket-{uuid.uuid4().hex}"
        client().create_bucket(
            Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": REGION}
        )

    def url(self, path: str = "", query: str = "", endpoint: str = "") -> str:
        """dewy's URL of *path* in it, with further options *query* (`?…`)."""
        at = f"?endpoint={endpoint or url()}{query.replace('?', '&')}"
        return f"s3://{REGION}/{self.name}/{path}{at}"

    def put(self, key: str, content: bytes) -> None:
        # In parts where it is large: else moto makes the ETag while it is asked.
        client().upload_fileobj(io.BytesIO(content), self.name, key)

    def get(self, key: str) -> bytes:
        content: bytes = client().get_object(Bucket=self.name, Key=key)["Body"].read()
        return content

    def keys(self, prefix: str = "") -> list[str]:
        pages = client().get_paginator("list_objects_v2")
        return [
            entry["Key"]
            for page in pages.paginate(Bucket=self.name, Prefix=prefix)
            for entry in page.get("Contents", ())
        ]

    def delete(self, key: str) -> None:
        client().delete_object(Bucket=self.name, Key=key)

    def drop(self) -> None:
        """Remove it and what is in it."""
        for key in self.keys():
            self.delete(key)
        client().delete_bucket(Bucket=self.name)

    def unfinished(self) -> int:
        """Uploads that were neither finished nor aborted."""
        found = client().list_multipart_uploads(Bucket=self.name)
        return len(found.get("Uploads", ()))


def main() -> None:
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    announce(server.get_host_and_port()[1])
    threading.Event().wait()


if __name__ == "__main__":
    main()
