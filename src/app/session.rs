//! The file of the last session: written completely or not at all, readable by its owner only.

use super::folders::state_folder;
use crate::state::{ListedEdit, Saved, SavedVersion1};
use crate::trace::{Access, Dtype, TempFile, harmless_json};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The name of the file in the state folder.
const NAME: &str = "session.json";

/// The file of the session, and its last content.
pub struct SessionFile {
    path: Option<PathBuf>,
    /// The dtype that models are opened with.
    dtype: Option<Dtype>,
    last: Option<Saved>,
}

impl SessionFile {
    /// A file in this folder, of models that are opened with `dtype`.
    pub fn new(folder: Option<&Path>, dtype: Option<Dtype>) -> Self {
        Self { path: folder.map(|folder| folder.join(NAME)), dtype, last: None }
    }

    /// The user's last session.
    ///
    /// # Errors
    /// If there is none, or it can't be read. The file does not change.
    pub fn load() -> Result<Saved> {
        let folder = state_folder().context("there is no home folder to keep a session in")?;
        read(&folder.join(NAME))
    }

    /// The path and the content to write, if `saved` differs from what was written last.
    pub fn due(&mut self, saved: Option<Saved>) -> Option<(PathBuf, Saved)> {
        let (path, mut saved) = (self.path.clone()?, saved?);
        saved.dtype = self.dtype;
        // Paths must be valid from every directory.
        if let Ok(whole) = fs::canonicalize(&saved.model)
            && saved.model != "demo"
        {
            saved.model = whole.display().to_string();
        }
        let former = saved.branches.past.iter_mut().chain(&mut saved.branches.future);
        let former = former.flat_map(|run| &mut run.edits).chain(saved.tree.edits_mut());
        for line in saved.edits.iter_mut().chain(former) {
            *line = with_whole_path(line);
        }
        if self.last.as_ref() == Some(&saved) {
            return None;
        }
        self.last = Some(saved.clone());
        Some((path, saved))
    }

    /// Forgets the last content, because writing it failed.
    pub fn failed(&mut self) {
        self.last = None;
    }
}

/// The line of an edit with the whole path of the file that it reads; as it is if it reads none.
fn with_whole_path(line: &str) -> String {
    let Ok(listed) = ListedEdit::of_line(line) else { return line.to_owned() };
    let whole = |path: &str| {
        let whole = std::path::absolute(path).ok().and_then(|whole| whole.into_os_string().into_string().ok());
        whole.unwrap_or_else(|| path.to_owned())
    };
    ListedEdit { edit: listed.edit.with_path(whole), ..listed }.to_line()
}

fn read(path: &Path) -> Result<Saved> {
    let shown = path.display();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("there is no session to go back to ({shown} does not exist); start without --resume")
        }
        Err(error) => return Err(error).with_context(|| format!("the session {shown} can't be read")),
    };
    let damaged = || format!("the session {shown} is damaged; start without --resume");
    let value: serde_json::Value = serde_json::from_slice(&bytes).with_context(damaged)?;
    let version = value.get("version").and_then(serde_json::Value::as_u64).context("it has no version");
    let version = version.with_context(damaged)?;
    ensure!(
        version <= u64::from(Saved::VERSION),
        "the session {shown} is from a newer mixscope (version {version}, this program reads {}); update mixscope or \
         start without --resume",
        Saved::VERSION
    );
    if version == 1 {
        return serde_json::from_value::<SavedVersion1>(value).map(Saved::from).with_context(damaged);
    }
    serde_json::from_value(value).with_context(damaged)
}

