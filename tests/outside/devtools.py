"""Drives Chromium by its DevTools protocol, through a pair of pipes: no port, no driver, and the browser ends when the pipes close."""

import base64
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time

from proofs import NotProven, holds

# How long anything on a page may take. Nothing here takes seconds on a machine with nothing else to do.
PATIENCE_S = 60

# Gives the browser its ends of the pipes, as the numbers that it expects.
PIPES = "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execvp(sys.argv[3], sys.argv[3:])"

OPTIONS = (
    "--headless=new", "--remote-debugging-pipe", "--window-size=1280,900", "--disable-gpu", "--disable-dev-shm-usage",
    "--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-sync", "--disable-breakpad",
    "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability", "--no-pings",
    # Nothing leaves the machine, whatever the browser or a page would like to ask.
    "--no-proxy-server", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


class Browser:
    """One browser with a profile of its own."""

    def __init__(self, program, folder):
        self.folder = folder
        self.command = [program, *OPTIONS, f"--user-data-dir={folder / 'profile'}"]
        if os.geteuid() == 0:  # it has no sandbox for root
            self.command.append("--no-sandbox")

    def __enter__(self):
        # High numbers, so that moving one to its place does not overwrite the other.
        (read, self.write), (self.read, write) = os.pipe(), os.pipe()
        theirs = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in (read, write)]
        os.close(read)
        os.close(write)
        self.log = open(self.folder / "browser.log", "wb")
        # A session of its own: all that the browser starts can be ended with it.
        self.process = subprocess.Popen(
            [sys.executable, "-c", PIPES, *map(str, theirs), *self.command], pass_fds=theirs, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            # What it writes beside the profile goes there too.
            env={**os.environ, "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder)},
        )
        for one in theirs:
            os.close(one)
        self.number, self.buffer, self.events = 0, b"", []
        return self

    def __exit__(self, *_):
        try:
            self.call("Browser.close")
        except (NotProven, OSError):  # it has ended already, or hangs
            pass
        os.close(self.write)
        os.close(self.read)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()

    def call(self, method, session=None, **parameters):
        """Gives one command and returns its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        try:
            while data:
                data = data[os.write(self.write, data):]
        except BrokenPipeError:
            raise NotProven(f"the browser has ended: {self.complaints()}") from None
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self.next_message(deadline, method)
            if answer.get("id") == self.number:
                holds("error" not in answer, f"{method}: {answer.get('error')}")
                return answer["result"]
            self.events.append(answer)

    def next_message(self, deadline, what):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, deadline - time.monotonic()))
            holds(ready, f"the browser does not answer {what}: {self.complaints()}")
            data = os.read(self.read, 1 << 16)
            holds(data, f"the browser has ended: {self.complaints()}")
            self.buffer += data
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def complaints(self):
        return (self.folder / "browser.log").read_text(errors="replace")[-2000:]

    def page(self):
        return Page(self)


class Page:
    """One tab."""

    def __init__(self, browser):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def open(self, url):
        result = self.call("Page.navigate", url=url)
        holds("errorText" not in result, f"{url}: {result.get('errorText')}")

    def reload(self):
        # The old page must not be taken for the new one.
        self.value("window.isOld = true")
        self.call("Page.reload")
        self.until("!window.isOld && document.readyState === 'complete'", "the page, loaded again")

    def value(self, expression):
        """Returns what an expression of JavaScript is on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        holds("exceptionDetails" not in result, f"{expression}: {result.get('exceptionDetails')}")
        return result["result"].get("value")

    def until(self, expression, what):
        """Waits until an expression holds, and returns its value."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                value = self.value(expression)
            except NotProven as error:  # between two pages there is none
                value, reason = None, error
            else:
                reason = value
            if value:
                return value
            holds(time.monotonic() < deadline, f"{what} did not come: {reason}\n{self.text()[-1500:]}")
            time.sleep(0.05)

    def text(self):
        return self.value("document.body ? document.body.innerText : ''") or ""

    def click(self, selector):
        """Clicks what a person would click: the middle of what is seen, once it stands still."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.until(f"!!{found}", selector)
        place, before, deadline = None, {}, time.monotonic() + PATIENCE_S
        # An answer above it that is still being laid out moves it.
        while place != before:
            holds(time.monotonic() < deadline, f"{selector} does not stand still")
            time.sleep(0.1 if place else 0)
            before, place = place, self.value(
                f"(() => {{ const it = {found}; it.scrollIntoView({{block: 'center', behavior: 'instant'}}); const box = it.getBoundingClientRect();"
                " return {x: box.x + box.width / 2, y: box.y + box.height / 2, size: box.width * box.height}; })()"
            )
        holds(place["size"] > 0, f"{selector} cannot be seen")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place["x"], y=place["y"], button="left", clickCount=1)

    def type(self, selector, text):
        self.click(selector)
        self.call("Input.insertText", text=text)

    def picture(self, file):
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def asked(self):
        """Returns the address of each request that the page has made."""
        return [event["params"]["request"]["url"] for event in self.mine("Network.requestWillBeSent")]

    def faults(self):
        """Returns what the page or the browser complained of."""
        self.value("0")  # what was told until now
        thrown = [event["params"]["exceptionDetails"] for event in self.mine("Runtime.exceptionThrown")]
        logged = [event["params"]["entry"] for event in self.mine("Log.entryAdded")]
        printed = [event["params"] for event in self.mine("Runtime.consoleAPICalled")]
        return [
            *thrown, *(entry for entry in logged if entry["level"] == "error"),
            *(line["args"] for line in printed if line["type"] in ("error", "assert")),
        ]

    def mine(self, method):
        return [event for event in self.browser.events if event["method"] == method and event.get("sessionId") == self.session]
