//! A payment: one attempt to collect money for an order without cash, and what its steps mean together.
//!
//! Promises: its state is a function of the set of its steps, read in the order (Lamport depth, op) whatever order they
//! arrived in; no step is an error — one that contradicts the steps before it is named (`Standing::against`). A
//! terminal's word outweighs a person's, and money found after all outweighs every no.
//! Absent on purpose: what may be done next (`decide`), and whether a record is the payment asked for (`matching`).

use crate::body::{
    Baseline, Charged, Closing, PaymentAttested, PaymentIntended, PaymentStep, PaymentTender, TerminalRecord,
};
use crate::codec::{Canonical, record, words};
use crate::id::{Hash, OpId};
use crate::ledger::AnomalyKind;
use crate::matching::is_same;
use crate::money::{Currency, Money};
use crate::op::{Account, CommandKey, Posting, Unit};
use crate::stamp::Stamp;

words! {
    /// What a payment is now.
    pub enum PaymentState {
        /// Recorded; no terminal has heard of it.
        0 = Intended "intended",
        /// A terminal may have heard of it.
        1 = Sent "sent",
        /// The terminal may have taken money: ask it, never charge again.
        2 = Unknown "unknown",
        /// The card was charged; the terminal waits for the kit's answer.
        3 = Approved "approved",
        /// The money is taken.
        4 = Captured "captured",
        /// Taken without the issuer.
        5 = AtRisk "at_risk",
        /// The terminal said no.
        6 = Declined "declined",
        /// Stopped before a card was charged.
        7 = Cancelled "cancelled",
        /// Charged, and undone.
        8 = Reversed "reversed",
        /// The terminal was asked: it charged nothing.
        9 = NotCharged "not_charged",
        /// A person found out.
        10 = ClosedByPerson "closed_by_person",
        /// Taken by a reader of the crew's own, by the crew's word.
        11 = Attested "attested",
        /// The charge is being undone.
        12 = Reversing "reversing",
        /// The terminal may have undone the charge: ask it.
        13 = ReversalUnknown "reversal_unknown",
        /// Something else was charged than was asked.
        14 = Mismatched "mismatched",
    }
}

impl PaymentState {
    /// Whether something about it is still to come: these are kept at hand.
    pub fn is_open(self) -> bool {
        self.holds_order() || self == PaymentState::AtRisk
    }

    /// Whether its order takes no other card, and cannot be given up, until this is cleared.
    pub fn holds_order(self) -> bool {
        self.holds_terminal() || self == PaymentState::Mismatched
    }

    /// Whether its terminal takes nothing else until this is cleared: a later transaction would hide its outcome.
    pub fn holds_terminal(self) -> bool {
        use PaymentState::{Approved, Intended, ReversalUnknown, Reversing, Sent, Unknown};
        matches!(self, Intended | Sent | Unknown | Approved | Reversing | ReversalUnknown)
    }

    /// Whether its charge is being undone, or may have been.
    pub fn is_reversing(self) -> bool {
        matches!(self, PaymentState::Reversing | PaymentState::ReversalUnknown)
    }

    /// Whether it said that no money is taken.
    pub fn says_no_money(self) -> bool {
        use PaymentState::{Cancelled, Declined, NotCharged, Reversed};
        matches!(self, Declined | Cancelled | NotCharged | Reversed)
    }

    /// Whether only the terminal or a person can tell what became of the money.
    pub fn is_unknown(self) -> bool {
        matches!(self, PaymentState::Unknown | PaymentState::ReversalUnknown)
    }
}

record! {
    /// One step of a payment, with the op that told of it.
    pub struct Move {
        /// The op.
        pub op: OpId,
        /// Its depth.
        pub lamport: u64,
        /// When.
        pub stamp: Stamp,
        /// What happened.
        pub step: PaymentStep,
    }
}

record! {
    /// A payment and everything that happened to it.
    pub struct Payment {
        /// The op that intended or attested it.
        pub payment_id: OpId,
        /// The order.
        pub order: OpId,
        /// By which way.
        pub tender: PaymentTender,
        /// What was asked for.
        pub amount: i64,
        /// Its currency.
        pub currency: Currency,
        /// The accepted device that was asked.
        pub device: Option<OpId>,
        /// What the crew calls the device or reader.
        pub label: String,
        /// For readers of the crew's own: the reference that was typed.
        pub attested: Option<String>,
        /// When.
        pub stamp: Stamp,
        /// Its steps, in the order in which they are read.
        pub moves: Vec<Move>,
    }
}

