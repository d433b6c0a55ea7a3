//! How a simulator makes each trouble of the suite.

use std::time::Duration;

use ota_conformance::{Odd, Proxy, Trouble};
use ota_sim::{Fault, FaultKind, Packing, Server};
use serde_json::{Value, json};

/// The date of a device that has lost its clock.
const FALSE_DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";

/// The answers of proxies and frameworks, as their sources and documents have them.
fn not_found_of(proxy: Proxy) -> Value {
    match proxy {
        Proxy::Kong => json!({"message": "no Route matched with those values", "request_id": "5a"}),
        Proxy::Apisix => json!({"error_msg": "404 Route Not Found"}),
        Proxy::Kubernetes => json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "the server could not find the requested resource", "reason": "NotFound", "details": {}, "code": 404,
        }),
        Proxy::Framework => json!({
            "timestamp": "2026-11-23T08:00:00.000+00:00", "status": 404, "error": "Not Found", "path": "/operations",
        }),
    }
}

fn odd_value(odd: Odd) -> Value {
    match odd {
        Odd::Null => Value::Null,
        Odd::Number => json!(7),
        Odd::Text => json!("text"),
        Odd::List => json!([1]),
        Odd::Object => json!({"note": "something else"}),
    }
}

/// Breaks a simulator. `credential` is its way to refuse a credential.
pub(crate) fn faults_of(server: &Server, trouble: Trouble, credential: FaultKind) -> bool {
    let kind = match trouble {
        Trouble::None => {
            server.set_faults(Vec::new());
            return true;
        }
        Trouble::Throttle | Trouble::LaterThrottle => FaultKind::Throttle,
        // Which part there is, which operation has a row, and what came later, only the vendor's own module knows.
        Trouble::BrokenPart | Trouble::LeftOut(..) | Trouble::OlderServer => return false,
        Trouble::UnstableOrder => FaultKind::UnstableOrder,
        Trouble::AnotherJob => FaultKind::AnotherJob,
        Trouble::NullObjectRow => FaultKind::NullObject,
        Trouble::MovedPages => FaultKind::MovedPage,
        Trouble::EchoedRequest => FaultKind::EchoRequest,
        Trouble::ServerError => FaultKind::GatewayError,
        Trouble::ErrorUnder200 => FaultKind::ProductError,
        Trouble::CredentialRefused | Trouble::LaterRefusal => credential,
        Trouble::Html => FaultKind::Html200,
        Trouble::HtmlError => FaultKind::Html502,
        Trouble::CutJson => FaultKind::CutJson,
        Trouble::CutBody => FaultKind::CutBody,
        Trouble::EmptyBody => FaultKind::EmptyBody,
        Trouble::Drop => FaultKind::Drop,
        Trouble::Hang => FaultKind::Hang,
        Trouble::UnknownStatusRow => FaultKind::UnknownStatus,
        Trouble::BadDateRow => FaultKind::BadDate,
        Trouble::UnknownField => FaultKind::UnknownField,
        Trouble::RepeatPage => FaultKind::RepeatPage,
        Trouble::BadUtf8Row => FaultKind::BadUtf8,
        Trouble::HalfSurrogateRow => FaultKind::HalfSurrogate,
        Trouble::DoubleNameRow => FaultKind::DoubleName,
        Trouble::HugeNumberRow => FaultKind::HugeNumber,
        Trouble::DeepValueRow => FaultKind::DeepValue,
        Trouble::ManyRows => FaultKind::ManyRows,
        Trouble::NoRow(_) => FaultKind::NoRow,
        Trouble::NoList(_) => FaultKind::NoList,
        Trouble::RowTwice => FaultKind::RowTwice,
        Trouble::LongText => FaultKind::LongText,
        Trouble::LongRefusal => FaultKind::LongRefusal,
        Trouble::Gzip
        | Trouble::GzipMembers
        | Trouble::GzipGarbage
        | Trouble::GzipBomb
        | Trouble::OtherCoding => FaultKind::Compress,
        Trouble::SlowerWord | Trouble::EndlessWait => FaultKind::Throttle,
        Trouble::CapPageSize | Trouble::CapPageSizeAsText | Trouble::CapPageSizeSilently => {
            FaultKind::CapPageSize
        }
        Trouble::EmptyFirstPage | Trouble::EmptyPage => FaultKind::EmptyPage,
        Trouble::ShortPages => FaultKind::ShortPage,
        Trouble::ChangingTotals => FaultKind::ChangingTotal,
        Trouble::BadArgument => FaultKind::BadArgument,
        Trouble::BadDevice => FaultKind::BadDevice,
        Trouble::FalseDate => FaultKind::IllegalTimestamp,
        Trouble::CountedTwice => FaultKind::CountedTwice,
        Trouble::NotCounted | Trouble::NeverCounted => FaultKind::NotCounted,
        Trouble::StillRunning => FaultKind::StillRunning,
        Trouble::VagueText => FaultKind::VagueText,
        Trouble::ForeignNotFound(_) => FaultKind::Foreign404,
    };
    let fault = Fault::always(kind);
    let beside = match trouble {
        Trouble::CapPageSizeAsText => Some(FaultKind::PageEchoAsText),
        Trouble::LaterThrottle | Trouble::LaterRefusal => Some(FaultKind::CapPageSize),
        Trouble::CapPageSizeSilently => Some(FaultKind::NoPageEcho),
        // For the vendor whose requests carry no time: it answers as ever, with that date.
        Trouble::FalseDate => Some(FaultKind::Delay),
        _ => None,
    };
    let mut faults = vec![match trouble {
        Trouble::OtherCoding => fault.coding("br"),
        Trouble::GzipMembers => fault.packing(Packing::Members),
        Trouble::GzipGarbage => fault.packing(Packing::Garbage),
        Trouble::GzipBomb => fault.packing(Packing::Bomb),
        Trouble::ForeignNotFound(proxy) => fault.value(not_found_of(proxy)),
        Trouble::NoRow(odd) | Trouble::NoList(odd) => fault.value(odd_value(odd)),
        Trouble::SlowerWord => fault.code("SystemBusy"),
        Trouble::EndlessWait => fault.retry_after(u64::MAX.to_string()),
        Trouble::EmptyFirstPage => fault.page(1),
        Trouble::LaterThrottle | Trouble::LaterRefusal => fault.after(3),
        // The calls of one reading at a vendor that is asked for each status.
        Trouble::CountedTwice | Trouble::NotCounted => fault.times(8),
        _ => fault,
    }];
    faults.extend(beside.map(Fault::always));
    if matches!(trouble, Trouble::LaterThrottle | Trouble::LaterRefusal) {
        // So that three calls are not the whole list.
        faults = faults.into_iter().map(|fault| fault.rows(3)).collect();
    }
    if trouble == Trouble::FalseDate {
        let dated = |fault: Fault| fault.delay(Duration::ZERO).date(FALSE_DATE);
        faults = faults.into_iter().map(dated).collect();
    }
    server.set_faults(faults);
    true
}
