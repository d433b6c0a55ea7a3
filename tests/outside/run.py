#!/usr/bin/env python3
"""Proves from outside that the gateway serves what its document says, with tools that know nothing of the gateway.

Usage: python3 tests/outside/run.py --sandbox target/debug/ota-sandbox [--venv DIR]

Prints a line for each proof and ends with `N proven, N failed`; exit code 0 if all is proven, 1 if not, 2 if it could not start.
"""

import collections
import copy
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

# Nothing that Python keeps of a program belongs beside its source.
sys.dont_write_bytecode = True
sys.path.insert(1, str(pathlib.Path(__file__).resolve().parents[1]))
from own_environment import begin, give_up  # noqa: E402
from processes import end_on_signals  # noqa: E402
from proofs import holds, prove  # noqa: E402
from sandbox import Sandbox  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE / "requirements.txt"
DOCUMENT = HERE.parents[1] / "openapi" / "gateway.v1.json"
INSIDE = "OTA_OUTSIDE_INSIDE_VENV"
MODULES = ("attrs", "httpx", "openapi_python_client", "openapi_spec_validator", "schemathesis")
# The generated client reads times with what Python 3.11 brought.
OLDEST = (3, 11)
# Nothing here takes minutes where it works; what hangs is ended and has failed.
LIMIT_S = 600

PROVIDERS = ("aliyun", "huawei")
# Checks of schemathesis that must have been made of some answer, and its phases that must have run.
CHECKS = (
    "allow_header_conformance", "content_type_conformance", "ignored_auth", "negative_data_rejection", "not_a_server_error",
    "positive_data_acceptance", "refused_for_a_reason", "response_headers_conformance", "response_schema_conformance",
    "status_code_conformance", "unsupported_method",
)
PHASES = ("examples", "coverage", "fuzzing", "stateful")


# ---------------------------------------------------------------- the document

def served_document(program, _):
    """What is served is the checked-in file."""
    with Sandbox(program) as sandbox:
        served = sandbox.read("/openapi.json")
    holds(served == DOCUMENT.read_text(), f"/openapi.json is not {DOCUMENT.name}; run `cargo xtask openapi`")
    return f"{len(served)} bytes, verbatim"


def valid_document(*_):
    """The file is OpenAPI 3.1, by a validator that finds faults."""
    from openapi_spec_validator import OpenAPIV31SpecValidator

    def faults(document):
        return [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]

    document = json.loads(DOCUMENT.read_text())
    holds(document["openapi"].startswith("3.1."), f"openapi: {document['openapi']}")
    found = faults(document)
    holds(not found, f"not OpenAPI 3.1: {found[:5]}")
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    # Else a validator that reads nothing would prove it too.
    for harm in ("a path parameter left out", "a schema of no type", "a title left out"):
        harmed = copy.deepcopy(document)
        if harm == "a path parameter left out":
            parameters = harmed["paths"]["/v1/providers/{provider}"]["get"]["parameters"]
            parameters.remove({"$ref": "#/components/parameters/provider"})
        elif harm == "a schema of no type":
            harmed["components"]["schemas"]["Job"]["type"] = "thing"
        else:
            del harmed["info"]["title"]
        holds(faults(harmed), f"the validator accepts {harm}")
    return f"{len(operations)} operations, {len(document['components']['schemas'])} schemas, no fault; 3 faults put in were found"


# ---------------------------------------------------------------- schemathesis

def examples(sandbox):
    """Returns requests that have an answer, of each provider: for nothing random exists."""
    found = []
    sandbox.wait_until_mirrored()

    def add(operation, path, **query):
        found.append({"operation": operation, "path": path, "query": query})

    for provider in PROVIDERS:
        of_provider = {"provider": provider}
        page = json.loads(sandbox.read(f"/v1/providers/{provider}/jobs?page_size=3"))
        add("get_provider", of_provider)
        add("check_provider", of_provider)
        add("list_jobs", of_provider)
        add("list_jobs", of_provider, page_size=3, cursor=page["next_cursor"])
        add("list_jobs", of_provider, status=["completed", "canceled"])
        # The job whose tasks are in the most statuses shows most of what an answer can hold.
        fleet = sandbox.fleet(provider)
        job = max(fleet, key=lambda job: sum(count > 0 for count in fleet[job]["tasks"].values()))
        of_job = {**of_provider, "job_id": job}
        add("get_job", of_job)
        add("get_job_stats", of_job)
        add("list_tasks", of_job)
        add("list_tasks", of_job, page_size=2, status=["failed", "succeeded"])
        add("get_job_history", of_job)
        add("get_sync", of_provider)
        add("start_sync", of_provider)
        add("list_fleet_tasks", {}, provider=[provider], job_id=[job], page_size=5)
    # Questions about all providers: pages with a next one, groups, each kind of filter.
    for operation, listed in (("list_fleet_jobs", "jobs"), ("list_fleet_tasks", "tasks")):
        page = json.loads(sandbox.read(f"/v1/{listed}?page_size=3"))
        add(operation, {}, page_size=3, cursor=page["next_cursor"])
        add(operation, {}, status=["in_progress"], sort="changed_at", page_size=500)
        add(operation, {}, q="sensor" if listed == "tasks" else "firm")
    add("list_fleet_tasks", {}, stuck_for_s=3600)
    add("list_fleet_tasks", {}, failure=["timeout"], vendor=["alibaba-iot"])
    add("list_fleet_jobs", {}, with_failures="true", include_vanished="true")
    add("count_jobs", {}, group_by=["provider", "status"])
    add("count_tasks", {}, group_by=["failure"], status=["failed"])
    return found


