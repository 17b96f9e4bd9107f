//! Founding an organisation, opening and closing events.

use super::{Place, shown, text};
use crate::author::Draft;
use crate::body::{
    Body, Edit, EventClosed, EventOpened, ItemDefined, OrganisationFounded, PersonAdded, Prices, ReplicaAdmitted, Role,
    RoleGranted, Seller, TaxRate,
};
use crate::event::Event;
use crate::id::{Hash, OpId, ReplicaKey, Space, StreamId};
use crate::ledger::{FOLD_VERSION, Ledger};
use crate::money::Currency;
use crate::refusal::Refusal;
use chrono::{DateTime, Duration, TimeZone};

/// Most tax rates of an event.
pub const TAX_RATES_MAX: usize = 16;
/// The last moment of 9999-12-31, in milliseconds since 1970 UTC.
const LAST_MOMENT_MS: i64 = 253_402_300_799_999;
/// Longest name of an organisation, a kit or an event.
pub const NAME_LENGTH_MAX: usize = 120;
/// Longest name of a kit that joins.
pub const KIT_LENGTH_MAX: usize = 60;

/// An event to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// What it is called.
    pub name: String,
    /// IANA zone.
    pub zone: String,
    /// Minutes after midnight at which a business day begins.
    pub day_cutover_minutes: u16,
    /// ISO 4217 code.
    pub currency: String,
    /// Who sells.
    pub seller: Seller,
    /// Tax rates, the default first; none means one rate of zero.
    pub tax_rates: Vec<TaxRate>,
    /// Whether prices contain tax.
    pub prices: Prices,
    /// Whether it is for practice.
    pub training: bool,
    /// The event whose catalogue it begins with.
    pub clone_from: Option<OpId>,
}

/// What the first `init` brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// What the organisation is called.
    pub name: String,
    /// Its public key.
    pub organisation_key: [u8; 32],
    /// What the kit is called.
    pub label: String,
    /// The organisation's signature over `ReplicaAdmitted::signed_bytes`.
    pub proof: [u8; 64],
    /// Commitment to the owner's sealed record.
    pub owner: Hash,
    /// The first event.
    pub event: NewEvent,
}

impl Founding {
    /// The ops that found an organisation: itself, its first kit, its owner, its first event.
    pub fn drafts(&self, replica: ReplicaKey) -> Result<Vec<Draft>, Refusal> {
        let space = Space::ORGANISATION;
        let stream = StreamId::of(&replica, &space);
        let founded =
            OrganisationFounded { name: text("the name", &self.name, 1, NAME_LENGTH_MAX)?, key: self.organisation_key };
        let admitted = ReplicaAdmitted {
            replica,
            label: text("the kit's name", &self.label, 1, NAME_LENGTH_MAX)?,
            admitted_by: self.organisation_key,
            proof: self.proof,
        };
        // Seq 1 opens the stream, 2 founds, 3 admits, 4 adds the owner.
        let person = OpId { stream, seq: 4 };
        let event = opened(&Ledger::default(), &self.event)?;
        Ok(vec![
            Draft::new(space.clone(), Body::OrganisationFounded(founded)),
            Draft::new(space.clone(), Body::ReplicaAdmitted(admitted)),
            Draft::new(space.clone(), Body::PersonAdded(PersonAdded { commitment: self.owner })),
            Draft::new(space.clone(), Body::RoleGranted(RoleGranted { person, role: Role::Owner })),
            Draft::new(space, Body::EventOpened(event)),
        ])
    }
}

/// Lets another kit into the organisation, on the word of this one.
pub(super) fn admit(
    ledger: &Ledger,
    replica: ReplicaKey,
    label: &str,
    proof: [u8; 64],
    place: &Place,
) -> Result<Vec<Draft>, Refusal> {
    let label = text("the kit's name", label, 1, KIT_LENGTH_MAX)?;
    if ledger.replicas.contains_key(&replica) {
        return Err(Refusal::KitKnown(ledger.label(&replica)));
    }
    let admitted = ReplicaAdmitted { replica, label, admitted_by: place.replica.0, proof };
    if !admitted.is_signed() || !ledger.replicas.contains_key(&place.replica) {
        return Err(Refusal::NotAllowed { who: "a kit that was not admitted itself".to_owned() });
    }
    Ok(vec![Draft::new(Space::ORGANISATION, Body::ReplicaAdmitted(admitted)).answering()])
}

