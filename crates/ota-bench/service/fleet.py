"""What a user would write in place of the fleet operations: FastAPI and SQLAlchemy over the file of the mirror.

It reads the same tables and takes the same questions as the gateway. It checks no token, limits nobody to some providers and sends no validator.
Run as: python fleet.py DATABASE PORT
"""

import sys
from datetime import datetime, timezone
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import ForeignKey, create_engine, event, func, or_, select
from sqlalchemy.ext.associationproxy import association_proxy
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, contains_eager, mapped_column, relationship, sessionmaker

# The numbers that the mirror stores words as.
TASK_STATUS = ["pending", "in_progress", "succeeded", "failed", "canceled", "skipped", "unknown"]
FAILURE = [
    "timeout", "offline", "download", "integrity", "version_mismatch", "incompatible", "storage", "conflict", "rejected", "other",
]


class Base(DeclarativeBase):
    pass


class Provider(Base):
    __tablename__ = "providers"
    pk: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    vendor: Mapped[str]


class Job(Base):
    __tablename__ = "jobs"
    pk: Mapped[int] = mapped_column(primary_key=True)
    source: Mapped[int]
    id: Mapped[str]
    gone: Mapped[int]
    status: Mapped[int]
    outcome: Mapped[int]
    kind: Mapped[int]
    package_id: Mapped[str]
    package_version: Mapped[str]
    product_id: Mapped[str]
    description: Mapped[str]
    created_at: Mapped[int]
    changed_at: Mapped[int]
    succeeded: Mapped[int]
    failed: Mapped[int]
    pending: Mapped[int]
    in_progress: Mapped[int]


class Values(Base):
    """The values that many tasks share."""
    __tablename__ = "task_combinations"
    pk: Mapped[int] = mapped_column(primary_key=True)
    stage: Mapped[int]
    failure: Mapped[int]
    product_id: Mapped[str]
    from_version: Mapped[str]
    to_version: Mapped[str]


class Task(Base):
    __tablename__ = "tasks"
    pk: Mapped[int] = mapped_column(primary_key=True)
    job: Mapped[int]
    source: Mapped[int]
    gone: Mapped[int]
    id: Mapped[str]
    status: Mapped[int]
    combination: Mapped[int] = mapped_column(ForeignKey(Values.pk))
    device_id: Mapped[str]
    device_name: Mapped[str]
    search: Mapped[str]
    created_at: Mapped[int]
    changed_at: Mapped[int]
    values: Mapped[Values] = relationship(lazy="raise")
    failure = association_proxy("values", "failure")
    product_id = association_proxy("values", "product_id")
    from_version = association_proxy("values", "from_version")
    to_version = association_proxy("values", "to_version")


class JobOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    status: int
    package_id: str
    package_version: str
    product_id: str
    description: str
    created_at: int
    changed_at: int
    succeeded: int
    failed: int
    pending: int
    in_progress: int


class TaskOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)
    id: str
    job: int
    status: int
    failure: int
    device_id: str
    device_name: str
    product_id: str
    from_version: str
    to_version: str
    created_at: int
    changed_at: int


class JobPage(BaseModel):
    items: list[JobOut]


class TaskPage(BaseModel):
    items: list[TaskOut]


class Group(BaseModel):
    keys: list[str | int]
    count: int


class Groups(BaseModel):
    groups: list[Group]


engine = create_engine(f"sqlite:///{sys.argv[1]}", connect_args={"check_same_thread": False})
Sessions = sessionmaker(engine)


@event.listens_for(engine, "connect")
def read_only(connection, _record):
    connection.execute("PRAGMA query_only = on")


def session():
    with Sessions() as one:
        yield one


Database = Annotated[Session, Depends(session)]
Text = Annotated[str | None, Query()]
app = FastAPI()

JOB_SORT = {"created_at": Job.created_at, "changed_at": Job.changed_at, "failed": Job.failed}
TASK_SORT = {"created_at": Task.created_at, "changed_at": Task.changed_at, "device_name": Task.device_name}
JOB_KEYS = {"provider": Job.source, "vendor": Provider.vendor, "status": Job.status, "outcome": Job.outcome, "kind": Job.kind,
            "product_id": Job.product_id, "package_id": Job.package_id, "package_version": Job.package_version}
TASK_KEYS = {"provider": Task.source, "vendor": Provider.vendor, "status": Task.status, "stage": Values.stage, "failure": Values.failure,
             "job_id": Task.job, "product_id": Values.product_id, "from_version": Values.from_version, "to_version": Values.to_version}


def order(sort, columns):
    column = columns.get(sort.removeprefix("-"))
    if column is None:
        raise HTTPException(400, "sort")
    return column.desc() if sort.startswith("-") else column.asc()


def code(word, words):
    if word not in words:
        raise HTTPException(400, word)
    return words.index(word) + 1


@app.get("/v1/jobs")
def jobs(database: Database, sort: str = "-created_at", page_size: int = 50) -> JobPage:
    question = select(Job).where(Job.gone == 0).order_by(order(sort, JOB_SORT)).limit(page_size)
    return JobPage(items=[JobOut.model_validate(job) for job in database.scalars(question)])


@app.get("/v1/tasks")
def tasks(
    database: Database,
    provider: Text = None,
    status: Text = None,
    failure: Text = None,
    product_id: Text = None,
    from_version: Text = None,
    to_version: Text = None,
    device_name: Text = None,
    stuck_for_s: int | None = None,
    q: Text = None,
    sort: str = "-changed_at",
    page_size: int = 50,
) -> TaskPage:
    question = select(Task).join(Values).options(contains_eager(Task.values)).where(Task.gone == 0)
    if provider:
        question = question.where(Task.source == select(Provider.pk).where(Provider.name == provider).scalar_subquery())
    if status:
        question = question.where(Task.status == code(status, TASK_STATUS))
    if failure:
        question = question.where(Values.failure == code(failure, FAILURE))
    for column, value in [
        (Values.product_id, product_id), (Values.from_version, from_version), (Values.to_version, to_version), (Task.device_name, device_name),
    ]:
        if value:
            question = question.where(column == value)
    if stuck_for_s is not None:
        since = int(datetime.now(timezone.utc).timestamp() * 1000) - stuck_for_s * 1000
        question = question.where(or_(Task.status == 1, Task.status == 2), Task.changed_at < since)
    if q:
        question = question.where(Task.search.contains(q.lower(), autoescape=True))
    question = question.order_by(order(sort, TASK_SORT)).limit(page_size)
    return TaskPage(items=[TaskOut.model_validate(task) for task in database.scalars(question)])


def counted(database, entity, keys, group_by):
    names = group_by.split(",")
    if any(name not in keys for name in names):
        raise HTTPException(400, "group_by")
    columns = [keys[name] for name in names]
    number = func.count()
    question = select(*columns, number).select_from(entity).where(entity.gone == 0)
    if "vendor" in names:
        question = question.join(Provider, Provider.pk == entity.source)
    if any(column.class_ is Values for column in columns):
        question = question.join(Values, Values.pk == entity.combination)
    question = question.group_by(*columns).order_by(number.desc()).limit(1000)
    return Groups(groups=[Group(keys=list(row[:-1]), count=row[-1]) for row in database.execute(question)])


@app.get("/v1/stats/jobs")
def job_stats(database: Database, group_by: str) -> Groups:
    return counted(database, Job, JOB_KEYS, group_by)


@app.get("/v1/stats/tasks")
def task_stats(database: Database, group_by: str) -> Groups:
    return counted(database, Task, TASK_KEYS, group_by)


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", access_log=False)
