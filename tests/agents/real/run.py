#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
run.py [--list] [--write] [--case CASE]... [AGENT]...

Runs real agents under a real acpd, with a scripted model behind them. ./dev agents installs them
and calls this. Transcripts go to build-agents/transcripts, results to build-agents/results.json, as
a table to stdout and, with --write, into docs/agents.md.

  --list   print the packages for npm to install, and exit
  --case   run only this case
"""

import argparse
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from acpd import Daemon, wait_until  # noqa: E402
from agents import AGENTS, filled  # noqa: E402
from model import FILE, NAME, SILENCE, Model  # noqa: E402

BUILD = ROOT / "build-agents"
TRANSCRIPTS = BUILD / "transcripts"
RESULTS = BUILD / "results.json"
DOCUMENT = ROOT / "docs/agents.md"
BEGIN, END = "<!-- ./dev agents --write: from here -->", "<!-- to here -->"
PATIENCE = 600  # seconds that a task may take
KILL_GRACE = 5
STALL = 10  # seconds; far less than the silence of the command in the case `silence`


@dataclasses.dataclass
class Outcome:
    """How a case ended, in one word; details; and whether that is as expected."""

    word: str
    detail: str
    is_right: bool


class Trial:
    """One agent under one acpd. Each case has a profile of its own, and a folder to work in."""

    def __init__(self, agent, model, base):
        self.agent = agent
        self.model = model
        self.base = base
        self.transcripts = TRANSCRIPTS / agent.name
        self.bin = BUILD / agent.name / "node_modules/.bin"
        self.profiles = [self.profile(case, **settings) for case, (_, settings) in CASES.items()]

    def home(self, is_logged_in):
        path = self.base / ("home" if is_logged_in else "stranger")
        agent = self.agent
        names = {"url": self.model.url, "model": NAME, "home": str(path), "bin": str(self.bin)}
        for name, text in {**agent.files, **(agent.login_files if is_logged_in else {})}.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(filled(text, names))
        path.mkdir(exist_ok=True)
        env = {**agent.env, **(agent.login_env if is_logged_in else {})}
        return {**{name: filled(text, names) for name, text in env.items()}, "HOME": str(path),
                "XDG_CONFIG_HOME": f"{path}/.config", "XDG_DATA_HOME": f"{path}/.local/share",
                "XDG_STATE_HOME": f"{path}/.local/state", "XDG_CACHE_HOME": f"{path}/.cache",
                "PATH": f"{self.bin}:{os.environ['PATH']}"}

    def profile(self, case, is_logged_in=True, timeout=180, **runner):
        agent = self.agent
        (self.base / case).mkdir()
        if timeout is None:
            timeout = agent.limit_timeout
        return {
            "name": case, "timeout": timeout, "maxConcurrentTasks": 1,
            "retry": {"maxAttempts": 1}, "cooldown": {"min": 3600, "max": 3600},
            "runner": {
                "type": "acp", "cwd": str(self.base / case), "env": self.home(is_logged_in),
                "command": [sys.executable, str(HERE / "tee.py"), str(self.transcripts / case),
                            *agent.command],
                "startTimeout": 60, "stallTimeout": PATIENCE, "permissions": "allow",
                **agent.runner, **runner}}

    def run(self, cases):
        self.transcripts.mkdir(parents=True, exist_ok=True)
        self.daemon = Daemon(self.base, {"profiles": self.profiles, "killGrace": KILL_GRACE})
        self.daemon.start()
        try:
            with self.daemon.client() as self.client:
                for case in cases:
                    yield case, self.try_case(case)
        finally:
            self.daemon.stop()
            shutil.copy(self.daemon.log, self.transcripts / "acpd.log")

    def try_case(self, case):
        for old in self.transcripts.glob(f"{case}.*"):
            old.unlink()
        self.model.folder = self.base / case
        self.model.requests.clear()
        started = time.monotonic()
        try:
            outcome = CASES[case][0](self, case)
        except AssertionError as fault:
            outcome = Outcome("?", str(fault)[:300], False)
        outcome.detail += f" ({time.monotonic() - started:.0f} s)"
        known = self.agent.known.get(case)
        if known and outcome.word in known[0]:
            outcome.is_right = True
        return outcome

    # Building blocks of the cases.

    def assign(self, case, scene):
        return self.client.assign(case, "Try a real agent", description=f"scene:{scene}")["id"]

    def answer(self, kind):
        """Answers all questions with an option of this kind; returns how many there were."""
        questions = self.client.list_permissions()
        for question in questions:
            options = [option for option in question["options"] if option["kind"].startswith(kind)]
            options.sort(key=lambda option: option["kind"] != f"{kind}_once")
            assert options, f"no option to {kind}: {question['options']}"
            self.client.answer_permission(id=question["id"], optionId=options[0]["optionId"])
        return len(questions)

    def finish(self, case, id, kind="allow"):
        """(class, message or text, number of questions) of a task's first attempt."""
        asked = 0

        def ended():
            nonlocal asked
            asked += self.answer(kind)
            task = self.client.task(id)
            over = task["status"] in ("completed", "failed", "cancelled")
            return task if over or task["error"] else None

        task = wait_until(ended, f"the end of {case}", PATIENCE)
        if task["status"] == "completed":
            self.save(case, id)
            return "completed", task["result"]["text"], asked
        with contextlib.suppress(Exception):
            self.client.cancel_task(id=id)
        self.save(case, id)
        if task["status"] == "cancelled":
            return "cancelled", "", asked
        return task["error"]["class"], task["error"]["message"], asked

    def save(self, case, id):
        record = {"task": self.client.task(id), "log": self.client.get_task_log(id=id)["entries"]}
        (self.transcripts / f"{case}.task.json").write_text(json.dumps(record, indent=1))

    def family(self):
        """The processes of the agent, found by their environment or working folder."""
        base, found = str(self.base), []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
                is_in_base = os.readlink(f"/proc/{pid}/cwd").startswith(base)
                if is_in_base or f"ACPD_SOCKET={base}".encode() in environment:
                    found.append(int(pid))
        return found

    def weight(self):
        """Memory of the agent's processes in MB, shared memory counted once, and their number."""
        size, family = 0, self.family()
        for pid in family:
            with contextlib.suppress(OSError):
                text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                size += int(re.search(r"^Pss: +([0-9]+)", text, re.M)[1])
        return size // 1000, len(family)

    def wait_for_nobody(self):
        wait_until(lambda: not self.family(), "the end of every process", 30)

    def auth_methods(self, case):
        """The names of the ways to log in that the agent offers."""
        for line in self.said(case):
            body = line.get("result") or (line.get("error") or {}).get("data") or {}
            methods = body.get("authMethods")
            if methods:
                return [method["name"] for method in methods]
        return []

    def said(self, case, origin="agent"):
        for path in sorted(self.transcripts.glob(f"{case}.*.jsonl")):
            for line in path.read_text().splitlines():
                entry = json.loads(line)
                if entry["from"] == origin and entry["line"]:
                    with contextlib.suppress(ValueError):
                        yield json.loads(entry["line"])


