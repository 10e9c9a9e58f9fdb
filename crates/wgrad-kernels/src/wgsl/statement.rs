//! Printed statements as data: names, reads and kinds, for generators to order and hoist them.

/// Kind of a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Works a coordinate out.
    Coordinate,
    /// Reads memory.
    Load,
    /// Computes.
    Compute,
    /// Writes memory.
    Store,
}

/// `let name = value;`, or a store without a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// The name defined; empty for a store.
    pub(super) name: String,
    /// The value, or the whole assignment of a store.
    pub(super) text: String,
    /// Names it depends on, of other statements and of indices.
    pub(super) reads: Vec<String>,
    pub(super) kind: Kind,
}

impl Statement {
    pub(super) fn new(kind: Kind, name: &str, text: String, reads: &[&str]) -> Self {
        let reads = reads.iter().map(|r| (*r).to_owned()).collect();
        Self { name: name.to_owned(), text, reads, kind }
    }

    /// The statement as a line.
    pub(super) fn line(&self) -> String {
        match self.kind {
            Kind::Store => format!("{};", self.text),
            _ => format!("let {} = {};", self.name, self.text),
        }
    }
}

/// Statements as lines.
pub(super) fn lines(statements: &[Statement]) -> Vec<String> {
    statements.iter().map(Statement::line).collect()
}

/// Statements invariant under the index `changing`, and the others; stores are never invariant.
pub(super) fn apart(statements: Vec<Statement>, changing: &str) -> (Vec<Statement>, Vec<Statement>) {
    let mut moving = vec![changing.to_owned()];
    statements.into_iter().partition(|s| {
        let still = s.kind != Kind::Store && !s.reads.iter().any(|r| moving.contains(r));
        if !still {
            moving.push(s.name.clone());
        }
        still
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_behind_a_changing_index_are_set_apart() {
        let of = |kind, name, reads: &[&str]| Statement::new(kind, name, "x".into(), reads);
        let all = vec![
            of(Kind::Load, "a", &["o"]),
            of(Kind::Load, "b", &["r"]),
            of(Kind::Compute, "c", &["a"]),
            of(Kind::Compute, "d", &["r2", "b"]),
            of(Kind::Compute, "e", &["r2"]),
            of(Kind::Store, "", &["a", "o"]),
        ];
        let (still, moving) = apart(all, "r");
        let names = |of: &[Statement]| of.iter().map(|s| s.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&still), ["a", "c", "e"]);
        assert_eq!(names(&moving), ["b", "d", ""]);
    }

    #[test]
    fn line_names_a_value_or_stores() {
        assert_eq!(Statement::new(Kind::Load, "a", "x0[o]".into(), &["o"]).line(), "let a = x0[o];");
        assert_eq!(Statement::new(Kind::Store, "", "y0[o] = a".into(), &["a"]).line(), "y0[o] = a;");
    }
}
