"""Runs a program of the tests in an environment of Python of its own."""

import argparse
import hashlib
import importlib
import os
import pathlib
import subprocess
import sys
import venv


def give_up(message):
    print(message, file=sys.stderr)
    sys.exit(2)


def run_in_venv(folder, requirements, inside):
    """Makes the environment if it is absent or made for other requirements, and starts the program again inside of it.

    `inside` names the variable that says there that this is done.
    """
    folder = folder.resolve()
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = folder / "requirements.sha256"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()
    if folder.exists() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").exists():
        give_up(f"{folder} is not empty and no environment of Python: it would be emptied")
    if not python.exists() or not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {requirements.name} into {folder}", flush=True)
        try:
            venv.EnvBuilder(with_pip=True, clear=True).create(folder)
            pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "install", "--quiet", "-r", str(requirements)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            give_up(f"could not make the environment (Debian and Ubuntu: is python3-venv installed?): {error}")
        stamp.write_text(digest)
    command = [str(python), str(pathlib.Path(sys.argv[0]).resolve()), *sys.argv[1:]]
    # In place of this process, so that a signal that ends it ends what it has started.
    os.execve(command[0], command, {**os.environ, inside: "1"})


def begin(description, package, option, requirements, modules, inside):
    """Reads the arguments, goes into the environment that they name, and returns the program that is tested.

    `package` builds the program, which is given with `option`; `modules` must be there, else `requirements` names what to install.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(option, dest="program", required=True, type=pathlib.Path, help=f"the {package} program")
    parser.add_argument("--venv", type=pathlib.Path, help="environment to run in; made and filled if it is absent")
    arguments = parser.parse_args()
    if not arguments.program.is_file():
        give_up(f"there is no program {arguments.program}; build it with: cargo build -p {package}")
    if arguments.venv and not os.environ.get(inside):
        run_in_venv(arguments.venv, requirements, inside)
    missing = []
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as error:
            missing.append(f"{module} ({error})")
    if missing:
        give_up("missing: " + ", ".join(missing) + f"\ninstall them with: python3 -m pip install -r {requirements}\n"
                "or let this program do it: add --venv DIR")
    # The tools and SDKs honour these: a proxy has no business with the loopback interface.
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    return arguments.program.resolve()