/// Writes the session to a temporary file next to it, which then takes its name.
///
/// # Errors
/// If the folder can't be written to; then the file does not change.
pub fn write(path: &Path, saved: &Saved) -> Result<()> {
    let failed = || format!("the session {} could not be written", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(failed)?;
    let mut temp = TempFile::new_in(folder, Access::Private).with_context(failed)?;
    temp.file().write_all(harmless_json(&serde_json::to_string(saved)?).as_bytes()).with_context(failed)?;
    temp.file().write_all(b"\n").with_context(failed)?;
    temp.file().sync_all().with_context(failed)?;
    temp.replace(path).with_context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::view::{Tab, View};
    use crate::analysis::{LensMeasure, Measure};
    use crate::protocol::{Branches, FormerRun, RunAction};
    use crate::state::{
        Cursor, Details, DetailsPage, Heads, Lens, Over, Pane, Panes, RunTree, StripColour, UsageMeasure,
    };
    use crate::trace::{Edit, LensSite, Policy, Sampling, Source};

    /// What mixscope 0.1.0 wrote.
    const VERSION_1: &str = include_str!("../../tests/fixtures/session-1.json");
    /// What the first mixscope with panes wrote.
    const VERSION_2: &str = include_str!("../../tests/fixtures/session-2.json");

    fn saved() -> Saved {
        let pane = |view| {
            let mut pane = Pane::default();
            pane.show(View::RoutingMap);
            pane.show(view);
            pane.usage = UsageMeasure::Weight;
            pane.heads = Heads { sorted: true, ..Heads::default() };
            pane.lens = Lens { site: Some(LensSite::ResidMid), measure: LensMeasure::Kl, log: true };
            pane.scroll = 4;
            pane.details = Details { page: DetailsPage::Contributions, flipped: [Tab::Lens, Tab::Next].into() };
            pane
        };
        let mut panes = Panes::two([View::Next, View::LensTargets].map(pane), true);
        panes.zoomed = true;
        Saved {
            baseline: Some(Policy::Hf),
            edits: vec!["ban L3.E5".to_owned()],
            edits_off: false,
            second: Some(crate::trace::Prompt::Text("another".to_owned())),
            foil: Some((9, "▁nine".to_owned())),
            pin: Some((1, 7)),
            branches: Default::default(),
            tree: Default::default(),
            version: Saved::VERSION,
            model: "demo".to_owned(),
            precision: Policy::F32Router,
            dtype: Some(Dtype::F32),
            prompt: "two\nlines ‘三’ \u{1b}".to_owned(),
            chat: false,
            tokens: vec![(1, Source::Prompt), (357, Source::Generated), (3071, Source::Forced)],
            sampling: Sampling { temperature: 0.7, top_k: Some(40), top_p: Some(0.9), seed: u64::MAX },
            cursor: Cursor { token: 2, layer: 5, head: 7, expert: 1, candidate: 3, is_mlp: true },
            panes,
            colour: StripColour::Loss,
            targets: vec![(7, "▁seven".to_owned())],
            bookmarks: [0, 2].into(),
        }
    }

    #[test]
    fn a_session_of_version_1_comes_back_with_its_panes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, VERSION_1).unwrap();
        let found = read(&path).unwrap();
        let [left, right] = found.panes.all() else { panic!("{:?}", found.panes) };
        assert_eq!((left.view(), right.view(), found.panes.focus()), (View::LensGrid, View::Next, 0));
        assert_eq!((left.lens.site, left.lens.measure, left.lens.log), (None, LensMeasure::Kl, false));
        for pane in [left, right] {
            let heads = Heads { measure: Measure::Previous, sorted: true, over: Over::Mean, ..Heads::default() };
            assert_eq!((pane.usage, pane.heads), (UsageMeasure::Chosen, heads));
            let mut pane = pane.clone();
            let views = [Tab::Routing, Tab::Attention, Tab::Lens, Tab::Fidelity].map(|tab| {
                pane.show_tab(tab);
                pane.view()
            });
            assert_eq!(views, [View::RoutingUsage, View::AttentionHead, View::LensGrid, View::FidelityLoss]);
        }
        assert_eq!((found.cursor.candidate, found.colour), (1, StripColour::Loss));
        assert_eq!((found.targets.len(), found.bookmarks.len(), found.tokens.len()), (1, 1, 10));
        write(&path, &found).unwrap();
        assert_eq!(read(&path).unwrap(), found, "it continues as a session of this version");
        // The first programs wrote less, and details as one choice for all tabs.
        let first = VERSION_1.replace("\"details_flipped\":[]", "\"details_flipped\":true");
        let value: serde_json::Value = serde_json::from_str(&first).unwrap();
        let serde_json::Value::Object(mut fields) = value else { panic!() };
        for later in ["other", "zoomed", "load", "heads", "lens", "lens_measure", "log_scale", "fidelity", "details"] {
            fields.remove(later).unwrap();
        }
        fs::write(&path, serde_json::to_vec(&fields).unwrap()).unwrap();
        let found = read(&path).unwrap();
        assert_eq!(found.panes.all().len(), 1);
        assert_eq!(found.panes.focused().details.flipped, Tab::ALL.into());
        assert_eq!(found.panes.focused().view(), View::LensGrid);
    }

    #[test]
    fn a_session_of_version_2_comes_back_with_its_panes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        fs::write(&path, VERSION_2).unwrap();
        let found = read(&path).unwrap();
        let [left, right] = found.panes.all() else { panic!("{:?}", found.panes) };
        assert_eq!((left.view(), right.view(), found.panes.focus()), (View::LensGrid, View::AttentionHead, 1));
        assert_eq!((left.lens.site, left.lens.measure), (Some(LensSite::ResidPost), LensMeasure::Entropy));
        assert_eq!((found.cursor.token, found.colour, &found.bookmarks), (9, StripColour::Loss, &[9].into()));
        assert_eq!(found.tokens.len(), 10);
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        write(&path, &found).unwrap();
        assert_eq!(value(&fs::read_to_string(&path).unwrap()), value(VERSION_2), "nothing is lost, branches included");
    }

    #[test]
    fn a_session_comes_back_as_it_was_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/session.json");
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("does not exist"));
        write(&path, &saved()).unwrap();
        assert_eq!(read(&path).unwrap(), saved());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let more = fs::read_to_string(&path).unwrap().replacen('{', "{\"branches\":[1],", 1);
        fs::write(&path, more).unwrap();
        assert_eq!(read(&path).unwrap(), saved(), "fields that another program of this version adds are not damage");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing temporary is left");
    }

    #[test]
    fn a_cut_file_is_damaged_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("session.json");
        let whole = serde_json::to_vec(&saved()).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let error = format!("{:#}", read(&path).unwrap_err());
            assert!(error.contains("damaged") && error.contains("--resume"), "cut at {len}: {error}");
            assert_eq!(fs::read(&path).unwrap(), &whole[..len], "the file is untouched");
        }
        fs::write(&path, r#"{"version":3,"model":[]}"#).unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("newer mixscope (version 3"));
        fs::write(&path, r#"{"version":1,"model":"demo"}"#).unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("missing field"));
    }

    #[test]
    fn files_of_edits_have_whole_paths_in_the_file() {
        let mut file = SessionFile { path: Some("x".into()), dtype: None, last: None };
        let lines = [
            "replay L* runs/a.safetensors",
            "# patch L3.z@1 \"my run.safetensors\"@2",
            "add L1.q /v.npy:a 2",
            "ban L3.E5",
        ];
        let former = FormerRun {
            action: RunAction::Edits,
            prompt: None,
            policy: Policy::Hf,
            edits: vec!["add L1.q v.npy 2".to_owned()],
            keep: 0,
            rest: Vec::new(),
        };
        let branches = Branches { past: vec![former.clone()], future: vec![former] };
        let node = r#"{"nodes":[{"id":0,"parent":null,"action":"edits","prompt":null,"policy":"hf","keep":0,
            "rest":[[1,"prompt"]],"edits":["add L1.q v.npy 2"]}],"current":{"node":0,"len":1}}"#;
        let tree: RunTree = serde_json::from_str(node).unwrap();
        let given = Saved { edits: lines.map(str::to_owned).to_vec(), branches, tree, ..saved() };
        let (_, written) = file.due(Some(given)).unwrap();
        let here = std::env::current_dir().unwrap();
        let at = |name: &str| here.join(name).display().to_string();
        let replay: Edit = written.edits[0].parse().unwrap();
        assert_eq!(replay.source().unwrap().path, at("runs/a.safetensors"));
        let patch = ListedEdit::of_line(&written.edits[1]).unwrap();
        assert!(!patch.on && patch.edit.source().unwrap().path == at("my run.safetensors"), "{patch:?}");
        assert_eq!(written.edits[2..], lines[2..]);
        for run in written.branches.past.iter().chain(&written.branches.future) {
            let add: Edit = run.edits[0].parse().unwrap();
            assert_eq!(add.source().unwrap().path, at("v.npy"));
        }
        let add: Edit = written.tree.nodes()[0].edits[0].parse().unwrap();
        assert_eq!(add.source().unwrap().path, at("v.npy"), "in the tree of runs, too");
        assert!(file.due(Some(written)).is_none(), "written once, nothing changes");
    }

    #[test]
    fn only_what_changed_is_written() {
        let mut file = SessionFile { path: Some("x".into()), dtype: Some(Dtype::F32), last: None };
        assert!(file.due(None).is_none());
        assert!(file.due(Some(saved())).is_some());
        assert!(file.due(Some(saved())).is_none());
        file.failed();
        assert!(file.due(Some(saved())).is_some());
        assert!(file.due(Some(Saved { panes: Panes::default(), ..saved() })).is_some());
    }

    #[test]
    fn a_folder_that_can_not_be_written_to_is_named_and_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "mine").unwrap();
        let path = file.join("session.json");
        assert!(format!("{:#}", write(&path, &saved()).unwrap_err()).contains("could not be written"));
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }
}
