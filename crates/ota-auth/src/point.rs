//! Which points are public keys of an elliptic curve.

use ring::agreement::{
    ECDH_P256, ECDH_P384, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral,
};
use ring::rand::SystemRandom;

use super::algorithm::Family;

/// Checks that a point (SEC 1, section 2.3.3, uncompressed) lies on its curve. One that does not verifies no token, and the operator would not know
/// why. Points of Ed25519 are not checked: the library below says nothing about them before a signature is verified.
///
/// # Errors
/// When it does not.
pub(super) fn check(family: Family, point: &[u8]) -> Result<(), String> {
    let algorithm = match family {
        Family::P256 => &ECDH_P256,
        Family::P384 => &ECDH_P384,
        Family::Rsa | Family::Ed25519 => return Ok(()),
    };
    // The library checks a point only when it uses it. A key agreement is such a use; its secret is discarded, so its randomness does not
    // matter. If no randomness is available, this shows nothing about the key.
    let Ok(private) = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()) else {
        return Ok(());
    };
    agree_ephemeral(private, &UnparsedPublicKey::new(algorithm, point), |_| ())
        .map_err(|_| format!("it is not {}: the point is not on the curve", family.name()))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::algorithm::Family;
    use ring::agreement::{ECDH_P256, ECDH_P384, EphemeralPrivateKey};
    use ring::rand::SystemRandom;

    #[test]
    fn a_point_beside_its_curve_is_no_key() {
        for (family, algorithm) in [(Family::P256, &ECDH_P256), (Family::P384, &ECDH_P384)] {
            let private = EphemeralPrivateKey::generate(algorithm, &SystemRandom::new()).unwrap();
            let point = private.compute_public_key().unwrap();
            let point = point.as_ref();
            assert_eq!(check(family, point), Ok(()));
            let mut beside = point.to_vec();
            *beside.last_mut().unwrap() ^= 1;
            let mut zero = vec![0; point.len()];
            zero[0] = 4;
            for bad in [&beside, &zero, &vec![0xff; point.len()]] {
                let error = check(family, bad).unwrap_err();
                assert!(error.contains("not on the curve"), "{error}");
            }
        }
    }
}
