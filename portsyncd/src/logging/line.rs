//! What a log line looks like: on stderr time, syslog's word for the level, message, fields; in the
//! journal, which keeps time and level itself, message and fields.

use std::fmt::Result;
use std::io::{self, IsTerminal};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{DefaultFields, FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{self, FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use super::journal::Journal;
use super::{LogLevel, OWN_TARGET};

/// Lines to stderr, coloured where it is a terminal and `NO_COLOR` (no-color.org) is not set.
pub(super) fn to_stderr<S>() -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    let colours =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    layer(Line { bare: false }, io::stderr).with_ansi(colours)
}

/// Lines to the journal.
pub(super) fn to_journal<S>(journal: Journal) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    layer(Line { bare: true }, journal).with_ansi(false)
}

fn layer<S, W>(line: Line, sink: W) -> fmt::Layer<S, DefaultFields, Line, W>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fmt::layer()
        .event_format(line)
        .with_writer(sink)
        // It would tell of a broken stderr on stderr, by a macro that panics then.
        .log_internal_errors(false)
}

/// `2026-01-31T12:00:00.123456Z NOTICE message field=value`, bare from the message on.
struct Line {
    bare: bool,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> Result {
        if !self.bare {
            let level = *event.metadata().level();
            let word = LogLevel::of(level).as_str();
            SystemTime.format_time(&mut writer)?;
            match colour(level).filter(|_| writer.has_ansi_escapes()) {
                Some(colour) => write!(writer, " \x1b[{colour}m{word:<6}\x1b[0m ")?,
                None => write!(writer, " {word:<6} ")?,
            }
        }
        let target = event.metadata().target();
        if !target.starts_with(OWN_TARGET) {
            write!(writer, "{target}: ")?;
        }
        let mut text = String::new();
        context.format_fields(Writer::new(&mut text), event)?;
        write_escaped(&mut writer, &text)?;
        writeln!(writer)
    }
}

/// Red and yellow for what is wrong, dim for details.
fn colour(level: Level) -> Option<u8> {
    match level {
        Level::ERROR => Some(31),
        Level::WARN => Some(33),
        Level::INFO => None,
        Level::DEBUG | Level::TRACE => Some(2),
    }
}

/// One event is one line: names from Redis or the kernel may hold line ends and terminal escapes.
fn write_escaped(writer: &mut Writer<'_>, text: &str) -> Result {
    for piece in text.split_inclusive(char::is_control) {
        match piece.chars().next_back().filter(|last| last.is_control()) {
            Some(last) => {
                writer.write_str(&piece[..piece.len() - last.len_utf8()])?;
                write!(writer, "{}", last.escape_default())?;
            }
            None => writer.write_str(piece)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines_of(log: impl FnOnce()) -> Vec<String> {
        let lines = Lines::default();
        let sink = lines.clone();
        let layer = layer(Line { bare: false }, move || sink.clone()).with_ansi(false);
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log);
        let bytes = lines.0.lock().expect("not poisoned").clone();
        let text = String::from_utf8(bytes).expect("UTF-8");
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_words_are_syslogs() {
        let lines = lines_of(|| {
            tracing::error!("a");
            tracing::warn!("b");
            tracing::info!("c");
            tracing::debug!("d");
            tracing::trace!("e");
        });
        let rest: Vec<_> = lines
            .iter()
            .map(|line| line.split_once(' ').expect("a time").1)
            .collect();
        assert_eq!(
            rest,
            ["ERROR  a", "WARN   b", "NOTICE c", "INFO   d", "DEBUG  e"]
        );
        assert!(lines[0].split(' ').next().expect("a time").ends_with('Z'));
    }

    #[test]
    fn an_event_is_one_line_and_cannot_steer_a_terminal() {
        let name = "Ethernet0\n2026-01-01 ERROR forged\x1b[2J\u{9b}";
        let lines = lines_of(|| tracing::info!(port = 3, "port {name} up"));
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(
            lines[0]
                .ends_with("port Ethernet0\\n2026-01-01 ERROR forged\\u{1b}[2J\\u{9b} up port=3")
                || lines[0]
                    .ends_with("port Ethernet0\\n2026-01-01 ERROR forged\\x1b[2J\\u{9b} up port=3"),
            "{lines:?}"
        );
    }

    #[test]
    fn a_librarys_line_says_whose_it_is() {
        let lines = lines_of(|| tracing::warn!(target: "aya::maps", "odd"));
        assert!(lines[0].ends_with("WARN   aya::maps: odd"), "{lines:?}");
    }
}
