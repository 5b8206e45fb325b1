//! portsyncd(8): clap's page of the command line, and what it cannot know.

use anyhow::Result;
use clap::CommandFactory;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use portsyncd::cli::Cli;
use portsyncd::exit::Exit;

/// What each file is for.
const FILES: [(&str, &str); 5] = [
    (
        "/etc/sonic/portsyncd.conf",
        "The configuration, portsyncd.conf(5). Without it every key has its default.",
    ),
    (
        "/etc/sonic/portsyncd-asicN.conf",
        "The configuration of portsyncd@N.service, one for each ASIC.",
    ),
    (
        "/var/lib/sonic/portsyncd/port_state.json",
        "The ports' last state; its backups are in backups/.",
    ),
    (
        "/var/lib/sonic/portsyncd/metrics/metrics.json",
        "The saved metrics.",
    ),
    (
        "/usr/share/doc/portsyncd/README_DEPLOYMENT.md",
        "The deployment guide.",
    ),
];

/// Signals that mean something.
const SIGNALS: [(&str, &str); 2] = [
    (
        "SIGTERM, SIGINT",
        "Write what is owed, for at most four seconds, and end with status 0.",
    ),
    (
        "SIGHUP",
        "Read the configuration again. What cannot change live is named in the log; a bad file changes nothing.",
    ),
];

const EXITS: [Exit; 5] = [
    Exit::Ok,
    Exit::Usage,
    Exit::Unavailable,
    Exit::Software,
    Exit::NoPermission,
];

/// The page, in roff.
pub(crate) fn page() -> Result<Vec<u8>> {
    let command = Cli::command().mut_subcommands(|command| command.disable_help_subcommand(true));
    let man = Man::new(command)
        .section("8")
        .manual("SONiC")
        .source(concat!("portsyncd ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if Cli::command().has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    let exits = EXITS.map(|exit| (exit.code().to_string(), exit.meaning()));
    let mut rest = Roff::new();
    list(
        &mut rest,
        "EXIT STATUS",
        exits.iter().map(|(code, meaning)| (&**code, *meaning)),
    );
    list(&mut rest, "SIGNALS", SIGNALS);
    list(
        &mut rest,
        "ENVIRONMENT",
        [(
            "PORTSYNCD_LOG_LEVEL",
            "The log level, unless --log-level gives one.",
        )],
    );
    list(&mut rest, "FILES", FILES);
    rest.control("SH", ["SEE ALSO"]).text([
        bold("portsyncd.conf"),
        roman("(5), "),
        bold("systemctl"),
        roman("(1), "),
        bold("journalctl"),
        roman("(1)"),
    ]);
    rest.to_writer(&mut page)?;
    Ok(page)
}

/// A section of names, each with its explanation.
fn list<'a>(page: &mut Roff, title: &str, entries: impl IntoIterator<Item = (&'a str, &'a str)>) {
    page.control("SH", [title]);
    for (name, explanation) in entries {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(explanation)]);
    }
}
