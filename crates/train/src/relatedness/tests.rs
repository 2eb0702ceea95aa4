use super::*;
use std::path::Path;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Written by `tests/golden/relatedness.py`.
#[test]
fn masks_and_overlaps_are_those_of_numpy() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/relatedness.safetensors");
    let tensors = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let numbers = |name: &str| -> Vec<f64> {
        let tensor = tensors[name].to_dtype(candle_core::DType::F64).unwrap();
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    };
    let tasks = words(&["a", "b", "c"]);
    let scores: Scores = tasks
        .iter()
        .map(|task| {
            let prefix = format!("score/{task}/");
            let names = tensors.keys().filter_map(|name| name.strip_prefix(&prefix));
            names
                .map(|layer| (layer.to_owned(), numbers(&format!("{prefix}{layer}"))))
                .collect()
        })
        .collect();
    let mut seen = 0;
    for share in [0.1, 0.3, 0.75] {
        for row in overlaps(&tasks, &scores, share) {
            let name = format!("{share}/{}/{}/{}", row.layer, row.task, row.other_task);
            let [iou, random] = numbers(&name)[..] else {
                panic!("{name}")
            };
            let found = [row.iou(), row.random_iou()].map(|value| value.unwrap_or(f64::NAN));
            for (found, expected) in found.iter().zip([iou, random]) {
                let same = (found - expected).abs() < 1e-6 || found.is_nan() && expected.is_nan();
                assert!(same, "{name}: {found} {expected}");
            }
            seen += 1;
        }
    }
    assert_eq!(
        seen,
        tensors.keys().filter(|name| name.starts_with("0.")).count()
    );
}

#[test]
fn equal_scores_keep_the_first_and_a_mask_is_never_empty() {
    let scores = BTreeMap::from([
        ("x".to_owned(), vec![1.0; 3]),
        ("y".to_owned(), vec![1.0; 3]),
    ]);
    let kept = mask(&scores, 0.5);
    assert_eq!(kept["x"], [true, true, true]);
    assert_eq!(kept["y"], [false, false, false]);
    let least = mask(&scores, 0.001);
    assert_eq!(least["x"], [true, false, false]);
}

#[test]
fn tasks_that_share_no_layer_have_no_rows() {
    let of = |layer: &str| BTreeMap::from([(layer.to_owned(), vec![1.0, 2.0])]);
    assert_eq!(
        overlaps(&words(&["a", "b"]), &vec![of("x"), of("y")], 0.5),
        []
    );
    let shared = overlaps(&words(&["a", "b"]), &vec![of("x"), of("x")], 0.5);
    assert_eq!(shared.len(), 2);
    assert_eq!(
        (shared[1].layer.as_str(), shared[1].iou()),
        ("all", Some(1.0))
    );
    // rho over 2 - rho.
    assert_eq!(shared[0].random_iou(), Some(0.5 / 1.5));
}
