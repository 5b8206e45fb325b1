//! The monitoring kit against the real Prometheus and the real daemon: what it asks for is served,
//! and every alert is proven both ways.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use portsyncd_tests::prometheus::{Prometheus, kit};
use portsyncd_tests::promql::selectors;
use portsyncd_tests::{Bed, Source, port_names};
use redis::Commands;
use serde_json::Value;

/// Selectors that need not find anything while all is well.
const NOT_ALWAYS_THERE: [(&str, &str); 1] = [("ALERTS", "no alert fires")];

/// The guide's alerts, which its readers know by these names.
const THE_GUIDES: [(&str, &str); 4] = [
    ("PortSyncdDown", "up{job=\"portsyncd\"} == 0"),
    (
        "HighEOIUTimeoutRate",
        "rate(portsyncd_eoiu_timeouts[5m]) / rate(portsyncd_eoiu_detected[5m]) > 0.5",
    ),
    (
        "CorruptionNotRecovered",
        "portsyncd_corruptions_detected > portsyncd_state_recoveries",
    ),
    ("HighColdStartRate", "rate(portsyncd_cold_starts[5m]) > 0.1"),
];

/// A query of the dashboard, with the labels that its legend shows.
struct Query {
    panel: String,
    expression: String,
    legend: String,
}

fn dashboard() -> Result<Value> {
    let text = fs::read(kit().join("grafana/portsyncd.json"))?;
    serde_json::from_slice(&text).context("portsyncd.json")
}

/// Grafana's variables as they are when everything is chosen.
fn with_variables(expression: &str) -> String {
    let mut out = expression.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "1m"),
        ("$__range", "1h"),
        ("$job", ".*"),
        ("$instance", ".*"),
        ("$device", ".*"),
    ] {
        out = out.replace(variable, value);
    }
    out
}

fn dashboard_queries() -> Result<Vec<Query>> {
    let dashboard = dashboard()?;
    let mut queries = Vec::new();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut add = |panel: &Value, expression: &Value, legend: &Value| {
        queries.push(Query {
            panel: text(panel),
            expression: with_variables(&text(expression)),
            legend: text(legend),
        });
    };
    for panel in dashboard["panels"].as_array().context("no panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            add(&panel["title"], &target["expr"], &target["legendFormat"]);
        }
    }
    for each in dashboard["annotations"]["list"]
        .as_array()
        .into_iter()
        .flatten()
    {
        add(&each["name"], &each["expr"], &Value::Null);
    }
    Ok(queries)
}

/// The selectors inside the variables' `label_values(SELECTOR, LABEL)`, with their labels.
fn variables() -> Result<Vec<(String, String)>> {
    let dashboard = dashboard()?;
    let mut found = Vec::new();
    let variables = dashboard["templating"]["list"].as_array();
    for variable in variables.context("no variables")? {
        if variable["type"] != "query" {
            continue;
        }
        let query = variable["query"]["query"].as_str().context("no query")?;
        let inner = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|rest| rest.rsplit_once(", "));
        let (selector, label) = inner.with_context(|| query.to_owned())?;
        found.push((with_variables(selector), label.to_owned()));
    }
    Ok(found)
}

/// Each selector of `expression` finds series.
fn finds_series(prometheus: &Prometheus, what: &str, expression: &str) -> Result<()> {
    let selectors = selectors(expression);
    ensure!(
        !selectors.is_empty(),
        "{what} asks for nothing: {expression}"
    );
    for selector in selectors {
        let name = selector.split('{').next().unwrap_or_default();
        if NOT_ALWAYS_THERE.iter().all(|(free, _)| *free != name) {
            let found = prometheus.query(&selector)?;
            ensure!(!found.is_empty(), "{what}: no series {selector}");
        }
    }
    Ok(())
}

#[test]
fn everything_that_is_asked_for_is_served() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(3))?;
        let mut taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        let prometheus = Prometheus::start(bed.namespace())?;
        taps[1].carrier(false)?;
        let down = "portsyncd_ports{state=\"down\"} == 1";
        prometheus.wait_for(down, |series| series.len() == 1)?;

        let rules = prometheus.rules()?;
        ensure!(rules.len() > 20, "{rules:?}");
        for (alert, expression) in &rules {
            prometheus.query(expression)?;
            // That is what this one is about.
            if alert != "PortSyncdAbsent" {
                finds_series(&prometheus, alert, expression)?;
            }
        }
        for (alert, expression) in THE_GUIDES {
            let there = rules
                .iter()
                .any(|(name, query)| name == alert && query == expression);
            ensure!(there, "{alert} is not as the guide has it");
        }
        for Query {
            panel,
            expression,
            legend,
        } in dashboard_queries()?
        {
            finds_series(&prometheus, &panel, &expression)?;
            if legend.is_empty() {
                prometheus.query(&expression)?;
                continue;
            }
            // Two scrapes make a rate.
            let series = prometheus.wait_for(&expression, |series| !series.is_empty())?;
            for label in legend.split("{{").skip(1) {
                let label = label.split("}}").next().unwrap_or_default();
                ensure!(
                    series.iter().all(|each| each["metric"][label].is_string()),
                    "{panel}: no label {label} in {series:?}"
                );
            }
        }
        for (selector, label) in variables()? {
            let found = prometheus.query(&selector)?;
            ensure!(!found.is_empty(), "no series {selector}");
            ensure!(found.iter().all(|each| each["metric"][&label].is_string()));
        }

        // A port that is gone has no value at the next scrape.
        let gone = "portsyncd_port_oper_up{device=\"Ethernet4\"}";
        ensure!(prometheus.query(gone)?.len() == 1);
        taps.remove(1).delete()?;
        bed.config_db()?.del::<_, ()>("PORT|Ethernet4")?;
        prometheus.wait_for(gone, <[_]>::is_empty)?;
        daemon.stop()
    })
}

