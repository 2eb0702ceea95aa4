//! The routes by which shipped datasets are fetched, each on a package made up in the form of the real one: without a network.

use crate::harness::{Bench, Ran, repository};

/// The datasets that are fetched.
const ROUTES: [&str; 3] = ["census-income", "movielens-100k", "complete-journey"];

/// Packs a package of this name into an index: its set-up leaves a mark when it runs, and its members are of two lines each. `SPOILT` says what is
/// wrong with the last member. Prints the digest of the archive, then bytes and digest of each member.
const PACK: &str = r#"
import hashlib, io, os, re, sys, tarfile
package, archive, spoilt, *members = sys.argv[1:]
mark = os.path.abspath("it-ran")
root = members[0].split("/")[0]
files = [(root + "/setup.py", f"open({mark!r}, 'w').close()")]
files += [(root + "/pyproject.toml", "[build-system]\nrequires = []\nbuild-backend = 'setup'\n")]
files += [(name, f"{name}\nmade up\n") for name in members]
folder = "index/" + re.sub(r"[-_.]+", "-", package).lower()
os.makedirs(folder, exist_ok=True)
with tarfile.open(f"{folder}/{archive}", "w:gz") as packed:
    for name, text in files:
        member = tarfile.TarInfo(name)
        times = 1
        if name == members[-1]:
            if spoilt == "missing":
                continue
            if spoilt == "link":
                member.type, member.linkname, text = tarfile.SYMTYPE, "/etc/hostname", ""
            if spoilt == "other":
                text = text.replace("made", "Made")
            if spoilt == "longer":
                text += "more\n"
            times += spoilt == "twice"
        member.size = len(text)
        for _ in range(times):
            packed.addfile(member, io.BytesIO(text.encode()))
open(f"{folder}/index.html", "w").write(f'<a href="{archive}">{archive}</a>')
print(hashlib.sha256(open(f"{folder}/{archive}", "rb").read()).hexdigest())
for name, text in files[2:]:
    print(len(text), hashlib.sha256(text.encode()).hexdigest())
"#;

/// A route of the shipped description, in a folder of its own.
struct Route {
    bench: Bench,
    name: &'static str,
    description: toml::Table,
    /// Keys of `[files]` in the order of the members given to [`PACK`].
    keys: Vec<String>,
}

impl Route {
    fn new(name: &'static str) -> Self {
        let path = format!("experiments/datasets/{name}.toml");
        let text = std::fs::read_to_string(repository().join(path)).expect("a description");
        let description: toml::Table = text.parse().expect("TOML");
        let members = description["fetch"]["members"].as_table().expect("members");
        let keys = members.keys().cloned().collect();
        let bench = Bench::new();
        std::fs::create_dir(bench.path("descriptions")).expect("a folder");
        Self {
            bench,
            name,
            description,
            keys,
        }
    }

    fn fetch_text(&self, key: &str) -> &str {
        self.description["fetch"][key].as_str().expect("a text")
    }

    fn file_name(&self, key: &str) -> String {
        let name = self.description["files"][key]["name"].as_str();
        name.expect("a text").to_owned()
    }

    /// Packs the package; the lines that [`PACK`] prints.
    fn pack(&self, spoilt: &str) -> Vec<String> {
        let members = self.description["fetch"]["members"].as_table();
        let members = members.expect("members").values();
        let mut python = std::process::Command::new("python3");
        python.args(["-I", "-c", PACK]);
        python.args([
            self.fetch_text("package"),
            self.fetch_text("archive"),
            spoilt,
        ]);
        python.args(members.map(|member| member.as_str().expect("a text")));
        let packed = python.current_dir(self.bench.path("")).output();
        let packed = packed.expect("Python 3");
        let said = String::from_utf8_lossy(&packed.stderr);
        assert!(packed.status.success(), "{said}");
        let lines = String::from_utf8_lossy(&packed.stdout).into_owned();
        lines.lines().map(str::to_owned).collect()
    }

