//! Panics as failures on the screen.

use crate::protocol::Failure;
use std::any::Any;

/// A failure that repeats the message of a panic.
pub fn failure_of(panic: &(dyn Any + Send)) -> Failure {
    let message = panic.downcast_ref::<&str>().map(ToString::to_string);
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    Failure {
        summary: "a defect in mixscope stopped this work; what was computed before is still there".to_owned(),
        causes: vec![message, "please report it with the prompt and the model's name".to_owned()],
    }
}
