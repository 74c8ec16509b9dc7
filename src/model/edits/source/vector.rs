//! The vector that an edit adds: a tensor of a safetensors file, or an array of NumPy.

use super::{format, npy};
use crate::trace::{EditSource, TraceReader, nearest};
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::sync::Arc;

/// Names that a message lists.
const LISTED: usize = 6;

/// The values of the tensor that `source` names, or of the only one in its file.
pub fn read(source: &EditSource) -> Result<Arc<[f32]>> {
    let start = format::start(Path::new(&source.path))?;
    let (what, values) = match format::of(&start) {
        _ if start.starts_with(format::NPY) => of_array(source)?,
        None => of_safetensors(source)?,
        Some(format::Other { what, convert }) => {
            bail!("{} holds no vector: {what}; expected a .safetensors or .npy file: {convert}", source.path)
        }
    };
    ensure!(values.iter().all(|x| x.is_finite()), "{what} has values that are not finite");
    Ok(values.into())
}

fn of_array(source: &EditSource) -> Result<(String, Vec<f32>)> {
    let path = &source.path;
    if let Some(tensor) = &source.tensor {
        bail!("{path} holds one array, which has no name: leave out `:{tensor}`");
    }
    let (shape, values) = npy::floats(Path::new(path))?;
    check(path, &shape, "save one row of it: numpy.save('v.npy', array[0])")?;
    Ok((path.clone(), values))
}

fn of_safetensors(source: &EditSource) -> Result<(String, Vec<f32>)> {
    let path = &source.path;
    let file = TraceReader::open_plain(Path::new(path))?;
    let names = file.tensor_names();
    let name = match (&source.tensor, &names[..]) {
        (_, []) => bail!("{path} holds no tensor"),
        (Some(name), _) if names.contains(name) => name,
        (Some(name), _) => {
            bail!("{path} has no tensor `{name}`{}; it has {}", similar(name, &names), listed(&file, &names))
        }
        (None, [only]) => only,
        (None, _) => {
            bail!("{path}: name one of its tensors after a colon (FILE:NAME); it has {}", listed(&file, &names))
        }
    };
    let what = format!("{path}: `{name}`");
    check(&what, file.shape(name).unwrap_or_default(), "name a vector")?;
    let tensor = file.tensor(name)?;
    Ok((what.clone(), tensor.f32().context(what)?.to_vec()))
}

/// Checks that there is one axis, apart from axes of length 1.
fn check(what: &str, shape: &[usize], advice: &str) -> Result<()> {
    ensure!(is_vector(shape), "{what}: expected a vector, found shape {shape:?}; {advice}");
    Ok(())
}

fn is_vector(shape: &[usize]) -> bool {
    shape.iter().filter(|size| **size != 1).count() <= 1
}

/// The number of tensors, and the names of a few: vectors, if there are any.
fn listed(file: &TraceReader, names: &[String]) -> String {
    let vectors: Vec<&String> =
        names.iter().filter(|name| file.is_float(name) && file.shape(name).is_some_and(is_vector)).collect();
    let (some, kind) = match vectors.len() {
        0 => (names.iter().collect(), ", none of them a vector"),
        all if all == names.len() => (vectors, ""),
        _ => (vectors, ", of which these are vectors"),
    };
    let few: Vec<&str> = some.iter().take(LISTED).map(|name| name.as_str()).collect();
    let more = some.len() - few.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{} tensors{kind}: {}{more}", names.len(), few.join(", "))
}

/// `; did you mean …?` with the names that contain `given`, or the one that it is most likely a misspelling of; empty if there
/// is none.
fn similar(given: &str, names: &[String]) -> String {
    let lower = given.to_lowercase();
    let mut near: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| name.to_lowercase().contains(&lower)).take(3).collect();
    if near.is_empty() {
        near.extend(nearest(given, names.iter().map(String::as_str)));
    }
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(" or ")) }
}
