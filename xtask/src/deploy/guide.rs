//! `README_DEPLOYMENT.md` as something to be run.
//!
//! A fenced block of `bash` is a script. A line of it that begins with `#=> ` is what
//! the commands before it print: some line of theirs, where `*` stands for anything.
//! A comment before the block says what else there is to know:
//!
//! - `<!-- fails: 64 -->`: its last command ends with that status;
//! - `<!-- for: 3 s -->`: it goes on until it is interrupted, as after that time;
//! - `<!-- with: NAME -->`: what the guest lacks (Docker, ...) is played by
//!   `deploy/fixtures/NAME.sh`, which says how;
//! - `<!-- not run: REASON -->`: it is only to be read.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// The guide.
pub(crate) struct Guide {
    blocks: Vec<Block>,
    configurations: Vec<(usize, String)>,
    text: String,
}

/// A block of commands.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) manner: Manner,
}

/// How a block is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// To its end, which is good.
    Run,
    Fails(u8),
    Interrupted {
        after_secs: u32,
    },
    With(String),
    /// Never; the reason stands in the guide.
    NotRun,
}

const FILE: &str = "README_DEPLOYMENT.md";

impl Guide {
    /// Reads the guide of the tree at `root`.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let text =
            fs::read_to_string(root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
        Self::parse(text)
    }

    fn parse(text: String) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut configurations = Vec::new();
        let mut lines = text.lines().enumerate();
        let mut manner = None;
        while let Some((index, line)) = lines.next() {
            let indent = line.len() - line.trim_start().len();
            let line = line.trim();
            if let Some(comment) = line.strip_prefix("<!-- ") {
                let comment = comment.strip_suffix(" -->");
                let comment = comment
                    .with_context(|| format!("{FILE}:{}: a comment of several lines", index + 1))?;
                manner =
                    Some(Manner::parse(comment).with_context(|| format!("{FILE}:{}", index + 1))?);
                continue;
            }
            let Some(language) = line.strip_prefix("```") else {
                ensure!(
                    line.is_empty() || manner.is_none(),
                    "{FILE}:{}: a comment that is about no block",
                    index + 1
                );
                continue;
            };
            let mut body = String::new();
            loop {
                let (_, line) = lines
                    .next()
                    .with_context(|| format!("{FILE}:{}: a block without an end", index + 1))?;
                if line.trim() == "```" {
                    break;
                }
                body.push_str(line.get(indent..).unwrap_or_default());
                body.push('\n');
            }
            match language {
                "bash" => blocks.push(Block {
                    line: index + 1,
                    text: body,
                    manner: manner.take().unwrap_or(Manner::Run),
                }),
                "toml" => configurations.push((index + 1, body)),
                _ => {}
            }
            ensure!(
                manner.is_none(),
                "{FILE}:{}: a comment that is about no commands",
                index + 1
            );
        }
        Ok(Self {
            blocks,
            configurations,
            text,
        })
    }

    /// Its blocks of commands, in order.
    pub(crate) fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Its configurations, with their lines.
    pub(crate) fn configurations(&self) -> impl Iterator<Item = (usize, &str)> {
        self.configurations
            .iter()
            .map(|(line, text)| (*line, text.as_str()))
    }

    /// What a guide must have: every key of the configuration, commands that say what
    /// they print, sections that its own links find.
    pub(crate) fn check(&self, root: &Path) -> Result<()> {
        let example = fs::read_to_string(root.join("portsyncd.conf.example"))?;
        let keys = example
            .lines()
            .filter_map(|line| Some(line.split_once(" = ")?.0));
        for key in keys.filter(|key| !key.starts_with('#')) {
            let named = self.text.contains(&format!("`{key}`"));
            ensure!(named, "{FILE} does not explain the key `{key}`");
        }
        let expecting = self
            .blocks
            .iter()
            .filter(|block| block.text.contains("#=> "));
        ensure!(
            expecting.count() >= 20,
            "{FILE}: hardly a command says what it prints"
        );
        let anchors: Vec<String> = self
            .text
            .lines()
            .filter_map(|line| Some(anchor(line.trim_start_matches('#').strip_prefix(' ')?)))
            .collect();
        for link in self.text.split("](#").skip(1) {
            let link = link.split(')').next().unwrap_or_default();
            ensure!(
                anchors.iter().any(|anchor| anchor == link),
                "{FILE}: no section #{link}"
            );
        }
        Ok(())
    }
}

/// As GitHub makes one of a heading.
fn anchor(heading: &str) -> String {
    heading
        .to_lowercase()
        .chars()
        .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
        .map(|character| if character == ' ' { '-' } else { character })
        .collect()
}

impl Manner {
    fn parse(comment: &str) -> Result<Self> {
        let (word, rest) = comment
            .split_once(": ")
            .with_context(|| format!("<!-- {comment} --> is none of the comments known here"))?;
        Ok(match word {
            "fails" => Self::Fails(rest.parse().context("an exit status")?),
            "for" => {
                let seconds = rest.strip_suffix(" s").context("seconds, as in \"3 s\"")?;
                Self::Interrupted {
                    after_secs: seconds.parse().context("seconds")?,
                }
            }
            "with" => Self::With(rest.to_owned()),
            "not run" => {
                ensure!(rest.len() >= 10, "a reason, for people to read");
                Self::NotRun
            }
            _ => bail!("<!-- {comment} --> is none of the comments known here"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_manner_and_lose_their_indentation() -> Result<()> {
        let guide = "# A\n\n1. first\n\n   <!-- fails: 64 -->\n   ```bash\n   false \\\n     -x\n   ```\n\n```bash\ntrue\n#=> x\n```\n```toml\na = 1\n```\n<!-- not run: nobody is there -->\n```bash\nscp\n```\n";
        let guide = Guide::parse(guide.to_owned())?;
        assert_eq!(guide.blocks[0].text, "false \\\n  -x\n");
        assert_eq!(guide.blocks[0].manner, Manner::Fails(64));
        assert_eq!(guide.blocks[0].line, 6);
        assert_eq!(guide.blocks[1].manner, Manner::Run);
        assert_eq!(guide.blocks[2].manner, Manner::NotRun);
        assert_eq!(guide.configurations().next(), Some((15, "a = 1\n")));
        Ok(())
    }

    #[test]
    fn comments_that_mean_nothing_are_refused() {
        for text in [
            "<!-- fials: 64 -->\n```bash\n```\n",
            "<!-- fails: 64 -->\ntext\n",
            "<!-- not run: -->\n```bash\n```\n",
            "<!-- for: 3 s -->\n```toml\n```\n",
            "```bash\ntrue\n",
        ] {
            assert!(Guide::parse(text.to_owned()).is_err(), "{text}");
        }
    }
}
