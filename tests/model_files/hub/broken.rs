//! Servers that break off, stall, refuse or send something else.

use super::*;

#[test]
fn a_cut_download_goes_on_from_the_kept_byte() {
    let hub = once(|| Act::Cut(1000));
    let setup = Setup::of(&hub);
    let dir = setup.fetch(NAME).unwrap();
    assert_same(&hub, &dir, &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), [None, Some("bytes=1000-".to_owned())]);
}

#[test]
fn a_partial_of_an_earlier_process_is_used() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[0], &hub.files[SHARDS[0]][..12_345]);
    setup.keep_partial(&hub, SHARDS[1], &hub.files[SHARDS[1]]);
    let dir = setup.fetch(NAME).unwrap();
    assert_same(&hub, &dir, &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), [Some("bytes=12345-".to_owned())]);
    assert_eq!(hub.ranges(SHARDS[1]), []);
}

#[test]
fn a_partial_that_is_too_long_is_dropped() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[0], &bytes(0, 200_001));
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
}

#[test]
fn a_server_that_ignores_ranges_starts_over() {
    let hub = once(|| Act::Whole(usize::MAX));
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[0], &bytes(9, 777));
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), [Some("bytes=777-".to_owned())]);
}

#[test]
fn a_server_that_starts_over_and_fails_is_given_up() {
    let rule = |request: &Request| if request.gets(SHARDS[0]) { Act::Whole(1000) } else { Act::Serve };
    let hub = Hub::with(sharded(), rule);
    assert_holds(&Setup::hasty(&hub).error(NAME), &[SHARDS[0], "connection cut; gave up after 2 more tries"]);
    assert_eq!(hub.ranges(SHARDS[0]).len(), 3);
}

#[test]
fn a_refused_range_starts_over() {
    let hub = once(|| Act::Status(416, vec![], String::new()));
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[0], &bytes(9, 777));
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), [Some("bytes=777-".to_owned()), None]);
}

#[test]
fn a_stall_is_cut_and_tried_again() {
    let hub = once(|| Act::Stall(5000));
    let setup = Setup::hasty(&hub);
    let (result, last, notes) = setup.watch(NAME);
    assert_same(&hub, &result.unwrap(), &NEEDED);
    assert_eq!(hub.ranges(SHARDS[0]), [None, Some("bytes=5000-".to_owned())]);
    assert!(notes.contains(&"connection stalled for 0.3 s; trying again (1 of 2)".to_owned()), "{notes:?}");
    assert_eq!(last.note, "");
}

#[test]
fn stalls_without_end_are_given_up() {
    let rule = |request: &Request| match request.gets(SHARDS[0]) {
        true if request.nth == 0 => Act::Stall(5000),
        true => Act::Stall(0),
        false => Act::Serve,
    };
    let hub = Hub::with(sharded(), rule);
    let setup = Setup::hasty(&hub);
    let error = setup.error(NAME);
    let partial = setup.blob(&hub, SHARDS[0], ".incomplete");
    let kept = format!("5000 of 200000 bytes are kept in {}", partial.display());
    assert_holds(
        &error,
        &["connection stalled", "gave up after 2 more tries", &kept, "running again continues from there"],
    );
    assert!(fs::read(partial).unwrap() == hub.files[SHARDS[0]][..5000]);
    assert!(!setup.in_repo("refs/main").exists());
    assert_eq!(cached(&id(NAME), &setup.settings), None);
}

#[test]
fn requests_to_busy_servers_are_repeated() {
    let hub = Hub::with(sharded(), |request| match request.nth {
        0 if request.is_listing() => Act::Status(503, vec![], "busy".to_owned()),
        0 if request.method == "HEAD" => Act::Status(429, vec![("Retry-After", "0".to_owned())], String::new()),
        0 => Act::Status(500, vec![], String::new()),
        _ => Act::Serve,
    });
    assert_same(&hub, &Setup::hasty(&hub).fetch(NAME).unwrap(), &NEEDED);
    let hub = Hub::with(sharded(), |_| Act::Status(503, vec![], "busy\u{1b}[2J".to_owned()));
    let error = Setup::hasty(&hub).error(NAME);
    assert_holds(&error, &["status 503: busy [2J; gave up after 2 more tries", "HF_HUB_OFFLINE=1"]);
}

