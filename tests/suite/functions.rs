//! Functions of the adapter's kernels that we write ourselves, in units of the last place; and maps of one load, which
//! software adapters take two quads a trip where there are many, by the same bits as few.

use wgrad_graph::Builder;
use wgrad_graph::ops::UnaryKind;
use wgrad_session::Session;
use wgrad_tests::gpu;
use wgrad_types::{HostTensor, Type};

/// Enough for two quads a trip, the last workgroup's share not full.
const MANY: usize = 65_600;

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

/// From -5 to 5, evenly.
fn arguments() -> Vec<f32> {
    (0..MANY).map(|i| (i as f32 / (MANY - 1) as f32 - 0.5) * 10.0).collect()
}

#[test]
fn erf_is_within_eight_units_in_the_last_place_and_ends_at_one() {
    let x = arguments();
    let units = |(x, y): (&f32, f32)| {
        let exact = UnaryKind::Erf.eval(f64::from(*x));
        let unit = f64::from((exact.abs() as f32).next_up() - exact.abs() as f32);
        (f64::from(y) - exact).abs() / unit
    };
    let worst = x.iter().zip(erf(&x)).map(units).fold(0.0, f64::max);
    // Seven by its own roundings; an adapter whose division strays may need all of the eighth.
    assert!(worst <= 8.0, "{worst} units");
    let ends = erf(&[4.0, 100.0, f32::MAX, -4.0, -100.0, f32::MIN]);
    let right = ends.iter().zip([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]);
    assert!(right.clone().all(|(y, end): (&f32, f32)| (y - end).abs() <= 3e-7), "{ends:?}");
}

#[test]
fn two_quads_a_trip_give_the_bits_of_one() {
    let x = arguments();
    let (many, few) = (erf(&x), x.chunks(16_400).flat_map(erf));
    assert!(many.iter().zip(few).all(|(a, b)| a.to_bits() == b.to_bits()));
}
