//! Results of an evaluation as tables and as JSON.

use crate::output::{count, percent, table};
use serde_json::{Value, json};
use wgrad_nn::ConfusionMatrix;
use wgrad_train::{Evaluation, Scores};

/// Maximum number of classes of a printed confusion matrix.
const MATRIX_CLASSES: usize = 20;

/// Mean precision, recall and F1 over the occurring classes.
fn macros(m: &ConfusionMatrix) -> [f64; 3] {
    [m.macro_precision(), m.macro_recall(), m.macro_f1()]
}

/// Figures of the whole split, then of each class.
pub(crate) fn text(evaluation: &Evaluation) -> String {
    let split = &evaluation.split;
    let total = |name: &str, value: String| vec![name.to_owned(), value];
    let right = |unit| format!("{} of {} {unit}", percent(evaluation.accuracy()), count(evaluation.count()));
    let loss = total(&format!("{split} loss"), format!("{:.4}", evaluation.loss));
    if let Scores::Pictures { what, .. } = &evaluation.scores {
        let pictures = format!("{} of {} images", percent(evaluation.accuracy()), count(evaluation.count()));
        return table(&[loss, total(&format!("{split} {what}"), pictures)], &[1]);
    }
    let Scores::Classes { names, confusion: m, pixels } = &evaluation.scores else {
        let perplexity = evaluation.perplexity().unwrap_or(f64::NAN);
        let totals = [
            loss,
            total(&format!("{split} perplexity"), format!("{perplexity:.3}")),
            total(&format!("{split} accuracy"), right("tokens")),
        ];
        return table(&totals, &[1]);
    };
    let [precision, recall, f1] = macros(m);
    let mut totals = vec![
        total(&format!("{split} accuracy"), right(if *pixels { "pixels" } else { "images" })),
        loss,
        total("macro precision", format!("{precision:.4}")),
        total("macro recall", format!("{recall:.4}")),
        total("macro F1", format!("{f1:.4}")),
    ];
    if *pixels {
        totals.push(total("mean IoU", format!("{:.4}", m.mean_iou())));
    }
    let mut classes = vec![["class", "precision", "recall", "F1", "support"].map(str::to_owned).to_vec()];
    for (c, name) in names.iter().enumerate() {
        let share = |v: f64| if m.occurs(c) { format!("{v:.4}") } else { "-".into() };
        let support = count(m.support(c));
        classes.push(vec![name.clone(), share(m.precision(c)), share(m.recall(c)), share(m.f1(c)), support]);
    }
    format!("{}\n\n{}", table(&totals, &[1]), table(&classes, &[]))
}

/// Confusion matrix with one row per true class; `None` without classes.
pub(crate) fn matrix(evaluation: &Evaluation) -> Option<String> {
    let Scores::Classes { names, confusion: m, .. } = &evaluation.scores else { return None };
    if m.classes() > MATRIX_CLASSES {
        let why = "are too many to print; use --json";
        return Some(format!("confusion matrix: {} classes {why}", m.classes()));
    }
    let mut rows = vec![vec!["true \\ predicted".to_owned()]];
    rows[0].extend((0..m.classes()).map(|c| c.to_string()));
    for (c, name) in names.iter().enumerate() {
        let mut row = vec![format!("{c} {name}")];
        row.extend((0..m.classes()).map(|p| m.count(c, p).to_string()));
        rows.push(row);
    }
    Some(table(&rows, &[]))
}

