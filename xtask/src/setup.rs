//! Gives the machine a Vulkan adapter if it has none: Mesa's lavapipe, on the CPU. And the programs needed by
//! checks.
//!
//! Linux only; macOS and Windows bring Metal and Direct3D 12. A machine with an adapter is left as it is.

use crate::process::run as run_command;
use anyhow::{Context as _, Result, bail};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The software adapter and the Vulkan loader, by Debian's names.
const PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// The loader's folders of installable client drivers.
const ICD_DIRS: [&str; 4] = [
    "/usr/share/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/local/etc/vulkan/icd.d",
];

/// The backports suite, its source line, and the release it is for.
const BACKPORTS: &str = "bookworm-backports";
const BACKPORTS_LINE: &str = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] \
     http://deb.debian.org/debian bookworm-backports main\n";
const BACKPORTS_LIST: &str = "/etc/apt/sources.list.d/wgrad-bookworm-backports.list";

/// Installs an adapter if there is none; with `backports`, installs the newer Mesa in any case.
pub(crate) fn run(backports: bool) -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("setup: nothing to do, this system brings its own graphics interface");
        return Ok(());
    }
    if !backports && let Ok(found) = adapter() {
        println!("setup: {found}");
        return Ok(());
    }
    let apt = Apt::find("no Vulkan adapter", &PACKAGES)?;
    if backports {
        apt.add_backports()?;
    }
    apt.install(&PACKAGES, backports.then_some(BACKPORTS))?;
    println!("setup: {}", adapter().context("the packages are installed, and still")?);
    Ok(())
}

/// Installs the packages of missing programs.
pub(crate) fn programs(wanted: &[(&str, &str)]) -> Result<()> {
    for (program, package) in wanted {
        if !on_path(program) {
            Apt::find(&format!("no {program}"), &[package])?.install(&[package], None)?;
        }
    }
    Ok(())
}

/// The Vulkan adapter here, in words, or an error naming the missing part.
pub(crate) fn adapter() -> Result<String> {
    if !cfg!(target_os = "linux") {
        return Ok("this system brings its own graphics interface".to_owned());
    }
    let named = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].iter().find_map(|name| env::var(name).ok());
    let drivers = drivers(named.as_deref(), &ICD_DIRS.map(PathBuf::from));
    let listing = ["ldconfig", "/sbin/ldconfig"].iter().find_map(|program| {
        let output = Command::new(program).arg("-p").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    });
    let library_path = env::var("LD_LIBRARY_PATH").unwrap_or_default();
    judge(&drivers, has_loader(&listing.unwrap_or_default(), &library_path))
}

/// An adapter needs a driver and the loader; names the missing one.
fn judge(drivers: &[PathBuf], loader: bool) -> Result<String> {
    match (drivers, loader) {
        ([], false) => bail!("no Vulkan adapter: neither a driver (ICD) nor the loader libvulkan.so.1"),
        ([], true) => bail!("no Vulkan adapter: the loader is there, but no driver (ICD)"),
        (_, false) => bail!("no Vulkan adapter: a driver (ICD) is there, but no loader libvulkan.so.1"),
        (found, true) => {
            let names: Vec<&str> = found.iter().filter_map(|path| path.file_stem()?.to_str()).collect();
            Ok(format!("Vulkan drivers {}", names.join(", ")))
        }
    }
}

/// The driver manifests: those named by an environment variable if it is set, else the folders'.
fn drivers(named: Option<&str>, dirs: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = match named.filter(|list| !list.is_empty()) {
        Some(list) => env::split_paths(list).filter(|path| path.is_file()).collect(),
        None => dirs
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok())
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
            .collect(),
    };
    found.sort();
    found
}

/// True if the loader is in `ldconfig -p`'s listing, or in a folder of `LD_LIBRARY_PATH`.
fn has_loader(listing: &str, library_path: &str) -> bool {
    const NAME: &str = "libvulkan.so.1";
    listing.lines().any(|line| line.split_whitespace().next() == Some(NAME))
        || env::split_paths(library_path).any(|dir| !dir.as_os_str().is_empty() && dir.join(NAME).exists())
}

/// Debian's package manager, and whether it takes sudo.
struct Apt {
    sudo: bool,
}

impl Apt {
    /// Finds a way to install `missing`, or tells the person about it.
    fn find(missing: &str, packages: &[&str]) -> Result<Self> {
        let wanted = packages.join(" ");
        if !on_path("apt-get") {
            bail!(
                "{missing}, and no apt-get to install what it takes: Debian calls it {wanted} (for an adapter, \
                 Fedora: mesa-vulkan-drivers vulkan-loader; Arch: vulkan-swrast vulkan-icd-loader)"
            );
        }
        let is_root =
            Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
        if !is_root && !on_path("sudo") {
            bail!("{missing}; not root and no sudo: as root, run `apt-get install {wanted}`");
        }
        Ok(Self { sudo: !is_root })
    }

    /// `program` with the rights to change the system, never asking questions.
    fn command(&self, program: &str) -> Command {
        // `env` carries the variable through sudo; sudo drops it from its own environment.
        let mut command = Command::new(if self.sudo { "sudo" } else { "env" });
        if self.sudo {
            command.arg("env");
        }
        command.args(["DEBIAN_FRONTEND=noninteractive", program]);
        command
    }

