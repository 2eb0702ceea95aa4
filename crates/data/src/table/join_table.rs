//! Tables that are joined to every row: read once, looked up by key.

use super::bad_row::{self, Fault};
use super::column_slots::{ColumnSlots, ListColumn};
use super::common_types;
use super::file_pieces::TableFile;
use super::interner::Interner;
use super::parse_rows::typed_values;
use super::raw_columns::{ColumnRule, RawColumns, typed_text, typed_texts};
use super::row::{self, Row, Visit};
use super::row_lists::RowLists;
use super::text_kinds::{self, TextKind, float_kind};
use crate::expression::{ColumnType, Reading, RowFault, Values};
use crate::schema::Join;
use arrow::array::{Array, ArrayRef, StringArray};
use homebench_diagnostic::Diagnostic;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A joined table in memory: the columns in use alone, distinct texts once.
#[derive(Debug)]
pub(super) struct JoinTable {
    /// Keys; the number of a key is the table's row.
    // In memory whole, since rows look keys up in any order; docs/data.md says so to users.
    keys: Interner,
    texts: Vec<Interner>,
    /// [rows, text columns].
    codes: Vec<u32>,
    num_hashes: usize,
    /// [rows, hashed columns].
    hashes: Vec<u32>,
    /// Columns that are computed with, by their index in the plan.
    values: BTreeMap<(usize, Reading), Values>,
    /// Those of them that hold times by the type of a file.
    times: BTreeSet<usize>,
    /// Columns in use, as indices into the plan's: texts, hashes.
    columns: [Vec<usize>; 2],
    /// Rows of the table without a key, which no row finds.
    pub(super) without_key: u64,
    /// Rows of the table of which a NaN was taken for nothing.
    pub(super) num_nan: u64,
    list_columns: Vec<ListColumn>,
    /// The same by their columns of the plan.
    list_places: Vec<ListColumn>,
    list_texts: Vec<Interner>,
    /// `list_columns` lists a row.
    lists: RowLists,
}

/// Columns in use, as indices into those of the table.
struct InUse {
    key: usize,
    texts: Vec<usize>,
    hashes: Vec<usize>,
    lists: Vec<ListColumn>,
    /// By column of the table.
    kept: Vec<super::raw_columns::Kept>,
    /// Column of the table, that of the plan, and what it is read as.
    readings: Vec<(usize, usize, Reading)>,
}

impl InUse {
    fn of_join(join: &Join, columns: &ColumnSlots) -> Self {
        // The table's columns are added in order, without the key.
        let place = |column: usize| {
            let index = column.checked_sub(join.first)?;
            let index = index + usize::from(index >= join.key);
            (index < join.columns.len()).then_some(index)
        };
        let places =
            |columns: &[usize]| columns.iter().filter_map(|column| place(*column)).collect();
        let list = |list: &ListColumn| {
            let column = place(list.column)?;
            Some(ListColumn { column, ..*list })
        };
        Self {
            key: join.key,
            texts: places(&columns.texts),
            hashes: places(&columns.hashes),
            lists: columns.lists.iter().filter_map(list).collect(),
            kept: {
                // The kept of the plan's columns, with room for the key among them.
                let mut kept = columns.kept(join.first, join.columns.len() - 1);
                kept.insert(join.key, super::raw_columns::Kept::default());
                kept
            },
            readings: {
                let readings = columns.readings.iter();
                let of = |(column, reading): &(usize, Reading)| {
                    Some((place(*column)?, *column, *reading))
                };
                readings.filter_map(of).collect()
            },
        }
    }

