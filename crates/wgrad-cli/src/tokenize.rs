//! `wgrad tokenize`: learns byte pairs from a text, for `wgrad train --tokenizer bpe:FILE`.

use crate::output::{self, count, table};
use anyhow::Result;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use wgrad_data::{BytePairs, EMBEDDED_TEXT, read_text};
use wgrad_train::TrainError;

/// Number of longest tokens printed.
const SHOWN: usize = 12;

#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  wgrad tokenize --data text:novel.txt --vocabulary 1024 --out novel.bpe\n  \
                        wgrad train --model gpt --data text:novel.txt --tokenizer bpe:novel.bpe"
)]
pub(crate) struct Args {
    /// Text to learn from: shakespeare-mini, text:FILE or text:DIR
    #[arg(long, value_name = "SPEC", default_value = EMBEDDED_TEXT)]
    data: String,
    /// Vocabulary size: 256 bytes plus learned pairs
    #[arg(long, value_name = "N", default_value_t = 512)]
    vocabulary: usize,
    /// File to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let (text, warnings) = read_text(&args.data).map_err(TrainError::from)?;
    warnings.iter().for_each(|w| output::note(&format!("note: {w}")));
    let pairs = BytePairs::train(&text, args.vocabulary).map_err(TrainError::from)?;
    if pairs.vocabulary() < args.vocabulary {
        let found = count(pairs.vocabulary() as u64);
        output::note(&format!("note: no further pair occurs twice; the vocabulary has {found} tokens"));
    }
    wgrad_session::checkpoint::write_file(&args.out, pairs.to_text().as_bytes()).map_err(TrainError::from)?;
    let tokens = pairs.encode(&text).len();
    let mut longest: Vec<&[u8]> = (256..pairs.vocabulary() as i32).map(|t| pairs.bytes(t)).collect();
    longest.sort_by_key(|bytes| std::cmp::Reverse(bytes.len()));
    longest.truncate(SHOWN);
    let longest: Vec<String> = longest.iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect();
    if args.json {
        output::json(&json!({
            "data": args.data,
            "bytes": text.len(),
            "vocabulary": pairs.vocabulary(),
            "tokens": tokens,
            "longest": longest,
            "out": args.out.display().to_string(),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let rows = [
        row("vocabulary", format!("{} tokens", count(pairs.vocabulary() as u64))),
        row("text", format!("{} bytes, {} tokens", count(text.len() as u64), count(tokens as u64))),
        row("bytes per token", format!("{:.2}", text.len() as f64 / tokens.max(1) as f64)),
        row("longest", longest.iter().map(|t| format!("{t:?}")).collect::<Vec<_>>().join(" ")),
        row("written to", args.out.display().to_string()),
    ];
    output::line(&table(&rows, &[1]))?;
    Ok(ExitCode::SUCCESS)
}
