# SPDX-License-Identifier: MIT
"""The code blocks of the documentation, for tests that run them."""

import os
import pathlib
import re
import subprocess

from acpd import BUILD

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))]
SHELLS = ["dash", "bash"]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$|((?:^    [^\n]+\n(?:\n+(?=    ))?)+)", re.M | re.S)


def blocks(page):
    """[(language, text)]; the language of an indented block is "indented"."""
    return [("indented", re.sub("^    ", "", indented, flags=re.M)) if indented else (language, fenced)
            for language, fenced, indented in BLOCK.findall((ROOT / page).read_text())]


def block(page, beginning):
    """The only block of the page with this beginning. Calls of this function with literals tell a test which blocks
    are covered."""
    text, = [text for _, text in blocks(page) if text.startswith(beginning)]
    return text


def type_in(shell, text, folder, ends=(0,), **environment):
    """Runs the text in a shell as if pasted, but stops at the first failure. PATH starts with the folder's `bin` and
    the programs built."""
    path = os.pathsep.join([str(folder / "bin"), str(BUILD / "daemon"), str(BUILD / "gateway"),
                            os.environ["PATH"]])
    run = subprocess.run([shell, "-eu"], input=text, cwd=folder, capture_output=True, text=True,
                         timeout=120, env={**os.environ, "PATH": path, **environment})
    assert run.returncode in ends, f"{text}\n{run.stdout}{run.stderr}"
    return run.stdout


def stub(folder, name, script):
    """A program that replaces the one of that name."""
    (folder / "bin").mkdir(exist_ok=True)
    (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / name).chmod(0o755)
