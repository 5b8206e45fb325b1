//! What happens on the stage, act by act. Each act ends when `STATE_DB` equals
//! the kernel, or fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portsyncd_tests::Tap;
use portsyncd_tests::redis_server::Keep;

use super::PATIENCE;
use super::latency::{Kind, figures, text};
use super::screen::Screen;
use super::stage::Stage;
use super::watch::Expected;
use crate::digits::grouped;
use crate::interrupt::Interrupt;

/// One act: its title, how long it takes on an idle machine, and what it does.
pub(super) struct Act {
    pub(super) title: &'static str,
    pub(super) planned: Duration,
    play: fn(&mut Play) -> Result<()>,
}

pub(super) const ACTS: [Act; 7] = [
    Act {
        title: "the daemon starts on 32 ports",
        planned: ms(600),
        play: start,
    },
    Act {
        title: "admin state and MTU, port by port",
        planned: ms(4000),
        play: one_by_one,
    },
    Act {
        title: "one link flaps",
        planned: ms(4500),
        play: flap,
    },
    Act {
        title: "a line card fails: 32 links lost",
        planned: ms(2500),
        play: fail_together,
    },
    Act {
        title: "a storm: MTUs as fast as ioctl goes",
        planned: ms(2500),
        play: storm,
    },
    Act {
        title: "a port is taken away and made anew",
        planned: ms(800),
        play: break_out,
    },
    Act {
        title: "Redis is killed and comes back",
        planned: ms(2500),
        play: kill_redis,
    },
];

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Plays all acts, or up to an interrupt.
pub(super) fn play(stage: &mut Stage, screen: &mut Screen, interrupt: &Interrupt) -> Result<()> {
    let mut play = Play {
        stage,
        screen,
        interrupt,
    };
    for (number, act) in ACTS.iter().enumerate() {
        play.screen.begin(number);
        (act.play)(&mut play).with_context(|| format!("in the act {:?}", act.title))?;
        play.settle()
            .with_context(|| format!("after the act {:?}", act.title))?;
        if interrupt.came() {
            bail!("interrupted");
        }
    }
    play.screen.done(play.stage);
    Ok(())
}

struct Play<'a> {
    stage: &'a mut Stage,
    screen: &'a mut Screen,
    interrupt: &'a Interrupt,
}

impl Play<'_> {
    /// Lets time pass and keeps the screen alive.
    fn pause(&mut self, pause: Duration) -> Result<()> {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            self.turn(end.saturating_duration_since(Instant::now()).min(ms(20)))?;
        }
        Ok(())
    }

    /// A short moment: collects what was measured, draws if it is time.
    fn turn(&mut self, moment: Duration) -> Result<()> {
        std::thread::sleep(moment);
        self.stage.watch.collect();
        self.screen.draw(self.stage);
        if self.interrupt.came() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Waits until every change under way has arrived in Redis.
    fn arrive(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while !self.stage.watch.collect() {
            if Instant::now() > deadline {
                return self.stage.watch.missed();
            }
            self.turn(ms(2))?;
        }
        Ok(())
    }

    /// Waits until `STATE_DB` equals the kernel; returns how long that took.
    fn settle(&mut self) -> Result<Duration> {
        let took = self.stage.converge()?;
        self.screen.draw(self.stage);
        Ok(took)
    }

    fn change(
        &mut self,
        port: usize,
        kind: Kind,
        expected: Expected,
        change: impl FnOnce(&Tap) -> Result<()>,
    ) -> Result<()> {
        let tap = &self.stage.taps[port];
        self.stage
            .watch
            .begin(tap.name(), kind, expected, || change(tap))
    }

    fn every_port(&self) -> std::ops::Range<usize> {
        0..self.stage.taps.len()
    }
}

fn start(play: &mut Play) -> Result<()> {
    let took = play.stage.start_daemon()?;
    let source = play.stage.link_source().to_owned();
    play.screen.link_source(&source);
    let ports = play.stage.taps.len();
    let took = text(took);
    play.stage.found(
        "Start",
        &format!("{ports} ports published and PortInitDone sent {took} after exec"),
    );
    play.pause(ms(500))
}

fn one_by_one(play: &mut Play) -> Result<()> {
    play.stage.watch.hear_kernel(play.stage.bed.namespace())?;
    let pace = ms(30);
    for up in [false, true] {
        for step in play.every_port() {
            // All over the panel, as real changes are.
            let port = step * 13 % play.stage.taps.len();
            if port.is_multiple_of(3) {
                let mtu = if up { 9100 } else { 1500 };
                play.change(port, Kind::Mtu, Expected::Mtu(mtu), |tap| tap.set_mtu(mtu))?;
            } else {
                play.change(port, Kind::Admin, Expected::Admin(up), |tap| {
                    if up { tap.up() } else { tap.down() }
                })?;
            }
            play.arrive()?;
            play.pause(pace)?;
        }
    }
    Ok(())
}

