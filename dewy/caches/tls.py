"""Authorities that certify a cache's server, and recognition of distrust."""

from __future__ import annotations

import ssl

from ..errors import ConfigError

ADVICE = "could not be trusted: its TLS handshake or certificate failed"


def authorities(path: str) -> str:
    """
    Return *path*, the file that the option `ca` names, or "", once it was read.

    Raises:
        ConfigError: the file cannot be read, or holds no certificates.
    """
    if not path:
        return path
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ConfigError(
            f"option ca={path!r} must be a file of certificates in PEM form"
        ) from None
    except OSError:
        raise ConfigError(f"option ca={path!r} must be a file that can be read") from (
            None
        )
    return path


def is_distrust(exc: BaseException | None) -> bool:
    """Return whether *exc*, or one of its causes, is a failure of TLS."""
    while exc is not None:
        if isinstance(exc, ssl.SSLError | ssl.CertificateError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False
