//! Plot of a run: losses and accuracy by epoch, as PNG.

use crate::TrainError;
use crate::saved::progress::Metrics;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};
use std::sync::Once;

const SIZE: (u32, u32) = (960, 400);
/// Supersampling factor, for smooth lines of uniform width.
const FINE: u32 = 2;
/// Height of title and legend.
const HEAD: u32 = 54;
/// Maximum number of evaluations with dots.
const MARKED: i32 = 30;
const TRAIN: RGBColor = RGBColor(31, 119, 180);
const WATCHED: RGBColor = RGBColor(214, 96, 19);

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Curve: its name, colour, and one value per evaluation.
type Curve = (String, RGBColor, Vec<f64>);

fn fonts() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // A failure would only omit the labels.
        let _ =
            register_font("sans-serif", FontStyle::Normal, include_bytes!("../../data/DejaVuSans-ascii.ttf"));
    });
}

/// Draws a run's history; `watched` names the monitored split, `score` the score beside the loss.
pub(crate) fn draw(history: &[Metrics], watched: &str, score: &str) -> Result<Vec<u8>, TrainError> {
    fonts();
    let (width, height) = (SIZE.0 * FINE, SIZE.1 * FINE);
    let mut pixels = vec![0u8; (width * height * 3) as usize];
    let fail = |why: String| TrainError::file("curves.png", why);
    {
        let root = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
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
            let (left, right) = root.split_horizontally(width / 2);
            panel(&left, "Loss", &losses)?;
            panel(&right, &title, &accuracies)?;
            root.present()?;
            Ok(())
        };
        paint().map_err(|e| fail(e.to_string()))?;
    }
    let image = image::RgbImage::from_raw(width, height, pixels).ok_or_else(|| fail("wrong size".into()))?;
    let image = image::imageops::thumbnail(&image, SIZE.0, SIZE.1);
    let mut png = std::io::Cursor::new(Vec::new());
    image.write_to(&mut png, image::ImageFormat::Png).map_err(|e| fail(e.to_string()))?;
    Ok(png.into_inner())
}

/// Font of about `size` pixels in the final image. Plotters rounds glyph positions to whole pixels from half the font's
/// size: decimal points stay on the baseline only if that is even.
fn font(size: u32) -> (&'static str, u32) {
    ("sans-serif", (size * FINE).next_multiple_of(2))
}

/// Runs of consecutive finite values, each with its epoch.
fn runs(values: &[f64]) -> Vec<Vec<(i32, f64)>> {
    let points: Vec<(i32, f64)> = (1..).zip(values.iter().copied()).collect();
    points.split(|p| !p.1.is_finite()).filter(|run| !run.is_empty()).map(<[_]>::to_vec).collect()
}

/// Range of the values with a margin; a default range if there are none.
fn range(curves: &[Curve]) -> std::ops::Range<f64> {
    let values = || curves.iter().flat_map(|c| &c.2).copied().filter(|v| v.is_finite());
    let (low, high) = (values().fold(f64::MAX, f64::min), values().fold(f64::MIN, f64::max));
    if low > high {
        return 0.0..1.0;
    }
    let pad = ((high - low) * 0.08).max(high.abs() * 1e-3).max(1e-3);
    low - pad..high + pad
}

fn panel(area: &Area<'_>, title: &str, curves: &[Curve]) -> Drawn {
    let fine = |n: u32| n * FINE;
    let epochs = curves[0].2.len().max(1) as i32;
    // A single evaluation is centred.
    let shown = if epochs == 1 { 0..2 } else { 1..epochs };
    let (head, body) = area.split_vertically(fine(HEAD));
    let mut chart = ChartBuilder::on(&body)
        .margin(fine(12))
        .margin_top(fine(4))
        .x_label_area_size(fine(36))
        .y_label_area_size(fine(50))
        .build_cartesian_2d(shown, range(curves))?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(BLACK.mix(0.1).stroke_width(FINE))
        .axis_style(BLACK.stroke_width(FINE))
        .set_all_tick_mark_size(fine(4))
        .x_labels(10)
        .y_labels(10)
        .x_desc("epoch")
        .x_label_formatter(&|&x| if (1..=epochs).contains(&x) { x.to_string() } else { String::new() })
        .label_style(font(13))
        .draw()?;
    for (_, colour, values) in curves {
        for run in runs(values) {
            // Dots distinguish few evaluations; a single one has no line.
            if run.len() == 1 || epochs <= MARKED {
                let dot = |&at: &(i32, f64)| Circle::new(at, fine(3), colour.filled());
                chart.draw_series(run.iter().map(dot))?;
            }
            chart.draw_series(LineSeries::new(run, colour.stroke_width(fine(2))))?;
        }
    }
    legend(&head, title, curves)
}

