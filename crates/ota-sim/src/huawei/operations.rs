//! What each call answers once the application is known and has quota left.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::config::{AbsentPageNo, Config, TotalName};
use super::errors::{BAD_REQUEST, Error, NO_PACKAGE, NO_TASK, PAGE_LIMIT};
use super::rows::{Rows, file_type, operate_type};
use super::vocabulary::SUB_STATUSES;
use crate::fault::FaultKind;
use crate::faults::Drawn;
use crate::fleet::{Fleet, Job, Package};

/// Characters that a parameter may have.
const MAX_TEXT: usize = 256;
const MAX_PAGE_SIZE: u64 = 100;
const DEFAULT_PAGE_SIZE: u64 = 10;

/// One call with its decoded query.
pub(super) struct Call<'a> {
    pub(super) query: &'a [(String, String)],
    pub(super) config: &'a Config,
    pub(super) fleet: &'a Fleet,
    /// Milliseconds of fleet life.
    pub(super) age: i64,
    pub(super) faults: &'a Drawn,
}

/// Where to read. `size` is `None` when everything is wanted in one answer.
struct Page {
    number: u64,
    size: Option<u64>,
    offset: u64,
}

impl Page {
    fn limit(&self) -> u64 {
        self.size.unwrap_or(u64::MAX)
    }
}

