//! Trainers against the low level, over checkpoints, and refused.

use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use wgrad_nn::{Clip, Mode, Norm};
use wgrad_types::Type;

const BATCH: usize = 8;

/// A network with dropout, for random draws, and batch norm, for buffers.
fn network(mode: Mode) -> (Net, Tensor) {
    let net = Net::new(mode);
    let (x, y) = (net.input("x", Type::f32(&[BATCH, 3])), net.input("y", Type::f32(&[BATCH, 1])));
    let hidden = net.batch_norm("norm", &net.linear("fc1", &x, 5), Norm::default()).relu();
    let loss = net.linear("fc2", &net.dropout(&hidden, 0.3), 1).mse_loss(&y);
    (net, loss)
}

fn trainer(seed: u64) -> Trainer {
    let (net, loss) = network(Mode::Train);
    let adam = Optimizer::adam().clip(Clip::Norm(1.0));
    net.trainer_with(&loss, adam, &Device::cpu(), TrainerOptions::default().seed(seed)).expect("a plan")
}

fn batch() -> [HostTensor; 2] {
    let wave = |shape: &[usize], by: f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|i| (i as f32 * by).sin()).collect();
        HostTensor::f32(shape, &values)
    };
    [wave(&[BATCH, 3], 0.7), wave(&[BATCH, 1], 1.3)]
}

fn losses(trainer: &mut Trainer, steps: usize) -> Vec<f32> {
    let [x, y] = batch();
    let step = |_| trainer.step([("x", &x), ("y", &y)], 0.02).expect("a step").scalar("loss");
    (0..steps).map(step).collect()
}

#[test]
fn trainer_takes_the_steps_of_session_and_runner() {
    let (net, loss) = network(Mode::Train);
    net.output("loss", &loss);
    let adam = Optimizer::adam().clip(Clip::Norm(1.0));
    adam.minimise(&loss, &net.named_weights()).expect("gradients");
    let (mut session, mut runner) =
        Session::new(&Device::cpu(), &net.graph(), &net.initial(3), 3).expect("a plan");
    let [x, y] = batch();
    let mut by_hand = |t: u64| {
        runner.step(&mut session, t, &[("x", &x), ("y", &y)], &adam.scalars(t + 1, 0.02)).expect("a step");
        runner.wait().expect("a device").expect("a step").scalar("loss")
    };
    let want: Vec<f32> = (0..5).map(&mut by_hand).collect();
    let mut trainer = trainer(3);
    assert_eq!(losses(&mut trainer, 5), want);
    assert_eq!(trainer.steps(), 5);
}

#[test]
fn submitted_steps_give_their_outputs_in_order() {
    let want = losses(&mut trainer(1), 4);
    let (mut trainer, [x, y]) = (trainer(1), batch());
    for _ in 0..3 {
        trainer.submit([("x", &x), ("y", &y)], 0.02).expect("a step");
    }
    let last = trainer.step([("x", &x), ("y", &y)], 0.02).expect("a step").scalar("loss");
    let mut got = Vec::new();
    while let Some(outputs) = trainer.collect().expect("a device") {
        got.push(outputs.scalar("loss"));
    }
    got.push(last);
    assert_eq!(got, want);
    assert!(trainer.ready().expect("a device").is_none());
}

#[test]
fn evaluator_sees_the_weights_of_the_moment() {
    let mut trainer = trainer(2);
    let (net, loss) = network(Mode::Eval);
    net.output("loss", &loss);
    let mut evaluator = trainer.evaluator(&net.graph()).expect("a plan");
    let [x, y] = batch();
    let mut held = || evaluator.run([("x", &x), ("y", &y)]).expect("a run").scalar("loss");
    let before = held();
    losses(&mut trainer, 60);
    assert!(held() < before, "training lowers the loss");
    drop(trainer);
    held();
}