/// Warnings about a classifier, one line each: no better than a constant answer, or classes never predicted.
pub(crate) fn doubts(evaluation: &Evaluation) -> Vec<String> {
    let Scores::Classes { names, confusion: m, .. } = &evaluation.scores else { return Vec::new() };
    let there: Vec<usize> = (0..m.classes()).filter(|&c| m.support(c) > 0).collect();
    let Some(&most) = there.iter().rev().max_by_key(|&&c| m.support(c)) else { return Vec::new() };
    let (total, accuracy) = (m.total() as f64, m.accuracy());
    let share = m.support(most) as f64 / total;
    // Two standard deviations above chance, given enough samples for the normal approximation.
    let chance = share + 2.0 * (share * (1.0 - share) / total).sqrt();
    let enough = total * share.min(1.0 - share) >= 5.0;
    // A classifier avoiding half of the constant answer's mistakes is well above chance.
    let far = 1.0 - accuracy <= (1.0 - share) / 2.0;
    let mut told = Vec::new();
    if there.len() > 1 && enough && !far && accuracy < chance {
        told.push(format!(
            "an accuracy of {} is {} always predicting {} ({}): train longer, or try another --lr",
            percent(accuracy),
            if accuracy < share { "worse than" } else { "hardly better than" },
            names[most],
            percent(share)
        ));
    }
    let never: Vec<&str> =
        there.iter().filter(|&&c| m.predicted(c) == 0).map(|&c| names[c].as_str()).collect();
    let shown = never.len().min(5);
    let more = if shown < never.len() { format!(" and {} more", never.len() - shown) } else { String::new() };
    if !never.is_empty() {
        told.push(format!("never predicted: {}{more}", never[..shown].join(", ")));
    }
    told
}

