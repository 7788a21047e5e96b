# SPDX-License-Identifier: MIT
"""LD_PRELOAD libraries for programs under test."""

import os
import pathlib
import subprocess

from acpd import ACPD


def preload(folder, name, *libraries):
    """Builds tests/NAME.c in the folder; returns the environment in which acpd loads it first."""
    source = pathlib.Path(__file__).parent / f"{name}.c"
    library = folder / f"{name}.so"
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source, *libraries],
                   check=True)
    # A sanitizer's runtime must come first.
    linked = subprocess.run(["ldd", ACPD], capture_output=True, text=True, check=True).stdout
    first = [line.split()[2] for line in linked.splitlines() if "libasan" in line]
    return {"LD_PRELOAD": ":".join([*first, str(library)])}
