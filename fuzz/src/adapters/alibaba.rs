//! The decoder of Alibaba's answers.

use ota_provider_alibaba::internals as alibaba;
use serde_json::{Value, json};

use super::super::target::{Target, hides_the_secret};

pub(super) const TARGETS: [(&str, Target); 2] =
    [("alibaba_json", alibaba_json), ("alibaba_xml", alibaba_xml)];

/// Answers of Alibaba's operations in JSON, and rows among good ones.
pub fn alibaba_json(data: &[u8]) {
    alibaba_answer(data);
    let Ok(garbage) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let good = json!({"TaskId": "t1", "TaskStatus": "FAILED"});
    let rows = json!([good, garbage, good]);
    let page = json!({"Success": true, "Data": {"SimpleOTATaskInfo": rows}}).to_string();
    let read = alibaba::read(alibaba::Operation::Tasks, 200, page.as_bytes());
    let Ok(alibaba::Read::Tasks(tasks)) = read else {
        panic!("a row has failed its page");
    };
    let ids = [0, 2].map(|row| tasks[row].as_ref().map(|task| task.id.as_str()));
    assert_eq!(ids, [Some("t1"); 2]);
    assert_eq!(tasks.len(), 3);
}

/// Answers of Alibaba's operations in XML.
pub fn alibaba_xml(data: &[u8]) {
    let _ = alibaba::xml::decode(data);
    alibaba_answer(data);
}

fn alibaba_answer(data: &[u8]) {
    for operation in alibaba::Operation::ALL {
        hides_the_secret(alibaba::SECRET, alibaba::read(operation, 200, data).err());
    }
    hides_the_secret(
        alibaba::SECRET,
        alibaba::read(alibaba::Operation::Tasks, 400, data).err(),
    );
}
