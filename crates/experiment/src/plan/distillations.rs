//! Whether what variants learn from teachers can be had: by their models and the tasks, before any is trained.

use super::budget::has_features;
use super::starts::configurations;
use crate::spec::{Configured, Distill, Locator, Variant, model_diagnostic};
use homebench_data::Schema;
use homebench_diagnostic::{Diagnostic, KeyPath};

/// Checks that the variant's model has features, that every task named in `teachers` is one, and that each task's teacher was trained.
/// `all` are the variants of the experiment.
pub(super) fn check_distill(
    variant: &Variant,
    configured: &Configured,
    all: &[Variant],
    schema: &Schema,
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    let Some(distill) = &variant.start.distill else {
        return Ok(());
    };
    let table = KeyPath::new(["variants", &variant.name]);
    let at = table.join("distill");
    let has_features = has_features(configured, schema)
        .map_err(|error| model_diagnostic(&error, &table, locator))?;
    if !has_features {
        let model = configured.model.name();
        let message =
            format!("`{at}`: `{model}` has no features that a teacher's could be compared with");
        return Err(locator
            .at_key(&at, message)
            .hint("leave it out, or choose a model whose tasks have towers"));
    }
    let method = configured.training.balance.method;
    if method.needs_gradients() {
        let message = format!(
            "`{at}`: beside it tasks can't be balanced by their gradients, as `{}` does",
            method.name()
        );
        return Err(locator
            .at_key(&at, message)
            .hint("leave it out, or balance by losses, such as with `uw`"));
    }
    let names: Vec<&str> = schema.tasks.iter().map(|task| task.name.as_str()).collect();
    for (task, teacher) in &distill.how.teachers {
        let at = at.join("teachers").join(task);
        for name in [task, teacher] {
            if !names.contains(&name.as_str()) {
                let known = names.join(", ");
                let message = format!("`{at}`: there is no task `{name}`; there are: {known}");
                return Err(locator
                    .at_value(&at, message)
                    .did_you_mean(name, names.iter().copied()));
            }
        }
    }
    let teacher = all.iter().find(|other| other.name == distill.from);
    let teacher = teacher.expect("the spec was checked");
    check_trained(distill, teacher, &names, &at, locator)
}

