//! Values of the constant expressions in shaders' headers and loop bounds: `+ - * / %`, brackets, `min`, `max`,
//! `select`, one comparison; truth is 1.

use std::collections::BTreeMap;

/// The value of an expression over `u32` literals and known names; `None` if it has anything else in it.
pub(crate) fn evaluate(text: &str, known: &BTreeMap<String, i64>) -> Option<i64> {
    let mut parser = Parser { rest: text, known };
    let value = parser.comparison()?;
    parser.rest.trim().is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
    known: &'a BTreeMap<String, i64>,
}

impl Parser<'_> {
    fn taken(&mut self, mark: &str) -> bool {
        let rest = self.rest.trim_start().strip_prefix(mark);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn comparison(&mut self) -> Option<i64> {
        let a = self.sum()?;
        let holds = if self.taken("!=") {
            a != self.sum()?
        } else if self.taken("==") {
            a == self.sum()?
        } else if self.taken("<") {
            a < self.sum()?
        } else if self.taken(">") {
            a > self.sum()?
        } else {
            return Some(a);
        };
        Some(i64::from(holds))
    }

    fn sum(&mut self) -> Option<i64> {
        let mut value = self.product()?;
        loop {
            if self.taken("+") {
                value += self.product()?;
            } else if self.taken("-") {
                value -= self.product()?;
            } else {
                return Some(value);
            }
        }
    }

    fn product(&mut self) -> Option<i64> {
        let mut value = self.unit()?;
        loop {
            if self.taken("*") {
                value *= self.unit()?;
            } else if self.taken("/") {
                value = value.checked_div(self.unit()?)?;
            } else if self.taken("%") {
                value = value.checked_rem_euclid(self.unit()?)?;
            } else {
                return Some(value);
            }
        }
    }

    fn unit(&mut self) -> Option<i64> {
        if self.taken("(") {
            let value = self.sum()?;
            return self.taken(")").then_some(value);
        }
        let rest = self.rest.trim_start();
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        self.rest = after;
        match word {
            "true" | "false" => Some(i64::from(word == "true")),
            "min" | "max" => {
                let (a, b) = (self.taken("(").then(|| self.sum())??, self.taken(",").then(|| self.sum())??);
                self.taken(")").then_some(if word == "min" { a.min(b) } else { a.max(b) })
            }
            "select" => {
                let no = self.taken("(").then(|| self.sum())??;
                let yes = self.taken(",").then(|| self.sum())??;
                let condition = self.taken(",").then(|| self.comparison())??;
                self.taken(")").then_some(if condition == 1 { yes } else { no })
            }
            _ => match word.strip_suffix('u').and_then(|n| n.parse().ok()) {
                Some(literal) => Some(literal),
                None => self.known.get(word).copied(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_have_the_values_of_wgsl() {
        let known = BTreeMap::from([("N".to_owned(), 7), ("ROWS".to_owned(), 16)]);
        for (text, value) in [
            ("4u", Some(4)),
            ("N / 2u * 2u + N % 2u", Some(7)),
            ("(N + 1u) * (ROWS - 14u)", Some(16)),
            ("min(N, ROWS / 4u)", Some(4)),
            ("max(1u, N - 6u)", Some(1)),
            ("M", None),
            ("N / 0u", None),
            ("N +", None),
            ("4", None),
            ("N % 4u != 0u", Some(1)),
            ("ROWS > 16u", Some(0)),
            ("(N - 8u) % 2u", Some(1)),
            ("true", Some(1)),
            ("select(1u, 4u, N > 3u) * 2u", Some(8)),
        ] {
            assert_eq!(evaluate(text, &known), value, "{text}");
        }
    }
}
