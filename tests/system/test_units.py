# SPDX-License-Identifier: MIT
"""The service units, as systemd's own tools see them."""

import os
import re
import shutil
import stat
import subprocess

import pytest

from acpd import DEADLINE

needs_analyze = pytest.mark.skipif(not shutil.which("systemd-analyze"),
                                   reason="systemd-analyze is not installed")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("systemd-sysusers") or not shutil.which("systemd-tmpfiles"),
    reason="needs root and systemd's tools, to create users and files")


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=DEADLINE, **options)


@pytest.fixture(params=["system", "user"])
def units(request, installed, tmp_path):
    """A folder with the units of one kind, changed to the paths of this installation."""
    for unit in (installed / "lib/systemd" / request.param).iterdir():
        text = re.sub("/usr/local/", f"{installed}/", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    return request.param, tmp_path


@needs_analyze
def test_systemd_understands_the_units(units, tmp_path):
    kind, folder = units
    files = sorted(folder.glob("acp*"))
    assert len(files) == 3
    said = run("systemd-analyze", "verify", f"--{kind}", "--man=no", "--recursive-errors=no", *files,
               env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert said.returncode == 0 and not said.stderr, said.stderr


@needs_analyze
@pytest.mark.parametrize("unit, exposure", [("acp-gateway", 1.5), ("acpd", 3.5)])
def test_the_services_are_closed_in(installed, unit, exposure):
    file = installed / f"lib/systemd/system/{unit}.service"
    said = run("systemd-analyze", "security", "--offline=true", "--no-pager",
               f"--threshold={exposure * 10:.0f}", file)
    assert said.returncode == 0, said.stdout + said.stderr


def test_the_units_use_options_that_there_are(units, installed):
    for unit in units[1].glob("*.service"):
        [command] = re.findall("^ExecStart=(.*)$", unit.read_text(), re.M)
        program, *words = command.split()
        usage = run(program, "--help").stdout
        for word in words:
            assert not word.startswith("--") or f"  {word} " in usage, word


@needs_root
def test_users_and_files_are_made(installed, tmp_path):
    (tmp_path / "etc").mkdir()
    for tool, folder in (("systemd-sysusers", "sysusers.d"), ("systemd-tmpfiles", "tmpfiles.d")):
        said = run(tool, f"--root={tmp_path}", *(["--create"] if "tmp" in tool else []),
                   installed / "lib" / folder / "acpd.conf")
        assert said.returncode == 0, said.stderr
    users = [line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()]
    groups = [line.split(":") for line in (tmp_path / "etc/group").read_text().splitlines()]
    assert {user[0] for user in users} == {"acpd", "acp-gateway"}
    assert {group[0] for group in groups} == {"acpd", "acp-gateway", "acpd-clients"}
    config = tmp_path / "etc/acpd/config.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o640
    assert config.stat().st_gid == next(int(group[2]) for group in groups if group[0] == "acpd")
    assert run(installed / "bin/acpd", "--config", config, "--check").returncode == 0
    config.write_text('{"agingInterval": 7}')
    run("systemd-tmpfiles", f"--root={tmp_path}", "--create", installed / "lib/tmpfiles.d/acpd.conf")
    assert "7" in config.read_text(), "an existing file was overwritten"
