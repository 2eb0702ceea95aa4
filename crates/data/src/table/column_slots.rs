//! Which columns are read, and as what; a column may be read in several ways.

use super::raw_columns::Kept;
use crate::expression::{ColumnType, Expression, Reading};
use crate::schema::{FeatureKind, SplitPlan, TablePlan, Vocabulary};
use std::collections::BTreeSet;

/// A column whose fields hold several values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ListColumn {
    pub(crate) column: usize,
    /// Between values, where the field is a text.
    pub(crate) separator: u8,
    /// Whether values become hashes at once, not numbers of an interner.
    pub(crate) is_hashed: bool,
}

/// Places of the columns that are read; each list is in the order of the plan's columns, so that a file's own come
/// first, then those of each join, then those that are computed.
#[derive(Debug)]
pub(crate) struct ColumnSlots {
    /// Read as texts, numbered by an interner.
    pub(crate) texts: Vec<usize>,
    /// Read as texts, numbered by a hash.
    pub(crate) hashes: Vec<usize>,
    /// Coded as numbers: inputs and the weight.
    pub(crate) numbers: Vec<usize>,
    /// Read as several values.
    pub(crate) lists: Vec<ListColumn>,
    /// Columns that are computed with, and what each is read as.
    pub(crate) readings: BTreeSet<(usize, Reading)>,
    /// Columns whose texts are looked up or divide rows.
    pub(crate) keys: BTreeSet<usize>,
}

/// What is needed of a column of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Need {
    pub(crate) text: bool,
    pub(crate) number: bool,
    pub(crate) list: bool,
    /// As the file has it.
    pub(crate) value: bool,
    /// Whether the description gives the type, so that texts become what it says.
    pub(crate) is_declared: bool,
    /// Whether a file may lack the column.
    pub(crate) may_be_absent: bool,
}

impl Need {
    pub(crate) fn is_any(self) -> bool {
        self.text || self.number || self.list || self.value
    }
}

/// Columns that are computed with; and those whose texts are made from what their type says, wherever they are used.
fn readings_with_types(plan: &TablePlan) -> BTreeSet<(usize, Reading)> {
    let mut readings = plan.readings();
    let typed = (0..plan.num_own_columns).filter(|column| is_retyped(plan, *column));
    readings.extend(typed.map(|column| (column, Reading::Raw)));
    readings
}

/// Whether a column of the files has a type, whose values have one text however the file spells them.
pub(crate) fn is_retyped(plan: &TablePlan, column: usize) -> bool {
    let declared = plan.types.get(column).and_then(Option::as_ref);
    column < plan.num_own_columns && declared.is_some_and(|declared| *declared != ColumnType::Text)
}