/// Status, code, message, if a token is sent, the repo, and what the error holds.
type Refusal<'a> = (u16, &'a str, &'a str, bool, &'a str, &'a [&'a str]);

#[test]
fn refusals_say_what_to_do() {
    let cases: [Refusal; 11] = [
        (
            401,
            "GatedRepo",
            "",
            false,
            NAME,
            &["is gated: accept its conditions at http://", "/tiny/mixtral, then set HF_TOKEN"],
        ),
        (403, "GatedRepo", "", true, NAME, &["is gated, and the token that was sent has no access"]),
        (401, "RepoNotFound", "", false, NAME, &["not found, or private: check the name, or set HF_TOKEN"]),
        (401, "", "", false, NAME, &["not found, or private: check the name"]),
        (401, "", "", true, NAME, &["not found, or private and not for the token"]),
        (401, "", "Invalid credentials in Authorization header", true, NAME, &["does not accept the token"]),
        (404, "RepoNotFound", "", false, NAME, &["tiny/mixtral is not found"]),
        (404, "", "", false, NAME, &["tiny/mixtral is not found"]),
        (404, "RevisionNotFound", "", false, "tiny/mixtral@v9", &["tiny/mixtral has no revision v9"]),
        (404, "", "", false, "tiny/mixtral@v9", &["is not found, or has no revision v9"]),
        (403, "", "Access is disabled.", false, NAME, &["refuses tiny/mixtral", "status 403: Access is disabled."]),
    ];
    for (status, code, said, token, repo, parts) in cases {
        let headers = vec![("X-Error-Code", code.to_owned()), ("X-Error-Message", said.to_owned())];
        let hub = Hub::with(sharded(), move |_| Act::Status(status, headers.clone(), String::new()));
        let mut setup = Setup::of(&hub);
        setup.settings.token = token.then(|| "hf_secret".to_owned());
        let error = setup.error(repo);
        assert_holds(&error, parts);
        assert!(!error.contains("hf_secret"));
        assert_eq!(hub.log().len(), 1, "refusals are final");
        let surveyed = survey(&id(repo), &setup.settings).err().unwrap();
        assert_eq!(surveyed.to_string(), error);
    }
}

#[test]
fn refused_files_are_named() {
    let gated = |request: &Request| match request.is_listing() {
        true => Act::Serve,
        false => Act::Status(401, vec![("X-Error-Code", "GatedRepo".to_owned())], String::new()),
    };
    assert_holds(&Setup::of(&Hub::with(sharded(), gated)).error(NAME), &["is gated: accept its conditions"]);
    let gone = |request: &Request| match request.path.ends_with(SHARDS[1]) {
        true => Act::Status(404, vec![("X-Error-Code", "EntryNotFound".to_owned())], String::new()),
        false => Act::Serve,
    };
    assert_holds(&Setup::of(&Hub::with(sharded(), gone)).error(NAME), &["tiny/mixtral has no file", SHARDS[1]]);
}

#[test]
fn repos_without_a_whole_model_are_refused() {
    let without = |name: &str| {
        let mut files = sharded();
        files.remove(name);
        Setup::of(&Hub::start(files)).error(NAME)
    };
    assert_eq!(without(SHARDS[1]), format!("tiny/mixtral lacks {}", SHARDS[1]));
    assert_eq!(without("config.json"), "tiny/mixtral lacks config.json");
    let mut files = sharded();
    files.remove("model.safetensors.index.json");
    files.remove(SHARDS[1]);
    assert_holds(&Setup::of(&Hub::start(files)).error(NAME), &["lacks model.safetensors", ".gguf"]);
    let mut files = sharded();
    files.insert("model.safetensors.index.json".to_owned(), b"{}".to_vec());
    assert_holds(
        &Setup::of(&Hub::start(files)).error(NAME),
        &["model.safetensors.index.json of tiny/mixtral can't be used"],
    );
}

#[test]
fn wrong_content_is_put_aside_and_downloaded_anew() {
    for name in [SHARDS[0], "config.json"] {
        let hub = Hub::with(
            sharded(),
            move |request| {
                if request.gets(name) && request.nth == 0 { Act::Corrupt } else { Act::Serve }
            },
        );
        let setup = Setup::of(&hub);
        let wrong: Vec<u8> = hub.files[name].iter().map(|byte| !byte).collect();
        let (expected, found) = (etag(name, &hub.files[name]), etag(name, &wrong));
        let checksums = format!("expected checksum {expected}, found {found}");
        assert_holds(&setup.error(NAME), &[name, &checksums, ".rejected", "running again downloads it from the start"]);
        assert!(fs::read(setup.blob(&hub, name, ".rejected")).unwrap() == wrong);
        assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
    }
}

