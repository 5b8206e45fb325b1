//! Sets `PORTSYNCD_REVISION`, what `portsyncd --version` shows: the variable of that name where a
//! package build sets it, else the short hash of git's HEAD, else `unknown` (a tarball).
//!
//! Git's files are read rather than git asked, so neither git nor its idea of who owns the
//! checkout is needed (gitrepository-layout(5)).

use std::path::{Path, PathBuf};
use std::{env, fs};

/// As many digits of a hash as are unambiguous in any repository this is part of.
const HASH_DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PORTSYNCD_REVISION");
    let revision = env::var("PORTSYNCD_REVISION")
        .ok()
        .filter(|given| !given.is_empty() && given.bytes().all(|b| b.is_ascii_graphic()))
        .or_else(head_hash)
        .unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=PORTSYNCD_REVISION={revision}");
}

/// The short hash of the commit that is checked out, if this workspace is a git checkout of its
/// own. Directories further up are not looked at: a tarball may have been unpacked in somebody
/// else's repository.
fn head_hash() -> Option<String> {
    let workspace = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("..");
    let git = git_directory(&workspace.join(".git"))?;
    // A linked worktree has a HEAD of its own but shares the branches.
    let shared = read(&git.join("commondir")).map_or_else(|| git.clone(), |dir| git.join(dir));

    let head = read(&git.join("HEAD"))?;
    watch(&git.join("HEAD"));
    // Appended to whenever HEAD moves, also when a branch that was packed gets a file of its own.
    watch(&git.join("logs/HEAD"));
    let hash = match head.strip_prefix("ref: ") {
        None => head,
        Some(branch) => {
            if !watch(&shared.join(branch)) {
                // Packed, or not born yet: its file will show up below here.
                watch(&shared.join("refs/heads"));
            }
            watch(&shared.join("packed-refs"));
            read(&shared.join(branch)).or_else(|| packed(&shared, branch))?
        }
    };
    let short = hash.get(..HASH_DIGITS)?;
    short
        .bytes()
        .all(|digit| digit.is_ascii_hexdigit())
        .then(|| short.to_owned())
}

/// `.git` is a directory, or, in a submodule or a linked worktree, a file that says where it is.
fn git_directory(dot_git: &Path) -> Option<PathBuf> {
    if dot_git.is_dir() {
        return Some(dot_git.to_owned());
    }
    let elsewhere = read(dot_git)?;
    Some(dot_git.parent()?.join(elsewhere.strip_prefix("gitdir: ")?))
}

/// The hash of a branch in `packed-refs`: lines of `<hash> <ref>`.
fn packed(shared: &Path, branch: &str) -> Option<String> {
    let packed = read(&shared.join("packed-refs"))?;
    packed.lines().find_map(|line| {
        let (hash, name) = line.split_once(' ')?;
        (name == branch).then(|| hash.to_owned())
    })
}

fn read(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim_end().to_owned())
}

/// Cargo runs this again when `file` changes. One that is not there would have it run every time,
/// so that is left out: false.
fn watch(file: &Path) -> bool {
    let there = file.exists();
    if there {
        println!("cargo::rerun-if-changed={}", file.display());
    }
    there
}
