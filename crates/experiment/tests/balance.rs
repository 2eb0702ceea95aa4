//! `[training.balance]`: what is accepted, how cells name it, and what is refused where.

use homebench_data::Places;
use homebench_experiment::spec::{Experiment, check_dataset, load, resolved_toml};
use homebench_train::{BalanceConfig, BalanceMethod, TrainingConfig};
use std::path::PathBuf;

const HEAD: &str = "question = \"What is this?\"\nseeds = [1]\n[dataset]\nname = \"two-task\"\n";

fn checked(text: &str) -> anyhow::Result<Experiment> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("spec.toml");
    std::fs::write(&path, text)?;
    let (experiment, source) = load(&path, &[])?;
    let descriptions = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../experiments/datasets");
    let places = Places::resolve(Some(&descriptions), None, None);
    check_dataset(&experiment, &source, &places)?;
    Ok(experiment)
}

/// One variant, `a`, beside what is given.
fn with(more: &str) -> anyhow::Result<Experiment> {
    checked(&format!("{HEAD}{more}[variants.a]\nmodel = \"mmoe\"\n"))
}

fn balance(experiment: &Experiment) -> Vec<&BalanceConfig> {
    let variants = experiment.variants.iter();
    variants
        .map(|variant| &variant.configured.training.balance)
        .collect()
}

#[test]
fn every_method_resolves_to_its_defaults_and_back() {
    for method in BalanceMethod::ALL {
        let name = method.name();
        let experiment = with(&format!("[training.balance]\nmethod = \"{name}\"\n")).unwrap();
        assert_eq!(balance(&experiment), [&method.defaults()]);
        let again = checked(&resolved_toml(&experiment, "two_task")).unwrap();
        assert_eq!(balance(&again), balance(&experiment));
    }
}

#[test]
fn equal_weights_are_no_setting_at_all() {
    let named = with("[training.balance]\nmethod = \"ew\"\n").unwrap();
    let plain = with("").unwrap();
    assert_eq!(named.training, plain.training);
    assert!(!resolved_toml(&named, "two_task").contains("balance"));
    let text = toml::to_string(&TrainingConfig::default()).unwrap();
    assert!(!text.contains("balance"));
}

#[test]
fn a_variant_replaces_the_table_and_sweeps_set_keys_of_it() {
    let text = format!(
        "{HEAD}[training.balance]\nmethod = \"uw\"\nlearning_rate = 0.1\n\
         [variants.a]\nmodel = \"mmoe\"\n\
         [variants.b]\nmodel = \"mmoe\"\ntraining = {{ balance = {{ method = \"dwa\", temperature = 1.0 }} }}\n\
         [variants.c]\nmodel = \"mmoe\"\ntraining = {{ balance = {{ method = \"ew\" }} }}\n"
    );
    let experiment = checked(&text).unwrap();
    let found = balance(&experiment);
    assert_eq!(found[0].learning_rate, Some(0.1));
    assert_eq!(
        (found[1].temperature, found[1].learning_rate),
        (Some(1.0), None)
    );
    assert!(found[2].is_equal_weights());

    let swept =
        with("[grid]\n\"training.balance.method\" = [\"ew\", \"uw\", \"pcgrad\"]\n").unwrap();
    let names: Vec<&str> = swept.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["a[method=ew]", "a[method=uw]", "a[method=pcgrad]"]);
    let methods = balance(&swept).into_iter().map(|balance| balance.method);
    assert_eq!(
        methods.collect::<Vec<_>>(),
        [
            BalanceMethod::EqualWeights,
            BalanceMethod::Uncertainty,
            BalanceMethod::PcGrad
        ]
    );
    let tuned = with(
        "[training.balance]\nmethod = \"cagrad\"\n[tuning]\ntrials = 3\nseeds = [9]\n\
         [tuning.random]\n\"training.balance.c\" = { range = [0.1, 0.9] }\n",
    )
    .unwrap();
    let trials = &tuned.variants[0].trials;
    assert_eq!(trials.len(), 3);
    for trial in trials {
        let c = trial.training.balance.c.unwrap();
        assert!((0.1..0.9).contains(&c));
        assert_eq!(trial.training.balance.method, BalanceMethod::CaGrad);
    }
}

#[track_caller]
fn refused(more: &str) -> String {
    let error = with(more).unwrap_err();
    let text = format!("{error:#}");
    match text.split_once("spec.toml") {
        Some((_, said)) => said.to_owned(),
        None => text,
    }
}

