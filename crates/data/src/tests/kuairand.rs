//! The three versions of KuaiRand, on small files of the official layout.

use super::*;
use crate::{Summary, prepare};
use std::fmt::Write;
use std::path::Path;

const LOG: &str = "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,\
    play_time_ms,duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab\n";

const USERS: &str = "user_id,user_active_degree,is_lowactive_period,is_live_streamer,is_video_author,follow_user_num,\
    follow_user_num_range,fans_user_num,fans_user_num_range,friend_user_num,friend_user_num_range,register_days,\
    register_days_range,onehot_feat0,onehot_feat1,onehot_feat2,onehot_feat3,onehot_feat4,onehot_feat5,onehot_feat6,onehot_feat7,\
    onehot_feat8,onehot_feat9,onehot_feat10,onehot_feat11,onehot_feat12,onehot_feat13,onehot_feat14,onehot_feat15,onehot_feat16,\
    onehot_feat17\n";

const VIDEOS: &str = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,\
    server_height,music_id,music_type,tag\n";

const STATISTICS: &str = "video_id,counts,show_cnt,show_user_num,play_cnt,play_user_num,play_duration,complete_play_cnt,\
    complete_play_user_num,valid_play_cnt,valid_play_user_num,long_time_play_cnt,long_time_play_user_num,short_time_play_cnt,\
    short_time_play_user_num,play_progress,comment_stay_duration,like_cnt,like_user_num,click_like_cnt,double_click_cnt,\
    cancel_like_cnt,cancel_like_user_num,comment_cnt,comment_user_num,direct_comment_cnt,reply_comment_cnt,delete_comment_cnt,\
    delete_comment_user_num,comment_like_cnt,comment_like_user_num,follow_cnt,follow_user_num,cancel_follow_cnt,\
    cancel_follow_user_num,share_cnt,share_user_num,download_cnt,download_user_num,report_cnt,report_user_num,reduce_similar_cnt,\
    reduce_similar_user_num,collect_cnt,collect_user_num,cancel_collect_cnt,cancel_collect_user_num,direct_comment_user_num,\
    reply_comment_user_num,share_all_cnt,share_all_user_num,outsite_share_all_cnt\n";

const USER_COUNT: u32 = 30;
const VIDEO_COUNT: u32 = 50;

/// Log rows of some days.
fn log(dates: &[u32], is_rand: u32) -> String {
    let mut text = LOG.to_owned();
    for row in 0..40 * dates.len() as u32 {
        let value = (row + is_rand * 7919).wrapping_mul(2_654_435_761) >> 7;
        let bit = |of: u32| u32::from(value.is_multiple_of(of));
        // Videos beyond the tables, as the real logs have.
        let (user, video) = (value % USER_COUNT, (value >> 4) % (VIDEO_COUNT + 5));
        let date = dates[row as usize % dates.len()];
        writeln!(
            text,
            "{user},{video},{date},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{is_rand},{}",
            value % 24 * 100,
            1_650_000_000_000u64 + u64::from(row),
            bit(2),
            bit(5),
            bit(7),
            bit(9),
            bit(11),
            bit(13),
            bit(3),
            value % 60_000,
            value % 90_000,
            0,
            value % 3 * 100,
            bit(6),
            value % 15
        )
        .unwrap();
    }
    text
}

fn users() -> String {
    let mut text = USERS.to_owned();
    for user in 0..USER_COUNT {
        let flags = ",1.0".repeat(18);
        writeln!(
            text,
            "{user},full_active,0,-124,1,{},\"(0,10]\",{},\"[1,10)\",{},\"[1,5)\",{},730+{flags}",
            user % 9,
            user % 5,
            user % 4,
            100 + user
        )
        .unwrap();
    }
    text
}

fn videos() -> String {
    let mut text = VIDEOS.to_owned();
    for video in 0..VIDEO_COUNT {
        // Of some videos little is known.
        let duration = if video % 10 == 0 {
            String::new()
        } else {
            format!("{}.0", video * 1000)
        };
        writeln!(
            text,
            "{video},{},NORMAL,2022-04-10,LongImport,0.0,{duration},720.0,1280.0,{},9.0,\"{},{}\"",
            video % 7,
            video % 11,
            video % 5,
            video % 3
        )
        .unwrap();
    }
    text
}

fn statistics(videos: std::ops::Range<u32>) -> String {
    let mut text = STATISTICS.to_owned();
    let columns = STATISTICS.matches(',').count();
    for video in videos {
        let values: String = (0..columns as u32)
            .map(|column| format!(",{}", f64::from(video + column) / 8.0))
            .collect();
        writeln!(text, "{video}{values}").unwrap();
    }
    text
}