def fuzzed_document(program, folder):
    """Schemathesis finds no answer that the document does not allow, and has seen answers of every operation."""
    report = folder / "schemathesis.ndjson"
    with Sandbox(program) as sandbox:
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
            f"{sandbox.url}/openapi.json", "--report", "ndjson", "--report-ndjson-path", str(report), "--no-color",
        ]
        environment = {
            **os.environ, "OTA_OUTSIDE_HOOKS": str(HERE / "hooks.py"), "OTA_OUTSIDE_TOKEN": sandbox.token,
            "OTA_OUTSIDE_EXAMPLES": json.dumps(examples(sandbox)),
        }
        # What it leaves in the folder where it runs goes with that folder.
        run = subprocess.run(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
        )
    if run.returncode:
        print(run.stdout[-20000:], flush=True)
    holds(run.returncode == 0, f"schemathesis ended with {run.returncode}; what it found stands above")
    return weigh(report, json.loads(DOCUMENT.read_text()))


def weigh(report, document):
    """Counts what was asked and answered: a run that asked nothing has found nothing either."""
    answers, checks, phases = collections.Counter(), collections.Counter(), set()
    for line in report.read_text().splitlines():
        scenario = json.loads(line).get("ScenarioFinished")
        if not scenario:
            continue
        recorder = scenario["recorder"]
        for made in recorder.get("checks", {}).values():
            checks.update(check["name"] for check in made if check["status"] == "success")
        for case, interaction in recorder.get("interactions", {}).items():
            if not interaction.get("response"):
                continue
            sent = recorder["cases"][case]["value"]
            provider = sent.get("path_parameters", {}).get("provider")
            provider = provider if provider in PROVIDERS else None
            answers[sent["method"], sent["path"], provider, interaction["response"]["status_code"]] += 1
            phases.add(scenario["phase"])
    holds(phases == set(PHASES), f"phases: {sorted(phases)}")
    missing = [check for check in CHECKS if not checks[check]]
    holds(not missing, f"checks that were made of no answer: {missing}")

    def seen(status, method=None, path=None, provider=None):
        return sum(
            count for (*asked, got), count in answers.items()
            if got == status and all(wanted in (None, has) for wanted, has in zip((method, path, provider), asked))
        )

    for path, operations in document["paths"].items():
        for method in (method.upper() for method in operations):
            good = next(int(status) for status in operations[method.lower()]["responses"] if status.startswith("2"))
            for provider in PROVIDERS if "{provider}" in path else (None,):
                holds(seen(good, method, path, provider), f"no {good} of {method} {path} for {provider}")
            holds(seen(401, method, path), f"{method} {path} was never asked without a token")
            if method == "GET":
                holds(seen(405, None, path), f"{path} was never asked with another method")
                holds(seen(304, method), "no 304")
    # As many as a run without limits of its own always has; fewer would mean that the tools no longer ask.
    for status, least in ((200, 100), (400, 100), (404, 1), (405, 20), (422, 1)):
        holds(seen(status) >= least, f"{seen(status)} answers with {status}, fewer than {least}")
    by_status = collections.Counter()
    for (*_, status), count in answers.items():
        by_status[status] += count
    counted = ", ".join(f"{count} times {status}" for status, count in sorted(by_status.items()))
    return f"{sum(answers.values())} requests: {counted}; {sum(checks.values())} checks"


# ---------------------------------------------------------------- a generated client

def generated_client(program, folder):
    """A client that a generator makes from the document works, and what it reads is what the vendors hold."""
    package = folder / "gateway_client"
    generator = shutil.which("openapi-python-client", path=pathlib.Path(sys.executable).parent)
    holds(generator, "openapi-python-client is not where Python is")
    command = [generator, "generate", "--path", str(DOCUMENT), "--output-path", str(package), "--meta", "none", "--fail-on-warning"]
    # It formats what it wrote with a program that it looks for in PATH.
    environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    run = subprocess.run(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S,
    )
    holds(run.returncode == 0, f"openapi-python-client ended with {run.returncode}: {run.stdout[-2000:]}")
    for place in (str(folder), str(HERE)):
        sys.path.insert(0, place)
    client = importlib.import_module("client")
    with Sandbox(program) as sandbox:
        return client.prove(sandbox, PROVIDERS)


# ---------------------------------------------------------------- start

PROOFS = (
    ("the served document is the checked-in one", served_document),
    ("the document is OpenAPI 3.1", valid_document),
    ("a generated client reads what the vendors hold", generated_client),
    ("schemathesis finds no answer that the document does not allow", fuzzed_document),
)


def main():
    end_on_signals()
    if sys.version_info < OLDEST:
        give_up(f"Python {'.'.join(map(str, OLDEST))} or newer is needed; this is {sys.version.split()[0]}")
    program = begin(
        "Proves from outside that the gateway serves what its document says.", "ota-sandbox", "--sandbox", REQUIREMENTS, MODULES, INSIDE,
    )
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    return prove("ota-outside-", PROOFS, lambda proof, folder: proof(program, folder))


if __name__ == "__main__":
    sys.exit(main())
