//! Folders and streams that files and results go to.

use crate::support::cli::{Run, assert_fails, command, mixscope, stderr, stdout};
use mixscope::trace::is_obeyed;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const TEMPORARY: &str = ".mixscope-tmp-";
/// A run whose tables take a while.
const LONG: [&str; 4] = ["run", "--format", "csv", "--prompt-ids"];

fn temporaries(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with(TEMPORARY)).collect()
}

/// Bytes after which so little of a table is left that a run may end before it sees a signal.
const NEARLY_DONE: u64 = 60 << 20;

/// A run that was stopped while it writes a table. One that was done, or nearly, before it could be stopped is tried again.
fn writing(out: &Path) -> Child {
    let ids = (0..400).map(|i| (3 + i % 500).to_string()).collect::<Vec<_>>().join(",");
    let started = Instant::now();
    loop {
        let mut command = command(out);
        let mut child = command.args(LONG).args([&ids, "--force", "--out", out.to_str().unwrap()]).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(started.elapsed() < Duration::from_secs(300), "no temporary file was seen");
            // attention.csv comes after lens.csv.
            if out.join("lens_summary.csv").exists() && !temporaries(out).is_empty() {
                kill(Pid::from_raw(child.id() as i32), Signal::SIGSTOP).unwrap();
                // What it did meanwhile is done when nothing changes any more.
                std::thread::sleep(Duration::from_millis(50));
                let written = |name: &String| fs::metadata(out.join(name)).map_or(u64::MAX, |about| about.len());
                let left = temporaries(out).iter().any(|name| written(name) < NEARLY_DONE);
                if child.try_wait().unwrap().is_none() && left {
                    return child;
                }
                let _ = kill(Pid::from_raw(child.id() as i32), Signal::SIGCONT);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        fs::remove_dir_all(out).unwrap();
    }
}

fn end(child: Child, signal: Signal) {
    let pid = Pid::from_raw(child.id() as i32);
    kill(pid, signal).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.signal(), Some(signal as i32), "{}", stderr(&output));
    assert!(!stderr(&output).contains("mixscope:"), "{}", stderr(&output));
}

#[test]
fn signals_that_end_a_run_leave_no_temporary_file_and_a_killed_run_s_goes_with_the_next() {
    let temp = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let out = temp.path().join(signal.as_str());
        end(writing(&out), signal);
        assert_eq!(temporaries(&out), [""; 0], "{signal}");
    }
    let out = temp.path().join("killed");
    end(writing(&out), Signal::SIGKILL);
    assert_eq!(temporaries(&out).len(), 1);
    let run = Run::into(&out, &["--prompt-ids", "1,5", "--format", "json"]);
    assert_eq!(run.output.status.code(), Some(0), "{}", stderr(&run.output));
    assert_eq!(temporaries(&out), [""; 0]);
}

#[test]
fn two_at_once_do_not_write_into_one_folder() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    fs::create_dir(&out).unwrap();
    let lock = File::open(&out).unwrap();
    lock.try_lock().unwrap();
    let path = out.to_str().unwrap();
    let commands: [&[&str]; 3] = [
        &["run", "--prompt-ids", "1,5", "--force", "--out", path],
        &["lab", "--prompt-ids", "1,5", "--out", path],
        &["man", "--out", path],
    ];
    for args in commands {
        assert_fails(&mixscope(args), 1, &format!("another mixscope is writing to the folder {path}; wait until"));
    }
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    drop(lock);
    let run = Run::into(&out, &["--prompt-ids", "1,5", "--format", "json"]);
    assert_eq!(run.names(), ["run.json"]);
    assert_eq!(fs::metadata(&out).unwrap().permissions(), fs::metadata(temp.path().join("out")).unwrap().permissions());
}

#[test]
fn a_new_folder_goes_if_nothing_was_written_to_it() {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("a/out");
    for command in ["run", "lab"] {
        let output = mixscope([command, "no-such-folder/model", "--prompt-ids", "1", "--out", out.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(!out.exists(), "{command}");
    }
}

#[test]
fn an_export_replaces_no_file_that_came_meanwhile() {
    let temp = tempfile::tempdir().unwrap();
    let run = temp.path().join("run");
    Run::into(&run, &["--prompt-ids", "1,5,9", "--format", "trace"]);
    let (trace, csv) = (run.join("trace.safetensors"), temp.path().join("map.csv"));
    let export = |force: &[&str]| {
        let mut command = command(temp.path());
        command.args(["export", trace.to_str().unwrap(), "--view", "routing.map", "-o", csv.to_str().unwrap()]);
        command.args(force).spawn().unwrap()
    };
    // Of several at once, one writes the file.
    let ended = [(); 4].map(|()| export(&[])).map(|child| child.wait_with_output().unwrap());
    let (done, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|output| output.status.success());
    assert_eq!(done.len(), 1);
    for output in refused {
        assert_fails(output, 1, "map.csv exists; give another -o, or --force to overwrite");
    }
    assert!(export(&["--force"]).wait_with_output().unwrap().status.success());
}

#[test]
fn json_holds_nothing_that_a_terminal_obeys() {
    let text = "a\u{9b}31m\u{202e}b\u{7f}";
    let run = Run::ok(&["--prompt", text, "--format", "json"]);
    assert_eq!(run.json()["prompt"], text);
    let refused = mixscope(["check", &format!("no-such-folder/{text}"), "--json"]);
    let lab = tempfile::tempdir().unwrap();
    let lab =
        mixscope(["lab", "--prompt", text, "--steps", "0", "--json", "-q", "--out", lab.path().to_str().unwrap()]);
    let printed: serde_json::Value = serde_json::from_slice(&lab.stdout).unwrap();
    assert_eq!(printed["prompt"], text);
    for json in [&run.files["run.json"], &refused.stdout, &lab.stdout] {
        let json = std::str::from_utf8(json).unwrap();
        assert!(json.contains("a\\u009b31m\\u202eb\\u007f"), "{json}");
        assert!(!json.chars().any(|c| c != '\n' && is_obeyed(c)), "{json:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_failed_work() {
    let state = tempfile::tempdir().unwrap();
    for args in [&["--help"][..], &["--version"], &["run", "--help"], &["man"], &["completions", "bash"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = command(state.path()).args(args).stdout(full).output().unwrap();
        assert_fails(&output, 1, "cannot write to stdout: No space left on device");
    }
    let mut child = command(state.path()).arg("--help").spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""), "a reader that leaves early is no error");
}

/// `mixscope ARGS` with this much memory, in kB.
#[cfg(target_os = "linux")]
fn with_memory(kb: u32, args: &str) -> std::process::Output {
    let state = tempfile::tempdir().unwrap();
    let script = format!("ulimit -v {kb}; exec \"$BIN\" {args}");
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", &script]).env("BIN", env!("CARGO_BIN_EXE_mixscope")).env("XDG_STATE_HOME", state.path());
    sh.env_remove("RUST_BACKTRACE").stdin(Stdio::null()).output().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn a_limit_of_memory_is_not_blamed_on_the_model() {
    let output = with_memory(260_000, "info demo --threads 1");
    assert_fails(&output, 1, "the file may be sound: the system can't start a thread with a stack of 256 MiB");
    let output = with_memory(600_000, "bench --threads 1 --prompt-tokens 2 --steps 1 -q");
    assert_fails(&output, 1, "there is no memory for the streaming read that is timed (512 MiB)");
    assert_eq!(stdout(&output), "");
}
