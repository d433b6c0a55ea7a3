"""Uses a client that `openapi-python-client` generated from the document, as `gateway_client`, against a sandbox.

What it reads is compared with what the simulators of the vendors hold, and every answer with what came over the wire.
"""

import collections
import datetime
import http
import json
import time

import attrs
from gateway_client import AuthenticatedClient, Client, models
from gateway_client.api.fleet import count_jobs, count_tasks, get_job_history, get_sync, list_fleet_jobs, list_fleet_tasks, start_sync
from gateway_client.api.jobs import get_job, get_job_stats, list_jobs, list_tasks
from gateway_client.api.providers import check_provider, get_provider, list_providers
from gateway_client.types import UNSET, Unset

# The words of the vendors for tasks that have ended.
ENDED = {
    "SUCCEEDED": "succeeded", "FAILED": "failed", "CANCELED": "canceled",
    "success": "succeeded", "fail": "failed", "stop": "canceled",
}
TASK_STATUSES = {"pending", "in_progress", "succeeded", "failed", "canceled", "skipped", "unknown"}
VENDORS = {"aliyun": "alibaba-iot", "huawei": "huawei-iot"}

counted = collections.Counter()


def holds(condition, what):
    counted["comparisons"] += 1
    if not condition:
        raise AssertionError(what)


def equal(got, wanted, what):
    holds(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}")


def is_a(kind, value, what):
    holds(type(value) is kind, f"{what}: {value!r} is no {kind.__name__}")
    return value


# ---------------------------------------------------------------- calls

def ask(operation, *arguments, client, **named):
    """Makes one call, and waits as it is told to where the vendor's quota is used up."""
    for _ in range(20):
        answer = operation.sync_detailed(*arguments, client=client, **named)
        counted["requests"] += 1
        if answer.status_code != http.HTTPStatus.SERVICE_UNAVAILABLE:
            return answer
        problem = is_a(models.Problem, answer.parsed, "503")
        equal(problem.code, "provider_throttled", "code of a 503")
        equal(answer.headers["retry-after"], str(problem.retry_after_s), "Retry-After")
        time.sleep(problem.retry_after_s)
    raise AssertionError("the quota never came back")


def read(kind, operation, *arguments, client, **named):
    """Makes one call that must be answered with 200, and returns what the client made of it."""
    answer = ask(operation, *arguments, client=client, **named)
    equal(answer.status_code, http.HTTPStatus.OK, f"status of {operation.__name__}{arguments}: {answer.content[:400]}")
    value = is_a(kind, answer.parsed, operation.__name__)
    whole(value, answer.content, operation.__name__)
    return value


def refuse(status, code, field, operation, *arguments, client, **named):
    """Makes one call that must be refused, and returns its answer."""
    answer = ask(operation, *arguments, client=client, **named)
    problem = is_a(models.Problem, answer.parsed, f"{operation.__name__}{arguments}")
    equal((int(answer.status_code), problem.status, problem.code), (status, status, code), problem.detail)
    equal(problem.field, field, f"field of {code}")
    equal(answer.headers["content-type"], "application/problem+json", "content type")
    equal(answer.headers["x-request-id"], problem.request_id, "request id")
    whole(problem, answer.content, code)
    return answer


def whole(value, content, what):
    """Holds that the client lost nothing of the answer, and that nothing was in it that the document does not know."""
    told = json.loads(content, object_hook=with_times)
    equal(json.loads(json.dumps(value.to_dict()), object_hook=with_times), told, f"{what}, written again")
    declared(value, what)


def with_times(members):
    """Reads times, which the client writes in another form of RFC 3339 than the gateway."""
    for name, value in members.items():
        if isinstance(value, str) and (name.endswith(("_at", "as_of")) or name == "at"):
            members[name] = datetime.datetime.fromisoformat(value)
    return members


def declared(value, at):
    """Looks for fields that no schema declares, in a value and all that is in it."""
    if isinstance(value, list):
        for item in value:
            declared(item, at)
    if not attrs.has(type(value)):
        return
    names = [field.name for field in attrs.fields(type(value)) if field.name != "additional_properties"]
    # A schema without fields of its own is a map, such as the vendor's own fields.
    holds(not names or not value.additional_properties, f"{at}: undeclared {value.additional_properties}")
    for name in names:
        declared(getattr(value, name), f"{at}.{name}")


