#!/usr/bin/env python3
"""Proves in Chromium what people see: Swagger UI with and without a path prefix, and pages of other origins.

Usage: python3 tests/outside/browser.py --sandbox target/debug/ota-sandbox --gateway target/debug/ota-gateway [--pictures DIR]

Prints a line for each proof and ends with `N proven, N failed`; exit code 0 if all is proven, 1 if not, 2 if it could not start.
"""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))
from devtools import Browser  # noqa: E402
from own_environment import give_up  # noqa: E402
from processes import end, end_on_signals, start  # noqa: E402
from proofs import NotProven, holds, prove  # noqa: E402
from sandbox import LOCAL, Sandbox  # noqa: E402

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# An operation with its fifteen problems in this height can be read; it was 10,000 once.
HIGHEST_PX = 4000
PREFIX = "/ota"


# ---------------------------------------------------------------- what stands beside the gateway

def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.contextmanager
def proxy(program, gateway, folder):
    """nginx that serves the gateway under a prefix, which it strips."""
    places = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    for _ in range(5):  # another program may take the port in between
        port = free_port()
        configuration = folder / "nginx.conf"
        configuration.write_text(
            # One process: when it ends, nothing is left.
            f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{ worker_connections 256; }}\n"
            f"http {{ access_log off; {places}\n server {{ listen 127.0.0.1:{port};\n"
            f"  location {PREFIX}/ {{ proxy_pass {gateway}/; }} }} }}\n"
        )
        process = start([program, "-p", folder, "-c", configuration])
        try:
            if answers(f"http://127.0.0.1:{port}{PREFIX}/healthz", process):
                yield f"http://127.0.0.1:{port}"
                return
        finally:
            end(process)
    raise NotProven(f"nginx does not start: {(folder / 'nginx.log').read_text()[-1000:]}")


def answers(url, process):
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with LOCAL.open(url, timeout=30) as answer:
                return answer.status == 200
        except OSError:
            time.sleep(0.05)
    return False


