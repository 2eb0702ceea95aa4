//! Figures of experts, gates, costs and sweeps: nothing is cut off or covered at any size, and the same tables give the same bytes.

use super::*;
use homebench_results::read::Results;
use homebench_results::sample::Sample;
use std::fmt::Write as _;
use tempfile::TempDir;

/// What a made-up model looks like inside.
struct Model {
    num_levels: usize,
    num_shared: usize,
    num_own: usize,
}

/// Names that are as long as names get, some of them of one model with and without norm, or of its ablations.
fn sample(num_variants: usize, num_tasks: usize, num_seeds: u64) -> Sample {
    let mut sample = Sample::sized(num_variants.min(8), num_tasks.min(10), num_seeds);
    let more = [
        "home",
        "home_without_fg",
        "home_without_fg_sg_mask",
        "home_without_norm",
        "ple",
        "ple_starred",
    ];
    sample
        .variants
        .extend(more.iter().take(num_variants).map(|name| name.to_string()));
    for extra in sample.tasks.len()..num_tasks {
        sample
            .tasks
            .push(format!("a_task_with_quite_a_long_name_{extra}"));
    }
    sample
}

/// How those variants are related.
const RELATIONS: &str = r#"
[variants.home]
plain_form = "home_without_norm"
[variants.home_without_fg]
ablates = "home"
without = "fg"
[variants.home_without_fg_sg_mask]
ablates = "home"
without = "fg-sg-mask"
[variants.home_without_norm]
ablates = "home"
without = "norm"
[variants.ple_starred]
plain_form = "ple"
"#;

/// The sample's folder, with those relations in its spec.
fn related(sample: &Sample) -> TempDir {
    let folder = sample.write();
    let spec = folder.path().join("spec.resolved.toml");
    let text = std::fs::read_to_string(&spec).unwrap();
    std::fs::write(&spec, text + RELATIONS).unwrap();
    folder
}

