//! Downloads from a Hub that is slow, breaks off, refuses or lies.

mod broken;

use crate::support::hub::{Act, COMMIT, Files, Hub, NAME, Request, SHARDS, bytes, etag, listing, repo_of, sharded};
use mixscope::control::{Control, Stopped};
use mixscope::hub::{Progress, RepoId, Settings, Stage, cached, fetch, list_cached, survey};
use serde_json::json;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A cache of its own, and settings that lose no time.
struct Setup {
    settings: Settings,
    folder: TempDir,
}

impl Setup {
    fn new(endpoint: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings {
            endpoint: endpoint.to_owned(),
            token: None,
            cache: folder.path().join("hub"),
            offline: false,
            stall: Duration::from_secs(1),
            retries: 2,
        };
        Self { settings, folder }
    }

    /// Settings that soon take a connection for stalled.
    fn hasty(hub: &Hub) -> Self {
        let mut setup = Self::of(hub);
        setup.settings.stall = Duration::from_millis(300);
        setup
    }

    fn of(hub: &Hub) -> Self {
        Self::new(&hub.url)
    }

    fn fetch(&self, repo: &str) -> anyhow::Result<PathBuf> {
        self.watch(repo).0
    }

    /// Also gives what the last report and all notes were.
    fn watch(&self, repo: &str) -> (anyhow::Result<PathBuf>, Progress, Vec<String>) {
        let (mut last, mut notes) = (Progress::default(), Vec::new());
        let result = fetch(&id(repo), &self.settings, &Control::none(), &mut |progress| {
            last = progress.clone();
            if notes.last() != Some(&progress.note) {
                notes.push(progress.note.clone());
            }
        });
        (result, last, notes)
    }

    fn error(&self, repo: &str) -> String {
        format!("{:#}", self.fetch(repo).unwrap_err())
    }

    fn in_repo(&self, path: &str) -> PathBuf {
        self.settings.cache.join("models--tiny--mixtral").join(path)
    }

    fn blob(&self, hub: &Hub, name: &str, suffix: &str) -> PathBuf {
        self.in_repo("blobs").join(etag(name, &hub.files[name]) + suffix)
    }

    fn keep_partial(&self, hub: &Hub, name: &str, partial: &[u8]) {
        let path = self.blob(hub, name, ".incomplete");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, partial).unwrap();
    }
}

fn id(repo: &str) -> RepoId {
    RepoId::parse(repo).unwrap()
}

fn assert_same(hub: &Hub, dir: &Path, names: &[&str]) {
    for name in names {
        assert!(fs::read(dir.join(name)).unwrap() == hub.files[*name], "{name} differs");
    }
}

fn assert_holds(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in: {text}");
    }
}

/// Acts on the first request for the content of the first shard.
fn once(act: impl Fn() -> Act + Send + Sync + 'static) -> Hub {
    Hub::with(sharded(), move |request| if request.gets(SHARDS[0]) && request.nth == 0 { act() } else { Act::Serve })
}

/// What sharded models need.
const NEEDED: [&str; 6] =
    ["config.json", "tokenizer.json", "chat_template.jinja", "model.safetensors.index.json", SHARDS[0], SHARDS[1]];

#[test]
fn whole_download_has_the_layout_that_others_share() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    let (result, last, _) = setup.watch(NAME);
    let dir = result.unwrap();
    assert_eq!(dir, setup.in_repo("snapshots").join(COMMIT));
    assert_same(&hub, &dir, &NEEDED);
    assert_eq!(fs::read_dir(&dir).unwrap().count(), NEEDED.len());
    assert_eq!(fs::read_to_string(setup.in_repo("refs/main")).unwrap(), COMMIT);
    let target = Path::new("../../blobs").join(etag(SHARDS[0], &hub.files[SHARDS[0]]));
    assert_eq!(fs::read_link(dir.join(SHARDS[0])).unwrap(), target);
    let blobs = fs::read_dir(setup.in_repo("blobs")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(blobs.map(|name| name.into_string().unwrap()).all(|name| !name.contains('.')));

    for request in hub.log() {
        assert!(request.is_listing() || NEEDED.iter().any(|name| request.path.ends_with(name)), "{request:?}");
        assert_eq!(request.token, None);
    }
    for name in NEEDED {
        assert_eq!(hub.ranges(name), [None], "{name}");
    }
    let total: usize = NEEDED.iter().map(|name| hub.files[*name].len()).sum();
    assert_eq!((last.done, last.total, last.files.len()), (total as u64, total as u64, NEEDED.len()));
    assert!(last.files.iter().all(|file| file.stage == Stage::Done && file.done == file.total));
    assert_eq!(cached(&id(NAME), &setup.settings), Some(dir));
}

