//! The library's events on standard error, for those who set `WGRAD_LOG`; and a word on misspelt variables.

use crate::output;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use wgrad_device::variables;

/// Warns of variables that mean nothing, and shows events if asked to: `WGRAD_LOG=info`, or by crate,
/// `WGRAD_LOG=wgrad_device=debug,wgrad_session=info`.
pub(crate) fn init() {
    for name in variables::unknown() {
        output::note(&format!("warning: {name} is no variable of wgrad's; docs/variables.md lists them"));
    }
    let Some(spec) = variables::read().log.filter(|spec| !spec.is_empty()) else { return };
    let filter = parse(&spec).unwrap_or_else(|| {
        output::note(&format!("warning: WGRAD_LOG={spec} is no level (info, debug, ..); showing info"));
        own(LevelFilter::INFO)
    });
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    // Nobody else has set one: this is the program.
    let _ = tracing_subscriber::registry().with(lines.without_time()).with(filter).try_init();
}

/// A level alone is for wgrad, not for the graphics libraries below it; else levels by crate.
fn parse(spec: &str) -> Option<Targets> {
    if let Ok(level) = spec.parse::<LevelFilter>() {
        return Some(own(level));
    }
    // Any word is a target to the parser: a misspelt level would show nothing.
    let known = |part: &str| part.contains('=') || part.parse::<LevelFilter>().is_ok();
    if spec.split(',').all(known) { spec.parse().ok() } else { None }
}

fn own(level: LevelFilter) -> Targets {
    Targets::new().with_target("wgrad", level)
}
