# SPDX-License-Identifier: MIT
import pytest

from acpd import profile, shell


@pytest.fixture
def world(make_daemon):
    """Task 1 is completed, 2 failed, 3 to 7 wait for the paused profile "p"."""
    daemon = make_daemon(profile("p", queueLimit=6, capabilities=["coding"]),
                         shell("echo hello; echo there >&2", "done"),
                         shell("exit 64", "fail"))
    with daemon.client() as client:
        client.update_profile_status(name="p", isActive=False)
        client.finish(client.assign("done", "é \"quoted\"", description="d" * 1000)["id"])
        client.finish(client.assign("fail", "broken")["id"])
        for i in range(5):
            client.assign("p", f"waits {i}", priority=["low", "medium", "high"][i % 3])
    return daemon
