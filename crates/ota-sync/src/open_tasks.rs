//! The tasks that devices work on. What changes in one of them shows in no count: how far it is, that the device was told, two that change places.

use std::collections::HashSet;

use ota_core::ErrorKind;
use ota_core::capability::Support;
use ota_core::id::JobId;
use ota_core::provider::Cursor;

use crate::counts::Part;
use crate::observer::Reason;
use crate::pages::missing;
use crate::state::MirroredState;
use crate::step::{Environment, Failed, Step};
use crate::task_pages::{PageRead, read_by_name, read_page};

/// The most pages that a look reads of a part of the open tasks behind the first, when something moves. The next look goes on behind them.
const MOST_PAGES: usize = 12;

/// One part of the open tasks.
#[derive(Debug)]
pub(crate) struct OpenPart {
    part: Part,
    /// Tasks that the mirror held for it before, with the names of their devices.
    before: Vec<(String, Option<String>)>,
    /// Those that were found.
    ids: HashSet<String>,
    /// Where it goes on.
    next: Option<Cursor>,
    /// Whether the vendor refused to go on.
    broken: bool,
}

impl OpenPart {
    /// Reads the first page, after what the mirror holds for it.
    pub(crate) async fn read(
        env: &Environment,
        of: &MirroredState,
        job: &JobId,
        part: Part,
        why: Reason,
    ) -> Step<(Self, PageRead)> {
        let status = [part.status()];
        let before = env
            .store
            .tasks_in(of.name(), job, &status, part.stage(), u32::MAX)
            .await?;
        let asked = (part.filter(), of.page_size());
        let page = read_page(env, of, job, asked, None, why).await?;
        let read = Self {
            part,
            before,
            ids: page.ids.iter().cloned().collect(),
            next: page.next.clone(),
            broken: false,
        };
        Ok((read, page))
    }

    /// Reads the next page; returns whether a row of it had changed.
    async fn read_next(
        &mut self,
        env: &Environment,
        of: &MirroredState,
        job: &JobId,
        cursor: Cursor,
    ) -> Step<bool> {
        let asked = (self.part.filter(), of.page_size());
        let at = Some(cursor.clone());
        match read_page(env, of, job, asked, at, Reason::ChangedRows).await {
            Ok(page) => {
                let had_rows = !page.ids.is_empty();
                let new = page
                    .ids
                    .into_iter()
                    .filter(|id| self.ids.insert(id.clone()));
                self.broken |= new.count() == 0 && had_rows;
                self.next = page.next.filter(|next| *next != cursor && !self.broken);
                Ok(page.changed)
            }
            Err(Failed::Vendor(error)) if error.is_invalid_cursor() => {
                (self.broken, self.next) = (true, None);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Returns the parts of the open tasks that the vendor lists.
pub(crate) fn open_parts(of: &MirroredState) -> impl Iterator<Item = Part> + use<> {
    let filters = of.member.provider().capability().task_filters;
    let listed = move |part: &Part| match part {
        Part::Status(_) => filters.status == Support::Native,
        Part::Stage(_) => filters.stage == Support::Native,
    };
    Part::OPEN.into_iter().filter(listed)
}

/// Whether more open tasks are there than the first pages hold.
pub(crate) fn goes_on(open: &[OpenPart]) -> bool {
    open.iter().any(|part| part.next.is_some())
}

/// Reads on behind the first pages, and then the tasks that are no longer open, by name.
///
/// While nothing `moved`, one page more is read, another one each time: a job in which nothing changes must stay cheap. As soon as something has changed all are.
pub(crate) async fn read_on(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    open: &mut [OpenPart],
    moved: bool,
) -> Step {
    let moved = moved || read_another(env, of, job, open).await?;
    if moved {
        for part in open.iter_mut() {
            for _ in 0..MOST_PAGES {
                let Some(cursor) = part.next.take() else {
                    break;
                };
                part.read_next(env, of, job, cursor).await?;
            }
        }
        keep_place(of, job, open.iter().find_map(rest));
    }
    let is_open = |id: &String| open.iter().any(|part| part.ids.contains(id));
    let whole = |part: &&OpenPart| part.next.is_none() && !part.broken;
    let held = open.iter().filter(whole).flat_map(|part| &part.before);
    let left = held.filter(|(id, _)| !is_open(id));
    let names: Vec<String> = left.filter_map(|(_, name)| name.clone()).collect();
    read_by_name(env, of, job, &names).await
}

fn rest(part: &OpenPart) -> Option<(Part, Cursor)> {
    part.next.clone().map(|next| (part.part, next))
}

fn keep_place(of: &MirroredState, job: &JobId, place: Option<(Part, Cursor)>) {
    if let Some(entry) = of.lock().jobs.get_mut(job) {
        entry.open_next = place;
    }
}

/// Reads one page behind the first ones, where the last look ended; returns whether a row of it had changed.
async fn read_another(
    env: &Environment,
    of: &MirroredState,
    job: &JobId,
    open: &mut [OpenPart],
) -> Step<bool> {
    let kept = of
        .lock()
        .jobs
        .get_mut(job)
        .and_then(|entry| entry.open_next.take());
    let kept = kept.filter(|(part, _)| open.iter().any(|of| of.part == *part && of.next.is_some()));
    let first = || open.iter().find_map(rest);
    let Some((part, cursor)) = kept.or_else(first) else {
        return Ok(false);
    };
    let Some(index) = open.iter().position(|of| of.part == part) else {
        return Ok(false);
    };
    let Some(of_part) = open.get_mut(index) else {
        return Ok(false);
    };
    let (first, ids) = (of_part.next.clone(), of_part.ids.clone());
    let changed = of_part.read_next(env, of, job, cursor).await?;
    let next = of_part.next.clone().map(|next| (part, next));
    // Of what lies between nothing is known: the part is not whole, unless all of it is read now.
    (of_part.next, of_part.ids, of_part.broken) = (first, ids, false);
    let place = next.or_else(|| open.iter().skip(index + 1).find_map(rest));
    keep_place(of, job, place);
    Ok(changed)
}

/// Reads the open tasks of a job whose counts come with the rows of the list.
pub(crate) async fn open_tasks(env: &Environment, of: &MirroredState, job: &JobId) -> Step {
    let began_at = env.now();
    let (mut open, mut moved) = (Vec::new(), false);
    for part in open_parts(of) {
        match OpenPart::read(env, of, job, part, Reason::ChangedRows).await {
            Ok((part, page)) => {
                moved |= page.changed;
                open.push(part);
            }
            Err(Failed::Vendor(error)) if error.kind() == ErrorKind::NotFound => {
                missing(env, of, job);
                return Ok(());
            }
            Err(error) => return Err(error),
        }
    }
    read_on(env, of, job, &mut open, moved).await?;
    let own = env.store.job_state(of.name(), job).await?;
    let own = own.map(|state| state.own_counts).unwrap_or_default();
    let mut state = of.lock();
    state.progress_at = Some(env.now());
    if let Some(entry) = state.jobs.get_mut(job) {
        entry.opened_at = Some(began_at);
        entry.looking.well();
        let told = entry.counts.as_ref().and_then(|counts| counts.in_progress);
        // What came in has left another status, and what left is in another one: the counts tell where to look.
        if told.is_some_and(|told| Some(told) != own.in_progress) {
            entry.wants_look.get_or_insert(began_at);
        }
        if moved {
            entry.facts.changed_at = env.now();
        }
    }
    Ok(())
}
