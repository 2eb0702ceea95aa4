use super::*;
use homebench_experiment::plan::{CellsThere, Plan};
use homebench_experiment::spec;
use homebench_results::{Phase, ResultsFolder, Winners};
use tempfile::TempDir;

const SPEC: &str = "question = \"Who teaches?\"\nseeds = [1, 2]\ndataset = { name = \"feed\" }\n\
    [variants.single]\nmodel = \"single_task\"\n[variants.student]\nmodel = \"mmoe\"\n\
    distill = { from = \"single\" }\n";

/// A results folder, and the student and its teacher as they are planned.
fn planned() -> (TempDir, CellContent, CellContent) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, SPEC).unwrap();
    let (experiment, source) = spec::load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
    let results = ResultsFolder::new(folder.path());
    let plan = Plan::without_data(
        &experiment,
        &source,
        &Winners::default(),
        &CellsThere::default(),
        &results,
    )
    .unwrap();
    let student = plan.cells().find(|cell| cell.label() == "student/1");
    let student = student.unwrap();
    let teacher = student.parent.as_ref().unwrap().content.clone();
    (folder, student.content.clone(), teacher)
}

/// What is said of a teacher of this content, whose id the student has.
fn said(change: impl FnOnce(&mut CellContent, &mut CellContent)) -> String {
    let (folder, mut student, mut teacher) = planned();
    change(&mut student, &mut teacher);
    let id = teacher.id();
    student.distill.as_mut().unwrap().cell.clone_from(&id);
    let cells = folder.path().join("cells");
    let before = cells.join(&id);
    std::fs::create_dir_all(&before).unwrap();
    std::fs::write(before.join("cell.toml"), teacher.to_toml()).unwrap();
    let read = CellBefore::read(&CellFolder::new(cells.join(student.id())), &student);
    match read {
        Ok(_) => "taken".to_owned(),
        Err(error) => error
            .to_string()
            .replace(&before.display().to_string(), "TEACHER"),
    }
}

#[test]
fn a_teacher_of_another_split_or_seed_or_one_that_has_read_test_for_a_trial_is_refused() {
    let found = [
        said(|_, teacher| teacher.dataset.split_seed = Some(7)),
        said(|_, teacher| teacher.dataset.content_hash = "other".to_owned()),
        said(|_, teacher| teacher.seed = 2),
        said(|student, _| student.phase = Phase::Tuning),
        // What is right in all of this has to be done, too.
        said(|_, _| {}),
        said(|student, teacher| {
            student.phase = Phase::Tuning;
            teacher.phase = Phase::Tuning;
        }),
    ];
    insta::assert_snapshot!(found.join("\n"), @r"
    TEACHER: a cell learns from the features of this one, and it was trained on other data or on another split
    hint: run the experiment again: the cell is then trained again, to the same bytes
    TEACHER: a cell learns from the features of this one, and it was trained on other data or on another split
    hint: run the experiment again: the cell is then trained again, to the same bytes
    TEACHER: a cell learns from the features of this one, and it was trained with another seed
    hint: run the experiment again: the cell is then trained again, to the same bytes
    TEACHER: a cell learns from the features of this one, and it has read the test split, which no trial may
    hint: run the experiment again: the cell is then trained again, to the same bytes
    TEACHER: a cell learns from the features of this one, and it is not done
    hint: run the experiment again: the cell is then trained again, to the same bytes
    TEACHER: a cell learns from the features of this one, and it is not done
    hint: run the experiment again: the cell is then trained again, to the same bytes
    ");
}

#[test]
fn a_folder_that_is_not_what_its_name_says_is_refused() {
    let (folder, student, mut teacher) = planned();
    let before = folder.path().join("cells").join(teacher.id());
    std::fs::create_dir_all(&before).unwrap();
    teacher.training.patience += 1;
    std::fs::write(before.join("cell.toml"), teacher.to_toml()).unwrap();
    let own = CellFolder::new(folder.path().join("cells").join(student.id()));
    let said = CellBefore::read(&own, &student).map(|_| ()).unwrap_err();
    assert!(
        said.to_string().contains(
            "a cell learns from the features of this one, and its cell.toml is not what was planned"
        ),
        "{said}"
    );
}
