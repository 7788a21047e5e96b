# SPDX-License-Identifier: MIT
"""acpd's database format, for tests that read or change the database directly."""

import struct

CRC32C = [0] * 256
for i in range(256):
    entry = i
    for _ in range(8):
        entry = entry >> 1 ^ (0x82f63b78 if entry & 1 else 0)
    CRC32C[i] = entry


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ CRC32C[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


TASK_FIELDS = """id, profile_id, status, priority, place, created_at, started_at, finished_at, run_at, ready_at,
    queued_at, timeout, max_attempts, attempt, spent, retries, interruptions, error_class, error_message, key,
    result, routing, body, type, bytes, cooldowns, completed_then, submitted_by, depth,
    error_tail, lease_token, lease_ms, lease_worker"""
LEASE_COLUMN = 30  # from here on, only columns that are not NULL are included


def seal(database, where="true"):
    """Recomputes the checksums of task rows that a test has changed."""
    for row in database.execute(f"SELECT {TASK_FIELDS} FROM task WHERE {where}").fetchall():
        data = b""
        for i, value in enumerate(row):
            if i >= LEASE_COLUMN:
                if value is None:
                    continue
                data += b"c" + struct.pack("<q", i)
            if value is None:
                data += b"n"
            elif isinstance(value, int):
                data += b"i" + struct.pack("<q", value)
            else:
                data += b"t" + struct.pack("<q", len(value.encode())) + value.encode()
        database.execute("UPDATE task SET crc = ? WHERE id = ?", [crc32c(data), row[0]])


BUCKET_NUMBERS = ["completed", "failed", "cancelled", "retried", "successes", "errors", "duration_sum", "arrived",
                  "started", "wait_sum", "queue_max"]


def metrics_blob(durations="", waits="", **numbers):
    """A metrics bucket as acpd stores it (core/metrics_blob.h), without a cost. Histograms are written as by
    metrics_histogram_print()."""
    def number(n):
        return bytes([n]) if n < 0x80 else bytes([n & 0x7f | 0x80]) + number(n >> 7)

    data = b"\1" + b"".join(number(2 * numbers.pop(name, 0)) for name in BUCKET_NUMBERS) + b"\0"
    assert not numbers, numbers
    for histogram in durations, waits:
        bins = [tuple(map(int, part.split(":"))) for part in histogram.split()]
        data += number(len(bins))
        for (bin, count), (last, _) in zip(bins, [(-1, 0), *bins]):
            data += number(bin - last - 1) + number(count)
    return data + struct.pack("<I", crc32c(data))


def assert_counters_are_right(daemon, forgets=False):
    """Checks the counters of a stopped daemon's database by counting tasks. `forgets`: some finished tasks have been
    removed, which still count."""
    columns = "queued, scheduled, blocked, running, completed, failed, cancelled"
    for id, *kept in daemon.rows(f"SELECT id, {columns} FROM profile"):
        counted = dict(daemon.rows(f"SELECT status, count(*) FROM task WHERE profile_id = {id} GROUP BY status"))
        compared = 4 if forgets else 7
        assert kept[:compared] == [counted.get(status, 0) for status in range(1, compared + 1)]
    assert_bytes_are_right(daemon)


def assert_bytes_are_right(daemon):
    """Checks the weights in a stopped daemon's database: the sum for finished tasks; no weight for others."""
    assert not daemon.rows("SELECT id FROM profile WHERE finished_bytes <> (SELECT coalesce(sum(bytes), 0) FROM task "
                           "WHERE profile_id = profile.id)")
    assert not daemon.rows("SELECT id FROM task WHERE (status > 4) <> (bytes > 0)")
