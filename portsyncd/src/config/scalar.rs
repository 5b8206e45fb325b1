//! Reading numbers, switches and choices.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::reader::Section;

/// A value that is one of a few names.
pub(super) trait Choice: Copy + 'static {
    /// All of them, in the order they are listed to users.
    const ALL: &'static [Self];

    /// Its name in the file.
    fn name(self) -> &'static str;
}

/// Defines an enum whose variants have names in the configuration file.
macro_rules! choices {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident { $( $(#[$variant_meta:meta])* $variant:ident = $name:literal, )+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $enum { $( $(#[$variant_meta])* $variant, )+ }

        impl $enum {
            /// Its name in the configuration file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $name, )+ }
            }
        }

        impl $crate::config::scalar::Choice for $enum {
            const ALL: &'static [Self] = &[ $( Self::$variant, )+ ];

            fn name(self) -> &'static str {
                self.as_str()
            }
        }

        impl std::fmt::Display for $enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(super) use choices;

impl Section<'_, '_> {
    /// A whole number in `range`.
    pub(super) fn integer<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
    ) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<i128>,
    {
        self.integer_of(key, default, range, "")
    }

    /// A time in whole seconds.
    pub(super) fn seconds(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<u64>,
    ) -> Duration {
        Duration::from_secs(self.integer_of(key, default.as_secs(), range, " (seconds)"))
    }

    /// A time in whole milliseconds.
    pub(super) fn milliseconds(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<u128>,
    ) -> Duration {
        let millis = self.integer_of(key, default.as_millis(), range, " (milliseconds)");
        u64::try_from(millis).map_or(default, Duration::from_millis)
    }

    /// A time in whole microseconds.
    pub(super) fn microseconds(
        &mut self,
        key: &'static str,
        default: Duration,
        range: RangeInclusive<u128>,
    ) -> Duration {
        let micros = self.integer_of(key, default.as_micros(), range, " (microseconds)");
        u64::try_from(micros).map_or(default, Duration::from_micros)
    }

    /// A power of two in `range`.
    pub(super) fn power_of_two(
        &mut self,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let reason = format!(
            "must be a power of two from {} to {}",
            range.start(),
            range.end()
        );
        self.checked_integer(key, default, &reason, |number: u32| {
            range.contains(&number) && number.is_power_of_two()
        })
    }

    /// A percentage, with or without a fraction.
    pub(super) fn percent(&mut self, key: &'static str, default: f64) -> f64 {
        let Some(value) = self.value(key) else {
            return default;
        };
        let number = match value {
            // Both texts are as `f64::from_str` takes them, but for a radix that is not ten.
            DeValue::Float(float) => float.as_str().parse().ok(),
            DeValue::Integer(integer) => i32::from_str_radix(integer.as_str(), integer.radix())
                .ok()
                .map(f64::from),
            _ => {
                self.refuse_type(key, "a number from 0 to 100 (percent)", value);
                return default;
            }
        };
        let Some(number) = number.filter(|number: &f64| (0.0..=100.0).contains(number)) else {
            self.refuse(key, "must be a number from 0 to 100 (percent)");
            return default;
        };
        number
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        match self.value(key) {
            None => default,
            Some(DeValue::Boolean(value)) => *value,
            Some(value) => {
                self.refuse_type(key, "true or false", value);
                default
            }
        }
    }

    /// One of the names of `T`.
    pub(super) fn choice<T: Choice>(&mut self, key: &'static str, default: T) -> T {
        let Some(value) = self.value(key) else {
            return default;
        };
        if let DeValue::String(text) = value
            && let Some(choice) = T::ALL.iter().find(|choice| choice.name() == text)
        {
            return *choice;
        }
        let names: Vec<_> = T::ALL
            .iter()
            .map(|choice| format!("\"{}\"", choice.name()))
            .collect();
        self.refuse(key, &format!("must be one of {}", names.join(", ")));
        default
    }

    fn integer_of<T>(
        &mut self,
        key: &'static str,
        default: T,
        range: RangeInclusive<T>,
        unit: &str,
    ) -> T
    where
        T: Copy + Display + PartialOrd + TryFrom<i128>,
    {
        let reason = format!(
            "must be a whole number from {} to {}{unit}",
            range.start(),
            range.end()
        );
        self.checked_integer(key, default, &reason, |number| range.contains(&number))
    }

    fn checked_integer<T>(
        &mut self,
        key: &'static str,
        default: T,
        reason: &str,
        good: impl Fn(T) -> bool,
    ) -> T
    where
        T: Copy + TryFrom<i128>,
    {
        match self.value(key) {
            None => default,
            Some(DeValue::Integer(integer)) => {
                // What does not even fit is out of every range.
                let number = i128::from_str_radix(integer.as_str(), integer.radix())
                    .ok()
                    .and_then(|number| T::try_from(number).ok())
                    .filter(|number| good(*number));
                number.unwrap_or_else(|| {
                    self.refuse(key, reason);
                    default
                })
            }
            Some(_) => {
                self.refuse(key, reason);
                default
            }
        }
    }
}
