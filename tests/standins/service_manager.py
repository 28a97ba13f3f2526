"""
The programs of a server's administrator, as far as the documentation calls them.

`systemctl`, `systemd-run`, `journalctl`, `sudo` and `useradd` work below the directory
`$HOST`, on the units that were installed there, and touch nothing else.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from select import select

PLACES = (
    "/opt/dewy",
    "/usr/local/bin",
    "/etc/systemd/system",
    "/etc/dewy",
    "/var/lib/dewy",
)
PATIENCE = 60.0


def placed(text: str, host: str) -> str:
    """Return *text* with the directories of a server below *host*."""
    for place in PLACES:
        text = text.replace(place, f"{host}{place}")
    return text


def install_programs(directory: Path) -> None:
    """Put the programs into *directory*, which comes first in PATH."""
    directory.mkdir()
    for name in PROGRAMS:
        program = directory / name
        program.write_text(
            f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {os.getcwd()!r})\n"
            "from tests.standins.service_manager import main\n"
            f"main({name!r}, sys.argv[1:])\n"
        )
        program.chmod(0o755)


class Service:
    """
    A service by its unit file.

    Args:
        name: As in `dewy@shop.service`.
    """

    def __init__(self, name: str) -> None:
        host = os.environ["HOST"]
        template, _, instance = name.removesuffix(".service").partition("@")
        units = Path(placed("/etc/systemd/system", host))
        text = (units / f"{template}@.service").read_text().replace("%i", instance)
        lines = (line.partition("=") for line in placed(text, host).splitlines())
        self.unit = {key: value for key, sign, value in lines if sign}
        self.log = Path(host) / f"{name}.log"
        self._pid = Path(host) / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The main process; None unless it lives."""
        with suppress(FileNotFoundError, ProcessLookupError, ValueError):
            pid = int(self._pid.read_text())
            os.kill(pid, 0)
            return pid
        return None

    def start(self) -> None:
        """Start it and wait for READY=1."""
        if self.pid:
            return
        directory, environment = _prepared(self.unit)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            notified.bind("")
            address = "@" + notified.getsockname()[1:].decode()
            process = subprocess.Popen(
                _command(self.unit["ExecStart"], environment),
                cwd=directory,
                env={**environment, "NOTIFY_SOCKET": address},
                stdout=self.log.open("a"),
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._pid.write_text(str(process.pid))
            while not (process.poll() is None and select([notified], [], [], 1)[0]):
                if process.poll() is not None:
                    sys.exit(f"it ended with status {process.returncode}")
            while b"READY=1" not in notified.recv(4096):
                pass

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send *number* and wait for the end."""
        if (pid := self.pid) is None:
            return
        descriptor = os.pidfd_open(pid)
        os.kill(pid, number)
        ended, _, _ = select([descriptor], [], [], PATIENCE)
        if not ended:
            sys.exit(f"it does not end: {self.log.read_text()}")
        self._pid.unlink()

    def reload(self) -> None:
        directory, environment = _prepared(self.unit)
        command = _command(self.unit["ExecReload"], environment)
        subprocess.run(command, cwd=directory, env=environment, check=True)

    def show(self) -> None:
        sys.stdout.write(f"active: {self.pid is not None}\n")


def _prepared(unit: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the working directory of *unit*, created, and its environment."""
    directory = unit["WorkingDirectory"]
    Path(directory).mkdir(parents=True, exist_ok=True)
    variables = {"PATH": os.environ["PATH"], "DEWY_ADMIN_PORT": "0"}
    for line in Path(unit["EnvironmentFile"].lstrip("-")).read_text().splitlines():
        name, sign, value = line.partition("=")
        if sign:
            variables[name] = value
    return directory, variables


def _command(line: str, environment: Mapping[str, str]) -> list[str]:
    """Split *line*; a variable that stands alone becomes as many words as it has."""
    words: list[str] = []
    for word in shlex.split(line):
        words += environment[word[1:]].split() if word.startswith("$") else [word]
    return words


def systemctl(*words: str) -> None:
    verb, *names = [word for word in words if not word.startswith("-")]
    services = [Service(name) for name in names if name.endswith(".service")]
    for service in services:
        if verb in ("stop", "restart"):
            service.stop()
        if verb in ("start", "restart") or (verb == "enable" and "--now" in words):
            service.start()
        if verb == "reload":
            service.reload()
        if verb == "status":
            service.show()


def systemd_run(*words: str) -> None:
    unit: dict[str, str] = {}
    rest = [word for word in words if not word.startswith("--")]
    while rest[0] == "-p":
        name, _, value = rest[1].partition("=")
        unit[name], rest = value, rest[2:]
    directory, environment = _prepared(unit)
    os.chdir(directory)
    os.execvpe(rest[0], rest, environment)


def sudo(*words: str) -> None:
    rest = list(words)
    while rest[0].startswith("-"):
        rest = rest[2:] if rest[0] == "-u" else rest[1:]
    os.execvp(rest[0], rest)


def useradd(*_words: str) -> None:
    """Leave the machine's users alone."""


def journalctl(*words: str) -> None:
    for log in Path(os.environ["HOST"]).glob("*.log"):
        sys.stdout.write(log.read_text())


PROGRAMS = {
    "systemctl": systemctl,
    "systemd-run": systemd_run,
    "sudo": sudo,
    "useradd": useradd,
    "journalctl": journalctl,
}


def main(name: str, words: Sequence[str]) -> None:
    PROGRAMS[name](*words)