#[test]
fn checkpoint_resumes_bit_for_bit_with_step_count_and_seed() {
    let place = tempfile::tempdir().expect("a folder");
    let dir = place.path().join("checkpoint");
    let mut straight = trainer(5);
    losses(&mut straight, 3);
    straight.save(&dir).expect("a checkpoint");
    let want = losses(&mut straight, 3);
    // Another seed before loading: values, draws and step count all come from the checkpoint.
    let mut resumed = trainer(6);
    resumed.load(&dir).expect("the checkpoint");
    assert_eq!(resumed.steps(), 3);
    assert_eq!(losses(&mut resumed, 3), want);

    let refused = |resumed: &mut Trainer| resumed.load(&dir).expect_err("no checkpoint").to_string();
    let state = dir.join(STATE_FILE);
    for (text, want) in [
        (r#"{"version":2,"steps":1,"seed":0}"#, "it has format 2, this version of wgrad reads up to 1"),
        (r#"{"version":1,"seed":0}"#, "it has no number \"steps\""),
        ("{", "not a usable checkpoint"),
    ] {
        std::fs::write(&state, text).expect("a file");
        assert!(refused(&mut resumed).contains(want), "{text}");
    }
    std::fs::remove_file(dir.join(checkpoint::OPTIMIZER_FILE)).expect("a file");
    std::fs::write(&state, r#"{"version":1,"steps":1,"seed":0}"#).expect("a file");
    assert!(refused(&mut resumed).ends_with("the network has it, the checkpoint has not"));
}

#[test]
fn weights_are_read_and_written_by_name() {
    let mut trainer = trainer(0);
    let names: Vec<String> = trainer.weights().expect("weights").into_iter().map(|t| t.name).collect();
    assert!(names.iter().any(|n| n == "fc1.weight") && !names.iter().any(|n| n.contains("running")));
    let ones = HostTensor::f32(&[1], &[1.0]);
    trainer
        .set_tensors(&vec![crate::NamedTensor::new(Role::Weight, "fc2.bias", ones.clone())])
        .expect("a bias");
    assert_eq!(trainer.tensor("fc2.bias").expect("a bias"), ones);
    let wrong = ["fc2.bias", "fc9"]
        .map(|name| crate::NamedTensor::new(Role::Weight, name, HostTensor::f32(&[1], &[7.0])));
    trainer.set_tensors(&wrong.into()).expect_err("one of them is no tensor");
    assert_eq!(trainer.tensor("fc2.bias").expect("a bias"), ones, "nothing is overwritten");
    trainer.tensor("norm.running_mean").expect("a buffer");
    trainer.tensor("fc2.bias.exp_avg").expect("a state");
    let why = trainer.tensor("fc9").expect_err("no tensor").to_string();
    assert_eq!(why, "fc9: the model has no such tensor");
}

#[test]
fn untrainable_weights_stand_still() {
    let (net, loss) = network(Mode::Train);
    let options = TrainerOptions::default().trainable(|name| name.starts_with("fc2."));
    let mut trainer = net.trainer_with(&loss, Optimizer::adam(), &Device::cpu(), options).expect("a plan");
    let read = |trainer: &Trainer, name: &str| trainer.tensor(name).expect("a weight");
    let (still, moving) = (read(&trainer, "fc1.weight"), read(&trainer, "fc2.weight"));
    losses(&mut trainer, 2);
    assert_eq!(read(&trainer, "fc1.weight"), still);
    assert_ne!(read(&trainer, "fc2.weight"), moving);
}

#[test]
fn f16_rounds_products_and_scales_the_loss() {
    let (net, loss) = network(Mode::Train);
    let options = TrainerOptions::default().f16(true);
    let mut half = net.trainer_with(&loss, Optimizer::adam(), &Device::cpu(), options).expect("a plan");
    // Before the first update both have the same weights.
    let (rounded, exact) = (losses(&mut half, 1)[0], losses(&mut trainer(0), 1)[0]);
    assert!(rounded != exact && (rounded - exact).abs() < 0.01 * exact, "{rounded} and {exact}");
    half.tensor("loss_scale").expect("the scale is a state");
}

#[test]
fn own_scalars_go_with_every_step() {
    let net = Net::new(Mode::Train);
    let x = net.input("x", Type::f32(&[1, 1]));
    let loss = (net.linear("fc", &x, 1) * &net.builder().scalar("temperature")).square().mean_all();
    let mut trainer = net.trainer(&loss, Optimizer::adam(), &Device::cpu()).expect("a plan");
    let x = HostTensor::f32(&[1, 1], &[1.0]);
    let why = trainer.step([("x", &x)], 0.0).expect_err("a scalar is missing").to_string();
    assert_eq!(why, "input temperature: missing scalar");
    let mut at = |value| {
        trainer.set_scalar("temperature", value).expect("a scalar of the graph");
        trainer.step([("x", &x)], 0.0).expect("a step").scalar("loss")
    };
    let (one, two) = (at(1.0), at(2.0));
    assert!((two - 4.0 * one).abs() < 1e-5 * two);
    let mut refused = |name| trainer.set_scalar(name, 1.0).expect_err("refused").to_string();
    assert!(refused("temprature").starts_with("input temprature: the graph has no such scalar; it takes "));
    assert_eq!(refused("lr"), "input lr: the optimizer sets this scalar from the learning rate");
    trainer.step([("x", &x)], 0.0).expect("later steps go on");
}

#[test]
fn learning_rate_without_value_is_refused_and_changes_nothing() {
    let mut trainer = trainer(0);
    let [x, y] = batch();
    let before = trainer.weights().expect("weights");
    for lr in [f64::NAN, f64::INFINITY, -1e300] {
        let why = trainer.step([("x", &x), ("y", &y)], lr).expect_err("no rate").to_string();
        assert_eq!(why, format!("input lr: a learning rate is a finite number, got {lr}"));
    }
    assert_eq!((trainer.steps(), trainer.weights().expect("weights")), (0, before));
}

#[test]
fn refused_loss_leaves_the_network_as_it_was() {
    let (net, loss) = network(Mode::Train);
    let before = net.graph();
    let vector = net.linear("fc3", &net.input("z", Type::f32(&[2, 3])), 1);
    let with_vector = net.graph();
    let why = net.trainer(&vector, Optimizer::adam(), &Device::cpu()).err().expect("refused").to_string();
    assert_eq!(why, "differentiate: the loss must be one f32, got f32[2, 1]");
    assert!(net.graph() == with_vector && with_vector != before);
    let mut trainer = net.trainer(&loss, Optimizer::adam(), &Device::cpu()).expect("a plan");
    let ([x, y], z) = (batch(), HostTensor::f32(&[2, 3], &[0.0; 6]));
    let outputs = trainer.step([("x", &x), ("y", &y), ("z", &z)], 0.1).expect("a step");
    assert!(outputs.scalar("loss").is_finite());
}

#[test]
fn implausible_counts_of_a_checkpoint_are_refused() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let dir = root.path().join("checkpoint");
    let mut trainer = trainer(0);
    trainer.save(&dir).expect("saved");
    for (steps, seed, want) in [
        (u64::MAX, 0, format!("no run has {} steps", u64::MAX)),
        (3, 1_u64 << 32, "no run has seed 4294967296".into()),
    ] {
        let state = format!("{{\"version\":1,\"steps\":{steps},\"seed\":{seed}}}");
        std::fs::write(dir.join(STATE_FILE), state).expect("written");
        let why = trainer.load(&dir).expect_err("refused").to_string();
        assert!(why.ends_with(&want), "{why}");
    }
    losses(&mut trainer, 1);
}

#[test]
fn second_trainer_of_a_network_is_refused() {
    let (net, loss) = network(Mode::Train);
    net.trainer(&loss, Optimizer::adam(), &Device::cpu()).expect("a plan");
    let again = AssertUnwindSafe(|| net.trainer(&loss, Optimizer::adam(), &Device::cpu()).map(drop));
    let panic = catch_unwind(again).expect_err("a second trainer");
    let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert_eq!(said, "trainer: weight \"fc1.weight\" has an update already; build a Net per trainer");
}

#[test]
fn front_types_move_between_threads() {
    fn send<T: Send>() {}
    send::<Session>();
    send::<Runner>();
    send::<Trainer>();
    send::<Evaluator>();
    send::<Plan>();
    send::<Graph>();
}

#[test]
fn trainer_without_weights_to_train_is_refused() {
    let (net, loss) = network(Mode::Train);
    let options = TrainerOptions::default().trainable(|name| name.starts_with("no such layer"));
    let refused = net.trainer_with(&loss, Optimizer::adam(), &Device::cpu(), options).err();
    assert!(matches!(refused, Some(SessionError::NothingToTrain)), "{refused:?}");
    assert!(net.trainer(&loss, Optimizer::adam(), &Device::cpu()).is_ok(), "the network is as it was");
}

#[test]
fn trainer_of_a_loss_without_weights_is_refused() {
    let (net, loss) = network(Mode::Train);
    let x = net.input("z", Type::f32(&[BATCH]));
    let refused = net.trainer(&x.square().mean(&[0]), Optimizer::adam(), &Device::cpu()).err();
    let told = refused.expect("a refusal").to_string();
    assert!(told.contains("the loss depends on no weight"), "{told}");
    assert!(net.trainer(&loss, Optimizer::adam(), &Device::cpu()).is_ok(), "the network is as it was");
}