#[test]
fn alerts_follow_the_daemon() -> Result<()> {
    Bed::run(Source::Auto, |bed| {
        bed.configure(&port_names(3))?;
        let _taps = bed.taps(&port_names(2))?;
        let daemon = bed.ready(bed.listening())?;
        let prometheus = Prometheus::start(bed.namespace())?;
        // PortInitDone waits for the port that is missing.
        for alert in ["PortSyncdPortsMissing", "PortSyncdInitNotDone"] {
            let pending = format!("ALERTS{{alertname=\"{alert}\"}}");
            prometheus.wait_for(&pending, |series| series.len() == 1)?;
        }
        // No other one, once the first scrape is over. A machine that is busy with tests is slow, which
        // is no fault of the rules.
        let expected = "PortSyncdPortsMissing|PortSyncdInitNotDone|PortSyncdLatencyHigh";
        let others = format!("ALERTS{{alertname!~\"{expected}\"}}");
        prometheus.wait_for(&others, <[_]>::is_empty)?;
        ensure!(prometheus.query("portsyncd_health_score")?.len() == 1);
        daemon.kill()?;
        let down = "ALERTS{alertname=\"PortSyncdDown\", alertstate=\"pending\"}";
        prometheus.wait_for(down, |series| series.len() == 1)?;
        // A daemon that is gone leaves no last value behind.
        prometheus.wait_for("portsyncd_health_score", <[_]>::is_empty)?;
        let absent = "ALERTS{alertname=\"PortSyncdAbsent\"}";
        ensure!(
            prometheus.query(absent)?.is_empty(),
            "a target that is down is there"
        );
        Ok(())
    })
}

fn test_files() -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(kit().join("tests"))? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn promtool(words: &[&str], files: &[PathBuf]) -> Result<()> {
    let output = Command::new("promtool")
        .args(words)
        .args(files)
        .output()
        .context("promtool is in Debian's package prometheus: cargo xtask setup")?;
    ensure!(
        output.status.success(),
        "promtool {words:?}:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

#[test]
fn promtool_is_content_with_configuration_rules_and_their_tests() -> Result<()> {
    promtool(&["check", "config"], &[kit().join("prometheus.yml")])?;
    promtool(&["check", "rules"], &[kit().join("portsyncd.rules.yml")])?;
    let files = test_files()?;
    ensure!(!files.is_empty());
    promtool(&["test", "rules"], &files)
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> Result<()> {
    let rules = fs::read_to_string(kit().join("portsyncd.rules.yml"))?;
    let alerts: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("- alert: "))
        .collect();
    ensure!(alerts.len() > 20);
    let mut fires = BTreeSet::new();
    let mut rests = BTreeSet::new();
    for file in test_files()? {
        let mut alert = String::new();
        for line in fs::read_to_string(&file)?.lines() {
            if let Some(name) = line.trim_start().strip_prefix("alertname: ") {
                name.clone_into(&mut alert);
            } else if let Some(expected) = line.trim_start().strip_prefix("exp_alerts:") {
                let cases = if expected.trim() == "[]" {
                    &mut rests
                } else {
                    &mut fires
                };
                cases.insert(alert.clone());
            }
        }
    }
    for alert in alerts {
        ensure!(fires.contains(alert), "{alert} never fires in a test");
        ensure!(rests.contains(alert), "{alert} always fires in its tests");
    }
    Ok(())
}

#[test]
fn no_panel_of_the_dashboard_lies_over_another() -> Result<()> {
    let dashboard = dashboard()?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = &panel["title"];
        ensure!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let place = |key: &str| panel["gridPos"][key].as_u64().context("gridPos");
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + w <= 24, "{title} is too wide");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} lies over another panel");
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            ensure!(target["datasource"]["uid"] == "${datasource}", "{title}");
        }
    }
    ensure!(panels.len() > 20);
    Ok(())
}