    /// Columns whose texts are looked up or become ids.
    fn text_columns(&self) -> impl Iterator<Item = usize> + '_ {
        let lists = self.lists.iter().map(|list| list.column);
        let single = self.texts.iter().chain(&self.hashes).chain([&self.key]);
        single.copied().chain(lists)
    }

    /// The texts of the columns that have a type, where the file knows its own.
    fn typed(
        &self,
        rules: &[ColumnRule],
        native: Option<&[Option<ArrayRef>]>,
    ) -> Result<Vec<Option<StringArray>>, RowFault> {
        let mut typed = vec![None; rules.len()];
        let Some(arrays) = native else {
            return Ok(typed);
        };
        for column in self.texts.iter().chain(&self.hashes).chain([&self.key]) {
            if let (true, Some(array)) = (rules[*column].is_retyped(), &arrays[*column]) {
                let texts = typed_texts(&rules[*column], array).map_err(|fault| RowFault {
                    column: Some(*column),
                    ..fault
                })?;
                typed[*column] = Some(texts);
            }
        }
        Ok(typed)
    }

    /// The kinds of the columns of texts that are read as numbers or times: all of their values stand in one array.
    fn kinds(
        &self,
        opened: &[TableFile],
        join: &Join,
        rules: &[ColumnRule],
    ) -> Vec<Option<TextKind>> {
        let readings = self.readings.iter();
        let of_kinds = readings
            .filter(|(.., reading)| matches!(reading, Reading::Number | Reading::Ordered))
            .map(|(place, ..)| *place)
            .filter(|place| rules[*place].declared.is_none());
        let wanted: BTreeSet<usize> = of_kinds.collect();
        let wanted: Vec<usize> = wanted.into_iter().collect();
        text_kinds::of_files(opened, &join.columns, rules, &wanted)
    }

    fn needs(&self, join: &Join) -> Vec<super::column_slots::Need> {
        let mut needs = vec![super::column_slots::Need::default(); join.columns.len()];
        for column in self.texts.iter().chain(&self.hashes).chain([&self.key]) {
            needs[*column].text = true;
        }
        for (column, _, reading) in &self.readings {
            match reading {
                Reading::Number => needs[*column].number = true,
                _ => needs[*column].value = true,
            }
        }
        for list in &self.lists {
            needs[list.column].list = true;
        }
        needs
    }
}

