//! docs/settings.md from the table. `UPDATE_EXPECT=1 cargo test -p wgrad-train settings_page` renews it.

use super::{Setting, Sort, settings};
use std::fmt::Write;

const HEAD: &str = "# Settings of a run

A run's `config.toml` holds them all; `wgrad train --config FILE.toml` reads such a file. On the command line a setting
is a flag with dashes: `batch_size` is `--batch-size`. A resumed run may change those marked so. `wgrad train --help`
lists the same.

Written by `UPDATE_EXPECT=1 cargo test -p wgrad-train settings_page` from the table in
`crates/wgrad-train/src/settings/table.rs`.
";

/// Values allowed, in words.
fn values(setting: &Setting) -> String {
    let (rule, sort) = (setting.rule().to_string(), setting.sort);
    let example = setting.example().map(|usual| format!(", e.g. {usual}")).unwrap_or_default();
    match (sort, rule.is_empty()) {
        (Sort::Switch, _) => "true or false".into(),
        (Sort::Text, true) => "text".into(),
        (Sort::Text, false) => format!("{rule}{example}"),
        (Sort::Count, true) => format!("whole number{example}"),
        (Sort::Count, false) => format!("whole number, {rule}{example}"),
        (Sort::Number, true) => format!("number{example}"),
        (Sort::Number, false) => format!("{}{example}", rule.replace("a positive", "positive")),
    }
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut group = "";
    for setting in settings() {
        if setting.group != group {
            group = setting.group;
            write!(page, "\n## {group}\n\n| setting | meaning | values | default |\n|---|---|---|---|\n")
                .unwrap();
        }
        let mut meaning = setting.help().to_owned();
        if !setting.only().is_empty() && setting.group != "Language models" {
            write!(meaning, " For {} only.", setting.only().join(", ")).unwrap();
        }
        if setting.is_resumable() {
            meaning += " *A resumed run may change it.*";
        }
        let default = setting.defaults().unwrap_or_else(|| match setting.sort {
            Sort::Switch => "false".into(),
            _ => "none".into(),
        });
        writeln!(page, "| `{}` | {meaning} | {} | {default} |", setting.name, values(setting)).unwrap();
    }
    page
}

#[test]
fn settings_page_matches_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, page()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
    let page = page();
    let stale = page.lines().zip(written.lines()).find(|(new, old)| new != old);
    assert!(
        page == written,
        "docs/settings.md is stale at {stale:?}: renew it by `UPDATE_EXPECT=1 cargo test -p wgrad-train settings_page`"
    );
}
