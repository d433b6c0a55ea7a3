//! What each operation answers, after the gateway has let the call through.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::config::{Config, UnknownJob};
use super::errors::Error;
use super::rows::Rows;
use crate::counters::Refusal;
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::{Fleet, Job, Package, Stage};

/// `CurrentPage * PageSize` may not be larger (ListOTATaskByJob).
const WINDOW: i64 = 100_000;
/// Names that `DeviceNames.N` may have.
const MAX_DEVICE_NAMES: usize = 50;

/// The operations that are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    QueryJob,
    ListTaskByJob,
    ListJobByFirmware,
    ListJobByDevice,
    ListFirmware,
    QueryFirmware,
}

impl Operation {
    pub(super) const ALL: [Self; 6] = [
        Self::QueryJob,
        Self::ListTaskByJob,
        Self::ListJobByFirmware,
        Self::ListJobByDevice,
        Self::ListFirmware,
        Self::QueryFirmware,
    ];

    /// The value of `Action`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::QueryJob => "QueryOTAJob",
            Self::ListTaskByJob => "ListOTATaskByJob",
            Self::ListJobByFirmware => "ListOTAJobByFirmware",
            Self::ListJobByDevice => "ListOTAJobByDevice",
            Self::ListFirmware => "ListOTAFirmware",
            Self::QueryFirmware => "QueryOTAFirmware",
        }
    }

    /// How many times the quota of the others this operation has: 20 queries a second where they have 10 (its page).
    pub(super) fn quota_factor(self) -> usize {
        match self {
            Self::QueryFirmware => 2,
            Self::QueryJob
            | Self::ListTaskByJob
            | Self::ListJobByFirmware
            | Self::ListJobByDevice
            | Self::ListFirmware => 1,
        }
    }

    pub(super) fn of(action: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == action)
    }

    fn required(self) -> &'static [&'static str] {
        match self {
            Self::QueryJob | Self::ListTaskByJob => &["JobId"],
            Self::ListJobByFirmware => &["FirmwareId", "CurrentPage", "PageSize"],
            Self::ListJobByDevice => &[
                "FirmwareId",
                "ProductKey",
                "DeviceName",
                "CurrentPage",
                "PageSize",
            ],
            Self::ListFirmware => &["CurrentPage", "PageSize"],
            Self::QueryFirmware => &["FirmwareId"],
        }
    }
}

/// The parameters of one call.
pub(super) struct Call<'a> {
    pub(super) operation: Operation,
    pub(super) params: &'a [(String, String)],
    pub(super) config: &'a Config,
    pub(super) fleet: &'a Fleet,
    /// Milliseconds of fleet life.
    pub(super) age: i64,
    pub(super) faults: &'a Drawn,
}

struct Page {
    number: i64,
    size: i64,
    /// Rows before the page.
    offset: u64,
}

