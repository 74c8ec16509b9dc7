//! Python's operator `+`, bounded.

use super::{as_float, as_int, failed, items_of};
use minijinja::value::{Rest, Tuple, ValueKind};
use minijinja::{Error, State, Value};

/// Bytes of a text.
const MOST_BYTES: usize = 16 << 20;

/// `first + others[0] + others[1] …`.
///
/// # Errors
/// If two operands can't be added, or the sum is too large.
pub fn add(state: &State, first: &Value, Rest(others): Rest<Value>) -> Result<Value, Error> {
    others.iter().try_fold(first.clone(), |sum, other| {
        let (made, steps) = two(&sum, other)?;
        state.consume_fuel(steps as u64 / 64)?;
        Ok(made)
    })
}

/// The sum of two values, and its bytes or items.
fn two(left: &Value, right: &Value) -> Result<(Value, usize), Error> {
    if let (Some(left), Some(right)) = (left.as_str(), right.as_str()) {
        let len = left.len() + right.len();
        return if len > MOST_BYTES {
            Err(failed("a text is too long"))
        } else {
            Ok((Value::from([left, right].concat()), len))
        };
    }
    if let (Some(left), Some(right)) = (as_int(left), as_int(right)) {
        let sum = left.checked_add(right).ok_or_else(|| failed("a number is too large"))?;
        return Ok((Value::from(sum), 1));
    }
    let number = |value: &Value| as_float(value).or_else(|| as_int(value).map(|int| int as f64));
    if let (Some(left), Some(right)) = (number(left), number(right)) {
        return Ok((Value::from(left + right), 1));
    }
    let is_list = |value: &Value| matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable);
    if is_list(left) && is_list(right) && left.is_tuple() == right.is_tuple() {
        let mut items = items_of(left)?;
        items.extend(items_of(right)?);
        let len = items.len();
        return Ok((if left.is_tuple() { Value::from(Tuple::from(items)) } else { Value::from(items) }, len * 8));
    }
    if left.is_undefined() || right.is_undefined() {
        return Err(failed("an operand of + is undefined"));
    }
    Err(failed(format!("a {} and a {} can't be added with +", left.kind(), right.kind())))
}
