//! The device's promises, checked from outside on the software adapter and on the CPU. The adapter is
//! required: a machine without one fails these tests.

mod failures;
mod fixture;
mod opening;
mod running;
