//! What a token allows.

use serde::Deserialize;

/// One thing that a client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Score rows.
    Score,
    /// Publish bars.
    Publish,
    /// Subscribe to signals.
    Subscribe,
    /// See and change which models serve.
    Admin,
}

impl Role {
    /// As the file of tokens writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Score => "score",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Admin => "admin",
        }
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Roles(u8);

impl Roles {
    /// Whether `role` is among them.
    #[must_use]
    pub const fn contain(self, role: Role) -> bool {
        self.0 & (1 << role as u8) != 0
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Self {
        Self(
            roles
                .into_iter()
                .fold(0, |set, role| set | (1 << role as u8)),
        )
    }
}

/// What a path asks of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing: health.
    Nothing,
    /// Any token.
    Token,
    /// A token with this role.
    Role(Role),
}

/// What `path` asks for.
pub(super) fn need(path: &str, open_health: bool, open_reflection: bool) -> Need {
    let open = |open| if open { Need::Nothing } else { Need::Token };
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/'))
    else {
        return Need::Token;
    };
    match service {
        "candlewire.v1.ScoringService" => Need::Role(Role::Score),
        "candlewire.v1.BarService" => Need::Role(Role::Publish),
        "candlewire.v1.SignalService" => Need::Role(Role::Subscribe),
        "inference.GRPCInferenceService" => match method {
            "ServerLive" | "ServerReady" | "ModelReady" => open(open_health),
            "RepositoryModelLoad" | "RepositoryModelUnload" => Need::Role(Role::Admin),
            _ => Need::Role(Role::Score),
        },
        "grpc.health.v1.Health" => open(open_health),
        "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection" => {
            open(open_reflection)
        }
        _ => Need::Token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_asks_for_its_role() {
        for (path, expected) in [
            (
                "/candlewire.v1.ScoringService/Score",
                Need::Role(Role::Score),
            ),
            (
                "/candlewire.v1.BarService/Publish",
                Need::Role(Role::Publish),
            ),
            (
                "/candlewire.v1.SignalService/GetLatest",
                Need::Role(Role::Subscribe),
            ),
            (
                "/inference.GRPCInferenceService/ModelInfer",
                Need::Role(Role::Score),
            ),
            ("/inference.GRPCInferenceService/ServerReady", Need::Nothing),
            (
                "/inference.GRPCInferenceService/RepositoryModelUnload",
                Need::Role(Role::Admin),
            ),
            ("/grpc.health.v1.Health/Check", Need::Nothing),
            (
                "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
                Need::Token,
            ),
            ("/candlewire.v1.ScoringServices/Score", Need::Token),
            ("//candlewire.v1.ScoringService/Score", Need::Token),
            ("*", Need::Token),
        ] {
            assert_eq!(need(path, true, false), expected, "{path}");
        }
        assert_eq!(
            need("/grpc.health.v1.Health/Watch", false, false),
            Need::Token
        );
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let all = [Role::Score, Role::Publish, Role::Subscribe, Role::Admin];
        let some: Roles = [Role::Publish, Role::Admin].into_iter().collect();
        let held: Vec<Role> = all.into_iter().filter(|role| some.contain(*role)).collect();
        assert_eq!(held, [Role::Publish, Role::Admin]);
    }
}
