//! Terminal output: text and JSON on standard output, notes and errors on standard error, human-readable numbers.
//!
//! A closed pipe never panics: the caller gets the error, recognised by [`is_closed`].

use crate::words;
use anyhow::Result;
use serde_json::Value;
use std::io::{self, Write};
pub(crate) use wgrad_train::thousands as count;

/// Writes a line to standard output.
pub(crate) fn line(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    Ok(writeln!(out, "{text}").and_then(|()| out.flush())?)
}

/// Writes text to standard output and flushes it.
pub(crate) fn piece(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    Ok(write!(out, "{text}").and_then(|()| out.flush())?)
}

/// Writes a JSON value as one line to standard output.
pub(crate) fn json_line(value: &Value) -> Result<()> {
    line(&value.to_string())
}

/// Writes an indented JSON value to standard output.
pub(crate) fn json(value: &Value) -> Result<()> {
    line(&format!("{value:#}"))
}

/// Writes a line to standard error, in the words of the command line.
pub(crate) fn note(text: &str) {
    // A failure to write an error cannot be reported.
    let _ = writeln!(io::stderr(), "{}", one_line(&words::told(text)));
}

/// Writes a one-line error message to standard error.
pub(crate) fn error(text: &str) {
    note(&format!("error: {text}"));
}

/// True if the reader has closed the pipe.
pub(crate) fn is_closed(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// Text without line breaks and terminal control characters (possible in file names).
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect()
}

/// Size in bytes: 12.3 MiB.
pub(crate) fn bytes(n: usize) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

/// Operation count: 273.1 GFLOP.
pub(crate) fn flops(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["FLOP", "kFLOP", "MFLOP", "GFLOP"] {
        if value < 1000.0 {
            return if unit == "FLOP" { format!("{n} FLOP") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TFLOP")
}

/// Percentage of a fraction: 87.3 %.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Duration: 12.3 s, 4 min 05 s.
pub(crate) fn seconds(s: f64) -> String {
    if s < 60.0 {
        return format!("{s:.1} s");
    }
    let whole = s.round() as u64;
    match whole / 3600 {
        0 => format!("{} min {:02} s", whole / 60, whole % 60),
        hours => format!("{hours} h {:02} min", whole / 60 % 60),
    }
}

/// Table with its first column aligned left and the others right unless listed in `left`; every row has as many cells as
/// the first.
pub(crate) fn table(rows: &[Vec<String>], left: &[usize]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).map(width).collect();
    let row = |cells: &Vec<String>| {
        let padded = cells.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
            let space = " ".repeat(width - cell.chars().count());
            if column == 0 || left.contains(&column) {
                format!("{cell}{space}")
            } else {
                format!("{space}{cell}")
            }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(row).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_format_with_units() {
        assert_eq!([bytes(12), bytes(1536), bytes(128 << 20)], ["12 B", "1.5 KiB", "128.0 MiB"]);
        assert_eq!([flops(7), flops(2_500_000)], ["7 FLOP", "2.5 MFLOP"]);
        assert_eq!([seconds(1.25), seconds(65.2), seconds(7384.0)], ["1.2 s", "1 min 05 s", "2 h 03 min"]);
    }

    #[test]
    fn columns_align() {
        let rows = [vec!["class".into(), "f1".into()], vec!["é".into(), "0.123".into()]];
        assert_eq!(table(&rows, &[]), "class     f1\né      0.123");
    }
}
