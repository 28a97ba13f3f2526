"""The kinds of values that several options share."""

from __future__ import annotations

from .values import (
    Kind,
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

TIME = Kind("TIME", last(duration), (int, float, str))
SOME_TIME = Kind("TIME", last(positive_duration), (int, float, str))
HEALTH_TIMEOUT = Kind("TIME", last(lenient_duration(30.0)), (int, float, str))
INTERVAL = Kind("TIME", last(interval), (int, float, str))
TEXT = Kind("TEXT", last(verbatim))
SHELL = Kind("COMMAND", last(verbatim))
PATH = Kind("PATH", last(verbatim))
KEY_FILES = Kind("KEYFILE", file_list("a public key"), repeated=True)
ENV_FILES = Kind("FILE", file_list("variables"), repeated=True)
HEALTH_PATH = Kind("PATH", last(health_path))
COUNT = Kind("NUMBER", last(number(1, 100)), (int,))
HEALTH_HOST = Kind("HOST", last(host_header))
URL = Kind("URL", last(url))
URLS = Kind("URL", url_list, repeated=True)
PORTS = Kind("PORT", addresses, (int, str), repeated=True)
FLAG = Kind("", last(flag), (bool,))
KEEP = Kind("NUMBER", last(number(2, 1000)), (int,))
ADMIN_PORT = Kind("PORT", last(number(0, 65535)), (int,))
READY = Kind("HOW", last(choice("auto", "notify", "grace")))
VERIFY = Kind("WHEN", last(choice("off", "auto", "required")))
LEVEL = Kind(
    "LEVEL",
    last(choice("debug", "info", "warn", "error", warning="warn", blank="info")),
)
FORMAT = Kind("FORMAT", last(choice("text", "json", blank="text")))