/// Title and legend, above the curves.
fn legend(area: &Area<'_>, title: &str, curves: &[Curve]) -> Drawn {
    use plotters::style::text_anchor::{HPos, Pos, VPos};
    let fine = |n: u32| (n * FINE) as i32;
    let (width, middle) = (area.dim_in_pixel().0 as i32, Pos::new(HPos::Center, VPos::Center));
    let text = |size: u32| TextStyle::from(font(size).into_font()).color(&BLACK);
    area.draw(&Text::new(title, (width / 2 + fine(25), fine(20)), text(18).pos(middle)))?;
    // A line of 18 pixels, a gap, a name; a wider gap.
    let size = |name: &str| -> Result<i32, Box<dyn std::error::Error>> {
        Ok(area.estimate_text_size(name, &text(13))?.0 as i32)
    };
    let all: i32 = curves.iter().map(|c| size(&c.0)).sum::<Result<i32, _>>()?;
    let mut x = width / 2 + fine(25) - (all + (fine(24) + fine(18)) * curves.len() as i32 - fine(18)) / 2;
    let y = fine(41);
    for (name, colour, _) in curves {
        area.draw(&PathElement::new([(x, y), (x + fine(18), y)], colour.stroke_width(fine(2) as u32)))?;
        let left = Pos::new(HPos::Left, VPos::Center);
        area.draw(&Text::new(name.as_str(), (x + fine(24), y), text(13).pos(left)))?;
        x += fine(24) + size(name)? + fine(18);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(losses: &[f64]) -> Vec<Metrics> {
        let metrics = |(i, &loss): (usize, &f64)| Metrics {
            epoch: i as u64 + 1,
            step: i as u64 + 1,
            train_loss: loss * 1.1,
            train_accuracy: 0.4 + 0.01 * i as f64,
            val_loss: loss,
            val_accuracy: 0.5,
            perplexity: None,
            images_per_second: None,
            tokens_per_second: None,
            pixels_per_second: None,
            device: String::new(),
        };
        losses.iter().enumerate().map(metrics).collect()
    }

    /// Number of pixels of about a colour.
    fn count(png: &[u8], colour: RGBColor) -> usize {
        let image = image::load_from_memory(png).expect("a picture").into_rgb8();
        assert_eq!(image.dimensions(), SIZE);
        let near = |a: u8, b: u8| a.abs_diff(b) < 24;
        image
            .pixels()
            .filter(|p| near(p[0], colour.0) && near(p[1], colour.1) && near(p[2], colour.2))
            .count()
    }

    #[test]
    fn single_evaluation_draws_a_dot_per_curve() {
        let none = draw(&[], "validation", "accuracy").expect("drawn");
        let one = draw(&history(&[0.7]), "validation", "accuracy").expect("drawn");
        for colour in [TRAIN, WATCHED] {
            // Two panels with a dot of six pixels across.
            assert!(count(&one, colour) > count(&none, colour) + 30, "{colour:?}");
        }
    }

    #[test]
    fn non_finite_loss_leaves_a_gap() {
        let losses = [1.0, 0.8, f64::NAN, f64::INFINITY, 0.6];
        assert_eq!(runs(&losses), [vec![(1, 1.0), (2, 0.8)], vec![(5, 0.6)]]);
        draw(&history(&losses), "validation", "accuracy").expect("drawn");
        draw(&history(&[f64::NAN]), "test", "explained variance").expect("drawn");
        draw(&history(&[f64::INFINITY, f64::NAN]), "test", "accuracy").expect("drawn");
    }

    #[test]
    fn steep_line_is_as_wide_as_a_flat_one() {
        // One curve drops within one of 40 epochs, the other is flat.
        let steep: Vec<f64> = (0..40).map(|i| if i < 20 { 10.0 } else { 0.0 }).collect();
        let image =
            image::load_from_memory(&draw(&history(&steep), "validation", "accuracy").expect("drawn"));
        let image = image.expect("a picture").into_rgb8();
        let coloured = |x: u32, y: u32| {
            let p = image.get_pixel(x, y);
            p[0].abs_diff(WATCHED.0) < 60 && p[2].abs_diff(WATCHED.2) < 90
        };
        // A pixel row of the left panel between both levels crosses only the drop.
        let across = (60..470).filter(|&x| coloured(x, 200)).count();
        assert!((2..=4).contains(&across), "{across} pixels");
    }

    #[test]
    fn fonts_keep_decimal_points_on_the_baseline() {
        for size in 8..20 {
            assert!(font(size).1.is_multiple_of(2));
        }
    }
}