@contextlib.contextmanager
def site():
    """A page of another origin: an empty one, in which the proof runs what such a page would."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = b"<!DOCTYPE html><title>a page of another origin</title><link rel=icon href=data:,>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


# ---------------------------------------------------------------- Swagger UI, as a person uses it

def operation(name):
    return f"[id^=operations-][id$=-{name}]"


def authorize(page, token):
    page.click(".auth-wrapper .authorize")
    page.type(".auth-container input", token)
    page.click(".auth-btn-wrapper .authorize")
    page.until("[...document.querySelectorAll('.auth-btn-wrapper button')].some(it => it.textContent === 'Logout')", "Logout")
    page.click(".auth-btn-wrapper .btn-done")


def unfold(page, name):
    page.click(f"{operation(name)} .opblock-summary-control")
    page.until(f"!!document.querySelector('{operation(name)} .execute')", f"{name}, opened")


def execute(page, name, status="200"):
    """Presses Execute, and holds the status that Swagger UI shows."""
    page.click(f"{operation(name)} .execute")
    shown = page.until(
        f"(document.querySelector('{operation(name)} .live-responses-table tbody .response-col_status') || {{}}).innerText", f"an answer to {name}",
    )
    holds(shown.split()[0] == status, f"{name}: Swagger UI shows {shown!r}\n{page.text()[:1500]}")


def field(page, name, parameter):
    """Returns what is chosen or written for a parameter, and what can be chosen."""
    at = f"document.querySelector('{operation(name)} tr[data-param-name={parameter}] :is(select, input)')"
    page.until(f"!!{at}", f"{parameter} of {name}")
    return page.value(f"({{value: {at}.value, choices: [...({at}.options || [])].map(it => it.value)}})")


def used(page, address, token, picture):
    """Uses Swagger UI as a newcomer does. `address` is where the gateway is, without a slash."""
    page.open(f"{address}/")
    page.until("document.querySelectorAll('.opblock').length >= 14", "the operations")
    where = page.value("location.href")
    holds(where == f"{address}/docs/", f"{address}/ leads to {where}")
    # Strangers are told no names: the fields are empty before a token is given.
    unfold(page, "get_provider")
    holds(field(page, "get_provider", "provider") == {"value": "", "choices": []}, "a name is shown without a token")
    unfold(page, "list_providers")
    execute(page, "list_providers", "401")
    authorize(page, token)
    page.until(f"document.querySelectorAll('{operation('get_provider')} option').length > 0", "the names of the providers")
    named = field(page, "get_provider", "provider")
    holds(named == {"value": "aliyun", "choices": ["aliyun", "huawei"]}, f"providers: {named}")
    execute(page, "get_provider")
    unfold(page, "list_jobs")
    execute(page, "list_jobs")
    picture(page, "jobs")
    unfold(page, "get_job_stats")
    job = page.until(f"document.querySelector('{operation('get_job_stats')} tr[data-param-name=job_id] input').value", "a job")
    execute(page, "get_job_stats")
    # Questions about all providers, with what the page has filled in.
    unfold(page, "get_job_history")
    page.until(f"document.querySelector('{operation('get_job_history')} tr[data-param-name=job_id] input').value", "a job")
    execute(page, "get_job_history")
    for name in ("list_fleet_jobs", "list_fleet_tasks", "count_jobs", "count_tasks", "get_sync"):
        unfold(page, name)
        execute(page, name)
        # Folded again: a page of fifty tasks takes a browser long to lay out.
        page.click(f"{operation(name)} .opblock-summary-control")
    page.reload()
    page.until("document.querySelectorAll('.opblock').length >= 14", "the operations, again")
    unfold(page, "list_jobs")
    page.until(f"document.querySelectorAll('{operation('list_jobs')} option').length > 0", "the names of the providers, again")
    execute(page, "list_jobs")
    # A token that is no longer good is forgotten: the user would look for the mistake elsewhere.
    page.value(f"localStorage.authorized = localStorage.authorized.replace('{token}', '{token[:-8]}AAAAAAAA')")
    page.reload()
    page.until("!!document.querySelector('.auth-wrapper .authorize.unlocked')", "Authorize, without the old token")
    page.until(f"!(localStorage.authorized || '').includes('{token[:-8]}')", "the old token, forgotten")
    foreign = [url for url in page.asked() if not url.startswith((f"{address}/", "data:", "about:", "blob:"))]
    holds(not foreign, f"asked elsewhere: {foreign}")
    # The two refusals are logged by the browser; there must be nothing else.
    faults = [fault for fault in page.faults() if "401" not in json.dumps(fault)]
    holds(not faults, f"the browser complains: {faults}")
    return job


def under_a_prefix(tools, folder, picture):
    """Swagger UI works behind nginx under a path prefix: Authorize and Execute give 200, and the token outlives a reload."""
    with (
        Sandbox(tools.sandbox) as sandbox, proxy(tools.nginx, sandbox.url, folder) as address,
        Browser(tools.browser, folder) as browser,
    ):
        page = browser.page()
        used(page, f"{address}{PREFIX}", sandbox.token, picture)
        # Without the slash, too: the proxy leads to /ota/, the gateway to docs/.
        for path in (PREFIX, f"{PREFIX}/docs"):
            page.open(f"{address}{path}")
            page.until(f"location.pathname === '{PREFIX}/docs/'", f"{PREFIX}/docs/ from {path}")
        return f"{address}{PREFIX}/docs/, {len(page.asked())} requests"


def without_a_proxy(tools, folder, picture):
    """Swagger UI works without a proxy, and an opened operation can be read."""
    with Sandbox(tools.sandbox) as sandbox, Browser(tools.browser, folder) as browser:
        page = browser.page()
        used(page, sandbox.url, sandbox.token, picture)
        page.reload()
        unfold(page, "list_jobs")
        page.until(f"document.querySelectorAll('{operation('list_jobs')} tr.response').length >= 15", "the responses")
        height = page.value(f"document.querySelector('{operation('list_jobs')}').getBoundingClientRect().height")
        page.value(f"document.querySelector('{operation('list_jobs')} .responses-wrapper').scrollIntoView()")
        picture(page, "responses")
        holds(height < HIGHEST_PX, f"list_jobs, opened, is {height:.0f} px tall")
        page.click(f"{operation('list_jobs')} tr[data-code='429'] button")
        text = page.until(f"document.querySelector('{operation('list_jobs')} tr[data-code=\"429\"] pre')?.innerText"
                          f" || [...document.querySelectorAll('{operation('list_jobs')} tr.response')]"
                          ".map(it => it.innerText).find(it => it.includes('rate_limited') && it.includes('retry_after_s'))", "the example")
        holds("retry_after_s" in text, f"the example of a problem: {text}")
        picture(page, "problem")
        return f"{sandbox.url}/docs/, list_jobs is {height:.0f} px tall"


CONFIGURATION = """
[server]
listen = "127.0.0.1:{port}"
[auth]
mode = "disabled"
[metrics]
enabled = false
[providers.north-hall]
vendor = "huawei-iot"
endpoint = "{endpoint}"
app_id = "nobody"
secret = "nothing"