def walk(kind, operation, *arguments, client, **named):
    """Reads a list page by page to its end."""
    rows, pages, cursor = [], 0, UNSET
    while True:
        page = read(kind, operation, *arguments, client=client, cursor=cursor, **named)
        rows += page.items
        pages += 1
        holds(len(page.items) <= named["page_size"], f"a page of {len(page.items)}")
        holds(not page.stale and not page.truncated, "stale or truncated")
        is_a(datetime.datetime, page.as_of, "as_of")
        if isinstance(page.next_cursor, Unset):
            break
        cursor = is_a(str, page.next_cursor, "next_cursor")
        holds(pages < 200, "the list has no end")
    identifiers = [row.id for row in rows]
    equal(len(set(identifiers)), len(identifiers), "rows, each once")
    counted["pages"] += pages
    counted["rows"] += len(rows)
    return rows, page


# ---------------------------------------------------------------- what is proven

def providers(client):
    found = {one.name: one for one in read(models.ProviderList, list_providers, client=client).items}
    equal({name: one.vendor for name, one in found.items()}, VENDORS, "providers")
    for name in found:
        one = read(models.Provider, get_provider, name, client=client)
        equal(one.name, name, "name")
        is_a(int, one.quota.limit, "quota.limit")
        is_a(bool, one.capabilities.job_stats.native, "capabilities.job_stats.native")
        health = read(models.Health, check_provider, name, client=client)
        equal(health.state, "ok", f"health of {name}")
        is_a(datetime.datetime, health.checked_at, "checked_at")
        health = read(models.Provider, get_provider, name, client=client).health
        equal(health.state, "ok", f"health of {name}, told afterwards")


def jobs(client, sandbox, provider):
    fleet = sandbox.fleet(provider)
    rows, last = walk(models.JobPage, list_jobs, provider, client=client, page_size=5)
    equal({row.id for row in rows}, set(fleet), f"jobs of {provider}")
    holds(last.total in (UNSET, len(fleet)), f"total: {last.total}")
    for row in rows:
        equal(row.provider, provider, "provider")
        equal(row.vendor.name, VENDORS[provider], "vendor.name")
        equal(row.vendor.status.upper(), fleet[row.id]["status"].upper(), "vendor.status")
        is_a(datetime.datetime, row.created_at, "created_at")
    some, _ = walk(models.JobPage, list_jobs, provider, client=client, page_size=100, status=[models.ListJobsStatusItemType0.CANCELED])
    equal({row.id for row in some}, {row.id for row in rows if row.status == "canceled"}, "canceled jobs")
    holds(some, f"no canceled job at {provider}")
    # A comma list is a value as well.
    some, _ = walk(models.JobPage, list_jobs, provider, client=client, page_size=100, status=["canceled,completed"])
    equal({row.id for row in some}, {row.id for row in rows if row.status in ("canceled", "completed")}, "jobs in a comma list")


def one_job(client, sandbox, provider):
    """Reads a job whose tasks have all ended: its counts hold still."""
    fleet = sandbox.fleet(provider)
    settled = [job for job in fleet.values() if sum(job["tasks"].get(word, 0) for word in ENDED) == job["total"]]
    truth = max(settled, key=lambda job: (sum(count > 0 for count in job["tasks"].values()), -job["total"]))
    counts = {status: truth["tasks"].get(word, 0) for word, status in ENDED.items() if word in truth["tasks"]}
    job = read(models.Job, get_job, provider, truth["id"], client=client)
    equal((job.id, job.provider, job.detail), (truth["id"], provider, "full"), "the job alone")
    stats = read(models.JobStats, get_job_stats, provider, job.id, client=client)
    equal((stats.total, stats.pending, stats.in_progress), (truth["total"], 0, 0), "statistics")
    equal({status: getattr(stats, status) for status in counts}, counts, "statistics")

    rows, _ = walk(models.TaskPage, list_tasks, provider, job.id, client=client, page_size=100)
    equal(dict(collections.Counter(row.status for row in rows)), {word: count for word, count in counts.items() if count}, "tasks")
    for row in rows:
        equal((row.provider, row.job_id), (provider, job.id), "where a task belongs")
        is_a(str, row.device.id, "device.id")
        is_a(datetime.datetime, row.created_at, "created_at")
    identifiers = collections.defaultdict(set)
    for row in rows:
        identifiers[row.status].add(row.id)
    word = models.ListTasksStatusItemType0
    for statuses in [[word.FAILED], [word.SUCCEEDED, word.CANCELED], [word.PENDING]]:
        some, _ = walk(models.TaskPage, list_tasks, provider, job.id, client=client, page_size=100, status=statuses)
        wanted = set().union(*(identifiers[status.value] for status in statuses))
        equal({row.id for row in some}, wanted, f"tasks that are {[status.value for status in statuses]}")
    holds(identifiers["failed"], f"no failed task in the job read at {provider}")

    device = is_a(str, rows[0].device.id, "device.id")
    some, _ = walk(models.TaskPage, list_tasks, provider, job.id, client=client, page_size=100, device_id=device)
    equal([row.device.id for row in some], [device], "tasks of one device by its id")
    if provider == "aliyun":
        names = sorted(row.device.name for row in rows)[:2]
        some, _ = walk(models.TaskPage, list_tasks, provider, job.id, client=client, page_size=100, device_name=names)
        equal(sorted(row.device.name for row in some), names, "tasks of two devices by name")
    else:
        refuse(
            422, "unsupported_by_provider", "device_name", list_tasks, provider, job.id, client=client, device_name=["x"],
        )
    return job


