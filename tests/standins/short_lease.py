"""
A dewy whose leases are short, as it is to be killed while it has one.

    python -m tests.standins.short_lease SECONDS COMMAND [OPTION…]
"""

from __future__ import annotations

import sys

from dewy.cli import main
from dewy.deploy.single_flight import SingleFlightFetcher

if __name__ == "__main__":
    given = SingleFlightFetcher.__init__.__kwdefaults__
    assert given is not None
    given["length"] = float(sys.argv.pop(1))
    main()
