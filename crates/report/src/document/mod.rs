//! A report as blocks, from which Markdown and HTML are written.

mod html;
mod latex;
mod markdown;

pub(super) use html::{escape_markup, to_html};
pub(super) use latex::table_to_latex;
pub(super) use markdown::{table_to_markdown, to_markdown};

// As few kinds as reports need: each one has to be right in every format.
/// A piece of running text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Span {
    Text(String),
    Code(String),
    Strong(String),
    Link { text: String, target: String },
}

/// A part of a report.
pub(super) enum Block {
    Heading(String),
    Subheading(String),
    Paragraph(Vec<Span>),
    List(Vec<Vec<Span>>),
    /// A list of short sentences, side by side where there is room.
    Claims(Vec<Vec<Span>>),
    Table(Table),
    /// A figure in `figures/`, by its name without ending.
    Figure {
        name: String,
        description: String,
        svg: String,
        /// The same for a page that is as narrow as a phone.
        narrow_svg: Option<String>,
        width_inches: f64,
        /// Whether it stays on white paper in the dark, because its text stands on shades of its own.
        keeps_paper: bool,
        /// Whether the short form of a report shows it too; of the others it says what they show.
        is_lead: bool,
    },
    /// Lines to type.
    Commands(String),
    /// Lines of a file, as they are.
    Lines(String),
    /// Blocks that are shown when asked for, under a line that says what they are.
    Details {
        summary: String,
        blocks: Vec<Block>,
    },
}

/// A table with a header.
#[derive(Default)]
pub(super) struct Table {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    pub(super) text: String,
    /// Printed bold.
    pub(super) strong: bool,
    /// What the column is sorted by, where it holds numbers.
    pub(super) number: Option<f64>,
}

/// A whole report: the answer, up to the first heading, and the sections, one from each heading on.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) blocks: Vec<Block>,
}

impl Document {
    /// Makes links to the results' own files begin with the way that leads to them.
    pub(super) fn lead_to_results(&mut self, way: &str) {
        self.blocks.iter_mut().for_each(|block| block.lead(way));
    }
}

impl Block {
    fn lead(&mut self, way: &str) {
        match self {
            Self::Paragraph(spans) => spans.iter_mut().for_each(|span| span.lead(way)),
            Self::List(items) | Self::Claims(items) => {
                let spans = items.iter_mut().flatten();
                spans.for_each(|span| span.lead(way));
            }
            Self::Details { blocks, .. } => blocks.iter_mut().for_each(|block| block.lead(way)),
            _ => {}
        }
    }
}

impl Span {
    fn lead(&mut self, way: &str) {
        // What a report writes itself lies beside it, in folders of its own.
        if let Self::Link { target, .. } = self
            && !target.contains('/')
        {
            *target = format!("{way}{target}");
        }
    }
}

pub(super) fn text(text: impl Into<String>) -> Span {
    Span::Text(text.into())
}

pub(super) fn code(text: impl Into<String>) -> Span {
    Span::Code(text.into())
}

pub(super) fn strong(text: impl Into<String>) -> Span {
    Span::Strong(text.into())
}

pub(super) fn link(text: &str, target: &str) -> Span {
    Span::Link {
        text: text.to_owned(),
        target: target.to_owned(),
    }
}

impl Cell {
    /// Words.
    pub(super) fn words(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            strong: false,
            number: None,
        }
    }

    /// A number as it is printed, and as it is sorted.
    pub(super) fn number(text: impl Into<String>, number: Option<f64>) -> Self {
        // An absent number sorts last, and still marks its column as one of numbers.
        Self {
            text: text.into(),
            strong: false,
            number: Some(number.unwrap_or(f64::NAN)),
        }
    }

    /// The same cell, bold if so.
    pub(super) fn strong_if(self, strong: bool) -> Self {
        Self { strong, ..self }
    }
}

impl Table {
    pub(super) fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&name| name.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(super) fn push(&mut self, row: Vec<Cell>) {
        debug_assert_eq!(
            row.len(),
            self.header.len(),
            "a row has a cell for every column"
        );
        self.rows.push(row);
    }

    /// Whether a column holds numbers only.
    fn is_numeric(&self, column: usize) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row[column].number.is_some())
    }
}
