//! A results folder, read once for everything that is made of it.

use crate::analysis::Analysis;
use crate::document::Document;
use crate::figure::{self, Figure};
use crate::{content, document, export, files, terminal};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::read::context::Context;
use homebench_results::read::{Inside, Results};
use std::path::{Path, PathBuf};

/// A results folder with its numbers compared; whatever is written of it is made from these.
pub struct Folder {
    analysis: Analysis,
    inside: Inside,
    /// Once they are drawn: a report holds the same ones that `figures/` does.
    figures: Option<Vec<Figure>>,
}

impl Folder {
    /// Reads the folder's tables. Differences are to the variant named `baseline`, by default to the one that the spec names, else to
    /// single-task, or to the first.
    ///
    /// # Errors
    /// A CSV file that can't be read, with file, line and column; a metric that nobody knows; no variant of that name.
    pub fn read(results_dir: &Path, baseline: Option<&str>) -> Result<Self> {
        let results = Results::read(results_dir)?;
        let inside = Inside::read(&results)?;
        Ok(Self {
            analysis: Analysis::new(results, baseline)?,
            inside,
            figures: None,
        })
    }

    /// Draws every figure into `figures/` and returns the files' paths.
    ///
    /// # Errors
    /// A figure that can't be drawn or written.
    pub fn write_figures(&mut self) -> Result<Vec<PathBuf>> {
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        figure::write_all(&self.analysis.results.folder, figures)
    }

    /// Writes what a small copy of the folder keeps of them: `report.md` and the SVGs that it shows.
    ///
    /// # Errors
    /// As [`Self::write_report`].
    pub fn write_short(&mut self) -> Result<()> {
        let folder = self.analysis.results.folder.clone();
        let text = document::to_markdown(&self.document()?);
        files::write_whole(&folder.join("report.md"), text.as_bytes())?;
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        figure::write_lead(&folder, figures)
    }

    /// Writes `report.md`, `report.html` and `tables/` and returns their paths: the question, what was found and how sure it is,
    /// every number with its seeds, validation beside test, how variants were tuned, the figures, what ran and what failed, what
    /// others published, and how to get the same again. `report.md` refers to the files of [`Self::write_figures`]; `report.html`
    /// holds them.
    ///
    /// None repeats a time, so all have the same bytes when the experiment runs again.
    ///
    /// # Errors
    /// A folder of trials alone; a file that can't be read (with line and column) or written.
    pub fn write_report(&mut self) -> Result<Vec<PathBuf>> {
        let folder = self.analysis.results.folder.clone();
        let document = self.document()?;
        let files = [
            ("report.md", document::to_markdown(&document)),
            ("report.html", document::to_html(&document)),
        ];
        let mut paths = Vec::new();
        for (name, text) in files {
            let path = folder.join(name);
            files::write_whole(&path, text.as_bytes())?;
            paths.push(path);
        }
        paths.extend(export::write(&folder, &self.analysis)?);
        Ok(paths)
    }

    fn document(&mut self) -> Result<Document> {
        let folder = self.analysis.results.folder.clone();
        if self.analysis.summary.variants.is_empty() {
            return Err(Diagnostic::new(
                folder.display().to_string(),
                "there is no cell to report, only trials",
            )
            .hint("run the experiment to its end: the same command goes on where it was")
            .into());
        }
        let context = Context::read(&folder)?;
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        Ok(content::document(
            &self.analysis,
            &self.inside,
            figures,
            &context,
        ))
    }

    /// Variants by tasks as plain text: mean ± standard deviation of each task's main metric on test, seeds, parameters and
    /// training rows per second; then who is ahead, if anyone, and what failed.
    pub fn terminal_table(&self) -> String {
        terminal::table(&self.analysis)
    }
}

/// The figures, drawn if they are not yet.
fn drawn<'a>(
    figures: &'a mut Option<Vec<Figure>>,
    analysis: &Analysis,
    inside: &Inside,
) -> Result<&'a [Figure]> {
    let drawn = match figures.take() {
        Some(drawn) => drawn,
        None => figure::all(analysis, inside)?,
    };
    Ok(figures.insert(drawn))
}
