//! What a warm training step takes from the system's memory: a program of its own, since it counts for all of it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use wgrad_device::Device;
use wgrad_graph::Graph;
use wgrad_models::{ImageModel, ModelKind, TextKind, TextModel};
use wgrad_nn::Optimizer;
use wgrad_session::{Session, Tensors};
use wgrad_train::{text_graph, train_graph};
use wgrad_types::{DType, HostTensor};

/// Elements are kept in memory of this size at least; lists of a kernel's own making stay below.
const LARGE: usize = 8 << 10;

/// Where memory may still be taken: the crate called here, for products of few columns, makes room for its own panels.
const EXEMPT: &str = "wgrad-kernels/src/cpu/gemm.rs";

/// Counts what it hands out, and tells where what is large was asked for.
struct Counting;

static LARGE_TAKEN: AtomicUsize = AtomicUsize::new(0);
/// What was asked for, and by whom, for the failure's message.
static PLACES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static TELLS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

fn count(bytes: usize) {
    if TELLING.get() {
        return;
    }
    if bytes < LARGE {
        return;
    }
    if TELLS.load(Ordering::Relaxed) {
        TELLING.set(true);
        let place = Backtrace::force_capture().to_string();
        let ours: Vec<&str> = place.lines().filter(|l| l.contains("crates/")).take(4).collect();
        if !ours.first().is_some_and(|l| l.contains(EXEMPT)) {
            LARGE_TAKEN.fetch_add(1, Ordering::Relaxed);
            PLACES.lock().expect("no test panics with it").push(format!("{bytes} bytes: {ours:?}"));
        }
        TELLING.set(false);
    }
}

#[expect(unsafe_code, reason = "the trait's own")]
// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Steps of a graph on the CPU: none that is warm takes memory for elements. Lists of a kernel's own making (operations made
/// ready, views) are not judged.
fn warm(name: &str, graph: &Graph, initial: &Tensors) {
    let optimizer = Optimizer::adam();
    let (mut session, mut runner) = Session::new(&Device::cpu(), graph, initial, 1).expect("a session");
    let plan = runner.plan().clone();
    let zeros = |ty: &wgrad_types::Type| HostTensor { ty: ty.clone(), words: vec![0; ty.numel()] };
    let inputs: Vec<(String, HostTensor)> =
        plan.inputs.iter().map(|i| (i.name.clone(), zeros(&i.ty))).collect();
    let inputs: Vec<(&str, &HostTensor)> = inputs.iter().map(|(n, t)| (n.as_str(), t)).collect();
    assert!(plan.inputs.iter().all(|i| i.ty.dtype != DType::Bool));
    let scalars = optimizer.scalars(1, 1e-3);
    let mut step = |t: u64| {
        runner.step(&mut session, t, &inputs, &scalars).expect("a step");
        runner.wait().expect("results").expect("a step is under way");
    };
    (0..6).for_each(&mut step);
    // A thread that takes a kind of task for the first time makes room for it, once.
    let one = |t: u64| {
        let before = LARGE_TAKEN.load(Ordering::Relaxed);
        TELLS.store(true, Ordering::Relaxed);
        step(t);
        TELLS.store(false, Ordering::Relaxed);
        LARGE_TAKEN.load(Ordering::Relaxed) - before
    };
    let least = (6..12).map(one).min();
    assert_eq!(least, Some(0), "{name}: memory for elements in a warm step: {:#?}", PLACES.lock());
}

fn images(kind: ModelKind, side: usize, batch: usize) {
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 0.5 };
    let (graph, initial) = train_graph(&model, batch, &Optimizer::adam(), 0.0, 0).expect("a graph");
    warm(kind.name(), &graph, &initial);
}

#[test]
fn a_warm_step_takes_no_memory_for_elements() {
    images(ModelKind::CifarCnn, 32, 32);
    images(ModelKind::ResNet18, 64, 8);
    images(ModelKind::AlexNet, 64, 8);
    let model = TextModel { context: 64, ..TextModel::new(TextKind::Gpt, 65) };
    warm("gpt", &text_graph(&model, 12, Some(&Optimizer::adam())).expect("a graph"), &Vec::new());
}
