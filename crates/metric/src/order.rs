//! Scores as sortable integers, and their sort.

/// Below this many keys a comparison sort is faster than passes over histograms.
const RADIX_FROM: usize = 4096;
/// Bits of a digit; three digits cover the 32 bits of a key.
const DIGIT_BITS: u32 = 11;
const BUCKETS: usize = 1 << DIGIT_BITS;
const DIGITS: usize = 3;

/// An integer that orders as the score does; both zeros have one key. Nothing for NaN, which has no place in an order.
pub(super) fn key(score: f32) -> Option<u32> {
    // Adding zero turns -0 into +0 and leaves everything else.
    let bits = (score + 0.0).to_bits();
    let negative = bits >> 31 == 1;
    (!score.is_nan()).then_some(if negative { !bits } else { bits | 1 << 31 })
}

/// Sorts keys in rising order, by digits from the lowest where there are many.
pub(super) fn sort(keys: &mut Vec<u32>) {
    if keys.len() < RADIX_FROM {
        keys.sort_unstable();
        return;
    }
    let mut histograms = histograms(keys);
    let mut spare = vec![0u32; keys.len()];
    for (index, histogram) in histograms.iter_mut().enumerate() {
        if histogram.contains(&keys.len()) {
            continue; // every key has the same digit here
        }
        starts(histogram);
        for &key in keys.iter() {
            let place = &mut histogram[digit(key, index)];
            spare[*place] = key;
            *place += 1;
        }
        std::mem::swap(keys, &mut spare);
    }
}

/// The keys of sorted lists as one sorted list.
pub(super) fn merged(mut lists: Vec<Vec<u32>>) -> Vec<u32> {
    while lists.len() > 1 {
        let mut longer = Vec::with_capacity(lists.len().div_ceil(2));
        let mut all = lists.into_iter();
        while let Some(one) = all.next() {
            longer.push(match all.next() {
                Some(other) => merge(&one, &other),
                None => one,
            });
        }
        lists = longer;
    }
    lists.pop().unwrap_or_default()
}

fn merge(one: &[u32], other: &[u32]) -> Vec<u32> {
    let mut merged = Vec::with_capacity(one.len() + other.len());
    let (mut left, mut right) = (0, 0);
    while left < one.len() && right < other.len() {
        // Without a branch, which half of the random keys would mispredict.
        let is_left = one[left] <= other[right];
        merged.push(if is_left { one[left] } else { other[right] });
        left += usize::from(is_left);
        right += usize::from(!is_left);
    }
    merged.extend_from_slice(&one[left..]);
    merged.extend_from_slice(&other[right..]);
    merged
}

fn digit(key: u32, index: usize) -> usize {
    (key >> (DIGIT_BITS * index as u32)) as usize & (BUCKETS - 1)
}

fn histograms(keys: &[u32]) -> Vec<Vec<usize>> {
    let mut histograms = vec![vec![0usize; BUCKETS]; DIGITS];
    for &key in keys {
        for (index, histogram) in histograms.iter_mut().enumerate() {
            histogram[digit(key, index)] += 1;
        }
    }
    histograms
}

/// Turns counts into the place of each bucket's first key.
fn starts(histogram: &mut [usize]) {
    let mut next = 0;
    for count in histogram {
        next += std::mem::replace(count, next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_scores_do_and_both_zeros_are_one() {
        let scores = [
            f32::NEG_INFINITY,
            f32::MIN,
            -1.5,
            -f32::MIN_POSITIVE,
            -1e-45,
            0.0,
            1e-45,
            1.0,
            f32::MAX,
            f32::INFINITY,
        ];
        let keys: Vec<u32> = scores.iter().map(|&s| key(s).unwrap()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
        assert_eq!(key(-0.0), key(0.0));
        assert_eq!(key(f32::NAN), None);
    }

    #[test]
    fn sorted_lists_become_one() {
        let lists = |lists: &[&[u32]]| lists.iter().map(|list| list.to_vec()).collect();
        assert_eq!(merged(lists(&[])), []);
        assert_eq!(merged(lists(&[&[], &[3, 3], &[]])), [3, 3]);
        let found = merged(lists(&[&[1, 4, 4], &[0, 4, 9], &[2], &[], &[5, 8]]));
        assert_eq!(found, [0, 1, 2, 4, 4, 4, 5, 8, 9]);
    }

    #[test]
    fn the_radix_sort_agrees_with_the_standard_one_at_every_spread_of_keys() {
        for shift in [0, 8, 11, 20, 31] {
            let mut keys: Vec<u32> = (0..3 * RADIX_FROM as u32)
                .map(|i| i.wrapping_mul(2_654_435_761) >> shift)
                .collect();
            let mut expected = keys.clone();
            expected.sort_unstable();
            sort(&mut keys);
            assert_eq!(keys, expected, "shift {shift}");
        }
    }
}
