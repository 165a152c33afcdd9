//! What the policy makes of probabilities.

/// What to do with a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// P(up) reaches the buy threshold.
    Buy,
    /// P(down) reaches the sell threshold.
    Sell,
    /// Neither.
    Hold,
    /// Features are still warming up.
    NotReady,
}

/// Confidence in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfidenceLevel {
    /// Below the medium threshold.
    Low,
    /// At or above the medium threshold.
    Medium,
    /// At or above the high threshold.
    High,
}

/// Why a score should not be acted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// The row lies outside the training data.
    Outlier,
    /// Features are still warming up.
    NotReady,
    /// The band's recent coverage is far from its target.
    Coverage,
}

/// Thresholds, from the bundle.
#[derive(Debug, Clone, Copy, PartialEq, serde::Deserialize)]
#[serde(default)]
pub struct Policy {
    /// P(up) from which the signal is BUY.
    pub buy_probability: f32,
    /// P(down) from which the signal is SELL.
    pub sell_probability: f32,
    /// Confidence from which it is medium.
    pub medium_confidence: f32,
    /// Confidence from which it is high.
    pub high_confidence: f32,
    /// Dissimilarity above which a row is an outlier.
    pub maximum_dissimilarity: f32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            buy_probability: 0.60,
            sell_probability: 0.60,
            medium_confidence: 0.55,
            high_confidence: 0.65,
            maximum_dissimilarity: 1.0,
        }
    }
}

/// The policy's reading of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What to do.
    pub signal: Signal,
    /// Calibrated probability that the price is higher.
    pub probability_up: f32,
    /// The larger of P(up) and P(down).
    pub confidence: f32,
    /// The same in words.
    pub level: ConfidenceLevel,
}

impl Policy {
    /// Reads P(up) and P(down).
    #[must_use]
    pub fn judge(&self, probability_up: f32, probability_down: f32) -> Verdict {
        let signal = if probability_up >= self.buy_probability && probability_up >= probability_down
        {
            Signal::Buy
        } else if probability_down >= self.sell_probability {
            Signal::Sell
        } else {
            Signal::Hold
        };
        let confidence = probability_up.max(probability_down);
        let level = if confidence >= self.high_confidence {
            ConfidenceLevel::High
        } else if confidence >= self.medium_confidence {
            ConfidenceLevel::Medium
        } else {
            ConfidenceLevel::Low
        };
        Verdict {
            signal,
            probability_up,
            confidence,
            level,
        }
    }

    /// Whether a row lies outside the training data. A dissimilarity that is not a number does.
    #[must_use]
    pub fn is_outlier(&self, dissimilarity: f32) -> bool {
        dissimilarity.is_nan() || dissimilarity > self.maximum_dissimilarity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_inclusive() {
        let policy = Policy::default();
        let reading = |up: f32| {
            let verdict = policy.judge(up, 1.0 - up);
            (verdict.signal, verdict.level)
        };
        assert_eq!(reading(0.60), (Signal::Buy, ConfidenceLevel::Medium));
        assert_eq!(reading(0.65), (Signal::Buy, ConfidenceLevel::High));
        assert_eq!(reading(0.5), (Signal::Hold, ConfidenceLevel::Low));
        assert_eq!(reading(0.25), (Signal::Sell, ConfidenceLevel::High));
        assert_eq!(reading(0.59), (Signal::Hold, ConfidenceLevel::Medium));
    }

    #[test]
    fn an_unknown_distance_is_outside() {
        assert!(Policy::default().is_outlier(f32::NAN));
        assert!(Policy::default().is_outlier(1.01));
        assert!(!Policy::default().is_outlier(1.0));
    }
}
