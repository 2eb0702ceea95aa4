//! `status`: what is done, current, and not as it was.

use crate::harness::Bench;
use crate::small_run::{SPEC, TUNED, cells, done, run};

#[test]
fn done_cells_without_tables_are_not_merged() {
    let bench = done(SPEC);
    for name in ["cells.csv", "metrics.csv", "curves.csv", "throughput.csv"] {
        std::fs::remove_file(bench.path(&format!("done/{name}"))).expect("a file");
    }
    bench.unseal("done");
    let status = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(status.contains("cells.csv: not merged"), "{status}");
    run(&bench, &[]).expect(0);
    bench.run(&["status", "done"]).expect(0);
}

#[test]
fn status_names_a_spec_or_winners_that_were_altered() {
    let bench = done(&format!("{SPEC}{TUNED}"));
    for name in ["done/winners.toml", "done/spec.resolved.toml"] {
        let whole = bench.read(name);
        for text in [format!("{whole}x\n"), String::new(), "[".to_owned()] {
            bench.write(name, &text);
            let status = bench.run(&["status", "done"]).expect(1).stdout;
            assert!(status.contains(&name["done/".len()..]), "{status}");
        }
        bench.write(name, &whole);
    }
    bench.run(&["status", "done"]).expect(0);
}

/// Cells on data of before lie beside those of today, which are the ones in the tables.
#[test]
fn status_takes_the_cells_of_the_tables_for_the_current_ones() {
    let bench = Bench::new();
    bench.write(
        "s.toml",
        &SPEC.replace("\"synthetic\"\nrows = 400", "\"shop\""),
    );
    std::fs::create_dir_all(bench.path("d")).expect("a folder");
    std::fs::create_dir_all(bench.path("data/shop")).expect("a folder");
    let rows = (0..200).map(|row| {
        format!(
            "u{},{},{},{}\n",
            row % 9,
            row * 7 % 11,
            row * 5 % 13,
            row % 3 / 2
        )
    });
    let text = format!("user,item,shop,bought\n{}", rows.collect::<String>());
    bench.write("data/shop/log.csv", &text);
    let description = |features: &str| {
        format!(
            "source = \"table\"\ndefault_protocol = \"all\"\ncolumns = [\"user\", \"item\", \"shop\", \"bought\"]\n\
             [format]\nseparator = \",\"\nhas_header = true\n[files.log]\nname = \"log.csv\"\n[features]\n{features}\
             [tasks.buys]\nlabel = \"bought\"\ngroup = \"shop\"\n[split]\nkind = \"hash\"\nvalidation_fraction = 0.2\n\
             test_fraction = 0.2\nseed = 1\n[protocols.all]\ntasks = [\"buys\"]\n"
        )
    };
    let run = || {
        let words = [
            "run",
            "s.toml",
            "--out",
            "done",
            "--descriptions",
            "d",
            "--data-dir",
            "data",
            "--threads",
            "1",
        ];
        bench.run(&words).expect(0);
    };
    // Whichever ids come first, in one of the two orders it is those of before.
    let [all, fewer] = [
        "user = { kind = \"categorical\" }\nitem = { kind = \"categorical\" }\n",
        "user = { kind = \"categorical\" }\n",
    ];
    for features in [all, fewer, all] {
        bench.write("d/shop.toml", &description(features));
        run();
        let status = bench.run(&["status", "done"]).stdout;
        for id in cells(&bench) {
            let line = status
                .lines()
                .find(|line| line.starts_with(&id))
                .expect("a line");
            assert!(line.contains("done"), "{status}");
        }
    }
    let status = bench.run(&["status", "done"]).expect(1).stdout;
    assert!(status.contains("4 cells: 2 done, 2 stale"), "{status}");
    bench.run(&["pack", "done", "--into", "small"]).expect(0);
    let status = bench.run(&["status", "small"]).expect(0).stdout;
    assert!(
        status.starts_with("2 cells: 2 done; this folder has their tables alone"),
        "{status}"
    );
}
