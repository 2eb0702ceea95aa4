//! Users, videos and contexts: what is shown, and the factors φ behind it.

use super::FeedConfig;
use super::popularity::Popularity;
use homebench_random::Philox;
use rayon::prelude::*;

/// Categorical features in order.
pub(super) const CATEGORICAL: [&str; NUM_CATEGORICAL] = [
    "user",
    "user_segment",
    "video",
    "author",
    "category",
    "network",
    "hour",
    "weekday",
];
pub(super) const NUM_CATEGORICAL: usize = 8;
/// Numeric features in order, all of mean 0 and variance 1.
pub(super) const NUMERIC: [&str; NUM_NUMERIC] = ["user_activity", "video_duration", "video_age"];
pub(super) const NUM_NUMERIC: usize = 3;

const HOURS: u32 = 24;
const WEEKDAYS: u32 = 7;
const NETWORKS: u32 = 4;

/// Share of φ's variance of each block of factors: taste (user x video), user, video, hour, and the numbers.
const SHARES: [f64; 5] = [0.35, 0.15, 0.25, 0.05, 0.2];
/// Factors made of numbers: the three and a product.
const NUM_NUMBERS: usize = 4;
/// How much of a video's duration is its author's habit.
const HABIT: f32 = 0.6;
/// Variance of a user's factors that all users of the segment share.
const OF_SEGMENT: f32 = 0.5;
/// Variance of a video's factors that all videos of the author share, and of the category.
const OF_AUTHOR: f32 = 0.3;
const OF_CATEGORY: f32 = 0.3;

/// Distinct values of each categorical feature.
pub(super) fn categorical_counts(config: &FeedConfig) -> [u32; NUM_CATEGORICAL] {
    [
        config.num_users,
        config.num_user_segments,
        config.num_videos,
        config.num_authors,
        config.num_categories,
        NETWORKS,
        HOURS,
        WEEKDAYS,
    ]
}

/// Length of φ.
pub(crate) fn num_factors_of_rows(num_factors: usize) -> usize {
    4 * num_factors + NUM_NUMBERS
}

/// What a model may see of a row, and what it may not: the user's number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exposure {
    pub(super) user: u32,
    pub(super) segment: u32,
    /// 0 where there are none.
    pub(super) scenario: u32,
    pub(super) categorical: [u32; NUM_CATEGORICAL],
    pub(super) numeric: [f32; NUM_NUMERIC],
}

/// Makes exposures.
#[derive(Debug)]
pub(super) struct Sampler {
    num_factors: usize,
    choices: Philox,
    contexts: Philox,
    /// Absent without scenarios.
    scenarios: Option<(Philox, Popularity)>,
    users: Popularity,
    videos: Popularity,
    user_segment: Vec<u32>,
    user_activity: Vec<f32>,
    video_author: Vec<u32>,
    author_category: Vec<u32>,
    video_duration: Vec<f32>,
    /// Factors, row-major [things, factors].
    user: Vec<f32>,
    video: Vec<f32>,
    hour: Vec<f32>,
    /// Scale of the factors of each block, so that a random direction of unit entries has unit variance.
    scales: [f32; 5],
}

impl Sampler {
    pub(super) fn new(config: &FeedConfig) -> Self {
        let num_factors = config.num_factors;
        let stream = |name: &str| Philox::new(config.seed, "feed", name);
        let vectors =
            |name: &str, things: u32| normals(stream(name), things as usize * num_factors);
        let belongs = |name: &str, things: u32, to: u32| -> Vec<u32> {
            let stream = stream(name);
            let things = 0..u64::from(things);
            things.map(|thing| stream.below(thing, to)).collect()
        };
        let user_segment = belongs("user segment", config.num_users, config.num_user_segments);
        let author_category = belongs("author category", config.num_authors, config.num_categories);
        let video_author = belongs("video author", config.num_videos, config.num_authors);
        let mut user = vectors("user", config.num_users);
        let segment = vectors("segment", config.num_user_segments);
        mix(
            &mut user,
            num_factors,
            &[(OF_SEGMENT, &segment, &|user| user_segment[user])],
        );
        let mut video = vectors("video", config.num_videos);
        let author = vectors("author", config.num_authors);
        let category = vectors("category", config.num_categories);
        let author_of = |video: usize| video_author[video];
        let category_of = |video: usize| author_category[video_author[video] as usize];
        let parts: [Part<'_>; 2] = [
            (OF_AUTHOR, &author, &author_of),
            (OF_CATEGORY, &category, &category_of),
        ];
        mix(&mut video, num_factors, &parts);
        let habit = normals(stream("author duration"), config.num_authors as usize);
        let mut video_duration = normals(stream("video duration"), config.num_videos as usize);
        mix(
            &mut video_duration,
            1,
            &[(HABIT * HABIT, &habit, &author_of)],
        );
        let scale = |block: usize| {
            // Times random directions of unit entries, n factors of this scale have the block's
            // share of the variance together.
            let factors = if block == 4 { NUM_NUMBERS } else { num_factors };
            (SHARES[block] / factors as f64).sqrt() as f32
        };
        Self {
            num_factors,
            choices: stream("choices"),
            contexts: stream("contexts"),
            scenarios: config.has_scenarios().then(|| {
                let shares = Popularity::new(config.scenarios.count, config.scenarios.skew);
                (stream("scenarios"), shares)
            }),
            users: Popularity::new(config.num_users, config.activity_skew),
            videos: Popularity::new(config.num_videos, config.popularity_skew),
            user_activity: normals(stream("user activity"), config.num_users as usize),
            hour: vectors("hour", HOURS),
            user_segment,
            video_author,
            author_category,
            video_duration,
            user,
            video,
            scales: std::array::from_fn(scale),
        }
    }

