//! Tables.

use crate::common::machine::{self, DISTURBED};
use crate::common::stats::geometric_mean;
use crate::contenders::{Before, Contender};
use crate::{Cell, Grid, Measured};

/// The least that any cell may have against its best, and below which it is measured again.
pub(crate) const NO_CELL_UNDER: f64 = 0.9;

/// Serial time from which the next band begins, in nanoseconds.
const BANDS: [(&str, f64, f64); 3] = [
    ("serial < 50 us", 0.0, 50e3),
    ("50 us to 2 ms", 50e3, 2e6),
    ("2 ms and more", 2e6, f64::INFINITY),
];

pub(crate) fn heading(grid: &Grid) {
    println!("{}", machine::describe(grid.options.test));
    println!(
        "\nEach line is a cell: shape, cost per item x items; the median serial time in microseconds; the speed-up of each contender over it\n\
         (above 1: faster than serial); the best of the others; ours against that best. A cell under {NO_CELL_UNDER} is measured again with twice the rounds.\n\
         `others` is the share of the cores that other programs used meanwhile, where it is over {:.0} %: such a line means little.",
        100.0 * DISTURBED
    );
    if grid.options.cold {
        println!(
            "Before each timed call the same contender did 100 items of 10 us (cells up to 1 us per item) or 3,000 of 10 ns."
        );
    }
}

pub(crate) fn pass(grid: &Grid, before: Before) {
    println!("\n== {}\n", title(before));
    print!("{:<28} {:>11}", "cell", "serial us");
    for who in grid.contenders.iter().skip(1) {
        print!(" {:>9}", who.name());
    }
    println!(
        "  {:>9} {:>6} {:>6} {:>7}",
        "best", "/ best", "again", "others"
    );
}

fn title(before: Before) -> String {
    match before {
        Before::Nothing => "calls back to back".to_owned(),
        Before::Spin(time) => format!("the caller spins for {time:?} before each call"),
        Before::Sleep(time) => format!("the caller sleeps for {time:?} before each call"),
    }
}

pub(crate) fn line(grid: &Grid, first: &Measured, again: Option<&Measured>) {
    let serial = first.time(Contender::Serial);
    print!("{:<28} {:>11.3}", first.cell.name(), serial / 1e3);
    for &who in grid.contenders.iter().skip(1) {
        print!(" {:>9.3}", serial / first.time(who));
    }
    print!(
        "  {:>9} {:>6.2}",
        first.best().0.name(),
        first.against_best()
    );
    match again {
        Some(again) => print!(" {:>6.2}", again.against_best()),
        None => print!(" {:>6}", ""),
    }
    let last = again.unwrap_or(first);
    println!(" {:>7}", machine::mark(last.others));
}

type Pair = (Measured, Option<Measured>);

/// The later measurement where there are two: it had more rounds.
fn latest(pair: &Pair) -> &Measured {
    pair.1.as_ref().unwrap_or(&pair.0)
}

pub(crate) fn summary(grid: &Grid, all: &[Pair]) {
    let mut passes: Vec<Before> = Vec::new();
    for (first, _) in all {
        if !passes.contains(&first.before) {
            passes.push(first.before);
        }
    }
    for &before in &passes {
        bands(grid, all, Some(before));
    }
    if passes.len() > 1 {
        bands(grid, all, None);
    }
    worst(all);
    if grid.options.sleep_ms.is_some() {
        spread(grid, all);
    }
}

