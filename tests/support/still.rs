//! The demo model, opened once a test binary, and stills of it.

use mixscope::app::Still;
use mixscope::model::{Loaded, Location, open};
use mixscope::trace::Policy;
use std::sync::{Arc, LazyLock};

/// The demo model under the `hf` policy.
pub fn demo() -> Arc<Loaded> {
    static DEMO: LazyLock<Arc<Loaded>> =
        LazyLock::new(|| Arc::new(open(&Location::Demo, Policy::Hf, None, false).unwrap()));
    DEMO.clone()
}

/// The demo after reading `prompt`, and these keys.
pub fn still(prompt: &str, keys: &str) -> Still {
    let mut still = Still::new(demo(), Some(prompt));
    still.press(keys).unwrap();
    still
}

/// The message in the footer, or nothing.
pub fn message(still: &Still) -> &str {
    still.state.message.as_ref().map_or("", |message| &message.failure.summary)
}