impl Call<'_> {
    /// Checks what the gateway checks: required parameters and their types.
    pub(super) fn check(&self) -> Result<(), Error> {
        for name in self.operation.required() {
            if self.param(name).is_none() {
                return Err(Error::missing(name, Refusal::Parameter));
            }
        }
        for name in ["CurrentPage", "PageSize"] {
            self.number(name)?;
        }
        Ok(())
    }

    /// Answers as the product does: the fields beside `RequestId` and `Success`.
    pub(super) fn answer(&self) -> Result<Value, Error> {
        match (&self.config.instance_id, self.param("IotInstanceId")) {
            (None, None) => {}
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return Err(Error::instance()),
        }
        match self.operation {
            Operation::QueryJob => self.query_job(),
            Operation::ListTaskByJob => self.list_task_by_job(),
            Operation::ListJobByFirmware => self.list_job_by_firmware(),
            Operation::ListJobByDevice => self.list_job_by_device(),
            Operation::ListFirmware => self.list_firmware(),
            Operation::QueryFirmware => self.query_firmware(),
        }
    }

    fn query_job(&self) -> Result<Value, Error> {
        let Some(job) = self.find_job()? else {
            return Ok(json!({ "Data": {} }));
        };
        let job = self.faults.job(job, self.fleet.jobs(self.age));
        let mut row = [to_value(self.rows().job_detail(job))];
        self.faults
            .spoil(&mut row, "JobStatus", "UtcCreate", "JobDesc");
        self.faults
            .keep_running(&mut row, "JobStatus", "IN_PROGRESS");
        let [row] = row;
        Ok(json!({ "Data": row }))
    }

    fn list_task_by_job(&self) -> Result<Value, Error> {
        let names = self.device_names()?;
        let mut page = self.page(100)?;
        if names.is_empty() && page.number.saturating_mul(page.size) > WINDOW {
            return Err(Error::page());
        }
        let stages = self.stages()?;
        let Some(job) = self.find_job()? else {
            return Ok(self.list("SimpleOTATaskInfo", &page, 0, Vec::new()));
        };

        let seed = self.fleet.seed;
        let (total, tasks) = if names.is_empty() {
            let size = page.size.unsigned_abs();
            let (total, tasks) = job.select(seed, self.age, stages, page.offset, size);
            let counted = stages.map_or(total, |_| self.faults.moved(total));
            (counted, tasks)
        } else {
            // "the value of the DeviceNames.N parameter is used": paging does not count.
            let mut rows: Vec<u32> = names
                .iter()
                .filter_map(|name| self.fleet.task_of_device(job, name))
                .collect();
            rows.sort_unstable();
            rows.dedup();
            let tasks: Vec<_> = rows
                .into_iter()
                .map(|index| job.task(seed, index, self.age))
                .filter(|task| stages.is_none_or(|stages| stages.contains(&task.stage)))
                .collect();
            page.number = 1;
            page.size = page.size.max(i64::try_from(tasks.len()).unwrap_or(0));
            (tasks.len() as u64, tasks)
        };
        let mut rows: Vec<Value> = tasks
            .iter()
            .map(|task| to_value(self.rows().task(job, task)))
            .collect();
        self.faults
            .spoil(&mut rows, "TaskStatus", "UtcCreate", "TaskDesc");
        self.faults.blur(&mut rows, "TaskStatus", "TaskDesc");
        self.faults.replace_rows(&mut rows);
        Ok(self.list("SimpleOTATaskInfo", &page, total, rows))
    }

    fn list_job_by_firmware(&self) -> Result<Value, Error> {
        let page = self.page(200)?;
        let package = self.find_package()?;
        Ok(self.job_list(&page, |job| {
            std::ptr::eq(self.fleet.package_of(job), package)
        }))
    }

    fn list_job_by_device(&self) -> Result<Value, Error> {
        let page = self.page(100)?;
        let package = self.find_package()?;
        let key = self.param("ProductKey").unwrap_or_default();
        let device = self.param("DeviceName").unwrap_or_default();
        if !self.fleet.products.iter().any(|one| one.id == key) {
            return Err(Error::unknown_product());
        }
        let is_for = |job: &Job| {
            self.fleet.product_of(self.fleet.package_of(job)).id == key
                && self.fleet.task_of_device(job, device).is_some()
        };
        if !self.fleet.jobs(self.age).into_iter().any(is_for) {
            return Err(Error::unknown_device());
        }
        Ok(self.job_list(&page, |job| {
            std::ptr::eq(self.fleet.package_of(job), package) && is_for(job)
        }))
    }

    fn job_list(&self, page: &Page, wanted: impl Fn(&Job) -> bool) -> Value {
        let jobs: Vec<&Job> = self
            .fleet
            .jobs(self.age)
            .into_iter()
            .filter(|job| wanted(job))
            .collect();
        let mut rows: Vec<Value> = slice(&jobs, page)
            .iter()
            .map(|job| to_value(self.rows().job(job)))
            .collect();
        self.faults
            .spoil(&mut rows, "JobStatus", "UtcCreate", "JobDesc");
        self.faults
            .keep_running(&mut rows, "JobStatus", "IN_PROGRESS");
        self.faults.replace_rows(&mut rows);
        self.list("SimpleOTAJobInfo", page, jobs.len() as u64, rows)
    }

    fn list_firmware(&self) -> Result<Value, Error> {
        let page = self.page(100)?;
        let key = self.param("ProductKey");
        if let Some(key) = key
            && !self.fleet.products.iter().any(|one| one.id == key)
        {
            return Err(Error::unknown_product());
        }
        let version = self.param("DestVersion");
        let mut packages: Vec<&Package> = self
            .fleet
            .packages
            .iter()
            .filter(|one| key.is_none_or(|key| self.fleet.product_of(one).id == key))
            .filter(|one| version.is_none_or(|version| one.version == version))
            .collect();
        // Newest first.
        packages.sort_by_key(|one| std::cmp::Reverse(one.created));
        let mut rows: Vec<Value> = slice(&packages, &page)
            .iter()
            .map(|package| to_value(self.rows().firmware(package)))
            .collect();
        self.faults
            .spoil(&mut rows, "Status", "UtcCreate", "FirmwareDesc");
        self.faults.replace_rows(&mut rows);
        let mut answer = self.list("SimpleFirmwareInfo", &page, packages.len() as u64, rows);
        if let Some(fields) = answer.as_object_mut()
            && let Some(data) = fields.remove("Data")
        {
            fields.insert("FirmwareInfo".to_owned(), data);
        }
        Ok(answer)
    }

    fn query_firmware(&self) -> Result<Value, Error> {
        let package = self.find_package()?;
        let mut row = [to_value(self.rows().firmware_detail(package))];
        self.faults
            .spoil(&mut row, "Status", "UtcCreate", "FirmwareDesc");
        let [row] = row;
        Ok(json!({ "FirmwareInfo": row }))
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            config: self.config,
            fleet: self.fleet,
            age: self.age,
        }
    }

    fn list(&self, name: &str, page: &Page, total: u64, mut rows: Vec<Value>) -> Value {
        let number = page.number.unsigned_abs();
        let total = self.faults.misplace(number, page.offset, total, &mut rows);
        let mut answer = Map::new();
        answer.insert("CurrentPage".to_owned(), json!(page.number));
        answer.insert("PageSize".to_owned(), json!(page.size));
        let pages = total.div_ceil(page.size.unsigned_abs().max(1));
        answer.insert("PageCount".to_owned(), json!(pages));
        answer.insert("Total".to_owned(), json!(total));
        let data = self.faults.list(json!({ name: rows }));
        answer.insert("Data".to_owned(), data);
        let names = ["CurrentPage", "PageSize", "PageCount"];
        self.faults.echo(&mut answer, &names, "Total");
        Value::Object(answer)
    }

    /// A parameter that is present and not empty.
    fn param(&self, name: &str) -> Option<&str> {
        self.params
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Result<Option<i64>, Error> {
        self.param(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| Error::invalid(name, Refusal::Parameter))
            })
            .transpose()
    }

    /// Defaults of ListOTATaskByJob are not documented; 1 and 10 are the values of its example.
    fn page(&self, largest: i64) -> Result<Page, Error> {
        let number = self.number("CurrentPage")?.unwrap_or(1);
        let size = self.number("PageSize")?.unwrap_or(10);
        if number < 1 || size < 1 || size > largest {
            return Err(Error::page());
        }
        let size = i64::try_from(self.faults.capped(size.unsigned_abs())).unwrap_or(size);
        let read = if self.faults.has(FaultKind::RepeatPage) {
            1
        } else {
            number
        };
        Ok(Page {
            number,
            size,
            offset: self.faults.begin(
                read.unsigned_abs(),
                (read - 1)
                    .unsigned_abs()
                    .saturating_mul(size.unsigned_abs()),
            ),
        })
    }

    /// `DeviceNames.1`, `DeviceNames.2` and so on, up to the first gap.
    fn device_names(&self) -> Result<Vec<&str>, Error> {
        let mut names = Vec::new();
        while let Some(name) = self.param(&format!("DeviceNames.{}", names.len() + 1)) {
            names.push(name);
        }
        if names.len() > MAX_DEVICE_NAMES {
            return Err(Error::too_many("DeviceNames"));
        }
        Ok(names)
    }

    /// The stages that `TaskStatus` stands for; the oldest documents do not know CONFIRM and call it QUEUED.
    fn stages(&self) -> Result<Option<&'static [Stage]>, Error> {
        let Some(word) = self.param("TaskStatus") else {
            return Ok(None);
        };
        let stages: &[Stage] = match (word, self.config.old_edition) {
            ("CONFIRM", false) => &[Stage::Confirm],
            ("QUEUED", true) => &[Stage::Confirm, Stage::Queued],
            ("QUEUED", false) => &[Stage::Queued],
            ("NOTIFIED", _) => &[Stage::Notified],
            ("IN_PROGRESS", _) => &[Stage::InProgress],
            ("SUCCEEDED", _) => &[Stage::Succeeded],
            ("FAILED", _) => &[Stage::Failed],
            ("CANCELED", _) => &[Stage::Canceled],
            _ => return Err(Error::formatted_parameter("TaskStatus")),
        };
        Ok(Some(stages))
    }

    /// `None` when the job is unknown and the configuration says that this is a success.
    fn find_job(&self) -> Result<Option<&Job>, Error> {
        let id = self.param("JobId").unwrap_or_default();
        let found = self
            .fleet
            .jobs(self.age)
            .into_iter()
            .find(|job| job.id == id);
        if found.is_some() {
            return Ok(found);
        }
        const MESSAGE: &str = "The specified job does not exist.";
        match &self.config.unknown_job {
            UnknownJob::ProductError(code) => Err(Error::product(code, MESSAGE, Refusal::NotFound)),
            UnknownJob::GatewayError(status, code) => {
                let status =
                    http::StatusCode::from_u16(*status).unwrap_or(http::StatusCode::BAD_REQUEST);
                Err(Error::gateway(status, code, MESSAGE, Refusal::NotFound))
            }
            UnknownJob::EmptyData => Ok(None),
        }
    }

    fn find_package(&self) -> Result<&Package, Error> {
        let id = self.param("FirmwareId").unwrap_or_default();
        self.fleet
            .packages
            .iter()
            .find(|one| one.id == id)
            .ok_or_else(Error::unknown_firmware)
    }
}

fn slice<'a, T>(rows: &'a [T], page: &Page) -> &'a [T] {
    let start = usize::try_from(page.offset)
        .unwrap_or(usize::MAX)
        .min(rows.len());
    let size = usize::try_from(page.size).unwrap_or(0);
    let end = start.saturating_add(size).min(rows.len());
    &rows[start..end]
}

fn to_value(row: impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or(Value::Null)
}
