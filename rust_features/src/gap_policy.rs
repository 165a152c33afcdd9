//! What a spec does when bars are missing.

use serde::{Deserialize, Serialize};

/// What to do when bars are missing before a bar. A market's pauses count as missing bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "GapRequest")]
pub enum GapPolicy {
    /// Nothing: the next bar follows the last one.
    #[default]
    Skip,
    /// As `Skip`, and a panel says so in the bar's status.
    Flag,
    /// More missing bars than this: the series starts anew, and a panel says so.
    ResetAfter(u64),
}

/// The policy as a spec writes it, in JSON and YAML alike.
#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "give \"skip\", \"flag\" or {\"reset_after\": bars}"
)]
enum GapRequest {
    Word(String),
    Reset { reset_after: u64 },
}

impl TryFrom<GapRequest> for GapPolicy {
    type Error = String;

    fn try_from(request: GapRequest) -> Result<Self, String> {
        match request {
            GapRequest::Reset { reset_after } => Ok(Self::ResetAfter(reset_after)),
            GapRequest::Word(word) => Self::try_from(&word[..]),
        }
    }
}

/// A policy that is one word.
impl TryFrom<&str> for GapPolicy {
    type Error = String;

    fn try_from(word: &str) -> Result<Self, String> {
        match word {
            "skip" => Ok(Self::Skip),
            "flag" => Ok(Self::Flag),
            _ => Err(format!(
                "gap is \"{}\": give \"skip\", \"flag\" or {{\"reset_after\": bars}}",
                word.chars().take(20).collect::<String>()
            )),
        }
    }
}

impl GapPolicy {
    pub(crate) fn is_skip(&self) -> bool {
        *self == Self::Skip
    }
}
