//! What a column holds.

use crate::table::bad_row::may_have_thousands;
use crate::table::interner::Interner;
use crate::table::list_text;
use crate::timeline;
use std::collections::BTreeMap;

/// What stands for a missing number in many files.
const MARKS: [&str; 33] = [
    "NA", "N/A", "n/a", "na", "#N/A", "<NA>", "N.A.", "n.a.", "NaN", "nan", "NAN", "NaT", "NULL",
    "Null", "null", "None", "none", "NIL", "nil", "\\N", "-", "--", "---", "–", "—", "?", ".",
    "missing", "Missing", "unknown", "Unknown", "#VALUE!", "#DIV/0!",
];

/// Distinct values that are looked at to find how times are written.
const MOST_TIMES: usize = 10_000;
/// Distinct values of a column that are counted; one with more is said to have more.
const MOST_DISTINCT: usize = 1 << 20;
/// The same of all columns of a file together, and of one of very many.
const MOST_DISTINCT_IN_ALL: usize = 1 << 24;
const MOST_DISTINCT_OF_MANY: usize = 1 << 12;
/// Bytes of the distinct values of a column that are kept; those of a column of long texts are fewer.
const MOST_BYTES: usize = 64 << 20;
/// Numbers that are kept to know their order.
const SAMPLE: usize = 4096;

/// What was seen of a column.
#[derive(Debug, Clone)]
pub(super) struct ColumnStatistics {
    pub(super) name: String,
    /// Rows that were looked at.
    pub(super) rows: u64,
    pub(super) missing: u64,
    pub(super) distinct: Interner,
    /// Values that are counted.
    most_distinct: usize,
    /// Whether there are more distinct values than were counted.
    pub(super) is_cut: bool,
    /// Values that are numbers, whole ones among them, and those above 0.
    pub(super) numbers: u64,
    pub(super) whole: u64,
    pub(super) positive: u64,
    pub(super) smallest: f64,
    pub(super) largest: f64,
    /// The same of those written as integers, with all their digits.
    integers: Option<(i128, i128)>,
    /// Values that hold a `|`, and those that are lists in brackets.
    pub(super) piped: u64,
    bracketed: u64,
    /// Values that are no numbers and stand for a missing one in many files, such as `NA`.
    marks: BTreeMap<&'static str, u64>,
    /// Whole numbers written as `1e+05`.
    pub(super) scientific: u64,
    /// Whether the file has lists there.
    pub(super) is_list: bool,
    /// Whether the file says that its values are names, whatever they look like.
    pub(super) is_token: bool,
    sample: Vec<f64>,
    /// Every so many numbers is in the sample.
    stride: u64,
}

impl ColumnStatistics {
    /// A column of a file of `num_columns`.
    pub(super) fn new(name: String, is_list: bool, num_columns: usize) -> Self {
        // All columns share one memory, so that each of many has less.
        let share = MOST_DISTINCT_IN_ALL / num_columns.max(1);
        Self {
            name,
            most_distinct: share.clamp(MOST_DISTINCT_OF_MANY, MOST_DISTINCT),
            rows: 0,
            missing: 0,
            distinct: Interner::default(),
            is_cut: false,
            numbers: 0,
            whole: 0,
            positive: 0,
            smallest: f64::INFINITY,
            largest: f64::NEG_INFINITY,
            integers: None,
            piped: 0,
            bracketed: 0,
            marks: BTreeMap::new(),
            scientific: 0,
            is_list,
            is_token: false,
            sample: Vec::new(),
            stride: 1,
        }
    }

    pub(super) fn add_field(&mut self, text: &[u8]) {
        self.rows += 1;
        if text.is_empty() {
            self.missing += 1;
            return;
        }
        self.add_value(text);
    }

