//! `mixscope check`: validates the files and weights of a model, tests its computation, and compares it with a recording.

use super::contract::contract_text;
use super::diff::{ToleranceArg, about, line};
use super::diff_report::{comparison_text, statistics_text};
use super::edits::{EditArgs, loaded as load_edits};
use super::operations_report::operations_text;
use super::self_test::self_test_text;
use super::stderr::Stderr;
use super::{ModelArgs, apply_threads, error, harmless, print};
use crate::analysis::diff::Tolerance;
use crate::app::files::Reporter;
use crate::control::Control;
use crate::engine::{Fidelity, Guilt, SelfTest, Unreadable, Verdict, check_against, self_test, texts, trace_path};
use crate::model::{Edits, FINITE, Loaded, scan, scanned_on_opening};
use crate::trace::{Device, Dtype, Edit, Level, Policy, Report, TraceReader, json_text};
use anyhow::{Result, bail};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde_json::json;

/// What `--against` judges.
const VERDICT: &str = "\
The verdict of --against is one of
  agrees                 every operation gives what was recorded, up to the order of its additions
  agrees up to rounding  it does with a kind of rounding that is named, because it was tested
  differs                an operation does not; the cause is named if one that was tested gives A's values
A value that is recorded without the inputs of its operation is compared with what rounding alone
could do; the last line names what to record to tell more. With --tolerance T the verdict is that
every value is within T, end to end and each layer alone, and the experts and their order the same.

Exit status: 0 sound, or agrees; 1 broken, differs, or can't be compared; 2 wrong usage.";

#[derive(Args)]
#[command(after_help = VERDICT)]
pub struct Check {
    #[command(flatten)]
    model: ModelArgs,
    /// Run the model on the tokens of this recording and compare every hook in it: operation by operation, each fed the
    /// recording's own input, which gives the verdict; then end to end, and each layer alone. --precision and --dtype
    /// default to those of the recording.
    #[arg(long, value_name = "TRACE")]
    against: Option<String>,
    #[command(flatten)]
    edits: EditArgs,
    #[command(flatten)]
    within: ToleranceArg,
    /// Check config and weights only, without the self-test.
    #[arg(long, conflicts_with = "against")]
    no_run: bool,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Print only errors to stderr.
    #[arg(short, long)]
    quiet: bool,
}

