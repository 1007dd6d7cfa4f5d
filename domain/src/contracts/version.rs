//! A version of a contract on its way: draft, tested, approved, active, superseded. What may be done at which point,
//! and by whom.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::contract::{ActiveVersion, Terms};
use crate::error::{Code, Problem};
use crate::ids::{ContractId, MemberId, PartnerId};
use crate::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum VersionState {
    Draft,
    /// The draft as it is now passed its contract's test cases.
    Tested,
    /// Somebody approved the draft as it is now.
    Approved,
    Active,
    /// Another version has taken over.
    Superseded,
}

impl VersionState {
    pub const ALL: [Self; 5] = [Self::Draft, Self::Tested, Self::Approved, Self::Active, Self::Superseded];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Tested => "TESTED",
            Self::Approved => "APPROVED",
            Self::Active => "ACTIVE",
            Self::Superseded => "SUPERSEDED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether it was put in force: from then on it does not change.
    pub const fn is_fixed(self) -> bool {
        matches!(self, Self::Active | Self::Superseded)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContractVersion {
    pub contract: ContractId,
    /// 1 is the first that was written, whatever it counts from.
    pub version: i64,
    pub state: VersionState,
    /// Counts each save of the draft, the first one included.
    #[serde(default)]
    pub revision: i64,
    /// The instant that `terms.valid_from` stands for in the contract's zone.
    pub valid_from: Timestamp,
    pub terms: Terms,
    pub created_at: Timestamp,
    /// When the draft was saved last, and by whom.
    #[serde(default)]
    pub changed_at: Option<Timestamp>,
    #[serde(default)]
    pub changed_by: Option<MemberId>,
    #[serde(default)]
    pub tested_at: Option<Timestamp>,
    #[serde(default)]
    pub approved_at: Option<Timestamp>,
    pub activated_at: Option<Timestamp>,
    pub activated_by: Option<MemberId>,
    /// The version of the same beginning whose place it takes when it is activated.
    #[serde(default)]
    pub replaces: Option<i64>,
    /// Since when another version has its place, for all time.
    #[serde(default)]
    pub replaced_at: Option<Timestamp>,
    /// When another version takes over: when it was replaced, or when the next one begins.
    #[serde(default)]
    pub superseded_at: Option<Timestamp>,
    /// The version that does.
    #[serde(default)]
    pub superseded_by: Option<i64>,
}

/// What is written as a draft.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionDraft {
    pub terms: Terms,
    /// The active version of the same beginning whose place it is to take.
    pub replaces: Option<i64>,
}

impl From<Terms> for VersionDraft {
    fn from(terms: Terms) -> Self {
        Self { terms, replaces: None }
    }
}

/// What a tenant asks before a version comes into force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Approval {
    #[default]
    None,
    /// Somebody approves it who did not write it.
    SecondPerson,
}

impl Approval {
    pub const ALL: [Self; 2] = [Self::None, Self::SecondPerson];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::SecondPerson => "SECOND_PERSON",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|approval| approval.as_str() == text)
    }
}

/// What was done to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepKind {
    Created,
    Saved,
    Tested,
    TestFailed,
    Approved,
    /// Sent back to its writers: test and approval no longer count.
    Rejected,
    Activated,
    Replaced,
}

