"""Running the transaction of a deployer, as whoever deploys does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from dewy.deploy.deployer import Deployer
from dewy.deploy.state import Installed
from dewy.supervisor.generations import Generations


async def nothing(reason: object = None) -> None:
    """Do nothing at this step."""


async def take_over(
    deployer: Deployer,
    target: Installed,
    commit: Callable[[], Awaitable[None]] = nothing,
    abandon: Callable[[BaseException], Awaitable[None]] = nothing,
) -> None:
    """Switch to *target*; await *commit* once it serves, *abandon* if that fails."""
    async with deployer.switch(target, lambda text: None) as switch:
        try:
            await switch.serve()
            await commit()
        except BaseException as exc:
            await abandon(exc)
            raise


async def renew(
    generations: Generations,
    commit: Callable[[], Awaitable[None]] = nothing,
    undo: Callable[[BaseException], Awaitable[None]] = nothing,
) -> None:
    """Replace the serving generation, with *commit* and *undo* as `take_over` has."""
    async with generations.switch() as candidate:
        try:
            await candidate.start()
            await commit()
        except BaseException as exc:
            await undo(exc)
            raise
