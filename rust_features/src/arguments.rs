//! Parameters a kernel declares, and the arguments a spec gives for them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::Column;
use crate::nearest::nearest;

/// One parameter of a kernel.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    /// Name in a feature spec.
    pub name: &'static str,
    /// Meaning and unit.
    pub meaning: &'static str,
    /// Type, default and range.
    pub kind: ParameterKind,
}

/// Type, default and range of a parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ParameterKind {
    /// A whole number.
    Integer {
        /// Value when the spec leaves it out.
        default: i64,
        /// Smallest allowed value.
        least: i64,
        /// Largest allowed value.
        most: i64,
    },
    /// A finite number.
    Number {
        /// Value when the spec leaves it out.
        default: f64,
        /// Smallest allowed value.
        least: f64,
        /// Largest allowed value.
        most: f64,
    },
    /// One of a few words.
    Choice {
        /// Value when the spec leaves it out.
        default: &'static str,
        /// Allowed words.
        options: &'static [&'static str],
    },
    /// A name that the spec's author chooses: of a symbol or of another feature.
    Name {
        /// Value when the spec leaves it out; must be given when empty.
        default: &'static str,
    },
}

/// Longest name that a parameter takes, bytes.
const LONGEST_NAME: usize = 64;

/// Longest window, in bars; TA-Lib's own limit.
pub const LONGEST_PERIOD: i64 = 100_000;

impl Parameter {
    /// A whole number.
    pub const fn integer(
        name: &'static str,
        meaning: &'static str,
        default: i64,
        least: i64,
        most: i64,
    ) -> Self {
        Self {
            name,
            meaning,
            kind: ParameterKind::Integer {
                default,
                least,
                most,
            },
        }
    }

    /// A number of bars, at least `least`.
    pub const fn period(
        name: &'static str,
        meaning: &'static str,
        default: i64,
        least: i64,
    ) -> Self {
        Self::integer(name, meaning, default, least, LONGEST_PERIOD)
    }

    /// A finite number.
    pub const fn number(
        name: &'static str,
        meaning: &'static str,
        default: f64,
        least: f64,
        most: f64,
    ) -> Self {
        Self {
            name,
            meaning,
            kind: ParameterKind::Number {
                default,
                least,
                most,
            },
        }
    }

    /// One of a few words.
    pub const fn choice(
        name: &'static str,
        meaning: &'static str,
        default: &'static str,
        options: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            meaning,
            kind: ParameterKind::Choice { default, options },
        }
    }

    /// A name of the author's choice; without a default it must be given.
    pub const fn name(name: &'static str, meaning: &'static str, default: &'static str) -> Self {
        Self {
            name,
            meaning,
            kind: ParameterKind::Name { default },
        }
    }

    /// The column an indicator of one series reads; `default` is usually the close.
    pub const fn column(default: &'static str) -> Self {
        Self::choice(
            "source",
            "column of the bar to read",
            default,
            &Column::NAMES,
        )
    }

    /// Whether this is the parameter that [`Parameter::column`] declares.
    pub(crate) const fn is_column(&self) -> bool {
        matches!(self.name.as_bytes(), b"source")
    }

    /// The value when the spec leaves it out.
    pub fn default_argument(&self) -> Argument {
        match self.kind {
            ParameterKind::Integer { default, .. } => Argument::Integer(default),
            ParameterKind::Number { default, .. } => Argument::Number(default),
            ParameterKind::Choice { default, .. } | ParameterKind::Name { default } => {
                Argument::Text(default.to_owned())
            }
        }
    }

    fn accept(&self, given: &Argument) -> Result<Argument, ArgumentError> {
        let refuse = |expected: String| {
            Err(ArgumentError::Refused {
                name: self.name,
                value: given.to_string(),
                expected,
            })
        };
        match (self.kind, given) {
            (ParameterKind::Integer { least, most, .. }, given) => match given {
                Argument::Integer(value) if (least..=most).contains(value) => Ok(given.clone()),
                _ => refuse(format!("a whole number from {least} to {most}")),
            },
            (ParameterKind::Number { least, most, .. }, given) => {
                let value = match given {
                    Argument::Integer(value) => *value as f64,
                    Argument::Number(value) => *value,
                    Argument::Text(_) => f64::NAN,
                };
                if value >= least && value <= most {
                    Ok(Argument::Number(value + 0.0)) // minus zero and zero are one spec
                } else {
                    refuse(format!("a number from {least} to {most}"))
                }
            }
            (ParameterKind::Choice { options, .. }, given) => match given {
                Argument::Text(text) if options.contains(&text.as_str()) => Ok(given.clone()),
                _ => refuse(format!("one of {}", options.join(", "))),
            },
            (ParameterKind::Name { .. }, given) => match given {
                Argument::Text(text)
                    if (1..=LONGEST_NAME).contains(&text.len())
                        && !text.chars().any(char::is_control) =>
                {
                    Ok(given.clone())
                }
                _ => refuse(format!(
                    "a name of 1 to {LONGEST_NAME} bytes without control characters"
                )),
            },
        }
    }
}

