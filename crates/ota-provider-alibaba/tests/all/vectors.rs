use std::collections::BTreeMap;

use ota_provider_alibaba::internals::{Acs3, acs3, canonical_query, rpc};
use serde_json::Value;

fn pairs(value: &Value) -> Vec<(String, String)> {
    let members = value.as_object().unwrap();
    members
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn every_published_vector_passes() {
    let file: Value =
        serde_json::from_str(include_str!("../fixtures/signature-vectors.json")).unwrap();
    let mut passed = BTreeMap::new();
    for vector in file["vectors"].as_array().unwrap() {
        let (id, input) = (vector["id"].as_str().unwrap(), &vector["input"]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let secret = text(&input["access_key_secret"]);
        let scheme = vector["scheme"].as_str().unwrap();
        if scheme == "RPC-V1/HMAC-SHA1" {
            let params = pairs(&input["params"]);
            assert_eq!(canonical_query(&params), vector["canonical_query"], "{id}");
            assert_eq!(
                rpc(input["http_method"].as_str().unwrap(), &params, &secret),
                vector["signature"],
                "{id}"
            );
        } else {
            let (query, headers) = (pairs(&input["query"]), pairs(&input["headers"]));
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            assert_eq!(canonical_query(&query), vector["canonical_query"], "{id}");
            let authorization = acs3(Acs3 {
                method: input["http_method"].as_str().unwrap(),
                uri: input["canonical_uri"].as_str().unwrap(),
                query: &query,
                headers: &headers,
                hashed_payload: vector["hashed_payload"].as_str().unwrap(),
                access_key_id: input["access_key_id"].as_str().unwrap(),
                access_key_secret: &secret,
            });
            assert_eq!(authorization, vector["authorization"], "{id}");
        }
        *passed.entry(scheme.to_owned()).or_insert(0) += 1;
    }
    assert_eq!(
        passed.into_iter().collect::<Vec<_>>(),
        [
            ("ACS3-HMAC-SHA256".to_owned(), 9),
            ("RPC-V1/HMAC-SHA1".to_owned(), 16)
        ]
    );
}
