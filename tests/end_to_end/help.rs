//! Help, version, and the registry.

use crate::harness::Bench;

/// Every command that is not hidden.
const COMMANDS: [&str; 19] = [
    "run",
    "new",
    "plan",
    "status",
    "report",
    "figures",
    "diff",
    "compare",
    "pack",
    "predict",
    "relatedness",
    "routing",
    "data",
    "cache",
    "models",
    "devices",
    "init",
    "forward",
    "cancel",
];

#[test]
fn help_names_every_command() {
    let help = Bench::new().run(&["--help"]).expect(0).stdout;
    for command in COMMANDS {
        assert!(
            help.contains(&format!("\n  {command} ")),
            "{command} is not in:\n{help}"
        );
    }
    assert!(help.contains("homebench run quickstart"));
    assert!(!help.contains("\n  cell "), "the hidden command shows");
}

#[test]
fn every_command_shows_an_example() {
    for command in COMMANDS {
        let help = Bench::new().run(&[command, "--help"]).expect(0).stdout;
        assert!(help.contains("Example"), "{command}:\n{help}");
    }
}

#[test]
fn the_registry_lists_models_with_their_knobs() {
    let models = Bench::new().run(&["models"]).expect(0).stdout;
    for name in ["shared_bottom", "mmoe", "home"] {
        assert!(
            models.lines().any(|line| line == name),
            "{name} is not in:\n{models}"
        );
    }
    let one = Bench::new().run(&["models", "home"]).expect(0).stdout;
    assert!(
        one.starts_with("home\n") && one.contains("rank = "),
        "{one}"
    );
    assert!(!one.contains("\nmmoe\n"));
    let refused = Bench::new().run(&["models", "hoem"]).expect(2).stderr;
    assert!(refused.contains("hint: did you mean `home`?"), "{refused}");
}

#[test]
fn the_processor_is_among_the_devices_and_a_build_without_cuda_says_so() {
    let ran = Bench::new().run(&["devices"]).expect(0);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("device "), "{}", ran.stdout);
    assert!(
        lines[1].starts_with("cpu ") && lines[1].contains(" core"),
        "{}",
        ran.stdout
    );
    assert_eq!(lines.len(), 2);
    let portable = ("HOMEBENCH_INSTRUCTIONS", "portable");
    let lowered = Bench::new()
        .run_with(portable, &["devices"])
        .expect(0)
        .stdout;
    assert!(lowered.contains(", portable"), "{lowered}");
    insta::assert_snapshot!(ran.stderr, @r"
    cuda: this build of homebench has no CUDA
    hint: run on the processor with `--device cpu`, or build with `--features cuda` where the CUDA toolkit is installed
    ");
}
