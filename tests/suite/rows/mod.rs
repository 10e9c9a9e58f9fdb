//! A row an operation (or a shape of it that has its own path). Shapes are ugly on purpose.

pub(crate) mod attention;
pub(crate) mod conv;
pub(crate) mod elementwise;
pub(crate) mod fused;
pub(crate) mod gather;
pub(crate) mod layers;
pub(crate) mod loss;
pub(crate) mod matmul;
pub(crate) mod movement;
pub(crate) mod pool;
pub(crate) mod recurrent;
pub(crate) mod reduce;

/// Declares rows: each becomes a test of its own and an entry of the module's `ROWS`. Options after the arguments:
/// `tolerance X`, `no gradient`.
macro_rules! rows {
    ($($name:ident [$($arg:expr),* $(,)?] $(tolerance $tolerance:literal)? $(no $gradient:ident)? |$x:ident| $build:expr;)*) => {
        pub(crate) const ROWS: &[wgrad_tests::Row] = &[$(
            wgrad_tests::Row {
                name: stringify!($name),
                args: &[$($arg),*],
                build: |$x| $build,
                tolerance: $crate::rows::or!($($tolerance)?, 2e-5),
                gradient: $crate::rows::or!($(stringify!($gradient).is_empty())?, true),
            },
        )*];

        $(#[test]
        fn $name() {
            let row = ROWS.iter().find(|r| r.name == stringify!($name)).expect("declared above");
            wgrad_tests::check(row);
        })*
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

/// All rows.
pub(crate) fn all() -> Vec<&'static wgrad_tests::Row> {
    [
        attention::ROWS,
        conv::ROWS,
        elementwise::ROWS,
        fused::ROWS,
        gather::ROWS,
        layers::ROWS,
        loss::ROWS,
        matmul::ROWS,
        movement::ROWS,
        pool::ROWS,
        recurrent::ROWS,
        reduce::ROWS,
    ]
    .into_iter()
    .flatten()
    .collect()
}
