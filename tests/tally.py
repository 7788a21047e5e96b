# SPDX-License-Identifier: MIT
"""
tally.py REPORT... -- [WHAT]...

Adds up JUnit reports and ends with the line "N passed, N failed, N skipped". WHAT names steps that
failed as a whole: each counts as a failure unless the reports contain one. A missing or invalid report
is a failure, too.
"""

import sys
import xml.etree.ElementTree as ElementTree


def outcome(case):
    kinds = {child.tag for child in case}
    return "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"


def main(arguments):
    split = arguments.index("--")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in arguments[:split]:
        try:
            cases = list(ElementTree.parse(path).iter("testcase"))
        except (OSError, ElementTree.ParseError) as error:
            print(f"failed: no report: {error}")
            counts["failed"] += 1
            continue
        for case in cases:
            what = outcome(case)
            counts[what] += 1
            if what != "passed":
                print(f"{what}: {case.get('classname')} {case.get('name')}")
    for what in arguments[split + 1:]:
        print(f"failed: {what}")
    if arguments[split + 1:] and not counts["failed"]:
        counts["failed"] = len(arguments[split + 1:])
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