#[test]
fn what_is_there_is_not_requested_again() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    let dir = setup.fetch(NAME).unwrap();
    hub.forget();
    assert_eq!(setup.fetch(NAME).unwrap(), dir);
    assert_eq!(hub.log().len(), 1, "{:?}", hub.log());
    hub.forget();
    assert_eq!(setup.fetch(&format!("{NAME}@{COMMIT}")).unwrap(), dir);
    assert_eq!(hub.log(), []);
    fs::remove_file(dir.join(SHARDS[1])).unwrap();
    fs::remove_file(dir.join("tokenizer.json")).unwrap();
    fs::remove_file(setup.blob(&hub, SHARDS[1], "")).unwrap();
    setup.fetch(NAME).unwrap();
    assert_same(&hub, &dir, &NEEDED);
    let gets: Vec<Request> = hub.log().into_iter().filter(|request| request.gets("")).collect();
    assert!(gets.len() == 1 && gets[0].gets(SHARDS[1]), "{gets:?}");
}

#[test]
fn revisions_are_escaped_and_get_a_ref_of_their_own() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    let dir = setup.fetch(&format!("{NAME}@refs/pr/1")).unwrap();
    assert_eq!(hub.log()[0].path, format!("/api/models/{NAME}/revision/refs%2Fpr%2F1?blobs=true"));
    assert_eq!(fs::read_to_string(setup.in_repo("refs/refs/pr/1")).unwrap(), COMMIT);
    assert_eq!(cached(&id(&format!("{NAME}@refs/pr/1")), &setup.settings), Some(dir));
    assert_eq!(cached(&id(NAME), &setup.settings), None);
}

#[test]
fn without_network_the_cache_will_do() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut setup = Setup::new(&format!("http://{closed}"));
    let (result, _, notes) = setup.watch(NAME);
    let error = format!("{:#}", result.unwrap_err());
    assert_holds(&error, &["cannot reach http://127.0.0.1", "efused", "HF_ENDPOINT", "HF_HUB_OFFLINE=1"]);
    assert!(!notes.iter().any(|note| note.contains("trying again")), "a refusal is final: {notes:?}");
    setup.settings.endpoint = "http://no-such-host.invalid".to_owned();
    assert_holds(&setup.error(NAME), &["cannot reach http://no-such-host.invalid"]);

    let hub = Hub::start(sharded());
    setup.settings.endpoint = hub.url.clone();
    let dir = setup.fetch(NAME).unwrap();
    setup.settings.endpoint = format!("http://{closed}");
    let (result, last, _) = setup.watch(NAME);
    assert_eq!(result.unwrap(), dir);
    assert_holds(&last.note, &["can't be reached; using the files in the cache"]);
}

#[test]
fn offline_means_the_cache_alone() {
    let hub = Hub::start(sharded());
    let mut setup = Setup::of(&hub);
    setup.settings.offline = true;
    assert_holds(&setup.error(NAME), &["HF_HUB_OFFLINE", "nothing of tiny/mixtral is in the cache"]);
    assert!(survey(&id(NAME), &setup.settings).is_err());
    assert_eq!(hub.log(), []);
    setup.settings.offline = false;
    let dir = setup.fetch(NAME).unwrap();
    setup.settings.offline = true;
    hub.forget();
    assert_eq!(setup.fetch(NAME).unwrap(), dir);
    for name in [SHARDS[1], "config.json"] {
        fs::remove_file(dir.join(name)).unwrap();
    }
    assert_holds(&setup.error(NAME), &["HF_HUB_OFFLINE", "lacks config.json, model-00002-of-00002.safetensors"]);
    assert_eq!(hub.log(), []);
}