/// The files of a version; `parts` where its logs and statistics come in parts.
fn files(dataset: &Dataset, version: &str, parts: bool) {
    let write = |name: &str, text: &str| dataset.write(&format!("data/{name}.csv"), text);
    let early: Vec<u32> = (20_220_408..=20_220_421).collect();
    let late: Vec<u32> = (20_220_422..=20_220_430)
        .chain(20_220_501..=20_220_508)
        .collect();
    for (name, dates) in [
        ("standard_4_08_to_4_21", &early),
        ("standard_4_22_to_5_08", &late),
    ] {
        if parts {
            let (first, second) = dates.split_at(4);
            write(&format!("log_{name}_{version}_part1"), &log(first, 0));
            write(&format!("log_{name}_{version}_part2"), &log(second, 0));
        } else {
            write(&format!("log_{name}_{version}"), &log(dates, 0));
        }
    }
    write(
        &format!("log_random_4_22_to_5_08_{version}"),
        &log(&late, 1),
    );
    write(&format!("user_features_{version}"), &users());
    write(&format!("video_features_basic_{version}"), &videos());
    if parts {
        for part in 0..3 {
            let range = part * 20..((part + 1) * 20).min(VIDEO_COUNT);
            write(
                &format!("video_features_statistic_{version}_part{}", part + 1),
                &statistics(range),
            );
        }
    } else {
        write(
            &format!("video_features_statistic_{version}"),
            &statistics(0..VIDEO_COUNT),
        );
    }
}

fn places(dataset: &Dataset) -> Places {
    Places {
        descriptions: Path::new(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets"),
        ..dataset.places()
    }
}

fn summary(dataset: &Dataset, version: &str, protocol: &str) -> Summary {
    let reference = DatasetRef {
        protocol: Some(protocol.to_owned()),
        ..DatasetRef::new(format!("kuairand-{version}"))
    };
    prepare(&reference, &places(dataset), &mut Notices::default())
        .unwrap_or_else(|error| panic!("{version} {protocol}: {error}"))
}

#[test]
fn every_version_and_protocol_prepares_from_its_official_files() {
    for (version, parts) in [("pure", false), ("1k", false), ("27k", true)] {
        let dataset = Dataset::new();
        files(&dataset, version, parts);
        let standard = summary(&dataset, version, "standard");
        // 14 days and 17 days of 40 rows; 6 May is for validation, 7 and 8 May for the test.
        let rows = |summary: &Summary| {
            [
                summary.train.rows,
                summary.validation.rows,
                summary.test_rows,
            ]
        };
        assert_eq!(rows(&standard), [28 * 40, 40, 2 * 40], "{version}");
        assert_eq!(standard.schema.groups, ["watch", "interaction"]);
        let tasks: Vec<_> = standard
            .schema
            .tasks
            .iter()
            .map(|task| task.name.as_str())
            .collect();
        assert_eq!(
            tasks,
            [
                "click",
                "long_view",
                "like",
                "follow",
                "comment",
                "forward",
                "profile_enter",
                "comment_stay"
            ]
        );
        assert_eq!(standard.schema.user.as_deref(), Some("user_id"));
        assert_eq!(standard.schema.lists[0].name, "tag");
        let with = summary(&dataset, version, "with-statistics");
        assert_eq!(
            with.schema.numeric.len(),
            standard.schema.numeric.len() + 18
        );
        assert_eq!(
            rows(&summary(&dataset, version, "all-rows")),
            [42 * 40, 2 * 40, 4 * 40]
        );
        assert_eq!(
            rows(&summary(&dataset, version, "random-test")),
            [28 * 40, 40, 2 * 40]
        );
    }
}

#[test]
fn nothing_made_from_play_time_or_from_the_future_is_an_input_and_statistics_need_not_be_there() {
    let dataset = Dataset::new();
    files(&dataset, "pure", false);
    std::fs::remove_file(dataset.path("data/video_features_statistic_pure.csv")).unwrap();
    let schema = summary(&dataset, "pure", "standard").schema;
    let inputs = schema
        .categorical
        .iter()
        .map(|feature| &feature.name)
        .chain(&schema.numeric)
        .chain(schema.lists.iter().map(|feature| &feature.name));
    for input in inputs {
        for leak in [
            "play_time",
            "stay",
            "is_click",
            "is_like",
            "long_view",
            "visible",
            "cnt",
            "month",
            "time_ms",
        ] {
            assert!(!input.contains(leak), "{input}");
        }
    }
}

#[test]
fn a_video_that_is_in_two_parts_is_refused_with_both_places() {
    let dataset = Dataset::new();
    files(&dataset, "27k", true);
    let name = "data/video_features_statistic_27k_part3.csv";
    dataset.write(name, &statistics(19..22));
    let reference = DatasetRef {
        protocol: Some("with-statistics".to_owned()),
        ..DatasetRef::new("kuairand-27k")
    };
    let said = prepare(&reference, &places(&dataset), &mut Notices::default()).unwrap_err();
    assert_eq!(
        dataset.said(&said),
        format!(
            "/{name}:2:1: the key `19` of `video_id` is there twice, first at line 21 of \
             /data/video_features_statistic_27k_part1.csv\nhint: a joined table has one row for each key; remove all but one"
        )
    );
}
