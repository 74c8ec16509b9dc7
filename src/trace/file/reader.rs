//! Reading a trace tensor by tensor.

use super::container::{LARGEST_HEADER, check_format, check_version, decode};
use super::extra::{SOURCE, SOURCES};
use super::foreign::{Tensors, Translation};
use super::tensor::{TraceTensor, Values};
use crate::trace::{Dtype, Finding, Hook, HookKind, Policy, Source};
use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;

/// An open trace file. Only its header is in memory; tensors are read one at a time.
#[derive(Debug)]
pub struct TraceReader {
    /// The metadata strings; untrusted.
    pub metadata: HashMap<String, String>,
    /// What was read otherwise than its name says, and which tensors are not used.
    pub notes: Vec<Finding>,
    name: String,
    translation: Translation,
    header: Metadata,
    file: Mutex<File>,
    /// Start and end of the numbers, bytes from the start of the file.
    data: (u64, u64),
}

impl TraceReader {
    /// Reads the header of the trace at `path`.
    ///
    /// # Errors
    /// If it can't be read, is not a trace, is a trace of a newer version, or is of more than one text.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let read = Self::read_header(path, &name).and_then(|trace| {
            check_format(&trace.metadata)?;
            check_version(&trace.metadata)?;
            Ok(trace)
        });
        let mut trace = read.with_context(|| format!("{name} is not a readable trace"))?;
        let mut translation = Translation::of(&trace)?;
        translation.check_batch(&trace).context(name)?;
        trace.notes = std::mem::take(&mut translation.notes);
        trace.translation = translation;
        Ok(trace)
    }

    /// Reads the header of any safetensors file. Its tensors are named as in the file.
    ///
    /// # Errors
    /// If it can't be read, or is no safetensors file.
    pub fn open_plain(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        Self::read_header(path, &name).with_context(|| format!("{name} is not a readable safetensors file"))
    }

    fn read_header(path: &Path, name: &str) -> Result<Self> {
        let mut file = File::open(path)?;
        let end = file.metadata()?.len();
        let mut length = [0; 8];
        file.read_exact(&mut length).context("the file is too short for a header")?;
        let length = u64::from_le_bytes(length);
        let start = length.saturating_add(8);
        ensure!(
            length <= LARGEST_HEADER && start <= end,
            "expected a header within the file's {end} bytes, found one of {length} bytes"
        );
        let mut text = vec![0; length as usize];
        file.read_exact(&mut text)?;
        let header: Metadata = serde_json::from_slice(&text).context("the header is not what safetensors writes")?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let (notes, translation) = (Vec::new(), Translation::default());
        let (name, file) = (name.to_owned(), Mutex::new(file));
        Ok(Self { metadata, notes, name, translation, header, file, data: (start, end) })
    }

    /// The path of the file.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The hooks that the file holds, in the order of the forward pass.
    pub fn hooks(&self) -> Vec<Hook> {
        self.translation.hooks()
    }

    /// The names of all tensors in the file, sorted.
    pub fn tensor_names(&self) -> Vec<String> {
        let mut names = self.header.offset_keys();
        names.sort_unstable();
        names
    }

    /// Whether the file holds what the trace format calls `name`.
    pub fn has(&self, name: &str) -> bool {
        self.translation.has(name).unwrap_or_else(|| self.header.info(name).is_some())
    }

    /// Shape of the tensor `name`, as it is stored.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.header.info(name).map(|info| info.shape.as_slice())
    }

    /// Whether the tensor `name` of the file holds floating-point numbers.
    pub fn is_float(&self, name: &str) -> bool {
        use safetensors::Dtype as D;
        self.header.info(name).is_some_and(|info| matches!(info.dtype, D::F64 | D::F32 | D::F16 | D::BF16))
    }

    /// Reads what the trace format calls `name`.
    ///
    /// # Errors
    /// If there is no tensor of this name, it reaches beyond the file, can't be read, or has a dtype that traces don't
    /// have.
    pub fn tensor(&self, name: &str) -> Result<TraceTensor> {
        match self.translation.read(self, name)? {
            Some(tensor) => Ok(tensor),
            None => self.read(name),
        }
    }

    fn bytes(&self, info: &TensorInfo) -> Result<Vec<u8>> {
        let (start, end) = info.data_offsets;
        let (first, last) = self.data;
        let (length, room) = (end.checked_sub(start), (last - first) as usize);
        let numbers = info.shape.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
        let needed = numbers.and_then(|n| n.checked_mul(info.dtype.bitsize())).map(|bits| bits / 8);
        ensure!(
            length.is_some() && length == needed && end <= room,
            "expected bytes for shape {:?} inside the file, found bytes {start} to {end} of {room}: the file is damaged \
             or was cut off",
            info.shape
        );
        let mut bytes = vec![0; end - start];
        let Ok(mut file) = self.file.lock() else { bail!("an earlier read of the file failed") };
        file.seek(SeekFrom::Start(first + start as u64))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The token ids.
    ///
    /// # Errors
    /// If there are none, or they are not a list of integers.
    pub fn tokens(&self) -> Result<Vec<u32>> {
        let tensor = self.tensor("tokens")?;
        let is_list = tensor.shape.len() == 1 && tensor.shape[0] > 0;
        ensure!(is_list, "{}: `tokens`: expected shape [pos] of at least one, found {:?}", self.name, tensor.shape);
        match tensor.values {
            Values::U32(ids) => Ok(ids),
            Values::F32(_) => bail!("{}: `tokens`: expected integers, found floating-point values", self.name),
        }
    }

    /// How many of the `tokens` tokens at the start are the prompt: all of them if the trace does not say.
    ///
    /// # Errors
    /// If the sources of the tokens can't be read.
    pub fn prompt_len(&self, tokens: usize) -> Result<usize> {
        if !self.has(SOURCE) {
            return Ok(tokens);
        }
        let sources = self.tensor(SOURCE)?;
        let sources = sources.u32().with_context(|| format!("{}: `{SOURCE}`", self.name))?;
        let is_prompt = |source: &&u32| SOURCES.get(**source as usize) == Some(&Source::Prompt);
        Ok(sources.iter().take(tokens).take_while(is_prompt).count())
    }

    /// The value of a metadata key as JSON; `None` if it is missing or not JSON.
    pub fn json(&self, key: &str) -> Option<serde_json::Value> {
        serde_json::from_str(self.metadata.get(key)?).ok()
    }

    /// The precision policy of the run; `None` if the trace names none that is known.
    pub fn policy(&self) -> Option<Policy> {
        self.metadata.get("precision")?.parse().ok()
    }

    /// The dtype in which the `hf` policies rounded; `None` if the trace names none.
    pub fn compute_dtype(&self) -> Option<Dtype> {
        self.json("provenance")?.get("compute_dtype")?.as_str()?.parse().ok()
    }

    /// Whether the values themselves show that nothing was rounded to 16 bits: some that are stored in f32, and that a 16-bit
    /// policy rounds, are exact in neither bf16 nor f16.
    ///
    /// # Errors
    /// If a tensor can't be read.
    pub fn is_unrounded(&self) -> Result<bool> {
        let kinds =
            [HookKind::V, HookKind::Q, HookKind::AttnOut, HookKind::MlpOut, HookKind::ResidPost, HookKind::ResidPre];
        let hooks = self.hooks();
        let Some(hook) = kinds.iter().find_map(|kind| hooks.iter().find(|hook| hook.kind == *kind)) else {
            return Ok(false);
        };
        let tensor = self.tensor(&hook.to_string())?;
        let Values::F32(values) = &tensor.values else { return Ok(false) };
        let is_off = |dtype: Dtype| values.iter().any(|x| x.is_finite() && dtype.round(*x) != *x);
        Ok(tensor.dtype == Dtype::F32 && is_off(Dtype::Bf16) && is_off(Dtype::F16))
    }

    /// The dtype in which the activations are exact: the narrowest stored dtype, or else the one that the trace names.
    pub fn activation_dtype(&self) -> Dtype {
        let stored = |hook: Hook| match self.header.info(self.translation.tensor_of(&hook.to_string())?)?.dtype {
            safetensors::Dtype::BF16 => Some(Dtype::Bf16),
            safetensors::Dtype::F16 => Some(Dtype::F16),
            _ => None,
        };
        let narrow = self.hooks().into_iter().filter(|hook| hook.kind != HookKind::RouterLogits).find_map(stored);
        let said = self.compute_dtype().filter(|_| !self.policy().is_some_and(Policy::keeps_f32));
        narrow.or(said).unwrap_or(Dtype::F32)
    }
}

impl Tensors for TraceReader {
    fn names(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    fn shape_of(&self, name: &str) -> Option<&[usize]> {
        self.shape(name)
    }

    fn read(&self, name: &str) -> Result<TraceTensor> {
        let read = || {
            let info = self.header.info(name).context("the trace holds none")?;
            let bytes = self.bytes(info)?;
            decode(name, info.dtype, info.shape.clone(), &bytes)
        };
        read().with_context(|| format!("{}: `{name}`", self.name))
    }

    fn said(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}