#[test]
fn a_stop_ends_a_stall_at_once() {
    for (name, sent) in [(SHARDS[0], 5000), ("/revision/main?blobs=true", 10)] {
        let rule = move |request: &Request| if request.path.ends_with(name) { Act::Stall(sent) } else { Act::Serve };
        let hub = Hub::with(sharded(), rule);
        let mut setup = Setup::of(&hub);
        // Without the stop this test would not end.
        setup.settings.stall = Duration::from_secs(86_400);
        let has_part = AtomicBool::new(false);
        let is_listing = |request: &Request| request.path.ends_with(name) && request.is_listing();
        let is_cancelled = || has_part.load(Ordering::SeqCst) || hub.log().iter().any(is_listing);
        let error = fetch(&id(NAME), &setup.settings, &Control::cancelled_by(&is_cancelled), &mut |progress| {
            let stalled = progress.files.iter().any(|file| file.name == name && file.done == sent as u64);
            has_part.fetch_or(stalled, Ordering::SeqCst);
        });
        let error = error.unwrap_err();
        assert!(error.is::<Stopped>(), "{error:#}");
        if name == SHARDS[0] {
            assert!(fs::read(setup.blob(&hub, name, ".incomplete")).unwrap() == hub.files[name][..5000]);
        }
    }
}

#[test]
fn hostile_names_are_refused() {
    let hostile = |sha: &str, name: &str| {
        let listing = json!({ "sha": sha, "siblings": [{ "rfilename": "config.json" }, { "rfilename": name }] });
        let hub = Hub::with_listing(Files::new(), &listing, |_| Act::Serve);
        let setup = Setup::of(&hub);
        let error = setup.error(NAME);
        assert_eq!(fs::read_dir(setup.folder.path()).unwrap().count(), 0, "nothing is written");
        error
    };
    for name in ["../evil.gguf", "/etc/x.gguf", "a/../../x.gguf", "a\\b.gguf", "a//b.gguf", "a\n.gguf", "."] {
        assert_holds(&hostile(COMMIT, name), &["the file name", &format!("{name:?}"), "leaves the folder"]);
    }
    for sha in ["../../x", "", "..", "a/b"] {
        assert_holds(&hostile(sha, "q.gguf"), &["expected a commit", &format!("{sha:?}")]);
    }
    let mut files = sharded();
    files.insert("model.safetensors.index.json".to_owned(), br#"{"weight_map": {"a": "../../evil"}}"#.to_vec());
    assert_holds(&Setup::of(&Hub::start(files)).error(NAME), &["\"../../evil\" leaves the folder"]);
}

#[test]
fn hostile_etags_stay_in_the_folder() {
    let files = repo_of(&[("q.gguf", b"GGUF")]);
    let head = |request: &Request| match (request.method.as_str(), request.is_listing()) {
        ("HEAD", _) => Act::Status(200, vec![("ETag", "\"../../../evil\"".to_owned())], "GGUF".to_owned()),
        _ => Act::Serve,
    };
    let hub = Hub::with_listing(files.clone(), &listing(&files, false), head);
    let setup = Setup::of(&hub);
    assert_same(&hub, setup.fetch(NAME).unwrap().parent().unwrap(), &["q.gguf"]);
    let blobs = fs::read_dir(setup.in_repo("blobs")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(blobs.map(|name| name.into_string().unwrap()).any(|name| name.starts_with(".._.._.._evil-")));
}

#[test]
fn files_that_share_an_etag_stay_apart() {
    let mut files = sharded();
    files.insert(SHARDS[1].to_owned(), bytes(3, files[SHARDS[0]].len()));
    for (tag, is_listed) in [("5f-abc", true), ("5f-abc", false), (COMMIT, true), (COMMIT, false)] {
        let length = files[SHARDS[0]].len().to_string();
        let head = move |request: &Request| match request.path.ends_with(".safetensors") && request.method == "HEAD" {
            true => {
                let headers = [("ETag", format!("\"{tag}\"")), ("X-Linked-Size", length.clone())];
                Act::Status(200, headers.into(), String::new())
            }
            false => Act::Serve,
        };
        let hub = Hub::with_listing(files.clone(), &listing(&files, is_listed), head);
        assert_same(&hub, &Setup::of(&hub).fetch(NAME).unwrap(), &NEEDED);
    }
}

#[test]
fn the_token_goes_to_the_endpoint_only() {
    let cdn = Hub::start(sharded());
    let host = cdn.url.clone();
    let hub = Hub::with(sharded(), move |request| match request.path.ends_with(".safetensors") {
        true => Act::Redirect(host.clone()),
        false => Act::Serve,
    });
    let mut setup = Setup::of(&hub);
    setup.settings.token = Some("hf_secret".to_owned());
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
    assert!(hub.log().iter().all(|request| request.token.as_deref() == Some("Bearer hf_secret")));
    let there = cdn.log();
    assert!(
        there.len() == 2 && there.iter().all(|request| request.token.is_none() && request.method == "GET"),
        "{there:?}"
    );
}

#[test]
fn relative_redirects_are_followed_with_the_token() {
    let hub = Hub::with(sharded(), |request| match request.path.strip_prefix("/tiny/mixtral/") {
        Some(rest) => Act::Status(307, vec![("Location", format!("/moved/{rest}"))], String::new()),
        None => Act::Serve,
    });
    let mut setup = Setup::of(&hub);
    setup.settings.token = Some("hf_secret".to_owned());
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
    assert!(hub.log().iter().all(|request| request.token.is_some()));
    assert!(hub.log().iter().any(|request| request.method == "HEAD" && request.path.starts_with("/moved/resolve/")));
}

#[test]
fn a_storage_host_that_is_away_is_named() {
    let host = format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
    let cdn = host.clone();
    let rule = move |request: &Request| match request.path.ends_with(SHARDS[1]) {
        true => Act::Redirect(cdn.clone()),
        false => Act::Serve,
    };
    let error = Setup::hasty(&Hub::with(sharded(), rule)).error(NAME);
    assert_holds(&error, &[SHARDS[1], "cannot reach", "127.0.0.1: ", "0 of 150001 bytes are kept"]);
}

#[test]
fn simple_mirrors_are_enough() {
    let rule = |request: &Request| match request.method.as_str() {
        "HEAD" => Act::Status(405, vec![], String::new()),
        _ => Act::Serve,
    };
    let hub = Hub::with_listing(sharded(), &listing(&sharded(), false), rule);
    let setup = Setup::of(&hub);
    let (result, last, _) = setup.watch(NAME);
    assert_same(&hub, &result.unwrap(), &NEEDED);
    assert_eq!(last.done, last.total);
    assert!(hub.ranges(SHARDS[0]).contains(&Some("bytes=0-0".to_owned())));
}

#[test]
fn two_fetches_share_the_work() {
    let hub = Hub::with(sharded(), |request| if request.gets("") { Act::Slow } else { Act::Serve });
    let setup = Setup::of(&hub);
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| setup.watch(NAME))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (result, last, _) in results {
        assert_same(&hub, &result.unwrap(), &NEEDED);
        assert_eq!(last.done, last.total);
    }
    for name in NEEDED {
        assert_eq!(hub.ranges(name), [None], "{name}");
    }
}

#[test]
fn a_lock_of_another_process_is_waited_for() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    let locks = setup.settings.cache.join(".locks/models--tiny--mixtral");
    fs::create_dir_all(&locks).unwrap();
    let lock = fs::File::create(locks.join(etag(SHARDS[0], &hub.files[SHARDS[0]]) + ".lock")).unwrap();
    lock.lock().unwrap();
    let stop = AtomicBool::new(false);
    let is_cancelled = || stop.load(Ordering::SeqCst);
    let error = fetch(&id(NAME), &setup.settings, &Control::cancelled_by(&is_cancelled), &mut |progress| {
        let waits = progress.note == format!("another process is downloading {}", SHARDS[0]);
        stop.fetch_or(waits, Ordering::SeqCst);
    });
    assert!(error.unwrap_err().is::<Stopped>());
    assert_eq!(hub.ranges(SHARDS[0]), []);
    // The other process finishes while this one waits.
    let mut is_held = true;
    let dir = fetch(&id(NAME), &setup.settings, &Control::none(), &mut |progress| {
        if is_held && progress.note.starts_with("another process is downloading") {
            fs::write(setup.blob(&hub, SHARDS[0], ""), &hub.files[SHARDS[0]]).unwrap();
            lock.unlock().unwrap();
            is_held = false;
        }
    });
    assert_same(&hub, &dir.unwrap(), &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), []);
}