impl Payment {
    /// A payment that was intended.
    pub fn intended(payment_id: OpId, body: PaymentIntended, stamp: Stamp) -> Self {
        Payment {
            payment_id,
            order: body.order,
            tender: body.tender,
            amount: body.amount,
            currency: body.currency,
            device: body.device,
            label: body.label,
            attested: None,
            stamp,
            moves: Vec::new(),
        }
    }

    /// A payment that the crew took on a reader of its own.
    pub fn attested(payment_id: OpId, body: PaymentAttested, stamp: Stamp) -> Self {
        Payment {
            payment_id,
            order: body.order,
            tender: PaymentTender::CardExternal,
            amount: body.amount,
            currency: body.currency,
            device: None,
            label: body.reader,
            attested: Some(body.reference),
            stamp,
            moves: Vec::new(),
        }
    }

    /// Folds a step in; repetition changes nothing.
    pub fn add(&mut self, step: Move) {
        if self.moves.iter().all(|known| known.op != step.op) {
            self.moves.push(step);
            self.moves.sort_by_key(|known| (known.lamport, known.op));
        }
    }

    /// What the steps mean together.
    pub fn standing(&self) -> Standing<'_> {
        let attested = self.attested.is_some();
        let mut standing = Standing {
            asked: Money::new(self.amount, self.currency),
            state: if attested { PaymentState::Attested } else { PaymentState::Intended },
            before: PaymentState::Intended,
            booked: attested.then_some(Account::ATTESTED),
            closed: None,
            baseline: None,
            record: None,
            reversal: None,
            lost: None,
            reversal_sent: false,
            against: Vec::new(),
        };
        for step in &self.moves {
            standing.take(step);
        }
        if standing.state == PaymentState::Mismatched || standing.before == PaymentState::Mismatched {
            standing.name_mismatch(&self.moves);
        }
        standing
    }

    /// What it is now.
    pub fn state(&self) -> PaymentState {
        self.standing().state
    }

    /// What a person found out about it, as long as nothing was told since: the terminal may yet tell otherwise.
    pub fn closed_last(&self) -> Option<&Closing> {
        match &self.moves.last()?.step {
            PaymentStep::ClosedByPerson(closing) if self.device.is_some() => Some(closing),
            _ => None,
        }
    }

    /// Whether a person's word stands for a terminal's: kept at hand, because the terminal may yet tell otherwise.
    pub fn is_closed_at_terminal(&self) -> bool {
        self.device.is_some() && self.state() == PaymentState::ClosedByPerson
    }

    /// What it contributes to its order now: nothing while it is being undone.
    pub fn collected(&self) -> i64 {
        use PaymentState::{AtRisk, Attested, Captured, ClosedByPerson};
        let standing = self.standing();
        let counts = matches!(standing.state, Captured | AtRisk | Attested | ClosedByPerson);
        if counts && standing.booked.is_some() { self.amount } else { 0 }
    }

    /// Why its order is to be undone, as the last wish to reverse it says.
    pub fn reversal_reason(&self) -> Option<&str> {
        self.moves.iter().rev().find_map(|known| match &known.step {
            PaymentStep::ReversalIntended(reason) => Some(reason.as_str()),
            _ => None,
        })
    }

    /// How a settlement names it: what the crew typed, else the terminal's id and trace number (or receipt number).
    pub fn reference(&self) -> Option<String> {
        if let Some(typed) = &self.attested {
            return Some(typed.clone()).filter(|typed| !typed.is_empty());
        }
        let standing = self.standing();
        let record = standing.record?;
        let number = if record.trace > 0 { record.trace } else { record.receipt };
        // Telium tells neither who it is nor a number: then nothing can be found again.
        (number > 0).then(|| format!("{}-{number:06}", record.terminal_id))
    }

    /// The command key under which `step` is reported: a step that was given is given again under its own key,
    /// so that a repeated report is answered and not written twice.
    pub fn command_key(&self, step: &PaymentStep) -> CommandKey {
        let given = if self.moves.last().is_some_and(|last| last.step == *step) {
            Some(self.moves.len() - 1)
        } else {
            // What a terminal says of one transaction is one fact, however often it is told.
            let fact = matches!(
                step,
                PaymentStep::Approved(_)
                    | PaymentStep::Captured(_)
                    | PaymentStep::AtRisk(_)
                    | PaymentStep::Mismatched(_)
                    | PaymentStep::Reversed(_)
            );
            self.moves.iter().position(|known| fact && known.step == *step)
        };
        let at = given.unwrap_or(self.moves.len()) as u64;
        let content = step.to_bytes();
        let mut named = self.payment_id.to_bytes();
        at.write(&mut named);
        named.extend_from_slice(&content);
        CommandKey::named(Hash::derived("fieldkit 2026-11 payment step", &named), &content)
    }
}

