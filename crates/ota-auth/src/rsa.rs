//! Which RSA keys are strong enough to verify tokens.

/// The smallest modulus, in bits, as RFC 7518 section 3.3 demands.
const MIN_BITS: usize = 2048;

/// The largest modulus that the library below verifies with, in bits.
const MAX_BITS: usize = 8192;

/// The smallest public exponent (FIPS 186-5, section 5.1: greater than 2^16). With exponent 1, every message is its own signature.
const MIN_EXPONENT: u64 = 65_537;

/// The largest public exponent that the library below verifies with.
const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// The largest prime that a modulus is divided by for trial (NIST SP 800-89, section 5.3.3).
const LARGEST_TRIAL: u32 = 751;

/// Cuts off zero bytes at the front: some servers write the sign byte of ASN.1 with the number, which RFC 7518 section 6.3.1.1 forbids.
pub(super) fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let start = number.iter().position(|byte| *byte != 0);
    &number[start.unwrap_or(number.len())..]
}

/// Checks modulus and exponent, without leading zeros. This is the partial validation of NIST SP 800-89, section 5.3.3.
///
/// # Errors
/// Describes what is wrong with the key.
pub(super) fn check(modulus: &[u8], exponent: &[u8]) -> Result<(), String> {
    let bits = match modulus.first() {
        Some(first) => modulus.len() * 8 - first.leading_zeros() as usize,
        None => 0,
    };
    if bits < MIN_BITS {
        return Err(format!(
            "its modulus has {bits} bits, less than {MIN_BITS} bits"
        ));
    }
    if bits > MAX_BITS {
        return Err(format!(
            "its modulus has {bits} bits, more than {MAX_BITS} bits"
        ));
    }
    if let Some(divisor) = small_divisor(modulus) {
        return Err(format!(
            "its modulus can be divided by {divisor}, so anyone can find the private key"
        ));
    }
    let value = (exponent.len() <= 8).then(|| {
        exponent
            .iter()
            .fold(0_u64, |value, byte| (value << 8) | u64::from(*byte))
    });
    match value {
        Some(value) if value < MIN_EXPONENT => Err(format!(
            "its exponent is {value}, less than {MIN_EXPONENT}, which is not safe"
        )),
        Some(value) if value % 2 == 0 => Err("its exponent is even".to_owned()),
        Some(value) if value <= MAX_EXPONENT => Ok(()),
        _ => Err(format!("its exponent is more than {MAX_EXPONENT}")),
    }
}

fn small_divisor(modulus: &[u8]) -> Option<u32> {
    (2..=LARGEST_TRIAL).find(|divisor| {
        let rest = modulus.iter().fold(0_u32, |rest, byte| {
            ((rest << 8) | u32::from(*byte)) % divisor
        });
        rest == 0
    })
}

#[cfg(test)]
mod tests {
    use super::{check, without_leading_zeros};

    const E: &[u8] = &[1, 0, 1];

    /// 2^2047 + `low`, as bytes.
    fn modulus(low: u16) -> Vec<u8> {
        let mut n = vec![0; 256];
        n[0] = 0x80;
        n[254..].copy_from_slice(&low.to_be_bytes());
        n
    }

    /// A number of 2048 bits without a divisor up to 751.
    fn sound() -> Vec<u8> {
        let low = (1..u16::MAX).step_by(2);
        low.map(modulus).find(|n| check(n, E).is_ok()).unwrap()
    }

    #[test]
    fn weak_numbers_are_named() {
        let n = sound();
        for (n, e, words) in [
            (n.clone(), vec![1], "exponent is 1,"),
            (n.clone(), vec![3], "exponent is 3,"),
            (n.clone(), vec![], "exponent is 0,"),
            (n.clone(), vec![1, 0, 2], "even"),
            (n.clone(), vec![2, 0, 0, 0, 1], "more than"),
            (n.clone(), vec![1; 9], "more than"),
            (n[1..].to_vec(), E.to_vec(), "less than 2048"),
            ([&n[..], &[1; 1000]].concat(), E.to_vec(), "more than 8192"),
            (vec![], E.to_vec(), "0 bits"),
            (modulus(2), E.to_vec(), "divided by 2"),
            (vec![0xff; 256], E.to_vec(), "divided by 3"),
        ] {
            let error = check(&n, &e).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(check(&n, &[1, 0xff, 0xff, 0xff, 0xff]), Ok(()));
    }

    #[test]
    fn zero_bytes_at_the_front_are_no_part_of_a_number() {
        for (text, number) in [
            (&[0, 0, 1, 0][..], &[1, 0][..]),
            (&[1], &[1]),
            (&[0], &[]),
            (&[], &[]),
        ] {
            assert_eq!(without_leading_zeros(text), number);
        }
    }
}
