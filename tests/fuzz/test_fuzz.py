# SPDX-License-Identifier: MIT
"""Each fuzz target for some seconds: its seeds, and what follows from them. `./dev fuzz` goes on."""

import os
import pathlib
import subprocess

import pytest

HERE = pathlib.Path(__file__).parent
FUZZ = pathlib.Path(os.environ.get("ACPD_FUZZ", HERE.parents[1] / "build-fuzz"))
TARGETS = sorted(folder.name for folder in (HERE / "seeds").iterdir())


@pytest.mark.skipif(not FUZZ.is_dir(), reason="no fuzz targets were built: ./dev fuzz")
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_promise(target, folder):
    run = subprocess.run([HERE / "run", FUZZ, target, folder / "corpus", "-seed=1", "-runs=20000",
                          "-max_total_time=10"], capture_output=True, text=True, errors="replace",
                         timeout=200)
    found = [(path.name, path.read_bytes()) for path in folder.glob(f"{target}-*")]
    assert run.returncode == 0 and not found, f"{found}\n{run.stderr[-6000:]}"
