//! Proof of kernels against exact references, on the machine at hand.
//!
//! A [`Case`] is an operation with arguments of an ugly shape; [`cases`] holds them all. [`examine`] checks a
//! case's gradient against central differences in f64, and runs every variant of its kernels against the f64
//! reference. Both the tests and `wgrad doctor` use it. [`breaks`] damages kernels on purpose, to show that
//! the checks notice. Nothing here prints.

mod barriers;
pub mod breaks;
mod case;
pub mod cases;
mod compare;
mod coverage;
mod examine;
mod features;
mod gradient;
mod machine;
mod order;
mod owners;
mod prove;
mod reference;
mod report;
mod run;
pub mod testing;
mod variants;

pub use barriers::check_barriers;
pub use case::{
    Arg, Built, Case, SPECIAL, build, far, holed, ints, large, peaks, real, special, spread, ties, within,
};
pub use examine::{Options, examine, examine_all};
pub use machine::{Machine, Target, targets};
pub use order::Order;
pub use prove::prove;
pub use reference::judge;
pub use report::{CaseReport, Failure, Report, VariantRun};
pub use run::{Runs, TRIED_VARIANTS, planned, run};
