//! Values of settings: one type for all, and conversions from and to the fields of a configuration.

use std::fmt;

/// Value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: the source or the model decides.
    Unset,
    /// On or off.
    Switch(bool),
    /// Whole number.
    Count(u64),
    /// Number.
    Number(f64),
    /// Name, path or list.
    Text(String),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => Ok(()),
            Self::Switch(on) => on.fmt(f),
            Self::Count(n) => n.fmt(f),
            Self::Number(n) => n.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// Kind of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// On or off.
    Switch,
    /// Whole number, 0 or more.
    Count,
    /// Number.
    Number,
    /// Name, path or list.
    Text,
}

impl Sort {
    /// Value of a text.
    ///
    /// # Errors
    /// If the text has another type: the reason, without the text.
    pub fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Self::Switch => text.parse().map(Value::Switch).map_err(|e| e.to_string()),
            Self::Count => text.parse().map(Value::Count).map_err(|e| e.to_string()),
            Self::Number => text.parse().map(Value::Number).map_err(|e| e.to_string()),
            Self::Text => Ok(Value::Text(text.to_owned())),
        }
    }
}

/// Type of a setting's field.
pub(super) trait Field: Sized {
    /// Form of the type in the table of settings.
    type Literal;
    /// Kind of its values.
    const SORT: Sort;

    fn of_literal(literal: Self::Literal) -> Self;
    fn value(&self) -> Value;
    /// Field of a value; `None` for a value of another kind, or out of the type's range.
    fn of_value(value: Value) -> Option<Self>;
}

/// Implements [`Field`] for a type by its kind, its form in the table, and both conversions.
macro_rules! field {
    ($type:ty, $sort:ident, $literal:ty, $of:expr, $value:expr, $back:expr) => {
        impl Field for $type {
            type Literal = $literal;
            const SORT: Sort = Sort::$sort;

            fn of_literal(literal: $literal) -> Self {
                $of(literal)
            }
            fn value(&self) -> Value {
                Value::$sort($value(self))
            }
            fn of_value(value: Value) -> Option<Self> {
                match value {
                    Value::$sort(value) => $back(value),
                    _ => None,
                }
            }
        }
    };
}

field!(bool, Switch, bool, |v| v, |v: &bool| *v, Some);
field!(u64, Count, u64, |v| v, |v: &u64| *v, Some);
field!(usize, Count, usize, |v| v, |v: &usize| *v as u64, |v: u64| usize::try_from(v).ok());
field!(f64, Number, f64, |v| v, |v: &f64| *v, Some);
field!(String, Text, &'static str, String::from, String::clone, Some);

impl<T: Field> Field for Option<T> {
    type Literal = Option<T::Literal>;
    const SORT: Sort = T::SORT;

    fn of_literal(literal: Self::Literal) -> Self {
        literal.map(T::of_literal)
    }
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Unset, T::value)
    }
    fn of_value(value: Value) -> Option<Self> {
        match value {
            Value::Unset => Some(None),
            value => T::of_value(value).map(Some),
        }
    }
}
