//! A results folder, read once for everything that is made of it.

use crate::analysis::{Analysis, Extent};
use crate::document::Document;
use crate::drawn::{Drawn, NewFile};
use crate::figure::{self, Figure};
use crate::{content, document, export, terminal};
use anyhow::Result;
use homebench_diagnostic::Diagnostic;
use homebench_results::Finding;
use homebench_results::read::context::Context;
use homebench_results::read::{Inside, Results};
use std::path::{Path, PathBuf};

/// A results folder with its numbers compared; whatever is written of it is made from these.
pub struct Folder {
    analysis: Analysis,
    inside: Inside,
    /// Once they are drawn: a report holds the same ones that `figures/` does.
    figures: Option<Vec<Figure>>,
    /// Files that are not as homebench wrote them, which a report begins with.
    findings: Vec<Finding>,
    notes: Vec<String>,
    /// Where files are written, and how the results are reached from there; nothing where that is the folder itself.
    elsewhere: Option<(PathBuf, String)>,
}

impl Folder {
    /// Reads the folder's tables. Differences are to the variant named `baseline`, by default to the one that the spec names, else to
    /// single-task, or to the first.
    ///
    /// # Errors
    /// A CSV file that can't be read, with file, line and column; a metric that nobody knows; no variant of that name.
    pub fn read(results_dir: &Path, baseline: Option<&str>) -> Result<Self> {
        Self::of(Results::read(results_dir)?, baseline)
    }

    /// The same of results that were read, such as of some of a folder's cells.
    ///
    /// # Errors
    /// As of [`Self::read`].
    pub fn of(results: Results, baseline: Option<&str>) -> Result<Self> {
        let inside = Inside::read(&results)?;
        Ok(Self {
            analysis: Analysis::new(results, baseline)?,
            inside,
            figures: None,
            findings: Vec::new(),
            notes: Vec::new(),
            elsewhere: None,
        })
    }

    /// The same, of a folder in which these files are not as homebench wrote them.
    #[must_use]
    pub fn with_findings(mut self, findings: Vec<Finding>) -> Self {
        self.findings = findings;
        self
    }

    /// The same, of an experiment of which so much is here.
    #[must_use]
    pub fn with_extent(mut self, extent: Extent) -> Self {
        self.analysis.extent = extent;
        self
    }

    /// The same, with its files written into another folder, which is made; `to_results` leads from there to the results, as links do.
    #[must_use]
    pub fn writing_into(mut self, folder: &Path, to_results: &str) -> Self {
        self.elsewhere = Some((folder.to_owned(), to_results.to_owned()));
        self
    }

    /// What writing has found among the files that were there, and what it removed.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Draws every figure into `figures/` and returns the files' paths.
    ///
    /// # Errors
    /// A figure that can't be drawn or written.
    pub fn write_figures(&mut self) -> Result<Vec<PathBuf>> {
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        let files = figure::all_files(figures)?;
        self.replace(&files, figure::is_figure)
    }

    /// Writes what a small copy of the folder keeps of them: `report.md` and the SVGs that it shows.
    ///
    /// # Errors
    /// As [`Self::write_report`].
    pub fn write_short(&mut self) -> Result<()> {
        let text = document::to_markdown(&self.document()?);
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        let mut files = figure::lead_files(figures);
        files.push(new_file("report.md", text));
        self.replace(&files, |_| false)?;
        Ok(())
    }

    fn replace(&mut self, files: &[NewFile], is_of: impl Fn(&str) -> bool) -> Result<Vec<PathBuf>> {
        let folder = match &self.elsewhere {
            Some((folder, _)) => folder,
            None => &self.analysis.results.folder,
        };
        let drawn = Drawn::open(folder)?;
        let (paths, notes) = drawn.replace(files, is_of)?;
        self.notes.extend(notes);
        Ok(paths)
    }

    /// Writes `report.md`, `report.html` and `tables/` and returns their paths: the question, what was found and how sure it is,
    /// every number with its seeds, validation beside test, how variants were tuned, the figures, what ran and what failed, what
    /// others published, and how to get the same again. `report.md` shows some of the files of [`Self::write_figures`], which are written
    /// too, and refers to the others; `report.html` holds them.
    ///
    /// None repeats a time, so all have the same bytes when the experiment runs again.
    ///
    /// # Errors
    /// A folder of trials alone; a file that can't be read (with line and column) or written.
    pub fn write_report(&mut self) -> Result<Vec<PathBuf>> {
        let document = self.document()?;
        let mut files = vec![
            new_file("report.md", document::to_markdown(&document)),
            new_file("report.html", document::to_html(&document)),
        ];
        files.extend(export::new_files(&self.analysis)?);
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        // Without them report.md would show nothing.
        files.extend(figure::lead_files(figures));
        self.replace(&files, |name| !figure::is_figure(name))
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
        let found = self.findings.iter().map(|finding| finding.file.as_str());
        let context = Context::read_without(&folder, &found.collect::<Vec<_>>())?;
        let figures = drawn(&mut self.figures, &self.analysis, &self.inside)?;
        let mut document = content::document(
            &self.analysis,
            &self.inside,
            figures,
            &context,
            &self.findings,
        );
        if let Some((_, to_results)) = &self.elsewhere {
            document.lead_to_results(to_results);
        }
        Ok(document)
    }

    /// The answer as plain text in lines of this many columns: the question, a sentence for each claim, their chart and how sure they
    /// are; then variants by tasks with mean ± standard deviation of each task's main metric on test, seeds, parameters and training
    /// rows per second, and what failed.
    ///
    /// # Errors
    /// A spec of the folder that can't be read.
    pub fn terminal_summary(&self, width: usize) -> Result<String> {
        let folder = &self.analysis.results.folder;
        let left_out = ["provenance.toml", "facts.toml"];
        let context = Context::read_without(folder, &left_out)?;
        let question = context.question.first().map(String::as_str);
        Ok(terminal::summary(&self.analysis, question, width))
    }
}

fn new_file(name: &str, text: String) -> NewFile {
    NewFile::new(name.to_owned(), text.into_bytes())
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
