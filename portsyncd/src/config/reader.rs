//! The declarative reader: a section asks for its keys one by one, with the default and the range
//! of each, and gets a value that is good whatever the file says.
//!
//! What is wrong is put on a list and the default handed out in its place, so one pass finds all
//! problems. The keys that were asked for are the known keys: whatever else the file has is
//! refused at the end, so the list of known keys cannot drift from the code that reads them.
//! The kinds of value are read in `scalar.rs` (numbers, choices), `text.rs` (strings, paths) and
//! `list.rs` (arrays).

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Problem, line_of, nearest, one_line, parse_toml, quoted};

/// A parsed file, and what was found wrong with it so far.
pub(super) struct Document<'i> {
    text: &'i str,
    table: DeTable<'i>,
    sections: Vec<(&'static str, Vec<&'static str>)>,
    problems: Vec<Problem>,
}

/// One `[section]` of the file; it need not be there.
pub(super) struct Section<'d, 'i> {
    name: &'static str,
    text: &'i str,
    table: Option<&'d DeTable<'i>>,
    keys: &'d mut Vec<&'static str>,
    problems: &'d mut Vec<Problem>,
}

impl<'i> Document<'i> {
    /// Parses the TOML, or gives its syntax errors.
    pub(super) fn parse(text: &'i str) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            text,
            table: parse_toml(text)?,
            sections: Vec::new(),
            problems: Vec::new(),
        })
    }

    /// The section of that name, which is a known one from now on.
    pub(super) fn section(&mut self, name: &'static str) -> Section<'_, 'i> {
        let table = match self.table.get(name).map(Spanned::get_ref) {
            None => None,
            Some(DeValue::Table(table)) => Some(table),
            Some(_) => {
                self.problems.push(Problem {
                    line: key_line(self.text, &self.table, name),
                    key: name.to_owned(),
                    given: None,
                    reason: format!("must be a table: [{name}], once, with its keys below"),
                });
                None
            }
        };
        let keys = &mut self.sections.push_mut((name, Vec::new())).1;
        Section {
            name,
            text: self.text,
            table,
            keys,
            problems: &mut self.problems,
        }
    }

    /// Refuses every section and key that nobody asked for, and gives all problems, if there are
    /// any, in the order of their lines.
    pub(super) fn finish(mut self) -> Result<(), Vec<Problem>> {
        let mut unknown = Vec::new();
        for (name, value) in &self.table {
            let name = name.get_ref().as_ref();
            match self.sections.iter().find(|(known, _)| *known == name) {
                None => unknown.push(self.unknown_section(name, value.get_ref())),
                Some((section, known)) => {
                    if let DeValue::Table(table) = value.get_ref() {
                        unknown.extend(
                            table
                                .keys()
                                .map(|key| key.get_ref().as_ref())
                                .filter(|key| !known.contains(key))
                                .map(|key| self.unknown_key(section, known, table, key)),
                        );
                    }
                }
            }
        }
        self.problems.append(&mut unknown);
        self.problems.sort_by_key(|problem| problem.line);
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(self.problems)
        }
    }

    fn unknown_section(&self, name: &str, value: &DeValue<'_>) -> Problem {
        let known = self.sections.iter().map(|(section, _)| *section);
        let reason = if let Some(section) = self.home_of(name) {
            format!("stands outside any section; it belongs in [{section}]")
        } else if let Some(near) = nearest(name, known.clone()) {
            format!("unknown section; did you mean [{near}]?")
        } else {
            let all: Vec<_> = known.map(|section| format!("[{section}]")).collect();
            let what = match value {
                DeValue::Table(_) => "section",
                _ => "key",
            };
            format!("unknown {what}; the sections are {}", all.join(", "))
        };
        Problem {
            line: key_line(self.text, &self.table, name),
            key: one_line(name),
            given: None,
            reason,
        }
    }

    fn unknown_key(
        &self,
        section: &str,
        known: &[&'static str],
        table: &DeTable<'_>,
        key: &str,
    ) -> Problem {
        let reason = if let Some(home) = self.home_of(key) {
            format!("unknown key; it belongs in [{home}]")
        } else if let Some(near) = nearest(key, known.iter().copied()) {
            format!("unknown key; did you mean `{near}`?")
        } else {
            format!("unknown key; [{section}] has {}", known.join(", "))
        };
        Problem {
            line: key_line(self.text, table, key),
            key: format!("{section}.{}", one_line(key)),
            given: None,
            reason,
        }
    }

    /// The section that has a key of exactly that name.
    fn home_of(&self, key: &str) -> Option<&'static str> {
        self.sections
            .iter()
            .find(|(_, keys)| keys.contains(&key))
            .map(|(section, _)| *section)
    }
}

impl<'d, 'i> Section<'d, 'i> {
    /// The value of `key`, a known key from now on.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'d DeValue<'i>> {
        self.keys.push(key);
        self.spanned(key).map(Spanned::get_ref)
    }

    fn spanned(&self, key: &str) -> Option<&'d Spanned<DeValue<'i>>> {
        self.table.and_then(|table| table.get(key))
    }

    /// Whether the file has that key.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.spanned(key).is_some()
    }

    /// Whether the file has that key and its value is not the empty string, which means unset.
    pub(super) fn is_set(&self, key: &str) -> bool {
        match self.spanned(key).map(Spanned::get_ref) {
            None => false,
            Some(DeValue::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// Puts a problem with the value of `key` on the list.
    pub(super) fn refuse(&mut self, key: &str, reason: &str) {
        let given = self
            .spanned(key)
            .map(|value| quoted(self.text, value.span()));
        let line = self.table.and_then(|table| key_line(self.text, table, key));
        self.problems.push(Problem {
            line,
            key: format!("{}.{key}", self.name),
            given,
            reason: reason.to_owned(),
        });
    }

    /// Puts a value of the wrong type on the list: it must be `wanted`.
    pub(super) fn refuse_type(&mut self, key: &str, wanted: &str, value: &DeValue<'_>) {
        let is = match value {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.refuse(key, &format!("must be {wanted}, not {is}"));
    }

    /// Refuses one of two keys without the other.
    pub(super) fn set_together(&mut self, one: &str, other: &str) {
        for (given, missing) in [(one, other), (other, one)] {
            if self.is_set(given) && !self.is_set(missing) {
                self.refuse(given, &format!("needs {missing} too"));
            }
        }
    }
}

/// The line of the key `name` in `table`.
fn key_line(text: &str, table: &DeTable<'_>, name: &str) -> Option<usize> {
    let (key, _) = table.get_key_value(name)?;
    Some(line_of(text, key.span().start))
}
