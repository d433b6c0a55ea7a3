use ota_core::job::{JobKind, JobOutcome, JobStatus};
use ota_core::paging::Window;
use ota_core::provider::{JobFilter, TaskFilter};
use ota_core::task::TaskStatus;

use super::{JobPlan, TaskPlan, VendorStatus, job_query, task_query};

const FIRST: Window = Window {
    index: 0,
    size: 50,
    skip: 0,
};

#[track_caller]
fn check(status: &[JobStatus], outcome: &[JobOutcome], words: &[VendorStatus], here: bool) {
    let plan = JobPlan::of(&JobFilter {
        status: status.to_vec(),
        outcome: outcome.to_vec(),
        ..JobFilter::default()
    });
    let words: Vec<_> = words.iter().copied().map(Some).collect();
    assert_eq!(plan.statuses, words, "{status:?} {outcome:?}");
    assert_eq!(plan.filters_here(), here, "{status:?} {outcome:?}");
}

#[test]
fn a_status_is_listed_value_by_value() {
    use JobStatus as S;
    use VendorStatus as W;
    check(&[S::Pending], &[], &[W::Wait], false);
    check(&[S::InProgress], &[], &[W::Processing], false);
    check(&[S::Completed], &[], &[W::Success, W::Failed], false);
    check(&[S::Canceled], &[], &[W::Stop], false);
    // The order of the words does not depend on the order that they are asked in.
    check(
        &[S::Canceled, S::Completed, S::Pending],
        &[],
        &[W::Wait, W::Success, W::Failed, W::Stop],
        false,
    );
    check(&[S::Paused, S::Canceling], &[], &[], false);
    check(&[S::Unknown], &[JobOutcome::Failed], &[], false);
}

#[test]
fn what_nobody_knows_is_looked_for_in_one_list_of_everything() {
    use JobStatus as S;
    for status in [&[S::Unknown][..], &[S::Unknown, S::Canceled]] {
        let plan = JobPlan::of(&JobFilter {
            status: status.to_vec(),
            ..JobFilter::default()
        });
        assert!(plan.statuses == [None] && plan.filters_here(), "{status:?}");
    }
    let plan = TaskPlan::of(&TaskFilter {
        status: vec![TaskStatus::Skipped, TaskStatus::Unknown],
        ..TaskFilter::default()
    });
    assert!(plan.statuses == [None] && plan.statuses_here);
}

#[test]
fn an_outcome_narrows_the_words() {
    use JobOutcome as O;
    use JobStatus as S;
    use VendorStatus as W;
    check(&[], &[O::Succeeded], &[W::Success], false);
    check(&[], &[O::Failed], &[W::Failed], true);
    check(&[], &[O::Partial], &[W::Failed], true);
    // Together they are all that the vendor's word stands for.
    check(&[], &[O::Partial, O::Failed], &[W::Failed], false);
    check(
        &[],
        &[O::Succeeded, O::Partial],
        &[W::Success, W::Failed],
        true,
    );
    check(&[S::Completed], &[O::Succeeded], &[W::Success], false);
    check(&[S::Pending], &[O::Succeeded], &[], false);
    check(&[S::Pending], &[O::Failed], &[], false);
}

#[test]
fn a_kind_that_the_vendor_does_not_have_asks_nothing() {
    let plan = JobPlan::of(&JobFilter {
        kind: Some(JobKind::Other),
        ..JobFilter::default()
    });
    assert!(plan.statuses.is_empty());
    assert_eq!(JobPlan::of(&JobFilter::default()).statuses, [None]);
}

#[test]
fn tasks_are_listed_in_the_order_of_their_life() {
    use TaskStatus as S;
    let plan = |status: &[TaskStatus]| {
        TaskPlan::of(&TaskFilter {
            status: status.to_vec(),
            ..TaskFilter::default()
        })
        .statuses
    };
    assert_eq!(plan(&[]), [None]);
    assert_eq!(
        plan(&[
            S::Canceled,
            S::Failed,
            S::Succeeded,
            S::InProgress,
            S::Pending
        ]),
        VendorStatus::ALL.map(Some)
    );
    assert!(plan(&[S::Skipped]).is_empty());
}

#[test]
fn a_query_holds_what_is_used_and_always_the_page() {
    assert_eq!(
        job_query(&JobFilter::default(), None, FIRST),
        "pageNo=0&pageSize=50"
    );
    let filter = JobFilter {
        kind: Some(JobKind::Software),
        device_type: Some("Water Meter".to_owned()),
        model: Some("a&b=c".to_owned()),
        manufacturer: Some("华为+".to_owned()),
        device_id: Some("d/1".into()),
        ..JobFilter::default()
    };
    assert_eq!(
        job_query(&filter, Some(VendorStatus::Failed), FIRST),
        "operationType=software_upgrade&operationStatus=failed&deviceType=Water%20Meter&model=a%26b%3Dc\
         &manufacturerName=%E5%8D%8E%E4%B8%BA%2B&deviceId=d%2F1&pageNo=0&pageSize=50"
    );
    assert_eq!(
        task_query(Some(VendorStatus::Failed), FIRST),
        "subOperationStatus=fail&pageNo=0&pageSize=50"
    );
}