/// What moves money when a payment goes from one booking to another; `None` is money that is not there.
pub fn booking(before: Option<Account>, after: Option<Account>, money: Money) -> Vec<Posting> {
    if before == after {
        return Vec::new();
    }
    let unit = Unit::Money(money.currency);
    // Money that leaves or enters is owed to, or by, the order that it was taken for.
    let (from, to) = (before.unwrap_or(Account::PREPAID), after.unwrap_or(Account::PREPAID));
    vec![Posting { account: to, unit, amount: money.minor }, Posting { account: from, unit, amount: -money.minor }]
}

/// A step that contradicts those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Against {
    /// The op that told of it.
    pub op: OpId,
    /// What kind of contradiction.
    pub kind: AnomalyKind,
    /// In words.
    pub detail: String,
}

/// What the steps of a payment mean together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// What was asked for.
    asked: Money,
    /// What it is now.
    pub state: PaymentState,
    /// What it was before its reversal began.
    pub before: PaymentState,
    /// The account in which its money stands.
    pub booked: Option<Account>,
    /// What a person found out, where one did.
    pub closed: Option<&'a Closing>,
    /// The terminal's last transaction before the newest thing that was asked of it.
    pub baseline: Option<&'a Baseline>,
    /// The charge, as the terminal told it.
    pub record: Option<&'a TerminalRecord>,
    /// The reversal, as the terminal told it.
    pub reversal: Option<&'a TerminalRecord>,
    /// The op that told that money taken at risk will never come.
    pub lost: Option<OpId>,
    /// Whether a terminal may have heard of the reversal that is under way.
    pub reversal_sent: bool,
    /// Steps that contradict those before them.
    pub against: Vec<Against>,
}

impl<'a> Standing<'a> {
    /// Whether a terminal may be at it now, so that the terminal must not hear of anything else before its answer.
    pub fn is_asked(&self) -> bool {
        use PaymentState::{Approved, ReversalUnknown, Reversing, Sent, Unknown};
        matches!(self.state, Sent | Unknown | Approved | ReversalUnknown)
            || (self.state == Reversing && self.reversal_sent)
    }

    fn take(&mut self, step: &'a Move) {
        use PaymentState as State;
        match &step.step {
            PaymentStep::Sent(baseline) => self.sent(step, baseline),
            PaymentStep::Approved(record) => self.charged(step, record, State::Approved),
            PaymentStep::AtRisk(record) => self.charged(step, record, State::AtRisk),
            PaymentStep::Mismatched(record) => self.charged(step, record, State::Mismatched),
            PaymentStep::Captured(_) => self.captured(step),
            PaymentStep::Declined(_) => self.not_charged(step, State::Declined),
            PaymentStep::Cancelled(_) => self.not_charged(step, State::Cancelled),
            PaymentStep::NotCharged(_) => self.not_charged(step, State::NotCharged),
            PaymentStep::Unknown(_) => self.unknown(step),
            PaymentStep::ReversalIntended(_) => self.reversal_intended(step),
            PaymentStep::ReversalSent(baseline) => self.reversal_sent(step, baseline),
            PaymentStep::Reversed(record) => self.reversed(step, record),
            PaymentStep::ReversalDeclined(_) => self.reversal_declined(step),
            PaymentStep::ReversalUnknown(_) => self.reversal_unknown(step),
            PaymentStep::ClosedByPerson(closing) => self.closed(step, closing),
        }
    }

