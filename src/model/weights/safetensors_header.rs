//! Reading a safetensors header without trusting it.

use crate::model::stand_in::stand_in_of_binary;
use crate::trace::LARGEST_HEADER;
use anyhow::{Result, bail, ensure};
use safetensors::tensor::{Dtype as StDtype, SafeTensorError, SafeTensors};

/// A tensor as a header describes it, offsets within the file.
pub struct Described {
    pub name: String,
    pub dtype: StDtype,
    pub shape: Vec<usize>,
    pub start: usize,
    pub len: usize,
}

/// The tensors that the file in `bytes` describes; every one lies within the file.
///
/// # Errors
/// If the header is cut off, states a wrong length or is inconsistent, or the file is shorter than the header says.
pub fn read(bytes: &[u8]) -> Result<Vec<Described>> {
    // The length of a header may spell the first bytes of another format.
    if bytes.get(8) != Some(&b'{')
        && let Some(other) = stand_in_of_binary(bytes)
    {
        bail!("{other}");
    }
    let Some(prefix) = bytes.first_chunk::<8>() else {
        bail!("the file has {} bytes, less than the 8 bytes of a safetensors header length", bytes.len());
    };
    let claimed = u64::from_le_bytes(*prefix);
    let room = bytes.len() as u64 - 8;
    ensure!(
        claimed <= LARGEST_HEADER.min(room),
        "its header length says {claimed} bytes, but {room} bytes follow and the format allows {LARGEST_HEADER}; \
         it is damaged or not a safetensors file"
    );
    let data = 8 + claimed as usize;
    let (_, metadata) = match SafeTensors::read_metadata(bytes) {
        Ok(read) => read,
        Err(SafeTensorError::MetadataIncompleteBuffer) => {
            let promised = promised_len(&bytes[8..data]).map(|len| len.saturating_add(data as u64));
            if let Some(more) = promised.and_then(|len| (bytes.len() as u64).checked_sub(len)).filter(|more| *more > 0)
            {
                bail!(
                    "{more} bytes follow its last tensor, which the format does not allow: something was appended, or files \
                     were joined; download it again"
                );
            }
            let promised = promised.map_or_else(|| "another length".to_owned(), |len| format!("{len} bytes"));
            bail!("it is incomplete: its header promises {promised}, the file has {}; download it again", bytes.len());
        }
        Err(error) => bail!("its header can't be used: {error}"),
    };
    let mut all: Vec<Described> = Vec::new();
    for (name, info) in metadata.tensors() {
        let (start, end) = info.data_offsets;
        all.push(Described {
            name,
            dtype: info.dtype,
            shape: info.shape.clone(),
            start: data + start,
            len: end - start,
        });
    }
    Ok(all)
}

/// The end of the last tensor that a header names.
fn promised_len(header: &[u8]) -> Option<u64> {
    let header: serde_json::Value = serde_json::from_slice(header).ok()?;
    let ends = header.as_object()?.values().filter_map(|tensor| tensor.get("data_offsets")?.get(1)?.as_u64());
    ends.max()
}
