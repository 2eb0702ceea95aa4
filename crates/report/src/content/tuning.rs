//! How variants were tuned: the search space, the winners, and validation beside test.

use super::ran::SELECTED_BY_DEFAULT;
use super::{paragraph, tuning_tables as tables};
use crate::analysis::Analysis;
use crate::document::Block;
use crate::format::counted;
use crate::left_out;
use homebench_results::read::context::Context;
use homebench_results::read::distinct;

/// Adds the section.
pub(super) fn push(blocks: &mut Vec<Block>, analysis: &Analysis, context: &Context) {
    let results = &analysis.results;
    let selected_by = context.recorded.selected_by.as_deref();
    blocks.push(Block::Heading("Tuning".to_owned()));
    if results.tuning.is_empty() {
        blocks.push(paragraph(
            "Nothing was tuned: every variant ran with the settings of the spec.",
        ));
    } else {
        let variants = distinct(results.tuning.iter().map(|trial| &trial.variant));
        let trials = variants
            .iter()
            .map(|&variant| tables::trials_of(results, variant).len());
        let (least, most) = (trials.clone().min().unwrap_or(0), trials.max().unwrap_or(0));
        let number = match least == most {
            true => format!("{} each", counted(least, "trial")),
            false => format!("{least} to {most} trials, which is no equal footing"),
        };
        blocks.push(paragraph(format!(
            "{} had {number}, on validation alone, where a trial's score is {}. The winner of each was frozen and trained anew with fresh seeds; then the test \
             split was read, once.",
            counted(variants.len(), "variant"),
            selected_by.unwrap_or(SELECTED_BY_DEFAULT)
        )));
    }
    if let Some(space) = &context.search_space {
        blocks.push(paragraph(
            "What was searched or swept, as the spec says it:",
        ));
        blocks.push(Block::Lines(space.clone()));
    }
    if !results.tuning.is_empty() {
        blocks.push(Block::Table(tables::tuned(analysis, context.train_rows)));
        let words = left_out::of_means(analysis, &tables::shared_tasks(analysis));
        blocks.extend(words.map(paragraph));
        blocks.push(Block::Details {
            summary: "Every trial".to_owned(),
            blocks: vec![Block::Table(tables::trials(results))],
        });
    } else if !tables::settings_of_variants(results).is_empty() {
        blocks.push(paragraph("What a grid or random draws set:"));
        blocks.push(Block::Table(tables::settings(analysis)));
    }
}

#[cfg(test)]
mod tests {
    use homebench_results::sample::Sample;

    #[test]
    fn winners_are_shown_with_their_settings_and_validation_beside_test() {
        let folder = Sample::default().write();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let cells = std::fs::read_to_string(folder.path().join("cells.csv")).unwrap();
        let mut lines = cells.lines();
        let header = lines.next().unwrap();
        let mut text = format!("{header},phase,trial,split_seed\n");
        for line in lines {
            text += &format!("{line},final,,\n");
        }
        for trial in 1..=3 {
            let result = match trial {
                1 => "done,,3,4,0.91,9,9",
                2 => "failed,too slow,,,,,",
                _ => "done,,3,4,0.89,9,9",
            };
            text += &format!("trial-{trial},HoME,mmoe,census,100,{result},tuning,{trial},\n");
        }
        write("cells.csv", &text);
        write(
            "tuning.csv",
            "variant,trial,cell,seed,validation_score,selected,split_seed\n\
             HoME,1,trial-1,100,0.91,true,\nHoME,2,trial-2,100,,false,\n\
             HoME,3,trial-3,100,0.89,false,\n",
        );
        write(
            "settings.csv",
            "cell,variant,setting,value\ntrial-1,HoME,rank,4\ntrial-1,HoME,training.learning_rate,0.01\n\
             trial-2,HoME,rank,8\ntrial-3,HoME,rank,16\n",
        );
        let spec = folder.path().join("spec.resolved.toml");
        let text = std::fs::read_to_string(&spec).unwrap();
        write(
            "spec.resolved.toml",
            &format!("{text}\n[tuning]\ntrials = 3\n"),
        );
        crate::Folder::read(folder.path(), None)
            .unwrap()
            .write_report()
            .unwrap();
        let report = std::fs::read_to_string(folder.path().join("report.md")).unwrap();
        assert!(!report.contains("Nothing was tuned"), "{report}");
        let begin = report.find("## Tuning").unwrap();
        let end = report.find("## Figures").unwrap();
        insta::assert_snapshot!(&report[begin..end]);
    }
}
