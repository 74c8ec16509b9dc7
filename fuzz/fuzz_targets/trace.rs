#![no_main]
//! Trace files.

use libfuzzer_sys::fuzz_target;
use mixscope::engine::Saved;
use mixscope::trace::{TraceFile, Values};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(trace) = TraceFile::parse(bytes) {
        for tensor in trace.tensors.values() {
            let len = match &tensor.values {
                Values::F32(values) => values.len(),
                Values::U32(values) => values.len(),
            };
            assert_eq!(len, tensor.shape.iter().product::<usize>());
        }
        // What is wrong is an error.
        let _ = Saved::of(trace, "fuzz");
    }
});