#[test]
fn folders_that_cannot_be_written_are_named() {
    let hub = Hub::start(sharded());
    let mut setup = Setup::of(&hub);
    let file = setup.folder.path().join("file");
    fs::write(&file, "").unwrap();
    setup.settings.cache = file.join("hub");
    assert_holds(&setup.error(NAME), &["cannot write to the cache folder", file.to_str().unwrap(), "ot a directory"]);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_reported() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[1], b"");
    let partial = setup.blob(&hub, SHARDS[1], ".incomplete");
    fs::remove_file(&partial).unwrap();
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let folder = setup.in_repo("blobs");
    let needs = format!("{} needs 150001 more bytes", SHARDS[1]);
    assert_holds(&setup.error(NAME), &["cannot write to", folder.to_str().unwrap(), &needs, "No space left"]);
}

#[test]
fn gguf_files() {
    let split = ["q-00001-of-00002.gguf", "q-00002-of-00002.gguf"];
    let files = repo_of(&[("Q4/p.gguf", b"GGUFp"), (split[0], b"GGUF1"), (split[1], b"GGUF2"), ("config.json", b"{}")]);
    let hub = Hub::start(files);
    let setup = Setup::of(&hub);
    assert_holds(
        &setup.error(NAME),
        &["several .gguf files; name one, as in tiny/mixtral:Q4/p.gguf\nQ4/p.gguf\nq-00001"],
    );
    let path = setup.fetch(&format!("{NAME}:{}", split[0])).unwrap();
    let dir = setup.in_repo("snapshots").join(COMMIT);
    assert_eq!(path, dir.join(split[0]));
    assert_same(&hub, &dir, &split);
    assert!(
        hub.log().iter().all(|request| !request.path.ends_with("p.gguf") && !request.path.ends_with("config.json"))
    );
    let p = setup.fetch(&format!("{NAME}:Q4/p.gguf")).unwrap();
    assert!(fs::read_link(&p).unwrap().starts_with("../../../blobs"));
    assert_same(&hub, &dir, &["Q4/p.gguf"]);
    assert_holds(&setup.error("tiny/mixtral:r.gguf"), &["has no file r.gguf; it has Q4/p.gguf, q-00001-of-00002.gguf"]);
    let list: Vec<_> =
        list_cached(&setup.settings).into_iter().map(|found| (found.id, found.path, found.bytes)).collect();
    let first = ("tiny/mixtral:Q4/p.gguf".to_owned(), p, 5);
    assert_eq!(list, [first, (format!("tiny/mixtral:{}", split[0]), path, 10)]);
}