# It would keep a database in the folder where this runs.
[mirror]
enabled = false
"""


def without_access_control(tools, folder, picture):
    """Where no token is needed, Swagger UI has the names from the start: those of this gateway, and no others."""
    with Browser(tools.browser, folder) as browser:
        configuration, port = folder / "gateway.toml", free_port()
        # Nothing listens there: to list providers no vendor is asked.
        configuration.write_text(CONFIGURATION.format(port=port, endpoint=f"http://127.0.0.1:{free_port()}"))
        process = start([tools.gateway, "--config", configuration, "serve"], stderr=open(folder / "gateway.log", "w"))
        try:
            address = f"http://127.0.0.1:{port}"
            holds(answers(f"{address}/healthz", process), f"it does not start: {(folder / 'gateway.log').read_text()[-1000:]}")
            page = browser.page()
            page.open(f"{address}/")
            page.until("document.querySelectorAll('.opblock').length >= 14", "the operations")
            picture(page, "start")
            unfold(page, "get_provider")
            page.until(f"document.querySelectorAll('{operation('get_provider')} option').length > 0", "the names of the providers")
            named = field(page, "get_provider", "provider")
            holds(named == {"value": "north-hall", "choices": ["north-hall"]}, f"providers: {named}")
            execute(page, "get_provider")
            # A POST of a page of its own; the vendor's trouble is part of the answer.
            unfold(page, "check_provider")
            execute(page, "check_provider")
            return f"{address}/docs/"
        finally:
            end(process)


CALL = """
(async () => {
  const send = {Authorization: 'Bearer %(token)s', 'Cache-Control': 'no-cache', 'If-None-Match': '"x"', 'X-Request-Id': 'page-1', Accept: 'application/json',
    'Content-Type': 'application/json', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=b', baggage: 'c=d'};
  const read = ['age', 'cache-control', 'content-type', 'etag', 'ota-as-of', 'ota-stale', 'server-timing', 'x-request-id', 'retry-after', 'www-authenticate'];
  const ask = async (headers) => {
    try {
      const answer = await fetch('%(url)s/v1/providers/aliyun/jobs?page_size=1', {headers});
      return {status: answer.status, seen: read.filter(name => answer.headers.has(name)), id: answer.headers.get('x-request-id')};
    } catch (error) { return String(error); }
  };
  return [await ask(send), await ask({...send, Authorization: 'Bearer x'})];
})()
"""


def other_origins(tools, folder, _):
    """A page of an allowed origin sends and reads every header of the API; a page of another origin reads nothing."""
    with site() as allowed, site() as foreign, Browser(tools.browser, folder) as browser:
        with Sandbox(tools.sandbox, "--cors-origin", allowed) as sandbox:
            page = browser.page()
            call = CALL % {"token": sandbox.token, "url": sandbox.url}
            page.open(f"{allowed}/")
            page.until(f"location.href.startsWith('{allowed}') && document.readyState === 'complete'", "the page")
            good, refused = page.value(call)
            every = {"age", "cache-control", "content-type", "etag", "ota-as-of", "ota-stale", "server-timing", "x-request-id"}
            holds(good != "TypeError: Failed to fetch", "the page may not call")
            holds(good["status"] == 200 and every <= set(good["seen"]) and good["id"] == "page-1", f"the page read {good}")
            holds(refused["status"] == 401 and "www-authenticate" in refused["seen"], f"the page read {refused}")
            page.open(f"{foreign}/")
            page.until(f"location.href.startsWith('{foreign}') && document.readyState === 'complete'", "the foreign page")
            holds(page.value(call) == ["TypeError: Failed to fetch"] * 2, "a foreign page may call")
        return f"{len(every)} headers read"


# ---------------------------------------------------------------- the end

def of_folder(folder):
    """Returns the command of each process that was started with this folder for temporary files, or whose command names it."""
    mark, found = f"TMPDIR={folder}".encode(), {}
    for place in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            # The browser's children have no environment that could be read, but the folder in their commands.
            if mark in (place / "environ").read_bytes().split(b"\0") or f"{folder}/" in command:
                found[place.name] = command
        except OSError:  # it has ended, or is somebody else's
            pass
    return found


def nothing_is_left(tools, folder, _):
    """What a proof has started ends with it: after Ctrl-C, and when it is killed."""
    ended = 0
    for number in (signal.SIGINT, signal.SIGKILL):
        place = folder / str(int(number))
        place.mkdir()
        command = [sys.executable, __file__, "--sandbox", str(tools.sandbox), "--gateway", str(tools.gateway), "--only", "prefix"]
        # Ctrl-C must mean something to it, even where this program was started in the background.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        try:
            programs = (tools.sandbox.name, "nginx.conf", "--type=renderer")
            wait(lambda: all(any(one in it for it in of_folder(place).values()) for one in programs), lambda: of_folder(place))
            ended += len(of_folder(place)) - 1
            process.send_signal(number)
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
        wait(lambda: not of_folder(place), lambda: of_folder(place))
    return f"{ended} processes ended"


def wait(condition, state):
    deadline = time.monotonic() + 60
    while not condition():
        holds(time.monotonic() < deadline, f"in vain: {state()}")
        time.sleep(0.1)


# ---------------------------------------------------------------- start

PROOFS = (
    ("Swagger UI under a path prefix of nginx", under_a_prefix),
    ("Swagger UI without a proxy", without_a_proxy),
    ("Swagger UI without access control", without_access_control),
    ("pages of other origins", other_origins),
    ("nothing is left after Ctrl-C", nothing_is_left),
)


def main():
    parser = argparse.ArgumentParser(description="Proves in Chromium what people see.")
    parser.add_argument("--sandbox", required=True, type=pathlib.Path, help="the ota-sandbox program")
    parser.add_argument("--gateway", required=True, type=pathlib.Path, help="the ota-gateway program")
    parser.add_argument("--only", default="", help="only the proofs whose name has this in it")
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder for pictures of the pages")
    tools = parser.parse_args()
    for package, program in (("ota-sandbox", tools.sandbox), ("ota-gateway", tools.gateway)):
        if not program.is_file():
            give_up(f"there is no program {program}; build it with: cargo build -p {package}")
    tools.sandbox, tools.gateway = tools.sandbox.resolve(), tools.gateway.resolve()
    tools.browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    tools.nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    missing = [name for name, found in (("chromium", tools.browser), ("nginx", tools.nginx)) if not found]
    if missing:
        give_up(f"missing: {', '.join(missing)}")
    end_on_signals()
    # Another system has other ways to look for processes.
    proofs = [one for one in PROOFS if one[1] is not nothing_is_left or pathlib.Path("/proc/self/environ").exists()]
    proofs = [one for one in proofs if tools.only in one[0]]

    def call(proof, folder):
        def picture(page, of):
            if tools.pictures:
                tools.pictures.mkdir(parents=True, exist_ok=True)
                page.picture(tools.pictures / f"{proof.__name__}-{of}.png")

        return proof(tools, folder, picture)

    return prove("ota-browser-", proofs, call)


if __name__ == "__main__":
    sys.exit(main())
