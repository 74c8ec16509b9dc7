#![no_main]
//! config.json: what is accepted has sizes that can be computed with.

use libfuzzer_sys::fuzz_target;
use mixscope::model::Config;
use mixscope::trace::Report;

fuzz_target!(|bytes: &[u8]| {
    let Ok(json) = serde_json::from_slice(bytes) else { return };
    if let Ok(config) = Config::parse(&json, "config.json", &mut Report::default()) {
        let d = config.dims;
        assert!(d.heads % d.kv_heads == 0 && d.d_head % 2 == 0 && d.top_k <= d.experts && d.layers > 0);
    }
});
