#![no_main]
//! config.json: what is accepted has sizes that can be computed with.

use libfuzzer_sys::fuzz_target;
use mixscope::model::{Config, Described};
use mixscope::trace::Report;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = Config::parse(&json, "config.json", &mut Report::default()) {
        let d = config.arch.dims;
        assert!(d.heads % d.kv_heads == 0 && d.d_head % 2 == 0 && d.top_k <= d.experts && d.layers > 0);
        let described = Described::from_config(json, &config);
        assert!(described.params.1 <= described.params.0 && described.params.0 < u64::MAX);
        assert!(d.kv_bytes_per_token() > 0 && d.kept_bytes_per_token() > 0);
    }
});