    fn sent(&mut self, step: &'a Move, baseline: &'a Baseline) {
        match self.state {
            PaymentState::Intended => {}
            // Asked once more after a no: money may be on its way, so this is no longer a no.
            state if state.says_no_money() => self.contradicted(step, "a card was asked for once more after the end"),
            _ => return self.contradicted(step, "a card was asked for a second time"),
        }
        (self.state, self.baseline) = (PaymentState::Sent, Some(baseline));
    }

    fn charged(&mut self, step: &'a Move, record: &'a TerminalRecord, to: PaymentState) {
        use PaymentState as State;
        let known = self.record.is_some_and(|known| is_same(known, record));
        match self.state {
            State::Sent => {}
            // It was approved without the issuer, and the terminal has the kit's answer.
            State::Approved if known && to == State::AtRisk => {}
            State::Unknown if known || self.record.is_none() => {}
            State::Intended => self.contradicted(step, "charged before the terminal was asked"),
            State::Declined | State::Cancelled | State::NotCharged => {
                self.contradicted(step, "money was found after all: the terminal charged the card");
            }
            State::ClosedByPerson if self.closed.is_some_and(|closing| closing.charged == Charged::No) => {
                self.contradicted(step, "a person closed it as not charged, but the terminal charged the card");
            }
            // The person was right; the money stays where it was booked.
            State::ClosedByPerson if self.record.is_none() => return self.record = Some(record),
            State::Approved
            | State::Captured
            | State::AtRisk
            | State::Mismatched
            | State::Reversing
            | State::ReversalUnknown
            | State::Reversed
            | State::ClosedByPerson
                if known =>
            {
                return;
            }
            State::Unknown
            | State::Approved
            | State::Captured
            | State::AtRisk
            | State::Mismatched
            | State::Reversing
            | State::ReversalUnknown
            | State::Reversed
            | State::ClosedByPerson
            | State::Attested => {
                let charge = Money::new(record.amount, record.currency);
                let detail = format!("a second charge of {charge}, receipt {} of the terminal", record.receipt);
                return self.contradicted(step, &detail);
            }
        }
        (self.state, self.record, self.closed, self.lost) = (to, Some(record), None, None);
        if to == State::AtRisk {
            self.booked = Some(Account::AT_RISK);
        }
    }

    fn captured(&mut self, step: &'a Move) {
        match self.state {
            PaymentState::Approved | PaymentState::AtRisk => {}
            PaymentState::Unknown if self.record.is_some() => {}
            PaymentState::Captured => return,
            PaymentState::ClosedByPerson if self.booked.is_some() => return,
            _ => return self.contradicted(step, "captured without an approval"),
        }
        (self.state, self.booked) = (PaymentState::Captured, Some(Account::CARD));
    }

    fn not_charged(&mut self, step: &'a Move, to: PaymentState) {
        use PaymentState as State;
        match (self.state, to) {
            (State::Intended | State::Sent | State::Unknown, _) => {}
            // A terminal that had no answer takes an approval back, or calls it declined.
            (State::Approved | State::Mismatched, State::Declined | State::NotCharged) => {}
            (State::Reversing | State::ReversalUnknown, State::NotCharged) => {}
            (State::AtRisk, State::Declined | State::NotCharged) => self.lost = Some(step.op),
            (state, _) if state.says_no_money() => return,
            (State::ClosedByPerson, _) if self.booked.is_none() => return,
            _ => {
                return self.contradicted(step, &format!("{} after the card was charged", to.text().replace('_', " ")));
            }
        }
        (self.state, self.booked, self.before) = (to, None, State::Intended);
    }

    fn unknown(&mut self, step: &'a Move) {
        match self.state {
            PaymentState::Intended | PaymentState::Sent | PaymentState::Unknown | PaymentState::Approved => {
                self.state = PaymentState::Unknown;
            }
            _ => self.contradicted(step, "unknown after the outcome was known"),
        }
    }