    /// The shipped description, with the digests of what was packed.
    fn describe(&self, packed: &[String]) {
        let mut description = self.description.clone();
        description["fetch"]["sha256"] = packed[0].as_str().into();
        for (key, line) in self.keys.iter().zip(&packed[1..]) {
            let (bytes, sha256) = line.split_once(' ').expect("bytes and a digest");
            let file = &mut description["files"][key];
            file["bytes"] = bytes.parse::<i64>().expect("a number").into();
            file["sha256"] = sha256.into();
        }
        self.write(&description);
    }

    fn write(&self, description: &toml::Table) {
        let name = format!("descriptions/{}.toml", self.name);
        self.bench.write(&name, &description.to_string());
    }

    fn fetch(&self, code: i32) -> String {
        let index = format!("file://{}", self.bench.path("index").display());
        let places = [
            "--descriptions",
            "descriptions",
            "--data-dir",
            "d",
            "--cache-dir",
            "c",
        ];
        let mut command = self.bench.command(&["data", "fetch", self.name]);
        command.args(places).env("PIP_INDEX_URL", index);
        command
            .env_remove("PIP_FIND_LINKS")
            .env_remove("PIP_EXTRA_INDEX_URL");
        let said = Ran::finish(&mut command).expect(code).stderr;
        let ran = self.bench.path("it-ran").exists();
        assert!(!ran, "{}: code of the package ran: {said}", self.name);
        said
    }

    /// What is said of a package that is refused; nothing of it may stay.
    fn refused(&self) -> String {
        let said = self.fetch(2);
        let folder = self.bench.path("d").join(self.name);
        assert!(!folder.exists(), "{}: something stays: {said}", self.name);
        said
    }
}

#[test]
fn every_route_refuses_a_package_that_is_another_than_the_shipped_description_says() {
    for name in ROUTES {
        let route = Route::new(name);
        route.pack("");
        route.write(&route.description);
        let said = route.refused();
        let expected = route.fetch_text("sha256");
        assert!(
            said.contains(&format!("expected SHA-256 {expected}")),
            "{said}"
        );
        // On what terms, before anything is downloaded.
        let licence = route.description["licence"].as_str().expect("a licence");
        let of_it = [licence.trim(), "downloading"].map(|text| said.find(text));
        assert!(
            matches!(of_it, [Some(first), Some(then)] if first < then),
            "{said}"
        );
    }
}

#[test]
fn every_route_refuses_members_that_are_others_than_described() {
    for name in ROUTES {
        let route = Route::new(name);
        let right = route.pack("");
        let last = route.keys.last().expect("a key");
        let member = route.description["fetch"]["members"][last].to_string();
        let member = member.trim_matches('"');
        for (spoilt, why) in [
            ("missing", format!("there is no `{member}` in it")),
            (
                "link",
                format!("its member `{member}` is a link, a folder or a device"),
            ),
            ("twice", format!("its member `{member}` is there twice")),
            ("longer", format!("its member `{member}` has ")),
            (
                "other",
                format!("{}: expected SHA-256", route.file_name(last)),
            ),
        ] {
            let mut packed = right.clone();
            packed[0] = route.pack(spoilt)[0].clone();
            route.describe(&packed);
            let said = route.refused();
            assert!(said.contains(&why), "{name}, {spoilt}: {said}");
        }
    }
}

#[test]
fn every_route_puts_the_described_files_in_place_and_leaves_them_there() {
    for name in ROUTES {
        let route = Route::new(name);
        let packed = route.pack("");
        route.describe(&packed);
        route.fetch(0);
        let folder = route.bench.path("d").join(name);
        let entries = std::fs::read_dir(&folder).expect("a folder");
        let mut found: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        found.sort();
        let mut expected: Vec<String> = route.keys.iter().map(|key| route.file_name(key)).collect();
        expected.sort();
        assert_eq!(found, expected);
        for (key, line) in route.keys.iter().zip(&packed[1..]) {
            let text = std::fs::read(folder.join(route.file_name(key))).expect("a file");
            assert_eq!(
                text.len().to_string(),
                line.split_once(' ').expect("bytes").0
            );
        }
        // Once more there is nothing to do, and nothing is asked of an index that is gone.
        std::fs::remove_dir_all(route.bench.path("index")).expect("an index");
        assert!(!route.fetch(0).contains("downloading"));
    }
}