impl Check {
    pub fn main(mut self, matches: &ArgMatches) -> Result<()> {
        let tolerance = self.within.get();
        if self.against.is_none() && self.within.is_given() {
            return Err(error(ErrorKind::MissingRequiredArgument, "--tolerance: it needs --against TRACE"));
        }
        let edits = self.edits.read()?;
        if self.against.is_none() && !edits.is_empty() {
            return Err(error(ErrorKind::MissingRequiredArgument, "--edit: it needs --against TRACE"));
        }
        let reference = self.against.as_deref().map(|text| TraceReader::open(&trace_path(text)?)).transpose()?;
        if let Some(reference) = &reference {
            self.compute_as(reference, matches)?;
        }
        apply_threads(self.model.threads)?;
        let stderr = Stderr::new(self.quiet);
        // A recording's tokens are ids, so no tokenizer is needed.
        let loaded = match self.model.open(reference.is_some(), &stderr) {
            Ok(loaded) => loaded,
            Err(error) => {
                if self.json {
                    let found = json!({"model": self.model.model, "verdict": "refused", "ok": false, "error": format!("{error:#}")});
                    print(&json_text(&found)?)?;
                }
                return Err(error);
            }
        };
        let tokens = reference.as_ref().map(TraceReader::tokens).transpose()?.map_or(0, |tokens| tokens.len());
        let edits = load_edits(edits, &loaded.meta, tokens)?;
        let edits = edits.as_ref();
        let report = scanned(&loaded, &stderr)?;
        let fidelity = reference.as_ref().map(|trace| against(&loaded, trace, tolerance, edits, &stderr)).transpose();
        let bad = report.of(Level::Warn).filter(|finding| finding.expected == FINITE).count();
        let tested =
            if self.no_run || self.against.is_some() || bad > 0 { None } else { Some(tested(&loaded, &stderr)?) };
        stderr.clear();
        let fidelity = fidelity?;
        let tested = tested.as_ref();
        let done = tested.and_then(|tested| tested.as_ref().ok());
        let warnings = report.of(Level::Warn).count() + done.map_or(0, |done| done.warnings.len());
        let unreadable = tested.and_then(|tested| tested.as_ref().err()).filter(|unreadable| unreadable.is_fault);
        let fault =
            done.filter(|done| !done.ok).map(|done| &done.verdict).or(unreadable.map(|unreadable| &unreadable.why));
        let files = "config, tensors and tokenizer agree, all weights are finite numbers";
        let verdict = match (bad, fault, warnings) {
            (1.., ..) => "broken: not all weights are finite numbers".to_owned(),
            (0, Some(fault), _) => format!("broken: {fault}"),
            (0, None, 1) => "runs, with 1 warning".to_owned(),
            (0, None, 2..) => format!("runs, with {warnings} warnings"),
            (0, None, 0) if fidelity.is_some() => format!("the files are sound: {files}"),
            (0, None, 0) => match (done, tested) {
                (Some(done), _) => format!("sound: {files}, and it {}", done.verdict),
                (None, Some(_)) => format!("sound: {files}; the self-test could not be run"),
                (None, None) => format!("sound: {files}"),
            },
        };
        let ok = bad == 0 && fault.is_none() && fidelity.as_ref().is_none_or(|fidelity| fidelity.ok);
        if self.json {
            let mut found = json!({"model": loaded.meta.name, "device": loaded.meta.device, "verdict": verdict, "ok": ok, "validation": report});
            match tested {
                Some(Ok(tested)) => found["self_test"] = serde_json::to_value(tested)?,
                Some(Err(unreadable)) => found["self_test"] = json!({"not_run": unreadable.why}),
                None => {}
            }
            if let (Some(fidelity), Some(reference)) = (&fidelity, &reference) {
                found["precision"] = json!(loaded.meta.policy);
                found["edits"] = json!(listed(edits));
                found["reference"] = about(reference);
                found["against"] = serde_json::to_value(fidelity)?;
                found["summary"] = json!(summary(fidelity));
                found["recorder"] = json!(untested_recorder(reference));
                if bad == 0 && fault.is_none() {
                    found["verdict"] = json!(summary(fidelity));
                }
            }
            print(&json_text(&found)?)?;
        } else {
            let tested = match tested {
                Some(Ok(tested)) if tested.ok && tested.warnings.is_empty() => self_test_text(tested),
                Some(Ok(tested)) => self_test_text(tested) + "\n",
                Some(Err(unreadable)) => format!("\nself-test: not run: {}\n\n", unreadable.why),
                None => "\n".to_owned(),
            };
            let on = on_device(&loaded);
            let mut text = format!("{}{on}\n\n{}{tested}{verdict}\n", loaded.meta.title, contract_text(&report));
            if let (Some(fidelity), Some(reference)) = (&fidelity, &reference) {
                text += &fidelity_text(fidelity, reference, &loaded, edits);
            }
            print(&harmless(&text))?;
        }
        if bad > 0 || fault.is_some() {
            bail!("{} failed the check: {verdict}", loaded.meta.name);
        }
        if let Some(fidelity) = fidelity.filter(|fidelity| !fidelity.ok) {
            bail!("{} failed the check: {}", loaded.meta.name, summary(&fidelity));
        }
        Ok(())
    }

    /// Takes precision and dtype from the recording where the command line gives none.
    fn compute_as(&mut self, reference: &TraceReader, matches: &ArgMatches) -> Result<()> {
        let is_given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if is_given("precision") {
            return Ok(());
        }
        let policy = match reference.policy() {
            None if reference.compute_dtype() == Some(Dtype::F32) || reference.is_unrounded()? => Some(Policy::F32),
            said => said,
        };
        self.model.precision = policy.unwrap_or(self.model.precision);
        // Under `f32` nothing is rounded, whatever the dtype.
        if !policy.is_some_and(Policy::keeps_f32) && !is_given("dtype") {
            self.model.dtype = reference.compute_dtype();
        }
        Ok(())
    }
}

/// The report of opening the model, with a scan of every weight.
fn scanned(loaded: &Loaded, stderr: &Stderr) -> Result<Report> {
    let mut report = loaded.meta.report.clone();
    if scanned_on_opening(&loaded.store) {
        return Ok(report);
    }
    let mut found = Report::default();
    let progress = |done, total| stderr.scanned(done, total);
    scan(&loaded.store, &mut found, &Control::watched_by(&progress))?;
    report.findings.retain(|finding| !(finding.subject == "weights" && finding.found.starts_with("not scanned")));
    report.findings.extend(found.findings);
    Ok(report)
}

