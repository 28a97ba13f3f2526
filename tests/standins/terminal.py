"""A reader of the documentation: the commands that a page shows, typed into a shell."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# What no two readers see alike.
VARIABLE = (
    (r"\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d) [+-]\d\d:\d\d to \S+ ", r"DAY \1 to "),
    (r"\S+ \d\d:\d\d:\d\d(?: to \d\d:\d\d:\d\d)? [+-]\d\d:\d\d", "DATE"),
    (r"\b\d{8}T\d{6}Z(?:-\d+)?", "STAMP"),
    (r"\b\d+(?:\.\d+)?[smhd](?: \d+[smhd])?\b", "SPAN"),
    (r"\bpid \d+", "pid N"),
    (r"\bversion \S+,", "version V,"),
    (r" +", " "),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A command that a page shows, and what it shows of its output."""

    command: str
    output: str


def blocks(page: Path, language: str, section: str = "") -> list[str]:
    """Return the examples in *language* on *page*, or below one of its headings."""
    text = page.read_text(encoding="utf-8")
    if section:
        text = re.split(rf"^#+ {re.escape(section)}$", text, flags=re.MULTILINE)[1]
        text = re.split(r"^##+ ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def steps(page: Path, section: str = "") -> Iterator[Step]:
    """Return the commands of a reader, or of root, with here-documents."""
    for block in blocks(page, "console", section):
        for entry in re.split(r"^[$#] ", block, flags=re.MULTILINE)[1:]:
            first, _, rest = entry.partition("\n")
            body, end, output = rest.partition("\nEOF\n")
            if "<<" in first:
                yield Step(f"{first}\n{body}{end}", output)
            else:
                yield Step(first, rest)


def neutral(text: str) -> str:
    """*text* without what differs between any two readers."""
    for pattern, name in VARIABLE:
        text = re.sub(pattern, name, text)
    return text.strip()


class Terminal:
    """One bash, as the reader of a tutorial has one open."""

    MARK = "--end-of-command--"

    def __init__(self, cwd: Path, environment: Mapping[str, str]) -> None:
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            cwd=cwd,
            env=environment,
        )

    def run(self, command: str) -> tuple[str, int]:
        """Type *command*; what it printed, and its exit status."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        self._bash.stdin.write(f"{command}\necho {self.MARK}$?\n")
        self._bash.stdin.flush()
        output = ""
        for line in self._bash.stdout:
            text, mark, status = line.partition(self.MARK)
            output += text
            if mark:
                return output, int(status)
        raise AssertionError(f"the terminal closed at {command!r}: {output}")

    def close(self) -> None:
        """End what still runs in the background, then bash."""
        self._bash.communicate("kill $(jobs -p) 2>/dev/null; wait\n", timeout=60)
