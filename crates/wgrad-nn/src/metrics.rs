//! Quality of a classifier's predictions.

/// Counts of (label, prediction) pairs and the figures drawn from them, as scikit-learn defines them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// An empty matrix.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Counts a prediction; numbers outside the classes are ignored.
    pub fn add(&mut self, label: usize, prediction: usize) {
        if label < self.classes && prediction < self.classes {
            self.counts[label * self.classes + prediction] += 1;
        }
    }

    /// Number of samples of `label` predicted as `prediction`.
    pub fn count(&self, label: usize, prediction: usize) -> u64 {
        self.counts[label * self.classes + prediction]
    }

    /// Predictions counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn hits(&self, class: usize) -> u64 {
        self.count(class, class)
    }

    /// Number of samples of a class.
    pub fn support(&self, class: usize) -> u64 {
        (0..self.classes).map(|p| self.count(class, p)).sum()
    }

    /// Number of predictions of a class.
    pub fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|l| self.count(l, class)).sum()
    }

    /// Share of right predictions; 0 of nothing.
    pub fn accuracy(&self) -> f64 {
        ratio((0..self.classes).map(|c| self.hits(c)).sum(), self.total())
    }

    /// Share of correct ones among predictions of `class`; 0 if there are none.
    pub fn precision(&self, class: usize) -> f64 {
        ratio(self.hits(class), self.predicted(class))
    }

    /// Share of correct predictions among samples of `class`; 0 if there are none.
    pub fn recall(&self, class: usize) -> f64 {
        ratio(self.hits(class), self.support(class))
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.hits(class), self.support(class) + self.predicted(class))
    }

    /// Intersection over union of samples and predictions of `class` (Jaccard); 0 if there are none.
    pub fn iou(&self, class: usize) -> f64 {
        ratio(self.hits(class), self.support(class) + self.predicted(class) - self.hits(class))
    }

    /// True if a class occurs among labels or predictions; otherwise its figures are meaningless.
    pub fn occurs(&self, class: usize) -> bool {
        self.support(class) + self.predicted(class) > 0
    }

    /// Mean over occurring classes, like scikit-learn's `average="macro"`; 0 if there are none.
    fn mean(&self, figure: impl Fn(usize) -> f64) -> f64 {
        let occurring: Vec<usize> = (0..self.classes).filter(|&c| self.occurs(c)).collect();
        occurring.iter().map(|&c| figure(c)).sum::<f64>() / occurring.len().max(1) as f64
    }

    /// Mean intersection over union over classes occurring among labels or predictions.
    pub fn mean_iou(&self) -> f64 {
        self.mean(|c| self.iou(c))
    }

    /// Mean precision ("macro") over occurring classes.
    pub fn macro_precision(&self) -> f64 {
        self.mean(|c| self.precision(c))
    }

    /// Mean recall ("macro") over occurring classes.
    pub fn macro_recall(&self) -> f64 {
        self.mean(|c| self.recall(c))
    }

    /// Mean F1 ("macro") over occurring classes.
    pub fn macro_f1(&self) -> f64 {
        self.mean(|c| self.f1(c))
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusion_metrics_of_known_matrix() {
        let mut m = ConfusionMatrix::new(3);
        for (label, prediction) in
            [(0, 0), (0, 0), (0, 1), (1, 1), (1, 1), (2, 0), (2, 2), (2, 2), (2, 2), (9, 0)]
        {
            m.add(label, prediction);
        }
        assert_eq!(m.total(), 9);
        assert!((m.accuracy() - 7.0 / 9.0).abs() < 1e-12);
        assert!((m.precision(0) - 2.0 / 3.0).abs() < 1e-12 && (m.recall(0) - 2.0 / 3.0).abs() < 1e-12);
        assert!((m.precision(1) - 2.0 / 3.0).abs() < 1e-12 && (m.recall(1) - 1.0).abs() < 1e-12);
        assert!((m.f1(1) - 0.8).abs() < 1e-12 && (m.f1(2) - 6.0 / 7.0).abs() < 1e-12);
        assert!((m.iou(0) - 2.0 / 4.0).abs() < 1e-12 && (m.iou(2) - 3.0 / 4.0).abs() < 1e-12);
        assert!((m.mean_iou() - (2.0 / 4.0 + 2.0 / 3.0 + 3.0 / 4.0) / 3.0).abs() < 1e-12);
        assert!((m.macro_f1() - (2.0 / 3.0 + 0.8 + 6.0 / 7.0) / 3.0).abs() < 1e-12);
        assert_eq!(ConfusionMatrix::new(2).accuracy(), 0.0);
    }

    /// As scikit-learn's `f1_score(average="macro")`: its labels are those of both lists together.
    #[test]
    fn confusion_means_skip_absent_classes() {
        let mut m = ConfusionMatrix::new(3);
        m.add(0, 0);
        m.add(2, 2);
        assert!(m.occurs(0) && !m.occurs(1));
        let means = [m.macro_f1(), m.macro_precision(), m.macro_recall(), m.mean_iou()];
        assert_eq!(means, [1.0; 4], "a perfect model on data without a class");
        // Predicted but never true: it counts as 0.
        m.add(0, 1);
        assert!((m.macro_f1() - (2.0 / 3.0 + 0.0 + 1.0) / 3.0).abs() < 1e-12);
        assert!((m.mean_iou() - (0.5 + 0.0 + 1.0) / 3.0).abs() < 1e-12);
        assert_eq!(ConfusionMatrix::new(2).macro_f1(), 0.0);
    }
}
