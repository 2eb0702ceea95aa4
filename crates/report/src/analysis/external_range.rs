//! Scores of programs beside homebench that no rows can have. The folder's reader knows names and rows, the list of metrics their values.

use homebench_diagnostic::Diagnostic;
use homebench_metric::Metric;
use homebench_results::read::Results;

/// Refuses the first such score, with the line of its table.
///
/// # Errors
/// An AUC above 1, a negative loss and the like.
pub(crate) fn check(results: &Results) -> Result<(), Diagnostic> {
    for origin in &results.externals {
        for (place, line) in &origin.lines {
            let score = &results.scores[*place];
            let (Some(metric), Some(value)) = (Metric::named(&score.metric), score.value) else {
                continue;
            };
            let Some(expected) = metric.impossible(value) else {
                continue;
            };
            let place = format!("{}, line {line}, column `value`", origin.table.display());
            let message = format!(
                "expected {expected} for {}, found `{value}`",
                metric.title()
            );
            return Err(Diagnostic::new(place, message).hint(format!(
                "METHODOLOGY says how {} is computed; make the external scores again by that definition",
                metric.name()
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use homebench_results::sample::Sample;

    fn said(metric: &str, value: &str) -> Result<(), String> {
        let folder = Sample::default().write();
        let external = folder.path().join("external");
        std::fs::create_dir(&external).unwrap();
        let table = format!(
            "variant,seed,split,task,metric,value,rows,positives\n\
             gbdt,1,test,income,auc,0.9,49881,3000\ngbdt,1,test,never_married,{metric},{value},49881,3000\n"
        );
        std::fs::write(external.join("gbdt.csv"), table).unwrap();
        let origin = "about = \"x\"\nprogram = \"x 1\"\ncommand = \"x\"\ndataset_content = \"feedbeef\"\ntrials = 0\n";
        std::fs::write(external.join("gbdt.toml"), origin).unwrap();
        let checked = check(&Results::read(folder.path()).unwrap());
        let prefix = format!("{}/", folder.path().display());
        checked.map_err(|error| error.to_string().replace(&prefix, ""))
    }

    #[test]
    fn a_value_that_no_rows_can_have_is_refused_with_its_line() {
        assert_eq!(said("auc", "1"), Ok(()));
        assert_eq!(said("auc", ""), Ok(()));
        insta::assert_snapshot!(said("auc", "1.7").unwrap_err(), @r"
        external/gbdt.csv, line 3, column `value`: expected a number from 0 to 1 for AUC, found `1.7`
        hint: METHODOLOGY says how auc is computed; make the external scores again by that definition
        ");
        let loss = said("log_loss", "-0.5").unwrap_err();
        assert!(
            loss.contains(
                "line 3, column `value`: expected a number, 0 or more for log-loss, found `-0.5`"
            ),
            "{loss}"
        );
    }
}
