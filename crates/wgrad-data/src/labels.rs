//! From the labels of all masks to classes: equal labels, their order, their names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::contents::{IGNORED_CLASS, SegmentationOptions};
use crate::error::DataError;
use crate::mask::{Label, Mask, colour_name};

/// Classes there may be: a mask with more labels was blurred.
const MOST_CLASSES: usize = 64;

/// Label of the borders between objects in Pascal VOC's masks; in many others it marks ignored pixels.
const BORDER: u16 = 255;

/// Masks' labels as classes.
pub(crate) struct Classes {
    pub(crate) names: Vec<String>,
    /// For every mask, the class of each of its labels.
    pub(crate) of: Vec<Vec<u8>>,
    pub(crate) palette: Option<Vec<[u8; 3]>>,
    pub(crate) warnings: Vec<String>,
}

/// A class's label, in the order of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(u16),
    Colour([u8; 3]),
}

impl Key {
    fn name(self) -> String {
        match self {
            Self::Number(n) => n.to_string(),
            Self::Colour(colour) => colour_name(colour),
        }
    }
}

fn is_grey([r, g, b]: [u8; 3]) -> bool {
    r == g && g == b
}

/// Palettes of all masks.
struct Palettes {
    /// Colours by index.
    colours: BTreeMap<u16, [u8; 3]>,
    /// One index has two colours.
    conflict: bool,
    /// Every mask has a palette.
    all: bool,
}

impl Palettes {
    fn of<'a>(labels: impl Iterator<Item = &'a Label>) -> Self {
        let mut found = Self { colours: BTreeMap::new(), conflict: false, all: true };
        for label in labels {
            match *label {
                Label::Number(index, Some(colour)) => {
                    found.conflict |= *found.colours.entry(index).or_insert(colour) != colour;
                }
                _ => found.all = false,
            }
        }
        found
    }

    fn table(&self) -> Option<Vec<[u8; 3]>> {
        let last = usize::from(*self.colours.last_key_value().filter(|_| self.all)?.0);
        Some((0..=last).map(|i| self.colours.get(&(i as u16)).copied().unwrap_or_default()).collect())
    }
}

/// Classes of the masks in `dir`.
pub(crate) fn classes(
    masks: &[(&Path, &Mask)],
    dir: &Path,
    options: &SegmentationOptions,
) -> Result<Classes, DataError> {
    let mut warnings = Vec::new();
    let labels = || masks.iter().flat_map(|(_, mask)| &mask.labels);
    let palettes = Palettes::of(labels());
    let is_colour = |label: &Label| matches!(label, Label::Colour(c) if !is_grey(*c));
    let three = labels().any(|label| matches!(label, Label::Colour(_)));
    let by_colour = match &options.classes {
        Some(known) => known.iter().any(|name| name.starts_with('#')),
        None => labels().any(is_colour) || palettes.conflict || (three && !palettes.colours.is_empty()),
    };
    if by_colour && palettes.conflict {
        warnings.push(format!(
            "{}: an index has different colours in different palettes: colours are the classes",
            dir.display()
        ));
    }
    let mut keys: Vec<Vec<Key>> = Vec::new();
    for (path, mask) in masks {
        keys.push(mask.labels.iter().map(|label| key(*label, by_colour, path)).collect::<Result<_, _>>()?);
    }
    if by_colour
        && options.classes.is_none()
        && keys.iter().flatten().all(|k| matches!(k, Key::Colour(c) if is_grey(*c)))
    {
        // Palettes and colours of greys alone are levels.
        let level = |k: &mut Key| {
            if let Key::Colour([grey, ..]) = *k {
                *k = Key::Number(u16::from(grey));
            }
        };
        keys.iter_mut().flatten().for_each(level);
    }
    let all: BTreeSet<Key> = keys.iter().flatten().copied().collect();
    let ignored = options.ignore.as_ref().and_then(|name| ignored_name(name));
    if let Some(name) = ignored.as_ref().filter(|name| !all.iter().any(|key| key.name() == **name)) {
        warnings.push(format!("`ignore` {name}: no pixel of {} has that label", dir.display()));
    }
    let found: Vec<Key> = all.iter().copied().filter(|key| Some(key.name()) != ignored).collect();
    let names: Vec<String> = match &options.classes {
        Some(known) => known.clone(),
        None => {
            check(masks, &found, dir, ignored.as_deref())?;
            warnings.extend(border(&found, ignored.is_none(), palettes.all));
            found.iter().map(|key| key.name()).collect()
        }
    };
    let class = |key: &Key, path: &Path| match key.name() {
        name if Some(&name) == ignored.as_ref() => Ok(IGNORED_CLASS),
        name => match names.iter().position(|known| *known == name) {
            Some(class) => Ok(class as u8),
            None => {
                let why = format!("label {name} is none of the model's classes {}", names.join(", "));
                Err(DataError::Label { path: path.to_owned(), why })
            }
        },
    };
    let of =
        keys.iter().zip(masks).map(|(keys, (path, _))| keys.iter().map(|key| class(key, path)).collect());
    let of = of.collect::<Result<_, _>>()?;
    Ok(Classes { names, of, palette: palettes.table().filter(|_| !by_colour), warnings })
}

