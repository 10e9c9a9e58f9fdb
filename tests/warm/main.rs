//! System memory taken by a warm training step: a program of its own, since all allocations of the process
//! count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use wgrad_device::{Device, cpu_threads};
use wgrad_graph::Graph;
use wgrad_kernels::{FIRST_SCALAR_WORD, Prepared};
use wgrad_models::{ImageModel, ModelKind, TextKind, TextModel};
use wgrad_nn::Optimizer;
use wgrad_plan::Summary;
use wgrad_session::{Session, Tensors};
use wgrad_train::{text_graph, train_graph};
use wgrad_types::{DType, HostTensor};

/// Allowed allocations: rayon's queue of work from outside its threads takes a block (1.5 KB) for 63 pieces
/// of work; a step is one.
const EXEMPT: &str = "crossbeam-deque";

/// Counts allocations, and records their places.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
/// Allocations and their places, for the failure's message.
static PLACES: Mutex<Vec<String>> = Mutex::new(Vec::new());
static TELLS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

/// Bytes in blocks large enough for elements, now and at most.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

/// Element memory comes in blocks of at least this size; smaller ones are lists of a plan's kernels.
const LARGE: usize = 8 << 10;

fn comes(bytes: usize) {
    if bytes >= LARGE {
        let now = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
        MOST.fetch_max(now, Ordering::Relaxed);
    }
}

fn record(bytes: usize) {
    if bytes >= LARGE {
        LIVE.fetch_sub(bytes, Ordering::Relaxed);
    }
}

fn count(bytes: usize) {
    if !TELLS.load(Ordering::Relaxed) || TELLING.get() {
        return;
    }
    TELLING.set(true);
    let place = Backtrace::force_capture().to_string();
    let known = |l: &&str| l.contains("crates/wgrad") || l.contains(EXEMPT);
    let by: Vec<&str> = place.lines().filter(known).take(4).map(str::trim).collect();
    if !by.first().is_some_and(|l| l.contains(EXEMPT)) {
        TAKEN.fetch_add(1, Ordering::Relaxed);
        PLACES.lock().expect("no test panics with it").push(format!("{bytes} bytes: {by:?}"));
    }
    TELLING.set(false);
}

#[expect(unsafe_code, reason = "the trait's own")]
// SAFETY: hands everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        comes(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        comes(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        record(layout.size());
        comes(size);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        record(layout.size());
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Steps of a graph on the CPU: warm ones take no memory. Results belong to the caller, who allocates by
/// asking for them.
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
    let mut step = |t: u64, tells: bool| {
        TELLS.store(tells, Ordering::Relaxed);
        runner.step(&mut session, t, &inputs, &scalars).expect("a step");
        TELLS.store(false, Ordering::Relaxed);
        runner.wait().expect("results").expect("a step is under way");
    };
    (0..6).for_each(|t| step(t, false));
    // A thread allocates scratch at its first task of a kind, once.
    let one = |t: u64| {
        let before = TAKEN.load(Ordering::Relaxed);
        PLACES.lock().expect("no test panics with it").clear();
        step(t, true);
        TAKEN.load(Ordering::Relaxed) - before
    };
    let least = (6..12).map(one).min();
    assert_eq!(least, Some(0), "{name}: memory taken in a warm step: {:#?}", PLACES.lock());
}

fn image_model(kind: ModelKind, side: usize, batch: usize) -> (Graph, Tensors) {
    let model = ImageModel { kind, channels: 3, size: (side, side), classes: 10, width: 0.5 };
    train_graph(&model, batch, &Optimizer::adam(), 0.0, 0).expect("a graph")
}

fn gpt() -> Graph {
    let model = TextModel { context: 64, ..TextModel::new(TextKind::Gpt, 65) };
    text_graph(&model, 12, Some(&Optimizer::adam())).expect("a graph")
}

/// A plan's memory, thread scratch included, is the memory taken by the device for it and its steps.
fn peak(name: &str, graph: &Graph) {
    let device = Device::cpu();
    let plan = wgrad_plan::plan(graph, device.caps(), &wgrad_plan::PlanOptions::default()).expect("a plan");
    let Summary { peak_bytes: planned, thread_bytes: threads, .. } = Summary::on(&plan, cpu_threads());
    let inputs: Vec<Vec<u32>> = plan.inputs.iter().map(|i| vec![0; i.ty.numel()]).collect();
    let inputs: Vec<&[u32]> = inputs.iter().map(Vec::as_slice).collect();
    let scalars = vec![0; FIRST_SCALAR_WORD + plan.scalars.len()];
    let (slots, steps, plan) = (plan.slots.len(), plan.kernels.len(), Arc::new(plan));
    let before = LIVE.load(Ordering::Relaxed);
    MOST.store(before, Ordering::Relaxed);
    let mut memory = device.memory(&plan.layout).expect("memory");
    let mut program = device.program(plan, &memory).expect("a program");
    for _ in 0..8 {
        program.step(&mut memory, &inputs, &scalars).expect("a step");
        program.wait().expect("results");
    }
    let taken = MOST.load(Ordering::Relaxed) - before;
    // Some thread scratch may exist already.
    let told = format!("{name}: {taken} bytes taken, {planned} planned, {threads} of them threads' blocks");
    // Slots begin cache lines, and every step has lists.
    let apart = 64 * slots + size_of::<Prepared>() * steps;
    assert!((planned - threads..=planned + apart).contains(&taken), "{told}");
}

/// One test: the counters are global to the program.
#[test]
fn warm_step_allocates_nothing_and_plan_counts_memory() {
    let models = [
        image_model(ModelKind::CifarCnn, 32, 32),
        image_model(ModelKind::AlexNet, 64, 8),
        (gpt(), Vec::new()),
        image_model(ModelKind::ResNet18, 64, 8),
    ];
    let names = ["cifar-cnn", "alexnet", "gpt", "resnet18"];
    for (name, (graph, _)) in names.iter().zip(&models) {
        peak(name, graph);
    }
    for (name, (graph, initial)) in names.iter().zip(&models) {
        warm(name, graph, initial);
    }
}
