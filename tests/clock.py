# SPDX-License-Identifier: MIT
"""A wall clock that a test sets."""

import datetime
import os
import pathlib
import subprocess

from acpd import ACPD

SOURCE = pathlib.Path(__file__).parent / "wall_clock.c"


def iso(ms):
    """As acpd prints it."""
    time = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class WallClock:
    """Stands still where it is set. The monotonic clock, which measures, goes on as ever."""

    def __init__(self, folder, ms):
        library = folder / "wall_clock.so"
        subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, SOURCE],
                       check=True)
        self.file = folder / "wall_clock"
        # A sanitizer's runtime wants to be first.
        linked = subprocess.run(["ldd", ACPD], capture_output=True, text=True, check=True).stdout
        first = [line.split()[2] for line in linked.splitlines() if "libasan" in line]
        self.environment = {"LD_PRELOAD": ":".join([*first, str(library)]),
                            "WALL_CLOCK": str(self.file)}
        self.set(ms)

    def set(self, ms):
        self.ms = ms
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(ms))
        fresh.rename(self.file)

    def advance(self, seconds):
        self.set(self.ms + round(seconds * 1000))
