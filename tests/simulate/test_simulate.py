# SPDX-License-Identifier: MIT
"""acpd in simulated worlds, and whether a simulation notices when acpd is wrong: see simulate.c."""

import os
import pathlib
import re
import subprocess

SIMULATE = pathlib.Path(os.environ["ACPD_BUILD"]) / "tests/simulate/simulate"


def simulate(*arguments):
    run = subprocess.run([SIMULATE, *map(str, arguments)], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_no_promise_is_broken_in_a_minute_of_worlds():
    print(simulate("--minutes", 1))  # with a fresh seed, which a failure prints


def test_the_same_seed_is_the_same_run():
    traces = {re.search("trace (.*)", simulate("--seed", 14)).group(1) for _ in range(2)}
    assert len(traces) == 1
    assert re.search("trace (.*)", simulate("--seed", 15)).group(1) not in traces


def test_each_fault_is_found():
    assert "not found" not in simulate("--self-test")
