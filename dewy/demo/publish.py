"""Publication of the demo's program in a `file://` registry."""

from __future__ import annotations

import io
import os
import tarfile
import time
from pathlib import Path

PROGRAM = Path(__file__).with_name("program.py")
BROKEN = 'raise SystemExit("demo: this version cannot find its database")\n'
AGED = 10.0


def publish(registry: Path, version: str, *, broken: bool = False) -> None:
    """Publish *version* in *registry* by an atomic move."""
    program = BROKEN if broken else PROGRAM.read_text()
    directory = registry / version
    draft = registry / f".{version}"
    draft.mkdir(parents=True)
    artifact = draft / "demo.tar.gz"
    with tarfile.open(artifact, "w:gz") as archive:
        for name, text in (("program.py", program), ("VERSION", version)):
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    # The move is atomic; the registry need not wait for the file to settle.
    settled = time.time() - AGED
    os.utime(artifact, (settled, settled))
    draft.rename(directory)
