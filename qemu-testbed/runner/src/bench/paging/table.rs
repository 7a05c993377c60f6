//! What `faults` measured, as tables and as ratios.

use anyhow::Result;

use super::faults::{Measured, Series};
use super::moved::Latency;
use super::output::Figures;
use crate::bench::report::{Bar, Report};

/// Lines of `pageout`.
const EVICTED: &str = "sequence-evict";
const FETCHED: &str = "sequence-fetch";
const ONE_BY_ONE: &str = "fault-latency";

/// MB/s of a phase.
fn rate(figures: &Figures, line: &str) -> Result<f64> {
    Ok(figures.get(line, "pages")? * 4096.0 / figures.get(line, "us")?)
}

/// Of one number of a phase, what each page cost.
fn per_page(figures: &Figures, line: &str, of: &str) -> Result<f64> {
    Ok(figures.get(line, of)? / figures.get(line, "pages")?)
}

/// Processor time on both nodes per page, in microseconds.
fn cpu(figures: &Figures, line: &str) -> Result<f64> {
    Ok(per_page(figures, line, "own_cpu_us")? + per_page(figures, line, "other_cpu_us")?)
}

/// Absolute figures, which say little by themselves.
pub(super) fn print(all: &Measured) {
    let line = |name: &str, values: Result<Vec<f64>>| match values {
        Ok(values) => {
            print!("{name:28}");
            values.iter().for_each(|value| print!(" {value:11.1}"));
            println!();
        }
        Err(error) => println!("{name:28} {error:#}"),
    };
    println!("\n{:28} {:>11} {:>11}", "us", "median", "p99");
    for series in [&all.echo, &all.moved] {
        let half = series.half(|latency| Ok(latency.median));
        let both = half.and_then(|half| Ok(vec![half, series.half(|latency| Ok(latency.p99))?]));
        line(series.name, both);
    }
    for series in &all.sides {
        let half = series.half(|f| f.get(ONE_BY_ONE, "median_us"));
        let both =
            half.and_then(|half| Ok(vec![half, series.half(|f| f.get(ONE_BY_ONE, "p99_us"))?]));
        line(&format!("a fault, {}", series.name), both);
    }
    let columns =
        ["out MB/s", "in MB/s", "random us", "out CPU us", "of it here", "in CPU us", "of it here"];
    print!("\n{:28}", "sequence; CPU per page");
    columns.iter().for_each(|column| print!(" {column:>11}"));
    println!();
    for series in &all.sides {
        line(series.name, columns_of(series));
    }
    let out = all.tcp.half(|rates| Ok(rates.0));
    line(all.tcp.name, out.and_then(|out| Ok(vec![out, all.tcp.half(|rates| Ok(rates.1))?])));
}

fn columns_of(series: &Series<Figures>) -> Result<Vec<f64>> {
    Ok(vec![
        series.half(|f| rate(f, EVICTED))?,
        series.half(|f| rate(f, FETCHED))?,
        series.half(|f| per_page(f, "random-fetch", "us"))?,
        series.half(|f| cpu(f, EVICTED))?,
        series.half(|f| per_page(f, EVICTED, "own_cpu_us"))?,
        series.half(|f| cpu(f, FETCHED))?,
        series.half(|f| per_page(f, FETCHED, "own_cpu_us"))?,
    ])
}

/// Adds ratios, each with what it lacks if there is none.
struct Rows<'a>(&'a mut Report);

impl Rows<'_> {
    fn add(&mut self, what: &str, ours: Result<Vec<f64>>, peer: Result<Vec<f64>>, bar: Bar) {
        let both = ours.and_then(|ours| Ok((ours, peer?)));
        let added = both.and_then(|(ours, peer)| self.0.ratio(what, &ours, &peer, bar));
        if let Err(error) = added {
            self.0.missing(what, &error);
        }
    }
}

/// Adds all ratios to the report.
pub(super) fn ratios(all: &Measured, report: &mut Report) {
    let mut rows = Rows(report);
    latencies(all, &mut rows);
    throughput(all, &mut rows);
}

fn latencies(all: &Measured, rows: &mut Rows<'_>) {
    let [ours, nbd, zram, disk, whole] = &all.sides;
    let of_pages = |series: &Series<Figures>, name| series.each(|f| f.get(ONE_BY_ONE, name));
    let half = |series: &Series<Latency>| series.each(|latency| Ok(latency.median));
    let p99 = |series: &Series<Latency>| series.each(|latency| Ok(latency.p99));
    let echo = &all.echo;
    let what = "moved page's fault: to UDP echo, median";
    rows.add(what, half(&all.moved), half(echo), Bar::AtMost(1.5));
    let what = "moved page's fault: to UDP echo, p99";
    rows.add(what, p99(&all.moved), p99(echo), Bar::AtMost(3.0));
    let what = "lodged page's fault: to UDP echo, median";
    rows.add(what, of_pages(ours, "median_us"), half(echo), Bar::AtMost(1.5));
    let what = "lodged page's fault: to UDP echo, p99";
    rows.add(what, of_pages(ours, "p99_us"), p99(echo), Bar::AtMost(3.0));
    for (peer, bar) in [(nbd, Bar::AtMost(0.5)), (zram, Bar::Shown), (disk, Bar::Shown)] {
        let what = format!("lodged page's fault: to {}, median", peer.name);
        rows.add(&what, of_pages(ours, "median_us"), of_pages(peer, "median_us"), bar);
    }
    let what = format!("lodged page's fault, {}: to UDP echo, median", whole.name);
    rows.add(&what, of_pages(whole, "median_us"), half(echo), Bar::Shown);
    let random = |series: &Series<Figures>| series.each(|f| per_page(f, "random-fetch", "us"));
    rows.add("random order, reading ahead: to nbd swap", random(ours), random(nbd), Bar::Shown);
}

fn throughput(all: &Measured, rows: &mut Rows<'_>) {
    let [ours, nbd, _, _, whole] = &all.sides;
    let tcp = |of: fn(&(f64, f64)) -> f64| all.tcp.each(|rates| Ok(of(rates)));
    let rate_of = |series: &Series<Figures>, line| series.each(|figures| rate(figures, line));
    let cpu_of = |series: &Series<Figures>, line| series.each(|figures| cpu(figures, line));
    for (series, bar) in [(ours, Bar::AtLeast(0.9)), (whole, Bar::Shown), (nbd, Bar::Shown)] {
        let what = format!("eviction, {}: to iperf3 TCP, MB/s", series.name);
        rows.add(&what, rate_of(series, EVICTED), tcp(|rates| rates.0), bar);
        let what = format!("sequential fetch, {}: to iperf3 TCP, MB/s", series.name);
        rows.add(&what, rate_of(series, FETCHED), tcp(|rates| rates.1), bar);
    }
    for (what, line) in [("evicted", EVICTED), ("fetched", FETCHED)] {
        let what = format!("CPU per {what} page, both nodes: to nbd swap");
        rows.add(&what, cpu_of(ours, line), cpu_of(nbd, line), Bar::AtMost(0.5));
        let what = format!("{what}, {}", whole.name);
        rows.add(&what, cpu_of(whole, line), cpu_of(nbd, line), Bar::Shown);
    }
}
