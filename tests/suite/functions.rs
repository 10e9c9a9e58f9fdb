//! Accuracy of functions missing in WGSL, in units in the last place.

use wgrad_graph::Builder;
use wgrad_graph::ops::UnaryKind;
use wgrad_session::Session;
use wgrad_tests::gpu;
use wgrad_types::{AdapterClass, HostTensor, Type};

fn erf(x: &[f32]) -> Vec<f32> {
    let b = Builder::new();
    let input = b.input("x", Type::f32(&[x.len()]));
    b.output("erf", &input.erf());
    let (mut session, mut runner) = Session::new(&gpu(), &b.graph(), &Vec::new(), 0).expect("a plan");
    let values = HostTensor::f32(&[x.len()], x);
    runner.step(&mut session, 0, &[("x", &values)], &[]).expect("a step");
    let found = runner.wait().expect("results").expect("a step is under way");
    found.get("erf").as_f32().to_vec()
}

#[test]
fn erf_is_within_7_ulp() {
    // WGSL lets a division stray by two and a half; software adapters divide as the processor does.
    let division = if gpu().caps().class == AdapterClass::Software { 0.0 } else { 2.5 };
    // From -5 to 5, evenly.
    let x: Vec<f32> = (0..=65_535u16).map(|i| (f32::from(i) / 65_535.0 - 0.5) * 10.0).collect();
    let units = |(x, y): (&f32, f32)| {
        let exact = UnaryKind::Erf.eval(f64::from(*x));
        let unit = f64::from((exact.abs() as f32).next_up() - exact.abs() as f32);
        (f64::from(y) - exact).abs() / unit
    };
    let worst = x.iter().zip(erf(&x)).map(units).fold(0.0, f64::max);
    assert!(worst <= 7.0 + division, "{worst} units");
    for (y, end) in
        erf(&[4.0, 100.0, f32::MAX, -4.0, -100.0, f32::MIN]).iter().zip([1.0f32, 1.0, 1.0, -1.0, -1.0, -1.0])
    {
        let stray = f64::from((y - end).abs()) / f64::from(f32::EPSILON);
        assert!(stray <= division, "{y} for {end}");
    }
}
