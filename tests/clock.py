# SPDX-License-Identifier: MIT
"""A wall clock that a test sets."""

import datetime

from preload import preload


def iso(ms):
    """The time as acpd prints it."""
    time = datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class WallClock:
    """A stopped clock that can be set. The monotonic clock, which measures durations, runs normally."""

    def __init__(self, folder, ms):
        self.file = folder / "wall_clock"
        self.environment = {**preload(folder, "wall_clock"), "WALL_CLOCK": str(self.file)}
        self.set(ms)

    def set(self, ms):
        self.ms = ms
        fresh = self.file.with_suffix(".new")
        fresh.write_text(str(ms))
        fresh.rename(self.file)

    def advance(self, seconds):
        self.set(self.ms + round(seconds * 1000))
