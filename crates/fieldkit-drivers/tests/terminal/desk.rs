//! A small payment desk: what it writes down survives the kit, what it merely knows does not.
//!
//! Promises: it never charges a sale again before the last try has a clear end; what is in doubt it asks, and judges by
//! receipt and trace number, amount and result.
//! Absent on purpose: everything that a shop needs besides.

use fieldkit_core::money::Money;
use fieldkit_drivers::terminal::{Input, NotSent, Report, Request, Task, Transaction};

/// Receipt and trace number.
pub type Reference = (u32, u32);

/// One try to charge a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Try {
    pub sale: usize,
    pub amount: Money,
    /// The terminal's last transaction before it.
    pub baseline: Reference,
    /// What the terminal said, once recorded.
    pub result: Option<Transaction>,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Captured(Reference),
    NotCharged,
    /// Nobody but a person can tell.
    Unknown,
}

/// What the desk does with a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Records what fits, refuses what does not.
    Records,
    /// Never gets to record anything: the kit dies first, again and again.
    NeverRecords,
}

#[derive(Clone, Debug)]
pub struct Desk {
    /// Durable.
    pub tries: Vec<Try>,
    pub sales: Vec<Money>,
    /// Told by the driver, for tests to look at.
    pub reports: Vec<Report>,
    pub habit: Habit,
    /// How often a sale is tried.
    pub tries_max: usize,
    /// What is said to a result that no try waits for.
    pub by_hand: Option<Input>,
    // What follows is lost with the kit.
    pub attached: bool,
    pub running: Option<Task>,
    baseline: Option<Reference>,
}

fn reference(transaction: &Transaction) -> Reference {
    (transaction.receipt, transaction.trace)
}

impl Desk {
    pub fn new(sales: Vec<Money>) -> Self {
        Desk {
            tries: Vec::new(),
            sales,
            reports: Vec::new(),
            habit: Habit::Records,
            tries_max: 20,
            by_hand: Some(Input::Recorded),
            attached: false,
            running: None,
            baseline: None,
        }
    }
    /// The kit died; another one reads what is durable.
    pub fn forget(&mut self) {
        (self.attached, self.running, self.baseline) = (false, None, None);
    }
    pub fn link_lost(&mut self) {
        (self.attached, self.baseline) = (false, None);
    }
    /// What the desk wants next, if the link is up.
    pub fn wish(&mut self) -> Option<Request> {
        let request = if self.running.is_some() {
            return None;
        } else if !self.attached {
            self.work_left().then_some(Request::Attach)
        } else if self.open().is_some() || self.baseline.is_none() {
            self.work_left().then_some(Request::LastTransaction)
        } else {
            self.next_sale().map(|sale| self.intend(sale))
        };
        self.running = request.map(|request| request.task());
        request
    }
    fn intend(&mut self, sale: usize) -> Request {
        let amount = self.sales[sale];
        let baseline = self.baseline.expect("asked before");
        self.tries.push(Try { sale, amount, baseline, result: None, state: State::Open });
        Request::Authorise { amount }
    }
    pub fn open(&self) -> Option<usize> {
        self.tries.iter().position(|found| found.state == State::Open)
    }
    fn next_sale(&self) -> Option<usize> {
        let tried = |sale| self.tries.iter().filter(move |found| found.sale == sale);
        let paid = |sale: &usize| tried(*sale).any(|found| matches!(found.state, State::Captured(_)));
        let stuck = |sale: &usize| tried(*sale).any(|found| found.state == State::Unknown);
        let tired = |sale: &usize| tried(*sale).count() >= self.tries_max;
        (0..self.sales.len()).find(|sale| !paid(sale) && !stuck(sale) && !tired(sale))
    }
    pub fn work_left(&self) -> bool {
        self.open().is_some() || self.next_sale().is_some()
    }
    fn end(&mut self, state: State) {
        if let Some(open) = self.open() {
            self.tries[open].state = state;
        }
    }
    /// Takes a report; what the desk says to it.
    pub fn report(&mut self, report: Report) -> Option<Input> {
        self.reports.push(report.clone());
        if report.end().is_some() && report.end() == self.running {
            self.running = None;
        }
        match report {
            Report::Attached { .. } => self.attached = true,
            Report::Failed { .. } => self.attached = false,
            Report::Result(_) | Report::EndOfDay(_) if self.open().is_none() => return self.by_hand.clone(),
            Report::Result(transaction) => return self.decide(transaction),
            Report::Completed(Task::Authorise) => {
                let open = self.open()?;
                let result = self.tries[open].result.clone().expect("recorded before the end");
                self.baseline = Some(reference(&result));
                self.end(State::Captured(reference(&result)));
            }
            Report::TakenBack(_) | Report::Aborted { .. } | Report::Declined { .. } => {
                self.baseline = None;
                self.end(State::NotCharged);
            }
            Report::NotSent { task, why } => {
                // The link may go between a report and the next wish.
                self.attached &= why != NotSent::NotAttached;
                if task == Task::Authorise {
                    self.end(State::NotCharged);
                }
            }
            Report::Unknown { .. } => (self.attached, self.baseline) = (false, None),
            Report::LastTransaction(last) => self.judge(last),
            Report::LastTransactionUnavailable(_) => {
                // Without an answer there is no baseline to compare with; the next link may bring one.
                self.attached = false;
            }
            _ => {}
        }
        None
    }
    fn decide(&mut self, transaction: Transaction) -> Option<Input> {
        if self.habit == Habit::NeverRecords {
            return None;
        }
        let open = self.open().expect("a payment runs");
        if transaction.amount != self.tries[open].amount {
            return Some(Input::Refuse);
        }
        self.tries[open].result = Some(transaction);
        Some(Input::Recorded)
    }
    fn judge(&mut self, last: Option<Transaction>) {
        let now = last.as_ref().map_or((0, 0), reference);
        self.baseline = Some(now);
        let Some(open) = self.open() else { return };
        let doubt = &self.tries[open];
        let newer = now != doubt.baseline;
        let fits = last.is_some_and(|last| last.result == 0 && last.amount == doubt.amount);
        self.end(if newer && fits { State::Captured(now) } else { State::NotCharged });
    }
}
