# SPDX-License-Identifier: MIT
"""
mutate.py [--near] TREE BUILD COUNT [SEED]

Mutation testing: changes one line of acpd or acp-gateway at a time, in a separate tree and build, and runs the tests
until one fails. Lines changed by the latest commits come first, then random ones. A test that also fails without the
change is not used again. --near: runs only the tests near the line, which notice no more than all of them do.
"""

import difflib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import time

LAST_COMMITS = 5
PATIENCE = 2 * 3600  # seconds for one run of the tests; a change may make each of them wait for its deadline
ROOMS = ("common", "daemon", "gateway")
ENDLESS = "a run that did not end"
WHOLE = ("tests/rpc", "tests/http", "tests/client", "tests/faults")

FLEET = ("faults/test_fleet.py", "faults/test_takeover.py")
WORLDS = "simulate/test_simulate.py::test_no_promise_is_broken_in_a_minute_of_worlds"

# Where a file's tests are: the unit test programs, and files below tests/. The longest prefix counts.
NEAR = {
    "common": (["common"], ["rpc/test_protocol.py", "rpc/test_doors.py", "rpc/test_lifecycle.py"]),
    "daemon": ([], ["rpc/test_lifecycle.py", "rpc/test_service.py", "rpc/test_cooldown.py", "rpc/test_demo.py",
                    "rpc/test_docs.py"]),
    "daemon/loop": ([], ["faults/test_doubt.py", "faults/test_storage.py", "rpc/test_lifecycle.py",
                         "rpc/test_service.py"]),
    "daemon/options": ([], ["rpc/test_lifecycle.py", "rpc/test_service.py", "faults/test_migrate.py"]),
    "daemon/config": (["config"], ["rpc/test_lifecycle.py", "rpc/test_service.py", "rpc/test_cooldown.py"]),
    "daemon/core": (["core"], ["rpc/test_routing.py", "rpc/test_health.py", "rpc/test_tasks.py", "rpc/test_capacity.py",
                               "rpc/test_anomalies.py", "rpc/test_agent_errors.py", "rpc/test_history.py", WORLDS]),
    "daemon/store": (["store", "conformance"], ["rpc/test_tasks.py", "rpc/test_retention.py", "rpc/test_dependencies.py",
                                 "rpc/test_history.py", "faults/test_damage.py", "faults/test_storage.py", WORLDS]),
    "daemon/store/pg": (["conformance-postgres"], ["faults/test_postgres.py", *FLEET]),
    "daemon/store/db_node": (["conformance", "conformance-postgres"], [*FLEET]),
    "daemon/store/db_head": (["conformance", "conformance-postgres"], ["rpc/test_tasks.py"]),
    "daemon/config/digest": ([], [*FLEET]),
    "daemon/store/migrate": ([], ["faults/test_migrate.py"]),
    "daemon/run": (["run"], ["rpc/test_running.py", "rpc/test_agents.py", "rpc/test_agent_turns.py",
                             "rpc/test_agent_errors.py", "rpc/test_replays.py",
                             "faults/test_guards_stopped.py", "faults/test_keepers.py", "faults/test_system.py",
                             "faults/test_limits.py"]),
    "daemon/engine": ([], ["rpc/test_tasks.py", "rpc/test_running.py", "rpc/test_workers.py", "rpc/test_leases.py",
                           "rpc/test_health.py", "rpc/test_routing.py", "rpc/test_dependencies.py",
                           "rpc/test_overflow.py", "rpc/test_retention.py", "rpc/test_history.py",
                           "rpc/test_events.py", "rpc/test_cooldown.py", "rpc/test_capacity.py",
                           "rpc/test_anomalies.py", "rpc/test_agents.py", "rpc/test_agent_errors.py",
                           "faults/test_doubt.py", "faults/test_stale.py", WORLDS]),
    "daemon/engine/difference": ([], [*FLEET]),
    "daemon/engine/fleet": ([], [*FLEET, "rpc/test_routing.py"]),
    "daemon/engine/permission": ([], [*FLEET, "rpc/test_agents.py", "rpc/test_agent_turns.py"]),
    "daemon/engine/news": ([], [*FLEET]),
    "daemon/engine/takeover": ([], [*FLEET]),
    "daemon/rpc": ([], ["rpc/test_protocol.py", "rpc/test_tasks.py", "rpc/test_workers.py", "rpc/test_events.py",
                        "rpc/test_doors.py", "rpc/test_peers.py", "rpc/test_coverage.py", "rpc/test_shapes.py",
                        "rpc/test_fairness.py", "rpc/test_parameters.py", "rpc/test_overflow.py",
                        "rpc/test_parts.py", WORLDS]),
    "gateway": (["gateway"], ["http", "client"]),
}