/// The sample's folder with tables on experts and gates of every cell.
fn folder(sample: &Sample, model: &Model) -> TempDir {
    let folder = related(sample);
    let mut parts = String::from("variant,layer,layer_title,path,kind,scope,owner,name\n");
    let (mut experts, mut gates, mut bins) = (
        String::from("cell,variant,seed,epoch,step,layer,path,expert,task,metric,value\n"),
        String::from(
            "cell,variant,seed,epoch,step,layer,path,task,expert_path,expert,metric,value\n",
        ),
        String::from("cell,variant,seed,epoch,step,layer,path,expert,low,high,count\n"),
    );
    for (variant, name) in sample.variants.iter().enumerate() {
        for level in 0..model.num_levels {
            let head = format!("cell-{variant}-0,\"{name}\",0,3,585,{level},level.{level}");
            let own = sample
                .tasks
                .iter()
                .map(|task| (format!("task.{task}"), model.num_own));
            let sets: Vec<(String, usize)> =
                std::iter::once(("shared".to_owned(), model.num_shared))
                    .chain(own)
                    .collect();
            let at = format!("\"{name}\",{level},level {level},level.{level}");
            writeln!(parts, "{at}.shared.expert,expert,all,,shared").unwrap();
            for task in &sample.tasks {
                for kind in ["expert", "gate"] {
                    writeln!(parts, "{at}.task.{task}.{kind},{kind},task,{task},{task}").unwrap();
                }
            }
            for (set, count) in &sets {
                for expert in 0..*count {
                    let at = format!("{head}.{set}.expert,{expert}");
                    // The first expert is dead, and so has no bin but that of the zeros.
                    let is_dead = expert == 0 && set == "shared";
                    let rate = if is_dead { 1.0 } else { 0.25 };
                    let deviation = if is_dead {
                        0.0
                    } else {
                        0.004 * 7f64.powi(expert as i32 % 5)
                    };
                    for (metric, value) in [
                        ("zero_rate", rate),
                        ("dead_units", rate),
                        ("std", deviation),
                    ] {
                        writeln!(experts, "{at},,{metric},{value}").unwrap();
                    }
                    writeln!(bins, "{at},-0.000001,0.000001,300").unwrap();
                    if !is_dead {
                        writeln!(bins, "{at},,-64,5\n{at},-0.1875,-0.125,60").unwrap();
                        writeln!(
                            bins,
                            "{at},0.000001,0.0009765625,7\n{at},1,1.5,400\n{at},64,,9"
                        )
                        .unwrap();
                    }
                }
            }
            for task in &sample.tasks {
                for (set, count) in sets
                    .iter()
                    .filter(|(set, _)| set == "shared" || *set == format!("task.{task}"))
                {
                    for expert in 0..*count {
                        let weight = 1.0 / (1 + expert) as f64;
                        writeln!(gates, "{head}.task.{task}.gate,{task},level.{level}.{set}.expert,{expert},weight,{weight}").unwrap();
                    }
                }
            }
        }
    }
    for (name, text) in [
        ("experts.csv", experts),
        ("gates.csv", gates),
        ("model_parts.csv", parts),
        ("expert_histograms.csv", bins),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn read(folder: &TempDir) -> Result<Vec<Figure>> {
    let results = Results::read(folder.path())?;
    let inside = Inside::read(&results)?;
    all(&Analysis::new(results, None)?, &inside)
}

fn figures(folder: &TempDir) -> Vec<Figure> {
    read(folder).unwrap()
}

fn names(figures: &[Figure], start: &str) -> Vec<String> {
    let names = figures.iter().map(|figure| figure.name.clone());
    names.filter(|name| name.starts_with(start)).collect()
}

#[test]
fn nothing_is_cut_off_at_any_number_of_experts_tasks_and_variants() {
    let sizes = [(1, 1, 1), (2, 4, 2), (5, 8, 4), (6, 20, 3)];
    for (num_variants, num_tasks, num_shared) in sizes {
        let model = Model {
            num_levels: 1 + num_tasks % 2,
            num_shared,
            num_own: num_shared - 1,
        };
        let sample = sample(num_variants, num_tasks, 3);
        for figure in figures(&folder(&sample, &model)) {
            let what = format!(
                "{} of {num_variants} variants, {num_tasks} tasks",
                figure.name
            );
            canvas::tests::assert_legible(&figure.canvas, &what);
        }
    }
    let wide = Model {
        num_levels: 1,
        num_shared: 64,
        num_own: 0,
    };
    for figure in figures(&folder(&sample(1, 2, 1), &wide)) {
        canvas::tests::assert_legible(&figure.canvas, &figure.name);
    }
}

#[test]
fn a_plain_and_a_normalised_model_share_a_figure_and_every_gated_variant_has_its_own() {
    let model = Model {
        num_levels: 2,
        num_shared: 2,
        num_own: 1,
    };
    let mut sample = sample(6, 3, 3);
    sample.variants = ["ple", "home", "ple_starred", "home_without_norm"]
        .map(str::to_owned)
        .into();
    let figures = figures(&folder(&sample, &model));
    assert_eq!(
        names(&figures, "experts_"),
        ["experts_ple", "experts_home_without_norm"]
    );
    assert_eq!(names(&figures, "gates_").len(), 4);
    let gates = figures
        .iter()
        .find(|figure| figure.name == "gates_ple")
        .unwrap();
    let svg = &gates.svg;
    assert!(svg.contains("not seen by the gate") && svg.contains("level 1"));
    let experts = figures
        .iter()
        .find(|figure| figure.name == "experts_ple")
        .unwrap();
    let svg = &experts.svg;
    assert!(
        svg.contains("100 %"),
        "the dead expert's zero rate is printed"
    );
}

#[test]
fn parts_are_called_by_what_the_table_says_and_not_by_their_paths() {
    let model = Model {
        num_levels: 2,
        num_shared: 2,
        num_own: 1,
    };
    let folder = folder(&sample(1, 2, 3), &model);
    let texts = |folder: &TempDir| {
        let figures = figures(folder);
        let inside = figures.iter().filter(|figure| {
            figure.name.starts_with("gates_") || figure.name.starts_with("experts_")
        });
        inside.map(|figure| figure.svg.clone()).collect::<String>()
    };
    let table = folder.path().join("model_parts.csv");
    let text = std::fs::read_to_string(&table).unwrap();
    let renamed = text
        .replace("all,,shared", "group,watch,watch")
        .replace("level 1", "top");
    std::fs::write(&table, renamed).unwrap();
    let found = texts(&folder);
    assert!(
        found.contains("watch (group)") && found.contains(">\ntop\n"),
        "{found}"
    );
    // A folder that is older than the table is shown by its paths.
    std::fs::remove_file(&table).unwrap();
    let found = texts(&folder);
    assert!(
        found.contains("level.1.shared") && found.contains("layer 1"),
        "{found}"
    );
}

#[test]
fn the_seesaw_needs_single_task_models_and_a_ladder_ablations() {
    let mut sample = sample(6, 4, 3);
    let folder = related(&sample);
    assert!(names(&figures(&folder), "seesaw").is_empty());
    assert_eq!(names(&figures(&folder), "ablation_"), ["ablation_home"]);
    let unrelated = figures(&sample.write());
    assert!(
        names(&unrelated, "ablation_").is_empty(),
        "names alone relate nothing"
    );
    let cells = folder.path().join("cells.csv");
    let text = std::fs::read_to_string(&cells).unwrap();
    let single = text.replacen("\"home\",mmoe", "\"home\",single_task", 1);
    assert_ne!(single, text);
    std::fs::write(&cells, single).unwrap();
    let drawn = figures(&folder);
    let seesaw = drawn.iter().find(|figure| figure.name == "seesaw").unwrap();
    canvas::tests::assert_legible(&seesaw.canvas, "seesaw");
    assert!(seesaw.svg.contains("Origin: home."));
    sample.variants.truncate(1);
    assert!(
        names(&figures(&sample.write()), "cost").is_empty(),
        "one variant has no frontier"
    );
}

#[test]
fn a_swept_setting_has_a_figure_with_its_values_in_order_of_size() {
    let sample = Sample {
        variants: ["home[rank=16]", "home[rank=4]", "mmoe"]
            .map(str::to_owned)
            .into(),
        ..Sample::default()
    };
    let folder = sample.write();
    let mut settings = String::from("cell,variant,setting,value\n");
    for seed in 0..3 {
        for (variant, value) in [(0, "16"), (1, "4")] {
            let name = &sample.variants[variant];
            writeln!(settings, "cell-{variant}-{seed},{name},rank,{value}").unwrap();
        }
    }
    std::fs::write(folder.path().join("settings.csv"), settings).unwrap();
    let drawn = figures(&folder);
    let found = drawn
        .iter()
        .find(|figure| figure.name == "sensitivity_rank")
        .unwrap();
    canvas::tests::assert_legible(&found.canvas, "sensitivity");
    let texts: Vec<&str> = found
        .canvas
        .marks
        .iter()
        .filter_map(|mark| match mark {
            canvas::Mark::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let place = |wanted: &str| texts.iter().position(|text| *text == wanted);
    assert!(
        place("4") < place("16") && place("home").is_some(),
        "{texts:?}"
    );
    assert!(place("mmoe").is_none(), "it was not swept");
}

#[test]
fn a_grid_of_two_settings_has_a_line_for_each_value_of_the_other() {
    let points = [(4, 1), (16, 1), (4, 2), (16, 2)];
    let name = |(rank, lora): (u32, u32)| format!("home[rank={rank},num_lora={lora}]");
    let sample = Sample {
        variants: points.map(name).into(),
        ..Sample::default()
    };
    let folder = sample.write();
    let mut settings = String::from("cell,variant,setting,value\n");
    for (variant, (rank, lora)) in points.into_iter().enumerate() {
        for seed in 0..3 {
            let head = format!("cell-{variant}-{seed},\"{}\"", name((rank, lora)));
            writeln!(settings, "{head},rank,{rank}\n{head},num_lora,{lora}").unwrap();
        }
    }
    std::fs::write(folder.path().join("settings.csv"), settings).unwrap();
    let drawn = figures(&folder);
    for (setting, lines) in [
        ("rank", ["home[num_lora=1]", "home[num_lora=2]"]),
        ("num_lora", ["home[rank=4]", "home[rank=16]"]),
    ] {
        let name = format!("sensitivity_{setting}");
        let found = drawn.iter().find(|figure| figure.name == name).unwrap();
        canvas::tests::assert_legible(&found.canvas, &name);
        for line in lines {
            assert!(
                found.svg.contains(&format!(">\n{line}\n<")),
                "{line}: {}",
                found.svg
            );
        }
        assert!(found.svg.contains("intervals over seeds"), "{name}");
    }
}

#[test]
fn a_setting_of_which_each_variant_has_one_value_has_no_figure() {
    let sample = Sample {
        variants: ["home", "mmoe"].map(str::to_owned).into(),
        ..Sample::default()
    };
    let folder = sample.write();
    // As winners have it after tuning: what differs between the values is the variants.
    let mut settings = String::from("cell,variant,setting,value\n");
    for seed in 0..3 {
        for (variant, value) in ["16", "4"].into_iter().enumerate() {
            let name = &sample.variants[variant];
            writeln!(settings, "cell-{variant}-{seed},{name},rank,{value}").unwrap();
        }
    }
    std::fs::write(folder.path().join("settings.csv"), settings).unwrap();
    assert!(names(&figures(&folder), "sensitivity_").is_empty());
}

#[test]
fn the_same_tables_give_the_same_bytes() {
    let model = Model {
        num_levels: 2,
        num_shared: 2,
        num_own: 2,
    };
    let sample = sample(5, 3, 3);
    let drawn = || -> Vec<(String, Vec<u8>)> {
        let figures = figures(&folder(&sample, &model));
        let bytes = figures.into_iter().map(|figure| {
            let png = figure.png().unwrap();
            (figure.name, [figure.svg.into_bytes(), png].concat())
        });
        bytes.collect()
    };
    assert_eq!(drawn(), drawn());
}

#[test]
fn a_table_that_is_altered_is_refused_with_its_place() {
    let model = Model {
        num_levels: 1,
        num_shared: 1,
        num_own: 1,
    };
    let folder = folder(&sample(1, 2, 1), &model);
    let path = folder.path().join("gates.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("weight,1\n", "weight,one\n", 1)).unwrap();
    let error = read(&folder).unwrap_err();
    let error = error
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!(error, @"gates.csv, line 2, column `value`: expected a finite number or nothing, found `one`");
}
