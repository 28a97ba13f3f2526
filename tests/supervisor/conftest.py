"""A supervised program in a root of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from dewy.config import Address
from dewy.supervisor.generations import Generations
from dewy.supervisor.policy import Policy
from dewy.supervisor.sockets import Listeners, open_listeners
from dewy.supervisor.supervisor import Supervisor
from dewy.supervisor.worker import Worker
from tests.eventually import eventually
from tests.standins import programs

POLICY = Policy(start_grace=0.4, start_timeout=20, stop_timeout=20, health_timeout=20)


@dataclass
class Site:
    """A root, and what supervises it."""

    root: Path
    port: int
    stack: AsyncExitStack
    policy: Policy = POLICY
    notifies: bool = False
    records: list[dict[int, str]] = field(default_factory=list)
    deaths: asyncio.Queue[Worker] = field(default_factory=asyncio.Queue)
    generations: Generations = None  # type: ignore[assignment]
    supervisor: Supervisor = None  # type: ignore[assignment]
    listeners: Listeners = None  # type: ignore[assignment]

    def install(self, version: str, program: str | None = None) -> None:
        """Unpack a release and let `current` point at it."""
        content = programs.files(version, program)
        self.point(programs.unpacked(self.root / "releases" / version, content))

    def point(self, directory: Path) -> None:
        draft = self.root / "current.tmp"
        draft.symlink_to(directory)
        draft.replace(self.root / "current")

    async def open(
        self, *, release: Callable[[], str] = str, **policy: object
    ) -> Supervisor:
        """Listen, and start watching; nothing runs yet."""
        self.policy = replace(self.policy, **policy)  # type: ignore[arg-type]
        address = Address(f"127.0.0.1:{self.port}", "127.0.0.1", self.port)
        listeners = self.stack.enter_context(await open_listeners([address], [], 5))
        self.listeners = listeners
        self.generations = Generations(
            programs.COMMAND,
            self.root,
            listeners,
            self.policy,
            capture=True,
            notifies=self.notifies,
            record=self._record,
            release=release,
        )
        self.supervisor = Supervisor(self.generations, self._died)
        return await self.stack.enter_async_context(self.supervisor)

    async def ask(self, path: str = "/") -> str:
        """The version that answers on a new connection."""
        return await programs.answer(self.port, path)

    async def only(self, generation: int) -> None:
        """Wait until nothing lives but *generation*, serving."""
        await eventually(
            lambda: (
                [(generation, "serving")]
                == [(w.generation, s) for w, s in self.generations.workers.items()]
            )
        )

    async def answers(self, version: str) -> None:
        """Wait until *version* answers."""

        async def met() -> bool:
            return version == await self.ask()

        await eventually(met)

    async def _record(self) -> None:
        self.records.append({w.pid: s for w, s in self.generations.workers.items()})

    async def _died(self, worker: Worker) -> bool:
        self.deaths.put_nowait(worker)
        return False


@pytest.fixture
async def site(tmp_path: Path, unused_tcp_port: int) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        yield Site(tmp_path, unused_tcp_port, stack)
