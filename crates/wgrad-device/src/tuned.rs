//! Tuned kernel variants of an adapter, kept between runs. A damaged or foreign file is ignored with a note;
//! nothing else happens.

use crate::AdapterReport;
use crate::cache::{file_name, folder, seal, unseal, write};
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use wgrad_plan::Choices;

const MAGIC: &[u8; 8] = b"wgradtu1";

/// An adapter's choices and their file.
pub(crate) struct Tuned {
    choices: Mutex<Arc<Choices>>,
    path: Option<PathBuf>,
    head: String,
    /// Note about the file, for the line about the selected device.
    note: Option<String>,
}

impl Tuned {
    /// As the file has them, if there is one.
    pub(crate) fn open(adapter: &AdapterReport) -> Self {
        Self::at(folder().map(|f| f.join(file_name("tuned", adapter))), adapter)
    }

    fn at(path: Option<PathBuf>, adapter: &AdapterReport) -> Self {
        let head = format!("wgrad {}\n{}\n{}\n", env!("CARGO_PKG_VERSION"), adapter.name, adapter.driver);
        let file = path.as_ref().map(std::fs::read);
        let shown = || path.as_ref().map(|p| p.display().to_string()).unwrap_or_default();
        let (choices, note) = match file {
            None => (Choices::default(), None),
            Some(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => (Choices::default(), None),
            Some(Err(e)) => (Choices::default(), Some(format!("{} ignored: {e}", shown()))),
            Some(Ok(bytes)) => match parse(&head, &bytes) {
                Ok(choices) => {
                    let note = format!("{} kernels as tuned", choices.0.len());
                    (choices, Some(note))
                }
                Err(why) => (Choices::default(), Some(format!("{} ignored: {why}", shown()))),
            },
        };
        Self { choices: Mutex::new(Arc::new(choices)), path, head, note }
    }

    pub(crate) fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    pub(crate) fn choices(&self) -> Arc<Choices> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds choices in memory and in the file, which is replaced as a whole; `None` if nothing is kept
    /// between runs.
    pub(crate) fn keep(&self, fresh: &Choices) -> std::io::Result<Option<PathBuf>> {
        let mut choices = self.choices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = (**choices).clone();
        all.0.extend(fresh.0.iter().map(|(key, variant)| (*key, variant.clone())));
        *choices = Arc::new(all);
        let Some(path) = &self.path else { return Ok(None) };
        let mut text = self.head.clone();
        for (key, variant) in &choices.0 {
            let _ = writeln!(text, "{key:016x} {variant}");
        }
        write(path, &seal(MAGIC, text.as_bytes()))?;
        Ok(Some(path.clone()))
    }
}

/// A file's choices, or why it is none of this adapter's.
fn parse(head: &str, file: &[u8]) -> Result<Choices, &'static str> {
    let text = unseal(MAGIC, file).and_then(|data| std::str::from_utf8(data).ok()).ok_or("it is damaged")?;
    let lines = text.strip_prefix(head).ok_or("it is another adapter's, driver's or version's")?;
    let line = |line: &str| {
        let (key, variant) = line.split_once(' ')?;
        Some((u64::from_str_radix(key, 16).ok()?, variant.to_owned()))
    };
    lines.lines().map(line).collect::<Option<_>>().map(Choices).ok_or("it is damaged")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wgrad_types::{AdapterClass, Limits};

    fn adapter(driver: &str) -> AdapterReport {
        AdapterReport {
            name: "X".into(),
            class: AdapterClass::Discrete,
            backend: "Vulkan".into(),
            driver: driver.into(),
            vendor: 1,
            device: 2,
            bus: String::new(),
            limits: Limits::WEBGPU_BASELINE,
            subgroup_min: 32,
            subgroup_max: 32,
            features: Vec::new(),
        }
    }

    #[test]
    fn tuned_choices_persist_and_damage_is_ignored() {
        let folder = std::env::temp_dir().join(format!("wgrad-tuned-{}", std::process::id()));
        let path = folder.join("tuned.bin");
        let open = |driver| Tuned::at(Some(path.clone()), &adapter(driver));
        let first = open("1");
        assert_eq!((first.note(), first.choices().0.len()), (None, 0));
        let choice = |key, variant: &str| Choices([(key, variant.to_owned())].into());
        first.keep(&choice(7, "tile64x64x16_4x4.split2")).expect("a temporary folder can be written");
        first.keep(&choice(8, "vec4")).expect("a temporary folder can be written");
        let second = open("1");
        assert_eq!(second.note(), Some("2 kernels as tuned"));
        assert_eq!(second.choices(), first.choices());
        // Another driver's, then every cut and every flipped byte.
        let foreign = open("2");
        assert_eq!(foreign.choices().0.len(), 0);
        assert!(
            foreign
                .note()
                .is_some_and(|n| n.ends_with("ignored: it is another adapter's, driver's or version's"))
        );
        let whole = std::fs::read(&path).expect("written above");
        for i in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[i] ^= 1;
            for damaged in [&flipped[..], &whole[..i]] {
                std::fs::write(&path, damaged).expect("our own file");
                let opened = open("1");
                assert_eq!(opened.choices().0.len(), 0);
                assert!(opened.note().is_some_and(|n| n.ends_with("ignored: it is damaged")), "byte {i}");
            }
        }
        // And it is replaced by the next choices.
        open("1").keep(&choice(9, "a")).expect("a temporary folder can be written");
        assert_eq!(open("1").note(), Some("1 kernels as tuned"));
        std::fs::remove_dir_all(&folder).expect("our own folder");
    }

    #[test]
    fn tuned_without_folder_lasts_as_long_as_device() {
        let tuned = Tuned::at(None, &adapter("1"));
        assert_eq!(tuned.keep(&Choices([(1, "a".into())].into())).ok(), Some(None));
        assert_eq!(tuned.choices().0.len(), 1);
    }
}
