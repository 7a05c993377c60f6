//! What a benchmark found: ratios of like with like, round by round, and what could not be found.

use std::process::ExitCode;

use anyhow::{ensure, Result};

/// What a ratio should be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// This or less.
    AtMost(f64),
    /// This or more.
    AtLeast(f64),
    /// It is only shown.
    Shown,
}

/// A ratio, once per round.
struct Row {
    what: String,
    rounds: Vec<f64>,
    bar: Bar,
}

/// All of a run.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
    missing: Vec<String>,
}

impl Report {
    /// A ratio of what was measured side by side, in rounds. It is an error if a side has no
    /// figure, or other rounds than the other one.
    pub(crate) fn ratio(&mut self, what: &str, ours: &[f64], peer: &[f64], bar: Bar) -> Result<()> {
        let sound = |side: &[f64]| side.iter().all(|value| value.is_finite() && *value > 0.0);
        ensure!(!ours.is_empty() && sound(ours), "{what}: our side has no figure: {ours:?}");
        ensure!(sound(peer), "{what}: the peer has no figure: {peer:?}");
        ensure!(ours.len() == peer.len(), "{what}: sides of different rounds");
        let rounds = ours.iter().zip(peer).map(|(ours, peer)| ours / peer).collect();
        self.rows.push(Row { what: what.to_owned(), rounds, bar });
        Ok(())
    }

    /// Something could not be measured, and why.
    pub(crate) fn missing(&mut self, what: &str, error: &anyhow::Error) {
        println!("NOT MEASURED: {what}: {}", format!("{error:#}").trim_end());
        self.missing.push(what.to_owned());
    }

    /// Prints all ratios. A missed bar is a result; what was not measured is a failure.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n{:58} {:>7} {:>17} {:>10}", "ratio", "median", "min .. max", "bar");
        for row in &self.rows {
            println!("{}", row.line());
        }
        for what in &self.missing {
            println!("{what:58} NOT MEASURED");
        }
        match self.missing.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }
}

impl Row {
    fn line(&self) -> String {
        let Spread { median, min, max } = spread(&self.rounds);
        let (bar, kept) = match self.bar {
            Bar::AtMost(bar) => (format!("<= {bar}"), median <= bar),
            Bar::AtLeast(bar) => (format!(">= {bar}"), median >= bar),
            Bar::Shown => (String::new(), true),
        };
        let word = if kept { "" } else { "  MISSED" };
        let range = format!("{min:.3} .. {max:.3}");
        format!("{:58} {median:7.3} {range:>17} {bar:>10}{word}", self.what)
    }
}

/// The middle, and the ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    /// The middle one.
    pub median: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

/// Of some rounds.
pub(crate) fn spread(rounds: &[f64]) -> Spread {
    let mut sorted = rounds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    Spread { median: at(sorted.len() / 2), min: at(0), max: at(sorted.len().saturating_sub(1)) }
}

/// The middle one.
pub(crate) fn median(rounds: &[f64]) -> f64 {
    spread(rounds).median
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let mut report = Report::default();
        report.ratio("a", &[1.0, 4.0, 3.0], &[1.0, 2.0, 4.0], Bar::AtMost(0.9)).expect("sound");
        assert_eq!(report.rows[0].rounds, [1.0, 2.0, 0.75]);
        let line = report.rows[0].line();
        assert!(line.contains("1.000") && line.contains("0.750 .. 2.000"), "{line}");
        assert!(line.contains("<= 0.9") && line.ends_with("MISSED"), "{line}");
    }

    #[test]
    fn a_side_without_a_figure_gives_no_ratio() {
        let mut report = Report::default();
        assert!(report.ratio("none", &[], &[], Bar::Shown).is_err());
        assert!(report.ratio("zero", &[1.0], &[0.0], Bar::Shown).is_err());
        assert!(report.ratio("unknown", &[f64::NAN], &[1.0], Bar::Shown).is_err());
        assert!(report.ratio("uneven", &[1.0, 2.0], &[1.0], Bar::Shown).is_err());
        assert!(report.rows.is_empty());
    }
}
