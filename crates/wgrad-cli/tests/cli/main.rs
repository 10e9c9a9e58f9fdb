//! The command line as its users meet it: the real program, its output, its files, its refusals.

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
