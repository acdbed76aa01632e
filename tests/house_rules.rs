//! The rules of the house, read from where they are written down: the floors from the table in
//! `src/lib.rs`, the rest from here. A rule that finds nothing is checked on a planted violation.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test that can't go on should say where"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files hold two things.
const MOST_LINES: usize = 500;

/// Specifications that later ones replaced.
const OBSOLETE: [&str; 8] = [
    "2616", "7230", "7231", "7232", "7233", "7234", "7235", "7540",
];

/// Marks of work that is not done. Put together, so that this file may name them.
const UNDONE: [&str; 3] = [
    concat!("#[", "ignore"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "types", "manager", "misc"];

/// Where the gateway itself is the actor: what it finds out, counts or brings up to date, and refusals
/// of those who have not said who they are. A change that a person or a program asked for names them.
const WITHOUT_AN_ACTOR: [&str; 11] = [
    "src/cluster/begin_anew.rs",
    "src/login/mod.rs",
    "src/login/told.rs",
    "src/management/told.rs",
    "src/management/token_watch.rs",
    "src/store/admission.rs",
    "src/store/change/ended.rs",
    "src/store/failures.rs",
    "src/store/guesses.rs",
    "src/users/setup.rs",
    // What a person ended and could not be written then; the entry names who asked for it.
    "src/revoke/owed.rs",
];

/// Room to floor.
type Floors = BTreeMap<String, u32>;

#[test]
fn rooms_name_only_lower_floors() {
    let floors = floors(&read(&root().join("src/lib.rs")));
    let source = root().join("src");
    let faults: Vec<String> = rust_files(&source)
        .iter()
        .flat_map(|path| {
            let inside = path.strip_prefix(&source).unwrap();
            upward(&floors, inside, &read(path))
        })
        .collect();
    assert_none(&faults);
}

#[test]
fn the_table_lists_the_rooms_that_there_are() {
    let text = read(&root().join("src/lib.rs"));
    let floors = floors(&text);
    let source = root().join("src");
    let mut faults = unlisted(&floors, &text);
    for room in floors.keys() {
        let file = source.join(format!("{room}.rs")).is_file();
        if !file && !source.join(room).join("mod.rs").is_file() {
            faults.push(format!("the table lists `{room}`, which does not exist"));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_file_says_what_it_is_and_is_short_and_done() {
    let faults: Vec<String> = ["src", "tests"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        // What must not compile is a sample, and its messages count lines.
        .filter(|path| !path.starts_with(root().join("tests/compile_fail")))
        .flat_map(|path| {
            let name = shown(&path);
            faults_of_text(&read(&path))
                .into_iter()
                .map(move |fault| format!("{name}: {fault}"))
        })
        .collect();
    assert_none(&faults);
}

/// What the verbs answer there is told to people: done, not done, or not certain.
#[test]
fn no_door_throws_an_outcome_away() {
    let faults: Vec<String> = ["portal", "management"]
        .iter()
        .flat_map(|room| rust_files(&root().join("src").join(room)))
        .filter(|path| read(path).contains("let _ ="))
        .map(|path| format!("{} throws something away", shown(&path)))
        .collect();
    assert_none(&faults);
}

#[test]
fn the_gateway_acts_for_itself_only_where_no_one_asked() {
    let src = root().join("src");
    let found: Vec<String> = rust_files(&src)
        .into_iter()
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter(|path| !path.ends_with("tests.rs"))
        .filter(|path| read(path).contains("Actor::Gateway"))
        .map(|path| shown(&path))
        .filter(|name| !WITHOUT_AN_ACTOR.contains(&name.as_str()))
        .map(|name| format!("{name} writes a change of nobody's; name who asked, or list the file"))
        .collect();
    assert_none(&found);
}

#[test]
fn no_name_is_empty() {
    let faults: Vec<String> = ["src", "tests", "docs", "config", ".ci"]
        .iter()
        .flat_map(|folder| everything_in(&root().join(folder)))
        .filter(|path| has_empty_name(path))
        .map(|path| format!("{} says nothing about what is inside", shown(&path)))
        .collect();
    assert_none(&faults);
}

#[test]
fn documents_name_no_obsolete_specification_and_no_line() {
    let mut paths = everything_in(&root().join("docs"));
    paths.extend(everything_in(&root().join("config")));
    paths.push(root().join("README.md"));
    let faults: Vec<String> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end != "svg"))
        .filter_map(|path| Some((path, fs::read_to_string(path).ok()?)))
        .flat_map(|(path, text)| {
            let name = shown(path);
            let lines = text.lines().flat_map(faults_of_line).collect::<Vec<_>>();
            lines
                .into_iter()
                .map(move |fault| format!("{name}: {fault}"))
        })
        .collect();
    assert_none(&faults);
}

// What is checked, on text.

/// The table of floors in the documentation of `lib.rs`.
fn floors(text: &str) -> Floors {
    let floors: Floors = text
        .lines()
        .filter_map(|line| line.strip_prefix("//! |"))
        .filter_map(|row| {
            let mut cells = row.split('|').map(str::trim);
            let floor = cells.next()?.parse().ok()?;
            let room = cells.next()?.trim_matches('`');
            Some((room.to_owned(), floor))
        })
        .collect();
    assert!(!floors.is_empty(), "no table of floors");
    floors
}

/// Modules of `lib.rs` that the table does not list.
fn unlisted(floors: &Floors, text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
        .map(|rest| rest.split([';', ' ', '{']).next().unwrap())
        .filter(|room| !floors.contains_key(*room))
        .map(|room| format!("the table does not list `{room}`"))
        .collect()
}

/// Where a file of a room names a room that is not below its own.
fn upward(floors: &Floors, file: &Path, text: &str) -> Vec<String> {
    let first = file.iter().next().unwrap().to_str().unwrap();
    let own = first.trim_end_matches(".rs");
    // These two stand outside the house: one lists the rooms, the other starts the program.
    if ["lib", "main"].contains(&own) {
        return Vec::new();
    }
    let Some(floor) = floors.get(own) else {
        return vec![format!("{}: in no listed room", file.display())];
    };
    let mut faults = Vec::new();
    let from_crate = rooms_after("crate", text).into_iter();
    for named in from_crate.chain(rooms_by_climbing(file, floors, text)) {
        let is_allowed = match floors.get(&named) {
            Some(its_floor) => its_floor < floor || named == own,
            // `crate::` followed by no room: something at the root, which holds nothing.
            None => false,
        };
        if !is_allowed {
            faults.push(format!(
                "{}: `{own}` on floor {floor} names `{named}`",
                file.display()
            ));
        }
    }
    faults
}

/// The first names after `crate::`, in groups too. `pub(in crate::…)` names the room itself.
fn rooms_after(word: &str, text: &str) -> Vec<String> {
    let start = format!("{word}::");
    let mut rooms = Vec::new();
    for (at, _) in text.match_indices(&start) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_' || letter == ':') {
            continue;
        }
        let rest = text[at + start.len()..].trim_start();
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(heads_of_group(group)),
            None => rooms.push(head(rest)),
        }
    }
    rooms
}