impl JoinTable {
    /// Reads a table; `files` are all of the description's.
    ///
    /// # Errors
    /// A row that isn't as described, or a key that is there twice.
    pub(super) fn read(
        join: &Join,
        columns: &ColumnSlots,
        files: &[PathBuf],
    ) -> Result<Self, Diagnostic> {
        let in_use = InUse::of_join(join, columns);
        let of_plan = |of: &[usize]| -> Vec<usize> {
            let range = join.first..join.first + join.columns.len() - 1;
            of.iter()
                .copied()
                .filter(|column| range.contains(column))
                .collect()
        };
        let table = Self {
            keys: Interner::default(),
            texts: vec![Interner::default(); in_use.texts.len()],
            codes: Vec::new(),
            num_hashes: in_use.hashes.len(),
            hashes: Vec::new(),
            values: BTreeMap::new(),
            times: BTreeSet::new(),
            columns: [of_plan(&columns.texts), of_plan(&columns.hashes)],
            without_key: 0,
            num_nan: 0,
            list_columns: in_use.lists.clone(),
            list_places: columns
                .lists
                .iter()
                .filter(|list| {
                    (join.first..join.first + join.columns.len() - 1).contains(&list.column)
                })
                .copied()
                .collect(),
            list_texts: vec![Interner::default(); in_use.lists.len()],
            lists: RowLists::default(),
        };
        let rules: Vec<ColumnRule> = (0..join.columns.len())
            .map(|column| ColumnRule {
                declared: join.types[column].clone(),
                missing: join.missing[column].clone(),
                may_be_missing: true,
                kind: float_kind(join.types[column].as_ref()),
            })
            .collect();
        let mut needs = in_use.needs(join);
        for (need, declared) in needs.iter_mut().zip(&join.types) {
            need.is_declared = declared.is_some();
        }
        let opened = join
            .files
            .iter()
            .map(|file| TableFile::open(&files[*file], join.format, &join.columns, &needs))
            .map(|file| Ok(file?.with_marks(&join.missing)));
        let opened = opened.collect::<Result<Vec<_>, _>>();
        let mut opened = opened.map_err(with_own_format)?;
        common_types::agree(&mut opened, &join.columns, &needs, &rules)?;
        let opened = opened;
        let mut rules = rules;
        for (column, kind) in in_use.kinds(&opened, join, &rules).into_iter().enumerate() {
            rules[column].kind = rules[column].kind.or(kind);
        }
        let rules = rules;
        let mut parts: BTreeMap<(usize, Reading), Vec<Values>> = BTreeMap::new();
        let mut table = table;
        let (mut seen, mut key_rows) = (0, Vec::new());
        for file in &opened {
            for wave in file.waves() {
                for piece in wave? {
                    let native = piece.native(&join.columns)?;
                    let typed = in_use.typed(&rules, native.as_deref());
                    let typed = typed.map_err(|fault| {
                        let row = fault.row as u64;
                        piece.refuse(join_fault(join, Reading::Raw, fault), row, &join.columns)
                    })?;
                    let mut reading = JoinReading {
                        table: &mut table,
                        in_use: &in_use,
                        files: &opened,
                        fields: Fields {
                            rules: &rules,
                            join,
                            typed: &typed,
                        },
                        raw: RawColumns::new(&rules, &in_use.kept, native),
                        seen: &mut seen,
                        key_rows: &mut key_rows,
                    };
                    piece.visit(&join.columns, &mut reading)?;
                    let raw = reading.raw;
                    raw.note_nan_of_texts(in_use.text_columns());
                    for (place, column, kind) in &in_use.readings {
                        let values = raw.values(*place, *kind).map_err(|fault| {
                            let row = raw.place(fault.row);
                            piece.refuse(join_fault(join, *kind, fault), row, &join.columns)
                        })?;
                        parts.entry((*column, *kind)).or_default().push(values);
                    }
                    let times = in_use.readings.iter();
                    let times = times.filter(|(place, ..)| raw.holds_times(*place));
                    let times: Vec<usize> = times.map(|(_, column, _)| *column).collect();
                    table.num_nan += raw.num_nan();
                    table.times.extend(times);
                    piece.release();
                }
            }
        }
        for (place, column, kind) in &in_use.readings {
            let parts = parts.remove(&(*column, *kind)).unwrap_or_default();
            // Those that the description calls floats are rounded to such.
            let values = match rules[*place].is_float() {
                true => Some(Values::concat(&parts)),
                false => Values::concat_exactly(&parts),
            };
            let Some(values) = values else {
                return Err(refuse_parts(join, &opened, *place, &parts));
            };
            table.values.insert((*column, *kind), values);
        }
        Ok(table)
    }

    /// The row of a key.
    pub(super) fn find(&self, key: &[u8]) -> Option<usize> {
        self.keys.get(key_text(key)).map(|row| row as usize)
    }

    /// The row of a day that a key without a type writes without the midnight at which it starts.
    pub(super) fn find_day(&self, key: &[u8]) -> Option<usize> {
        self.find(key.strip_suffix(b"T00:00:00")?)
    }

    /// The place of a column of the plan among the texts in use.
    pub(super) fn text_place(&self, column: usize) -> usize {
        let place = self.columns[0].iter().position(|other| *other == column);
        place.expect("the column is read as text")
    }

    /// The place of a column of the plan among the hashes in use.
    pub(super) fn hash_place(&self, column: usize) -> usize {
        let place = self.columns[1].iter().position(|other| *other == column);
        place.expect("the column is hashed")
    }

    /// A text, empty where there is no row.
    pub(super) fn text(&self, row: Option<usize>, place: usize) -> &[u8] {
        match row {
            Some(row) => self.texts[place].text(self.codes[row * self.texts.len() + place]),
            None => b"",
        }
    }

    /// A hash, 0 where there is nothing.
    pub(super) fn hash(&self, row: Option<usize>, place: usize) -> u32 {
        row.map_or(0, |row| self.hashes[row * self.num_hashes + place])
    }