# Removing these changes nothing that a test could see.
IDLE = re.compile(r"\s*(log_\w+|free|assert|\w*_deinit|\w*_free|static_assert|pthread_\w*destroy)\(")

SWAPS = {
    r" < ": " <= ", r" <= ": " < ", r" > ": " >= ", r" >= ": " > ", r" == ": " != ", r" != ": " == ",
    r" \+ ": " - ", r" - ": " + ", r" && ": " || ", r" \|\| ": " && ", r" \+= ": " -= ", r" -= ": " += ",
    r"\+\+": "--", r"--": "++", r"\btrue\b": "false", r"\bfalse\b": "true", r"\bmin\b": "max", r"\bmax\b": "min",
}


def bare(text):
    """The program with comments, strings and characters blanked out, at the same length."""
    def keep_lines(match):
        return re.sub(r"[^\n]", " ", match[0])

    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', keep_lines, text, flags=re.S)


def is_balanced(text):
    return text.count("(") == text.count(")")


def changes_of(line, code):
    """All mutations of this line; `code` is the same line, bare."""
    found = []
    if not code.strip() or re.match(r"\s*#(?!define)", code):
        return found
    for pattern, replacement in SWAPS.items():
        for match in re.finditer(pattern, code):
            found.append(line[:match.start()] + replacement + line[match.end():])
    for match in re.finditer(r"(?<![\w.])(?!(?<=\{)0\})\d+(?![\w.])", code):  # not {0}, which is all of a structure
        found.append(line[:match.start()] + str(int(match[0]) + 1) + line[match.end():])
    condition = re.fullmatch(r"(.*\b(?:if|while) )(\(.*\))( \{|;)?\s*", code)
    if condition and is_balanced(condition[2]):
        begin, end = condition.span(2)
        found.append(f"{line[:begin]}(!{line[begin:end]}){line[end:]}")
    if re.fullmatch(r"\s+[a-z_]\w*\(.*\);\s*", code) and is_balanced(code) and not IDLE.match(code):
        found.append(re.match(r"\s*", line)[0] + ";")
    return [changed for changed in found if changed != line]