impl Call<'_> {
    /// `GET …/operations`
    pub(super) fn list_operations(&self) -> Result<Value, Error> {
        let kind = self.word("operationType", &["firmware_upgrade", "software_upgrade"])?;
        let status = self.word(
            "operationStatus",
            &["wait", "processing", "failed", "success", "stop"],
        )?;
        let device_type = self.text("deviceType")?;
        let model = self.text("model")?;
        let manufacturer = self.text("manufacturerName")?;
        let device = self.text("deviceId")?;
        let page = self.page()?;

        let rows = self.rows();
        let wanted = |job: &&Job| {
            let package = self.fleet.package_of(job);
            let product = self.fleet.product_of(package);
            kind.is_none_or(|kind| kind == operate_type(package))
                && device_type.is_none_or(|one| one == product.device_type)
                && model.is_none_or(|one| one == product.model)
                && manufacturer.is_none_or(|one| one == product.manufacturer)
                && status.is_none_or(|status| status == rows.status(job, &rows.tally(job)))
                && device.is_none_or(|device| {
                    (0..job.tasks).any(|index| self.fleet.device_id(job, index) == device)
                })
        };
        let jobs: Vec<&Job> = self
            .fleet
            .jobs(self.age)
            .into_iter()
            .filter(wanted)
            .collect();
        let mut data: Vec<Value> = slice(&jobs, &page)
            .iter()
            .map(|job| self.operation_row(job))
            .collect();
        self.faults
            .spoil(&mut data, "status", "createTime", "extendPara");
        self.faults.keep_running(&mut data, "status", "processing");
        self.faults.replace_rows(&mut data);
        let total_name = match self.config.total_name {
            TotalName::TotalCount => "totalCount",
            TotalName::TotalSize => "totalSize",
        };
        Ok(self.listed(&page, data, jobs.len() as u64, total_name))
    }

    /// `GET …/operations/{operationId}`
    pub(super) fn get_operation(&self, id: &str) -> Result<Value, Error> {
        let job = self.find_job(id)?;
        let job = self.faults.job(job, self.fleet.jobs(self.age));
        let mut row = [self.operation_row(job)];
        self.faults
            .spoil(&mut row, "status", "createTime", "extendPara");
        self.faults.keep_running(&mut row, "status", "processing");
        let [row] = row;
        Ok(row)
    }

    /// `GET …/operations/{operationId}/subOperations`
    pub(super) fn list_sub_operations(&self, id: &str) -> Result<Value, Error> {
        let words: Vec<&str> = SUB_STATUSES.iter().map(|(status, _)| *status).collect();
        let status = self.word("subOperationStatus", &words)?;
        let page = self.page()?;
        let job = self.find_job(id)?;
        let stages = SUB_STATUSES
            .iter()
            .find(|(one, _)| Some(*one) == status)
            .map(|(_, stages)| *stages);
        let (total, tasks) =
            job.select(self.fleet.seed, self.age, stages, page.offset, page.limit());
        let rows = self.rows();
        let mut data: Vec<Value> = tasks
            .iter()
            .map(|task| to_value(rows.sub_operation(job, task)))
            .collect();
        self.faults
            .spoil(&mut data, "status", "createTime", "detailInfo");
        self.faults.blur(&mut data, "status", "detailInfo");
        self.faults.replace_rows(&mut data);
        Ok(self.listed(&page, data, total, "totalCount"))
    }

    /// `GET …/category`
    pub(super) fn list_packages(&self) -> Result<Value, Error> {
        let kind = self.word("fileType", &["firmwarePackage", "softwarePackage"])?;
        let device_type = self.text("deviceType")?;
        let model = self.text("model")?;
        let manufacturer = self.text("manufacturerName")?;
        let version = self.text("version")?;
        let page = self.page()?;
        let packages: Vec<&Package> = self
            .fleet
            .packages
            .iter()
            .filter(|package| {
                let product = self.fleet.product_of(package);
                kind.is_none_or(|kind| kind == file_type(package))
                    && device_type.is_none_or(|one| one == product.device_type)
                    && model.is_none_or(|one| one == product.model)
                    && manufacturer.is_none_or(|one| one == product.manufacturer)
                    && version.is_none_or(|one| one == package.version)
            })
            .collect();
        let mut data: Vec<Value> = slice(&packages, &page)
            .iter()
            .map(|package| to_value(self.rows().package(package)))
            .collect();
        self.faults
            .spoil(&mut data, "fileType", "uploadTime", "description");
        self.faults.replace_rows(&mut data);
        Ok(self.listed(&page, data, packages.len() as u64, "totalCount"))
    }

    /// `GET …/category/{fileId}`
    pub(super) fn get_package(&self, id: &str) -> Result<Value, Error> {
        self.fleet
            .packages
            .iter()
            .find(|package| package.id == id)
            .map(|package| to_value(self.rows().package(package)))
            .ok_or(NO_PACKAGE)
    }

    fn listed(&self, page: &Page, mut data: Vec<Value>, total: u64, total_name: &str) -> Value {
        let number = page.number.saturating_add(1);
        let size = page.size.unwrap_or(data.len() as u64);
        let total = self.faults.misplace(number, page.offset, total, &mut data);
        let mut answer = Map::new();
        answer.insert("pageSize".to_owned(), json!(size));
        answer.insert("pageNo".to_owned(), json!(page.number));
        answer.insert(total_name.to_owned(), json!(total));
        answer.insert("data".to_owned(), self.faults.list(Value::Array(data)));
        let names = ["pageSize", "pageNo"];
        self.faults.echo(&mut answer, &names, total_name);
        Value::Object(answer)
    }

    /// A task as an answer shows it, with counts that are off where a fault says so.
    fn operation_row(&self, job: &Job) -> Value {
        let mut row = to_value(self.rows().operation(job));
        if let Some(count) = row["staResult"]["success"].as_u64() {
            row["staResult"]["success"] = json!(self.faults.moved(count));
        }
        row
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            config: self.config,
            fleet: self.fleet,
            age: self.age,
        }
    }

    fn find_job(&self, id: &str) -> Result<&Job, Error> {
        self.fleet
            .jobs(self.age)
            .into_iter()
            .find(|job| job.id == id)
            .ok_or(NO_TASK)
    }

    /// A filter that is present and not empty.
    fn text(&self, name: &str) -> Result<Option<&str>, Error> {
        let value = self
            .query
            .iter()
            .find(|(one, _)| one == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty());
        match value {
            Some(value) if value.chars().count() > MAX_TEXT => Err(BAD_REQUEST),
            _ => Ok(value),
        }
    }

    /// A filter with a closed list of words.
    fn word(&self, name: &str, words: &[&str]) -> Result<Option<&str>, Error> {
        match self.text(name)? {
            Some(word) if !words.contains(&word) => Err(BAD_REQUEST),
            word => Ok(word),
        }
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse::<i64>() {
            Ok(number) => u64::try_from(number).map(Some).map_err(|_| PAGE_LIMIT),
            Err(_) => Err(BAD_REQUEST),
        }
    }

    fn page(&self) -> Result<Page, Error> {
        let number = self.number("pageNo")?;
        let size = self.number("pageSize")?.unwrap_or(DEFAULT_PAGE_SIZE);
        if size == 0 || size > MAX_PAGE_SIZE {
            return Err(PAGE_LIMIT);
        }
        let size = self.faults.capped(size);
        let unpaged = self.config.ignore_paging
            || (number.is_none() && self.config.absent_page_no == AbsentPageNo::Unpaged);
        let number = number.unwrap_or(0);
        let read = if unpaged || self.faults.has(FaultKind::RepeatPage) {
            0
        } else {
            number
        };
        Ok(Page {
            number,
            size: (!unpaged).then_some(size),
            offset: self
                .faults
                .begin(read.saturating_add(1), read.saturating_mul(size)),
        })
    }
}

fn slice<'a, T>(rows: &'a [T], page: &Page) -> &'a [T] {
    let start = usize::try_from(page.offset)
        .unwrap_or(usize::MAX)
        .min(rows.len());
    let limit = usize::try_from(page.limit()).unwrap_or(usize::MAX);
    let end = start.saturating_add(limit).min(rows.len());
    &rows[start..end]
}

fn to_value(row: impl Serialize) -> Value {
    serde_json::to_value(row).unwrap_or(Value::Null)
}
