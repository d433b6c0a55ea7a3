use ota_adapter::Source;
use ota_core::configured_fields::ConfiguredFields;
use ota_core::drift::{DriftCounter, DriftKind};
use ota_core::id::ProviderName;
use ota_core::job::{Job, JobKind, JobOutcome, JobPurpose, JobStats, ScheduleMode, Scope};
use serde_json::{Value, json};

fn mapped(row: Value) -> Job {
    with_drift(row).0
}

/// Maps a row, and returns the kinds of what was reported.
fn with_drift(row: Value) -> (Job, Vec<DriftKind>) {
    let row = serde_json::from_value(row).unwrap();
    let (drift, provider) = (DriftCounter::default(), ProviderName::parse("p").unwrap());
    let source = Source {
        vendor: "huawei-iot",
        provider: &provider,
        operation: "List",
        drift: &drift,
        fields: &ConfiguredFields::default(),
    };
    let job = super::job(source, row);
    let reported = drift.snapshot().into_keys();
    (job, reported.map(|(kind, _, _)| kind).collect())
}

#[track_caller]
fn check_failed(counts: Value, failed: Option<u64>, timed_out: Option<u64>) {
    let stats = mapped(json!({"staResult": counts.clone()}))
        .stats
        .unwrap_or_default();
    assert_eq!(
        (stats.failed, stats.timed_out),
        (failed, timed_out),
        "{counts}"
    );
}

#[test]
fn timeouts_are_added_only_where_the_total_proves_it() {
    let counts = |total: u64, fail: u64, timeout: u64| json!({"total": total, "wait": 1, "processing": 1, "success": 1, "fail": fail, "stop": 1, "timeout": timeout});
    check_failed(counts(9, 5, 2), Some(5), Some(2));
    check_failed(counts(11, 5, 2), Some(7), Some(2));
    // Nothing adds up: what the vendor says stands.
    check_failed(counts(10, 5, 2), Some(5), Some(2));
    check_failed(counts(9, 5, 0), Some(5), Some(0));
    // A part is missing, so a total that fits proves nothing.
    check_failed(
        json!({"total": 10, "success": 4, "fail": 4, "timeout": 2}),
        Some(4),
        Some(2),
    );
    check_failed(json!({"timeout": 2}), None, Some(2));
    // More ran out of time than failed, so they are no part of them.
    check_failed(json!({"fail": 1, "timeout": 2}), Some(3), Some(2));
    let max = u64::MAX;
    check_failed(
        json!({"total": max, "wait": max, "processing": max, "success": max, "fail": max, "stop": max, "timeout": max}),
        Some(max),
        Some(max),
    );
}

#[test]
fn timeouts_that_fit_nowhere_are_left_out_and_kept_verbatim() {
    let counts = |total: u64, success: u64, fail: u64, timeout: u64| json!({"total": total, "wait": 0, "processing": 0, "success": success, "fail": fail, "stop": 0, "timeout": timeout});
    // Apart from the others, as the total says.
    check_failed(counts(10, 7, 0, 3), Some(3), Some(3));
    for counts in [
        counts(10, 10, 0, 3),
        counts(10, 9, 1, 3),
        json!({"total": 4, "success": 3, "fail": 0, "timeout": 3}),
    ] {
        let (job, reported) = with_drift(json!({"staResult": counts}));
        let stats = job.stats.unwrap();
        let (fail, total) = (counts["fail"].as_u64(), counts["total"].as_u64());
        assert_eq!(
            (stats.failed, stats.timed_out, stats.total),
            (fail, None, total),
            "{counts}"
        );
        let kept = &job.vendor.fields["staResult"];
        assert_eq!(*kept, json!({"timeout": 3}), "{counts}");
        assert_eq!(reported, [DriftKind::Page], "{counts}");
    }
}

#[test]
fn counts_that_are_not_told_are_absent() {
    for row in [
        json!({}),
        json!({"staResult": null}),
        json!({"staResult": {}}),
        json!({"staResult": {"total": null}}),
    ] {
        assert_eq!(mapped(row.clone()).stats, None, "{row}");
    }
    let stats = mapped(json!({"status": "wait", "staResult": {"total": "3", "wait": 3}})).stats;
    let expected = JobStats {
        total: Some(3),
        pending: Some(3),
        ..JobStats::default()
    };
    assert_eq!(stats, Some(expected));
}

#[test]
fn a_total_below_its_parts_is_left_out_and_kept_verbatim() {
    let counts = json!({"total": 10, "wait": 3, "processing": 4, "success": 5, "fail": 0, "stop": 0, "timeout": 0});
    let (job, reported) = with_drift(json!({"staResult": counts}));
    let stats = job.stats.unwrap();
    assert_eq!((stats.total, stats.counted()), (None, 12));
    assert_eq!(stats.outcome, None);
    assert_eq!(job.vendor.fields["staResult"], json!({"total": 10}));
    assert_eq!(reported, [DriftKind::Page]);
}

#[test]
fn counts_prove_an_outcome_that_the_word_does_not_tell() {
    let all = json!({"total": 2, "wait": 0, "processing": 0, "success": 2, "fail": 0, "stop": 0, "timeout": 0});
    let job = mapped(json!({"status": "stop", "staResult": all}));
    assert_eq!(job.outcome, None);
    assert_eq!(job.stats.unwrap().outcome, Some(JobOutcome::Succeeded));
    for status in ["wait", "processing", "paused", ""] {
        let job = mapped(json!({"status": status, "staResult": all}));
        assert_eq!((job.outcome, job.stats.unwrap().outcome), (None, None));
    }
    let job = mapped(json!({"status": "failed", "staResult": {"success": 1}}));
    assert_eq!(job.outcome, Some(JobOutcome::Partial));
    assert_eq!(job.stats.unwrap().outcome, Some(JobOutcome::Partial));
}

