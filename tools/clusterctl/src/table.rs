//! Tables for people.

/// Sides that a column's cells lean to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    /// Texts.
    Left,
    /// Numbers.
    Right,
}

/// Columns are as wide as their widest cell; the last one is not filled up.
pub(crate) fn render(heads: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |i: usize| {
        let cells = rows.iter().filter_map(|row| row.get(i)).map(|cell| cell.chars().count());
        cells.max().unwrap_or(0).max(heads[i].0.len())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut out = String::new();
    let names: Vec<String> = heads.iter().map(|(name, _)| (*name).to_owned()).collect();
    for row in std::iter::once(&names).chain(rows) {
        let mut line = String::new();
        for ((cell, (_, align)), width) in row.iter().zip(heads).zip(&widths) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            line += &match align {
                Align::Left => format!("{cell}{padding}  "),
                Align::Right => format!("{padding}{cell}  "),
            };
        }
        out += line.trim_end();
        out.push('\n');
    }
    out
}

/// A size with a unit that leaves at most four digits.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = bytes;
    let mut unit = 0;
    while value >= 10_240 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    format!("{value} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let heads = [("ID", Align::Left), ("MEM", Align::Right), ("COMMAND", Align::Left)];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let text =
            render(&heads, &[row(["3.17", "4 KiB", "sh -c x"]), row(["3.2", "12 MiB", "é"])]);
        assert_eq!(text, "ID       MEM  COMMAND\n3.17   4 KiB  sh -c x\n3.2   12 MiB  é\n");
    }

    #[test]
    fn sizes() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(10_239), "10239 B");
        assert_eq!(size(10_240), "10 KiB");
        assert_eq!(size(200 << 20), "200 MiB");
        assert_eq!(size(u64::MAX), "16383 PiB");
    }
}