/// Opens an event, with the catalogue of another where asked.
pub(super) fn open(ledger: &Ledger, new: &NewEvent, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let event = opened(ledger, new)?;
    let (training, rates) = (event.training, event.tax_rates.clone());
    let mut drafts = vec![Draft::new(Space::ORGANISATION, Body::EventOpened(event)).answering()];
    let Some(source) = new.clone_from.and_then(|id| ledger.events.get(&id)) else { return Ok(drafts) };
    let stream = StreamId::of(&place.replica, &Space::ORGANISATION);
    let head = ledger.head(&stream).seq;
    // A stream's first op opens it, so the event of a kit that never wrote here comes second.
    let id = OpId { stream, seq: if head == 0 { 2 } else { head + 1 } };
    let space = if training { Space::Training(id) } else { Space::Event(id) };
    for (sku, item) in &source.items {
        let mut edits = super::catalogue::edits_of(item);
        // A rate that the new event does not have becomes its default.
        edits.retain(|edit| !matches!(edit, Edit::TaxRate(id) if rates.iter().all(|rate| rate.id != *id)));
        if !edits.iter().any(|edit| matches!(edit, Edit::TaxRate(_))) {
            edits.extend(rates.first().map(|rate| Edit::TaxRate(rate.id.clone())));
        }
        let defined = ItemDefined { sku: sku.clone(), edits, import_mark: None };
        drafts.push(Draft::new(space.clone(), Body::ItemDefined(defined)));
    }
    Ok(drafts)
}

/// Closes an event, once the drawer of this kit is counted.
pub(super) fn close(ledger: &Ledger, place: &Place) -> Result<Vec<Draft>, Refusal> {
    let (event, space, known) = place.open_event(ledger)?;
    // Cash that nobody counted belongs to the event: afterwards nobody would look for it here.
    if super::drawer::is_open(known, place, &space) {
        return Err(Refusal::DrawerUncounted(known.opened.name.clone()));
    }
    super::settle::finished(known)?;
    Ok(vec![Draft::new(Space::ORGANISATION, Body::EventClosed(EventClosed { event })).answering()])
}

fn opened(ledger: &Ledger, new: &NewEvent) -> Result<EventOpened, Refusal> {
    let name = text("the event's name", &new.name, 1, NAME_LENGTH_MAX)?;
    if new.zone.parse::<chrono_tz::Tz>().is_err() {
        return Err(Refusal::Zone(shown(&new.zone)));
    }
    let currency = Currency::from_code(&new.currency).ok_or_else(|| Refusal::UnknownCurrency(shown(&new.currency)))?;
    if new.day_cutover_minutes >= 24 * 60 {
        return Err(Refusal::Amount { what: "the day's cut-over in minutes" });
    }
    if let Some(id) = new.clone_from {
        let source = ledger.events.get(&id).ok_or_else(|| Refusal::UnknownEvent(id.text()))?;
        if source.opened.currency != currency {
            return Err(Refusal::WrongCurrency { event: currency, given: source.opened.currency.code().to_owned() });
        }
    }
    let seller = Seller {
        name: text("the seller's name", &new.seller.name, 0, 200)?,
        address: text("the seller's address", &new.seller.address.replace(['\n', '\r'], ", "), 0, 300)?,
        tax_id: text("the tax number", &new.seller.tax_id, 0, 60)?,
    };
    Ok(EventOpened {
        name,
        zone: new.zone.clone(),
        day_cutover_minutes: new.day_cutover_minutes,
        currency,
        seller,
        tax_rates: tax_rates(&new.tax_rates)?,
        prices: new.prices,
        training: new.training,
        fold_version: FOLD_VERSION,
        cloned_from: new.clone_from,
    })
}

fn tax_rates(given: &[TaxRate]) -> Result<Vec<TaxRate>, Refusal> {
    if given.is_empty() {
        return Ok(vec![TaxRate { id: "none".to_owned(), name: "no tax".to_owned(), ppm: 0 }]);
    }
    if given.len() > TAX_RATES_MAX {
        return Err(Refusal::TaxRates(format!("an event has at most {TAX_RATES_MAX} tax rates")));
    }
    let mut rates: Vec<TaxRate> = Vec::new();
    for rate in given {
        let id = text("a tax rate's id", &rate.id, 1, 20)?;
        if rate.ppm > 1_000_000 {
            return Err(Refusal::TaxRates(format!("the tax rate {id} is over 100 %")));
        }
        if rates.iter().any(|known| known.id == id) {
            return Err(Refusal::TaxRates(format!("the tax rate {id} stands there twice")));
        }
        rates.push(TaxRate { id, name: text("a tax rate's name", &rate.name, 1, 40)?, ppm: rate.ppm });
    }
    Ok(rates)
}

/// The business day of a moment, in days since 1970-01-01: the local date after the event's cut-over is taken off.
pub fn business_day(event: &Event, at_ms: u64) -> i64 {
    let zone: chrono_tz::Tz = event.opened.zone.parse().unwrap_or(chrono_tz::UTC);
    // Later moments count as the last day of the year 9999, well before the calendar library ends.
    let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX).min(LAST_MOMENT_MS);
    let at = DateTime::from_timestamp_millis(at_ms).unwrap_or_default();
    let local = zone.from_utc_datetime(&at.naive_utc()).naive_local();
    let day = (local - Duration::minutes(i64::from(event.opened.day_cutover_minutes))).date();
    day.signed_duration_since(chrono::NaiveDate::default()).num_days()
}
