use super::*;
use crate::analysis::view::{View, ViewSpec};
use crate::engine::{Core, OpenOptions, open_target};
use crate::protocol::{Ask, RequestId};
use crate::trace::{Device, Policy, Sampling};

fn branch() -> Branch {
    let options = OpenOptions { policy: Policy::Hf, dtype: None, ids_only: false, device: Device::Cpu };
    let opened = open_target("demo", options, &Control::none(), &mut |_| {}).unwrap();
    let mut core = Core::of(opened);
    core.answer(RequestId(1), Ask::Prompt(Prompt::Text("One two three".to_owned())));
    let sampling = Sampling { temperature: 0.5, seed: 7, ..Sampling::default() };
    core.answer(RequestId(2), Ask::Step { count: Some(2), sampling });
    core.branch()
}

fn reporter() -> ToScreen {
    ToScreen::new(unbounded_channel().0)
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_run_that_is_stopped_leaves_nothing_and_a_whole_one_tells_how_it_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let branch = branch();
    let error = save_run(&branch, folder.path(), &Control::cancelled_by(&|| true), &reporter()).unwrap_err();
    assert!(error.is::<Stopped>(), "{error:#}");
    assert_eq!(names(folder.path()), [""; 0]);

    save_run(&branch, folder.path(), &Control::none(), &reporter()).unwrap();
    assert_eq!(names(folder.path()), ["mixscope-run-1"]);
    let json = std::fs::read(folder.path().join("mixscope-run-1/run.json")).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["prompt"], "One two three");
    assert_eq!(json["sampling"]["temperature"], 0.5, "the one the tokens were chosen by");
    assert_eq!(json["sampling"]["seed"], 7);
}

#[test]
fn a_view_that_is_stopped_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spec = ViewSpec::new(View::AttentionGrid);
    let files = ViewFiles { spec, formats: FileFormat::ALL.to_vec(), look: Look::default() };
    assert!(
        save_view(&files, Shown::default(), &branch().run, folder.path(), &Control::cancelled_by(&|| true))
            .unwrap_err()
            .is::<Stopped>()
    );
    assert_eq!(names(folder.path()), [""; 0]);
}

#[cfg(unix)]
#[test]
fn the_first_of_two_files_goes_when_the_second_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    // No file can have this name, which the search for a free name does not see.
    let suffix = "x".repeat(300);
    let error = write_files(folder.path(), "a", &[("csv", b"1".to_vec()), (&suffix, b"2".to_vec())]).unwrap_err();
    assert!(format!("{error:#}").contains("cannot write"), "{error:#}");
    assert_eq!(names(folder.path()), [""; 0]);
    assert!(write_files(folder.path(), "a", &[("csv", b"1".to_vec())]).unwrap().starts_with("wrote a.csv to /"));
}

#[tokio::test]
async fn a_panic_while_writing_is_reported_and_the_next_file_is_written() {
    let mut saver = Saver::new(PathBuf::from("."));
    saver.start(|_, _| panic!("at the disco"));
    let Event::Saved(Err(failure)) = saver.next().await else { panic!("the panic was not reported") };
    assert!(failure.causes.iter().any(|cause| cause.contains("at the disco")), "{failure:?}");
    saver.start(|_, _| Ok("done".to_owned()));
    assert!(matches!(saver.next().await, Event::Saved(Ok(said)) if said == "done"));
}