impl ColumnSlots {
    pub(crate) fn of_plan(plan: &TablePlan) -> Self {
        let (mut texts, mut hashes, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let mut lists = Vec::new();
        for feature in &plan.features {
            match feature.kind {
                FeatureKind::Categorical { .. } => texts.push(feature.column),
                FeatureKind::Hash { .. } => hashes.push(feature.column),
                FeatureKind::Numeric { .. } | FeatureKind::Bucket { .. } => {
                    numbers.push(feature.column);
                }
                FeatureKind::List {
                    separator,
                    vocabulary,
                    ..
                } => lists.push(ListColumn {
                    column: feature.column,
                    separator,
                    is_hashed: matches!(vocabulary, Vocabulary::Hashed { .. }),
                }),
            }
        }
        texts.extend(plan.user);
        numbers.extend(plan.weight);
        texts.extend(plan.allowed_values.iter().map(|(column, _)| *column));
        for columns in [&mut texts, &mut hashes, &mut numbers] {
            // Sorted: slots are found by binary search, and a file's own columns stand before those
            // of joins, whose indices are larger.
            columns.sort_unstable();
            columns.dedup();
        }
        lists.sort_by_key(|list: &ListColumn| (list.column, list.separator, list.is_hashed));
        lists.dedup();
        let divides = match plan.split {
            crate::schema::SplitPlan::Hash { column, .. } => column,
            _ => None,
        };
        let mut slots = Self {
            texts,
            hashes,
            numbers,
            lists,
            readings: readings_with_types(plan),
            keys: plan
                .joins
                .iter()
                .map(|join| join.on)
                .chain(divides)
                .collect(),
        };
        slots.read_joined_keys(plan);
        slots
    }

    /// Has joined tables keep the values of their columns that divide rows.
    fn read_joined_keys(&mut self, plan: &TablePlan) {
        let joined = self
            .keys
            .iter()
            .filter(|column| plan.join_of(**column).is_some());
        self.readings
            .extend(joined.map(|column| (*column, Reading::Raw)));
    }

    /// Of columns that are carried, and of what divides and filters rows.
    pub(crate) fn of_carried(plan: &TablePlan, carried: &[(usize, Reading)]) -> Self {
        let mut slots = Self {
            texts: Vec::new(),
            hashes: Vec::new(),
            numbers: Vec::new(),
            lists: Vec::new(),
            readings: carried.iter().copied().collect(),
            keys: BTreeSet::new(),
        };
        slots
            .readings
            .extend(plan.filter.iter().flat_map(Expression::readings));
        match &plan.split {
            SplitPlan::Hash { column, .. } => slots.keys.extend(*column),
            SplitPlan::Time {
                column,
                validation_from,
                ..
            } => drop(slots.readings.insert((*column, validation_from.reading()))),
            SplitPlan::Files { .. } => {}
        }
        slots.read_joined_keys(plan);
        slots.add_sources(plan);
        slots
    }

    /// Of the inputs of a plan that has no labels, and of columns that are named beside what is made of them.
    pub(crate) fn of_inputs(plan: &TablePlan, named: &[(usize, Reading)]) -> Self {
        let mut slots = Self::of_plan(plan);
        slots.readings = named.iter().copied().collect();
        let numbers = slots.numbers.iter();
        slots
            .readings
            .extend(numbers.map(|column| (*column, Reading::Number)));
        slots.keys = BTreeSet::new();
        slots.add_sources(plan);
        slots
    }

    /// Every column that is read.
    pub(crate) fn all_columns(&self) -> BTreeSet<usize> {
        let readings = self.readings.iter().map(|(column, _)| *column);
        let lists = self.lists.iter().map(|list| list.column);
        let single = self.texts.iter().chain(&self.hashes).chain(&self.keys);
        readings.chain(lists).chain(single.copied()).collect()
    }

    /// Adds the columns that the others are computed from or looked up by.
    fn add_sources(&mut self, plan: &TablePlan) {
        loop {
            let before = (self.readings.len(), self.keys.len());
            for column in self.all_columns() {
                if let Some(index) = column.checked_sub(plan.first_derived()) {
                    self.readings.extend(plan.derived[index].readings());
                    continue;
                }
                let join = plan.joins.iter().rev().find(|join| {
                    (join.first..join.first + join.columns.len() - 1).contains(&column)
                });
                self.keys.extend(join.map(|join| join.on));
                // Its values have one text however the file spells them.
                if is_retyped(plan, column) {
                    self.readings.insert((column, Reading::Raw));
                }
            }
            if before == (self.readings.len(), self.keys.len()) {
                return;
            }
        }
    }

    /// Codes of a row: of its texts, then its hashes.
    pub(crate) fn num_codes(&self) -> usize {
        self.texts.len() + self.hashes.len()
    }

    pub(crate) fn text_slot(&self, column: usize) -> usize {
        self.texts
            .binary_search(&column)
            .expect("the column is read as text")
    }

    /// Place of a hash among the codes of a row.
    pub(crate) fn hash_slot(&self, column: usize) -> usize {
        let slot = self.hashes.binary_search(&column);
        self.texts.len() + slot.expect("the column is hashed")
    }

    pub(crate) fn number_slot(&self, column: usize) -> usize {
        self.numbers
            .binary_search(&column)
            .expect("the column is read as numbers")
    }

    pub(crate) fn list_slot(&self, wanted: ListColumn) -> usize {
        let slot = self.lists.iter().position(|list| *list == wanted);
        slot.expect("the column is read as a list")
    }

    /// What is needed of the columns `first..first + count` of the plan.
    pub(crate) fn needs(&self, first: usize, count: usize) -> Vec<Need> {
        let mut needs = vec![Need::default(); count];
        let of = |column: &usize| column.checked_sub(first).filter(|index| *index < count);
        for index in self.texts.iter().chain(&self.hashes).filter_map(of) {
            needs[index].text = true;
        }
        for index in self.keys.iter().filter_map(of) {
            needs[index].text = true;
        }
        for (column, reading) in &self.readings {
            if let Some(index) = of(column) {
                match reading {
                    Reading::Number => needs[index].number = true,
                    _ => needs[index].value = true,
                }
            }
        }
        for index in self.lists.iter().filter_map(|list| of(&list.column)) {
            needs[index].list = true;
        }
        needs
    }

    /// What is kept of the fields of the columns `first..first + count` of the plan.
    pub(crate) fn kept(&self, first: usize, count: usize) -> Vec<Kept> {
        let mut kept = vec![Kept::default(); count];
        let of = |column: &usize| column.checked_sub(first).filter(|index| *index < count);
        for index in self.keys.iter().filter_map(of) {
            kept[index].keys = true;
        }
        for (column, reading) in &self.readings {
            if let Some(index) = of(column) {
                match reading {
                    Reading::Number => kept[index].numbers = true,
                    _ => kept[index].texts = true,
                }
            }
        }
        kept
    }
}
