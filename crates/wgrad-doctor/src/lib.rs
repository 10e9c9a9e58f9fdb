//! Proof that kernels compute what they should, on the machine at hand.
//!
//! A [`Row`] is an operation with arguments of an ugly shape; [`rows`] holds them all. [`examine`] checks a row's
//! gradient against central differences in f64, and runs its kernels, by every launch candidate, against the f64
//! reference. The tests and `wgrad doctor` both stand on it. [`breaks`] damages kernels on purpose, to show that the
//! damage is seen. Nothing here prints.

mod barriers;
pub mod breaks;
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
mod row;
pub mod rows;
mod run;
pub mod testing;
mod variants;

pub use barriers::check_barriers;
pub use examine::{Options, examine, examine_all};
pub use machine::{Machine, Target, targets};
pub use order::Order;
pub use prove::prove;
pub use reference::judge;
pub use report::{Failure, Form, Report, RowReport};
pub use row::{
    Arg, Built, Row, SPECIAL, build, far, holed, ints, large, peaks, real, special, spread, ties, within,
};
pub use run::{MOST_CANDIDATES, Runs, planned, run};
