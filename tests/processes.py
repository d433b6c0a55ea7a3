"""Programs that a program of the tests starts, and their end."""

import signal
import subprocess
import sys

# Where the system can, a program that is started here ends with this one, even when this one is killed.
TIE = """
import ctypes, os, sys
try:
    ctypes.CDLL(None).prctl(1, 9)
except (AttributeError, OSError):
    pass
os.execvp(sys.argv[1], sys.argv[1:])
"""


def start(command, **named):
    """Starts a program."""
    return subprocess.Popen([sys.executable, "-c", TIE, *map(str, command)], **named)


def end(process):
    """Ends a program and returns its exit code."""
    process.terminate()
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def end_on_signals():
    """Lets SIGTERM and SIGHUP end this program as Ctrl-C does: what was started is ended on the way."""

    def stop(number, _):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
