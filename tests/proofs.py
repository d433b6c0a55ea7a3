"""What a program of the tests proves, and how that ends."""

import pathlib
import tempfile
import time


class NotProven(Exception):
    """What was to be proven does not hold."""


def holds(condition, what):
    if not condition:
        raise NotProven(what)


def equal(got, wanted, what):
    holds(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def prove(prefix, proofs, call):
    """Makes each proof in a folder of its own, prints how it ended, and returns the exit code.

    `proofs` are pairs of a name and a function; `call` is given the function and the folder.
    """
    proven = failed = 0
    for name, proof in proofs:
        begun = time.monotonic()
        try:
            with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
                result = call(proof, pathlib.Path(folder))
        except Exception as error:  # a proof that breaks has failed, whatever broke
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {str(error)[:4000]}", flush=True)
        else:
            proven += 1
            print(f"ok   {name}: {result} ({time.monotonic() - begun:.0f} s)", flush=True)
    print(f"{proven} proven, {failed} failed")
    return 1 if failed else 0