# --- the cases ------------------------------------------------------------------------------------


def try_stranger(trial, case):
    word, message, _ = trial.finish(case, trial.assign(case, "say"))
    methods = trial.auth_methods(case)
    says_what_to_do = any(name in message for name in methods or ["log in"])
    trial.wait_for_nobody()
    return Outcome(word, message, word == "auth" and says_what_to_do)


def try_prompt(trial, case):
    word, text, _ = trial.finish(case, trial.assign(case, "say"))
    trial.wait_for_nobody()
    return Outcome(word, text, (word, text) == ("completed", "PONG 1"))


def try_allowed(trial, case):
    word, text, asked = trial.finish(case, trial.assign(case, "write"))
    is_there = (trial.base / case / FILE).exists()
    trial.wait_for_nobody()
    return Outcome(word, f"{asked} asked; {'' if is_there else 'no '}file; {text}",
                   (word, text, is_there, asked > 0) == ("completed", "DONE", True, True))


def try_rejected(trial, case):
    """Some agents stop then; others tell the model, which answers."""
    word, text, asked = trial.finish(case, trial.assign(case, "write"), "reject")
    is_there = (trial.base / case / FILE).exists()
    trial.wait_for_nobody()
    is_right = word == "refusal" or (word, text) == ("completed", "DONE")
    return Outcome(word, f"{asked} asked; {'' if is_there else 'no '}file; {text}",
                   is_right and asked > 0 and not is_there)


