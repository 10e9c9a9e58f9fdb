//! Other engines' dispatches and bytes for the same training step, for `wgrad plan --peers`: measured once, stored in
//! `peers.tsv`.

use crate::output::{bytes, count, table};
use crate::workload::WorkloadArgs;
use clap::Parser;
use serde_json::{Value, json};
use wgrad_plan::Summary;
use wgrad_train::TrainError;

const FIGURES: &str = include_str!("peers.tsv");

/// One engine's training step; `None` if not measured.
#[derive(Clone, Copy)]
struct Figure {
    peer: &'static str,
    flags: &'static str,
    dispatches: Option<u64>,
    bytes: Option<u64>,
}

/// Flags of a row, parsed like those of `wgrad plan`.
#[derive(clap::Parser)]
#[command(no_binary_name = true)]
struct Flags {
    #[command(flatten)]
    workload: WorkloadArgs,
}

/// Rows of the table.
fn figures() -> impl Iterator<Item = Figure> {
    let rows = FIGURES.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|row| {
        let mut cells = row.split('\t');
        let mut cell = || cells.next().expect("four cells per row");
        Figure { peer: cell(), flags: cell(), dispatches: cell().parse().ok(), bytes: cell().parse().ok() }
    })
}

/// Engines of the table, each once, with their figures for one workload.
pub(crate) struct Peers(Vec<Figure>);

impl Peers {
    /// Figures for a workload; engines without a measurement stay in the list.
    pub(crate) fn of(workload: &WorkloadArgs) -> Result<Self, TrainError> {
        let mut found: Vec<Figure> = Vec::new();
        for figure in figures() {
            let row = Flags::try_parse_from(figure.flags.split(' ')).expect("flags of `wgrad plan`").workload;
            let figure = match row.is_same(workload)? {
                true => figure,
                false => Figure { dispatches: None, bytes: None, ..figure },
            };
            match found.iter_mut().find(|f| f.peer == figure.peer) {
                Some(known) if known.dispatches.or(known.bytes).is_none() => *known = figure,
                Some(_) => {}
                None => found.push(figure),
            }
        }
        Ok(Self(found))
    }

    /// Table with wgrad's figures first; lists the measured workloads if this one is not among them.
    pub(crate) fn as_text(&self, ours: &Summary) -> String {
        let known = |n: Option<String>| n.unwrap_or_else(|| "-".into());
        let size = |n: u64| bytes(usize::try_from(n).unwrap_or(usize::MAX));
        let line = |name: &str, ours: String, theirs: &dyn Fn(&Figure) -> String| {
            [name.to_owned(), ours].into_iter().chain(self.0.iter().map(theirs)).collect()
        };
        let rows = [
            line("per step", "wgrad".into(), &|f| f.peer.into()),
            line("  dispatches", count(ours.dispatches as u64), &|f| known(f.dispatches.map(count))),
            line("  moved", size(ours.bytes), &|f| known(f.bytes.map(size))),
        ];
        let mut text = table(&rows, &[]);
        if self.0.iter().all(|f| f.dispatches.or(f.bytes).is_none()) {
            let mut measured: Vec<&str> = figures().map(|f| f.flags).collect();
            measured.sort_unstable();
            measured.dedup();
            text += &format!("\n  others were measured at {}", measured.join("; "));
        }
        text
    }

    /// Figures as a JSON list.
    pub(crate) fn as_json(&self) -> Value {
        let one = |f: &Figure| json!({"name": f.peer, "dispatches": f.dispatches, "bytes_moved": f.bytes});
        self.0.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(flags: &str) -> Peers {
        Peers::of(&Flags::try_parse_from(flags.split(' ')).unwrap().workload).unwrap()
    }

    #[test]
    fn row_is_found_by_its_own_flags() {
        for row in figures() {
            let found = peers(row.flags).0.into_iter().find(|f| f.peer == row.peer).unwrap();
            assert_eq!((found.dispatches, found.bytes), (row.dispatches, row.bytes), "{}", row.flags);
        }
    }

    #[test]
    fn other_workload_has_no_figures() {
        for flags in
            ["--model cifar-cnn --batch-size 31", "--model cifar-cnn --optimizer sgd", "--model lenet"]
        {
            assert!(peers(flags).0.iter().all(|f| f.dispatches.is_none() && f.bytes.is_none()), "{flags}");
        }
        assert!(!peers("--model cifar-cnn --batch-size 32 --width 2").as_json().to_string().contains("55"));
    }
}
