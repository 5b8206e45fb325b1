//! portsyncd.conf(5), from the comments of `portsyncd.conf.example`: what it says and
//! what the daemon takes cannot differ, because the example is tested.
//!
//! The example's shape: paragraphs of comments about the file, then for each section a
//! `[header]`, and for each key, or group of keys, its comment and `key = default`.

use anyhow::{Context, Result, ensure};
use clap_mangen::roff::{Roff, bold, roman};

/// The page, in roff.
///
/// # Errors
/// When the example has another shape.
pub(crate) fn page(example: &str) -> Result<String> {
    let mut page = Roff::new();
    let source = concat!("portsyncd ", env!("CARGO_PKG_VERSION"));
    page.control("TH", ["portsyncd.conf", "5", "", source, "SONiC"]);
    page.control("SH", ["NAME"]);
    page.text([roman("portsyncd.conf - configuration of portsyncd(8)")]);
    page.control("SH", ["DESCRIPTION"]);
    page.text([roman("A file in TOML.")]);
    let mut comment: Vec<&str> = Vec::new();
    let mut open = false;
    for line in example.lines() {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text));
        } else if let Some(section) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            ensure!(!open, "a comment hangs above [{section}]");
            let title = format!("[{section}]");
            page.control("SH", [title.as_str()]);
        } else if line.is_empty() {
            // The end of a comment that belongs to no key: the section's, or the file's.
            if !std::mem::take(&mut open) && !comment.is_empty() {
                say(&mut page, &comment);
            }
            comment.clear();
        } else {
            let (key, default) = line
                .split_once(" = ")
                .with_context(|| format!("neither comment, section nor key: {line}"))?;
            page.control("TP", []);
            page.text([bold(key), roman(format!(" = {default}"))]);
            if comment.is_empty() {
                ensure!(open, "{key} has no comment");
                page.text([roman("As above.")]);
            } else {
                say(&mut page, &comment);
                comment.clear();
            }
            open = true;
        }
    }
    page.control("SH", ["SEE ALSO"]);
    page.text([bold("portsyncd"), roman("(8)")]);
    Ok(page.to_roff())
}

/// Comment lines as running text; an indented line, a list's, stays a line.
fn say(page: &mut Roff, comment: &[&str]) {
    for line in comment {
        match line.strip_prefix("  ") {
            Some(item) => {
                page.control("br", []);
                page.text([roman(item.trim_start())]);
            }
            None if line.is_empty() => {
                page.control("sp", []);
            }
            None => {
                page.text([roman(*line)]);
            }
        }
    }
}
