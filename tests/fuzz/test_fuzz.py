# SPDX-License-Identifier: MIT
"""Runs each fuzz target for a few seconds, from its seeds. `./dev fuzz` runs them for longer."""

import os
import pathlib
import re
import subprocess

import pytest

import acpd

HERE = pathlib.Path(__file__).parent
FUZZ = pathlib.Path(os.environ.get("ACPD_FUZZ", HERE.parents[1] / "build-fuzz"))
TARGETS = sorted(folder.name for folder in (HERE / "seeds").iterdir())


@pytest.mark.skipif(not FUZZ.is_dir(), reason="the fuzz targets are not built: run ./dev fuzz")
@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_promise(target, folder):
    run = subprocess.run([HERE / "run", FUZZ, target, folder / "corpus", "-seed=1", "-runs=20000",
                          "-max_total_time=10"], capture_output=True, text=True, errors="replace",
                         timeout=200)
    found = [(path.name, path.read_bytes()) for path in folder.glob(f"{target}-*")]
    assert run.returncode == 0 and not found, f"{found}\n{run.stderr[-6000:]}"


def test_the_dictionary_has_every_method_and_parameter():
    words = (HERE / "params.dict").read_text()
    for method in acpd.schemas.openrpc["methods"]:
        assert f'"\\x0a{method["name"]} "' in words, method["name"]
        for param in method["params"]:
            names = [param["name"], *(f"{param['name']}.{inner}" for inner in param["schema"].get("properties", {}))]
            for name in names if len(names) == 1 else names[1:]:
                assert re.search(rf'^" {re.escape(name)}=', words, re.M), (method["name"], name)


def test_the_dictionary_has_every_class_that_workers_may_report():
    words = (HERE / "params.dict").read_text()
    for method in acpd.schemas.openrpc["methods"]:
        for param in method["params"]:
            for name in param["schema"].get("properties", {}).get("class", {}).get("enum", []):
                assert f'" {param["name"]}.class={name}"' in words, name


def test_the_dictionary_has_every_key_of_the_configuration():
    """tests/unit/config/table.c compares the table with the program."""
    words = (HERE / "config.dict").read_text()
    rows = (HERE.parents[1] / "docs/configuration.md").read_text()
    for key in re.findall(r"^\| `([a-zA-Z.]+)` \| [a-z]", rows, re.M):
        for part in key.split("."):
            assert f'"\\"{part}\\":"' in words, key


def test_the_dictionary_has_every_segment_of_a_route():
    words = (HERE / "http.dict").read_text()
    for path in acpd.schemas.openapi["paths"]:
        for segment in path.strip("/").split("/"):
            assert segment.startswith("{") or re.search(rf'["/]{re.escape(segment)}["/]', words), path