/// One value of a spec.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A word.
    Text(String),
}

impl std::fmt::Display for Argument {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Integer(value) => write!(formatter, "{value}"),
            Self::Number(value) => write!(formatter, "{value:?}"),
            Self::Text(value) => write!(formatter, "\"{value}\""),
        }
    }
}

/// Why arguments are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ArgumentError {
    /// The kernel has no such parameter.
    #[error("unknown parameter \"{name}\"{}; known: {known}", suggestion.map(|near| format!(", did you mean \"{near}\"?")).unwrap_or_default())]
    Unknown {
        /// Name as given.
        name: String,
        /// The nearest known name.
        suggestion: Option<&'static str>,
        /// All names, for people.
        known: String,
    },
    /// The value has the wrong type or lies outside the range.
    #[error("{name} is {value}: give {expected}")]
    Refused {
        /// Name of the parameter.
        name: &'static str,
        /// Value as given.
        value: String,
        /// What would be accepted.
        expected: String,
    },
    /// Two values contradict each other.
    #[error("{0}")]
    Contradiction(String),
    /// A kernel asks for a parameter that its description does not declare.
    #[error(
        "the kernel reads parameter \"{0}\" but does not declare it: correct the kernel's description"
    )]
    Undeclared(&'static str),
}

/// Every parameter of one kernel with its value, defaults filled in.
#[derive(Debug, Clone, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Arguments(BTreeMap<&'static str, Argument>);

impl Arguments {
    /// Checks `given` against the declared parameters and fills in the defaults.
    ///
    /// # Errors
    /// An unknown name, a wrong type, a value out of range.
    pub fn complete(
        parameters: &'static [Parameter],
        given: &BTreeMap<String, Argument>,
    ) -> Result<Self, ArgumentError> {
        let mut complete: BTreeMap<&'static str, Argument> = parameters
            .iter()
            .map(|parameter| (parameter.name, parameter.default_argument()))
            .collect();
        for (name, argument) in given {
            let Some(parameter) = parameters.iter().find(|parameter| parameter.name == name) else {
                let names = || parameters.iter().map(|parameter| parameter.name);
                return Err(ArgumentError::Unknown {
                    name: name.clone(),
                    suggestion: nearest(name, names()),
                    known: names().collect::<Vec<_>>().join(", "),
                });
            };
            complete.insert(parameter.name, parameter.accept(argument)?);
        }
        Ok(Self(complete))
    }

    /// Names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Argument)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// A whole number that counts something.
    ///
    /// # Errors
    /// The description does not declare it as an integer.
    pub fn count(&self, name: &'static str) -> Result<usize, ArgumentError> {
        match self.0.get(name) {
            Some(Argument::Integer(value)) => {
                usize::try_from(*value).map_err(|_| ArgumentError::Undeclared(name))
            }
            _ => Err(ArgumentError::Undeclared(name)),
        }
    }

    /// A whole number of any sign.
    ///
    /// # Errors
    /// The description does not declare it as an integer.
    pub fn integer(&self, name: &'static str) -> Result<i64, ArgumentError> {
        match self.0.get(name) {
            Some(Argument::Integer(value)) => Ok(*value),
            _ => Err(ArgumentError::Undeclared(name)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// The description does not declare it as a number.
    pub fn number(&self, name: &'static str) -> Result<f64, ArgumentError> {
        match self.0.get(name) {
            Some(Argument::Number(value)) => Ok(*value),
            _ => Err(ArgumentError::Undeclared(name)),
        }
    }

    /// A word.
    ///
    /// # Errors
    /// The description does not declare it as a choice.
    pub fn text(&self, name: &'static str) -> Result<&str, ArgumentError> {
        match self.0.get(name) {
            Some(Argument::Text(value)) => Ok(value),
            _ => Err(ArgumentError::Undeclared(name)),
        }
    }

    /// The column that the parameter `source` names.
    ///
    /// # Errors
    /// The description does not declare [`Parameter::column`].
    pub fn column(&self) -> Result<Column, ArgumentError> {
        Column::parse(self.text("source")?).ok_or(ArgumentError::Undeclared("source"))
    }
}