#[test]
fn what_makes_no_balance_is_refused_at_its_place() {
    let of = |table: &str| refused(&format!("[training.balance]\n{table}\n"));
    insta::assert_snapshot!(of("method = \"pcgrat\""), @r#"
    :6:10: unknown value `pcgrat` for `training.balance.method`; expected one of `ew`, `uw`, `dwa`, `rlw`, `gls`, `imtl_l`, `famo`, `stch`, `gradnorm`, `mgda`, `pcgrad`, `gradvac`, `cagrad`, `imtl_g`, `nash_mtl`, `fairgrad`, `aligned_mtl`, `upgrad`, `db_mtl`, `metabalance`
    hint: did you mean `pcgrad`?
    "#);
    insta::assert_snapshot!(of("temperature = 2.0"), @r#"
    :5:1: the key `method` is missing in [training.balance]
    hint: add `method = ...`
    "#);
    insta::assert_snapshot!(of("method = \"uw\"\ntemperature = 2.0"), @r#"
    :7:1: `training.balance`: the method `uw` has no `temperature`
    hint: it has: normalise, learning_rate, initial
    "#);
    insta::assert_snapshot!(of("method = \"ew\"\nnormalise = true"), @r#"
    :7:1: `training.balance`: the method `ew` has no `normalise`
    hint: leave it out
    "#);
    insta::assert_snapshot!(of("method = \"dwa\"\ntemprature = 2.0"), @r#"
    :7:1: unknown key `temprature` in [training.balance]; expected one of `method`, `normalise`, `temperature`, `every_steps`, `learning_rate`, `weight_decay`, `initial`, `mu`, `warm_up_epochs`, `alpha`, `scaling`, `c`, `beta`, `relaxation`, `main_task`, `balance_at`, `weigh_heads`
    hint: did you mean `temperature`?
    "#);
    insta::assert_snapshot!(of("method = \"dwa\"\ntemperature = 0.0"), @":7:15: `training.balance.temperature`: expected a finite number above 0, found 0");
    insta::assert_snapshot!(of("method = \"dwa\"\nevery_steps = 0"), @":7:15: `training.balance.every_steps`: expected a whole number, 1 or more, found 0");
    insta::assert_snapshot!(of("method = \"stch\"\nmu = -1.0"), @":7:6: `training.balance.mu`: expected a finite number above 0, found -1");
    insta::assert_snapshot!(of("method = \"gradnorm\"\nalpha = 0.0"), @":7:9: `training.balance.alpha`: expected a finite number above 0, found 0");
    insta::assert_snapshot!(of("method = \"cagrad\"\nc = 1.0"), @":7:5: `training.balance.c`: expected a number from 0 to below 1, found 1");
    insta::assert_snapshot!(of("method = \"famo\"\nlearning_rate = \"fast\""), @r#":7:17: `training.balance.learning_rate`: expected a number, found string "fast""#);
    insta::assert_snapshot!(of("method = \"mgda\"\nbalance_at = \"heads\""), @":7:14: unknown value `heads` for `training.balance.balance_at`; expected one of `parameters`, `representation`");
    insta::assert_snapshot!(of("method = \"metabalance\"\nmain_task = \"frist\""), @r#"
    :7:13: `training.balance.main_task`: the dataset has no task `frist`; it has: first, second
    hint: did you mean `first`?
    "#);
}

#[test]
fn fixed_weights_are_refused() {
    insta::assert_snapshot!(
        refused("[training]\ntask_weights = { first = 2.0 }\nbalance = { method = \"uw\" }\n"),
        @r#"
    :7:1: `training.balance`: `task_weights` fix what `balance.method = "uw"` is there to find
    hint: leave out one of the two; `task_weights = {}` drops weights that a variant has from [training]
    "#
    );
    let text = format!(
        "{HEAD}[training]\ntask_weights = {{ first = 2.0 }}\n\
         [variants.a]\nmodel = \"mmoe\"\n[variants.a.training]\nbalance = {{ method = \"uw\" }}\n"
    );
    insta::assert_snapshot!(format!("{:#}", checked(&text).unwrap_err()).split_once("spec.toml").unwrap().1, @r#"
    :10:1: `variants.a.training.balance`: `task_weights` fix what `balance.method = "uw"` is there to find
    hint: leave out one of the two; `task_weights = {}` drops weights that a variant has from [training]
    "#);
    // As its hint says.
    let mended = text.replace("balance = {", "task_weights = {}\nbalance = {");
    checked(&mended).unwrap();
}
