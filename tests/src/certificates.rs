//! Certificates made by openssl(1): a CA, and what it signs.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// A CA of its own, in a directory that goes with it.
pub struct Certificates(TempDir);

/// The name that [`Certificates::sign`] puts into a certificate.
const LOOPBACK: &str = "IP:127.0.0.1";

impl Certificates {
    /// A CA (`ca.pem`), and certificates for 127.0.0.1 that it signed: `server` and
    /// `client`.
    pub fn make() -> Result<Self> {
        let made = Self(tempfile::tempdir()?);
        // No two are of one name: a stranger is told by it.
        let name = made.directory().file_name().unwrap_or_default().display();
        let mut words = key_words(&format!("req -x509 -days 2 -subj /CN=CA-{name}"), "ca");
        words.extend(["-out", "ca.pem"].map(str::to_owned));
        made.openssl(&words)?;
        made.sign("server")?;
        made.sign("client")?;
        Ok(made)
    }

    /// A new key and certificate for 127.0.0.1 in NAME.key and NAME.pem.
    pub fn sign(&self, name: &str) -> Result<()> {
        self.sign_for(name, LOOPBACK, 2)
    }

    /// As [`sign`](Self::sign), but it expired yesterday.
    pub fn sign_expired(&self, name: &str) -> Result<()> {
        self.sign_for(name, LOOPBACK, -1)
    }

    /// As [`sign`](Self::sign), for another subject, such as `DNS:elsewhere`.
    pub fn sign_for_subject(&self, name: &str, subject: &str) -> Result<()> {
        self.sign_for(name, subject, 2)
    }

    fn sign_for(&self, name: &str, subject: &str, days: i32) -> Result<()> {
        let mut request = key_words("req -subj /CN=switch", name);
        request.extend([
            "-addext".to_owned(),
            format!("subjectAltName={subject}"),
            "-out".to_owned(),
            format!("{name}.csr"),
        ]);
        self.openssl(&request)?;
        let sign = format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days {days} \
             -copy_extensions copy -out {name}.pem"
        );
        self.openssl(&sign.split(' ').map(str::to_owned).collect::<Vec<_>>())
    }

    /// A file of the directory, such as `ca.pem`.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn openssl(&self, words: &[String]) -> Result<()> {
        let output = Command::new("openssl")
            .args(words)
            .current_dir(self.directory())
            .output()
            .context("openssl(1)")?;
        ensure!(
            output.status.success(),
            "openssl {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    fn directory(&self) -> &Path {
        self.0.path()
    }
}

/// `words` and those of a new key in NAME.key.
fn key_words(words: &str, name: &str) -> Vec<String> {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout";
    let words = words.split(' ').chain(key.split(' '));
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.push(format!("{name}.key"));
    words
}
