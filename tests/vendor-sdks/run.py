#!/usr/bin/env python3
"""Drives the vendors' official clients against the simulators.

A simulator that an unmodified official client can use checks signatures, formats and pages as that client expects them.
Usage: python3 tests/vendor-sdks/run.py --sim target/debug/ota-sim [--venv DIR]

Ends with `N passed, N failed`; exit code 0 if all passed, 1 if not, 2 if it could not start.
"""

import http.client
import importlib
import json
import logging
import pathlib
import queue
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import warnings
import xml.etree.ElementTree

# Nothing that Python keeps of a program belongs beside its source.
sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))
from own_environment import begin  # noqa: E402
from processes import end, end_on_signals, start  # noqa: E402
from proofs import equal, holds  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
INSIDE = "OTA_VENDOR_SDKS_INSIDE_VENV"
MODULES = ("alibabacloud_iot20180120.client", "alibabacloud_tea_openapi.models", "aliyunsdkcore.client", "aliyunsdkiot")

# What the simulators accept if nothing else is said. No vendor knows these.
KEY_ID = "demo-access-key-id"
KEY_SECRET = "demo-access-key-secret"
APP_ID = "demo-app-id"
APP_SECRET = "demo-app-secret"

REGION = "cn-shanghai"
TASK_STATUSES = ("CONFIRM", "QUEUED", "NOTIFIED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELED")
# Names of no device. Each has something that a careless encoding changes, so that the signature does not match.
STRANGE_NAMES = [
    "a b", "a+b", "a%20b", "a&b=c", "a/b?c#d", "~-_.", "*'()!", "a,b;c:d@e", "\"<>\\", "智能水表", "é\u00a0ü",
    "🚚",
]


# ---------------------------------------------------------------- checks

passed = 0
failed = 0


def check(name, test, *arguments):
    """Runs one check, prints its line and counts it."""
    global passed, failed
    try:
        test(*arguments)
    except Exception as error:  # a check that breaks is a check that failed, whatever broke
        failed += 1
        print(f"FAIL {name}: {type(error).__name__}: {str(error)[:600]}", flush=True)
    else:
        passed += 1
        print(f"ok   {name}", flush=True)


# ---------------------------------------------------------------- simulator

