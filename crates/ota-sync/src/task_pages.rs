//! Reading some of a job's tasks: those that a filter finds.

use std::collections::HashSet;

use ota_core::ErrorKind;
use ota_core::capability::{Support, TaskOrder};
use ota_core::filter::TaskFilter;
use ota_core::id::{DeviceName, JobId};
use ota_core::provider::{Cursor, ListTasks};
use ota_store::record::TaskPage;
use time::OffsetDateTime;

use crate::observer::{Reason, WriteKind};
use crate::records::task_record;
use crate::state::MirroredState;
use crate::step::{Environment, Failed, Step, repeated_page};

/// The most tasks that a look asks for by the names of their devices.
const MOST_NAMED: usize = 400;

/// A page of tasks that was read and written.
#[derive(Debug)]
pub(crate) struct PageRead {
    pub(crate) ids: Vec<String>,
    pub(crate) next: Option<Cursor>,
    /// How many tasks the filter finds, as far as the vendor says.
    pub(crate) total: Option<u64>,
    /// Whether a row was not as the mirror had it.
    pub(crate) changed: bool,
    /// When its call was sent.
    pub(crate) sent_at: OffsetDateTime,
}

impl PageRead {
    /// Returns how many tasks the filter finds; none if that cannot be told.
    pub(crate) fn count(&self) -> Option<u64> {
        let all = self.next.is_none().then_some(self.ids.len() as u64);
        self.total.or(all)
    }
}

/// Reads a page of the tasks that a filter finds, and writes them.
pub(crate) async fn read_page(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    (filter, page_size): (TaskFilter, u32),
    cursor: Option<Cursor>,
    why: Reason,
) -> Step<PageRead> {
    let request = ListTasks {
        job_id: job.clone(),
        filter,
        page_size,
        cursor,
    };
    let member = &of.member;
    let read = env.read(of, why, |cx| async move {
        member.list_tasks(&cx, request).await
    });
    let answer = read.await?;
    let (sent_at, page) = (answer.as_of.wall, answer.value);
    let mut known = HashSet::new();
    let rows = page.items.into_iter();
    let rows: Vec<_> = rows
        .filter(|task| known.insert(task.id.as_str().to_owned()))
        .map(|task| task_record(&*env.render, task))
        .collect();
    let ids = rows.iter().map(|row| row.id.clone()).collect();
    let mut changed = false;
    if !rows.is_empty() {
        let record = TaskPage {
            provider: of.name().clone(),
            vendor: of.vendor(),
            job_id: job.clone(),
            sent_at,
            rows,
            pass: None,
        };
        let written = env.write(WriteKind::Tasks, env.store.write_tasks(&record));
        changed = written.await?.changed > 0;
    }
    of.lock().progress_at = Some(env.now());
    Ok(PageRead {
        ids,
        next: page.next,
        total: page.total,
        changed,
        sent_at,
    })
}

/// Reads on from a page to the end of its list, or, where what changed last comes first, to the first page without a change.
pub(crate) async fn read_all(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    filter: &TaskFilter,
) -> Step {
    let order = of.member.provider().capability().change_signs.task_order;
    let mut known = HashSet::new();
    let mut cursor = None;
    loop {
        let asked = (filter.clone(), of.page_size());
        let page = read_page(env, of, job, asked, cursor.clone(), Reason::ChangedRows).await?;
        let had_rows = !page.ids.is_empty();
        let new = page.ids.into_iter().filter(|id| known.insert(id.clone()));
        let repeats = new.count() == 0 && had_rows;
        match page.next {
            None => return Ok(()),
            next if repeats || next == cursor => {
                drop(next);
                return Err(repeated_page().into());
            }
            Some(_) if order == TaskOrder::ChangedFirst && !page.changed => return Ok(()),
            next => cursor = next,
        }
    }
}

/// Reads tasks by the names of their devices, as many in a call as the vendor allows.
pub(crate) async fn read_by_name(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    names: &[String],
) -> Step {
    let capability = of.member.provider().capability();
    let most = capability.max_device_names as usize;
    if capability.task_filters.device_name != Support::Native
        || most == 0
        || names.len() > MOST_NAMED
    {
        return Ok(());
    }
    for names in names.chunks(most) {
        let names = names.iter().map(|name| DeviceName::from(name.as_str()));
        let filter = TaskFilter {
            device_names: names.collect(),
            ..TaskFilter::default()
        };
        match read_all(env, of, job, &filter).await {
            // A device that the vendor does not know any more hides the others. The counts tell whether something is missing.
            Err(Failed::Vendor(error)) if error.kind() == ErrorKind::InvalidArgument => {}
            other => other?,
        }
    }
    Ok(())
}
