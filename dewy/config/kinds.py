"""The kinds of values that several options share."""

from __future__ import annotations

from .values import (
    ValueKind,
    addresses,
    choice,
    duration,
    file_list,
    flag,
    health_path,
    host_header,
    interval,
    last,
    lenient_duration,
    number,
    positive_duration,
    url,
    url_list,
    verbatim,
)

TIME = ValueKind("TIME", last(duration), (int, float, str))
SOME_TIME = ValueKind("TIME", last(positive_duration), (int, float, str))
HEALTH_TIMEOUT = ValueKind("TIME", last(lenient_duration(30.0)), (int, float, str))
INTERVAL = ValueKind("TIME", last(interval), (int, float, str))
TEXT = ValueKind("TEXT", last(verbatim))
SHELL = ValueKind("COMMAND", last(verbatim))
PATH = ValueKind("PATH", last(verbatim))
KEY_FILES = ValueKind("KEYFILE", file_list("a public key"), repeated=True)
ENV_FILES = ValueKind("FILE", file_list("variables"), repeated=True)
HEALTH_PATH = ValueKind("PATH", last(health_path))
COUNT = ValueKind("NUMBER", last(number(1, 100)), (int,))
HEALTH_HOST = ValueKind("HOST", last(host_header))
URL = ValueKind("URL", last(url))
URLS = ValueKind("URL", url_list, repeated=True)
PORTS = ValueKind("PORT", addresses, (int, str), repeated=True)
FLAG = ValueKind("", last(flag), (bool,))
KEEP = ValueKind("NUMBER", last(number(2, 1000)), (int,))
ADMIN_PORT = ValueKind("PORT", last(number(0, 65535)), (int,))
READY = ValueKind("HOW", last(choice("auto", "notify", "grace")))
VERIFY = ValueKind("WHEN", last(choice("off", "auto", "required")))
LEVEL = ValueKind(
    "LEVEL",
    last(choice("debug", "info", "warn", "error", warning="warn", blank="info")),
)
FORMAT = ValueKind("FORMAT", last(choice("text", "json", blank="text")))
