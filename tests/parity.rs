//! Keeps the ledger `tests/parity.csv` honest: every test of the reference in a started area has
//! one row, and every test of ours that a row names exists, is a test, and is not ignored.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Started areas, with the number of tests, benchmarks and fuzz targets the reference has there.
const AREAS: [(&str, usize); 10] = [
    ("client", 305),
    ("server", 67),
    ("config", 277),
    ("logging", 35),
    ("subjects", 184),
    ("util", 47),
    ("monitoring", 230),
    ("security", 422),
    ("storage", 396),
    ("jetstream", 652),
];

struct Row {
    line: usize,
    area: String,
    go_file: String,
    go_test: String,
    status: String,
    rust_test: String,
    note: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The fields of a line; quotes are doubled inside quoted fields.
fn fields(line: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        let field = out.last_mut().expect("never empty");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                field.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            c => field.push(c),
        }
    }
    out
}

fn ledger() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("tests/parity.csv")).expect("the ledger");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("area,go_file,go_test,status,rust_test,note"));
    lines
        .enumerate()
        .map(|(n, line)| {
            let f = fields(line);
            let Ok([area, go_file, go_test, status, rust_test, note]) = <[String; 6]>::try_from(f)
            else {
                panic!("line {}: not six fields: {line}", n + 2);
            };
            Row { line: n + 2, area, go_file, go_test, status, rust_test, note }
        })
        .collect()
}

/// The file a test's path leads to, and the test's name.
fn locate(path: &str) -> Option<(PathBuf, String)> {
    let (place, name) = path.rsplit_once("::")?;
    if let Some(file) = place.strip_suffix(".rs") {
        return Some((root().join(format!("{file}.rs")), name.to_owned()));
    }
    let mut segments: Vec<&str> = place.split("::").collect();
    let package = segments.remove(0);
    let source = if package == "nats_server" {
        root().join("src")
    } else {
        root().join(package).join("src")
    };
    // The last segments may be modules inside a file.
    for inline in 0..=segments.len() {
        let path = segments[..segments.len() - inline].join("/");
        let candidates = if path.is_empty() {
            vec![source.join("lib.rs")]
        } else {
            vec![source.join(format!("{path}.rs")), source.join(path).join("mod.rs")]
        };
        if let Some(file) = candidates.into_iter().find(|f| f.is_file()) {
            return Some((file, name.to_owned()));
        }
    }
    None
}

/// Names of the tests of a file that are run. In benches every function counts.
fn tests_in(file: &Path) -> HashSet<String> {
    let Ok(text) = std::fs::read_to_string(file) else { return HashSet::new() };
    let bench = file.components().any(|c| c.as_os_str() == "benches");
    let mut found = HashSet::new();
    let (mut is_test, mut ignored) = (false, false);
    for line in text.lines().map(str::trim) {
        if line.starts_with("#[test]") {
            is_test = true;
        } else if line.starts_with("#[ignore") {
            ignored = true;
        } else if let Some(rest) = line.strip_prefix("fn ") {
            let name: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if (is_test || bench) && !ignored {
                found.insert(name);
            }
            (is_test, ignored) = (false, false);
        } else if !line.starts_with("#[") && !line.starts_with("//") && !line.is_empty() {
            (is_test, ignored) = (false, false);
        }
    }
    found
}

#[test]
fn every_reference_test_of_a_started_area_has_one_row() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut seen = HashSet::new();
    for row in ledger() {
        *counts.entry(row.area.clone()).or_default() += 1;
        let key = (row.go_file.clone(), row.go_test.clone());
        assert!(seen.insert(key), "line {}: {} stands twice", row.line, row.go_test);
    }
    let started: BTreeMap<String, usize> =
        AREAS.iter().map(|(area, n)| ((*area).to_owned(), *n)).collect();
    assert_eq!(counts, started);
}

#[test]
fn rows_say_what_they_must() {
    for row in ledger() {
        let at = format!("line {} ({})", row.line, row.go_test);
        match row.status.as_str() {
            "mapped" => assert!(!row.rust_test.is_empty(), "{at}: no test named"),
            "todo" | "not_applicable" => {
                assert!(row.rust_test.is_empty(), "{at}: names a test");
                assert!(!row.note.is_empty(), "{at}: no reason");
            }
            other => panic!("{at}: status {other:?}"),
        }
    }
}

#[test]
fn every_mapped_test_exists_and_is_run() {
    let mut files: HashMap<PathBuf, HashSet<String>> = HashMap::new();
    let mut missing = Vec::new();
    for row in ledger().into_iter().filter(|r| r.status == "mapped") {
        // Several tests of ours may share the work of one of the reference's.
        for path in row.rust_test.split_whitespace() {
            let exists = locate(path).is_some_and(|(file, name)| {
                files.entry(file.clone()).or_insert_with(|| tests_in(&file)).contains(&name)
            });
            if !exists {
                missing.push(format!("line {}: {path}", row.line));
            }
        }
    }
    assert!(missing.is_empty(), "no such tests:\n{}", missing.join("\n"));
}

#[test]
fn ignored_tests_and_plain_functions_do_not_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("x.rs");
    let text = "#[test]\nfn runs() {}\n#[test]\n#[ignore]\nfn ignored() {}\nfn helper() {}\n";
    std::fs::write(&file, text).expect("a file");
    assert_eq!(tests_in(&file), HashSet::from(["runs".to_owned()]));
}
