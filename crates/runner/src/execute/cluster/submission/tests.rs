//! A submission is read as it was written.

use super::*;
use crate::execute::cluster::events::{EventWriter, TaskStart};
use crate::execute::{cancel, local_host, refuse_open, unreadable_submissions};
use std::collections::BTreeMap;

pub(in crate::execute::cluster) fn work() -> TaskWork {
    TaskWork {
        threads: 1,
        retries: 2,
        device: "cpu".into(),
        started_in: "/c".into(),
        descriptions: "/d".into(),
        data: "/e".into(),
        cache: "/f".into(),
        checked_data: BTreeMap::from([("a".into(), "b".into())]),
        predictions: vec!["test".into()],
        time_limit_seconds: Some(3.5),
        memory_limit_bytes: None,
        checkpoint_every_seconds: 60.0,
        tensorboard: false,
        same_processors: false,
        silence_seconds: 60.0,
    }
}

pub(in crate::execute::cluster) fn cell(id: &str) -> ChunkCell {
    ChunkCell {
        id: id.into(),
        label: format!("mmoe/{id}"),
        keeps_weights: id == "b",
    }
}

#[test]
fn a_submission_is_read_as_it_was_written_and_orders_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    assert!(Submission::all(&results).unwrap().is_empty());
    let chunks = [vec![cell("a"), cell("b")], vec![cell("c")]];
    let work = work();
    let mut made = Submission::intend(
        &results,
        EngineKind::Slurm,
        &chunks,
        (&work, "module load x\n"),
    )
    .unwrap();
    let all = Submission::all(&results).unwrap();
    let [found] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!((found.state(), found.job()), (State::Intended, None));
    assert_eq!(found.work(), &work);
    assert_eq!(found.chunks().unwrap(), chunks);
    assert!(found.program().is_file());
    let script = std::fs::read_to_string(found.script()).unwrap();
    assert!(script.contains("\nmodule load x\nexec "), "{script}");
    assert_eq!(made.orders(), Orders::default());
    made.supersede(Some(1)).unwrap();
    let orders = made.orders();
    assert!(orders.is_superseded(1) && !orders.is_superseded(0) && !orders.stop);
    made.order_stop().unwrap();
    made.supersede(None).unwrap();
    assert!(made.orders().is_superseded(0) && made.orders().stop);
    made.set_state(State::Submitted, Some("17".into())).unwrap();
    made.set_state(State::Over, None).unwrap();
    let found = Submission::read(made.folder()).unwrap().unwrap();
    assert_eq!((found.state(), found.job()), (State::Over, Some("17")));
    assert!(!found.is_open());
    found.remove();
    assert!(!results.cluster().exists());
}

#[test]
fn pipes_are_not_waited_for_and_nothing_is_written_or_removed_through_links() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let results = ResultsFolder::new(folder.path());
    let chunks = [vec![cell("a")]];
    let made = Submission::intend(&results, EngineKind::Manual, &chunks, (&work(), "")).unwrap();
    let pipe = |path: &Path| {
        std::fs::remove_file(path).unwrap();
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    pipe(&made.folder().join(CHUNKS));
    let said = made.chunks().unwrap_err().to_string();
    assert!(said.contains("a pipe (FIFO)"), "{said}");
    let orders = made.folder().join(ORDERS);
    pipe(&orders);
    assert!(made.order_stop().is_err());
    let notes = elsewhere.path().join("notes");
    std::fs::write(&notes, "mine").unwrap();
    for target in [&notes, &elsewhere.path().join("nowhere")] {
        std::fs::remove_file(&orders).unwrap();
        std::os::unix::fs::symlink(target, &orders).unwrap();
        let said = made.supersede(None).unwrap_err().to_string();
        assert!(said.contains("a link is in its place"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    // What the hint says helps.
    std::fs::remove_file(&orders).unwrap();
    made.supersede(None).unwrap();
    assert!(made.orders().is_superseded(0));
    let other = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(results.cluster(), other.path().join(ResultsFolder::CLUSTER))
        .unwrap();
    let said = Submission::all(&ResultsFolder::new(other.path())).unwrap_err();
    assert!(said.to_string().contains("it is a link"), "{said}");
}

#[test]
fn a_submission_of_a_newer_homebench_is_refused_and_one_half_written_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    let own = results.cluster().join("aa");
    std::fs::create_dir_all(&own).unwrap();
    assert!(Submission::all(&results).unwrap().is_empty());
    std::fs::write(own.join(RECORD), "format = 2\nnew = 3\n").unwrap();
    let said = Submission::all(&results).unwrap_err().to_string();
    assert!(said.contains("newer homebench"), "{said}");
    std::fs::write(own.join(RECORD), "format = 1\nnew = 3\n").unwrap();
    assert!(Submission::all(&results).is_err());
}

#[test]
fn a_record_that_was_lost_is_no_submission_that_was_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let results = ResultsFolder::new(folder.path());
    let chunks = [vec![cell("a")], vec![cell("b")]];
    let made = Submission::intend(&results, EngineKind::Processes, &chunks, (&work(), "")).unwrap();
    let record = made.folder().join(RECORD);
    let text = std::fs::read_to_string(&record).unwrap();
    // Killed before it was written down.
    std::fs::remove_file(&record).unwrap();
    assert!(Submission::all(&results).unwrap().is_empty());
    // Its one task that began has ended.
    std::fs::write(made.events(0), "").unwrap();
    let mut events = EventWriter::open(&made.events(0)).unwrap();
    events.say(&TaskEvent::Beat).unwrap();
    events.say(&TaskEvent::Over).unwrap();
    assert!(Submission::all(&results).unwrap().is_empty());
    // The other may be at work.
    let start = TaskStart {
        start: "1".into(),
        host: local_host(),
        process: 1,
        job: None,
        cpu_model: None,
        instructions: "portable".into(),
        cores: 1,
        memory_bytes: None,
        gpus: Vec::new(),
    };
    let mut events = EventWriter::open(&made.events(1)).unwrap();
    events.say(&TaskEvent::Start(Box::new(start))).unwrap();
    let said = Submission::all(&results).unwrap_err().to_string();
    assert!(said.contains("submission.toml: is gone"), "{said}");
    assert!(said.contains("`homebench cancel "), "{said}");
    assert_eq!(unreadable_submissions(&results).len(), 1);
    for damaged in ["", "format = ", &text[..text.len() / 2]] {
        std::fs::write(&record, damaged).unwrap();
        assert!(refuse_open(&results).is_err(), "{damaged}");
        assert_eq!(unreadable_submissions(&results).len(), 1);
    }
    // What it says to do works.
    let (num, _) = cancel(&results, true).unwrap();
    assert_eq!(num, 1);
    assert!(made.orders().is_superseded(1));
    refuse_open(&results).unwrap();
    assert!(unreadable_submissions(&results).is_empty());
    assert_eq!(cancel(&results, true).unwrap().0, 0);
}
