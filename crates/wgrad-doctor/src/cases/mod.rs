//! One case per operation, or per shape with its own code path. Shapes are ugly on purpose.

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

/// Declares cases: each becomes an entry of the module's `CASES` and a test of its own. Options after the arguments:
/// `tolerance X`, `no gradient`.
macro_rules! cases {
    ($($name:ident [$($arg:expr),* $(,)?] $(tolerance $tolerance:literal)? $(no $gradient:ident)? |$x:ident| $build:expr;)*) => {
        /// The family's cases.
        pub const CASES: &[$crate::Case] = &[$(
            $crate::Case {
                name: stringify!($name),
                args: &[$($arg),*],
                build: |$x| $build,
                tolerance: $crate::cases::or!($($tolerance)?, 2e-5),
                gradient: $crate::cases::or!($(stringify!($gradient).is_empty())?, true),
            },
        )*];

        #[cfg(test)]
        mod tests {
            $(#[test]
            fn $name() {
                let case = super::CASES.iter().find(|r| r.name == stringify!($name)).expect("declared above");
                $crate::testing::check(case);
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

pub(crate) use {cases, or};

/// The families of cases, by name.
pub const FAMILIES: &[(&str, &[crate::Case])] = &[
    ("attention", attention::CASES),
    ("conv", conv::CASES),
    ("custom", custom::CASES),
    ("elementwise", elementwise::CASES),
    ("fused", fused::CASES),
    ("gather", gather::CASES),
    ("half", half::CASES),
    ("large", large::CASES),
    ("layers", layers::CASES),
    ("loss", loss::CASES),
    ("matmul", matmul::CASES),
    ("movement", movement::CASES),
    ("oblong", oblong::CASES),
    ("pool", pool::CASES),
    ("recurrent", recurrent::CASES),
    ("reduce", reduce::CASES),
    ("special", special::CASES),
];

/// All cases.
pub fn all() -> Vec<&'static crate::Case> {
    FAMILIES.iter().flat_map(|f| f.1).collect()
}
