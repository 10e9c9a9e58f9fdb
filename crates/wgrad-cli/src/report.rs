//! What an evaluation found, as tables and as JSON.

use crate::output::{count, percent, table};
use serde_json::{Value, json};
use wgrad_train::Evaluation;

/// Classes up to which the confusion matrix fits a terminal.
const MATRIX_CLASSES: usize = 20;

/// Mean precision, recall and F1 over the classes.
fn macros(evaluation: &Evaluation) -> [f64; 3] {
    let m = &evaluation.confusion;
    let mean = |f: &dyn Fn(usize) -> f64| (0..m.classes()).map(f).sum::<f64>() / m.classes().max(1) as f64;
    [mean(&|c| m.precision(c)), mean(&|c| m.recall(c)), mean(&|c| m.f1(c))]
}

/// The figures in the order they are read: of the whole first, then of each class.
pub(crate) fn text(evaluation: &Evaluation) -> String {
    let (m, split) = (&evaluation.confusion, &evaluation.split);
    let [precision, recall, f1] = macros(evaluation);
    let total = |name: &str, value: String| vec![name.to_owned(), value];
    let totals = [
        total(
            &format!("{split} accuracy"),
            format!("{} of {} images", percent(m.accuracy()), count(m.total())),
        ),
        total(&format!("{split} loss"), format!("{:.4}", evaluation.loss)),
        total("macro precision", format!("{precision:.4}")),
        total("macro recall", format!("{recall:.4}")),
        total("macro F1", format!("{f1:.4}")),
    ];
    let mut classes = vec![["class", "precision", "recall", "F1", "support"].map(str::to_owned).to_vec()];
    for (c, name) in evaluation.classes.iter().enumerate() {
        let share = |v: f64| format!("{v:.4}");
        let support = count(m.support(c));
        classes.push(vec![name.clone(), share(m.precision(c)), share(m.recall(c)), share(m.f1(c)), support]);
    }
    format!("{}\n\n{}", table(&totals, &[1]), table(&classes, &[]))
}

/// The confusion matrix, a row a true class.
pub(crate) fn matrix(evaluation: &Evaluation) -> String {
    let m = &evaluation.confusion;
    if m.classes() > MATRIX_CLASSES {
        return format!("confusion matrix: {} classes are too many to show; --json has it", m.classes());
    }
    let mut rows = vec![vec!["true \\ predicted".to_owned()]];
    rows[0].extend((0..m.classes()).map(|c| c.to_string()));
    for (c, name) in evaluation.classes.iter().enumerate() {
        let mut row = vec![format!("{c} {name}")];
        row.extend((0..m.classes()).map(|p| m.count(c, p).to_string()));
        rows.push(row);
    }
    table(&rows, &[])
}

/// Everything, for a program.
pub(crate) fn json(evaluation: &Evaluation) -> Value {
    let m = &evaluation.confusion;
    let [precision, recall, f1] = macros(evaluation);
    let class = |(c, name): (usize, &String)| {
        json!({
            "class": name,
            "precision": m.precision(c),
            "recall": m.recall(c),
            "f1": m.f1(c),
            "support": m.support(c),
        })
    };
    let row = |label: usize| (0..m.classes()).map(|p| m.count(label, p)).collect::<Vec<u64>>();
    json!({
        "split": evaluation.split,
        "images": m.total(),
        "loss": evaluation.loss,
        "accuracy": m.accuracy(),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
        "classes": evaluation.classes.iter().enumerate().map(class).collect::<Vec<_>>(),
        "confusion": (0..m.classes()).map(row).collect::<Vec<_>>(),
    })
}