/// Refuses a task to learn from whose weight is 0 in the teacher's loss: its network is as it began, and so are its features.
fn check_trained(
    distill: &Distill,
    teacher: &Variant,
    tasks: &[&str],
    at: &KeyPath,
    locator: Locator<'_>,
) -> Result<(), Diagnostic> {
    // What it starts from may have trained the task.
    if teacher.start.init_from.is_some() {
        return Ok(());
    }
    let is_trained = |task: &str| {
        let mut all = configurations(teacher).into_iter();
        all.all(|(_, one)| one.training.task_weights.get(task) != Some(&0.0))
    };
    let teachers = &distill.how.teachers;
    let learned = |task: &str| {
        teachers
            .get(task)
            .map_or_else(|| task.to_owned(), Clone::clone)
    };
    let untrained = tasks.iter().find(|task| !is_trained(&learned(task)));
    let Some(task) = untrained else {
        return Ok(());
    };
    let (of, from) = (learned(task), &teacher.name);
    let message = |at: &KeyPath| {
        format!(
            "`{at}`: `{task}` would learn from the features of `{of}` in `{from}`, where its weight is 0: that network is never trained"
        )
    };
    let said = match teachers.contains_key(*task) {
        true => {
            let at = at.join("teachers").join(*task);
            locator.at_value(&at, message(&at))
        }
        false => locator.at_key(at, message(at)),
    };
    let weight = format!("give `{of}` a weight above 0 in the `task_weights` of `{from}`");
    Err(
        said.hint(match tasks.iter().find(|other| is_trained(other)) {
            Some(other) => {
                let teacher = format!("{} = \"{other}\"", KeyPath::new([*task]));
                format!("name another teacher, `teachers = {{ {teacher} }}`, or {weight}")
            }
            None => weight,
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::super::check_starts;
    use crate::spec::load;
    use homebench_data::{Schema, Task, TaskKind};

    const SPEC: &str = "question = \"What is this?\"\nseeds = [1]\ndataset = { name = \"feed\" }\n\
        [variants.single]\nmodel = \"single_task\"\n";

    fn checked(lines: &str) -> Result<(), String> {
        let task = |name: &str| Task {
            name: name.into(),
            group: 0,
            kind: TaskKind::default(),
            after: None,
        };
        let schema = Schema {
            categorical: Vec::new(),
            lists: Vec::new(),
            numeric: vec!["age".into(), "hour".into()],
            tasks: vec![task("click"), task("like")],
            groups: vec!["watch".into()],
            user: None,
            weight: None,
            scenario: None,
            tables: Default::default(),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("spec.toml");
        std::fs::write(&path, format!("{SPEC}{lines}\n")).unwrap();
        let (experiment, source) = load(&path, &[]).unwrap_or_else(|said| panic!("{said}"));
        check_starts(&experiment, &source, &schema).map_err(|said| {
            let (line, hint) = (said.location.unwrap().line, said.hint.unwrap_or_default());
            format!("line {line}: {} ({hint})", said.message)
        })
    }

    #[test]
    fn students_with_features_and_tasks_of_the_data_are_taken_and_others_refused_at_their_place() {
        // Models of a chain of tasks, or of scenarios, which this schema hasn't.
        let of_more = [
            "pepnet", "star", "hinet", "m3oe", "esmm", "escm2", "aitm", "resflow",
        ];
        for model in homebench_model::registry() {
            let name = model.name;
            if of_more.contains(&name) {
                continue;
            }
            let knobs = match name {
                // Of as many as the inputs at most.
                "home" => "rank = 1\n",
                _ => "",
            };
            let found = checked(&format!(
                "[variants.student]\nmodel = \"{name}\"\n{knobs}distill = {{ from = \"single\", teachers = {{ click = \"like\", like = \"click\" }} }}"
            ));
            assert_eq!(found.is_ok(), name != "logistic", "{name}: {found:?}");
        }
        let student = |model: &str, teachers: &str| {
            checked(&format!(
                "[variants.student]\nmodel = \"{model}\"\ndistill = {{ from = \"single\", teachers = {{ {teachers} }} }}"
            ))
            .unwrap_err()
        };
        let found = [
            student("logistic", ""),
            student("mmoe", "clik = \"like\""),
            student("mmoe", "click = \"lik\""),
        ];
        insta::assert_snapshot!(found.join("\n"), @r"
        line 8: `variants.student.distill`: `logistic` has no features that a teacher's could be compared with (leave it out, or choose a model whose tasks have towers)
        line 8: `variants.student.distill.teachers.clik`: there is no task `clik`; there are: click, like (did you mean `click`?)
        line 8: `variants.student.distill.teachers.click`: there is no task `lik`; there are: click, like (did you mean `like`?)
        ");
        let balanced = |method: &str| {
            checked(&format!(
                "[variants.student]\nmodel = \"mmoe\"\ntraining = {{ balance = {{ method = \"{method}\" }} }}\ndistill = {{ from = \"single\" }}"
            ))
        };
        let weighed = |teachers: &str| {
            checked(&format!(
                "training = {{ task_weights = {{ like = 0.0 }} }}\n[variants.student]\nmodel = \"mmoe\"\ndistill = {{ from = \"single\", teachers = {{ {teachers} }} }}"
            ))
        };
        weighed("like = \"click\"").unwrap();
        let found =
            [weighed(""), weighed("like = \"click\", click = \"like\"")].map(Result::unwrap_err);
        insta::assert_snapshot!(found.join("\n"), @r#"
        line 9: `variants.student.distill`: `like` would learn from the features of `like` in `single`, where its weight is 0: that network is never trained (name another teacher, `teachers = { like = "click" }`, or give `like` a weight above 0 in the `task_weights` of `single`)
        line 9: `variants.student.distill.teachers.click`: `click` would learn from the features of `like` in `single`, where its weight is 0: that network is never trained (name another teacher, `teachers = { click = "click" }`, or give `like` a weight above 0 in the `task_weights` of `single`)
        "#);
        balanced("uw").unwrap();
        insta::assert_snapshot!(balanced("pcgrad").unwrap_err(), @"line 9: `variants.student.distill`: beside it tasks can't be balanced by their gradients, as `pcgrad` does (leave it out, or balance by losses, such as with `uw`)");
    }
}