/// All figures as JSON.
pub(crate) fn json(evaluation: &Evaluation) -> Value {
    if let Scores::Pictures { share, .. } = &evaluation.scores {
        return json!({
            "split": evaluation.split,
            "images": evaluation.count(),
            "loss": evaluation.loss,
            "accuracy": share,
        });
    }
    let Scores::Classes { names, confusion: m, pixels } = &evaluation.scores else {
        return json!({
            "split": evaluation.split,
            "tokens": evaluation.count(),
            "loss": evaluation.loss,
            "perplexity": evaluation.perplexity(),
            "accuracy": evaluation.accuracy(),
        });
    };
    let [precision, recall, f1] = macros(m);
    let class = |(c, name): (usize, &String)| {
        let share = |v: f64| m.occurs(c).then_some(v);
        json!({
            "class": name,
            "precision": share(m.precision(c)),
            "recall": share(m.recall(c)),
            "f1": share(m.f1(c)),
            "support": m.support(c),
        })
    };
    let row = |label: usize| (0..m.classes()).map(|p| m.count(label, p)).collect::<Vec<u64>>();
    let mut value = json!({
        "split": evaluation.split,
        "loss": evaluation.loss,
        "accuracy": m.accuracy(),
        "macro_precision": precision,
        "macro_recall": recall,
        "macro_f1": f1,
        "classes": names.iter().enumerate().map(class).collect::<Vec<_>>(),
        "confusion": (0..m.classes()).map(row).collect::<Vec<_>>(),
    });
    value[if *pixels { "pixels" } else { "images" }] = json!(m.total());
    if *pixels {
        value["mean_iou"] = json!(m.mean_iou());
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Evaluation of seven cats, two dogs, an owl and no fox.
    fn lopsided(pixels: bool) -> Evaluation {
        let names = ["cat", "dog", "owl", "fox"].map(str::to_owned).to_vec();
        let mut confusion = ConfusionMatrix::new(4);
        for (label, told, times) in [(0, 0, 4), (0, 1, 2), (0, 2, 1), (1, 1, 1), (1, 2, 1), (2, 0, 1)] {
            (0..times).for_each(|_| confusion.add(label, told));
        }
        Evaluation { loss: 1.25, split: "test".into(), scores: Scores::Classes { names, confusion, pixels } }
    }

    /// Words per line; empty lines are left out.
    fn words(text: &str) -> Vec<Vec<&str>> {
        let lines = text.lines().map(|l| l.split_whitespace().collect::<Vec<_>>());
        lines.filter(|l| !l.is_empty()).collect()
    }

    #[test]
    fn report_of_unbalanced_classes_matches_figures_by_hand() {
        let told = text(&lopsided(true));
        let want = "
            test accuracy 50.0 % of 10 pixels
            test loss 1.2500
            macro precision 0.3778
            macro recall 0.3571
            macro F1 0.3556
            mean IoU 0.2500
            class precision recall F1 support
            cat 0.8000 0.5714 0.6667 7
            dog 0.3333 0.5000 0.4000 2
            owl 0.0000 0.0000 0.0000 1
            fox - - - 0";
        assert_eq!(words(&told), words(want), "{told}");
        assert!(!text(&lopsided(false)).contains("IoU"), "no IoU for whole images");
        let told = matrix(&lopsided(false)).expect("a matrix");
        let want = "
            true \\ predicted 0 1 2 3
            0 cat 4 2 1 0
            1 dog 0 1 1 0
            2 owl 1 0 0 0
            3 fox 0 0 0 0";
        assert_eq!(words(&told), words(want), "{told}");
        let found = json(&lopsided(true));
        assert_eq!(found["confusion"], json!([[4, 2, 1, 0], [0, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]));
        let near =
            |value: &Value, want: f64| assert!((value.as_f64().expect("a number") - want).abs() < 1e-12);
        near(&found["accuracy"], 0.5);
        near(&found["loss"], 1.25);
        near(&found["macro_precision"], (4.0 / 5.0 + 1.0 / 3.0) / 3.0);
        near(&found["macro_recall"], (4.0 / 7.0 + 1.0 / 2.0) / 3.0);
        near(&found["macro_f1"], (2.0 / 3.0 + 2.0 / 5.0) / 3.0);
        near(&found["mean_iou"], (1.0 / 2.0 + 1.0 / 4.0) / 3.0);
        near(&found["classes"][0]["precision"], 4.0 / 5.0);
        near(&found["classes"][0]["recall"], 4.0 / 7.0);
        near(&found["classes"][1]["f1"], 2.0 / 5.0);
        assert_eq!((&found["pixels"], &found["classes"][3]["f1"]), (&json!(10), &Value::Null));
    }

    #[test]
    fn report_of_tokens_and_images_matches_figures_by_hand() {
        let scores = Scores::Tokens { count: 1200, correct: 300 };
        let told = Evaluation { loss: 2.0, split: "validation".into(), scores };
        let want = "
            validation loss 2.0000
            validation perplexity 7.389
            validation accuracy 25.0 % of 1,200 tokens";
        assert_eq!(words(&text(&told)), words(want));
        let found = json(&told);
        assert!((found["perplexity"].as_f64().expect("a number") - 2f64.exp()).abs() < 1e-12);
        assert_eq!((&found["accuracy"], &found["tokens"]), (&json!(0.25), &json!(1200)));
        assert!(matrix(&told).is_none());
        let scores = Scores::Pictures { count: 40, share: 0.875, what: "explained variance" };
        let told = Evaluation { loss: 0.5, split: "test".into(), scores };
        assert_eq!(
            words(&text(&told)),
            words("test loss 0.5000\n test explained variance 87.5 % of 40 images")
        );
        assert_eq!((&json(&told)["accuracy"], &json(&told)["images"]), (&json!(0.875), &json!(40)));
    }

    #[test]
    fn chance_accuracy_and_never_predicted_classes_are_reported() {
        let names = ["cat", "dog", "owl"].map(str::to_owned).to_vec();
        let told = |counts: &[(usize, usize, usize)]| {
            let mut confusion = ConfusionMatrix::new(3);
            for &(label, prediction, times) in counts {
                (0..times).for_each(|_| confusion.add(label, prediction));
            }
            let scores = Scores::Classes { names: names.clone(), confusion, pixels: false };
            doubts(&Evaluation { loss: 1.0, split: "test".into(), scores })
        };
        let all_dog = told(&[(0, 1, 50), (1, 1, 60), (2, 1, 40)]);
        assert!(all_dog[0].contains("hardly better than always predicting dog (40.0 %)"), "{all_dog:?}");
        assert_eq!(all_dog[1], "never predicted: cat, owl");
        let worse = told(&[(0, 1, 50), (1, 0, 50), (1, 1, 10)]);
        assert!(worse[0].contains("is worse than always predicting dog"), "{worse:?}");
        assert_eq!(told(&[(0, 0, 50), (1, 1, 60), (2, 1, 10)]), ["never predicted: owl"]);
        let none: [&str; 0] = [];
        assert_eq!(told(&[(0, 0, 50), (1, 1, 60), (2, 2, 10)]), none);
        assert_eq!(told(&[(1, 1, 60)]), none, "data of one class");
        assert_eq!(told(&[(0, 0, 2), (1, 1, 2)]), none, "few samples, all correct");
        assert_eq!(told(&[(0, 1, 1), (1, 0, 1), (0, 0, 1), (1, 1, 1)]), none, "too few samples to judge");
    }
}
