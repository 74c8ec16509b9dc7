//! Views of a sweep: opened in the explorer, and written as files.

use super::files::{self, STATE};
use crate::analysis::sweep::{Phase, PickedBy, Sweep, SweepMeasure, SweepSpec, SweepView, TokenKind};
use crate::cli::values;
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The names of these views begin so.
const PREFIX: &str = "sweep.";
/// Tokens that occur less often are left out of the vocabulary on the screen.
pub const LEAST: u64 = 10;

/// What a view of a sweep shows.
#[derive(Args, Default)]
pub struct SweepViewArgs {
    /// For views of a sweep: the group [default: all groups].
    #[arg(long, value_name = "GROUP", help_heading = "Views of a sweep")]
    group: Option<String>,
    /// For sweep.compare: the group that is subtracted [default: all groups].
    #[arg(long, value_name = "GROUP", help_heading = "Views of a sweep")]
    minus: Option<String>,
    /// For sweep.vocabulary and sweep.contexts: the expert [default: 0].
    #[arg(long, value_name = "E", value_parser = values::count, help_heading = "Views of a sweep")]
    expert: Option<usize>,
    /// Tokens of the corpus, or tokens that were generated after them [default: prefill].
    #[arg(long, value_name = "prefill|decode", value_parser = phase, help_heading = "Views of a sweep")]
    phase: Option<Phase>,
    /// For sweep.vocabulary: which tokens [default: input].
    #[arg(long, value_name = "input|next|predicted", value_parser = kind, help_heading = "Views of a sweep")]
    kind: Option<TokenKind>,
    /// For sweep.contexts: which ones [default: random].
    #[arg(long, value_name = "random|strongest", value_parser = picked, help_heading = "Views of a sweep")]
    picked: Option<PickedBy>,
    /// For sweep.vocabulary: tokens that occur less often are left out [default: 10].
    #[arg(long, value_name = "N", value_parser = values::count, help_heading = "Views of a sweep")]
    min_count: Option<usize>,
}

/// The element of `all` with this name.
fn named<T: Copy>(text: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T> {
    let names = || all.iter().map(|one| name(*one)).collect::<Vec<_>>().join(", ");
    all.iter()
        .copied()
        .find(|one| name(*one) == text)
        .ok_or_else(|| anyhow!("expected one of {}, found `{text}`", names()))
}

fn phase(text: &str) -> Result<Phase> {
    named(text, &Phase::ALL, Phase::name)
}

fn kind(text: &str) -> Result<TokenKind> {
    named(text, &TokenKind::ALL, TokenKind::name)
}

fn picked(text: &str) -> Result<PickedBy> {
    named(text, &PickedBy::ALL, PickedBy::name)
}

/// The view of a sweep that is named `sweep.usage` and so on.
pub fn view(text: &str) -> Option<SweepView> {
    let name = text.strip_prefix(PREFIX)?;
    SweepView::ALL.into_iter().find(|view| view.name() == name)
}

/// The names of all these views.
pub fn names() -> String {
    SweepView::ALL.map(|view| format!("{PREFIX}{}", view.name())).join(", ")
}

impl SweepViewArgs {
    /// The view and its parameters, and how often tokens of the vocabulary occur at least.
    ///
    /// # Errors
    /// If an option does not apply to the view or has no such value.
    pub fn spec(&self, view: SweepView, layer: Option<usize>, measure: Option<&str>) -> Result<(SweepSpec, u64)> {
        use SweepView::{Compare, Contexts, Groups, Pairs, Transitions, Usage, Vocabulary};
        let uses: [(&str, bool, &[SweepView]); 8] = [
            ("--group", self.group.is_some(), &[Usage, Pairs, Transitions, Compare]),
            ("--minus", self.minus.is_some(), &[Compare]),
            ("--expert", self.expert.is_some(), &[Vocabulary, Contexts]),
            ("--kind", self.kind.is_some(), &[Vocabulary]),
            ("--picked", self.picked.is_some(), &[Contexts]),
            ("--min-count", self.min_count.is_some(), &[Vocabulary]),
            ("--layer", layer.is_some(), &[Groups, Pairs, Transitions, Vocabulary, Contexts]),
            ("--measure", measure.is_some(), &[Usage, Groups, Compare]),
        ];
        if let Some((option, _, views)) = uses.iter().find(|(_, given, views)| *given && !views.contains(&view)) {
            let names: Vec<String> = views.iter().map(|view| format!("{PREFIX}{}", view.name())).collect();
            bail!("{option}: it applies to --view {}, not to {PREFIX}{}", names.join(", "), view.name());
        }
        let of = |name| named(name, &SweepMeasure::ALL, SweepMeasure::name).context("--measure");
        let first = SweepSpec::default();
        let spec = SweepSpec {
            view,
            measure: measure.map_or(Ok(first.measure), of)?,
            group: self.group.clone(),
            against: self.minus.clone(),
            layer: layer.unwrap_or(0),
            expert: self.expert.unwrap_or(0),
            phase: self.phase.unwrap_or(first.phase),
            kind: self.kind.unwrap_or(first.kind),
            picked: self.picked.unwrap_or(first.picked),
        };
        Ok((spec, self.min_count.map_or(LEAST, |count| count as u64)))
    }

    /// The first of these options that was given.
    pub fn given(&self) -> Option<&'static str> {
        let all = [
            ("--group", self.group.is_some()),
            ("--minus", self.minus.is_some()),
            ("--expert", self.expert.is_some()),
            ("--phase", self.phase.is_some()),
            ("--kind", self.kind.is_some()),
            ("--picked", self.picked.is_some()),
            ("--min-count", self.min_count.is_some()),
        ];
        all.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}

/// The file with the counts, if `text` names a sweep: its folder, or the file.
pub fn sweep_at(text: &str) -> Option<PathBuf> {
    let path = Path::new(text);
    let state = if path.is_dir() { path.join(STATE) } else { path.to_owned() };
    (state.is_file() && state.file_name().is_some_and(|name| name == STATE)).then_some(state)
}

/// Reads the sweep that `text` names.
///
/// # Errors
/// If it is none.
pub fn open_sweep(text: &str) -> Result<Arc<Sweep>> {
    let path = sweep_at(text).with_context(|| {
        format!("{text} is no sweep: expected a folder with {STATE}, which `mixscope sweep` writes")
    })?;
    Ok(Arc::new(files::read(&path)?))
}
