//! Names of a net's parameters: shared if asked for, and refused at the caller's line.

use super::*;
use crate::{Conv, Norm};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// A panic's message and the file it was in.
fn panic_of(build: impl FnOnce() -> Tensor) -> (String, String) {
    static AT: Mutex<String> = Mutex::new(String::new());
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|info| {
        *AT.lock().expect("no panic within") =
            info.location().map(|l| l.file().to_owned()).unwrap_or_default();
    }));
    let built = catch_unwind(AssertUnwindSafe(build));
    std::panic::set_hook(before);
    let panic = built.expect_err("refused");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    let at = AT.lock().expect("no panic within").clone();
    (text, at)
}

#[test]
fn net_shares_weights_only_on_request() {
    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[4, 8, 6, 6]));
    let flat = x.mean(&[2, 3]);
    let first = net.linear("fc", &flat, 8);
    let (text, at) = panic_of(|| net.linear("fc", &flat, 8));
    assert_eq!(
        text,
        "parameter \"fc.weight\" (f32[8, 8]) is declared twice; give this layer another name, or share the weights by net.shared(|| ..)"
    );
    assert!(at.ends_with("net_tests.rs"), "{at}");
    let again = net.shared(|| net.linear("fc", &flat, 8));
    assert_eq!((again.value(), net.weights().len()), (first.value(), 2));
    for shared in [false, true] {
        let build = || net.linear("fc", &flat, 3);
        let (text, at) = panic_of(|| if shared { net.shared(build) } else { build() });
        let want = "parameter \"fc.weight\": weight f32[3, 8] here, weight f32[8, 8] before; give this layer another name";
        assert!(text == want && at.ends_with("net_tests.rs"), "{text} at {at}");
    }
    let (text, at) = panic_of(|| net.shared(|| net.linear("cf", &flat, 8)));
    let want = "parameter \"cf.weight\" is to be shared, and there is none of that name";
    assert!(text.starts_with(want) && at.ends_with("net_tests.rs"), "{text} at {at}");
    // Not asked for any more.
    panic_of(|| net.linear("fc", &flat, 8));
    net.conv2d("conv", &x, Conv::new(4, 3, 1, 0));
    net.batch_norm("norm", &x, Norm::default());
    for twice in [
        panic_of(|| net.conv2d("conv", &x, Conv::new(4, 3, 1, 0))),
        panic_of(|| net.batch_norm("norm", &x, Norm::default())),
        panic_of(|| net.weight("fc.bias", &[8], Init::Zeros)),
    ] {
        assert!(twice.0.contains("is declared twice") && twice.1.ends_with("net_tests.rs"), "{twice:?}");
    }
}

#[test]
fn net_tensor_of_another_net_panics_at_callers_line() {
    let (net, other) = (Net::new(Mode::Train), Net::new(Mode::Train));
    let x = other.input("x", Type::f32(&[4, 8]));
    let (text, at) = panic_of(|| net.linear("fc", &x, 3));
    assert!(text.contains("of another graph") && at.ends_with("net_tests.rs"), "{text} at {at}");
}
