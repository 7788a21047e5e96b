# SPDX-License-Identifier: MIT
"""Checks the structure of the code; see docs/architecture.md.

- A file includes, directly or through other headers, only from the folders that its own folder may use.
- A private header is included only within its folder.
- No file has more than 600 lines, no C function more than 60.
- The conformance tests use each verb of the store.
- Some functions have only one caller.
- The name of a static function begins with the stem of its file; that of a handler is its method's.
- C files do not use each other in a circle. This is checked by the symbols of object files, since
  headers may be shared.

    layers.py BUILD
"""

import ast
import collections
import fnmatch
import re
import subprocess
import sys
from pathlib import Path

# Which folders, and which libraries, a folder may include.
ALLOWED = {
    "common": "common json-c",
    "daemon/core": "common core",
    "daemon/config": "common core config",
    "daemon/store": "common core store sqlite3.h libpq-fe.h",
    "daemon/run": "common run event2",
    "daemon/engine": "common core store run engine",
    "daemon/rpc": "common core engine rpc event2",
    "daemon": "common core config store run engine rpc event2",
    "api": "common core config rpc gateway",
    "gateway": "common gateway civetweb.h json-c",
    "gateway/openssl": "openssl",
    "tests": "sqlite3.h",
    "tests/store": "common core store check.h libpq-fe.h",
    "tests/fuzz": "common core config store run engine rpc gateway event2 civetweb.h json-c",
    "tests/bench": "common core config civetweb.h",
    "tests/simulate": "common core config store run engine rpc event2 sqlite3.h",
    "tests/*": "common core config store run engine rpc gateway event2 json-c sqlite3.h check.h",
}
MODULES = ("common", "core", "config", "store", "run", "engine", "rpc", "gateway")
LIBRARIES = ("json-c", "event2", "sqlite3.h", "libpq-fe.h", "civetweb.h", "check.h", "openssl")

# Private headers of folders; fuzzers and simulation may use those of the daemon.
PRIVATE = {
    "engine/state.h": "daemon/engine tests/fuzz tests/simulate",
    "rpc/connection.h": "daemon/rpc tests/fuzz tests/simulate",
    "store/db.h": "daemon/store",
    "store/db_metrics.h": "daemon/store",
    "store/db_row.h": "daemon/store",
    "store/migrate_row.h": "daemon/store",
    "store/pg.h": "daemon/store",
    "store/sqlite.h": "daemon/store tests/fuzz tests/unit/store",
    "store/sqlite_row.h": "daemon/store tests/unit/store",
}

# The status of a task has one writer. The verbs of db_queue.c are either its own or only read.
WRITING = r"store_(add|claim|wake|change|cancel|finish|prune|shift_retries|take_dependants|adopt|let_go\w*" \
          r"|report_attempt)"
READING = r"store_(count_waiting|depend|first_queued|take_over|list_leased|leased_free)"
CALLERS = {rf"task_transition|{WRITING}": "daemon/engine/queue.c daemon/core/ daemon/store/"}

# What the files of a folder, or of a family in it, share.
PREFIXES = {
    "common": ["x"],
    "daemon/config": ["config_"],
    "daemon/core": ["profile_"],
    "daemon/engine": ["engine_"],
    "daemon/rpc": ["rpc_"],
    "daemon/run": ["acp_"],
    "daemon/store": ["store_", "db_", "pg_", "sqlite_"],
}
OTHERS = ("main", "SSL_get_peer_certificate")

FILE_LINES = 600
FUNCTION_LINES = 60

BUILT = ("common", "daemon", "gateway")


def allowed_to(folder):
    if folder not in ALLOWED:
        folder = f"{folder.split('/')[0]}/*"
    if folder not in ALLOWED:
        sys.exit(f"{folder} is a new folder: tests/layers.py has to say what it may include")
    return ALLOWED[folder].split()


def sources():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return [Path(name) for name in names if Path(name).exists()]


def check_lines():
    """Checks single lines: includes, private headers, callers."""
    for path in sources():
        folder = str(path.parent)
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"{path}:{number}"
            if match := re.match(r'#include ["<](([^/">]+)[^">]*)', line):
                header, first = match.groups()
                if first in MODULES + LIBRARIES and first not in allowed_to(folder):
                    yield f"{where}: may not include {first}"
                if header in PRIVATE and folder not in PRIVATE[header].split():
                    yield f"{where}: {header} is private"
            if path.suffix == ".c" and folder.startswith(BUILT) and \
                    (match := re.match(r"static (?:__attribute__\(\(\w+\)\) )?[\w *]*?(\w+)\(", line)):
                is_handler = path.stem.startswith("methods_") and "(struct rpc_call *call)" in line
                if not is_handler and not f"{match[1]}_".startswith(f"{path.stem}_"):
                    yield f"{where}: {match[1]}() does not begin with {path.stem}_"
            for functions, callers in CALLERS.items():
                if folder.startswith("daemon") and not str(path).startswith(tuple(callers.split())) and \
                        re.search(rf"\b({functions})\(", line):
                    yield f"{where}: only {callers.split()[0]} may call this"


def check_sizes():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.c", "*.h", "*.py", "*.sh", "dev",
               "dashboard/src", "tests/*.mjs"]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    for path in [Path(name) for name in names if Path(name).exists()]:
        lines = path.read_text().splitlines()
        if len(lines) > FILE_LINES:
            yield f"{path}: has {len(lines)} lines, more than {FILE_LINES}"
        for node in ast.walk(ast.parse(path.read_text())) if path.suffix == ".py" else ():
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno > FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name}() has more than {FUNCTION_LINES} lines"
        begin = 0
        for number, line in enumerate(lines, 1) if path.suffix == ".c" else ():
            begin = number if line == "{" else begin
            if line == "}" and number - begin - 1 > FUNCTION_LINES:
                yield f"{path}:{begin}: a function has {number - begin - 1} lines, more than {FUNCTION_LINES}"