#[test]
fn cached_models_are_listed() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    assert_eq!(list_cached(&setup.settings), []);
    let dir = setup.fetch(NAME).unwrap();
    let other = format!("{NAME}@v1");
    setup.fetch(&other).unwrap();
    let mut files = sharded();
    files.insert("config.json".to_owned(), br#"{"model_type": "llama"}"#.to_vec());
    let hub = Hub::start(files);
    let llama = Setup { settings: Settings { endpoint: hub.url.clone(), ..setup.settings.clone() }, ..setup };
    llama.fetch("other/llama").unwrap();
    fs::create_dir_all(llama.settings.cache.join("datasets--a--b/refs")).unwrap();
    let bytes = NEEDED.iter().map(|name| sharded()[*name].len() as u64).sum();
    let found: Vec<_> =
        list_cached(&llama.settings).into_iter().map(|found| (found.id, found.path, found.bytes)).collect();
    assert_eq!(found, [(NAME.to_owned(), dir.clone(), bytes), (other.clone(), dir.clone(), bytes)]);
    fs::remove_dir_all(llama.in_repo("refs")).unwrap();
    let by_commit = list_cached(&llama.settings);
    assert_eq!(by_commit.iter().map(|found| &found.id).collect::<Vec<_>>(), [&format!("{NAME}@{COMMIT}")]);
    fs::remove_file(dir.join(SHARDS[0])).unwrap();
    assert_eq!(list_cached(&llama.settings), []);
}

#[test]
fn a_survey_reads_parts() {
    for whole in [false, true] {
        let hub = Hub::with(sharded(), move |_| if whole { Act::Whole(usize::MAX) } else { Act::Serve });
        let setup = Setup::of(&hub);
        let survey = survey(&id(NAME), &setup.settings).unwrap();
        assert_eq!((survey.commit.as_str(), &survey.gguf), (COMMIT, &None));
        let sizes: Vec<_> = survey.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
        assert!(sizes.len() == NEEDED.len() && sizes.contains(&(SHARDS[0], 200_000)));
        let shard = &hub.files[SHARDS[0]];
        assert!(survey.read(SHARDS[0], 8..1008).unwrap() == shard[8..1008]);
        assert!(survey.read(SHARDS[0], 5..5).unwrap().is_empty());
        assert!(survey.read_all("config.json").unwrap() == hub.files["config.json"]);
        assert_holds(&survey.read(SHARDS[0], 8..200_001).unwrap_err().to_string(), &["can't be read"]);
        assert_holds(&survey.read_all("README.md").unwrap_err().to_string(), &["is not among the files"]);
        assert_eq!(hub.ranges(SHARDS[0])[0].as_deref(), Some("bytes=8-1007"));
        assert!(!setup.settings.cache.exists());
    }
}
