//! Kits of one organisation, and limited goods that they share.

use super::Whole;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A kit of the organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct KitOf {
    /// What people call it.
    pub kit: String,
    /// Short name of its key.
    pub replica: String,
    /// Whether it is the kit that answers.
    pub own: bool,
    /// Whether another key goes on for it, because it was put back.
    pub retired: bool,
}

/// A kit that wants to join.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKit {
    /// What people call it, 1 to 60 characters.
    pub kit: String,
    /// Its public key, 64 hexadecimal digits.
    pub key: String,
}

/// Limited goods of one SKU, and who may sell them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Pool {
    /// The SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Units that this kit may sell.
    pub here: i64,
    /// Units that other kits may sell.
    pub elsewhere: i64,
    /// Units sold, by all kits.
    pub sold: i64,
    /// Units that nobody may sell until a person decides.
    pub at_rest: i64,
    /// Whether this kit must hear of a witness first, as after a start.
    pub shut: bool,
    /// Who holds how many.
    pub holders: Vec<Holder>,
    /// Asks that were not answered yet.
    pub asks: Vec<Asked>,
    /// Units that kits have for a time.
    pub leases: Vec<Lease>,
}

/// Ordinary goods that a kit has for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Lease {
    /// The lease.
    pub lease_id: String,
    /// The kit that gave them.
    pub from: String,
    /// The kit that has them.
    pub to: String,
    /// Whether that is the kit that answers.
    pub own: bool,
    /// Units that it has left.
    pub held: i64,
    /// When the term ends, by the clock of the kit that gave them.
    pub until: String,
    /// Whether this kit has them and does not sell by them: the end is near, or it was started since and cannot tell how late
    /// it is.
    pub rests: bool,
}

/// What a kit holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Holder {
    /// What people call the kit.
    pub kit: String,
    /// Short name of its key.
    pub replica: String,
    /// Whether it is the kit that answers.
    pub own: bool,
    /// Units that it may sell.
    pub held: i64,
}

/// An ask for limited goods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Asked {
    /// Who asks.
    pub by: String,
    /// Who is asked.
    pub of: String,
    /// How many.
    pub quantity: u32,
}

/// Limited goods for another kit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewGrant {
    /// The SKU.
    pub sku: String,
    /// How many.
    #[schema(value_type = u32)]
    pub quantity: Whole,
    /// The kit: its name, or the beginning of its key's short name.
    pub to: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// For how long, in milliseconds, where they are ordinary goods; limited ones are given for good.
    #[serde(default)]
    #[schema(value_type = Option<u64>)]
    pub term_ms: Option<Whole>,
}

/// An ask for limited goods of another kit.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAsk {
    /// The SKU.
    pub sku: String,
    /// How many.
    #[schema(value_type = u32)]
    pub quantity: Whole,
    /// The kit that is asked; the one that holds most where it is left out.
    #[serde(default)]
    pub of: Option<String>,
}

/// Limited goods of a kit that will not come back.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLoss {
    /// The SKU.
    pub sku: String,
    /// The kit that is lost.
    pub kit: String,
}

/// A word that this kit was not put back: the last slip's, or the owner's.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAdmission {
    /// The mark of the last slip.
    #[schema(example = "52-Q4TM")]
    pub slip: Option<String>,
    /// The owner says so.
    #[serde(default)]
    pub owner: bool,
}

/// For whom a bundle is.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct BundleQuery {
    /// The kit that will take it: what it is known to have is left out.
    pub r#for: Option<String>,
}

/// What a bundle brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BundleTaken {
    /// The kit that made it.
    pub from: String,
    /// Ops in it.
    pub ops: u64,
    /// Those that were new here.
    pub new: u64,
    /// Streams that it speaks of.
    pub streams: u64,
    /// Whether it told that this kit was put back: it goes on as a new replica with a new receipt series.
    pub rolled_back: bool,
    /// Whether two histories of one kit came together: the kit starts anew to count both.
    pub forked: bool,
}

/// What the kit wants a page to remember: a page that holds `from` takes `to` for it, and says so at `/witness`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Remember {
    /// The page.
    pub page: String,
    /// The stream.
    pub stream: String,
    /// The position that it holds; 0 where it holds none.
    pub from_seq: u64,
    /// The hash there.
    pub from_hash: String,
    /// The position to remember.
    pub seq: u64,
    /// The hash there.
    pub hash: String,
}

/// Limited goods that are not sold yet after a start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Shut {
    /// The SKUs, with their names.
    pub items: Vec<ShutItem>,
    /// Why.
    pub text: String,
    /// The one next step.
    pub next_step: String,
}

/// A limited item that is not sold yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShutItem {
    /// The SKU.
    pub sku: String,
    /// Its name.
    pub name: String,
    /// Units that this kit may sell once it is open.
    pub here: i64,
}