#[test]
fn a_word_and_counts_that_contradict_it_tell_no_outcome() {
    let counts = |wait: u64, success: u64, fail: u64, stop: u64| {
        let total = wait + success + fail + stop;
        json!({"total": total, "wait": wait, "processing": 0, "success": success, "fail": fail, "stop": stop, "timeout": 0})
    };
    for (status, counts, outcome) in [
        ("success", counts(0, 5, 0, 0), Some(JobOutcome::Succeeded)),
        ("success", counts(0, 5, 3, 0), None),
        ("success", counts(0, 5, 0, 1), None),
        ("success", counts(2, 5, 0, 0), None),
        (
            "success",
            json!({"success": 5}),
            Some(JobOutcome::Succeeded),
        ),
        ("success", json!({"timeout": 1}), None),
        ("failed", counts(0, 5, 3, 0), Some(JobOutcome::Partial)),
        ("failed", counts(0, 0, 3, 0), Some(JobOutcome::Failed)),
        ("failed", counts(0, 5, 0, 0), None),
        ("failed", counts(1, 5, 3, 0), None),
        ("failed", json!({"fail": 3}), None),
        ("failed", json!({}), None),
    ] {
        let job = mapped(json!({"status": status, "staResult": counts.clone()}));
        assert_eq!(job.outcome, outcome, "{status} {counts}");
        let of_stats = job.stats.and_then(|stats| stats.outcome);
        let reported = counts.as_object().is_some_and(|counts| !counts.is_empty());
        assert_eq!(of_stats, outcome.filter(|_| reported), "{status} {counts}");
    }
}

#[test]
fn the_kind_has_two_names() {
    for (row, kind, purpose, fields) in [
        (
            json!({"operateType": "firmware_upgrade"}),
            Some(JobKind::Firmware),
            Some(JobPurpose::Upgrade),
            json!({}),
        ),
        (
            json!({"operationType": "SOFTWARE_UPGRADE"}),
            Some(JobKind::Software),
            Some(JobPurpose::Upgrade),
            json!({}),
        ),
        (
            json!({"operateType": "reboot"}),
            Some(JobKind::Other),
            None,
            json!({"operateType": "reboot"}),
        ),
        (
            json!({"operateType": "", "operationType": "x_upgrade"}),
            Some(JobKind::Other),
            Some(JobPurpose::Upgrade),
            json!({"operationType": "x_upgrade"}),
        ),
        (json!({}), None, None, json!({})),
        (
            json!({"operateType": ["a"]}),
            None,
            None,
            json!({"operateType": ["a"]}),
        ),
    ] {
        let job = mapped(row);
        assert_eq!((job.kind, job.purpose), (kind, purpose));
        assert_eq!(Value::Object(job.vendor.fields), fields);
    }
}

#[test]
fn the_start_has_three_modes() {
    for (word, mode) in [
        ("now", Some(ScheduleMode::Immediate)),
        ("device_online", Some(ScheduleMode::WhenOnline)),
        ("Custom", Some(ScheduleMode::Scheduled)),
        ("later", None),
    ] {
        let job = mapped(json!({"policy": {"executeType": word}}));
        assert_eq!(job.schedule.mode, mode, "{word}");
        assert_eq!(job.vendor.fields.is_empty(), mode.is_some());
    }
    let job = mapped(json!({"policy": {}}));
    assert_eq!((job.schedule.mode, job.policy.max_retries), (None, None));
}

#[test]
fn retries_are_a_number_and_the_rest_is_kept() {
    for (policy, max_retries, fields) in [
        (
            json!({"retryType": true, "retryTimes": 5}),
            Some(5),
            json!({}),
        ),
        (
            json!({"retryType": "true", "retryTimes": "5"}),
            Some(5),
            json!({}),
        ),
        (json!({"retryType": false}), Some(0), json!({})),
        (
            json!({"retryType": false, "retryTimes": 0}),
            Some(0),
            json!({}),
        ),
        (
            json!({"retryType": false, "retryTimes": 3}),
            Some(0),
            json!({"policy": {"retryTimes": 3}}),
        ),
        (json!({"retryTimes": 3}), Some(3), json!({})),
        (
            json!({"retryType": true}),
            None,
            json!({"policy": {"retryType": true}}),
        ),
        (
            json!({"retryType": true, "retryTimes": "often"}),
            None,
            json!({"policy": {"retryType": true, "retryTimes": "often"}}),
        ),
        (
            json!({"retryType": null, "retryTimes": null}),
            None,
            json!({}),
        ),
    ] {
        let job = mapped(json!({"policy": policy}));
        assert_eq!(job.policy.max_retries, max_retries, "{policy}");
        assert_eq!(Value::Object(job.vendor.fields), fields, "{policy}");
    }
}

#[test]
fn the_scope_is_told_by_the_list_that_is_there() {
    for (targets, scope) in [
        (json!({"deviceGroups": ["g"]}), Some(Scope::Groups)),
        (
            json!({"deviceGroups": [], "devices": ["d"]}),
            Some(Scope::Devices),
        ),
        (json!({"devices": "d"}), Some(Scope::Devices)),
        (json!({"deviceGroups": ["g"], "devices": ["d"]}), None),
        (json!({}), None),
    ] {
        assert_eq!(mapped(json!({"targets": targets})).target.scope, scope);
    }
}