    /// The row at `index`, and its φ.
    pub(super) fn expose(&self, index: u64, factors: &mut [f32]) -> Exposure {
        let [user, user_toss, video, video_toss] = self.choices.u32x4(index);
        let [hours, context, radius, angle] = self.contexts.u32x4(index);
        let user = self.users.draw(user, user_toss);
        let video = self.videos.draw(video, video_toss);
        // Evenings are busier: the larger of two draws.
        let draw = |half: u32| (half * HOURS) >> 16;
        let hour = draw(hours >> 16).max(draw(hours & 0xFFFF));
        // The lowest bits and the upper half of one word: disjoint bits are independent.
        let [network, weekday] = [context & 3, ((context >> 16) * WEEKDAYS) >> 16];
        let segment = self.user_segment[user as usize];
        let author = self.video_author[video as usize];
        let category = self.author_category[author as usize];
        let numeric = [
            self.user_activity[user as usize],
            self.video_duration[video as usize],
            normal(radius, angle).0,
        ];
        self.fill(
            factors,
            [user, video, hour].map(|thing| thing as usize),
            numeric,
        );
        Exposure {
            user,
            segment,
            scenario: self.scenario(index),
            categorical: [
                user, segment, video, author, category, network, hour, weekday,
            ],
            numeric,
        }
    }

    fn scenario(&self, index: u64) -> u32 {
        self.scenarios.as_ref().map_or(0, |(stream, shares)| {
            let [column, toss, ..] = stream.u32x4(index);
            shares.draw(column, toss)
        })
    }

    fn fill(&self, to: &mut [f32], [user, video, hour]: [usize; 3], numeric: [f32; 3]) {
        let width = self.num_factors;
        let user = &self.user[user * width..(user + 1) * width];
        let video = &self.video[video * width..(video + 1) * width];
        let hour = &self.hour[hour * width..(hour + 1) * width];
        let (tastes, rest) = to.split_at_mut(width);
        for ((to, user), video) in tastes.iter_mut().zip(user).zip(video) {
            *to = self.scales[0] * user * video;
        }
        let things = rest.chunks_exact_mut(width).zip([user, video, hour]);
        for ((to, from), scale) in things.zip(&self.scales[1..4]) {
            for (to, value) in to.iter_mut().zip(from) {
                *to = scale * value;
            }
        }
        let [activity, duration, age] = numeric;
        let numbers = [activity, duration, age, activity * duration];
        for (to, value) in to[4 * width..].iter_mut().zip(numbers) {
            *to = self.scales[4] * value;
        }
    }
}

/// A share of the variance of things' vectors, the vectors that give it, and which of them each thing has.
type Part<'a> = (f32, &'a [f32], &'a (dyn Fn(usize) -> u32 + Sync));

/// Makes vectors of what is each thing's own and of what it shares with others; variances add up to 1.
fn mix(own: &mut [f32], width: usize, parts: &[Part<'_>]) {
    // Shares are of variances, so the factors of the vectors are their roots.
    let rest = (1.0 - parts.iter().map(|(share, ..)| share).sum::<f32>()).sqrt();
    let things = own.par_chunks_exact_mut(width).enumerate();
    things.for_each(|(thing, vector)| {
        vector.iter_mut().for_each(|value| *value *= rest);
        for (share, shared, which) in parts {
            let scale = share.sqrt();
            let from = &shared[which(thing) as usize * width..][..width];
            for (to, value) in vector.iter_mut().zip(from) {
                *to += scale * value;
            }
        }
    });
}

/// The first `count` numbers of a stream, of the standard normal distribution.
fn normals(stream: Philox, count: usize) -> Vec<f32> {
    // Even, since numbers come in pairs: a piece of odd length would begin inside a pair.
    const PIECE: usize = 1 << 14;
    let mut numbers = vec![0.0; count];
    let pieces = numbers.par_chunks_mut(PIECE).enumerate();
    pieces.for_each(|(piece, numbers)| {
        let first = (piece * PIECE / 2) as u64;
        for (block, pair) in (first..).zip(numbers.chunks_mut(2)) {
            let [radius, angle, ..] = stream.u32x4(block);
            let (one, other) = normal(radius, angle);
            pair[0] = one;
            if let Some(second) = pair.get_mut(1) {
                *second = other;
            }
        }
    });
    numbers
}

/// Two independent numbers of the standard normal distribution (Box-Muller).
#[inline]
fn normal(radius: u32, angle: u32) -> (f32, f32) {
    const SCALE: f64 = 1.0 / 4_294_967_296.0;
    // (0, 1], so that the logarithm is finite.
    let radius = (-2.0 * libm::log((f64::from(radius) + 1.0) * SCALE)).sqrt();
    let (sine, cosine) = libm::sincos(std::f64::consts::TAU * f64::from(angle) * SCALE);
    ((radius * cosine) as f32, (radius * sine) as f32)
}
