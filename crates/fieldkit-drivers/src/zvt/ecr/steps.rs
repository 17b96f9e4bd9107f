//! What each request says to the terminal, and the steps of attaching.
//!
//! Promises: attaching asks how the terminal is, waits while it is busy or holds a card, registers, and lets it initialise or
//! call its host where it says that it needs to; only registration can fail it.
//! Absent on purpose: when anything is sent (`ecr`).

use super::{Ecr, Outcome, Phase, RECORD_MS, Standing, Step};
use crate::terminal::{Doubt, Kind, Report, Request};
use crate::zvt::apdu::{Apdu, Command};
use crate::zvt::fields::{Fields, Tagged, digits};
use crate::zvt::message::{Done, Status, code, config, container, money, short, tag};
use fieldkit_core::money::Currency;

/// The service byte of the question for the last transaction: tell the result (bit 0), do not print (bit 1).
const TELL_WITHOUT_PRINT: u8 = 0x03;
/// What we ask of a terminal: receipts are ours, tell what is shown, amounts come from us alone, so that nobody charges a
/// card by hand while a payment of ours is in doubt. A kit that is gone frees the terminal by its power switch.
const CONFIGURATION: u8 =
    config::RECEIPTS_BY_TILL | config::REPORTS_BY_TILL | config::INTERMEDIATE | config::AMOUNT_BY_TILL;

/// What a terminal needs before it can work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    initialisation: bool,
    diagnosis: bool,
}

impl Ecr {
    /// The command of a request's step.
    pub(super) fn command_of(&mut self, request: Request, step: Step) -> Apdu {
        let password = digits(u64::from(self.config.password), 3);
        let command = |command, fixed: Vec<u8>, fields: Fields| short(command, [fixed, fields.bytes()].concat());
        match (request, step) {
            (Request::Attach, Step::Enquire | Step::Only) => Apdu::bare(Command::StatusEnquiry),
            (Request::Attach, Step::Register) => {
                let fixed =
                    [password, vec![CONFIGURATION], digits(u64::from(self.config.currency.numeric()), 2)].concat();
                let ids = self.config.message_ids.then(|| Tagged::new(tag::MESSAGE_ID, vec![0, 0, 0]));
                command(Command::Register, fixed, container(&Vec::from_iter(ids)))
            }
            (Request::Attach, Step::Initialise) => command(Command::Initialise, password, Fields::default()),
            (Request::Attach, Step::Diagnose) | (Request::Diagnose, _) => Apdu::bare(Command::Diagnose),
            (Request::Authorise { amount }, _) => {
                command(Command::Authorise, Vec::new(), self.with_marks(money(amount)))
            }
            (Request::Refund { amount }, _) => command(Command::Refund, password, self.with_marks(money(amount))),
            (Request::Reverse { receipt, amount }, _) => {
                let mut fields = Fields::default().with(tag::RECEIPT, digits(u64::from(receipt), 2));
                money(amount).all().iter().for_each(|field| fields.push(field.tag, field.value.clone()));
                command(Command::Reverse, password, self.with_marks(fields))
            }
            (Request::LastTransaction, _) => {
                let service = Fields::default().with(tag::SERVICE, vec![TELL_WITHOUT_PRINT]);
                command(Command::RepeatReceipt, password, service)
            }
            (Request::EndOfDay, _) => command(Command::EndOfDay, password, self.with_marks(Fields::default())),
            (Request::Abort, _) => Apdu::bare(Command::Stop),
            (Request::LogOff, _) => Apdu::bare(Command::LogOff),
        }
    }
    /// Adds the terminal's count of results and the message's number, where the terminal has them.
    fn with_marks(&mut self, mut fields: Fields) -> Fields {
        let count = self.count.clone().map(|count| Tagged::new(tag::COUNT, count));
        let id = self.message_id.map(|id| Tagged::new(tag::MESSAGE_ID, digits(u64::from(id), 3)));
        self.message_id = self.message_id.map(|id| id % 999_999 + 1);
        let marks: Vec<Tagged> = count.into_iter().chain(id).collect();
        container(&marks).all().iter().for_each(|field| fields.push(field.tag, field.value.clone()));
        fields
    }

    /// A step of attaching has ended: well, or with a code.
    pub(super) fn attach_step_ended(&mut self, now_ms: u64, end: Result<Done, u8>) {
        let Some(running) = &mut self.running else { return };
        let next = match (running.step, end) {
            (Step::Enquire, Ok(done)) => {
                let state = done.state.unwrap_or(0);
                if matches!(state, code::BUSY | code::CARD_INSERTED) {
                    return self.pause(now_ms, state);
                }
                running.needs.initialisation |= state == code::INITIALISE;
                running.needs.diagnosis |= state == code::DIAGNOSE;
                Some(Step::Register)
            }
            // Terminals without this command exist.
            (Step::Enquire, Err(_)) => Some(Step::Register),
            (Step::Register, Err(code)) => return self.give_up(Doubt::Refused(code)),
            (Step::Register, Ok(done)) => {
                running.needs.initialisation |= done.needs & 1 != 0;
                running.needs.diagnosis |= done.needs & 2 != 0;
                self.terminal_id = done.terminal_id;
                self.message_id = (self.config.message_ids && done.message_ids).then_some(1);
                running.currency = done.currency.and_then(Currency::from_numeric);
                running.next_need()
            }
            (Step::Initialise | Step::Diagnose | Step::Only, _) => running.next_need(),
        };
        match next {
            Some(step) => {
                running.step = step;
                self.command(now_ms);
            }
            None => {
                let (terminal_id, currency) = (self.terminal_id.clone(), running.currency);
                self.attached = true;
                self.finish(Report::Attached { terminal_id, currency });
            }
        }
    }
    /// The last transaction is told; the answer binds nothing.
    pub(super) fn last(&mut self, now_ms: u64, status: Status) {
        let terminal_id = self.terminal_id.clone().unwrap_or_default();
        let Some(running) = &mut self.running else { return };
        let empty = status.receipt == 0 && status.amount.unwrap_or(0) == 0;
        running.outcome = if empty && status.result != 0 {
            Outcome::Declined(status.result)
        } else {
            // A terminal that has done nothing yet says so with a receipt number that does not exist.
            let told = (!empty).then(|| status.transaction(Kind::Unstated, self.config.currency, &terminal_id));
            self.last_receipt = told.as_ref().filter(|told| told.result == 0).map(|told| told.receipt);
            Outcome::Last(told)
        };
        self.count = status.count.or(self.count.take());
        self.answer(now_ms, &Apdu::accepted());
    }
    /// The day's totals.
    pub(super) fn totals(&mut self, now_ms: u64, status: Status) {
        let Some(running) = &mut self.running else { return };
        match running.outcome {
            Outcome::Totals(_) => return self.answer(now_ms, &Apdu::accepted()),
            _ if status.result != 0 => {
                running.outcome = Outcome::Declined(status.result);
                return self.answer(now_ms, &Apdu::accepted());
            }
            _ => running.outcome = Outcome::Totals(Standing::Asked),
        }
        (running.phase, running.until_ms) = (Phase::Desk, now_ms + RECORD_MS);
        let mut totals = status.totals.unwrap_or_default();
        totals.amount = status.amount;
        self.report(Report::EndOfDay(totals));
    }
}

impl super::Running {
    /// What is still to be done, each once.
    fn next_need(&mut self) -> Option<Step> {
        if std::mem::take(&mut self.needs.initialisation) {
            Some(Step::Initialise)
        } else if std::mem::take(&mut self.needs.diagnosis) {
            Some(Step::Diagnose)
        } else {
            None
        }
    }
}
