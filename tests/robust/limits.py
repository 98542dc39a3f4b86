"""Runs ``spacec`` on files one after the other, each a process of its own, and tells what each took.

A small process does this, not the test's own: a child's greatest memory counts what its parent had when it was made.
Usage: ``python limits.py VERB FILE...``; one JSON line for each file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile

UNIT = 2**20 if sys.platform == "darwin" else 2**10


def run(verb: str, file: str) -> dict[str, object]:
    with tempfile.TemporaryFile() as out:
        command = [sys.executable, "-m", "spacec.cli", verb, file]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        text = out.read(1_000_000).decode("utf-8", "replace")
    seconds = usage.ru_utime + usage.ru_stime
    return {"code": process.returncode, "seconds": seconds, "megabytes": usage.ru_maxrss / UNIT, "out": text}


if __name__ == "__main__":
    for path in sys.argv[2:]:
        print(json.dumps(run(sys.argv[1], path)), flush=True)
