//! How long and how wide.

use crate::tree::File;
use crate::Offence;

/// Lines of a file; the target is half of it.
const FILE_LINES_MAX: usize = 800;
/// Lines of a `lib.rs` or `mod.rs`, which only wire modules together; comments not counted.
const WIRING_LINES_MAX: usize = 100;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;
/// Columns of a line.
pub const COLUMNS_MAX: usize = 100;
/// Bytes of a file that is no text, or is data for tests.
const BLOB_LEN_MAX: usize = 256 << 10;

const CODE: [&str; 6] = ["rs", "c", "h", "S", "sh", "py"];
const TAB_COLUMNS: usize = 8;

pub(super) fn check(file: &File, offences: &mut Vec<Offence>) {
    let mut push = |line: usize, what: String| {
        offences.push(Offence { path: file.path.clone(), line, what });
    };
    let lock = file.name() == "Cargo.lock";
    if file.bytes.len() > BLOB_LEN_MAX && !lock {
        push(0, format!("{} bytes: more than {BLOB_LEN_MAX}", file.bytes.len()));
    }
    let Some(text) = file.text().filter(|_| CODE.contains(&file.extension())) else {
        return;
    };
    for (index, line) in text.lines().enumerate() {
        let columns: usize = line.chars().map(|c| if c == '\t' { TAB_COLUMNS } else { 1 }).sum();
        if columns > COLUMNS_MAX {
            push(index + 1, format!("{columns} columns: more than {COLUMNS_MAX}"));
        }
    }
    if file.is_test() {
        return;
    }
    let lines: Vec<&str> = text.lines().take_while(|line| !starts_tests(line)).collect();
    if lines.len() > FILE_LINES_MAX {
        push(0, format!("{} lines: more than {FILE_LINES_MAX}", lines.len()));
    }
    let code = lines.iter().map(|line| line.trim_start());
    let code = code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    if matches!(file.name(), "lib.rs" | "mod.rs") && code > WIRING_LINES_MAX {
        let what = format!("{code} lines: more than {WIRING_LINES_MAX} to wire modules");
        push(0, what);
    }
    for (line, name, len) in functions(&lines, file.extension()) {
        if len > FUNCTION_LINES_MAX {
            push(line, format!("{name} has {len} lines: more than {FUNCTION_LINES_MAX}"));
        }
    }
}

/// Tests stand at the end of a file.
fn starts_tests(line: &str) -> bool {
    line == "#[cfg(test)]" || line == "#[cfg(all(test, feature = \"std\"))]"
}

/// First line (from 1), name and length of each function. Relies on the formatter: a function ends
/// with a brace as far in as it begins.
fn functions<'a>(lines: &[&'a str], extension: &str) -> Vec<(usize, &'a str, usize)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let name = match extension {
            "rs" => rust_function(line),
            "c" | "h" => c_function(lines, index),
            _ => None,
        };
        let Some(name) = name else {
            continue;
        };
        let (first, indent) = match extension {
            "rs" => (index, line.len() - line.trim_start().len()),
            _ => (index + 1, 0),
        };
        let end = lines.iter().skip(first).position(|line| ends_at(line, indent));
        if let Some(end) = end {
            found.push((index + 1, name, end + 1));
        }
    }
    found
}

/// Whether a block that is so far in ends here; one that has no body ends with a semicolon.
fn ends_at(line: &str, indent: usize) -> bool {
    let text = line.trim_start();
    let on_one_line = text.contains("fn ") && text.ends_with('}');
    line.len() - text.len() == indent
        && (text.starts_with('}') || text.ends_with(';') || on_one_line)
}

fn rust_function(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    loop {
        if let Some(name) = rest.strip_prefix("fn ") {
            return name.split(['(', '<']).next();
        }
        let qualifiers =
            ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "];
        rest = qualifiers.iter().find_map(|qualifier| rest.strip_prefix(qualifier))?;
    }
}

/// In the kernel's style the brace of a function stands alone, below its head.
fn c_function<'a>(lines: &[&'a str], index: usize) -> Option<&'a str> {
    if lines.get(index + 1) != Some(&"{") {
        return None;
    }
    let head = lines
        .get(..=index)?
        .iter()
        .rev()
        .find(|line| line.contains('(') && !line.starts_with(['\t', ' ']))?;
    head.split('(').next()?.rsplit([' ', '*']).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offences(path: &str, text: &str) -> Vec<String> {
        let mut offences = Vec::new();
        check(&File::new(path, text), &mut offences);
        offences.iter().map(Offence::to_string).collect()
    }

    fn function(len: usize) -> String {
        format!(
            "    pub(crate) const fn long(a: u8) {{\n{}    }}\n",
            "        a;\n".repeat(len - 2)
        )
    }

    #[test]
    fn functions_are_measured() {
        assert!(offences("a/src/x.rs", &function(FUNCTION_LINES_MAX)).is_empty());
        let found = offences("a/src/x.rs", &function(FUNCTION_LINES_MAX + 1));
        assert_eq!(found, ["a/src/x.rs:1: long has 71 lines: more than 70"]);
        assert!(offences("a/tests/x.rs", &function(200)).is_empty());
        let tests = format!("#[cfg(test)]\n{}", function(200));
        assert!(offences("a/src/x.rs", &tests).is_empty());
    }

    #[test]
    fn a_function_without_a_body_is_short() {
        let text = format!("    fn a(&self);\n{}    fn b() {{}}\n{}", "x\n".repeat(99), "x\n");
        assert!(offences("a/src/x.rs", &text).is_empty());
        let one = format!("    fn a(&self) -> u8 {{ 1 }}\n{}    }}\n", "    x\n".repeat(99));
        assert!(offences("a/src/x.rs", &one).is_empty());
    }

    #[test]
    fn c_functions_are_measured() {
        let body = "\tx();\n".repeat(80);
        let text = format!("int\nlong_one(int a,\n\t int b)\n{{\n{body}}}\n");
        assert_eq!(offences("s/x.c", &text).len(), 1);
        assert!(offences("s/x.c", "static int f(void)\n{\n\treturn 0;\n}\n").is_empty());
    }

    #[test]
    fn files_and_lines_are_measured() {
        assert_eq!(offences("a/src/x.rs", &"x\n".repeat(FILE_LINES_MAX + 1)).len(), 1);
        assert_eq!(offences("a/src/lib.rs", &"x\n".repeat(WIRING_LINES_MAX + 1)).len(), 1);
        assert!(offences("a/src/lib.rs", &"x\n".repeat(WIRING_LINES_MAX)).is_empty());
        assert_eq!(offences("a/tests/x.rs", &"x".repeat(COLUMNS_MAX + 1)).len(), 1);
        assert!(offences("a/tests/x.rs", &"ä".repeat(COLUMNS_MAX)).is_empty());
        assert_eq!(offences("s/x.c", &"\t".repeat(13)).len(), 1);
        assert!(offences("README.md", &"x".repeat(1000)).is_empty());
        assert_eq!(offences("a.bin", &"x".repeat(BLOB_LEN_MAX + 1)).len(), 1);
    }
}