/// Of `a, b::{c, d}, e}`: a, b and e.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let mut depth = 0;
    let mut begun = 0;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => {
                heads.push(head(&group[begun..at]));
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                heads.push(head(&group[begun..at]));
                begun = at + 1;
            }
            _ => {}
        }
    }
    heads.retain(|name| !name.is_empty());
    heads
}

fn head(path: &str) -> String {
    path.trim_start()
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

/// Rooms that are named as `super::room` from where `super` is the root: in the file itself, or in a
/// module within it.
fn rooms_by_climbing(file: &Path, floors: &Floors, text: &str) -> Vec<String> {
    let depth = file.components().count() - usize::from(file.ends_with("mod.rs"));
    [depth, depth + 1]
        .iter()
        .flat_map(|steps| rooms_after(&vec!["super"; *steps].join("::"), text))
        .filter(|name| floors.contains_key(name))
        .collect()
}

/// What is wrong with the text of a file, whatever room it is in.
fn faults_of_text(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if !text.starts_with("//! ") && !text.starts_with("#![doc") {
        faults.push("does not open by saying what it is".to_owned());
    }
    let lines = text.lines().count();
    if lines > MOST_LINES {
        faults.push(format!("{lines} lines"));
    }
    for mark in UNDONE {
        if text.contains(mark) {
            faults.push(format!("`{mark}`"));
        }
    }
    faults.extend(text.lines().flat_map(faults_of_line));
    faults
}

fn faults_of_line(line: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for number in OBSOLETE {
        let spellings = [" ", "-", "", "\u{a0}"].map(|gap| format!("rfc{gap}{number}"));
        let lower = line.to_lowercase();
        if spellings.iter().any(|spelling| lower.contains(spelling)) {
            faults.push(format!("RFC {number} is obsolete: {}", line.trim()));
        }
    }
    if names_a_line(line) {
        faults.push(format!("names a line of another file: {}", line.trim()));
    }
    faults
}

/// A colon, `#L` or `line` and a number after a file of code, or before it: true for one commit.
fn names_a_line(line: &str) -> bool {
    let digit_after = |rest: &str| rest.starts_with(|letter: char| letter.is_ascii_digit());
    let after = line.match_indices(".rs").any(|(at, end)| {
        let rest = line[at + end.len()..].trim_start_matches(['`', ',', ' ']);
        [":", "#L", "line ", "lines "]
            .iter()
            .any(|mark| rest.strip_prefix(mark).is_some_and(digit_after))
    });
    let before = ["line ", "lines "].iter().any(|mark| {
        line.match_indices(mark).any(|(at, _)| {
            let rest = &line[at + mark.len()..];
            let number = rest.trim_start_matches(|letter: char| {
                letter.is_ascii_digit() || letter == '-' || letter == '–'
            });
            let next = number.strip_prefix(" of ").or(number.strip_prefix(" in "));
            digit_after(rest)
                && next
                    .and_then(|next| next.split(' ').next())
                    .is_some_and(|next| next.contains(".rs"))
        })
    });
    after || before
}

fn has_empty_name(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_string_lossy().to_lowercase();
    EMPTY_NAMES.contains(&stem.as_str())
}

// What it is checked on.

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|fault| panic!("{}: {fault}", path.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Files and folders, the folder itself left out.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).unwrap_or_else(|fault| panic!("{}: {fault}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_in(&path));
        }
        found.push(path);
    }
    found.sort();
    found
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = everything_in(folder);
    found.retain(|path| path.extension().is_some_and(|end| end == "rs"));
    assert!(!found.is_empty(), "no code in {}", folder.display());
    found
}

fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// The rules themselves, on planted violations.
mod planted {
    use super::*;

    const HOUSE: &str = "\
//! | floor | room | holds |
//! | --- | --- | --- |
//! | 2 | `attic` | what nobody needs |
//! | 1 | `kitchen` | pans |
//! | 1 | `bath` | water |
//! | 0 | `cellar` | coal |
pub mod attic;
pub mod bath;
mod cellar;
pub mod kitchen;
";

    fn named(file: &str, text: &str) -> Vec<String> {
        upward(&floors(HOUSE), Path::new(file), text)
            .iter()
            .map(|fault| fault.rsplit(' ').next().unwrap().replace('`', ""))
            .collect()
    }

    #[test]
    fn a_room_above_or_beside_is_found() {
        assert_eq!(named("kitchen/pan.rs", "use crate::attic::Box;"), ["attic"]);
        assert_eq!(named("kitchen/mod.rs", "use crate::bath;"), ["bath"]);
        assert_eq!(
            named("cellar.rs", "fn f(b: &crate::bath::Tub) {}"),
            ["bath"]
        );
        assert_eq!(named("cellar.rs", "/// See [`crate::attic`]."), ["attic"]);
        assert_eq!(named("cellar.rs", "use crate::nowhere;"), ["nowhere"]);
    }

    #[test]
    fn a_room_above_is_found_in_a_group() {
        let group = "use crate::{\n    cellar::{Coal, attic},\n    bath::Tub, attic,\n};";
        assert_eq!(named("kitchen/mod.rs", group), ["bath", "attic"]);
        assert_eq!(
            named("kitchen.rs", "use crate::{cellar, attic::{A, B}};"),
            ["attic"]
        );
    }

    #[test]
    fn a_room_above_is_found_by_climbing() {
        assert_eq!(named("kitchen.rs", "use super::attic;"), ["attic"]);
        assert_eq!(named("kitchen/mod.rs", "use super::attic;"), ["attic"]);
        assert_eq!(
            named("kitchen/pan.rs", "use super::super::attic;"),
            ["attic"]
        );
        assert_eq!(named("kitchen/pan.rs", "use super::attic;"), [""; 0]);
    }

    #[test]
    fn rooms_below_and_the_room_itself_may_be_named() {
        let text = "use crate::{cellar, kitchen::Pan};\npub(in crate::kitchen) fn f() {}\nuse other_crate::attic;";
        assert_eq!(named("kitchen/mod.rs", text), [""; 0]);
    }

    #[test]
    fn a_room_without_a_row_is_found() {
        let house = HOUSE.replace("//! | 1 | `bath` | water |\n", "");
        let faults = unlisted(&floors(&house), &house);
        assert_eq!(faults, ["the table does not list `bath`"]);
        assert_none(&unlisted(&floors(HOUSE), HOUSE));
        assert_eq!(upward(&floors(HOUSE), Path::new("shed.rs"), "").len(), 1);
    }

    #[test]
    fn faults_of_a_text_are_found() {
        let long = format!("//! Says what.\n{}", "\n".repeat(MOST_LINES));
        let undone = UNDONE.map(|mark| format!("//! Says what.\n{mark}"));
        let obsolete = OBSOLETE.map(|number| format!("//! Says what. RFC {number} §4"));
        let mut planted = vec!["use a::b;\n".to_owned(), String::new(), long];
        planted.extend(undone);
        planted.extend(obsolete);
        for text in planted {
            assert_eq!(faults_of_text(&text).len(), 1, "{text}");
        }
        assert_none(&faults_of_text(
            "//! Says what. RFC 9110 §7.6.1\nuse a::b;\n",
        ));
    }

    #[test]
    fn a_number_of_a_line_is_found() {
        let mark = ".rs";
        for text in [
            format!("see proxy{mark}:12"),
            format!("see `proxy{mark}` line 12"),
            format!("proxy{mark}#L12"),
            format!("line 12 of proxy{mark}"),
        ] {
            assert!(names_a_line(&text), "{text}");
        }
        for text in [
            format!("see `proxy{mark}`: 12 fields"),
            "a line of 12 letters".to_owned(),
            "line 12 of the configuration".to_owned(),
        ] {
            assert!(!names_a_line(&text), "{text}");
        }
    }

    #[test]
    fn an_empty_name_is_found() {
        for name in EMPTY_NAMES {
            assert!(has_empty_name(Path::new(&format!("src/gate/{name}.rs"))));
            assert!(has_empty_name(Path::new(&format!("src/{name}"))));
        }
        assert!(!has_empty_name(Path::new("src/gate/path.rs")));
    }
}