/// The self-test, or the reason why it can't be run.
fn tested(loaded: &Loaded, stderr: &Stderr) -> Result<Result<SelfTest, Unreadable>> {
    let texts = match texts(loaded) {
        Ok(texts) => texts,
        Err(unreadable) => return Ok(Err(unreadable)),
    };
    let progress = |done, all| stderr.progress("self-test, layer", done, all);
    self_test(loaded, &texts, &Control::watched_by(&progress)).map(Ok)
}

/// The texts of edits.
fn listed(edits: Option<&Edits>) -> Vec<String> {
    edits.into_iter().flat_map(Edits::list).map(Edit::to_string).collect()
}

fn against(
    loaded: &Loaded,
    reference: &TraceReader,
    tolerance: Option<f32>,
    edits: Option<&Edits>,
    stderr: &Stderr,
) -> Result<Fidelity> {
    let progress = |done, all| stderr.progress("comparing, layer", done, all);
    check_against(loaded, reference, tolerance, edits, &Control::watched_by(&progress))
}

/// The device as a suffix of a name; empty for the CPU.
fn on_device(loaded: &Loaded) -> String {
    match loaded.meta.device {
        Device::Cpu => String::new(),
        other => format!(" · device {other}"),
    }
}

fn fidelity_text(fidelity: &Fidelity, reference: &TraceReader, loaded: &Loaded, edits: Option<&Edits>) -> String {
    let (name, policy) = (&loaded.meta.name, loaded.meta.policy);
    let (line, on) = (line(reference), on_device(loaded));
    let mut text = format!("\nA  {line}\nB  {name} · precision {policy}{on}\n");
    text.extend(listed(edits).iter().map(|edit| format!("   under the edit {edit}\n")));
    if let Some(note) = untested_recorder(reference) {
        text += &format!("{note}\n");
    }
    for config in &fidelity.configs {
        text += &format!("{config}\n");
    }
    text += &format!("\n{}\n", operations_text(fidelity));
    let statistics =
        if matches!(fidelity.isolated.tolerance, Tolerance::Given { .. }) { comparison_text } else { statistics_text };
    text += &format!("{}\n{}\n", statistics(&fidelity.end_to_end), statistics(&fidelity.isolated));
    text += &format!("{}\n", summary(fidelity));
    text
}

/// Versions of transformers whose recordings were tested.
const TESTED: [&str; 2] = ["5.23", "5.24"];

/// A note on a recording by a version of transformers that was not tested.
fn untested_recorder(reference: &TraceReader) -> Option<String> {
    let provenance = reference.json("provenance")?;
    let version = provenance.get("transformers")?.as_str()?;
    let is_tested = TESTED.iter().any(|tested| version.starts_with(&format!("{tested}.")) || version == *tested);
    (!is_tested).then(|| format!("A was recorded by transformers {version}; tested were {}", TESTED.join(" and ")))
}

/// The outcome, in one sentence.
fn summary(fidelity: &Fidelity) -> String {
    let open = match &fidelity.record[..] {
        [] => String::new(),
        some => {
            format!("; a difference as small as rounding could hide here: record {} to rule it out", some.join(", "))
        }
    };
    if let Tolerance::Given { within } = fidelity.isolated.tolerance {
        let failures = [&fidelity.end_to_end.failures[..], &fidelity.isolated.failures[..]].concat();
        return match fidelity.verdict {
            Verdict::Differs => format!("differs: {}", failures.join("; ")),
            _ => format!("agrees: every value is within {within:e}, end to end and each layer alone"),
        };
    }
    let kinds = || fidelity.kinds.iter().map(|fit| fit.cause.as_str()).collect::<Vec<_>>().join("; ");
    match (fidelity.verdict, &fidelity.guilty) {
        (Verdict::Agrees, _) => {
            format!("agrees: the model computes what was recorded, operation by operation{open}")
        }
        (Verdict::AgreesUpToRounding, _) => format!("agrees up to rounding of this kind: {}{open}", kinds()),
        (Verdict::Differs, Some(guilty)) => {
            let also: Vec<String> = fidelity.also.iter().map(Guilt::place).collect();
            let also = if also.is_empty() { String::new() } else { format!(". Apart from that: {}", also.join("; ")) };
            format!("differs: {}{also}", guilty.sentence)
        }
        (Verdict::Differs, None) => {
            let failures = [&fidelity.end_to_end.failures[..], &fidelity.isolated.failures[..]].concat();
            format!("differs: {}", failures.join("; "))
        }
    }
}
