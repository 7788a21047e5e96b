# SPDX-License-Identifier: MIT
import subprocess

import pytest

from acpd import BUILD


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """The prefix of an installation, in another place than the one it was configured for."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", root],
                   check=True, capture_output=True, timeout=120)
    [program] = root.rglob("bin/acpd")
    return program.parents[1]
