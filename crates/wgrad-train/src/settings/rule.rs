//! Rules of single settings, as data: checked before a run, shown in help and documentation.

use super::value::Value;
use std::fmt;

/// Largest whole number in TOML.
const MOST: u64 = i64::MAX as u64;

/// Values allowed in a setting. Every rule allows an unset value.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// Any value of its type.
    Any,
    /// A positive number.
    Positive,
    /// 0 or more.
    NotNegative,
    /// In [0, 1).
    BelowOne,
    /// Above 0 and below 1.
    Share,
    /// Above 0 and at most this.
    UpTo(f64),
    /// At least this whole number.
    AtLeast(u64),
    /// A whole number in this range, both ends included.
    FromTo(u64, u64),
    /// One of these names.
    OneOf(fn() -> Vec<&'static str>),
    /// Text of a form that its reader knows.
    Form {
        /// Form in words.
        words: &'static str,
        /// Reader: the reason for a refusal.
        check: fn(&str) -> Result<(), String>,
    },
}

/// Words after "must be".
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => Ok(()),
            Self::Positive => f.write_str("a positive number"),
            Self::NotNegative => f.write_str("0 or more"),
            Self::BelowOne => f.write_str("in [0, 1)"),
            Self::Share => f.write_str("above 0 and below 1"),
            Self::UpTo(most) => write!(f, "above 0 and at most {most}"),
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::FromTo(least, most) => write!(f, "from {least} to {most}"),
            Self::OneOf(names) => match names()[..] {
                [one, other] => write!(f, "{one} or {other}"),
                ref names => write!(f, "one of {}", names.join(", ")),
            },
            Self::Form { words, .. } => f.write_str(words),
        }
    }
}

impl Rule {
    /// Reason for a value's refusal, without the setting's name; `None` if it is allowed.
    pub(super) fn refusal(&self, value: &Value) -> Option<String> {
        let allowed = match (self, value) {
            (_, Value::Unset) => true,
            (_, Value::Count(n)) if *n > MOST => return Some(format!("{n} must be at most {MOST}")),
            (Self::Any, _) => true,
            (Self::Positive, Value::Number(v)) => v.is_finite() && *v > 0.0,
            (Self::NotNegative, Value::Number(v)) => v.is_finite() && *v >= 0.0,
            (Self::BelowOne, Value::Number(v)) => (0.0..1.0).contains(v),
            (Self::Share, Value::Number(v)) => *v > 0.0 && *v < 1.0,
            (Self::UpTo(most), Value::Number(v)) => *v > 0.0 && v <= most,
            (Self::AtLeast(least), Value::Count(n)) => n >= least,
            (Self::FromTo(least, most), Value::Count(n)) => (least..=most).contains(&n),
            (Self::OneOf(names), Value::Text(name)) => {
                return (!names().contains(&name.as_str())).then(|| format!("unknown {name:?}: use {self}"));
            }
            (Self::Form { check, .. }, Value::Text(text)) => return check(text).err(),
            _ => false,
        };
        (!allowed).then(|| format!("{value} must be {self}"))
    }

    /// Names allowed; `None` unless the value is one of a list.
    pub fn names(&self) -> Option<Vec<&'static str>> {
        match self {
            Self::OneOf(names) => Some(names()),
            _ => None,
        }
    }
}