#[test]
fn a_wrong_partial_is_found_out() {
    let hub = Hub::start(sharded());
    let setup = Setup::of(&hub);
    setup.keep_partial(&hub, SHARDS[0], &bytes(9, 100));
    assert_holds(&setup.error(NAME), &[SHARDS[0], "expected checksum"]);
    assert_same(&hub, &setup.fetch(NAME).unwrap(), &NEEDED);
}

#[test]
fn a_compressed_body_is_no_file() {
    let gzip = || Act::Status(200, vec![("Content-Encoding", "gzip".to_owned())], "\u{1f}\u{8b}".to_owned());
    let (list, shard) =
        ("cannot list the files of tiny/mixtral at http://127.0.0.1", format!("cannot get {} of", SHARDS[0]));
    let rules: [fn(&Request) -> bool; 3] =
        [Request::is_listing, |request| request.path.ends_with(SHARDS[0]), |request| request.gets(SHARDS[0])];
    for (is_compressed, what) in rules.into_iter().zip([list, &shard, &shard]) {
        let hub = Hub::with(sharded(), move |request| if is_compressed(request) { gzip() } else { Act::Serve });
        let setup = Setup::of(&hub);
        let said = ": the server sends it compressed (content-encoding: gzip), which was not requested; check";
        assert_holds(&setup.error(NAME), &[what, said]);
        let partial = fs::metadata(setup.blob(&hub, SHARDS[0], ".incomplete")).map_or(0, |partial| partial.len());
        assert_eq!(partial, 0, "nothing of it is kept");
        assert!(hub.log().iter().filter(|request| is_compressed(request)).count() == 1, "it is not tried again");
    }
}

#[test]
fn redirects_without_end_are_no_fault_of_the_network() {
    let rules: [fn(&Request) -> bool; 2] = [Request::is_listing, |request| request.path.contains("/resolve/")];
    for is_sent_on in rules {
        let around = move |request: &Request| match is_sent_on(request) {
            true => Act::Status(302, vec![("Location", request.path.clone())], String::new()),
            false => Act::Serve,
        };
        let hub = Hub::with(repo_of(&[("q.gguf", b"GGUF")]), around);
        let error = Setup::of(&hub).error(NAME);
        assert_holds(&error, &["cannot ", "the server redirects more than 10 times, at last to 127.0.0.1/"]);
        assert!(!error.contains("HF_HUB_OFFLINE") && !error.contains("gave up"), "{error}");
        let longest = hub.log().iter().map(|request| request.nth).max().unwrap();
        assert_eq!(longest, 10, "it is not tried again");
    }
}

#[test]
fn a_body_that_drips_is_a_stall() {
    let rules: [fn(&Request) -> bool; 2] = [Request::is_listing, |request| request.gets("q.gguf")];
    for drips in rules {
        let rule = move |request: &Request| if drips(request) && request.nth == 0 { Act::Drip(1) } else { Act::Serve };
        let hub = Hub::with(repo_of(&[("q.gguf", &[b'G'; 300])]), rule);
        let setup = Setup::hasty(&hub);
        let (result, _, notes) = setup.watch(NAME);
        assert_same(&hub, result.unwrap().parent().unwrap(), &["q.gguf"]);
        let said = notes.iter().find(|note| note.starts_with("connection brought only "));
        assert!(said.is_some_and(|said| said.ends_with(" s; trying again (1 of 2)")), "{notes:?}");
    }
}

#[test]
fn a_list_of_files_without_end_is_refused() {
    let files = repo_of(&[("q.gguf", b"GGUF")]);
    let mut long = listing(&files, true);
    long["more"] = "x".repeat(17 << 20).into();
    let hub = Hub::with_listing(files, &long, |_| Act::Serve);
    let what = "cannot list the files of tiny/mixtral at http://127.0.0.1";
    assert_holds(&Setup::of(&hub).error(NAME), &[what, ": the answer is longer than 16 MiB; check HF_ENDPOINT"]);
}
