//! One error for whole programs: every failure of the crates below converts into it by `?`.

use std::fmt;

/// Any failure of the library.
///
/// `Debug` prints the same line as `Display`: `fn main() -> wgrad::Result<()>` then ends with a sentence to read.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Mismatched shapes, or an operation without a gradient.
    #[error(transparent)]
    Shape(#[from] wgrad_types::ShapeError),
    /// A graph without a plan on a device.
    #[error(transparent)]
    Plan(#[from] wgrad_plan::PlanError),
    /// A device, or the search for one.
    #[error(transparent)]
    Device(#[from] wgrad_device::DeviceError),
    /// Sessions, trainers, checkpoints.
    #[error(transparent)]
    Session(#[from] wgrad_session::SessionError),
    /// A model without a valid graph.
    #[error(transparent)]
    Model(#[from] wgrad_models::ModelError),
    /// A data source.
    #[cfg(feature = "data")]
    #[error(transparent)]
    Data(#[from] wgrad_data::DataError),
    /// Training, evaluation, prediction.
    #[cfg(feature = "train")]
    #[error(transparent)]
    Train(#[from] wgrad_train::TrainError),
    /// A file of the program's own.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A result with the library's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_device::{Device, Request};

    fn open(name: &str) -> Result<Device> {
        Ok(Device::open(&name.parse::<Request>()?)?.0)
    }

    #[test]
    fn error_of_a_crate_below_converts_and_prints_one_line() {
        let error = open("toaster").err().expect("no such device");
        assert!(matches!(error, Error::Device(_)));
        assert!(error.to_string().starts_with("unknown device \"toaster\""));
        assert_eq!(format!("{error:?}"), error.to_string());
    }

    #[test]
    fn error_moves_between_threads() {
        fn send<T: Send + Sync + std::error::Error>() {}
        send::<Error>();
    }
}
