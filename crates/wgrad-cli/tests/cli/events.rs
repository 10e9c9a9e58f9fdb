//! Events of the library on standard error, and misspelt variables.

use crate::fixture::{Place, SHORT};

fn stderr(vars: &[(&str, &str)]) -> String {
    let place = Place::new();
    let args = [&SHORT[..], &["fashion-mini", "--out", "run"]].concat();
    let output = place.wgrad(&args).envs(vars.iter().copied()).output().expect("the program runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn log_variable_shows_device_plan_and_checkpoint() {
    assert!(!stderr(&[]).contains("INFO"), "silent by default");
    let said = stderr(&[("WGRAD_LOG", "info")]);
    for event in ["device cpu: native CPU", "planned nodes=", "checkpoint saved tensors="] {
        assert!(said.contains(event), "no {event:?} in {said}");
    }
    assert!(!stderr(&[("WGRAD_LOG", "wgrad_device=info")]).contains("planned"), "by crate");
    for wrong in ["inof", "wgrad=loud"] {
        let said = stderr(&[("WGRAD_LOG", wrong)]);
        assert!(said.starts_with(&format!("warning: WGRAD_LOG={wrong} is no level")), "{said}");
        assert!(said.contains("planned"), "info is shown: {said}");
    }
}

#[test]
fn unknown_variable_is_warned_of_once() {
    let said = stderr(&[("WGRAD_DEVISE", "gpu")]);
    let warning = "warning: WGRAD_DEVISE is no variable of wgrad's; docs/variables.md lists them";
    assert_eq!(said.lines().filter(|line| line.contains("DEVISE")).collect::<Vec<_>>(), [warning]);
}
