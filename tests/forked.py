"""Commands of `carrybook` as processes of their own that are quick to start: forked from one that has all loaded.

What a command sees is what it sees in a shell: its directory, its environment, its own output and exit code. Tests of
starting itself, of signals and of limits start Python instead.
"""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from tests.runs import ROOT

LOADED = (
    "framework.command_line.collection",
    "framework.command_line.commands",
    "framework.command_line.doctor",
    "framework.command_line.examination",
    "framework.command_line.rules",
    "framework.command_line.sweeps",
    "framework.command_line.templates",
    "framework.data.commands",
    "framework.data.fetches",
    "framework.reports.page",
    "framework.surface",
    "examples.study.report",
)


class Forked:
    """A process from which commands are forked, one after another."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.forked"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, arguments, cwd, env):
        """Run a command with its arguments; returns it as `subprocess.run` does, with its output as text."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            files = [f"/proc/{os.getpid()}/fd/{each.fileno()}" for each in (out, err)]
            asked = {"arguments": list(arguments), "cwd": str(cwd), "env": dict(env), "files": files}
            self._server.stdin.write(json.dumps(asked) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            said = []
            for each in (out, err):
                each.seek(0)
                said.append(each.read().decode())
        return subprocess.CompletedProcess(arguments, code, *said)

    def close(self):
        """End the process."""
        with self._server:
            self._server.stdin.close()


def serve():
    """Fork for each command that is asked for, and answer with its exit code."""
    for module in LOADED:
        __import__(module)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            become(asked)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def become(asked):
    """Be the command: its files, its directory and its environment, and its end."""
    code = 1
    try:
        for number, path in enumerate((os.devnull, *asked["files"])):
            os.dup2(os.open(path, os.O_RDWR), number)
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        sys.path[0] = str(Path(sys.executable).parent)
        sys.argv = ["carrybook", *asked["arguments"]]
        from framework.command_line.cli import main

        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
