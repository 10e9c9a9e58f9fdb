//! Training on a data set in memory: pictures drawn by the program, an augmentation, and two callbacks, one of which
//! ends the run once it is good enough.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::ops::ControlFlow;
use wgrad::data::{DataError, Dataset, Draws, Image, OwnImages};
use wgrad::prelude::*;
use wgrad::train::{Callback, Config, EvalReport, Summary, Training};

const SIDE: usize = 16;

/// Grey pictures of stripes: along the rows (class 0) or the columns (class 1), of any width and place.
struct Stripes {
    len: usize,
    first: usize,
}

impl Dataset for Stripes {
    fn len(&self) -> usize {
        self.len
    }

    fn label(&self, i: usize) -> usize {
        i % 2
    }

    fn load(&self, i: usize) -> Result<Image, DataError> {
        let n = self.first + i;
        let (width, start) = (2 + n / 2 % 3, n / 6 % 5);
        let pixel = |at: usize| {
            let across = if n.is_multiple_of(2) { at / SIDE } else { at % SIDE };
            if (across + start) / width % 2 == 0 { 70 } else { 170 }
        };
        Ok(Image { width: SIDE, height: SIDE, channels: 1, data: (0..SIDE * SIDE).map(pixel).collect() })
    }
}

/// Adds noise of its own to every pixel.
fn noise(mut image: Image, draws: &mut Draws) -> Image {
    image.data.iter_mut().for_each(|level| *level = level.saturating_add(draws.below(40) as u8));
    image
}

/// Prints an epoch per line.
struct Lines;

impl Callback for Lines {
    fn on_epoch(&mut self, r: &EvalReport) -> ControlFlow<()> {
        println!("epoch {:>2}: loss {:.3}, accuracy {:.1} %", r.epoch.0, r.val_loss, r.val_accuracy * 100.0);
        ControlFlow::Continue(())
    }

    fn on_end(&mut self, summary: &Summary) {
        println!("{} steps on {}", summary.steps, summary.device);
    }
}

/// Ends the run at an accuracy.
struct Target(f64);

impl Callback for Target {
    fn on_epoch(&mut self, r: &EvalReport) -> ControlFlow<()> {
        if r.val_accuracy < self.0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

fn main() -> wgrad::Result<()> {
    let out = std::env::temp_dir().join(format!("wgrad-own-data-{}", std::process::id()));
    let images = OwnImages::new(["rows", "columns"], Stripes { len: 240, first: 0 })
        .validation(Stripes { len: 60, first: 240 })
        .test(Stripes { len: 60, first: 300 });
    let config = Config { lr: 5e-3, epochs: 20, ..Config::for_model("lenet") };
    let summary = Training::new(&config, &out, &Device::auto()?)
        .images(images)
        .augmentation(noise)
        .callback(&mut Lines)
        .callback(&mut Target(0.95))
        .run()?;
    if let Some(e) = summary.evaluation {
        println!("{} accuracy {:.1} %", e.split, e.accuracy() * 100.0);
    }
    std::fs::remove_dir_all(&out)?;
    Ok(())
}
