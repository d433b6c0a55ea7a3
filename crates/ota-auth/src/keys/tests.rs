use super::{KeySet, MAX_KEYS};
use crate::{Algorithms, KeyKind};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// An Ed25519 key; all 32 bytes are this number.
fn ed25519(number: u8) -> Value {
    let x = URL_SAFE_NO_PAD.encode([number; 32]);
    json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{number}"), "x": x})
}

/// An RSA key with a modulus of 2048 bits that no small prime divides.
fn rsa(number: u16) -> Option<Value> {
    let mut modulus = [0_u8; 256];
    modulus[0] = 0x80;
    modulus[254..].copy_from_slice(&number.to_be_bytes());
    crate::rsa::check(&modulus, &[1, 0, 1]).ok()?;
    let n = URL_SAFE_NO_PAD.encode(modulus);
    Some(json!({"kty": "RSA", "kid": format!("k{number}"), "n": n, "e": "AQAB"}))
}

fn set(keys: &[Value], allowed: &Algorithms) -> KeySet {
    KeySet::jwks(json!({"keys": keys}).to_string().as_bytes(), allowed).unwrap()
}

#[test]
fn the_order_of_keys_is_no_change() {
    let allowed = Algorithms::default();
    let [one, two, three] = [1, 2, 3].map(ed25519);
    let first = set(&[one.clone(), two.clone()], &allowed);
    assert!(first.same_keys(&set(&[two.clone(), one.clone()], &allowed)));
    assert!(first.same_keys(&set(&[two.clone(), one.clone(), two.clone()], &allowed)));
    for other in [
        &[one.clone()][..],
        &[one.clone(), three.clone()],
        &[one, two, three],
    ] {
        let other = set(other, &allowed);
        assert!(!first.same_keys(&other) && !other.same_keys(&first));
    }
}

#[test]
fn keys_are_counted_not_what_they_are_used_with() {
    let names: Vec<KeyKind> = KeyKind::PUBLIC.into_iter().take(6).collect();
    let allowed = Algorithms::only(names);
    let keys: Vec<Value> = (1..).filter_map(rsa).take(MAX_KEYS + 1).collect();
    let full = set(&keys[..MAX_KEYS], &allowed);
    assert_eq!(full.len(), 6 * MAX_KEYS);
    assert!(full.left_out().named().is_empty());
    let over = set(&keys, &allowed);
    assert!(over.same_keys(&full));
    assert_eq!(over.left_out().named().len(), 1);
    let reason = &over.left_out().named()[0].reason;
    assert!(reason.contains("at most 32 are taken"), "{reason}");
}

#[test]
fn of_many_odd_entries_a_few_are_named_and_the_others_counted() {
    let mut keys = vec![json!({}); 80_000];
    keys.push(ed25519(1));
    let set = set(&keys, &Algorithms::default());
    assert_eq!(set.len(), 1);
    assert_eq!(set.left_out().named().len(), 32);
    assert_eq!(set.left_out().more(), 80_000 - 32);
    keys.pop();
    let text = json!({"keys": keys}).to_string();
    let error = KeySet::jwks(text.as_bytes(), &Algorithms::default()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains("and 79995 more"), "{error}");
    assert!(error.len() < 1000, "{error}");
}
