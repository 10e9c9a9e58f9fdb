//! The picture of a run: losses and accuracy by epoch, as PNG.

use crate::TrainError;
use crate::state::Metrics;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::sync::Once;

const SIZE: (u32, u32) = (960, 400);
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const WATCHED: RGBColor = RGBColor(214, 96, 19);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// One curve: its name, colour, and a value an evaluation.
type Curve = (String, RGBColor, Vec<f64>);

fn fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A failure would only leave the picture without letters.
        let _ =
            register_font("sans-serif", FontStyle::Normal, include_bytes!("../data/DejaVuSans-ascii.ttf"));
    });
}

/// Draws a run's history; `watched` names the split evaluated, `score` what is shown beside the loss.
pub(crate) fn draw(history: &[Metrics], watched: &str, score: &str) -> Result<Vec<u8>, TrainError> {
    fonts();
    let mut pixels = vec![0u8; (SIZE.0 * SIZE.1 * 3) as usize];
    let fail = |why: String| TrainError::config("curves.png", why);
    {
        let root = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        let of = |f: fn(&Metrics) -> f64| history.iter().map(f).collect::<Vec<f64>>();
        let losses = [
            ("training".to_owned(), TRAIN, of(|m| m.train_loss)),
            (watched.to_owned(), WATCHED, of(|m| m.val_loss)),
        ];
        let accuracies = [
            ("training".to_owned(), TRAIN, of(|m| m.train_accuracy * 100.0)),
            (watched.to_owned(), WATCHED, of(|m| m.val_accuracy * 100.0)),
        ];
        let (first, rest) = score.split_at(1);
        let title = format!("{}{rest} (%)", first.to_uppercase());
        let paint = || -> Drawn {
            root.fill(&WHITE)?;
            let (left, right) = root.split_horizontally(SIZE.0 / 2);
            panel(&left, "Loss", &losses)?;
            panel(&right, &title, &accuracies)?;
            root.present()?;
            Ok(())
        };
        paint().map_err(|e| fail(e.to_string()))?;
    }
    let mut png = std::io::Cursor::new(Vec::new());
    let image = image::RgbImage::from_raw(SIZE.0, SIZE.1, pixels).ok_or_else(|| fail("wrong size".into()))?;
    image.write_to(&mut png, image::ImageFormat::Png).map_err(|e| fail(e.to_string()))?;
    Ok(png.into_inner())
}

fn panel(area: &Area<'_>, title: &str, curves: &[Curve]) -> Drawn {
    let values = || curves.iter().flat_map(|c| &c.2).copied();
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    let pad = ((high - low) * 0.08).max(1e-3);
    let epochs = curves[0].2.len().max(2) as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(48)
        .build_cartesian_2d(1.0..epochs, low - pad..high + pad)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1))
        .x_desc("epoch")
        .x_label_formatter(&|x| format!("{x:.0}"))
        .label_style(("sans-serif", 13))
        .draw()?;
    for (name, colour, values) in curves {
        let points = values.iter().enumerate().map(|(i, &v)| ((i + 1) as f64, v));
        let colour = *colour;
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.15))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}