class Simulator:
    """One simulator process on a free port of the loopback interface."""

    def __init__(self, program, vendor, *switches):
        self.command = [str(program), vendor, "--listen", "127.0.0.1:0", *switches]

    def __enter__(self):
        self.process = start(self.command, stdout=subprocess.PIPE, text=True)
        lines = queue.Queue()
        threading.Thread(target=lambda: lines.put(self.process.stdout.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=20)
        except queue.Empty:
            line = ""
        address = line.rpartition("http://")[2].strip()
        if not address:
            self.__exit__()
            raise RuntimeError(f"`{' '.join(self.command)}` printed no address, but {line!r}")
        self.host, _, port = address.partition(":")
        self.port = int(port)
        return self

    def __exit__(self, *_):
        end(self.process)
        self.process.stdout.close()

    def about(self, path):
        """Reads a page of the simulator about itself."""
        with urllib.request.urlopen(f"http://{self.host}:{self.port}/_sim/{path}", timeout=20) as answer:
            return json.load(answer)

    def jobs(self):
        """What is really there."""
        return self.about("fleet")["jobs"]

    def set_faults(self, faults):
        request = urllib.request.Request(
            f"http://{self.host}:{self.port}/_sim/faults", method="PUT", data=json.dumps(faults).encode()
        )
        urllib.request.urlopen(request, timeout=20).close()


# ---------------------------------------------------------------- Alibaba: both SDKs behind one face

class Refused(Exception):
    """A refusal, from either SDK and of either shape."""

    def __init__(self, code, status, message, retry_after=None):
        super().__init__(f"{code} (HTTP {status}): {message}")
        self.code, self.status, self.message, self.retry_after = code, status, message, retry_after


class NewSdk:
    """`alibabacloud-iot20180120`; signs with ACS3-HMAC-SHA256, or with HMAC-SHA1 when told `v2`."""

    def __init__(self, sim, algorithm=None, secret=KEY_SECRET, token=None):
        from alibabacloud_iot20180120 import client, models
        from alibabacloud_tea_openapi import models as openapi

        self.models = models
        self.client = client.Client(openapi.Config(
            access_key_id=KEY_ID, access_key_secret=secret, security_token=token, signature_algorithm=algorithm,
            protocol="http", endpoint=f"{sim.host}:{sim.port}", region_id=REGION,
            connect_timeout=5000, read_timeout=20000,
        ))

    def call(self, action, **parameters):
        methods = {
            "QueryOTAJob": "query_otajob",
            "ListOTATaskByJob": "list_otatask_by_job",
            "ListOTAFirmware": "list_otafirmware",
            "ListOTAJobByFirmware": "list_otajob_by_firmware",
            "ListOTAJobByDevice": "list_otajob_by_device",
        }
        request = getattr(self.models, f"{action}Request")().from_map(parameters)
        try:
            answer = getattr(self.client, methods[action])(request)
        except Exception as error:
            if getattr(error, "code", None) is None:
                raise
            data = getattr(error, "data", None) or {}
            status = getattr(error, "status_code", None) or getattr(error, "statusCode", None) or data.get("statusCode")
            raise Refused(error.code, status, str(error), getattr(error, "retry_after", None)) from error
        body = answer.body.to_map()
        # Everything that the SDK knows a field for has arrived; what it does not know, it drops.
        if body.get("Success") is not True:
            raise Refused(body.get("Code"), answer.status_code, body.get("ErrorMessage"))
        return body


class OldSdk:
    """`aliyun-python-sdk-iot`; knows only HMAC-SHA1, but GET and POST, JSON and XML."""

    def __init__(self, sim, method="POST", fmt="JSON", secret=KEY_SECRET, token=None):
        from aliyunsdkcore.auth.credentials import StsTokenCredential
        from aliyunsdkcore.client import AcsClient

        self.host, self.method, self.format = sim.host, method, fmt
        how = {"region_id": REGION, "port": sim.port, "auto_retry": False, "timeout": 20}
        if token is None:
            self.client = AcsClient(KEY_ID, secret, **how)
        else:
            self.client = AcsClient(credential=StsTokenCredential(KEY_ID, secret, token), **how)

    def raw(self, action, **parameters):
        """The body as it came."""
        module = importlib.import_module(f"aliyunsdkiot.request.v20180120.{action}Request")
        request = getattr(module, f"{action}Request")()
        request.set_endpoint(self.host)
        request.set_method(self.method)
        for name, value in parameters.items():
            # The SDK calls the setter of the list `DeviceNames` so.
            getattr(request, f"set_{name}s" if name == "DeviceNames" else f"set_{name}")(value)
        if self.format == "JSON":
            return self.client.do_action_with_exception(request)
        request.set_accept_format(self.format)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return self.client.do_action(request)

    def call(self, action, **parameters):
        from aliyunsdkcore.acs_exception.exceptions import ServerException

        try:
            body = self.raw(action, **parameters)
        except ServerException as error:
            raise Refused(error.error_code, error.http_status, error.message) from error
        if self.format == "JSON":
            answer = json.loads(body)
        else:
            root = xml.etree.ElementTree.fromstring(body)
            answer = from_xml(root)
            if root.tag == "Error":
                raise Refused(answer.get("Code"), None, answer.get("Message"))
            equal(root.tag, f"{action}Response", "root element")
        if str(answer.get("Success")).lower() != "true":
            raise Refused(answer.get("Code"), 200, answer.get("ErrorMessage"))
        return answer


# Elements that repeat; XML alone does not tell a list of one from a value.
LISTS = {"SimpleOTATaskInfo", "SimpleOTAJobInfo", "SimpleFirmwareInfo", "SrcVersion", "OtaTagDTO"}


def from_xml(element):
    if len(element) == 0:
        return element.text or ""
    tree = {}
    for child in element:
        value = from_xml(child)
        # `SrcVersion` is a list inside of `SrcVersions` and a text elsewhere.
        if child.tag in LISTS and (child.tag != "SrcVersion" or element.tag == "SrcVersions"):
            tree.setdefault(child.tag, []).append(value)
        else:
            tree[child.tag] = value
    return tree


def rows(answer, wrapper, name):
    return (answer.get(wrapper) or {}).get(name) or []


def packages_of(sdk, **more):
    return rows(sdk.call("ListOTAFirmware", CurrentPage=1, PageSize=100, **more), "FirmwareInfo", "SimpleFirmwareInfo")


def tasks_of(sdk, **parameters):
    return sdk.call("ListOTATaskByJob", **{"CurrentPage": 1, "PageSize": 100, **parameters})


def walk(sdk, job_id, page_size, status=None):
    """All tasks of a job, page by page."""
    tasks, page = [], 1
    filters = {"TaskStatus": status} if status else {}
    while True:
        answer = tasks_of(sdk, JobId=job_id, CurrentPage=page, PageSize=page_size, **filters)
        equal(int(answer["CurrentPage"]), page, "CurrentPage")
        tasks += rows(answer, "Data", "SimpleOTATaskInfo")
        if page >= int(answer["PageCount"]):
            equal(len(tasks), int(answer["Total"]), "rows against Total")
            return tasks
        page += 1


def refused(sdk, code, status, action, **parameters):
    """The call must be refused in exactly this way; returns the refusal."""
    try:
        sdk.call(action, **parameters)
    except Refused as error:
        equal(error.code, code, f"code of {error}")
        # The old SDK does not show the status of an answer in XML.
        if not (isinstance(sdk, OldSdk) and sdk.format == "XML"):
            equal(error.status, status, "HTTP status")
        return error
    raise AssertionError(f"{action} was not refused")


def list_firmware(sdk, sim):
    packages = packages_of(sdk)
    holds(len(packages) >= 3, f"only {len(packages)} packages")
    equal(len({one["FirmwareId"] for one in packages}), len(packages), "different packages")
    one = packages[0]
    again = packages_of(sdk, ProductKey=one["ProductKey"], DestVersion=one["DestVersion"])
    holds(one["FirmwareId"] in [row["FirmwareId"] for row in again], "package is missing from the filtered list")
    holds(len(again) < len(packages), "filter took nothing away")
    ours = {job["package_id"] for job in sim.jobs()}
    holds(ours <= {row["FirmwareId"] for row in packages}, "a package that has jobs is missing")


def list_jobs_by_firmware(sdk, sim):
    found = {}
    for package in packages_of(sdk):
        page = 1
        while True:
            answer = sdk.call("ListOTAJobByFirmware", FirmwareId=package["FirmwareId"], CurrentPage=page, PageSize=2)
            for row in rows(answer, "Data", "SimpleOTAJobInfo"):
                holds(row["JobId"] not in found, "a job came twice")
                found[row["JobId"]] = (row["FirmwareId"], row["ProductKey"], row["JobStatus"])
            if page >= int(answer["PageCount"]):
                break
            page += 1
    wanted = {job["id"]: (job["package_id"], job["product_key"], job["status"]) for job in sim.jobs()}
    equal(found, wanted, "jobs of all packages")


def query_job(sdk, sim):
    for job in sim.jobs():
        data = sdk.call("QueryOTAJob", JobId=job["id"])["Data"]
        equal(data["JobId"], job["id"], "JobId")
        equal(data["JobStatus"], job["status"], "JobStatus")
        equal(data["FirmwareId"], job["package_id"], "FirmwareId")
        equal(data["DestVersion"], job["version"], "DestVersion")
        holds(data["UtcCreate"].endswith("Z"), "UtcCreate is no time")


def count_tasks(sdk, sim):
    walked = 0
    for job in sim.jobs():
        tasks = walk(sdk, job["id"], 37)
        equal(len({task["TaskId"] for task in tasks}), job["total"], f"different tasks of job {job['id']}")
        counts = dict.fromkeys(TASK_STATUSES, 0)
        for task in tasks:
            equal(task["JobId"], job["id"], "JobId of a task")
            counts[task["TaskStatus"]] += 1
        equal(counts, job["tasks"], f"tasks by status of job {job['id']}")
        walked += len(tasks)
    holds(walked > 1000, f"only {walked} tasks were walked")


def filter_tasks(sdk, sim):
    busiest = max(sim.jobs(), key=lambda job: sum(count > 0 for count in job["tasks"].values()))
    for status in TASK_STATUSES:
        tasks = walk(sdk, busiest["id"], 100, status)
        equal({task["TaskStatus"] for task in tasks} - {status}, set(), "other statuses")
        equal(len(tasks), busiest["tasks"][status], f"tasks that are {status}")


def job_by_device(sdk, sim):
    job = next(job for job in sim.jobs() if job["total"] > 0)
    task = rows(tasks_of(sdk, JobId=job["id"], PageSize=1), "Data", "SimpleOTATaskInfo")[0]
    answer = sdk.call(
        "ListOTAJobByDevice", FirmwareId=job["package_id"], ProductKey=job["product_key"],
        DeviceName=task["DeviceName"], CurrentPage=1, PageSize=100,
    )
    holds(job["id"] in [row["JobId"] for row in rows(answer, "Data", "SimpleOTAJobInfo")], "the job is missing")


def device_names(sdk, sim):
    """The names carry everything that an encoding can get wrong; the real ones are found, the others are not there."""
    for job in sim.jobs():
        tasks = rows(tasks_of(sdk, JobId=job["id"], PageSize=12), "Data", "SimpleOTATaskInfo")
        if tasks and "@" in tasks[0]["DeviceName"]:
            break
    else:
        raise AssertionError("no device name with special characters in the fleet")
    real = [task["DeviceName"] for task in tasks]
    holds(len(real) >= 10, "too few devices: `DeviceNames.10` must sort before `DeviceNames.2`")
    names = real + STRANGE_NAMES
    answer = tasks_of(sdk, JobId=job["id"], DeviceNames=names, PageSize=1)
    equal(sorted(task["DeviceName"] for task in rows(answer, "Data", "SimpleOTATaskInfo")), sorted(real), "devices")
    # One by one, so that a failure says which name it was.
    for name in STRANGE_NAMES:
        answer = tasks_of(sdk, JobId=job["id"], DeviceNames=[name])
        equal(rows(answer, "Data", "SimpleOTATaskInfo"), [], f"tasks of `{name}`")


def product_error(sdk, sim):
    refused(sdk, "iot.ota.JobNotFound", 200, "QueryOTAJob", JobId="no such job 0200")
    job_id = sim.jobs()[0]["id"]
    for page, size in ((1, 101), (1001, 100)):
        page = {"CurrentPage": page, "PageSize": size}
        refused(sdk, "iot.common.InvalidPageParams", 200, "ListOTATaskByJob", JobId=job_id, **page)
    # The simulator asks for no instance, so that naming one is an error of the product.
    refused(sdk, "iot.system.InstanceNotFound", 200, "QueryOTAJob", JobId=job_id, IotInstanceId="iot-cn-wrong")


def gateway_error(sdk, sim):
    refused(sdk, "MissingJobId", 400, "QueryOTAJob", IotInstanceId="")
    refused(sdk, "MissingFirmwareId", 400, "ListOTAJobByFirmware", CurrentPage=1, PageSize=10)
    sim.set_faults([{"kind": "gateway_error", "remaining": 1}])
    refused(sdk, "ServiceUnavailable", 503, "QueryOTAJob", JobId=sim.jobs()[0]["id"])
    sdk.call("QueryOTAJob", JobId=sim.jobs()[0]["id"])


def wrong_secret(sdk, sim):
    """Refused, with the string to sign in the message.

    The old SDK compares that string with the one that it signed. When they are equal only the secret can be wrong, and
    it says `InvalidAccessKeySecret`: the simulator builds the same string to sign as the SDK. It compares in JSON only.
    """
    compares = isinstance(sdk, OldSdk) and sdk.format == "JSON"
    before = sim.about("counters")["refused"].get("signature", 0)
    code = "InvalidAccessKeySecret" if compares else "SignatureDoesNotMatch"
    error = refused(sdk, code, 400, "QueryOTAJob", JobId=sim.jobs()[0]["id"])
    holds(compares or "server string to sign is:" in error.message, f"no string to sign in `{error.message}`")
    equal(sim.about("counters")["refused"].get("signature", 0), before + 1, "refused signatures")


def text_in_xml(sdk, sim):
    """Text that XML must escape arrives as the JSON answer has it."""
    as_json = {one["FirmwareId"]: one["ProductName"] for one in packages_of(OldSdk(sim))}
    as_xml = {one["FirmwareId"]: one["ProductName"] for one in packages_of(sdk)}
    equal(as_xml, as_json, "product names")
    holds(any("<" in name and "&" in name for name in as_json.values()), "no name needs escaping")


READS = [
    ("ListOTAFirmware, with its filters", list_firmware),
    ("ListOTAJobByFirmware finds every job once", list_jobs_by_firmware),
    ("QueryOTAJob of every job", query_job),
    ("ListOTATaskByJob: every task of every job once, counts as in the fleet", count_tasks),
    ("ListOTATaskByJob with TaskStatus, all seven", filter_tasks),
    ("ListOTAJobByDevice", job_by_device),
    ("DeviceNames.N with special characters", device_names),
    ("product errors under HTTP 200", product_error),
    ("gateway errors with their HTTP status", gateway_error),
]

CLIENTS = [
    ("new SDK, ACS3-HMAC-SHA256", lambda sim, **how: NewSdk(sim, **how)),
    ("new SDK, HMAC-SHA1", lambda sim, **how: NewSdk(sim, algorithm="v2", **how)),
    ("old SDK, POST, JSON", lambda sim, **how: OldSdk(sim, "POST", "JSON", **how)),
    ("old SDK, GET, JSON", lambda sim, **how: OldSdk(sim, "GET", "JSON", **how)),
    ("old SDK, POST, XML", lambda sim, **how: OldSdk(sim, "POST", "XML", **how)),
    ("old SDK, GET, XML", lambda sim, **how: OldSdk(sim, "GET", "XML", **how)),
]


def throttled(make, sim):
    """The eleventh call of an operation in a second is refused; another operation is not; a second later it works."""
    sdk = make(sim)
    parameters = {"JobId": sim.jobs()[0]["id"]}
    until = time.monotonic() + 20
    first = None
    while first is None and time.monotonic() < until:
        time.sleep(1.1)  # an empty window
        before = time.monotonic()
        for call in range(1, 12):
            try:
                sdk.call("QueryOTAJob", **parameters)
            except Refused as error:
                first = (call, error)
                break
        if time.monotonic() - before > 0.9:
            first = None  # the machine was too slow for 11 calls in one window: once more
    holds(first is not None, "11 calls never fitted in one second")
    call, error = first
    equal(error.code, "Throttling.User", "code")
    equal(call, 11, "first refused call")
    equal(error.status, 400, "HTTP status")
    sdk.call("ListOTATaskByJob", CurrentPage=1, PageSize=1, **parameters)
    time.sleep(1.1)
    sdk.call("QueryOTAJob", **parameters)
    holds(sim.about("counters")["refused"]["throttled"] >= 1, "the simulator counted no refusal")


def throttle_hint(sim):
    """The new SDK reads `x-acs-retry-after`."""
    sim.set_faults([{"kind": "throttle", "remaining": 1}])
    error = refused(NewSdk(sim), "Throttling.User", 429, "QueryOTAJob", JobId=sim.jobs()[0]["id"])
    equal(error.retry_after, 1500, "retry_after of the SDK's exception")


def sts(make, sim):
    job_id = sim.jobs()[0]["id"]
    make(sim, token="demo/token+with=all").call("QueryOTAJob", JobId=job_id)
    refused(make(sim, token="another"), "InvalidSecurityToken.MismatchWithAccessKey", 400, "QueryOTAJob", JobId=job_id)
    refused(make(sim), "MissingSecurityToken", 400, "QueryOTAJob", JobId=job_id)


def instance(make, sim):
    sdk, job_id = make(sim), sim.jobs()[0]["id"]
    sdk.call("QueryOTAJob", JobId=job_id, IotInstanceId="iot-cn-demo0001")
    refused(sdk, "iot.system.InstanceNotFound", 200, "QueryOTAJob", JobId=job_id)
    refused(sdk, "iot.system.InstanceNotFound", 200, "QueryOTAJob", JobId=job_id, IotInstanceId="iot-cn-other")


def old_words(sim):
    """The spellings of older documents reach the client unchanged."""
    sdk = NewSdk(sim)
    jobs = [sdk.call("QueryOTAJob", JobId=job["id"])["Data"] for job in sim.jobs()]
    holds("COMPLETE" in {job["JobStatus"] for job in jobs}, "no COMPLETE")
    holds("VERFIY_FIRMWARE" in {job["JobType"] for job in jobs}, "no VERFIY_FIRMWARE")


def window(sim):
    """A batch of 130,000: the last page of the window is served, the next refused; each status tells its own total."""
    sdk, job = NewSdk(sim), sim.jobs()[0]
    equal(job["total"], 130_000, "tasks of the job")
    last = tasks_of(sdk, JobId=job["id"], CurrentPage=1000)
    equal(int(last["Total"]), 130_000, "Total")
    equal(len(rows(last, "Data", "SimpleOTATaskInfo")), 100, "rows of the last page")
    past = {"JobId": job["id"], "CurrentPage": 1001, "PageSize": 100}
    refused(sdk, "iot.common.InvalidPageParams", 200, "ListOTATaskByJob", **past)
    counts = {}
    for status in TASK_STATUSES:
        counts[status] = int(tasks_of(sdk, JobId=job["id"], PageSize=1, TaskStatus=status)["Total"])
    equal(counts, job["tasks"], "Total by status")


def alibaba(program):
    with Simulator(program, "alibaba", "--frozen", "--no-quota") as sim:
        for client, make in CLIENTS:
            sdk = make(sim)
            for name, test in READS:
                check(f"{client}: {name}", test, sdk, sim)
            check(f"{client}: wrong secret is refused", wrong_secret, make(sim, secret="wrong"), sim)
            if client.endswith("XML"):
                check(f"{client}: text that needs escaping", text_in_xml, sdk, sim)
    for client, make in CLIENTS[:3]:
        with Simulator(program, "alibaba", "--frozen") as sim:
            check(f"{client}: 10 calls a second and operation", throttled, make, sim)
    with Simulator(program, "alibaba", "--frozen", "--throttle-status", "429", "--retry-after-ms", "1500") as sim:
        check("new SDK: throttling with 429 and x-acs-retry-after", throttle_hint, sim)
    with Simulator(program, "alibaba", "--frozen", "--no-quota", "--security-token", "demo/token+with=all") as sim:
        for client, make in CLIENTS[:4]:
            check(f"{client}: STS token, wrong token, no token", sts, make, sim)
    with Simulator(program, "alibaba", "--frozen", "--no-quota", "--instance-id", "iot-cn-demo0001") as sim:
        for client, make in CLIENTS[:4]:
            check(f"{client}: instance id, wrong one, none", instance, make, sim)
    with Simulator(program, "alibaba", "--frozen", "--no-quota", "--complete-spelling", "--verfiy-spelling") as sim:
        check("new SDK: older spellings", old_words, sim)
    with Simulator(program, "alibaba", "--frozen", "--no-quota", "--huge", "130000") as sim:
        check("new SDK: a batch of 130,000 tasks and the window of 100,000", window, sim)


# ---------------------------------------------------------------- Huawei, classic northbound API

class Northbound:
    """What the vendor's northbound SDKs do, in a few lines: there is no official package of them on PyPI.

    Login is a form, refresh is JSON, every other call carries `app_key` and `Authorization: Bearer …`, parameters
    that are null are dropped, and a body with an `error_code` that is not null is an error whatever the HTTP status.
    """

    LOGIN = "/iocm/app/sec/v1.1.0/login"
    REFRESH = "/iocm/app/sec/v1.1.0/refreshToken"
    OPERATIONS = "/iodm/northbound/v1.5.0/operations"

    def __init__(self, sim, app_id=APP_ID, secret=APP_SECRET):
        self.sim, self.app_id, self.secret = sim, app_id, secret
        self.access = self.renewal = None

    def send(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(self.sim.host, self.sim.port, timeout=20)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            text, status = answer.read(), answer.status
        finally:
            connection.close()
        try:
            content = json.loads(text)
        except ValueError as error:
            raise Refused("not JSON", status, text[:80]) from error
        if content.get("error_code") is not None:
            raise Refused(content["error_code"], status, content.get("error_desc"))
        if status // 100 != 2:
            raise Refused(None, status, text[:80])
        return content

    def keep(self, token):
        self.access, self.renewal = token["accessToken"], token["refreshToken"]
        return token

    def login(self, as_json=False):
        fields = {"appId": self.app_id, "secret": self.secret}
        body = json.dumps(fields) if as_json else urllib.parse.urlencode(fields)
        kind = "application/json" if as_json else "application/x-www-form-urlencoded"
        return self.keep(self.send("POST", self.LOGIN, body, {"Content-Type": kind}))

    def refresh(self, as_form=False, renewal=None):
        fields = {"appId": self.app_id, "secret": self.secret, "refreshToken": renewal or self.renewal}
        body = urllib.parse.urlencode(fields) if as_form else json.dumps(fields)
        kind = "application/x-www-form-urlencoded" if as_form else "application/json"
        return self.keep(self.send("POST", self.REFRESH, body, {"Content-Type": kind}))

    def get(self, path, access=None, app_key=True, **parameters):
        query = urllib.parse.urlencode({name: value for name, value in parameters.items() if value is not None})
        headers = {"Authorization": f"Bearer {access or self.access}", "Content-Type": "application/json"}
        if app_key:
            headers["app_key"] = self.app_id
        return self.send("GET", f"{path}?{query}" if query else path, headers=headers)

    def operations(self, **parameters):
        return self.get(self.OPERATIONS, **parameters)

    def operation(self, operation_id):
        return self.get(f"{self.OPERATIONS}/{urllib.parse.quote(operation_id, safe='')}")

    def sub_operations(self, operation_id, **parameters):
        return self.get(f"{self.OPERATIONS}/{urllib.parse.quote(operation_id, safe='')}/subOperations", **parameters)

    def walk(self, read, total="totalCount"):
        found, page = [], 0
        while True:
            answer = read(pageNo=page, pageSize=37)
            equal(answer["pageNo"], page, "pageNo")
            found += answer["data"]
            if not answer["data"] or len(found) >= answer[total]:
                equal(len(found), answer[total], f"rows against {total}")
                return found
            page += 1


def expect(code, status, call, *arguments, **named):
    try:
        call(*arguments, **named)
    except Refused as error:
        equal((error.code, error.status), (code, status), f"refusal of {call.__name__}")
        return
    raise AssertionError(f"{call.__name__} was not refused")


def login(sim):
    client = Northbound(sim)
    token = client.login()
    equal(token["scope"], "default", "scope")
    equal(token["expiresIn"], 3600, "expiresIn")
    equal(token["tokenType"].strip().lower(), "bearer", "tokenType")
    client.operations(pageNo=0, pageSize=1)


def wrong_login(sim):
    expect("100208", 401, Northbound(sim, secret="wrong").login)
    expect("100208", 401, Northbound(sim, app_id="wrong").login)
    expect("102202", 400, Northbound(sim, secret="").login)
    expect("102202", 400, Northbound(sim).login, as_json=True)


def refresh(sim):
    client = Northbound(sim)
    old = client.login()
    new = client.refresh()
    holds(new["accessToken"] != old["accessToken"], "the same token again")
    client.operations(pageNo=0, pageSize=1)
    expect("50400", 400, client.refresh, as_form=True)
    expect("100208", 401, client.refresh, renewal="stale")


def older_token(sim):
    first, second = Northbound(sim), Northbound(sim)
    first.login()
    first.operations(pageNo=0, pageSize=1)
    second.login()
    expect("1010005", 403, first.operations, pageNo=0, pageSize=1)
    second.operations(pageNo=0, pageSize=1)
    before = second.access
    second.refresh()
    expect("1010005", 403, second.operations, access=before)


def no_access(sim):
    client = Northbound(sim)
    client.login()
    expect("1010005", 403, client.operations, access="rubbish")
    expect("100025", 401, client.operations, app_key=False)


def list_operations(sim):
    client = Northbound(sim)
    client.login()
    found = {one["operationId"]: one for one in client.walk(client.operations)}
    truth = {job["id"]: job for job in sim.jobs()}
    equal(set(found), set(truth), "operations")
    for operation_id, one in found.items():
        job = truth[operation_id]
        equal(one["status"], job["status"], "status")
        equal(one["staResult"]["total"], job["total"], "staResult.total")
        equal(one["staResult"]["timeout"], job["timed_out"], "staResult.timeout")
        for word, count in job["tasks"].items():
            equal(one["staResult"][word], count, f"staResult.{word}")
        equal(client.operation(operation_id), one, "the same operation, alone")
    expect("123009", 404, client.operation, "no/such task")


def filter_operations(sim):
    client = Northbound(sim)
    client.login()
    everything = client.walk(client.operations)
    for status in ("wait", "processing", "failed", "success", "stop"):
        some = client.walk(lambda **page: client.operations(operationStatus=status, deviceType=None, **page))
        wanted = [one["operationId"] for one in everything if one["status"] == status]
        equal([one["operationId"] for one in some], wanted, f"operations that are {status}")
    for kind in ("firmware_upgrade", "software_upgrade"):
        some = client.walk(lambda **page: client.operations(operationType=kind, **page))
        equal(len(some), sum(one["operateType"] == kind for one in everything), kind)
    expect("123029", 400, client.operations, pageNo=0, pageSize=101)
    expect("120015", 400, client.operations, operationStatus="fail", pageNo=0, pageSize=1)


def sub_operations(sim):
    client = Northbound(sim)
    client.login()
    for job in sim.jobs():
        devices = client.walk(lambda **page: client.sub_operations(job["id"], **page))
        equal(len({one["subOperationId"] for one in devices}), job["total"], "devices")
        counts = dict.fromkeys(job["tasks"], 0)
        for one in devices:
            counts[one["status"]] += 1
        equal(counts, job["tasks"], "devices by status")
        timeouts = sum(one["status"] == "fail" and "timeout" in one["detailInfo"].lower() for one in devices)
        equal(timeouts, job["timed_out"], "timeouts among the failures")
    busiest = max(sim.jobs(), key=lambda job: sum(count > 0 for count in job["tasks"].values()))
    for status, count in busiest["tasks"].items():
        some = client.walk(lambda **page: client.sub_operations(busiest["id"], subOperationStatus=status, **page))
        equal(len(some), count, f"devices that are {status}")


def huawei_throttled(sim):
    client = Northbound(sim)
    client.login()
    for _ in range(100):
        client.operations(pageNo=0, pageSize=1)
    expect("1010009", 403, client.operations, pageNo=0, pageSize=1)
    counters = sim.about("counters")
    equal(counters["refused"], {"throttled": 1}, "refusals that the simulator counted")
    # The token is still the newest one: a throttle says nothing about it, and login is not throttled.
    equal(client.login()["expiresIn"], 3600, "expiresIn")


def huawei_quirks(sim):
    """`totalSize`, a life in a string, null codes on success, upper case, errors under HTTP 200, an absent pageNo."""
    client = Northbound(sim)
    equal(client.login()["expiresIn"], "3600", "expiresIn")
    found = client.walk(client.operations, total="totalSize")
    holds("FAIL" in {one["status"] for one in found}, "no FAIL")
    expect("123009", 200, client.operation, "unknown")
    everything = client.operations()
    equal(len(everything["data"]), everything["totalSize"], "rows without pageNo")


def huawei(program):
    with Simulator(program, "huawei", "--frozen", "--no-quota") as sim:
        for name, test in [
            ("login with a form", login),
            ("wrong secret, empty secret, login with JSON", wrong_login),
            ("refresh with JSON, not with a form, not with a stale token", refresh),
            ("an older token is dead after login and after refresh", older_token),
            ("wrong token, no app_key", no_access),
            ("operations: every one once, counts as in the fleet, the same alone", list_operations),
            ("operations with filters, page limits", filter_operations),
            ("subOperations: every device once, counts as in the fleet, filters", sub_operations),
        ]:
            check(f"huawei: {name}", test, sim)
    with Simulator(program, "huawei", "--frozen") as sim:
        check("huawei: 100 calls a minute, then 1010009", huawei_throttled, sim)
    switches = (
        "--total-size", "--expires-in-as-string", "--null-error-code", "--uppercase-status", "--errors-with-200",
        "--unpaged-by-default", "--no-quota",
    )
    with Simulator(program, "huawei", "--frozen", *switches) as sim:
        check("huawei: the other reading of every quirk", huawei_quirks, sim)


# ---------------------------------------------------------------- start


def main():
    end_on_signals()
    program = begin(
        "Drives the vendors' official clients against the simulators.", "ota-sim", "--sim", REQUIREMENTS, MODULES, INSIDE,
    )
    logging.disable(logging.CRITICAL)  # the old SDK logs every refusal, also the expected ones
    check("all simulators of Alibaba started and ended", alibaba, program)
    check("all simulators of Huawei started and ended", huawei, program)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
