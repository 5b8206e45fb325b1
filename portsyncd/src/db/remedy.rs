//! What helps where Redis, or TLS on the way to it, refuses us.
//!
//! In flow the words of the refusal, out flows what they ask for, ready to be appended to
//! them. What is not known has no remedy: a wrong one is worse than none.

/// What a refusal has in it, one of these, and what to do.
const REMEDIES: [(&[&str], &str); 9] = [
    (
        &["NOAUTH"],
        "name the password's file in database.redis_password_file",
    ),
    (
        &["WRONGPASS", "AuthenticationFailed"],
        "database.redis_username and the line in database.redis_password_file must be those of a \
         user of Redis' that is on; the file is read at start",
    ),
    (
        &["UnknownIssuer", "BadSignature"],
        "database.redis_tls_ca must hold the very CA that signed Redis' certificate",
    ),
    (
        &["Expired", "certificate expired"],
        "Redis needs a new certificate, or this machine the right time",
    ),
    (
        &["NotValidYet", "certificate not valid yet"],
        "Redis needs another certificate, or this machine the right time",
    ),
    (
        &["not valid for name", "NotValidForName"],
        "database.redis_host must be a name or an address of Redis' certificate",
    ),
    (
        &["CertificateRequired"],
        "Redis asks for a certificate: name it in database.redis_tls_cert and redis_tls_key",
    ),
    (
        &["UnknownCA"],
        "Redis does not know who signed database.redis_tls_cert: see its tls-ca-cert-file",
    ),
    (
        &["InvalidContentType", "corrupt message"],
        "the other end does not speak TLS: database.redis_port must be Redis' tls-port",
    ),
];

/// ` (what to do)`, or nothing.
pub(super) fn of(refusal: &str) -> String {
    let known = REMEDIES
        .iter()
        .find(|(words, _)| words.iter().any(|words| refusal.contains(words)))
        .map(|(_, remedy)| (*remedy).to_owned());
    // Redis' word, the redis library's, and Redis' within a script.
    let denied = ["NOPERM", "NoPerm", SCRIPT]
        .iter()
        .any(|words| refusal.contains(words));
    let remedy = known.or_else(|| denied.then(|| permission(refusal)));
    remedy.map_or_else(String::new, |remedy| format!(" ({remedy})"))
}

/// Of a command that a script calls, of which there is one.
const SCRIPT: &str = "user executing the script can't";

/// Redis names the command, or says that it was a key or a channel, not which.
fn permission(refusal: &str) -> String {
    let command = refusal
        .split_once("run the '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .map(|(command, _)| format!("+{command}"));
    let missing = match command {
        Some(command) => command,
        None if refusal.contains("can't run") => "+hset, +sadd or +publish".to_owned(),
        None if refusal.contains("channel") => "the channels".to_owned(),
        None => "the keys".to_owned(),
    };
    format!(
        "the user of database.redis_username lacks {missing}: README_DEPLOYMENT.md, \
         \"A user of its own in Redis\", has the whole ACL SETUSER"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        for (refusal, named) in [
            (
                "NOPERM this user has no permissions to run the 'config|get' command",
                "lacks +config|get:",
            ),
            (
                "NoPerm: User portsyncd has no permissions to run the 'hset' command",
                "lacks +hset:",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                "lacks the keys:",
            ),
            (
                "NOPERM No permissions to access a channel",
                "lacks the channels:",
            ),
            (
                "ResponseError: The user executing the script can't run this command or subcommand",
                "lacks +hset, +sadd or +publish:",
            ),
            ("NOAUTH Authentication required.", "redis_password_file"),
            ("WRONGPASS invalid username-password pair", "redis_username"),
            ("invalid peer certificate: UnknownIssuer", "redis_tls_ca"),
        ] {
            let remedy = of(refusal);
            assert!(remedy.contains(named), "{refusal}: {remedy}");
        }
    }

    #[test]
    fn what_is_not_known_has_no_remedy() {
        assert_eq!(
            of("OOM command not allowed when used memory > 'maxmemory'."),
            ""
        );
        assert_eq!(of("Connection refused (os error 111)"), "");
    }
}
