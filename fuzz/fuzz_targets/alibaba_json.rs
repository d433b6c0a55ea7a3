#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ota_fuzz::adapters::alibaba::alibaba_json(data));
