"""
The generation that accepted a connection on a socket shared by several.

The inode of the accepted socket identifies it: /proc/net/tcp lists the inode, and
/proc/PID/fd the process that has it open. There is no event for either, so a caller has
to look again and again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection

from .processes import Ends, accepted_inodes, held, members

log = logging.getLogger(__name__)

# A socket is in the table a moment before its process holds its descriptor.
LOOKS = 3


class SocketOwner:
    """
    Classifier of connections, by whether *leader*'s generation accepted them.

    Where the system does not tell, every connection counts as that generation's; this
    is logged once.
    """

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._strange: Counter[Ends] = Counter()
        self._told = False

    def look(self, connections: Collection[Ends]) -> dict[Ends, bool]:
        """
        Return the *connections* known now, each with whether it is the generation's.

        The call reads long files: it belongs in a thread.
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
        """Leave out those that seem foreign for the first few times."""
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