def check_conformance():
    tests = "".join(path.read_text() for path in Path("tests/store").glob("*.c") if path.stem != "faulty")
    for verb in re.findall(r"\b(store_\w+)\(", Path("daemon/store/store.h").read_text()):
        if f"{verb}(" not in tests and not verb.endswith(("_open", "_close", "_deinit", "_free")):
            yield f"daemon/store/store.h: no test in tests/store uses {verb}()"


def check_verbs():
    for verb in re.findall(r"^\w.*?\b(store_\w+)\(", Path("daemon/store/db_queue.c").read_text(), re.M):
        if not re.fullmatch(f"{WRITING}|{READING}", verb):
            yield f"daemon/store/db_queue.c: {verb}() is neither in WRITING nor in READING of tests/layers.py"


def check_reach(build):
    """Checks what a file includes through other headers."""
    output = subprocess.run(["ninja", "-C", build, "-t", "deps"], capture_output=True, text=True, check=True).stdout
    seen = set()
    for entry in output.split("\n\n"):
        name, *headers = [line.strip() for line in entry.splitlines()] or [""]
        source = re.sub(r"/[^/]*\.p/", "/", name.split(":")[0]).removesuffix(".o")
        if not source.startswith(tuple(f"{folder}/" for folder in BUILT)):
            continue
        allowed = allowed_to(str(Path(source).parent))
        for header in headers:
            match = re.match(r"\.\./(?:daemon/)?([a-z]+)/[^/]+\.h$", header)
            if match and match[1] in MODULES and match[1] not in allowed and (source, match[1]) not in seen:
                seen.add((source, match[1]))
                yield f"{source}: reaches {header.removeprefix('../')} through another header"


def read_symbols(build):
    """(file, kind, symbol) as nm lists them."""
    for folder in BUILT:
        for path in sorted((build / folder).rglob("*.o")):
            name = re.sub(r"/[^/]*\.p/", "/", str(path.relative_to(build))).removesuffix(".o")
            for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
                *_, kind, symbol = line.split()
                yield name, kind, symbol


def read_uses(symbols):
    """{file: {file that it uses: one symbol}}"""
    defined, wanted = {}, collections.defaultdict(set)
    for name, kind, symbol in symbols:
        if kind == "U":
            wanted[name].add(symbol)
        elif kind in "TDRBC":
            defined[symbol] = name
    uses = collections.defaultdict(dict)
    for name, symbols in wanted.items():
        for symbol in sorted(symbols):
            if defined.get(symbol, name) != name:
                uses[name].setdefault(defined[symbol], symbol)
    return uses


def find_circle(uses):
    """The files of one circle in order, or none."""
    done = set()

    def walk(name, path):
        if name in path:
            return path[path.index(name):]
        if name in done:
            return []
        done.add(name)
        for used in sorted(uses.get(name, ())):
            circle = walk(used, [*path, name])
            if circle:
                return circle
        return []

    for name in sorted(uses):
        circle = walk(name, [])
        if circle:
            return circle
    return []


def check_names(symbols):
    for name, symbol in sorted({(name, symbol) for name, kind, symbol in symbols if kind == "T"}):
        path = Path(name)
        header = path.with_suffix(".h")
        types = re.findall(r"^(?:struct|enum) (\w+)", header.read_text(), re.M) if header.exists() else []
        prefixes = (path.stem, *PREFIXES.get(str(path.parent), ()), *(f"{type}_" for type in types))
        if not symbol.startswith(prefixes) and symbol not in OTHERS:
            yield f"{name}: {symbol}() does not begin with {path.stem}_"


def listed(folder):
    """{pattern of files: row} as docs/architecture.md lists the folder, from the bottom up."""
    text = Path("docs/architecture.md").read_text()
    rows = re.search(rf"In `{folder}/`, from the bottom up.*?```\n(.*?)```", text, re.S)[1].splitlines()
    return {name: number for number, row in enumerate(rows) for name in re.split(" {3,}", row)[0].split()}


def check_listing(uses):
    for folder in "engine", "rpc":
        rows = listed(folder)

        def row_of(source):
            if not source.startswith(f"daemon/{folder}/"):
                return None
            return next((rows[name] for name in rows if fnmatch.fnmatch(Path(source).stem, name)), -1)

        for source in sorted(uses):
            if row_of(source) == -1:
                yield f"{source}: docs/architecture.md does not list it"
            for used, symbol in uses[source].items() if row_of(source) is not None else ():
                if row_of(used) is not None and row_of(used) > row_of(source):
                    yield f"{source}: uses {symbol}() of {used}, which docs/architecture.md lists above it"


def check_circles(uses):
    circle = find_circle(uses)
    for name, used in zip(circle, circle[1:] + circle[:1]):
        yield f"{name}: uses {uses[name][used]}() of {used}, in a circle"


def main():
    build = Path(sys.argv[1])
    symbols = list(read_symbols(build))
    uses = read_uses(symbols)
    if not uses:
        sys.exit("layers: nothing was built")
    faults = [*check_lines(), *check_sizes(), *check_conformance(), *check_verbs(), *check_names(symbols),
              *check_reach(build), *check_circles(uses), *check_listing(uses)]
    print("\n".join(faults), end="\n" if faults else "", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
