//! Running the real binary and reading what it wrote.

use mixscope::trace::TraceFile;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Tables of `run` and their header rows.
pub const CSV: [(&str, &str); 6] = [
    ("tokens.csv", "position,token_id,token,source,nll,entropy,rank,text"),
    ("routing.csv", "position,layer,expert,logit,prob,rank,weight"),
    ("attention.csv", "layer,head,query,key,weight"),
    ("lens.csv", "position,layer,site,k,token_id,token,logit,prob,text"),
    ("lens_summary.csv", "position,layer,site,final_rank,final_prob,entropy,kl"),
    ("candidates.csv", "position,k,token_id,token,logit,prob,text"),
];

/// Rows of the tables, columns as in [`CSV`].
pub type TokenRow = (usize, u32, String, String, Option<f32>, Option<f32>, Option<u32>, String);
pub type RoutingRow = (usize, usize, usize, f32, f32, usize, f32);
pub type AttentionRow = (usize, usize, usize, usize, f32);
pub type LensRow = (usize, usize, String, usize, u32, String, f32, f32, String);
pub type SummaryRow = (usize, usize, String, u32, f32, f32, f32);
pub type CandidateRow = (usize, usize, u32, String, f32, f32, String);

/// Whether a number read from JSON is this one. serde_json may read it one unit in the last place off.
pub fn same(read: f64, number: f64) -> bool {
    (read - number).abs() <= f64::EPSILON * number.abs()
}

pub fn command(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mixscope"));
    command.env("XDG_STATE_HOME", state).env_remove("RUST_BACKTRACE").env_remove("RUST_LIB_BACKTRACE");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn mixscope<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Output {
    let state = tempfile::tempdir().unwrap();
    command(state.path()).args(args).output().unwrap()
}

pub fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Nothing on stdout, and one message on stderr that mentions `what`.
pub fn assert_fails(output: &Output, code: i32, what: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{what}: {text}");
    assert!(output.stdout.is_empty(), "{what}: stdout holds {}", stdout(output));
    assert!(text.contains(what), "{what} is not mentioned: {text}");
    assert!(!text.contains("panicked") && !text.contains("backtrace"), "{text}");
    let start = if code == 2 { "error: " } else { "mixscope: " };
    assert!(text.starts_with(start), "{text}");
    assert_eq!(text.matches(start).count(), 1, "{text}");
    assert!(code == 2 || text.trim_end().lines().count() == 1, "{text}");
}

/// `mixscope run ARGS --out FOLDER` and the files it left there.
pub struct Run {
    pub output: Output,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Run {
    pub fn of<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let temp = tempfile::tempdir().unwrap();
        Self::into(&temp.path().join("out"), args)
    }

    pub fn into<S: AsRef<OsStr>>(folder: &Path, args: &[S]) -> Self {
        let args = args.iter().map(AsRef::as_ref);
        let output = mixscope([OsStr::new("run")].into_iter().chain(args).chain(["--out".as_ref(), folder.as_ref()]));
        let entries = std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap);
        let file =
            |entry: std::fs::DirEntry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap());
        Self { output, files: entries.map(file).collect() }
    }

    pub fn ok<S: AsRef<OsStr>>(args: &[S]) -> Self {
        let run = Self::of(args);
        assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
        run
    }

    pub fn names(&self) -> Vec<&str> {
        self.files.keys().map(String::as_str).collect()
    }

    pub fn table<T: DeserializeOwned>(&self, name: &str) -> Vec<T> {
        let bytes = self.files[name].as_slice();
        let header = CSV.iter().find(|(table, _)| *table == name).unwrap().1;
        assert!(bytes.starts_with(format!("{header}\r\n").as_bytes()), "{name}: the header row");
        assert!(bytes.ends_with(b"\r\n"), "{name}: rows end with CRLF");
        csv::Reader::from_reader(bytes)
            .deserialize()
            .map(|row| row.unwrap_or_else(|error| panic!("{name}: {error}")))
            .collect()
    }

    pub fn tokens(&self) -> Vec<TokenRow> {
        self.table("tokens.csv")
    }

    pub fn ids(&self) -> Vec<u32> {
        self.tokens().into_iter().map(|row| row.1).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.files["run.json"]).unwrap()
    }

    pub fn trace(&self) -> TraceFile {
        TraceFile::parse(&self.files["trace.safetensors"]).unwrap()
    }

    pub fn same_tables(&self, other: &Self) {
        for (name, _) in CSV {
            assert!(self.files[name] == other.files[name], "{name} differs");
        }
    }
}

pub fn join(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

pub fn ids_of(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

pub fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub fn token_texts(trace: &TraceFile) -> Vec<String> {
    serde_json::from_str(&trace.metadata["token_texts"]).unwrap()
}

/// The spelling of every id, straight from tokenizer.json.
pub fn pieces(model: &Path) -> BTreeMap<u32, String> {
    let json = read_json(&model.join("tokenizer.json"));
    let vocab = json["model"]["vocab"].as_object().unwrap();
    vocab.iter().map(|(piece, id)| (id.as_u64().unwrap() as u32, piece.clone())).collect()
}