/// Geometric means of ours against each other, over the cells of a pass, of first measurements.
fn bands(grid: &Grid, all: &[Pair], before: Option<Before>) {
    println!(
        "\n== ours against each, geometric means of first measurements without disturbed ones: {}\n",
        before.map_or("all calls".to_owned(), title)
    );
    print!("{:<16} {:>5}", "band", "cells");
    for who in grid
        .contenders
        .iter()
        .filter(|who| **who != Contender::Ours)
    {
        print!(" {:>9}", who.name());
    }
    println!(" {:>9} {:>8} {:>9}", "best", "target", "least");
    let options = &grid.options;
    let targets = match (options.reduce, options.sleep_ms) {
        (false, None) => [Some(1.0), Some(1.05), Some(1.02)],
        (false, Some(_)) => [None, Some(1.1), Some(1.0)],
        // Against rayon, whose column it is.
        (true, _) => [Some(0.95); 3],
    };
    for ((name, from, to), target) in BANDS.into_iter().zip(targets) {
        let cells: Vec<&Measured> = all
            .iter()
            .map(|(first, _)| first)
            .filter(|cell| before.is_none_or(|before| cell.before == before))
            .filter(|cell| (from..to).contains(&cell.time(Contender::Serial)))
            .collect();
        let quiet: Vec<&Measured> = cells
            .iter()
            .copied()
            .filter(|cell| !cell.is_disturbed())
            .collect();
        let is_noisy = quiet.is_empty();
        let cells = if is_noisy { cells } else { quiet };
        if cells.is_empty() {
            continue;
        }
        print!("{name:<16} {:>5}", cells.len());
        for &who in grid
            .contenders
            .iter()
            .filter(|who| **who != Contender::Ours)
        {
            let mean = geometric_mean(cells.iter().map(|c| c.time(who) / c.time(Contender::Ours)));
            print!(" {mean:>9.3}");
        }
        let mean = geometric_mean(cells.iter().map(|cell| cell.against_best()));
        let least = cells
            .iter()
            .map(|cell| cell.against_best())
            .fold(f64::INFINITY, f64::min);
        let target = target.map_or("-".to_owned(), |target| format!("{target:.2}"));
        let remark = if is_noisy { "all disturbed" } else { "" };
        println!(" {mean:>9.3} {target:>8} {least:>9.2} {remark}");
    }
    if options.reduce {
        println!("The target of sums is a mean against rayon's `map().sum()`.");
    }
}

/// The cells where ours is furthest behind.
fn worst(all: &[Pair]) {
    let mut sorted: Vec<&Pair> = all.iter().collect();
    sorted.sort_by(|a, b| {
        latest(a)
            .against_best()
            .total_cmp(&latest(b).against_best())
    });
    println!(
        "\n== worst cells, by their last measurement (target: none under {NO_CELL_UNDER:.2})\n"
    );
    println!(
        "{:<28} {:>8} {:>11} {:>11} {:>11} {:>9} {:>7} {:>6} {:>6} {:>7}",
        "cell",
        "before",
        "serial us",
        "ours us",
        "best us",
        "best",
        "rounds",
        "first",
        "last",
        "others"
    );
    for pair in sorted.into_iter().take(12) {
        let last = latest(pair);
        let (best, time) = last.best();
        println!(
            "{:<28} {:>8} {:>11.3} {:>11.3} {:>11.3} {:>9} {:>7} {:>6.2} {:>6.2} {:>7}",
            last.cell.name(),
            match last.before {
                Before::Nothing => "tight".to_owned(),
                Before::Spin(time) | Before::Sleep(time) => format!("{time:?}"),
            },
            last.time(Contender::Serial) / 1e3,
            last.time(Contender::Ours) / 1e3,
            time / 1e3,
            best.name(),
            last.rounds,
            pair.0.against_best(),
            last.against_best(),
            machine::mark(last.others),
        );
    }
    let disturbed = all
        .iter()
        .filter(|pair| latest(pair).is_disturbed())
        .count();
    let under = all
        .iter()
        .filter(|pair| latest(pair).against_best() < NO_CELL_UNDER)
        .count();
    println!(
        "{under} of {} cells are under {NO_CELL_UNDER:.2} after the repeat; {disturbed} were disturbed by other programs.",
        all.len()
    );
}

/// How far the slow calls are from the median ones.
fn spread(grid: &Grid, all: &[Pair]) {
    println!(
        "\n== p90 / p50 of the times of calls (target for ours from 50 us on: at most 1.20)\n"
    );
    let ratio = |cell: &Measured, who| cell.share(who, 0.9) / cell.share(who, 0.5);
    print!("{:<28}", "cell");
    for who in &grid.contenders {
        print!(" {:>9}", who.name());
    }
    println!();
    for (first, _) in all {
        print!("{:<28}", Cell::name(&first.cell));
        for &who in &grid.contenders {
            print!(" {:>9.2}", ratio(first, who));
        }
        println!();
    }
    for (name, from, to) in BANDS {
        let cells = || {
            all.iter()
                .map(|(first, _)| first)
                .filter(|cell| (from..to).contains(&cell.time(Contender::Serial)))
        };
        if cells().next().is_none() {
            continue;
        }
        print!("{:<28}", format!("mean, {name}"));
        for &who in &grid.contenders {
            print!(
                " {:>9.2}",
                geometric_mean(cells().map(|cell| ratio(cell, who)))
            );
        }
        println!();
    }
}
