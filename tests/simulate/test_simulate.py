# SPDX-License-Identifier: MIT
"""acpd in simulated worlds, and whether a simulation notices when acpd is wrong: see simulate.c."""

import os
import pathlib
import re
import subprocess

import pytest

SIMULATE = pathlib.Path(os.environ["ACPD_BUILD"]) / "tests/simulate/simulate"
FOLDER = pathlib.Path(__file__).parent
FOUND = FOLDER / "found"
FAULTS = re.findall(r"FAULT\(\w+, \"(.*)\"\)", (FOLDER / "faults_table.h").read_text())[1:]
assert len(FAULTS) > 20


def run(*arguments):
    return subprocess.run([SIMULATE, *map(str, arguments)], capture_output=True, text=True)


def simulate(*arguments):
    done = run(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_promise_is_broken_in_a_minute_of_worlds():
    seed = os.environ.get("ACPD_SEED")  # a fresh one, which ./dev test prints
    print(simulate("--minutes", 1, "--jobs", 1, *(["--seed", seed] if seed else [])))


def trace_of(*arguments):
    return re.search("trace of the first world (.*)", simulate(*arguments)).group(1)


def test_the_same_seed_is_the_same_run(tmp_path, monkeypatch):
    trace = trace_of("--seed", 14)
    assert trace_of("--seed", 14, "--minutes", 0.1, "--jobs", 2) == trace, "however many worlds there are"
    monkeypatch.chdir(tmp_path)
    assert trace_of("--seed", 14) == trace, "wherever it runs"
    assert trace_of("--seed", 15) != trace


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found(fault):
    """From a seed from which each is found soon; ./dev simulate --self-test tries others."""
    assert "found in world" in simulate("--self-test", "--seed", 21000, "--fault", fault)


def test_every_declared_parameter_is_sent_and_taken():
    simulate("--declared", "--seed", 21000)


@pytest.mark.parametrize("plan", sorted(FOUND.glob("*.plan")), ids=lambda plan: plan.stem)
def test_what_was_found_stays_mended(plan):
    simulate("--replay", plan)
    fault = re.search("^# Fault: (.*)$", plan.read_text(), re.M).group(1)
    assert run("--replay", plan, "--fault", fault).returncode == 1, "the plan no longer leads there: find another one"


def test_a_world_that_ends_badly_is_made_smaller(tmp_path):
    fault = ["--fault", "a cancel that is not written"]
    said = run("--seed", 1, "--minutes", 2, "--jobs", 1, *fault)  # until one does
    assert said.returncode == 1 and "not so:" in said.stderr
    plan = tmp_path / "small.plan"
    plan.write_text(said.stdout[said.stdout.index("#"):])
    steps = re.search("^steps (.*)$", said.stdout, re.M).group(1).split()
    assert sum(int(b or a) - int(a) + 1 for a, b in (re.match(r"(\d+)-?(\d*)", step).groups() for step in steps)) < 300
    again = run("--replay", plan, *fault)
    assert again.returncode == 1
    assert re.search("trace (.*)", again.stdout).group(1) == re.search("# trace (.*)", said.stdout).group(1)
    simulate("--replay", plan)


@pytest.mark.parametrize("text, reason", [("seed x\n", "not a plan: seed x"), ("steps 5-3\n", "not a plan: steps"),
                                          ("clients 0\n", "not a plan: clients 0"), ("steps 600\n", "not a plan"),
                                          ("", "it has no seed"), ("steps 2x\n", "not a plan: steps 2x"),
                                          ("seed 5x\n", "not a plan"), ("steps 3-\n", "not a plan"),
                                          ("seed 5\nsteps 3\n", "it has no end"), ("seed 5\nend\n", "it has no steps"),
                                          ("seed 99999999999999999999\n", "not a plan")])
def test_a_file_that_is_no_plan_is_refused(tmp_path, text, reason):
    (tmp_path / "no.plan").write_text(text)
    refused = run("--replay", tmp_path / "no.plan")
    assert refused.returncode == 1 and reason in refused.stderr


@pytest.mark.parametrize("options", [["--tell"], ["--self-test", "--minutes", 1], ["--replay", "x", "--seed", 1], ["--none"],
                                     ["--declared", "--replay", "x"]])
def test_options_that_do_not_go_together_are_refused(options):
    refused = run(*options)
    assert refused.returncode == 1 and "simulate --replay FILE" in refused.stderr


@pytest.mark.parametrize("option, value", [("--seed", "7x"), ("--minutes", "nan"), ("--jobs", "0"), ("--fault", "none such")])
def test_a_value_that_is_none_is_refused(option, value):
    refused = run(option, value)
    assert refused.returncode == 1 and f"{value}: not a value of this option" in refused.stderr