fn key(label: Label, by_colour: bool, path: &Path) -> Result<Key, DataError> {
    let fail = |why: &str| Err(DataError::Label { path: path.to_owned(), why: why.to_owned() });
    match (label, by_colour) {
        (Label::Number(_, Some(colour)) | Label::Colour(colour), true) => Ok(Key::Colour(colour)),
        (Label::Number(n, None), true) => match u8::try_from(n) {
            Ok(level) => Ok(Key::Colour([level; 3])),
            Err(_) => fail("it has 16-bit levels, others have colours"),
        },
        (Label::Number(n, _), false) => Ok(Key::Number(n)),
        (Label::Colour([grey, ..]), false) if matches!(label, Label::Colour(c) if is_grey(c)) => {
            Ok(Key::Number(u16::from(grey)))
        }
        (Label::Colour(_), false) => fail("it has colours, the model's classes are levels"),
    }
}

/// A label as masks spell it; `None` if it can be none of a mask's.
pub(crate) fn ignored_name(label: &str) -> Option<String> {
    let label = label.trim().to_lowercase();
    let digits = |text: &str| text.len() == 6 && text.chars().all(|c| c.is_ascii_hexdigit());
    match label.strip_prefix('#') {
        Some(colour) => digits(colour).then_some(label),
        None => label.parse::<u16>().ok().map(|number| number.to_string()),
    }
}

/// Refuses labels that cannot be classes.
fn check(
    masks: &[(&Path, &Mask)],
    found: &[Key],
    dir: &Path,
    ignored: Option<&str>,
) -> Result<(), DataError> {
    let overflow = masks.iter().any(|(_, mask)| mask.overflow);
    let what = match found.last() {
        Some(Key::Colour(_)) => "number of colours",
        _ => "number of grey levels",
    };
    if overflow || !(2..=MOST_CLASSES).contains(&found.len()) {
        let more = if overflow { "more than " } else { "" };
        let without = ignored.map(|name| format!(" without `ignore` {name}")).unwrap_or_default();
        let found = format!("{more}{} in {}{without}", found.len(), dir.display());
        let expected = format!("2 to {MOST_CLASSES}, one a class; save masks as PNG without smoothing");
        return Err(DataError::invalid(what, found, expected));
    }
    match masks.iter().find(|(_, mask)| mask.lossy) {
        // Black and white may survive JPEG; other levels may be artefacts.
        Some((path, _)) if found.len() > 2 => {
            let value = format!("{} with {}, a JPEG,", found.len(), path.display());
            Err(DataError::invalid(what, value, "exact, which JPEG's are not; save masks as PNG"))
        }
        _ => Ok(()),
    }
}

/// A word on 255 among small numbers, if nothing is ignored.
fn border(found: &[Key], nothing_ignored: bool, indices: bool) -> Option<String> {
    let (last, others) = found.split_last()?;
    let counted = others.iter().zip(0..).all(|(key, n)| *key == Key::Number(n));
    let odd = *last == Key::Number(BORDER) && others.len() > 1 && (counted || indices);
    (odd && nothing_ignored).then(|| {
        format!("label {BORDER} is a class; where it marks borders, as in Pascal VOC, `ignore` {BORDER} leaves it out")
    })
}
