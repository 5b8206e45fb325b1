//! What the daemon tells, as it comes: the changes of `/events`, with `/status` and `/ports` asked
//! for when they say something new. A connection that breaks is made again.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

use super::sse::EventStream;
use crate::ask::AskError;
use crate::ask::client::{Client, Following};
use crate::report::{PortEvent, PortList, PortReport, Status};

/// Between two attempts to reach a daemon that went away.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two looks at what has changed.
const LOOK: Duration = Duration::from_secs(2);
/// `/status` is asked for as often as this at least, in looks.
const LOOKS_AT_REST: u32 = 5;
/// `/ports` has what no event tells: flaps an hour. In looks.
const LOOKS_PER_LIST: u32 = 5;
/// The daemon gives a sign of life every 30 s.
const SILENCE: Duration = Duration::from_secs(75);

/// News of the daemon.
#[derive(Debug)]
pub(super) enum News {
    /// `/status`.
    Status(Box<Status>),
    /// `/ports`.
    Ports(Vec<PortReport>),
    /// A published change.
    Change(Box<PortEvent>),
    /// The text of one, for those who print it as it is.
    Text(String),
    /// This many changes were not told, for we were slow.
    Missed(u64),
    /// The daemon is gone; it is sought.
    Lost(String),
}

/// What of the news is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Everything.
    Picture,
    /// Changes only.
    Changes,
    /// Changes only, as JSON.
    Json,
}

/// The receiver is gone.
#[derive(Debug)]
struct Over;

/// Why a session ended.
enum End {
    Over,
    Lost(AskError),
}

impl From<Over> for End {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl From<AskError> for End {
    fn from(error: AskError) -> Self {
        Self::Lost(error)
    }
}

/// Tells until nobody listens. The first session must come about.
pub(super) async fn run(
    client: &Client,
    wanted: Wanted,
    to: &Sender<News>,
) -> Result<(), AskError> {
    let mut before = false;
    loop {
        match session(client, wanted, to, &mut before).await {
            Err(End::Over) => return Ok(()),
            Err(End::Lost(error)) if !before => return Err(error),
            Err(End::Lost(error)) => {
                // The first line says it all; the others name the addresses.
                let reason = error.to_string();
                let reason = reason.lines().next().unwrap_or_default().to_owned();
                if tell(to, News::Lost(reason)).await.is_err() {
                    return Ok(());
                }
                sleep(AGAIN).await;
            }
            Ok(never) => match never {},
        }
    }
}

async fn tell(to: &Sender<News>, news: News) -> Result<(), Over> {
    to.send(news).await.map_err(|_| Over)
}

async fn session(
    client: &Client,
    wanted: Wanted,
    to: &Sender<News>,
    begun: &mut bool,
) -> Result<std::convert::Infallible, End> {
    // Events first, so that none falls between them and the list.
    let mut events = client.follow("/events").await?;
    if wanted == Wanted::Picture {
        everything(client, to).await?;
    }
    *begun = true;
    let mut stream = EventStream::default();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut changed, mut stale, mut list_due) = (false, false, false);
    let mut rest = 0_u32;
    let mut silent_from = Instant::now();
    loop {
        tokio::select! {
            bytes = next(&mut events, silent_from) => {
                silent_from = Instant::now();
                let mut news = Vec::new();
                stream.take(&bytes?, |kind, data| news.extend(read(kind, data, wanted)));
                for each in news {
                    (changed, stale) = (true, true);
                    list_due |= match &each {
                        News::Change(event) => event.change.is.is_none() || event.change.was.is_none(),
                        News::Missed(_) => true,
                        _ => false,
                    };
                    tell(to, each).await?;
                }
            }
            _ = looks.tick(), if wanted == Wanted::Picture => {
                rest += 1;
                if list_due || (stale && rest.is_multiple_of(LOOKS_PER_LIST)) {
                    (list_due, stale) = (false, false);
                    let list: PortList = get(client, "/ports").await?;
                    tell(to, News::Ports(list.ports)).await?;
                }
                if changed || rest.is_multiple_of(LOOKS_AT_REST) {
                    changed = false;
                    let status = get(client, "/status").await?;
                    tell(to, News::Status(Box::new(status))).await?;
                }
            }
        }
    }
}

async fn everything(client: &Client, to: &Sender<News>) -> Result<(), End> {
    let status = get(client, "/status").await?;
    let list: PortList = get(client, "/ports").await?;
    tell(to, News::Ports(list.ports)).await?;
    tell(to, News::Status(Box::new(status))).await?;
    Ok(())
}

async fn next(events: &mut Following, silent_from: Instant) -> Result<bytes::Bytes, AskError> {
    let ended = |why: &str| AskError::Unreachable(why.into());
    match timeout_at(silent_from + SILENCE, events.next()).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(ended("the daemon closed the connection")),
        Err(_) => Err(ended("the daemon gives no sign of life")),
    }
}

async fn get<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T, AskError> {
    let answer = client.fetch(path).await?;
    crate::ask::read(path, &answer)
}

fn read(kind: &str, data: &str, wanted: Wanted) -> Option<News> {
    #[derive(serde::Deserialize)]
    struct Missed {
        missed: u64,
    }
    match (kind, wanted) {
        ("port", Wanted::Json) => Some(News::Text(data.to_owned())),
        // What a later version adds is no reason to end.
        ("port", _) => Some(News::Change(serde_json::from_str(data).ok()?)),
        ("missed", _) => {
            let Missed { missed } = serde_json::from_str(data).ok()?;
            Some(News::Missed(missed))
        }
        _ => None,
    }
}
