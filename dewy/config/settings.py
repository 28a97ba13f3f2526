"""Settings of one dewy, validated once, never changed afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .endpoint import BackendAddress, Endpoint

DEFAULT_ADMIN_PORT = 17539
DEFAULT_SHUTDOWN_TIMEOUT = 25.0
IMAGES = "img"


@dataclass(frozen=True, slots=True)
class Address:
    """
    A listening address as the operator wrote it.

    Attributes:
        name: Normalised text, given to programs: `8080`, `127.0.0.1:80`, `[::]:80`.

        host: Numeric address to bind; `0.0.0.0` for a bare port.

        port: 1 to 65535.
    """

    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class PortMapping:
    """
    The port of a container that stands behind a port of the proxy.

    Attributes:
        proxy: 1 to 65535.

        container: 1 to 65535; 0 for the one that the image exposes.

        host: Numeric address of the proxy's port; "" for every one of both families.
    """

    proxy: int
    container: int = 0
    host: str = ""

    @property
    def endpoint(self) -> Endpoint:
        """The address of the proxy's port."""
        return Endpoint(self.host, self.proxy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    The values of all options of all commands; times are seconds.

    `registry` already carries `--calver` in its query. `cache` is empty for the
    local one in `cache_dir`. `run_options` are the words after `--`, not yet judged.
    `admin_port_chosen`: somebody asked for that port, so dewy must have it.
    `cautions` are sentences to log as warnings at start, `overridden` names the keys
    of the file that flags or variables override, a phrase each. `registry_unread` are
    the mistakes for which nothing is known of the registry, with commands that go on.
    """

    command: str
    root: Path
    cache_dir: Path
    registry: str = ""
    cache: str = ""
    notifiers: tuple[str, ...] = ()
    interval: float = 10.0
    max_backoff_interval: float = 0.0
    grace_period: float = 1800.0
    once: bool = False
    slot: str = ""
    ports: tuple[Address, ...] = ()
    program: tuple[str, ...] = ()
    before_deploy_hook: str = ""
    after_deploy_hook: str = ""
    hook_timeout: float = 300.0
    verify_checksum: str = "auto"
    verify_signature: tuple[str, ...] = ()
    archive_max_bytes: int = 8 << 30
    archive_max_ratio: int = 200
    archive_max_entries: int = 200_000
    absolute_links: str = "auto"
    keep: int = 7
    rollback: bool = True
    env_files: tuple[str, ...] = ()
    ready: str = "auto"
    start_grace: float = 1.0
    start_timeout: float = 60.0
    stop_timeout: float = 30.0
    shutdown_timeout: float = DEFAULT_SHUTDOWN_TIMEOUT
    probation: float = 30.0
    health_path: str = ""
    health_timeout: float = 30.0
    health_host: str = "localhost"
    capture: bool = True
    admin_port: int = DEFAULT_ADMIN_PORT
    admin_port_chosen: bool = False
    port_mappings: tuple[PortMapping, ...] = ()
    run_options: tuple[str, ...] = ()
    name: str = ""
    replicas: int = 1
    cmd: tuple[str, ...] = ()
    runtime: str = "docker"
    max_parallel: int = 1
    min_healthy: float = 3.0
    health_interval: float = 10.0
    health_rise: int = 2
    health_fall: int = 3
    max_broken: float | None = None
    health_restart: float = 300.0
    upstream: str = "auto"
    backend_wait: float = 5.0
    on_exit: str = "stop"
    keep_volumes: bool = False
    listen: tuple[Endpoint, ...] = ()
    socket_mode: int | None = None
    socket_owner: str = ""
    backends: tuple[BackendAddress, ...] = ()
    proxy_threads: int | None = None
    balance: str = "round-robin"
    proxy_protocol: str = "none"
    proxy_idle_timeout: float = 3600.0
    max_connections: int = 0
    drain_time: float = 30.0
    drain_jitter: float = 0.0
    log_connections: bool = False
    telemetry: bool = False
    otlp_endpoint: str = ""
    otlp_insecure: bool = False
    log_level: str = "info"
    log_format: str = "text"
    cautions: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    registry_unread: tuple[str, ...] = ()

    @property
    def images(self) -> bool:
        """The registry is one of images, which only container mode runs."""
        return self.registry.partition("://")[0].lower() == IMAGES

    @property
    def private(self) -> Path:
        """The directory of dewy's own files in this root."""
        return self.root / ".dewy"


def app_name(registry: str, name: str = "") -> str:
    """
    Return the application's name in the admin API and labels: *name* if given, else the
    end of its registry URL.

    "" where there is neither.
    """
    if name:
        return name
    rest = registry.partition("://")[2].partition("?")[0]
    return rest.rstrip("/").rpartition("/")[2].partition(":")[0]