def try_cancel(trial, case):
    id = trial.assign(case, "wait")

    def is_waiting():
        error = trial.client.task(id)["error"]
        assert not error, error
        return any(request[0] == "wait" for request in trial.model.requests)

    wait_until(is_waiting, "the agent asks its model", 120)
    began = time.monotonic()
    trial.client.cancel_task(id=id)
    wait_until(lambda: trial.client.task(id)["status"] != "running", "the end of the task")
    trial.wait_for_nobody()
    took = time.monotonic() - began
    trial.save(case, id)
    reasons = [line["result"]["stopReason"] for line in trial.said(case)
               if "stopReason" in (line.get("result") or {})]
    word = trial.client.task(id)["status"]
    return Outcome(word, f"nothing left after {took:.1f} s; it said {reasons}",
                   word == "cancelled" and took < 2 * KILL_GRACE + 5)


def try_limit(trial, case):
    word, message, _ = trial.finish(case, trial.assign(case, "limit"))
    trial.wait_for_nobody()
    count = len(trial.model.requests)
    return Outcome(word, f"{count} requests; {message}", word == "rate_limit")


def try_hiccup(trial, case):
    word, text, _ = trial.finish(case, trial.assign(case, "hiccup"))
    trial.wait_for_nobody()
    return Outcome(word, text, (word, text) == ("completed", "PONG 1"))


def try_login(trial, case):
    word, message, _ = trial.finish(case, trial.assign(case, "login"))
    trial.wait_for_nobody()
    return Outcome(word, message, word == "auth")


def try_silence(trial, case):
    word, text, _ = trial.finish(case, trial.assign(case, "build"))
    trial.wait_for_nobody()
    return Outcome(word, text, (word, text) == ("completed", "DONE"))


def try_reuse(trial, case):
    """Five turns, to see what an agent keeps of each."""
    weights = []
    for turn in range(5):
        word, text, _ = trial.finish(case, trial.assign(case, "say"))
        if (word, text) != ("completed", "PONG 1"):
            return Outcome(word, f"turn {turn + 1}: {text}", False)
        weights.append(trial.weight())
    # A closed session may take a while to end.
    has_settled = False
    with contextlib.suppress(AssertionError):
        has_settled = wait_until(lambda: is_as_large(trial.weight(), weights[1]),
                                 "the end of closed sessions", 10)
    starts = len(list(trial.transcripts.glob(f"{case}.*.jsonl")))
    detail = f"{starts} started; " + ", ".join(f"{mb} MB in {n}" for mb, n in weights)
    return Outcome("completed", detail, starts == 1 and has_settled)


def is_as_large(weight, other):
    return weight[0] < 1.5 * other[0] and weight[1] <= other[1]


# By name: the function, and extra settings of the profile.
CASES = {
    "stranger": (try_stranger, {"is_logged_in": False, "timeout": 120}),
    "prompt": (try_prompt, {}),
    "allowed": (try_allowed, {"permissions": "ask"}),
    "rejected": (try_rejected, {"permissions": "ask"}),
    "cancel": (try_cancel, {}),
    "limit": (try_limit, {"timeout": None}),
    "hiccup": (try_hiccup, {}),
    "login": (try_login, {}),
    "silence": (try_silence, {"stallTimeout": STALL}),
    "reuse": (try_reuse, {"reuse": True}),
}
TITLES = {"stranger": "no login", "prompt": "a prompt", "allowed": "permission allowed",
          "rejected": "permission rejected", "cancel": "cancel", "limit": "429",
          "hiccup": "429 once", "login": "401", "silence": f"silent for {SILENCE} s",
          "reuse": "5 turns with `reuse`"}


