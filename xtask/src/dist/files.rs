//! What is installed where, with which mode. Everything belongs to root; what belongs
//! to the daemon's user is made by `packaging/tmpfiles.conf`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};

/// Where the package installs the daemon; `/usr/local` is for what users build.
pub(crate) const DAEMON: &str = "usr/bin/portsyncd";
const FROM_SOURCE: &str = "/usr/local/bin/portsyncd";

/// One file.
#[derive(Clone, Debug)]
pub(crate) struct Installed {
    /// Relative to the root of the file system.
    pub(crate) place: PathBuf,
    pub(crate) mode: u32,
    pub(crate) bytes: Vec<u8>,
}

/// All of them, in the order of their places.
#[derive(Clone, Debug)]
pub(crate) struct Files(pub(crate) Vec<Installed>);

/// What is installed as it is in the tree, or as `pages` has it: its place, its name.
const FROM_TREE: [(&str, &str); 6] = [
    ("etc/sonic/portsyncd.conf", "portsyncd.conf.example"),
    (
        "usr/lib/sysusers.d/portsyncd.conf",
        "packaging/sysusers.conf",
    ),
    (
        "usr/lib/tmpfiles.d/portsyncd.conf",
        "packaging/tmpfiles.conf",
    ),
    (
        "usr/share/doc/portsyncd/README_DEPLOYMENT.md",
        "README_DEPLOYMENT.md",
    ),
    (
        "usr/share/doc/portsyncd/examples/portsyncd-asic.conf",
        "packaging/portsyncd-asic.conf",
    ),
    (
        "usr/share/doc/portsyncd/examples/portsyncd.conf",
        "portsyncd.conf.example",
    ),
];
const FROM_PAGES: [(&str, &str); 5] = [
    (
        "usr/share/bash-completion/completions/portsyncd",
        "portsyncd.bash",
    ),
    (
        "usr/share/fish/vendor_completions.d/portsyncd.fish",
        "portsyncd.fish",
    ),
    ("usr/share/man/man5/portsyncd.conf.5", "portsyncd.conf.5"),
    ("usr/share/man/man8/portsyncd.8", "portsyncd.8"),
    ("usr/share/zsh/vendor-completions/_portsyncd", "_portsyncd"),
];
/// The units, whose program moves.
const UNITS: [&str; 2] = ["portsyncd.service", "portsyncd@.service"];
/// Rules, dashboards: whatever is in there.
const MONITORING: (&str, &str) = ("usr/share/portsyncd/monitoring", "monitoring");

impl Files {
    /// Collects them.
    pub(super) fn of(root: &Path, daemon: &Path, pages: &Path) -> Result<Self> {
        let mut files = vec![file(DAEMON, 0o755, daemon)?];
        for (place, source) in FROM_TREE {
            files.push(file(place, 0o644, &root.join(source))?);
        }
        for (place, source) in FROM_PAGES {
            files.push(file(place, 0o644, &pages.join(source))?);
        }
        for unit in UNITS {
            files.push(moved(unit, &root.join(unit))?);
        }
        let (place, source) = MONITORING;
        if root.join(source).is_dir() {
            add_tree(&mut files, Path::new(place), &root.join(source))?;
        }
        files.sort_by(|one, other| one.place.cmp(&other.place));
        Ok(Self(files))
    }

    /// Writes them below `tree`, none of them younger than `time`, directories included.
    pub(super) fn write(&self, tree: &Path, time: u64) -> Result<()> {
        for installed in &self.0 {
            let file = tree.join(&installed.place);
            if let Some(directory) = file.parent() {
                fs::create_dir_all(directory)?;
            }
            fs::write(&file, &installed.bytes)
                .with_context(|| format!("cannot write {}", file.display()))?;
            fs::set_permissions(&file, fs::Permissions::from_mode(installed.mode))?;
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(time);
            fs::File::options()
                .append(true)
                .open(&file)?
                .set_modified(time)?;
        }
        Ok(())
    }
}

fn file(place: &str, mode: u32, source: &Path) -> Result<Installed> {
    Ok(Installed {
        place: place.into(),
        mode,
        bytes: fs::read(source).with_context(|| format!("cannot read {}", source.display()))?,
    })
}

/// A unit that starts the packaged daemon.
fn moved(name: &str, source: &Path) -> Result<Installed> {
    let text =
        fs::read_to_string(source).with_context(|| format!("cannot read {}", source.display()))?;
    let once = text.matches(FROM_SOURCE).count() == 1;
    ensure!(once, "{name} does not name {FROM_SOURCE} once");
    Ok(Installed {
        place: Path::new("lib/systemd/system").join(name),
        mode: 0o644,
        bytes: text
            .replace(FROM_SOURCE, &format!("/{DAEMON}"))
            .into_bytes(),
    })
}

fn add_tree(files: &mut Vec<Installed>, place: &Path, directory: &Path) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let place = place.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            add_tree(files, &place, &entry.path())?;
        } else {
            let place = place.to_str().context("a file's name is not UTF-8")?;
            files.push(file(place, 0o644, &entry.path())?);
        }
    }
    Ok(())
}
