//! The valid name that a misspelt one was meant to be.

/// The most bytes of a name that is compared.
const MOST_LETTERS: usize = 256;

/// The nearest of `known` to `name`, if any is near enough to be meant: a third of its letters wrong, or a long
/// common beginning.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Edits are counted letter by letter of both, and nobody means such a name.
    if name.len() > MOST_LETTERS {
        return None;
    }
    known
        .into_iter()
        .filter(|candidate| candidate.len() <= MOST_LETTERS)
        .filter(|candidate| is_near(name, candidate))
        // The first of equals, so that the order of `known` decides and nothing else.
        .min_by_key(|candidate| strsim::damerau_levenshtein(name, candidate))
}

fn is_near(name: &str, candidate: &str) -> bool {
    let longer = name.chars().count().max(candidate.chars().count());
    // Case is no edit: `HoME` is `home`. Jaro-Winkler is for names that share a long beginning and end otherwise, which has too
    // many edits.
    let edits = strsim::damerau_levenshtein(&name.to_lowercase(), &candidate.to_lowercase());
    edits <= longer.div_ceil(3) || strsim::jaro_winkler(name, candidate) > 0.88
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_a_stranger_finds_none() {
        let known = ["learning_rate", "batch_size", "home", "mmoe"];
        assert_eq!(nearest("learning_rat", known), Some("learning_rate"));
        assert_eq!(nearest("batchsize", known), Some("batch_size"));
        assert_eq!(nearest("HoME", known), Some("home"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("x", []), None);
        let long = "home".repeat(500_000);
        assert_eq!(nearest(&long, [long.as_str(), "home"]), None);
    }
}