    /// The values of a column of the plan on every row of the table.
    pub(super) fn values(&self, column: usize, reading: Reading) -> &Values {
        &self.values[&(column, reading)]
    }

    /// As [`RawColumns::holds_times`], of a column of the plan that is computed with.
    pub(super) fn holds_times(&self, column: usize) -> bool {
        self.times.contains(&column)
    }

    /// The codes of a list, empty where there is no row, and the values that they number where it isn't hashed.
    pub(super) fn list(&self, row: Option<usize>, wanted: &ListColumn) -> (&[u32], &Interner) {
        // `wanted` is a column of the plan and `list_columns` of the table; both are in one order.
        let slot = self.list_places.iter().position(|list| list == wanted);
        let slot = slot.expect("the column is read as a list");
        let codes = row.map_or(&[][..], |row| {
            self.lists.list(row * self.list_columns.len() + slot)
        });
        (codes, &self.list_texts[slot])
    }
}

/// The text by which a key is looked up: a day and its midnight are one point, whichever of the two a file or a type has.
fn key_text(key: &[u8]) -> &[u8] {
    let is_day = |day: &[u8]| {
        day.len() == 10
            && day.iter().enumerate().all(|(at, byte)| match at {
                4 | 7 => *byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    match key.strip_suffix(b"T00:00:00") {
        Some(day) if is_day(day) => day,
        _ => key,
    }
}

/// A refusal whose mend names the format that reads a joined table: that of the rows is another.
fn with_own_format(refused: Diagnostic) -> Diagnostic {
    let hint = refused.hint.clone().unwrap_or_default();
    match hint.contains(" in the format") {
        true => refused.hint(hint.replace(
            " in the format",
            " in the `format` of the join ([format] is that of the rows)",
        )),
        false => refused,
    }
}

/// A column whose parts hold values that no type has all of, exactly.
fn refuse_parts(join: &Join, opened: &[TableFile], place: usize, parts: &[Values]) -> Diagnostic {
    let name = &join.columns[place];
    let kinds: BTreeSet<&str> = parts.iter().map(Values::kind).collect();
    let kinds: Vec<&str> = kinds.into_iter().filter(|kind| *kind != "null").collect();
    let path = opened
        .first()
        .map_or_else(String::new, |file| file.path().display().to_string());
    let message = format!(
        "column `{name}`: its parts hold {}, and no type has all of their values exactly",
        kinds.join(" and ")
    );
    Diagnostic::new(path, message).hint(format!(
        "give the column one type where the description joins the table: {{ name = \"{name}\", type = \"float\" }} in place of \"{name}\" \
         rounds to 64 bits; or write all parts with one type"
    ))
}

/// A value of a joined table that can't be read.
fn join_fault(join: &Join, reading: Reading, fault: RowFault) -> Fault {
    let column = fault.column.unwrap_or_default();
    let name = &join.columns[column];
    Fault::Field {
        column,
        hint: bad_row::general_hint(
            name,
            &fault.expected,
            &fault.found,
            true,
            join.format.has_header,
        )
        .unwrap_or_else(|| match (reading, &join.types[column]) {
            _ if fault.expected == bad_row::EXACT_INTEGER => bad_row::exact_integer_hint(name),
            (Reading::Time, _) | (_, Some(ColumnType::Time(_))) => {
                super::time_hint::time_hint(name, join.types[column].as_ref(), false, &fault.found)
            }
            (_, Some(declared)) => bad_row::typed_hint(name, Some(declared), &fault.found),
            _ => "correct the row, or make the feature categorical in the description".to_owned(),
        }),
        expected: fault.expected,
        found: fault.found,
    }
}

/// The fields of a table, in the one text that a column's type has for a value.
#[derive(Clone, Copy)]
struct Fields<'a> {
    rules: &'a [ColumnRule],
    join: &'a Join,
    /// By column of the table: the texts of one that has a type, where the file knows its own.
    typed: &'a [Option<StringArray>],
}

impl<'a> Fields<'a> {
    /// The text of a field, empty where nothing is there.
    fn text<'b, R: Row>(self, index: u64, row: &'b R, column: usize) -> Result<Cow<'b, [u8]>, Fault>
    where
        'a: 'b,
    {
        let rule = &self.rules[column];
        if let Some(texts) = &self.typed[column] {
            return Ok(Cow::Borrowed(match texts.is_valid(index as usize) {
                true => texts.value(index as usize).as_bytes(),
                false => b"",
            }));
        }
        let field = rule.text(row.text(column));
        typed_text(rule, field).map_err(|expected| {
            let fault = RowFault {
                row: index as usize,
                column: Some(column),
                expected,
                found: String::from_utf8_lossy(field).into_owned(),
            };
            join_fault(self.join, Reading::Raw, fault)
        })
    }
}

/// Takes the rows of a table one by one.
struct JoinReading<'a> {
    table: &'a mut JoinTable,
    in_use: &'a InUse,
    files: &'a [TableFile],
    fields: Fields<'a>,
    raw: RawColumns<'a>,
    /// Rows of the table so far, those without a key included.
    seen: &'a mut u64,
    /// The row of each key.
    key_rows: &'a mut Vec<u64>,
}

