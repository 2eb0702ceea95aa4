use super::*;

#[test]
fn a_second_parent_is_refused_by_name_until_the_first_ends() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    let first = FolderLock::take(&results).unwrap();
    let refusal = FolderLock::take(&results).unwrap_err().to_string();
    let holder = format!(
        "another homebench (process {} on {})",
        std::process::id(),
        holder::host()
    );
    assert!(refusal.contains(&holder), "{refusal}");
    let found = at_work(&results).unwrap();
    assert!(holder.contains(&found.holder), "{found:?}");
    assert!(found.is_run && !found.is_gone && found.left_behind.is_empty());
    drop(first);
    // A process that another test started in between may have it for a moment.
    let again = (0..500).any(|_| {
        std::thread::sleep(LOOK_EVERY);
        FolderLock::take(&results).is_ok()
    });
    assert!(again);
    assert!(!results.lease().exists());
}

#[test]
fn a_lock_that_was_removed_or_replaced_is_noticed_and_lets_no_second_in() {
    let lose: [fn(&ResultsFolder); 3] = [
        |results| std::fs::remove_file(results.lock()).unwrap(),
        |results| {
            std::fs::remove_file(results.lease()).unwrap();
            std::fs::write(results.lease(), "").unwrap();
        },
        |results| {
            let moved = results.path().with_extension("moved");
            std::fs::rename(results.path(), moved).unwrap();
        },
    ];
    for (place, lose) in lose.into_iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let results = ResultsFolder::new(folder.path().join("out"));
        std::fs::create_dir(results.path()).unwrap();
        let first = FolderLock::take(&results).unwrap();
        first.watch().check().unwrap();
        lose(&results);
        if place < 2 {
            let refused = FolderLock::take(&results).unwrap_err().to_string();
            assert!(refused.contains("is at work in this folder"), "{refused}");
        }
        let said = (0..500).find_map(|_| {
            std::thread::sleep(LOOK_EVERY);
            first.watch().check().err()
        });
        let said = format!("{:#}", said.expect("it is noticed"));
        assert!(said.contains("the run was stopped"), "{said}");
        assert!(said.contains("while the run was at work"), "{said}");
    }
}

#[test]
fn who_draws_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    let first = FolderLock::take_to_draw(&results).unwrap();
    let ended = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(first);
    });
    let second = FolderLock::take_to_draw(&results).unwrap();
    assert!(ended.is_finished());
    drop(second);
}

#[test]
fn a_lease_that_a_killed_process_left_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    // As a process of this machine that is gone writes itself.
    let mut gone = std::process::Command::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let text = format!(
        "process = {}\nhost = \"{}\"\nbirth = \"\"\nwork = \"run\"\n",
        gone.id(),
        holder::host()
    );
    std::fs::write(results.lease(), text).unwrap();
    // With the system's lock at once, without it once no beat was seen for a while.
    let start = Instant::now();
    give_way(&results, true).unwrap();
    assert!(start.elapsed() < Duration::from_secs(2) && !results.lease().exists());
}
