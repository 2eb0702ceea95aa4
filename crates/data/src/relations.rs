//! How tasks of embedded sources are related in truth.

use super::described::resolve_description;
use super::schema::{Description, Source};
use homebench_diagnostic::{Diagnostic, Document};

/// How two tasks of a dataset are related, by what makes their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRelations {
    /// The tasks in order.
    pub tasks: Vec<String>,
    /// Correlation of their true functions, or of their true logits, [tasks, tasks].
    pub correlations: Vec<Vec<f64>>,
}

/// The relations of the tasks of a description; none of files and of sources whose tasks have no one correlation.
///
/// # Errors
/// A description that can't be read any more.
pub fn task_relations(
    name: &str,
    description: &str,
    protocol: &str,
) -> Result<Option<TaskRelations>, Diagnostic> {
    let document = Document::new("description.toml", description);
    let description = Description::parse(name, &document)?;
    let protocol = resolve_description(&description, protocol)?;
    let Source::Generated(source) = &protocol.source else {
        return Ok(None);
    };
    let tasks = protocol.tasks.iter().map(|task| task.name.clone());
    Ok(source.correlations().map(|correlations| TaskRelations {
        tasks: tasks.collect(),
        correlations,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn of(name: &str, change: impl Fn(&str) -> String) -> Option<Vec<Vec<f64>>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
        let text = std::fs::read_to_string(folder.join(format!("{name}.toml"))).unwrap();
        let document = Document::new("x", &text);
        let protocol = Description::parse(name, &document)
            .unwrap()
            .default_protocol;
        let relations = task_relations(name, &change(&text), &protocol).unwrap();
        relations.map(|relations| relations.correlations)
    }

    #[test]
    fn sources_say_how_their_tasks_are_related() {
        let arc = of("task-arc", str::to_owned).unwrap();
        assert_eq!(arc.len(), 8);
        assert!((arc[3][3] - 1.0).abs() < 1e-12 && arc[0][1] > arc[0][2] && arc[0][2] > arc[0][7]);
        // Without waves it is the cosine of the angle.
        let linear = of("task-arc", |text| {
            let lines = text.lines().filter(|line| !line.starts_with("frequencies"));
            let lines: Vec<&str> = lines.filter(|line| !line.starts_with("phases")).collect();
            lines.join("\n")
        });
        let angle = 50f64.to_radians().cos();
        assert!((linear.unwrap()[2][4] - angle).abs() < 1e-12);
        let feed = of("feed", str::to_owned).unwrap();
        assert!((feed[0][3] - 0.7).abs() < 1e-12, "{}", feed[0][3]);
        assert!(feed[0][4] < feed[0][3] && feed[4][8] == feed[0][3]);
        assert_eq!(of("task-depths", str::to_owned), None);
    }
}