    fn get(&self) -> Command {
        let mut command = self.command("apt-get");
        command.args(["-o", "DPkg::Lock::Timeout=300"]);
        command
    }

    /// Installs the packages, from `suite` if given.
    fn install(&self, packages: &[&str], suite: Option<&str>) -> Result<()> {
        // An unreachable third-party source fails the update, yet Debian's own lists may be fresh: the
        // install below decides.
        if let Err(error) = run_command(self.get().args(["-q", "update"])) {
            println!("setup: {error:#}; trying to install all the same");
        }
        let mut install = self.get();
        install.args(["-q", "install", "-y", "--no-install-recommends"]);
        if let Some(suite) = suite {
            install.args(["-t", suite]);
        }
        run_command(install.args(packages))
    }

    /// Adds the backports source if no source names it yet.
    fn add_backports(&self) -> Result<()> {
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        if !is_bookworm(&release) {
            bail!("--backports is for Debian 12 (bookworm); newer releases have Mesa 25 or later as it is");
        }
        if sources().any(|text| names_backports(&text)) {
            return Ok(());
        }
        println!("setup: adding {BACKPORTS_LIST}");
        let staged = env::temp_dir().join(format!("wgrad-backports-{}.list", std::process::id()));
        std::fs::write(&staged, BACKPORTS_LINE)
            .with_context(|| format!("cannot write {}", staged.display()))?;
        let done = run_command(self.command("install").args(["-m", "644"]).arg(&staged).arg(BACKPORTS_LIST));
        std::fs::remove_file(&staged)?;
        done
    }
}

/// The texts of apt's source lists.
fn sources() -> impl Iterator<Item = String> {
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten();
    let parts = parts.filter_map(|entry| Some(entry.ok()?.path()));
    let lists = parts.filter(|path| path.extension().is_some_and(|ext| ext == "list" || ext == "sources"));
    lists
        .chain([PathBuf::from("/etc/apt/sources.list")])
        .filter_map(|path| std::fs::read_to_string(path).ok())
}

/// Does a source list name the suite, outside of comments?
fn names_backports(list: &str) -> bool {
    let lines = list.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(str::split_whitespace).any(|word| word == BACKPORTS)
}

fn is_bookworm(os_release: &str) -> bool {
    os_release.lines().any(|line| line.trim() == "VERSION_CODENAME=bookworm")
}

/// Installs this version of a cargo command if it is missing.
pub(crate) fn cargo_program(name: &str, version: &str) -> Result<()> {
    if on_path(name) {
        return Ok(());
    }
    run_command(crate::process::cargo().args(["install", name, "--version", version, "--locked"]))
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir: PathBuf| is_file(&dir, program)))
}

fn is_file(dir: &Path, program: &str) -> bool {
    dir.join(program).is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "\
2 libs found in cache `/etc/ld.so.cache'
\tlibvulkan.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libvulkan.so.1
\tlibz.so.1 (libc6,x86-64) => /lib/x86_64-linux-gnu/libz.so.1
";

    #[test]
    fn setup_adapter_needs_driver_and_loader() {
        let driver = [PathBuf::from("/usr/share/vulkan/icd.d/lvp_icd.x86_64.json")];
        assert!(judge(&driver, true).unwrap().contains("lvp_icd"));
        for (drivers, loader, missing) in
            [(&driver[..], false, "no loader"), (&[], true, "no driver"), (&[], false, "neither")]
        {
            let error = judge(drivers, loader).unwrap_err().to_string();
            assert!(error.contains(missing), "{error}");
        }
    }

    #[test]
    fn setup_loader_is_found_in_listing() {
        assert!(has_loader(LISTING, ""));
        assert!(!has_loader("\tlibvulkan_lvp.so (libc6) => /x\n", ""));
        assert!(!has_loader("", "/no/such/folder::"));
    }

    #[test]
    fn setup_named_drivers_replace_folders() {
        let dir = env::temp_dir().join(format!("wgrad-icd-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let icd = dir.join("some_icd.json");
        std::fs::write(&icd, "{}").unwrap();
        std::fs::write(dir.join("note.txt"), "").unwrap();
        let dirs = [dir.clone()];
        let in_folder = drivers(None, &dirs);
        let in_folder_too = drivers(Some(""), &dirs);
        let named = drivers(Some(&format!("/no/such.json:{}", icd.display())), &[]);
        let missing = drivers(Some("/no/such.json"), &dirs);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!([in_folder, in_folder_too, named], [[icd.clone()], [icd.clone()], [icd]]);
        assert!(missing.is_empty());
    }

    #[test]
    fn setup_backports_are_recognised() {
        assert!(names_backports(BACKPORTS_LINE));
        assert!(names_backports("Suites: bookworm bookworm-backports\n"));
        assert!(!names_backports("# deb http://host/debian bookworm-backports main\n"));
        assert!(is_bookworm("ID=debian\nVERSION_CODENAME=bookworm\n"));
        assert!(!is_bookworm("VERSION_CODENAME=trixie\n"));
    }
}
