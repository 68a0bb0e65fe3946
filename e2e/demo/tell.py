# SPDX-License-Identifier: Apache-2.0
"""What the demo says: steps, lines, tables, on standard error; colours only on a terminal."""

import os
import sys
import time

WIDTH = 92


class Tell:
    """Prints as it goes, and knows how long it has been going."""

    def __init__(self, out=sys.stderr):
        self.out = out
        self.started = time.monotonic()
        self.number = 0
        self._colours = out.isatty() and "NO_COLOR" not in os.environ

    def _paint(self, code, text):
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def _print(self, text=""):
        print(text.rstrip(), file=self.out, flush=True)

    @property
    def seconds(self):
        """Since the start."""
        return time.monotonic() - self.started

    def title(self, text):
        """The first line."""
        self._print(self._paint(1, text))

    def step(self, text):
        """A numbered step begins; at the right the seconds until now."""
        self.number += 1
        at = f"{self.seconds:.0f} s"
        self._print()
        head = f"{self.number}  {text}"
        self._print(self._paint("1;36", head) + self._paint(2, at.rjust(WIDTH - len(head))))

    def line(self, text):
        """Something seen."""
        self._print(f"   {text}")

    def shown(self, text):
        """Something that a check has shown to hold."""
        self._print(f"   {self._paint(32, 'ok')}  {text}")

    def failed(self, text):
        """Why the demo has failed."""
        self._print(f"\n{self._paint('1;31', 'FAILED')}  {text}")

    def table(self, head, rows, left=1):
        """Columns as wide as they must be; the first `left` columns begin at the left."""
        rows = [[str(cell) for cell in row] for row in [head, *rows]]
        wide = [max(len(cell) for cell in column) for column in zip(*rows)]
        for number, row in enumerate(rows):
            cells = [
                cell.ljust(wide[at]) if at < left else cell.rjust(wide[at])
                for at, cell in enumerate(row)
            ]
            text = "   ".join(cells).rstrip()
            self._print("   " + (self._paint(2, text) if number == 0 else text))


def size(size_bytes):
    """Bytes for a person: MiB from one MiB on, else KiB."""
    if abs(size_bytes) >= 1 << 20:
        return f"{size_bytes / (1 << 20):.1f} MiB"
    return f"{size_bytes / 1024:.0f} KiB"
