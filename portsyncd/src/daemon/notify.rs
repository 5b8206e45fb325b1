//! Telling systemd (`sd_notify(3)`); a silent no-op without `NOTIFY_SOCKET`.

use sd_notify::NotifyState;
use tracing::debug;

/// Whether anybody does.
pub(super) fn somebody_listens() -> bool {
    std::env::var_os("NOTIFY_SOCKET").is_some()
}

/// The initial synchronisation is done, or waited for long enough.
pub(super) fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// One line for `systemctl status`.
pub(super) fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// The configuration is being read again.
pub(super) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// A sign of life for the watchdog.
pub(super) fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// The daemon is on its way out.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "systemd could not be told");
    }
}
