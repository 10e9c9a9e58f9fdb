//! A row an operation (or a shape of it that has its own path). Shapes are ugly on purpose.

pub mod attention;
pub mod conv;
pub mod custom;
pub mod elementwise;
pub mod fused;
pub mod gather;
pub mod half;
pub mod large;
pub mod layers;
pub mod loss;
pub mod matmul;
pub mod movement;
pub mod oblong;
pub mod pool;
pub mod recurrent;
pub mod reduce;
pub mod special;

/// Declares rows: each becomes an entry of the module's `ROWS` and a test of its own. Options after the arguments:
/// `tolerance X`, `no gradient`.
macro_rules! rows {
    ($($name:ident [$($arg:expr),* $(,)?] $(tolerance $tolerance:literal)? $(no $gradient:ident)? |$x:ident| $build:expr;)*) => {
        /// The family's rows.
        pub const ROWS: &[$crate::Row] = &[$(
            $crate::Row {
                name: stringify!($name),
                args: &[$($arg),*],
                build: |$x| $build,
                tolerance: $crate::rows::or!($($tolerance)?, 2e-5),
                gradient: $crate::rows::or!($(stringify!($gradient).is_empty())?, true),
            },
        )*];

        #[cfg(test)]
        mod tests {
            $(#[test]
            fn $name() {
                let row = super::ROWS.iter().find(|r| r.name == stringify!($name)).expect("declared above");
                $crate::testing::check(row);
            })*
        }
    };
}

macro_rules! or {
    (, $default:expr) => {
        $default
    };
    ($given:expr, $default:expr) => {
        $given
    };
}

pub(crate) use {or, rows};

/// The families of rows, by name.
pub const FAMILIES: &[(&str, &[crate::Row])] = &[
    ("attention", attention::ROWS),
    ("conv", conv::ROWS),
    ("custom", custom::ROWS),
    ("elementwise", elementwise::ROWS),
    ("fused", fused::ROWS),
    ("gather", gather::ROWS),
    ("half", half::ROWS),
    ("large", large::ROWS),
    ("layers", layers::ROWS),
    ("loss", loss::ROWS),
    ("matmul", matmul::ROWS),
    ("movement", movement::ROWS),
    ("oblong", oblong::ROWS),
    ("pool", pool::ROWS),
    ("recurrent", recurrent::ROWS),
    ("reduce", reduce::ROWS),
    ("special", special::ROWS),
];

/// All rows.
pub fn all() -> Vec<&'static crate::Row> {
    FAMILIES.iter().flat_map(|f| f.1).collect()
}
