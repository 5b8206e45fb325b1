//! One outage in the log: each of its reasons once, and its end.

/// Reasons of one outage that are told; a remote end may make up any number.
const REASONS: usize = 4;

/// What the log has said of an outage.
#[derive(Debug, Default)]
pub struct Outage {
    said: Vec<String>,
}

impl Outage {
    /// True if the log should tell of it: it begins, or has a reason that it had
    /// not before. What breaks a connection is often not what keeps it broken.
    pub fn begins(&mut self, reason: &impl ToString) -> bool {
        let reason = reason.to_string();
        let new = self.said.len() < REASONS && !self.said.contains(&reason);
        if new {
            self.said.push(reason);
        }
        new
    }

    /// True if there was one.
    pub fn ends(&mut self) -> bool {
        !std::mem::take(&mut self.said).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_told_once() {
        let mut outage = Outage::default();
        let told =
            ["closed", "closed", "NOAUTH", "closed", "NOAUTH"].map(|why| outage.begins(&why));
        assert_eq!(told, [true, false, true, false, false]);
        assert!(outage.ends());
        assert!(!outage.ends());
        assert!(outage.begins(&"closed"), "the next outage");
    }

    #[test]
    fn an_outage_that_makes_up_reasons_is_told_in_a_few_lines() {
        let mut outage = Outage::default();
        let told = (0..100).filter(|number| outage.begins(number)).count();
        assert_eq!(told, REASONS);
    }
}