# --- results --------------------------------------------------------------------------------------


def installed_version(agent):
    package = next(iter(agent.packages))
    path = BUILD / agent.name / "node_modules" / package / "package.json"
    return json.loads(path.read_text())["version"]


def load_results():
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}


def table(results):
    rows, notes = [], []
    rows.append("| | " + " | ".join(TITLES.values()) + " | MB |")
    rows.append("|---" * (len(TITLES) + 2) + "|")
    for agent in AGENTS:
        result = results.get(agent.name)
        if not result:
            continue
        package = next(iter(agent.packages))
        cells = [f"**{agent.name}** (`{package}` {result['version']})"]
        for case in TITLES:
            outcome = result["cases"].get(case)
            cell = outcome["word"] if outcome else ""
            known = agent.known.get(case)
            if outcome and known and cell in known[0]:
                if known[1] not in notes:
                    notes.append(known[1])
                cell += f" [{notes.index(known[1]) + 1}]"
            elif outcome and not outcome["is_right"]:
                cell += " **(wrong)**"
            cells.append(cell)
        cells.append(str(result.get("mb", "")))
        rows.append("| " + " | ".join(cells) + " |")
    lines = rows + [""]
    for number, note in enumerate(notes, 1):
        lines.append(f"{number}. {note}")
    return "\n".join(lines).rstrip() + "\n"


def write_document(results):
    text = DOCUMENT.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    days = sorted({result["day"] for result in results.values()})
    when = f"Last run: {' to '.join(days[:1] + days[1:][-1:])}.\n\n"
    DOCUMENT.write_text(f"{before}{BEGIN}\n{when}{table(results)}{END}{after}")


def try_agent(agent, cases, results):
    base = pathlib.Path(tempfile.mkdtemp(prefix="acpd-agents-", dir="/tmp"))
    result = results.setdefault(agent.name, {"cases": {}})
    result |= {"version": installed_version(agent), "day": str(datetime.date.today())}
    try:
        with Model(base) as model:
            trial = Trial(agent, model, base)
            if not agent.can_log_in:
                cases = [case for case in cases if case == "stranger"]
            for case, outcome in trial.run(cases):
                mark = "ok   " if outcome.is_right else "WRONG"
                print(f"{agent.name:9} {case:9} {mark} {outcome.word}: {outcome.detail}",
                      file=sys.stderr, flush=True)
                result["cases"][case] = dataclasses.asdict(outcome)
                if case == "reuse" and " MB" in outcome.detail:
                    result["mb"] = max(map(int, re.findall("([0-9]+) MB", outcome.detail)))
                RESULTS.write_text(json.dumps(results, indent=1))
            left = trial.family()
            assert not left, f"left behind by {agent.name}: {left}"
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return all(result["cases"][case]["is_right"] for case in cases)


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("agents", nargs="*", metavar="AGENT")
    options = parser.parse_args()
    names = [agent.name for agent in AGENTS]
    for name in options.agents:
        if name not in names:
            parser.error(f"unknown agent {name}; choose from {', '.join(names)}")
    chosen = [agent for agent in AGENTS if agent.name in (options.agents or names)]
    if options.list:
        for agent in chosen:
            packages = (f"{name}@{version}" for name, version in agent.packages.items())
            print(agent.name, *packages)
        return 0
    results, all_right = load_results(), True
    for agent in chosen:
        all_right &= try_agent(agent, options.case or list(CASES), results)
    print(table(results))
    if options.write:
        write_document(results)
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
