//! Tensors of two graphs, and names with two meanings, are refused at the caller's line.

use crate::{Builder, Role, Tensor, differentiate};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use wgrad_types::Type;

thread_local! {
    static AT: RefCell<(String, u32)> = const { RefCell::new((String::new(), 0)) };
}

/// A panic's message and whether it was in this file.
fn panic_of(build: impl FnOnce()) -> (String, bool) {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let at = info.location().map(|l| (l.file().to_owned(), l.line())).unwrap_or_default();
            AT.with(|here| here.replace(at));
            before(info);
        }));
    });
    let panic = catch_unwind(AssertUnwindSafe(build)).expect_err("refused");
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    (text, AT.with(|at| at.borrow().0.ends_with("identity_tests.rs")))
}

fn two() -> (Builder, Tensor, Tensor) {
    let (b, other) = (Builder::new(), Builder::new());
    let x = b.input("x", Type::f32(&[3, 3]));
    (b, x, other.param("p", &[3, 3], Role::Weight))
}

#[test]
fn tensors_of_two_graphs_panic_at_callers_line() {
    type Case = (&'static str, fn(&Builder, &Tensor, &Tensor));
    let cases: &[Case] = &[
        ("add", |_, x, p| drop(x + p)),
        ("add", |_, x, p| drop(p + x)),
        ("mul", |_, x, p| drop(x.clone() * p.narrow(0, 0, 1))),
        ("maximum", |_, x, p| drop(x.maximum(p))),
        ("lt", |_, x, p| drop(x.lt(p))),
        ("matmul", |_, x, p| drop(x.matmul(p))),
        ("select", |_, x, p| drop(x.gt(&x.zeros_like()).select(x, p))),
        ("select", |_, x, p| drop(p.gt(&p.zeros_like()).select(x, x))),
        ("concat", |_, x, p| drop(Tensor::concat(&[x, x, p], 0))),
        ("concat", |_, x, p| drop(Tensor::concat(&[x, x, x, x, x, p], 1))),
        ("stack", |_, x, p| drop(Tensor::stack(&[x, p], 0))),
        ("mse_loss", |_, x, p| drop(x.mse_loss(p))),
        ("linear", |_, x, p| drop(x.linear(x, Some(&p.narrow(0, 0, 1).reshape(&[3]))))),
        ("differentiate", |_, x, p| drop(differentiate(&x.mean_all(), std::slice::from_ref(p)))),
        ("output", |b, _, p| b.output("y", p)),
        ("keep", |b, _, p| b.keep(p)),
        ("pending", |b, _, p| drop(b.pending(p))),
        ("update", |b, x, p| b.update(&[(p, x)])),
    ];
    for (op, case) in cases {
        let (b, x, p) = two();
        let (text, here) = panic_of(|| case(&b, &x, &p));
        assert!(here, "{op}: {text} is not at the caller's line");
        assert!(text.contains("of another graph; make all operands with one Builder or Net"), "{op}: {text}");
    }
    let (_, x, p) = two();
    let (text, _) = panic_of(|| drop(&x + &p));
    assert_eq!(
        text,
        "add: parameter \"p\" f32[3, 3] is of another graph; make all operands with one Builder or Net"
    );
}

#[test]
fn leaf_name_used_twice_is_refused() {
    let b = Builder::new();
    let x = b.input("x", Type::f32(&[2]));
    let s = b.scalar("s");
    assert_eq!(b.scalar("s").value(), s.value(), "the same scalar again is the same");
    let w = b.param("w", &[2], Role::Weight);
    assert_eq!(b.param("w", &[2], Role::Weight).value(), w.value(), "the same parameter again is the same");
    b.param("w", &[5], Role::State);
    type Case = (fn(&Builder), &'static str);
    let cases: &[Case] = &[
        (
            |b| drop(b.input("x", Type::f32(&[2]))),
            "input f32[2] \"x\" is declared twice; use the first one's tensor",
        ),
        (
            |b| drop(b.input("x", Type::f32(&[3]))),
            "name \"x\": input f32[3] here, input f32[2] before; give one",
        ),
        (|b| drop(b.scalar("x")), "name \"x\": scalar here, input f32[2] before"),
        (|b| drop(b.input("s", Type::f32(&[]))), "name \"s\": input f32[] here, scalar before"),
        (|b| drop(b.param("w", &[3], Role::Weight)), "name \"w\": weight f32[3] here, weight f32[2] before"),
        (|b| drop(b.param("w", &[2], Role::Buffer)), "name \"w\": buffer f32[2] here, weight f32[2] before"),
    ];
    for (case, want) in cases {
        let (text, here) = panic_of(|| case(&b));
        assert!(here && text.starts_with(want), "{text}");
    }
    b.output("y", &x);
    b.output("y", &x);
    let (text, here) = panic_of(|| b.output("y", &(&x + 1.0)));
    assert!(here && text.contains("the name \"y\" is another result's"), "{text}");
}