impl StepKind {
    pub const ALL: [Self; 8] = [
        Self::Created,
        Self::Saved,
        Self::Tested,
        Self::TestFailed,
        Self::Approved,
        Self::Rejected,
        Self::Activated,
        Self::Replaced,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Saved => "SAVED",
            Self::Tested => "TESTED",
            Self::TestFailed => "TEST_FAILED",
            Self::Approved => "APPROVED",
            Self::Rejected => "REJECTED",
            Self::Activated => "ACTIVATED",
            Self::Replaced => "REPLACED",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl ContractVersion {
    pub(crate) fn active(self, partner: PartnerId) -> ActiveVersion {
        let Self { contract, version, valid_from, terms, replaced_at, .. } = self;
        ActiveVersion { contract, partner, version, valid_from, replaced_at, terms }
    }

    /// Whether somebody may save over it.
    pub(super) fn check_open(&self) -> Result<(), Problem> {
        if self.state.is_fixed() {
            let message = format!("version {} is active; write another version instead", self.version);
            return Err(Problem::new(Code::VersionActive, "version", message));
        }
        Ok(())
    }

    /// Whether it is still as it was read. `saved_by` is the name of who saved it last.
    pub(super) fn check_revision(&self, read: i64, saved_by: Option<&str>) -> Result<(), Problem> {
        if read == self.revision {
            return Ok(());
        }
        let message = format!(
            "revision {read} of version {} is not the newest: revision {} was saved by {} at {}; read it again",
            self.version,
            self.revision,
            saved_by.unwrap_or("the operator"),
            self.changed_at.unwrap_or(self.created_at)
        );
        Err(Problem::new(Code::Stale, "revision", message))
    }

    /// Whether this member may approve it. `writers` created or saved it, whoever saved it last.
    pub(super) fn check_approval(
        &self,
        asked: Approval,
        member: Option<MemberId>,
        writers: &BTreeSet<MemberId>,
    ) -> Result<(), Problem> {
        self.check_open()?;
        if self.state == VersionState::Draft {
            let message = format!("version {} is not tested as it is now; run its test cases first", self.version);
            return Err(Problem::new(Code::WrongState, "version", message));
        }
        if asked == Approval::None {
            return Ok(());
        }
        let second = member.is_some_and(|member| !writers.contains(&member));
        let message = "whoever wrote a version cannot approve it; it takes a second person";
        if second { Ok(()) } else { Err(Problem::new(Code::OwnWork, "version", message)) }
    }

    /// Whether it lacks what the tenant asks of a version that comes into force.
    pub(super) fn check_approved(&self, asked: Approval) -> Result<(), Problem> {
        if asked == Approval::None || self.state == VersionState::Approved {
            return Ok(());
        }
        let message = format!("version {} is not approved as it is now; a second person has to first", self.version);
        Err(Problem::new(Code::ApprovalNeeded, "version", message))
    }
}

/// Tells of each version of one contract which other one takes over, and when. Until then the state is that of its row.
pub(super) fn supersede(versions: &mut [ContractVersion], now: Timestamp) {
    let stands = |version: &ContractVersion| version.state.is_fixed() && version.replaced_at.is_none();
    let mut beginnings: Vec<(Timestamp, i64)> = versions
        .iter()
        .filter(|version| stands(version))
        .map(|version| (version.valid_from, version.version))
        .collect();
    beginnings.sort_unstable();
    for version in versions.iter_mut().filter(|version| version.state.is_fixed()) {
        if version.replaced_at.is_some() {
            version.superseded_at = version.replaced_at;
        } else if let Some((at, by)) = beginnings.iter().find(|(from, _)| *from > version.valid_from) {
            (version.superseded_at, version.superseded_by) = (Some(*at), Some(*by));
        }
        if version.superseded_at.is_some_and(|at| at <= now) {
            version.state = VersionState::Superseded;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::contracts::fixtures::terms;

    fn version(number: i64, state: VersionState, from: &str) -> ContractVersion {
        let terms = terms(json!({ "validFrom": from }));
        ContractVersion {
            contract: ContractId::NONE,
            version: number,
            state,
            revision: 3,
            valid_from: terms.cycle.start_of(terms.valid_from),
            terms,
            created_at: Timestamp(0),
            changed_at: None,
            changed_by: None,
            tested_at: None,
            approved_at: None,
            activated_at: state.is_fixed().then_some(Timestamp(number)),
            activated_by: None,
            replaces: None,
            replaced_at: None,
            superseded_at: None,
            superseded_by: None,
        }
    }

    #[test]
    fn only_who_read_the_newest_revision_saves_over_it() {
        let draft = version(1, VersionState::Approved, "2021-01-01");
        assert_eq!((draft.check_open(), draft.check_revision(3, None)), (Ok(()), Ok(())));
        for read in [2, 4] {
            let problem = draft.check_revision(read, Some("Ada")).expect_err("stale");
            assert_eq!((problem.code, problem.path.as_str()), (Code::Stale, "revision"));
            assert!(problem.message.contains("revision 3 was saved by Ada at 1970"), "{}", problem.message);
        }
        for state in [VersionState::Active, VersionState::Superseded] {
            let problem = version(1, state, "2021-01-01").check_open().expect_err("fixed");
            assert_eq!(problem.code, Code::VersionActive);
        }
    }

    #[test]
    fn a_second_person_is_nobody_who_ever_wrote_it() {
        let (ada, bo) = (MemberId(Uuid::from_u128(1)), MemberId(Uuid::from_u128(2)));
        let code = |state, asked, member, writers: &[MemberId]| {
            let found =
                version(1, state, "2021-01-01").check_approval(asked, member, &writers.iter().copied().collect());
            found.err().map(|problem| problem.code)
        };
        let (tested, second) = (VersionState::Tested, Approval::SecondPerson);
        assert_eq!(code(tested, second, Some(bo), &[ada]), None);
        assert_eq!(code(tested, second, Some(bo), &[ada, bo]), Some(Code::OwnWork));
        assert_eq!(code(tested, second, None, &[ada]), Some(Code::OwnWork), "the operator is no person");
        assert_eq!(code(tested, Approval::None, Some(ada), &[ada]), None);
        assert_eq!(code(VersionState::Draft, second, Some(bo), &[ada]), Some(Code::WrongState));
        assert_eq!(code(VersionState::Active, Approval::None, Some(bo), &[ada]), Some(Code::VersionActive));
        let in_force = |state, asked| version(1, state, "2021-01-01").check_approved(asked).err().map(|p| p.code);
        assert_eq!(in_force(VersionState::Draft, Approval::None), None);
        assert_eq!(in_force(tested, second), Some(Code::ApprovalNeeded));
        assert_eq!(in_force(VersionState::Approved, second), None);
    }

    #[test]
    fn a_version_is_superseded_when_the_next_one_begins_or_takes_its_place() {
        let active = VersionState::Active;
        let mut replaced = version(1, active, "2021-01-01");
        replaced.replaced_at = Some(Timestamp(7));
        replaced.superseded_by = Some(2);
        let mut all = [
            replaced,
            version(2, active, "2021-01-01"),
            version(3, active, "2021-03-01"),
            version(4, VersionState::Draft, "2021-02-01"),
        ];
        let march = all[2].valid_from;
        supersede(&mut all, march.plus(-1));
        let shown = |all: &[ContractVersion]| -> Vec<_> {
            all.iter().map(|version| (version.state, version.superseded_at, version.superseded_by)).collect()
        };
        let first = (VersionState::Superseded, Some(Timestamp(7)), Some(2));
        assert_eq!(
            shown(&all),
            [first, (active, Some(march), Some(3)), (active, None, None), (VersionState::Draft, None, None)]
        );
        supersede(&mut all, march);
        assert_eq!(shown(&all)[1], (VersionState::Superseded, Some(march), Some(3)));
    }
}
