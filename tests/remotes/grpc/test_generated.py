"""The generated code is that of the .proto, and its names are those servers know."""

from __future__ import annotations

import re
from pathlib import Path

from tests.needs import needs

pytestmark = needs("grpc")


def folder() -> Path:
    import dewy.remotes.grpc

    return Path(dewy.remotes.grpc.__path__[0])


def test_fields_have_the_numbers_that_servers_know() -> None:
    """The misspelt one among them; dewy's own have numbers far from theirs."""
    from dewy.remotes.grpc.registry_pb2 import DESCRIPTOR

    numbers = {
        name: [(field.name, field.number) for field in message.fields]
        for name, message in DESCRIPTOR.message_types_by_name.items()
    }

    assert {
        "CurrentRequest": [
            ("arch", 1),
            ("os", 2),
            ("arifact_name", 3),
            ("host", 1001),
            ("labels", 1002),
        ],
        "CurrentResponse": [
            ("id", 1),
            ("tag", 2),
            ("artifact_url", 3),
            ("created_at", 4),
        ],
        "ReportRequest": [("id", 1), ("tag", 2), ("command", 3), ("err", 4)],
    } == numbers


def test_generated_code_is_that_of_the_proto() -> None:
    """As far as it shows without the tools; `dev/write-grpc --check` has them."""
    from dewy.remotes.grpc.registry_pb2 import DESCRIPTOR

    text = (folder() / "registry.proto").read_text(encoding="utf-8")
    text = re.sub(r"//.*", "", text)
    fields = re.findall(r"(optional )?([\w.]+|map<[^>]+>) (\w+) = (\d+);", text)
    methods = re.findall(r"rpc (\w+)\(([\w.]+)\) returns \(([\w.]+)\)", text)
    (service,) = DESCRIPTOR.services_by_name.values()
    generated = [
        field
        for message in DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
    ]

    assert ["dewy"] == re.findall(r"package (\w+);", text) == [DESCRIPTOR.package]
    assert [(name, int(number)) for _, _, name, number in fields] == [
        (field.name, field.number) for field in generated
    ]
    assert [bool(optional) for optional, *_ in fields] == [
        field.containing_oneof is not None for field in generated
    ]
    assert [(name, asked.split(".")[-1]) for name, asked, _ in methods] == [
        (method.name, method.input_type.name) for method in service.methods
    ]
    assert [answer.split(".")[-1] for *_, answer in methods] == [
        method.output_type.name for method in service.methods
    ]
