"""A sandbox to prove something of, on free ports of the loopback interface."""

import json
import queue
import re
import subprocess
import tempfile
import threading
import time
import urllib.request

from processes import end, start
from proofs import holds

# No proxy has any business with the loopback interface.
LOCAL = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Sandbox:
    """One sandbox on free ports of the loopback interface, from what it prints to its end."""

    def __init__(self, program, *options):
        self.command = [str(program), "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", *options]
        self.log = tempfile.TemporaryFile("w+")

    def __enter__(self):
        self.process = start(self.command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        try:
            self.read_greeting()
            self.wait_until_ready()
        except BaseException:
            self.end()
            raise
        return self

    def read_greeting(self):
        lines = queue.Queue()
        threading.Thread(target=self.pass_on, args=(lines,), daemon=True).start()
        greeting, deadline = "", time.monotonic() + 60
        found = None
        while not found:
            try:
                line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            holds(line is not None, f"the sandbox printed no address and no token, but {greeting!r} and {self.complaints()!r}")
            greeting += line
            found = re.search(r"^TOKEN=(\S+)$(?:.|\n)*?'(http://[^/]+)/v1/", greeting, re.MULTILINE)
        self.token, self.url = found.groups()
        self.simulators = dict(re.findall(r"^  (\w+) +simulates .* (http://\S+/_sim/)$", greeting, re.MULTILINE))

    def pass_on(self, lines):
        """Reads to the end, so that the sandbox never waits for a reader."""
        for line in self.process.stdout:
            lines.put(line)
        lines.put(None)

    def wait_until_ready(self):
        deadline = time.monotonic() + 60
        while True:
            try:
                self.read("/readyz")
                return
            except OSError as error:
                holds(time.monotonic() < deadline and self.process.poll() is None, f"/readyz: {error}; {self.complaints()!r}")
                time.sleep(0.05)

    def wait_until_mirrored(self):
        """Waits until the mirror has what every vendor has: questions about all of them are answered from it."""
        deadline = time.monotonic() + 120
        while True:
            sources = json.loads(self.read("/v1/jobs?page_size=1"))["sources"]
            if all(source["state"] == "current" for source in sources):
                return
            holds(time.monotonic() < deadline, f"the mirror is not current: {sources}")
            time.sleep(0.25)

    def read(self, path):
        """Returns the text of one answer of the gateway, whose status must be 200."""
        request = urllib.request.Request(self.url + path, headers={"Authorization": f"Bearer {self.token}"})
        with LOCAL.open(request, timeout=60) as answer:
            return answer.read().decode()

    def fleet(self, provider):
        """Returns the jobs that the vendor's simulator holds, by identifier."""
        with LOCAL.open(self.simulators[provider] + "fleet", timeout=60) as answer:
            return {job["id"]: job for job in json.load(answer)["jobs"]}

    def complaints(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def end(self):
        """Stops the sandbox and returns its exit code."""
        return end(self.process)

    def __exit__(self, kind, *_):
        code, complaints = self.end(), self.complaints()
        self.log.close()
        if kind is None:  # what went wrong before is the better story
            holds(code == 0, f"the sandbox ended with {code}: {complaints!r}")
            holds("ERROR" not in complaints and "panicked" not in complaints, f"the sandbox logged an error: {complaints}")
