use std::fs;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::sealed::{Broken, open_map, seal};
use super::state::{read, write};
use super::vault::Vault;
use crate::observe::ports::Ports;
use crate::observe::told::Published;
use crate::table::{Origin, PortState};

const BOOT: &str = "a-boot";

/// Ports with some history.
fn ports(changes: &[(u8, bool, u32)]) -> Ports {
    let mut ports = Ports::new();
    for (port, oper_up, downs) in changes {
        let change = Published {
            name: format!("Ethernet{port}").parse().unwrap(),
            since_ns: 1_000_000,
            acked_ns: 1_050_000,
            state: Some(PortState {
                oper_up: *oper_up,
                admin_up: true,
                mtu: 9100,
            }),
            downs: *downs,
            deleted: false,
            origin: Origin::Carrier,
        };
        ports.published(&[change], 1000, |_| {});
    }
    ports
}

fn vault(directory: &Path) -> Vault {
    Vault {
        directory: directory.to_owned(),
        stem: "port_state",
        max_backups: 3,
        retention: Duration::from_hours(24),
        max_bytes: 1 << 20,
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        changes in prop::collection::vec((0..8_u8, any::<bool>(), 0..9_u32), 0..200)
    ) {
        let ports = ports(&changes);
        let restored = read(&write(&ports, BOOT), BOOT).unwrap();
        prop_assert_eq!(restored.ports.len(), ports.all().count());
        prop_assert_eq!(&restored.outages, &ports.outages);
        for (name, port) in ports.all() {
            let back = &restored.ports[name];
            prop_assert_eq!(back.hint, port.state);
            prop_assert_eq!(back.state, None, "nothing is published from a file");
            prop_assert_eq!(&back.journal, &port.journal);
            prop_assert_eq!(
                (back.flaps, back.downs, back.since_ns, back.down_since_ns),
                (port.flaps, port.downs, port.since_ns, port.down_since_ns)
            );
        }
        // Another boot counts anew.
        let other = read(&write(&ports, BOOT), "another").unwrap();
        prop_assert!(other.ports.values().all(|port| port.downs.is_none()));
    }

    #[test]
    fn a_spoilt_file_is_refused(
        at in any::<prop::sample::Index>(),
        bytes in prop::collection::vec(any::<u8>(), 1..40),
    ) {
        let good = write(&ports(&[(0, true, 1), (4, false, 2)]), BOOT);
        let mut bad = good.clone();
        let at = at.index(bad.len());
        let end = (at + bytes.len()).min(bad.len());
        bad[at..end].copy_from_slice(&bytes[..end - at]);
        prop_assert!(bad == good || read(&bad, BOOT).is_err());
    }

    /// A right checksum over anything at all: an error, never a panic.
    #[test]
    fn any_content_is_read_or_refused(text in "\\{\"format_version\":1,\"(ports|boot_id|outages)\":.{0,60}\\}") {
        let _ = read(&seal(text.clone().into_bytes()), BOOT);
        let _ = open_map(&seal(text.into_bytes()));
    }
}

#[test]
fn names_that_cannot_be_and_future_versions_are_refused() {
    let sealed = |json: &str| seal(json.as_bytes().to_vec());
    let port = r#"{"state":null,"since_ns":0,"flaps":0,"carrier_downs":null,"down_since_ns":0,"journal":[]}"#;
    let with = |name: &str, version: u32| {
        format!(
            r#"{{"format_version":{version},"boot_id":"b","outages":[],"ports":{{"{name}":{port}}}}}"#
        )
    };
    assert!(read(&sealed(&with("Ethernet0", 1)), "b").is_ok());
    let too_long = read(&sealed(&with("Ethernet0123456789", 1)), "b").unwrap_err();
    assert!(too_long.to_string().contains("15 bytes"), "{too_long}");
    let future = read(&sealed(&with("Ethernet0", 2)), "b").unwrap_err();
    assert_eq!(future, Broken::Version(2));
}

#[test]
fn the_newest_good_backup_is_used_and_the_bad_ones_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    let document = |n: u32| seal(format!(r#"{{"format_version":1,"n":{n}}}"#).into_bytes());
    assert!(vault.load(open_map).content.is_none(), "a first start");
    vault.save(&document(1), true).unwrap();
    let backups = folder.path().join("backups");
    for (secs, text) in [
        (5000, document(7)),
        (6000, document(8)),
        (7000, b"rubbish".to_vec()),
    ] {
        fs::write(backups.join(format!("port_state_{secs}.json")), text).unwrap();
    }
    fs::write(vault.path(), b"").unwrap();
    for entry in fs::read_dir(&backups).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !["5000", "6000", "7000"]
            .iter()
            .any(|secs| name.contains(secs))
        {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let loaded = vault.load(open_map);
    assert_eq!(loaded.content.unwrap()["n"], 8);
    assert_eq!(loaded.corrupt.len(), 2, "{:?}", loaded.corrupt);
    assert!(loaded.recovered.unwrap().ends_with("port_state_6000.json"));
    assert!(!vault.path().exists());
    assert!(folder.path().join("port_state.json.corrupt").exists());
}

#[test]
fn files_set_aside_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let vault = vault(folder.path());
    for round in 0..20 {
        fs::write(vault.path(), format!("rubbish {round}")).unwrap();
        assert_eq!(vault.load(open_map).corrupt.len(), 1);
    }
    let aside = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(aside, 3);
    let newest = fs::read_to_string(folder.path().join("port_state.json.corrupt")).unwrap();
    assert_eq!(newest, "rubbish 19");
}

#[test]
fn a_file_that_has_grown_too_long_is_rotated() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault {
        max_bytes: 1000,
        ..vault(folder.path())
    };
    let document = seal(br#"{"format_version":1}"#.to_vec());
    vault.save(&document, false).unwrap();
    fs::write(vault.path(), vec![b' '; 2000]).unwrap();
    let saved = vault.save(&document, false).unwrap();
    assert_eq!(saved.backups_created, 1);
    assert_eq!(fs::read(vault.path()).unwrap(), document);
}