def git(tree, *arguments):
    return subprocess.run(["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=True).stdout


def young_lines(tree):
    """Files and numbers of the lines changed by the latest commits of the code."""
    commits = git(tree, "rev-list", "-n", str(LAST_COMMITS + 1), "HEAD", "--", *ROOMS).split()
    found, file = set(), None
    for line in git(tree, "diff", "-U0", commits[-1], "HEAD", "--", *ROOMS).splitlines():
        if line.startswith("+++ "):
            file = line[6:]
        elif match := re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line):
            first, length = int(match[1]), int(match[2] or 1)
            found |= {(file, number) for number in range(first, first + length)}
    return found


def choose(tree, count, chance):
    """(file, number, line, changed line) of each change, the young lines first."""
    young, places = young_lines(tree), []
    for room in ROOMS:
        for path in sorted((tree / room).rglob("*.c")):
            text, name = path.read_text(), str(path.relative_to(tree))
            for number, (line, code) in enumerate(zip(text.split("\n"), bare(text).split("\n")), 1):
                changes = changes_of(line, code)
                if changes:
                    places.append(((name, number) not in young, chance.random(), name, number, line, changes))
    places.sort()
    return [(name, number, line, chance.choice(changes)) for _, _, name, number, line, changes in places[:count]]


class Tests:
    def __init__(self, tree, build, is_near):
        self.tree = tree
        self.is_near = is_near
        source = json.loads((build / "meson-info" / "meson-info.json").read_text())["directories"]["source"]
        if source != str(tree):
            sys.exit(f"{build} is a build of {source}: changes in {tree} would not be compiled")
        self.build = build
        self.left_out = []
        self.sound = set()
        self.jobs = str(len(os.sched_getaffinity(0)))
        listed = self.run(["meson", "test", "-C", build, "--list"])[1].splitlines()
        self.programs = [name for name in listed if " " not in name]

    def run(self, command):
        """The exit status, or None after a timeout, and the output."""
        environment = {**os.environ, "ACPD_BUILD": str(self.build), "CK_TAP_LOG_FILE_NAME": "-"}
        process = subprocess.Popen([str(part) for part in command], cwd=self.tree, env=environment, text=True,
                                   errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            said, _ = process.communicate(timeout=PATIENCE)
            return process.returncode, said
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(error, subprocess.TimeoutExpired):
                return None, ""
            raise

    def compile(self):
        return self.run(["ninja", "-C", self.build, "-j", self.jobs, "--quiet"])[0] == 0

    def units(self, names):
        """The first unit test that fails, and its program."""
        names = [name for name in names if name not in self.left_out]
        status, _ = self.run(["meson", "test", "-C", self.build, "--no-rebuild", "--maxfail", "1", *names]) if names \
            else (0, "")
        if status == 0:
            return None
        if status is None:
            return "unit", ENDLESS, ""
        for line in (self.build / "meson-logs" / "testlog.json").read_text(errors="replace").splitlines():
            test = json.loads(line)
            if test["result"] not in ("OK", "SKIP"):
                failed = re.search(r"^not ok \d+ - .*?:(\w+): ", test.get("stdout", ""), re.M)
                return "unit", test["name"].split(" / ")[-1].split(":")[-1], failed[1] if failed else ""
        sys.exit("a unit test failed, and its log does not say which")

    def pytest(self, *arguments):
        """The first test that fails."""
        left_out = [f"--deselect={test}" for test in self.left_out]
        status, said = self.run(["/usr/bin/python3", "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", ".",
                                 "-q", "-x", "--tb=no", "-rfE", "-p", "no:cacheprovider", *left_out, *arguments])
        if status in (0, 5):
            return None
        if status is None:
            return "pytest", ENDLESS, ""
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", said, re.M)
        if not failed:
            sys.exit(f"pytest could not run the tests:\n{said[-4000:]}")
        return "pytest", failed[1], ""

    def first_failure(self, file):
        units, files = NEAR[max((prefix for prefix in NEAR if file.startswith(prefix)), key=len)]
        near = [f"tests/{name}" for name in files if (self.tree / "tests" / name.partition("::")[0]).exists()]
        others = [f"--ignore={name}" for name in near]
        failure = self.units(units) or (self.pytest("-n", self.jobs, *near) if near else None)
        return failure if failure or self.is_near else self.units(self.programs) or \
            self.pytest("-n", self.jobs, *[part for part in WHOLE if part not in near], *others)

    def is_sound(self, failure):
        """Whether the test passes in the unchanged tree."""
        kind, what, _ = failure
        if failure not in self.sound and what != ENDLESS:
            if (self.units([what]) if kind == "unit" else self.pytest(what)) is not None:
                return False
            self.sound.add(failure)
        return True


def show(file, number, line, changed):
    diff = list(difflib.unified_diff([line + "\n"], [changed + "\n"], lineterm=""))
    print(f"    {file}:{number}")
    print("".join(f"    {part}" for part in diff[3:]), flush=True)


def try_change(tests, file, number, line, changed):
    """The result: "not built", "not noticed", or what noticed it."""
    path = tests.tree / file
    text = path.read_text()
    lines = text.split("\n")
    assert lines[number - 1] == line
    lines[number - 1] = changed
    try:
        while True:
            path.write_text("\n".join(lines))
            if not tests.compile():
                return "not built"
            failure = tests.first_failure(file)
            if not failure:
                return "not noticed"
            path.write_text(text)
            tests.compile()
            if tests.is_sound(failure):
                return "noticed by " + " ".join(filter(None, failure[1:]))
            print(f"left out: {failure[1]} fails without the change, too", flush=True)
            tests.left_out.append(failure[1])
    finally:
        path.write_text(text)


def main(arguments):
    is_near = arguments[0] == "--near"
    arguments = arguments[is_near:]
    tree, build = (pathlib.Path(path).resolve() for path in arguments[:2])
    count = int(arguments[2])
    seed = int(arguments[3]) if len(arguments) > 3 else random.SystemRandom().randrange(10**6)
    print(f"seed {seed}; the same again: ./dev mutate {count} {seed}", flush=True)
    tests = Tests(tree, build, is_near)
    outcomes = []
    for at, change in enumerate(choose(tree, count, random.Random(seed)), 1):
        began = time.monotonic()
        outcomes.append(try_change(tests, *change))
        print(f"{at}/{count} {outcomes[-1]} ({time.monotonic() - began:.0f} s)")
        show(*change)
    tests.compile()
    noticed = sum(outcome.startswith("noticed") for outcome in outcomes)
    built = noticed + outcomes.count("not noticed")
    print(f"{noticed} of {built} noticed ({100 * noticed / built if built else 100:.0f} %), "
          f"{outcomes.count('not built')} not built")


if __name__ == "__main__":
    main(sys.argv[1:])
