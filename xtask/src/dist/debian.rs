//! The Debian package, by dpkg-deb(1).

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Build;
use super::files::{DAEMON, Files, Installed};
use crate::command::{read, run};

/// The package's own revision of a version.
const REVISION: u32 = 1;
const MAINTAINER: &str = "SONiC project <sonicproject@googlegroups.com>";
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];
const DOCUMENTS: &str = "usr/share/doc/portsyncd";

/// Writes it into `output`; where.
pub(super) fn build(root: &Path, build: &Build, files: &Files, output: &Path) -> Result<PathBuf> {
    let version = format!("{}-{REVISION}", build.version);
    let mut files = files.clone();
    add_documents(root, build, &version, &mut files)?;
    for installed in &mut files.0 {
        if installed.place.starts_with("usr/share/man") {
            installed.bytes = gzip(&installed.bytes)?;
            installed.place.as_mut_os_string().push(".gz");
        }
    }
    let control = control(build, &version, &files)?;
    let scratch = tempfile::tempdir()?;
    let tree = scratch.path().join("tree");
    let debian = Files(
        [
            ("control", 0o644, control.into_bytes()),
            ("conffiles", 0o644, conffiles(&files).into_bytes()),
            ("md5sums", 0o644, md5sums(&files)?.into_bytes()),
        ]
        .into_iter()
        .chain(scripts(root)?)
        .map(|(name, mode, bytes)| Installed {
            place: Path::new("DEBIAN").join(name),
            mode,
            bytes,
        })
        .collect(),
    );
    files.write(&tree, build.time)?;
    debian.write(&tree, build.time)?;
    let package = output.join(format!(
        "portsyncd_{version}_{}.deb",
        build.architecture.name()
    ));
    run(Command::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", build.time.to_string())
        .args(["--root-owner-group", "-Zxz", "--build"])
        .arg(&tree)
        .arg(&package))?;
    Ok(package)
}

/// What every Debian package says of itself.
fn add_documents(root: &Path, build: &Build, version: &str, files: &mut Files) -> Result<()> {
    let date = read(
        Command::new("date")
            .args(["--utc", "--rfc-email", "--date"])
            .arg(format!("@{}", build.time)),
    )?;
    let changelog = format!(
        "portsyncd ({version}) unstable; urgency=medium\n\n  * Built from its own tree: changelog.gz has the changes.\n\n -- {MAINTAINER}  {date}"
    );
    let own = |name: &str| {
        let file = root.join(name);
        fs::read(&file).with_context(|| format!("cannot read {}", file.display()))
    };
    for (place, bytes) in [
        (
            format!("{DOCUMENTS}/copyright"),
            own("packaging/copyright")?,
        ),
        (
            format!("{DOCUMENTS}/changelog.gz"),
            gzip(&own("CHANGELOG.md")?)?,
        ),
        (
            format!("{DOCUMENTS}/changelog.Debian.gz"),
            gzip(changelog.as_bytes())?,
        ),
        (
            "usr/share/lintian/overrides/portsyncd".to_owned(),
            own("packaging/lintian-overrides")?,
        ),
    ] {
        files.0.push(Installed {
            place: place.into(),
            mode: 0o644,
            bytes,
        });
    }
    Ok(())
}

fn control(build: &Build, version: &str, files: &Files) -> Result<String> {
    let bytes: usize = files.0.iter().map(|installed| installed.bytes.len()).sum();
    let glibc = glibc(&files.0)?;
    Ok(format!(
        "Package: portsyncd\n\
         Version: {version}\n\
         Architecture: {}\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {}\n\
         Depends: libc6 (>= {glibc}), libgcc-s1, systemd\n\
         Suggests: redis-server, prometheus\n\
         Section: net\n\
         Priority: optional\n\
         Homepage: https://github.com/sonic-net/sonic-swss\n\
         Description: keeps a SONiC switch's databases in step with its ports\n \
         An eBPF program watches link state inside the kernel; the daemon folds it with\n \
         the configured ports and writes Redis (CONFIG_DB, APPL_DB, STATE_DB) by SONiC's\n \
         own contract. It takes the place of the C++ portsyncd of the swss container.\n",
        build.architecture.name(),
        bytes.div_ceil(1024),
    ))
}

/// The oldest C library that has every symbol that the daemon asks for.
fn glibc(files: &[Installed]) -> Result<String> {
    let daemon = files.iter().find(|file| file.place == Path::new(DAEMON));
    let daemon = daemon.context("the package has no daemon")?;
    let scratch = tempfile::NamedTempFile::new()?;
    fs::write(scratch.path(), &daemon.bytes)?;
    let needs = read(
        Command::new("readelf")
            .args(["--wide", "--version-info"])
            .arg(scratch.path()),
    )?;
    let newest = needs
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("GLIBC_"))
        .filter_map(|version| {
            let (major, minor) = version.split_once('.')?;
            let minor = minor.split('.').next()?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        })
        .max();
    let (major, minor) = newest.context("the daemon needs no C library?")?;
    Ok(format!("{major}.{minor}"))
}

/// What an upgrade must not overwrite: everything in /etc.
fn conffiles(files: &Files) -> String {
    let places = files.0.iter().map(|installed| &installed.place);
    let mut list = String::new();
    for place in places.filter(|place| place.starts_with("etc")) {
        let _ = writeln!(list, "/{}", place.display());
    }
    list
}

fn md5sums(files: &Files) -> Result<String> {
    let scratch = tempfile::tempdir()?;
    files.write(scratch.path(), 0)?;
    let places = files.0.iter().map(|installed| &installed.place);
    let mut md5sum = Command::new("md5sum");
    md5sum.current_dir(scratch.path()).arg("--");
    md5sum.args(places.filter(|place| !place.starts_with("etc")));
    read(&mut md5sum)
}

fn scripts(root: &Path) -> Result<Vec<(&'static str, u32, Vec<u8>)>> {
    let script = |name| {
        let file = root.join("packaging").join(name);
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        ensure!(bytes.starts_with(b"#!/bin/sh\n"), "{name} is no script");
        Ok((name, 0o755, bytes))
    };
    SCRIPTS.into_iter().map(script).collect()
}

/// Packed the same way every time.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let scratch = tempfile::NamedTempFile::new()?;
    fs::write(scratch.path(), bytes)?;
    let output = Command::new("gzip")
        .args(["-9", "--no-name", "--stdout"])
        .arg(scratch.path())
        .output()
        .context("cannot run gzip")?;
    ensure!(output.status.success(), "gzip: {}", output.status);
    Ok(output.stdout)
}
