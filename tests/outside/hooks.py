"""What schemathesis is told about this API: real identifiers, and for which reasons a request may be refused."""

import json
import os

import schemathesis
from hypothesis import strategies

# Why a request that keeps to the document may be refused. No schema can hold these reasons.
OF_ANY_REQUEST = {
    400: {"invalid_cursor"},
    404: {"not_found"},
    422: {"unsupported_by_provider"},
    503: {"provider_throttled"},
    504: {"nothing_cached"},
}
# A parameter that is only taken together with another one, by operation: identifiers of jobs are the vendors' own.
TOGETHER = {"list_fleet_tasks": "job_id", "count_tasks": "job_id"}
# Why one that does not may be.
OF_A_MISTAKE = {400: {"invalid_argument"}, 401: {"unauthenticated"}, 405: {"method_not_allowed"}}


EXAMPLES = json.loads(os.environ["OTA_OUTSIDE_EXAMPLES"])


def examples_of(operation):
    return [example for example in EXAMPLES if example["operation"] == operation.definition.raw["operationId"]]


@schemathesis.hook
def before_add_examples(context, examples):
    """Adds requests that have an answer, of each provider."""
    for example in examples_of(context.operation):
        examples.append(context.operation.Case(path_parameters=example["path"], query=example["query"]))


@schemathesis.hook
def before_generate_path_parameters(context, strategy):
    """Takes what exists half the time: nothing random is the name of a provider or the identifier of a job."""
    paths = [example["path"] for example in examples_of(context.operation)]
    return strategy | strategies.sampled_from(paths) if paths else strategy


@schemathesis.check
def refused_for_a_reason(context, response, case):
    """A refusal has a code that fits the request, and says the same in body, status line and headers."""
    if response.status_code < 400:
        return
    mistaken = case.meta is not None and case.meta.generation.mode.is_negative
    problem = response.json()
    code, status = problem["code"], response.status_code
    operation = case.operation.definition.raw["operationId"]
    allowed = OF_ANY_REQUEST.get(status, set()) | (OF_A_MISTAKE.get(status, set()) if mistaken else set())
    if status == 400 and "field" in problem and problem["field"] == TOGETHER.get(operation):
        allowed = allowed | {"invalid_argument"}
    assert code in allowed, f"{status} `{code}` for a request that {'breaks' if mistaken else 'keeps to'} the document"
    assert problem["status"] == status, "another status in the body"
    assert problem["type"] == f"urn:ota-gateway:problem:{code}", "another type than code"
    assert [problem["request_id"]] == response.headers.get("x-request-id"), "another request id in the header"
    seconds = response.headers.get("retry-after")
    assert (seconds is not None) == (status == 503), "Retry-After where it does not belong, or not where it does"
