use std::collections::BTreeMap;

use ota_provider_alibaba::internals::{Acs3, acs3, canonical_query, rpc};
use proptest::prelude::*;
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

type Params = Vec<(String, String)>;

/// Parameters with different names, and the same in another order.
fn shuffled() -> impl Strategy<Value = (Params, Params)> {
    let name = prop_oneof!["[A-Za-z.0-9]{1,8}", "\\PC{1,4}"];
    proptest::collection::btree_map(name, any::<String>(), 0..8).prop_flat_map(|params| {
        let params: Vec<_> = params.into_iter().collect();
        (Just(params.clone()), Just(params).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn the_order_of_parameters_and_headers_changes_no_signature((one, other) in shuffled()) {
        prop_assert_eq!(canonical_query(&one), canonical_query(&other));
        prop_assert_eq!(rpc("POST", &one, "secret"), rpc("POST", &other, "secret"));
        let headers = [("host", "h"), ("x-acs-date", "d"), ("X-Acs-Action", "a")];
        let reversed = [headers[2], headers[1], headers[0]];
        let signed = |query, headers| acs3(Acs3 {
            method: "POST",
            uri: "/",
            query,
            headers,
            hashed_payload: "e3b0",
            access_key_id: "id",
            access_key_secret: "secret",
        });
        prop_assert_eq!(signed(&one, &headers), signed(&other, &reversed));
    }

    #[test]
    fn another_parameter_or_secret_is_another_signature((one, _) in shuffled(), name in "[a-z]{9}", value: String) {
        let mut more = one.clone();
        more.push((name, value));
        prop_assert_ne!(rpc("POST", &one, "secret"), rpc("POST", &more, "secret"));
        prop_assert_ne!(rpc("POST", &one, "secret"), rpc("GET", &one, "secret"));
        prop_assert_ne!(rpc("POST", &one, "secret"), rpc("POST", &one, "secreu"));
    }
}