impl JoinReading<'_> {
    /// Where a row of the table is, with the name of the file where there are several.
    fn place(&self, key: usize) -> String {
        let mut row = self.key_rows[key];
        for file in self.files {
            if row < file.num_rows() {
                return match self.files {
                    [_] => file.place(row),
                    _ => format!("{} of {}", file.place(row), file.path().display()),
                };
            }
            row -= file.num_rows();
        }
        format!("row {}", row + 1)
    }
}

impl Visit for JoinReading<'_> {
    fn row<R: Row>(&mut self, index: u64, row: &R) -> Result<(), Fault> {
        let (in_use, fields) = (self.in_use, self.fields);
        *self.seen += 1;
        let key = fields.text(index, row, in_use.key)?;
        if key.is_empty() {
            self.table.without_key += 1;
            return Ok(());
        }
        let known = self.table.keys.len();
        // The interner numbers keys as they come, so that a key's number is its row.
        let number = self.table.keys.intern(key_text(&key), 0) as usize;
        if self.table.keys.is_full() {
            return Err(Fault::TooMuchText { column: in_use.key });
        }
        if number < known {
            return Err(Fault::Duplicate {
                column: in_use.key,
                key: String::from_utf8_lossy(&key).into_owned(),
                first: self.place(number),
            });
        }
        self.key_rows.push(*self.seen - 1);
        for (slot, column) in in_use.texts.iter().enumerate() {
            let text = fields.text(index, row, *column)?;
            let texts = &mut self.table.texts[slot];
            self.table.codes.push(texts.intern(&text, 0));
            if texts.is_full() {
                return Err(Fault::TooMuchText { column: *column });
            }
        }
        for column in &in_use.hashes {
            let hash = row::hash(&fields.text(index, row, *column)?);
            self.table.hashes.push(hash);
        }
        // A column of numbers may always be empty: a row without a match has none either.
        let pushed = self.raw.push(index, row);
        pushed.map_err(|fault| join_fault(fields.join, Reading::Number, fault))?;
        let table = &mut *self.table;
        for (list, texts) in in_use.lists.iter().zip(&mut table.list_texts) {
            let values = typed_values(&fields.rules[list.column], row, list, &mut |value| {
                table.lists.values.push(match list.is_hashed {
                    true => row::hash(value),
                    false => texts.intern(value, 0),
                });
            });
            values.map_err(|fault| join_fault(fields.join, Reading::Raw, fault))?;
            table.lists.end_list();
            if texts.is_full() {
                return Err(Fault::TooMuchText {
                    column: list.column,
                });
            }
        }
        Ok(())
    }
}