    fn reversal_intended(&mut self, step: &'a Move) {
        use PaymentState as State;
        match self.state {
            State::Approved | State::Captured | State::AtRisk | State::Mismatched | State::Attested => {
                (self.before, self.state, self.reversal_sent) = (self.state, State::Reversing, false);
            }
            State::ClosedByPerson if self.booked.is_some() => {
                (self.before, self.state, self.reversal_sent) = (self.state, State::Reversing, false);
            }
            State::Reversing | State::ReversalUnknown => self.state = State::Reversing,
            _ => self.contradicted(step, "nothing was charged that could be undone"),
        }
    }

    fn reversal_sent(&mut self, step: &'a Move, baseline: &'a Baseline) {
        match self.state {
            PaymentState::Reversing | PaymentState::ReversalUnknown => {
                (self.state, self.baseline, self.reversal_sent) = (PaymentState::Reversing, Some(baseline), true);
            }
            _ => self.contradicted(step, "a reversal was asked for that nobody intended"),
        }
    }

    fn reversed(&mut self, step: &'a Move, record: &'a TerminalRecord) {
        use PaymentState as State;
        match self.state {
            State::Reversing | State::ReversalUnknown => {}
            // Terminals undo by themselves what the kit did not answer.
            State::Sent | State::Unknown | State::Approved | State::Mismatched => {}
            state if state.says_no_money() => return,
            State::ClosedByPerson if self.booked.is_none() => return,
            _ => self.contradicted(step, "undone without being asked to"),
        }
        (self.state, self.booked, self.reversal) = (State::Reversed, None, Some(record));
        self.before = State::Intended;
    }

    fn reversal_declined(&mut self, step: &'a Move) {
        match self.state {
            PaymentState::Reversing | PaymentState::ReversalUnknown => {
                (self.state, self.before) = (self.before, PaymentState::Intended);
            }
            _ => self.contradicted(step, "a reversal was declined that nobody intended"),
        }
    }

    fn reversal_unknown(&mut self, step: &'a Move) {
        match self.state {
            PaymentState::Reversing | PaymentState::ReversalUnknown => self.state = PaymentState::ReversalUnknown,
            _ => self.contradicted(step, "a reversal is unknown that nobody intended"),
        }
    }

    fn closed(&mut self, step: &'a Move, closing: &'a Closing) {
        use PaymentState as State;
        let booked = match (self.state, closing.charged) {
            (State::Intended | State::Sent | State::Unknown | State::Approved, Charged::Yes) => Some(Account::ATTESTED),
            (State::Intended | State::Sent | State::Unknown | State::Approved, Charged::No) => None,
            // The money of another amount is no part of the order, whoever has it.
            (State::Mismatched, _) => None,
            (State::Reversing | State::ReversalUnknown, Charged::Yes) if self.before == State::Mismatched => None,
            (State::Reversing | State::ReversalUnknown, Charged::Yes) => self.booked.or(Some(Account::ATTESTED)),
            (State::Reversing | State::ReversalUnknown, Charged::No) => None,
            (State::ClosedByPerson, charged) if self.closed.is_some_and(|known| known.charged == charged) => {
                return self.contradicted(step, "closed by two persons who did not know of each other");
            }
            _ => return self.contradicted(step, "closed by a person against what was known"),
        };
        (self.state, self.booked, self.closed) = (State::ClosedByPerson, booked, Some(closing));
        self.before = State::Intended;
    }

    fn contradicted(&mut self, step: &Move, detail: &str) {
        self.against.push(Against { op: step.op, kind: AnomalyKind::Payment, detail: detail.to_owned() });
    }

    /// A charge of something else stays named until it is undone.
    fn name_mismatch(&mut self, moves: &[Move]) {
        let told = moves.iter().find_map(|known| match &known.step {
            PaymentStep::Mismatched(record) => Some((known.op, Money::new(record.amount, record.currency))),
            _ => None,
        });
        let Some((op, charged)) = told else { return };
        if matches!(self.state, PaymentState::Mismatched | PaymentState::Reversing | PaymentState::ReversalUnknown) {
            let detail = format!("the terminal charged {charged} where {} was asked", self.asked);
            self.against.push(Against { op, kind: AnomalyKind::Mismatch, detail });
        }
    }
}
