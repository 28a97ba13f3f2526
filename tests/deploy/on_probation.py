"""Root in which a release is on probation."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from dewy.config import Reloadable, Settings
from dewy.deploy.deployer import AssetsDeployer
from dewy.deploy.deployment_log import DeploymentLog
from dewy.deploy.history import History
from dewy.deploy.probation import Probation
from dewy.deploy.releases import Releases
from dewy.deploy.state import Installed, State, StateFile
from dewy.deploy.state_store import StateStore
from dewy.system import Clock

OLD = Installed("v1", "a", "20310203T040506Z", 1.0)
NEW = Installed("v2", "b", "20310203T050000Z", 2.0)


@dataclass
class Case:
    """A root in which v2 has just taken over from v1."""

    root: Path
    now: float = 0.0
    rollback: bool = True
    state: State = field(default_factory=lambda: State(NEW, (NEW, OLD)))
    deployer: AssetsDeployer | None = None

    def __post_init__(self) -> None:
        for installed in (OLD, NEW):
            (self.root / "releases" / installed.directory).mkdir(parents=True)
        private = self.root / ".dewy"
        private.mkdir()
        clock = Clock(wall=lambda: 1000.0, monotonic=lambda: self.now)
        self.settings = settings = Reloadable(
            Settings(
                command="server",
                root=self.root,
                cache_dir=private,
                probation=30,
                rollback=self.rollback,
            )
        )
        self.state_store = StateStore(StateFile(private), self.state)
        self.releases = Releases(self.root)
        self.history = History(private)
        deployment_log = DeploymentLog(self.history, (), clock)
        self.probation = Probation(settings, clock, self.state_store, deployment_log)

    async def look(self) -> None:
        await self.probation.look(AssetsDeployer(self.releases))

    async def die(self) -> bool:
        deployer = self.deployer or AssetsDeployer(self.releases)
        return await self.probation.verdict("exit status 9", ("oh no",), deployer)