def current(page, names, what):
    """Holds that an answer about these providers says of each that its mirror is current."""
    equal({source.provider: source.state for source in page.sources}, {name: "current" for name in names}, f"sources of {what}")
    is_a(datetime.datetime, page.as_of, "as_of")


def walk_fleet(kind, operation, names, client, **named):
    """Reads a list of the whole fleet to its end: as `walk`, with sources in the place of `stale`."""
    rows, pages, cursor = [], 0, UNSET
    while not pages or not isinstance(cursor, Unset):
        page = read(kind, operation, client=client, cursor=cursor, **named)
        current(page, names, operation.__name__)
        holds(len(page.items) <= named["page_size"], f"a page of {len(page.items)}")
        rows += page.items
        pages += 1
        cursor = page.next_cursor
        holds(pages < 200, "the list has no end")
    counted["pages"] += pages
    counted["rows"] += len(rows)
    return rows


def mirrored(client, sandbox, names, job):
    """Questions about all vendors are answered from the mirror, and it holds what the vendors hold."""
    sandbox.wait_until_mirrored()
    fleets = {name: sandbox.fleet(name) for name in names}
    wanted = {(name, job) for name in names for job in fleets[name]}
    rows = walk_fleet(models.FleetJobPage, list_fleet_jobs, names, client, page_size=10)
    # Jobs may begin while this runs; none is missing and none is there twice.
    found = [(row.provider, row.id) for row in rows]
    equal(len(set(found)), len(found), "jobs of the fleet, each once")
    holds(wanted <= set(found), f"jobs that the mirror lacks: {wanted - set(found)}")
    for row in rows:
        is_a(datetime.datetime, row.mirror.as_of, "mirror.as_of")
        is_a(datetime.datetime, row.mirror.changed_at, "mirror.changed_at")
    ended = [one for name in names for one in fleets[name].items() if sum(one[1]["tasks"].get(word, 0) for word in ENDED) == one[1]["total"]]
    shown = {row.id: row.stats for row in rows}
    for identifier, truth in ended:
        equal(shown[identifier].total, truth["total"], f"stats.total of {identifier}")
        # Of no tasks there is no share.
        equal(shown[identifier].finished_percent, 100.0 if truth["total"] else UNSET, f"finished_percent of {identifier}")

    named = {"provider": [job.provider], "job_id": [job.id]}
    tasks = walk_fleet(models.FleetTaskPage, list_fleet_tasks, [job.provider], client, page_size=70, **named)
    truth = fleets[job.provider][job.id]
    counts = {status: truth["tasks"][word] for word, status in ENDED.items() if truth["tasks"].get(word)}
    equal(dict(collections.Counter(row.status for row in tasks)), counts, "tasks of a job, from the mirror")
    groups = read(models.GroupCounts, count_tasks, client=client, group_by=[models.CountTasksGroupByItem.STATUS], **named)
    equal({group.keys.to_dict()["status"]: group.count for group in groups.groups}, counts, "counted tasks of a job")
    current(groups, [job.provider], "count_tasks")

    by = models.CountJobsGroupByItem
    groups = read(models.GroupCounts, count_jobs, client=client, group_by=[by.PROVIDER, by.STATUS])
    current(groups, names, "count_jobs")
    holds(groups.total >= len(wanted), f"{groups.total} jobs counted")
    equal(sum(group.count for group in groups.groups), groups.total, "the groups, added up")
    history = read(models.JobHistory, get_job_history, job.provider, job.id, client=client)
    equal(history.points[-1].counts.total, truth["total"], "the last counts of the history")
    for name in names:
        sync = read(models.SyncProgress, get_sync, name, client=client)
        equal(sync.state, "current", f"sync of {name}")
        holds(sync.rows.jobs >= len(fleets[name]), f"rows of {name}: {sync.rows}")
        answer = ask(start_sync, name, client=client)
        equal((int(answer.status_code), type(answer.parsed)), (202, models.SyncProgress), f"a pass that was asked for: {answer.content[:400]}")
        whole(answer.parsed, answer.content, "start_sync")
    refuse(404, "not_found", "provider", list_fleet_jobs, client=client, provider=["nobody"])
    refuse(400, "invalid_argument", "page_size", list_fleet_tasks, client=client, page_size=501)
    refuse(400, "invalid_cursor", "cursor", list_fleet_tasks, client=client, cursor="AAAA")
    refuse(400, "invalid_argument", "q", list_fleet_jobs, client=client, q="x")


