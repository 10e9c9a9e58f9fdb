//! Tests of the command line with the real program: its output, its files, its error messages.

mod events;
mod examining;
mod fixture;
mod generative;
mod guessing;
mod inspecting;
mod interrupting;
mod judging;
mod keeping;
mod predicting;
mod refusing;
mod resuming;
mod segmenting;
mod timing;
mod training;
mod tuning;
mod writing;
