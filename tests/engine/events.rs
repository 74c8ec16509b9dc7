//! Waiting for what the engine's thread says.

use mixscope::protocol::{Event, RequestId};
use tokio::sync::mpsc::Receiver;

/// All events up to the first one that is `done`.
pub fn until(events: &mut Receiver<Event>, mut done: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let mut seen = Vec::new();
    loop {
        let event = events.blocking_recv().expect("the engine is there");
        let stop = done(&event);
        seen.push(event);
        if stop {
            return seen;
        }
    }
}

/// Whether a request has ended, well or not.
pub fn finished(id: u64) -> impl FnMut(&Event) -> bool {
    move |event| matches!(event, Event::Finished { id: RequestId(done), .. } | Event::Failed { id: RequestId(done), .. } if *done == id)
}