    /// One of several values of a row.
    pub(super) fn add_value(&mut self, text: &[u8]) {
        let has_room = self.distinct.len() < self.most_distinct
            && self.distinct.num_bytes() + text.len() <= MOST_BYTES;
        if has_room {
            self.distinct.intern(text, 1);
        // Beyond the room, values that are known are counted still, so that their counts are exact.
        } else if let Some(id) = self.distinct.get(text) {
            self.distinct.count_again(id);
        } else {
            self.is_cut = true;
        }
        self.piped += u64::from(text.contains(&b'|'));
        self.bracketed += u64::from(list_text::is_bracketed(text));
        if let Some(mark) = MARKS.iter().find(|mark| mark.as_bytes() == text) {
            *self.marks.entry(mark).or_default() += 1;
        }
        let number = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse::<f64>().ok());
        let Some(number) = number.filter(|number| number.is_finite()) else {
            return;
        };
        let is_scientific = text.iter().any(|byte| matches!(byte, b'e' | b'E'));
        self.scientific += u64::from(is_scientific && number.fract() == 0.0);
        self.whole += u64::from(number.fract() == 0.0);
        self.positive += u64::from(number > 0.0);
        self.smallest = self.smallest.min(number);
        self.largest = self.largest.max(number);
        let integer = std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok());
        self.integers = wider(self.integers, integer.map(|integer| (integer, integer)));
        if self.numbers.is_multiple_of(self.stride) {
            self.sample.push(number);
            // Every other one goes and the stride doubles, so that the sample is spread evenly over
            // the rows, however many come, without chance.
            if self.sample.len() == SAMPLE {
                let mut index = 0;
                self.sample.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.stride *= 2;
            }
        }
        self.numbers += 1;
    }

    pub(super) fn present(&self) -> u64 {
        self.rows - self.missing
    }

    /// Adds what was seen of the same column of another part.
    pub(super) fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.missing += other.missing;
        self.is_cut |= other.is_cut;
        for id in 0..other.distinct.len() as u32 {
            let (text, count) = (other.distinct.text(id), other.distinct.count(id));
            let has_room = self.distinct.len() < self.most_distinct
                && self.distinct.num_bytes() + text.len() <= MOST_BYTES;
            match has_room || self.distinct.get(text).is_some() {
                true => drop(self.distinct.intern(text, count)),
                false => self.is_cut = true,
            }
        }
        self.numbers += other.numbers;
        self.whole += other.whole;
        self.positive += other.positive;
        self.smallest = self.smallest.min(other.smallest);
        self.largest = self.largest.max(other.largest);
        self.integers = wider(self.integers, other.integers);
        self.piped += other.piped;
        self.bracketed += other.bracketed;
        for (mark, count) in &other.marks {
            *self.marks.entry(mark).or_default() += count;
        }
        self.scientific += other.scientific;
        // Both samples are thinned to the same stride, so that every row counts alike.
        let stride = self.stride.max(other.stride);
        let thinned = |sample: &[f64], own: u64| -> Vec<f64> {
            sample
                .iter()
                .copied()
                .step_by((stride / own) as usize)
                .collect()
        };
        let mut sample = thinned(&self.sample, self.stride);
        sample.extend(thinned(&other.sample, other.stride));
        (self.sample, self.stride) = (sample, stride);
        while self.sample.len() > SAMPLE {
            self.sample = self.sample.iter().copied().step_by(2).collect();
            self.stride *= 2;
        }
    }

    /// Where the values are numbers with one comma: whether it may separate thousands in all of them.
    fn commas(&self) -> Option<bool> {
        let mut may_be_thousands = true;
        let mut is_such = |text: &[u8]| {
            let text = String::from_utf8_lossy(text);
            may_be_thousands &= may_have_thousands(&text);
            text.matches(',').count() == 1
                && !text.contains('.')
                && text.replace(',', ".").parse::<f64>().is_ok()
        };
        let ids = 0..self.distinct.len().min(100) as u32;
        let mut texts = ids
            .map(|id| self.distinct.text(id))
            .filter(|text| !text.is_empty())
            .peekable();
        let are_such = texts.peek().is_some() && texts.all(&mut is_such);
        are_such.then_some(may_be_thousands)
    }

    /// Whether its values are numbers, apart from a few marks for missing ones.
    pub(super) fn is_numeric(&self) -> bool {
        let marks = self.num_marks();
        // One number among marks may be a word like them.
        let has_numbers = self.numbers > marks || self.distinct.len() > self.marks.len() + 1;
        !self.is_list && self.numbers > 0 && has_numbers && self.numbers + marks == self.present()
    }

    /// Of two words beside marks for a missing one, the one that means yes, with the rows that have it and those that have either.
    pub(super) fn yes_beside_marks(&self) -> Option<(String, u64, u64)> {
        let is_pair = self.distinct.len() == self.marks.len() + 2;
        if self.is_list || self.is_cut || self.marks.is_empty() || self.numbers > 0 || !is_pair {
            return None;
        }
        let values = self.by_count();
        let mut words = values
            .into_iter()
            .filter(|(value, _)| !self.marks.contains_key(value.as_str()));
        let (one, other) = (words.next()?, words.next()?);
        let both = one.1 + other.1;
        let (is_one, is_other) = (is_yes(&one.0), is_yes(&other.0));
        let (yes, count) = if is_one { one } else { other };
        (is_one != is_other).then_some((yes, count, both))
    }

    /// How its texts are written where they are times in another form than ISO 8601.
    pub(super) fn time_format(&self) -> Option<&'static str> {
        if self.is_list || self.is_cut || self.numbers > 0 || self.distinct.len() < 3 {
            return None;
        }
        let texts = self.time_texts()?;
        let is_iso = timeline::TimeRule::default().parse(texts.first()?).is_ok();
        match is_iso {
            true => None,
            false => timeline::common_format(texts.into_iter()),
        }
    }

    /// The first of its texts; nothing where one is no UTF-8.
    fn time_texts(&self) -> Option<Vec<&str>> {
        let ids = 0..self.distinct.len().min(MOST_TIMES) as u32;
        let texts = ids.map(|id| std::str::from_utf8(self.distinct.text(id)).ok());
        let texts: Option<Vec<&str>> = texts.collect();
        Some(texts?.into_iter().filter(|text| !text.is_empty()).collect())
    }

    /// Whether its times could as well have the day before the month.
    fn may_begin_with_the_day(&self) -> bool {
        let Some(rest) = self
            .time_format()
            .and_then(|format| format.strip_prefix("%m/%d"))
        else {
            return false;
        };
        let format = format!("%d/%m{rest}");
        let texts = self.time_texts().unwrap_or_default();
        texts
            .into_iter()
            .all(|text| timeline::is_written_as(text, &format))
    }

    fn num_marks(&self) -> u64 {
        self.marks.values().sum()
    }

    /// What stands for missing numbers.
    pub(super) fn missing_marks(&self) -> Vec<&'static str> {
        match self.is_numeric() || self.yes_beside_marks().is_some() {
            true => self.marks.keys().copied().collect(),
            false => Vec::new(),
        }
    }

    /// Rows without a value.
    pub(super) fn absent(&self) -> u64 {
        match self.is_numeric() {
            true => self.missing + self.num_marks(),
            false => self.missing,
        }
    }

    /// Whether its texts hold several values: divided by `|`, or in brackets.
    pub(super) fn holds_lists(&self) -> bool {
        let present = self.present();
        self.is_list || self.piped * 5 > present || (present > 0 && self.bracketed == present)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_numeric() && self.whole == self.numbers
    }

    /// Whether no value is there twice and none is missing.
    pub(super) fn is_unique(&self) -> bool {
        !self.is_cut
            && self.missing == 0
            && self.rows > 1
            && self.distinct.len() as u64 == self.rows
    }

    /// What keeps it from being a key, where its values are all known.
    pub(super) fn why_not_unique(&self) -> Option<&'static str> {
        match () {
            () if self.is_cut || self.is_unique() => None,
            () if self.missing > 0 => Some("a missing value"),
            () if (self.distinct.len() as u64) < self.rows => Some("a value that is there twice"),
            () => None,
        }
    }

    pub(super) fn is_constant(&self) -> bool {
        !self.is_cut && self.distinct.len() < 2 && (self.missing == 0 || self.distinct.len() == 0)
    }

    /// The share of present values that are above 0.
    pub(super) fn positive_rate(&self) -> f64 {
        self.positive as f64 / self.numbers.max(1) as f64
    }

    /// The smallest and the largest number, with all digits where both are written as integers.
    pub(super) fn extremes(&self) -> (String, String) {
        match self.integers {
            Some((smallest, largest))
                if smallest as f64 == self.smallest && largest as f64 == self.largest =>
            {
                (smallest.to_string(), largest.to_string())
            }
            _ => (self.smallest.to_string(), self.largest.to_string()),
        }
    }

    /// The number that this share of the sampled ones lies below.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let mut sorted = self.sample.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let at = (sorted.len() as f64 * share) as usize;
        sorted.get(at).or(sorted.last()).copied()
    }

    /// Values that begin with the year 9999, which stands for no end.
    pub(super) fn num_endless(&self) -> u64 {
        let ids = (0..self.distinct.len() as u32).filter(|id| self.is_endless(*id));
        ids.map(|id| self.distinct.count(id)).sum()
    }

    fn is_endless(&self, id: u32) -> bool {
        self.distinct.text(id).starts_with(b"9999")
    }

    /// The text that this share of the values lies below, those without an end left out; times in another form than ISO 8601 are in the order
    /// of time.
    pub(super) fn text_quantile(&self, share: f64) -> Option<String> {
        let mut ids: Vec<u32> = (0..self.distinct.len() as u32).collect();
        ids.retain(|id| !self.is_endless(*id));
        ids.sort_by_key(|id| self.distinct.text(*id));
        if let Some(format) = self.time_format() {
            let rule = timeline::TimeRule {
                format: Some(format.to_owned()),
                ..timeline::TimeRule::default()
            };
            let time = |id: &u32| {
                let text = String::from_utf8_lossy(self.distinct.text(*id));
                rule.parse(&text).ok()
            };
            ids.sort_by_cached_key(time);
        }
        let present = self.present().saturating_sub(self.num_endless());
        let mut left = (present as f64 * share) as u64;
        let at = ids.into_iter().find(|id| {
            let count = self.distinct.count(*id);
            let is_it = count > left;
            left = left.saturating_sub(count);
            is_it
        });
        at.map(|id| String::from_utf8_lossy(self.distinct.text(id)).into_owned())
    }

    /// Values by falling count, then by text.
    pub(super) fn by_count(&self) -> Vec<(String, u64)> {
        let ids = 0..self.distinct.len() as u32;
        let value = |id| String::from_utf8_lossy(self.distinct.text(id)).into_owned();
        let mut values: Vec<_> = ids.map(|id| (value(id), self.distinct.count(id))).collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        values
    }

    /// Whether its name has one of these words, divided by `_`, `-`, spaces or a capital.
    pub(super) fn is_named(&self, words: &[&str]) -> bool {
        let mut name = String::new();
        for c in self.name.chars() {
            // `userId` has the words `user` and `id`, `USERID` one.
            if c.is_uppercase() && !name.ends_with(char::is_uppercase) {
                name.push('_');
            }
            name.push(c);
        }
        let name = name.to_lowercase();
        let mut parts = name.split(['_', '-', ' ', '.']);
        parts.any(|part| words.contains(&part))
    }

    /// What was seen, in words.
    pub(super) fn summary(&self) -> String {
        let more = if self.is_cut { "more than " } else { "" };
        let mut text = format!("{more}{} distinct", self.distinct.len());
        if self.missing > 0 {
            let share = 100.0 * self.missing as f64 / self.rows.max(1) as f64;
            text.push_str(&format!(", {share:.1} % missing"));
        }
        if self.is_numeric() {
            let (smallest, largest) = self.extremes();
            text.push_str(&format!(", {smallest} to {largest}"));
            if let Some((mark, _)) = self.marks.iter().max_by_key(|(_, count)| **count) {
                let count = self.num_marks();
                let values = if count == 1 { "value" } else { "values" };
                text.push_str(&format!(
                    "; numbers but for {count} {values} such as `{mark}`"
                ));
            }
        } else if let Some(may_be_thousands) = self.commas() {
            let name = &self.name;
            let point = format!("cast(replace({name}, ',', '.') as float)");
            text.push_str(&match may_be_thousands {
                true => format!(
                    "; numbers with a comma: where it separates thousands, compute cast(replace({name}, ',', '') as float); where it is a \
                     decimal point, {point}"
                ),
                false => format!("; numbers with decimal commas: compute {point}"),
            });
        } else if let Some((most, _)) = self.by_count().first() {
            let most: String = most.chars().take(30).filter(|c| !c.is_control()).collect();
            text.push_str(&format!(", most often {most:?}"));
            if let Some((yes, _, both)) = self.yes_beside_marks() {
                let count = self.present() - both;
                text.push_str(&format!("; {yes:?} or not but for {count} marks"));
            }
            if self.may_begin_with_the_day() {
                text.push_str("; %d before %m where the day comes first");
            }
        }
        text
    }
}

/// Whether a word means yes.
pub(super) fn is_yes(value: &str) -> bool {
    const YES: [&str; 6] = ["yes", "true", "y", "t", "positive", "1"];
    YES.contains(&value.to_lowercase().as_str())
}

/// The range that holds both.
fn wider(a: Option<(i128, i128)>, b: Option<(i128, i128)>) -> Option<(i128, i128)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, None) | (None, one) => one,
    }
}
