"""
Telling which generation accepted a connection on the socket they share.

The inode of the accepted socket does: /proc/net/tcp names it, and /proc/PID/fd
who has it open. There is no event for either, so whoever needs to know looks
again and again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

from .processes import Ends, accepted_inodes, held, members

log = logging.getLogger(__name__)

# A socket is in the table a moment before its process has it in hands.
LOOKS = 3


class SocketOwner:
    """
    Tells the connections of the generation that *leader* leads from others.

    Where the system does not say, every connection counts as that generation's;
    this is logged once.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._strange: Counter[Ends] = Counter()
        self._told = False

    def look(self, connections: Collection[Ends]) -> dict[Ends, bool]:
        """
        Of which *connections* it is known now, and whether they are ours.

        Reads long files: it belongs in a thread.
        """
        try:
            inodes = accepted_inodes(connections)
        except (FileNotFoundError, PermissionError) as exc:
            return self._assume(connections, exc)
        except OSError:
            return {}  # out of descriptors, say: another look may tell
        try:
            ours = held(members(self._leader), inodes.values())
        except PermissionError as exc:
            return self._assume(inodes, exc)
        except OSError:
            return {}
        return self._known({ends: inode in ours for ends, inode in inodes.items()})

    def _known(self, seen: dict[Ends, bool]) -> dict[Ends, bool]:
        """Leave out those that seem strange for the first few times."""
        self._strange.update(ends for ends, ours in seen.items() if not ours)
        return {
            ends: ours
            for ends, ours in seen.items()
            if ours or self._strange[ends] >= LOOKS
        }

    def _assume(self, connections: Collection[Ends], exc: OSError) -> dict[Ends, bool]:
        if not self._told:
            self._told = True
            log.warning(
                "Health check counts answers of any generation",
                extra={"error": str(exc)},
            )
        return dict.fromkeys(connections, True)