def unchanged(client, job):
    first = ask(get_job, job.provider, job.id, client=client)
    again = ask(get_job, job.provider, job.id, client=client, if_none_match=first.headers["etag"])
    equal((int(again.status_code), again.content, again.parsed), (304, b"", None), "the answer that one has")
    equal(again.headers["etag"], first.headers["etag"], "ETag")


def mistakes(client, job):
    there = (job.provider, job.id)
    refuse(400, "invalid_argument", "page_size", list_jobs, "aliyun", client=client, page_size=101)
    refuse(400, "invalid_cursor", "cursor", list_jobs, "aliyun", client=client, cursor="AAAA")
    refuse(400, "invalid_argument", "device_name", list_tasks, *there, client=client, device_name=["a\nb"])
    refuse(404, "not_found", "provider", list_jobs, "nobody", client=client)
    refuse(404, "not_found", "job_id", get_job, job.provider, "no/such job", client=client)
    outcome = [models.ListJobsOutcomeItemType0.FAILED]
    refuse(422, "unsupported_by_provider", "outcome", list_jobs, "aliyun", client=client, outcome=outcome)


def no_access(sandbox, job):
    """A generated client without a token, and with a token that nobody gave it."""
    calls = [
        (list_providers,), (get_provider, job.provider), (check_provider, job.provider), (list_jobs, job.provider),
        *((operation, job.provider, job.id) for operation in (get_job, get_job_stats, list_tasks, get_job_history)),
        (list_fleet_jobs,), (list_fleet_tasks,), (get_sync, job.provider), (start_sync, job.provider),
    ]
    by = {count_jobs: [models.CountJobsGroupByItem.STATUS], count_tasks: [models.CountTasksGroupByItem.STATUS]}
    forged = f"{sandbox.token[:-8]}AAAAAAAA"
    for client in (Client(base_url=sandbox.url), AuthenticatedClient(base_url=sandbox.url, token=forged)):
        for operation, *arguments in calls:
            answer = refuse(401, "unauthenticated", UNSET, operation, *arguments, client=client)
            holds(answer.headers["www-authenticate"].startswith("Bearer"), "WWW-Authenticate")
        for operation, keys in by.items():
            refuse(401, "unauthenticated", UNSET, operation, client=client, group_by=keys)


def words_to_come(client, job):
    """All words of answers are open: a client of today reads those of tomorrow, and keeps fields that it does not know."""
    told = ask(get_job, job.provider, job.id, client=client).content
    changed = json.loads(told)
    new = {"status": "hibernating", "outcome": "mixed", "kind": "eeprom", "purpose": "rehearsal", "detail": "excerpt"}
    changed |= {**new, "colour": "green"}
    read = models.Job.from_dict(changed)
    for name, word in new.items():
        equal(getattr(read, name), word, name)
    equal(read.additional_properties, {"colour": "green"}, "a new field")
    row = models.Task.from_dict({
        "provider": job.provider, "job_id": job.id, "id": "1", "status": "asleep", "stage": "dreaming", "failure": "tired",
        "device": {}, "vendor": {"name": "alibaba-iot", "status": "ASLEEP"},
    })
    equal((row.status, row.stage, row.failure), ("asleep", "dreaming", "tired"), "words of a task")
    # Words of requests are those that are taken today: a client may be told of a wrong one before it asks.
    equal({item.value for item in models.ListTasksStatusItemType0}, TASK_STATUSES, "words that can be asked for")


def prove(sandbox, names):
    """Proves all of it and returns what was counted."""
    with AuthenticatedClient(base_url=sandbox.url, token=sandbox.token, raise_on_unexpected_status=True, timeout=60) as client:
        providers(client)
        for provider in names:
            jobs(client, sandbox, provider)
            job = one_job(client, sandbox, provider)
            unchanged(client, job)
            mistakes(client, job)
            words_to_come(client, job)
            mirrored(client, sandbox, names, job)
        no_access(sandbox, job)
    return (
        f"{counted['requests']} requests, {counted['rows']} rows on {counted['pages']} pages, {counted['comparisons']} comparisons"
    )
