//! Users, videos and contexts: what is shown, and the latent vector φ behind it.

use super::FeedConfig;
use homebench_kernels::random::Philox;

/// Categorical features in order.
pub(super) const CATEGORICAL: [&str; 6] = [
    "user_segment",
    "network",
    "hour",
    "weekday",
    "author",
    "category",
];
/// Numeric features in order, all of mean 0 and variance 1.
pub(super) const NUMERIC: [&str; NUM_NUMERIC] = ["user_activity", "video_duration", "video_age"];
pub(super) const NUM_NUMERIC: usize = 3;

const HOURS: u32 = 24;
const WEEKDAYS: u32 = 7;
const NETWORKS: u32 = 4;

/// Share of φ's variance of each block of components: taste (segment x category), author, category, segment, hour,
/// and the numbers.
const SHARES: [f64; 6] = [0.3, 0.2, 0.15, 0.1, 0.05, 0.2];
/// Components made of numbers: the three and a product.
const NUM_NUMBERS: usize = 4;
/// How much of a video's duration is its author's habit.
const HABIT: f32 = 0.6;

/// Distinct values of each categorical feature.
pub(super) fn categorical_counts(config: &FeedConfig) -> [u32; 6] {
    [
        config.num_user_segments,
        NETWORKS,
        HOURS,
        WEEKDAYS,
        config.num_authors,
        config.num_categories,
    ]
}

/// The place of a row in all random streams.
pub(super) fn index(split: usize, row: u64) -> u64 {
    // Room for 2^40 rows a split; splits share no number.
    (split as u64) << 40 | row
}

/// What a model may see of a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exposure {
    pub(super) categorical: [u32; 6],
    pub(super) numeric: [f32; NUM_NUMERIC],
}

/// Makes exposures.
#[derive(Debug)]
pub(super) struct Sampler {
    num_factors: usize,
    num_user_segments: u32,
    choices: Philox,
    noise: Philox,
    /// Of each author up to it, the share of exposures.
    popularity: Vec<f64>,
    author_category: Vec<u32>,
    author_duration: Vec<f32>,
    /// Latent vectors, row-major [things, factors].
    segment_taste: Vec<f32>,
    category_taste: Vec<f32>,
    author: Vec<f32>,
    category: Vec<f32>,
    segment: Vec<f32>,
    hour: Vec<f32>,
    /// Scale of the components of each block, so that a random direction of unit entries has unit variance.
    scales: [f32; 6],
}

impl Sampler {
    pub(super) fn new(config: &FeedConfig) -> Self {
        let num_factors = config.num_factors;
        let stream = |name: &str| Philox::new(config.seed, "feed", name);
        let normals = |name: &str, count: usize| {
            let stream = stream(name);
            (0..count as u64)
                .map(|index| stream.normal(index))
                .collect::<Vec<f32>>()
        };
        let vectors = |name: &str, things: u32| normals(name, things as usize * num_factors);
        let authors = config.num_authors as usize;
        let category_of = stream("author category");
        let scale = |block: usize| {
            let components = if block == 5 { NUM_NUMBERS } else { num_factors };
            (SHARES[block] / components as f64).sqrt() as f32
        };
        Self {
            num_factors,
            num_user_segments: config.num_user_segments,
            choices: stream("choices"),
            noise: stream("noise"),
            popularity: popularity(authors, config.popularity_skew),
            author_category: (0..authors as u64)
                .map(|a| category_of.below(a, config.num_categories))
                .collect(),
            author_duration: normals("author duration", authors),
            segment_taste: vectors("segment taste", config.num_user_segments),
            category_taste: vectors("category taste", config.num_categories),
            author: vectors("author", config.num_authors),
            category: vectors("category", config.num_categories),
            segment: vectors("segment", config.num_user_segments),
            hour: vectors("hour", HOURS),
            scales: std::array::from_fn(scale),
        }
    }

    /// Length of φ.
    pub(super) fn num_components(&self) -> usize {
        5 * self.num_factors + NUM_NUMBERS
    }

    /// The row at `index`, and its φ.
    pub(super) fn expose(&self, index: u64, components: &mut [f32]) -> Exposure {
        let [author, segment, context, hour] = self.choices.u32x4(index);
        let scaled = |word: u32, bound: u32| ((u64::from(word) * u64::from(bound)) >> 32) as u32;
        let share = f64::from(author) / 4_294_967_296.0;
        let author = self
            .popularity
            .partition_point(|until| *until <= share)
            .min(self.popularity.len() - 1);
        let segment = scaled(segment, self.num_user_segments);
        // Evenings are busier: the larger of two draws.
        let hour = scaled(hour, HOURS).max(scaled(hour.wrapping_mul(0x9E37_79B9), HOURS));
        let [network, weekday] = [context & 3, (context >> 2) % WEEKDAYS];
        let category = self.author_category[author];
        let normal = |number: u64| self.noise.normal(index * 4 + number);
        let duration =
            HABIT * self.author_duration[author] + (1.0 - HABIT * HABIT).sqrt() * normal(1);
        let numeric = [normal(0), duration, normal(2)];
        self.fill(components, author, segment, category, hour, numeric);
        Exposure {
            categorical: [segment, network, hour, weekday, author as u32, category],
            numeric,
        }
    }

    fn fill(
        &self,
        to: &mut [f32],
        author: usize,
        segment: u32,
        category: u32,
        hour: u32,
        numeric: [f32; 3],
    ) {
        let width = self.num_factors;
        let vector = |table: &'_ [f32], thing: usize| -> std::ops::Range<usize> {
            debug_assert!((thing + 1) * width <= table.len());
            thing * width..(thing + 1) * width
        };
        let tastes = self.segment_taste[vector(&self.segment_taste, segment as usize)]
            .iter()
            .zip(&self.category_taste[vector(&self.category_taste, category as usize)]);
        for (to, (user, video)) in to.iter_mut().zip(tastes) {
            *to = self.scales[0] * user * video;
        }
        let plain = [
            (&self.author, author),
            (&self.category, category as usize),
            (&self.segment, segment as usize),
            (&self.hour, hour as usize),
        ];
        for (block, (table, thing)) in (1..).zip(plain) {
            let from = &table[vector(table, thing)];
            for (to, value) in to[block * width..].iter_mut().zip(from) {
                *to = self.scales[block] * value;
            }
        }
        let [activity, duration, age] = numeric;
        let numbers = [activity, duration, age, activity * duration];
        for (to, value) in to[5 * width..].iter_mut().zip(numbers) {
            *to = self.scales[5] * value;
        }
    }
}

/// Cumulative shares of rank^-skew.
fn popularity(count: usize, skew: f64) -> Vec<f64> {
    let weights: Vec<f64> = (1..=count).map(|rank| (rank as f64).powf(-skew)).collect();
    let total: f64 = weights.iter().sum();
    let mut sum = 0.0;
    weights
        .iter()
        .map(|weight| {
            sum += weight / total;
            sum
        })
        .collect()
}
