//! Breaks comment lines that are too long, which the formatter leaves alone.

use std::path::Path;

use crate::tidy::COLUMNS_MAX;

/// Breaks the comments of some files; returns how many files changed.
pub fn wrap_files(root: &Path, paths: &[String]) -> Result<usize, String> {
    let mut changed = 0;
    for path in paths {
        let full = root.join(path);
        let text = std::fs::read_to_string(&full).map_err(|error| format!("{path}: {error}"))?;
        let wrapped = wrap(&text);
        if wrapped != text {
            std::fs::write(&full, wrapped).map_err(|error| format!("{path}: {error}"))?;
            changed += 1;
        }
    }
    Ok(changed)
}

/// A line that is a comment and nothing else.
#[derive(Clone, Copy)]
struct Comment<'a> {
    /// What stands before the text: indentation and slashes.
    mark: &'a str,
    text: &'a str,
}

fn comment(line: &str) -> Option<Comment<'_>> {
    let indent = line.len() - line.trim_start().len();
    let marks = ["/// ", "//! ", "// "];
    let mark = marks.iter().find(|mark| line[indent..].starts_with(**mark))?;
    let (mark, text) = line.split_at(indent + mark.len());
    Some(Comment { mark, text })
}

/// Whether a line begins something of its own: a list's item, a heading, a table, a diagram.
fn begins(text: &str) -> bool {
    let item = text.trim_start();
    let number = item.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = number.len() < item.len() && number.starts_with(". ");
    let own = ["- ", "* ", "#", "|", "```", "["].iter().any(|start| item.starts_with(start));
    own || numbered || text.starts_with("    ")
}

/// Breaks too long comments. What is left of a line goes to the front of the next line of its
/// paragraph, or to a line of its own.
pub fn wrap(text: &str) -> String {
    let mut queue: Vec<String> = text.lines().rev().map(str::to_string).collect();
    let mut done = String::new();
    let mut verbatim = false;
    while let Some(line) = queue.pop() {
        let parts = comment(&line);
        verbatim ^= parts.is_some_and(|parts| parts.text.trim_start().starts_with("```"));
        let fits = line.chars().count() <= COLUMNS_MAX;
        let split = parts.filter(|_| !fits && !verbatim).and_then(split);
        let Some((head, rest)) = split else {
            done.push_str(&line);
            done.push('\n');
            continue;
        };
        done.push_str(&head);
        done.push('\n');
        queue_rest(&mut queue, &line, &rest);
    }
    if !text.ends_with('\n') {
        done.pop();
    }
    done
}

/// The longest beginning that fits, and the words after it.
fn split(parts: Comment<'_>) -> Option<(String, String)> {
    if parts.text.starts_with('|') {
        return None;
    }
    let room = COLUMNS_MAX.checked_sub(parts.mark.chars().count())?;
    let spaces = parts.text.match_indices(' ').map(|(at, _)| at);
    let mut fitting = spaces.filter(|at| {
        parts.text[..*at].chars().count() <= room && !parts.text[..*at].trim().is_empty()
    });
    let at = fitting.next_back()?;
    let (head, rest) = parts.text.split_at(at);
    Some((format!("{}{head}", parts.mark), rest.trim_start().to_string()))
}

fn queue_rest(queue: &mut Vec<String>, line: &str, rest: &str) {
    let Some(parts) = comment(line) else {
        return;
    };
    let indent = parts.text.len() - parts.text.trim_start().len();
    let hang = if begins(parts.text) { indent + 2 } else { indent };
    let front = format!("{}{}{rest}", parts.mark, " ".repeat(hang));
    let next = queue.last().and_then(|next| comment(next));
    let joins = next.filter(|next| next.mark == parts.mark && !begins(next.text));
    match joins.map(|next| format!("{front} {}", next.text.trim_start())) {
        Some(joined) => {
            queue.pop();
            queue.push(joined);
        }
        None => queue.push(front),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(count: usize) -> String {
        vec!["four"; count].join(" ")
    }

    #[test]
    fn what_fits_stays() {
        let text = format!("    /// {}\nlet x = \"{}\";\n", words(18), words(30));
        assert_eq!(wrap(&text), text);
        assert_eq!(wrap("a\nb"), "a\nb");
    }

    #[test]
    fn the_rest_goes_on_in_the_paragraph() {
        let text = format!("/// {}\n/// and so on.\nfn x() {{}}\n", words(20));
        let wanted = format!("/// {}\n/// four and so on.\nfn x() {{}}\n", words(19));
        assert_eq!(wrap(&text), wanted);
    }

    #[test]
    fn the_rest_does_not_join_an_item() {
        let text = format!("//! - {}\n//! - next\n", words(20));
        let wanted = format!("//! - {}\n//!   four\n//! - next\n", words(19));
        assert_eq!(wrap(&text), wanted);
    }

    #[test]
    fn diagrams_stay() {
        let text = format!("//! ```text\n//! {}\n//! ```\n", words(30));
        assert_eq!(wrap(&text), text);
    }
}