/// Linkwatch tells a loss at once when it told none within the last second.
fn flap(play: &mut Play) -> Result<()> {
    for port in [5, 18, 27] {
        play.pause(ms(1150))?;
        for on in [false, true] {
            let expected = Expected::Oper(on);
            play.change(port, Kind::CarrierAlone, expected, |tap| tap.carrier(on))?;
            play.arrive()?;
            play.pause(ms(150))?;
        }
    }
    play.pause(ms(600))
}

fn fail_together(play: &mut Play) -> Result<()> {
    let spread = ms(200) / 32;
    for (on, kind) in [
        (false, Kind::CarrierLostTogether),
        (true, Kind::CarrierGainedTogether),
    ] {
        for port in play.every_port() {
            play.change(port, kind, Expected::Oper(on), |tap| tap.carrier(on))?;
            play.pause(spread)?;
        }
        play.arrive()?;
        play.pause(ms(500))?;
    }
    play.stage.watch.ignore_kernel();
    let lost = figures(play.stage.watch.samples(), Kind::CarrierLostTogether);
    if let Some(daemon) = lost.and_then(|figures| figures.daemon) {
        let finding = format!(
            "would hold them for 1 s; found and settled, the daemon added {}",
            text(daemon)
        );
        play.stage.found("Linkwatch", &finding);
    }
    Ok(())
}

fn storm(play: &mut Play) -> Result<()> {
    let written = play.stage.watch.writes();
    let begun = Instant::now();
    let mut changes = 0u64;
    while begun.elapsed() < ms(2000) {
        for round in 0..20u16 {
            for tap in &play.stage.taps {
                tap.set_mtu(1500 + round)?;
                changes += 1;
            }
        }
        play.turn(Duration::ZERO)?;
    }
    play.stage
        .taps
        .iter()
        .try_for_each(|tap| tap.set_mtu(9100))?;
    let settled = play.settle()?;
    let writes = play.stage.watch.writes() - written;
    play.stage.found(
        "Storm",
        &format!(
            "{} MTU changes became {} writes; right after {}",
            grouped(&changes.to_string()),
            grouped(&writes.to_string()),
            text(settled)
        ),
    );
    play.pause(ms(300))
}

fn break_out(play: &mut Play) -> Result<()> {
    let port = 9;
    let name = play.stage.names()[port].clone();
    let begun = Instant::now();
    play.stage.taps.remove(port).delete()?;
    play.stage.bed.wait_for_no_row(&name)?;
    let withdrawn = begun.elapsed();
    play.pause(ms(350))?;
    let begun = Instant::now();
    let tap = play.stage.bed.tap(&name)?;
    play.stage.taps.insert(port, tap);
    play.stage
        .bed
        .wait_for_field(&name, "netdev_oper_status", "up")?;
    play.stage.found(
        "Breakout",
        &format!(
            "{name} gone, its row after {}; back, its row after {}",
            text(withdrawn),
            text(begun.elapsed())
        ),
    );
    play.stage.taps[port].set_mtu(9100)?;
    play.pause(ms(350))
}

fn kill_redis(play: &mut Play) -> Result<()> {
    let redis = play.stage.bed.redis();
    redis.save()?;
    redis.kill()?;
    let begun = Instant::now();
    let mut changes = 0;
    for port in play.every_port() {
        let tap = &play.stage.taps[port];
        tap.set_mtu(1500)?;
        changes += 1;
        if port.is_multiple_of(4) {
            tap.down()?;
            changes += 1;
        }
        play.pause(ms(30))?;
    }
    let away = begun.elapsed();
    play.stage.bed.redis().start_again(Keep::Saved)?;
    let settled = play.settle()?;
    play.stage.watch.hear_redis(play.stage.bed.redis())?;
    play.stage.found(
        "Redis",
        &format!(
            "killed for {} during {changes} changes; right {} after its return",
            text(away),
            text(settled)
        ),
    );
    play.pause(ms(600))?;
    play.stage.taps.iter().try_for_each(Tap::up)?;
    play.stage
        .taps
        .iter()
        .try_for_each(|tap| tap.set_mtu(9100))?;
    play.settle()?;
    play.pause(ms(300))
}
