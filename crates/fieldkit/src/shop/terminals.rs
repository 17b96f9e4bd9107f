//! The loop's part in card payments: links to terminals, what they tell, and what is told to them.
//!
//! Promises: what a port tells reaches the engine in order, and wakes the loop; a card is charged only at a terminal that
//! this program drives now; a payment whose terminal is not attached any more ends in words that a person can act on.
//! Absent on purpose: rules (`fieldkit-core`), the order of a payment (`fieldkit-engine`), bytes (`fieldkit-drivers`).

use super::Shop;
use crate::devices::{Departure, Device};
use fieldkit_core::body::{CancelledBy, DeviceAccepted, DeviceRole, PaymentStep, TerminalAnswer};
use fieldkit_core::decide::{Command, TenderRequest};
use fieldkit_core::id::{Hash, OpId, Zero};
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Actor, CommandKey};
use fieldkit_core::payment::{Payment, PaymentState};
use fieldkit_core::refusal::{PaymentRefusal, Refusal};
use fieldkit_drivers::terminal::{Driver, Profile, Repeat, ReversalReach, Unanswered};
use fieldkit_drivers::{telium, zvt};
use fieldkit_engine::{Asked, DeviceInput, DeviceOutput, Input, Link, Shown, Ticket};
use fieldkit_http::desk::{Ask, DeviceShown, DeviceWish, LinkState, Update};
use fieldkit_ports::url::Protocol;
use fieldkit_ports::{Address, LinkNumber, Plan, Port, PortCommand, PortEvent, Role};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;
use tokio::runtime::Handle;

/// Events of ports that wait for the loop; then the ports stop reading.
const EVENTS_MAX: usize = 64;
/// Till number that a Telium terminal prints.
const TELIUM_TILL: u8 = 1;

/// What a loop needs to open its devices.
pub struct Attach {
    /// Which.
    pub devices: Vec<Device>,
    /// Where their links are kept.
    pub runtime: Handle,
    /// Wakes the loop.
    pub asks: SyncSender<Ask>,
}

/// One terminal's link.
struct Line {
    port: Port,
    /// The link that is open.
    link: Option<LinkNumber>,
}

/// The terminals that this loop drives.
pub struct Terminals {
    /// Time of the engine counts from here, in milliseconds since the machine was started.
    begun_ms: u64,
    events: Receiver<(OpId, PortEvent)>,
    lines: BTreeMap<OpId, Line>,
    /// What the crew sees of them.
    pub shown: Vec<DeviceShown>,
}

/// A clock that only goes forward, and through a suspend too: a lease must not outlive a closed lid.
fn since_boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

impl Terminals {
    /// Without any.
    pub fn none() -> Self {
        let (_, events) = sync_channel(EVENTS_MAX);
        Terminals { begun_ms: since_boot_ms(), events, lines: BTreeMap::new(), shown: Vec::new() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        since_boot_ms().saturating_sub(self.begun_ms)
    }

    fn show(&mut self, device: OpId, change: impl FnOnce(&mut DeviceShown)) -> bool {
        let Some(shown) = self.shown.iter_mut().find(|shown| shown.device == device) else { return false };
        let before = shown.clone();
        change(shown);
        before != *shown
    }

    /// What a port told, as its terminal's desk hears it; whether the crew sees something new.
    fn hear(&mut self, device: OpId, event: PortEvent) -> (Option<DeviceInput>, bool) {
        let Some(line) = self.lines.get_mut(&device) else { return (None, false) };
        let (input, trouble) = match event {
            PortEvent::Bytes(bytes) => return (Some(DeviceInput::Bytes(bytes)), false),
            PortEvent::Up { link, .. } => {
                line.link = Some(link);
                (Some(DeviceInput::LinkUp), None)
            }
            PortEvent::Down { why } => {
                line.link = None;
                (Some(DeviceInput::LinkDown), Some(why.whole()))
            }
            PortEvent::OpenFailed { why, .. } => (None, Some(why.whole())),
        };
        (input, self.show(device, |shown| shown.trouble = trouble))
    }

    /// Carries out what a terminal's desk wants; whether the crew sees something new.
    fn carry_out(&mut self, device: OpId, output: DeviceOutput) -> bool {
        match output {
            DeviceOutput::Send(bytes) => {
                if let Some(Line { port, link: Some(link) }) = self.lines.get(&device)
                    && port.send(*link, bytes).is_err()
                {
                    // The terminal takes nothing: the port says so soon, and the driver's deadlines stand.
                    tracing::warn!("the terminal takes no more bytes");
                }
                false
            }
            DeviceOutput::CloseLink => {
                let command = |line: &Line| line.port.command(PortCommand::Reopen);
                if self.lines.get(&device).is_some_and(|line| command(line).is_err()) {
                    tracing::warn!("the terminal's port does not answer");
                }
                false
            }
            DeviceOutput::Show(Shown { payment, link, text, .. }) => self.show(device, |shown| {
                shown.link = match link {
                    Link::Down => LinkState::Down,
                    Link::Up => LinkState::Up,
                    Link::Ready => LinkState::Ready,
                };
                if text.is_some() || payment != shown.payment {
                    shown.text = text;
                }
                shown.payment = payment;
            }),
        }
    }

    fn stop(self) {
        // A port that waits for room in the queue is let go.
        drop(self.events);
        for line in self.lines.into_values() {
            line.port.stop();
        }
    }
}

impl Shop {
    /// Accepts the devices that the kit is told to use, and opens their links.
    pub(super) fn attach(&mut self, attach: Attach) {
        let Attach { devices, runtime, asks } = attach;
        if self.standing.safe_mode || !self.store.takes_ops() {
            return;
        }
        let Some(currency) = self.currency() else { return };
        let (events, receiver) = sync_channel(EVENTS_MAX);
        self.terminals.events = receiver;
        for device in devices.into_iter().filter(|device| device.role() == Role::Terminal) {
            let Some(id) = self.accepted(&device) else { continue };
            let (url, label) = (device.url.to_string(), label(&device));
            self.engine.add_terminal(id, driver(&device, currency));
            self.terminals.shown.push(DeviceShown {
                device: id,
                role: Role::Terminal.name(),
                label,
                url: url.clone(),
                link: LinkState::Down,
                trouble: None,
                payment: None,
                text: None,
            });
            let (events, asks) = (events.clone(), asks.clone());
            let plan = Plan::new(Role::Terminal.name(), device.url.address().clone());
            let tell = move |event| {
                if events.send((id, event)).is_ok() {
                    // A full queue is being worked off, and the loop looks here after each group.
                    let _ = asks.try_send(Ask::Wake);
                }
            };
            match Port::start(&runtime, plan, tell) {
                Ok(port) => drop(self.terminals.lines.insert(id, Line { port, link: None })),
                Err(error) => {
                    self.terminals.show(id, |shown| shown.trouble = Some(error.to_string()));
                    tracing::error!("no link can be kept to {url}: {error}");
                }
            }
        }
        self.part_from_absent();
        self.work_terminals();
    }

    /// The op that lets a device be used; a device that is new is accepted in the name of who runs the kit.
    fn accepted(&mut self, device: &Device) -> Option<OpId> {
        let (driver, identity) = (device.url.scheme().to_owned(), device.url.to_string());
        let known = |shop: &Shop| {
            let usable = shop.engine.ledger().devices_of(shop.engine.replica(), DeviceRole::Terminal);
            let same = |body: &DeviceAccepted| (&body.driver, &body.identity) == (&driver, &identity);
            usable.filter(|(_, known)| same(&known.body)).map(|(id, _)| id).last()
        };
        if let Some(id) = known(self) {
            return Some(id);
        }
        let body = DeviceAccepted {
            role: DeviceRole::Terminal,
            driver: driver.clone(),
            identity: identity.clone(),
            label: label(device),
        };
        // A device that was retired may be accepted again: that is another wish.
        let wish = format!("{identity} {}", self.engine.ledger().devices.len());
        let wish = wish.as_bytes();
        let key = CommandKey::named(Hash::derived("fieldkit 2026-11 accept device", wish), wish);
        self.decide(self.actor, Command::AcceptDevice(body), key);
        self.turn();
        let accepted = known(self);
        if accepted.is_none() {
            crate::say::talk(&format!("warning: the device {identity} was not accepted; cards are not taken"));
        }
        accepted
    }

    /// Ends what waits for a terminal that is not attached: nobody else would.
    fn part_from_absent(&mut self) {
        const WHY: &str = "its terminal is not attached any more";
        let ledger = self.engine.ledger();
        let own = |payment: &&Payment| ledger.runs_payment(self.engine.replica(), payment);
        let absent = |payment: &&Payment| payment.device.is_some_and(|device| !self.drives(device));
        let open = ledger.events.values().flat_map(|event| event.open_payments.values());
        let mut steps = Vec::new();
        for payment in open.filter(own).filter(absent) {
            let step = match payment.state() {
                PaymentState::Intended => PaymentStep::Cancelled(CancelledBy::Kit),
                PaymentState::Sent | PaymentState::Approved => PaymentStep::Unknown(WHY.to_owned()),
                PaymentState::Reversing if payment.standing().reversal_sent => {
                    PaymentStep::ReversalUnknown(WHY.to_owned())
                }
                PaymentState::Reversing => {
                    PaymentStep::ReversalDeclined(TerminalAnswer { code: 0, text: WHY.to_owned() })
                }
                _ => continue,
            };
            let key = payment.command_key(&step);
            steps.push((Command::MovePayment { order: payment.order, payment: payment.payment_id, step }, key));
        }
        for (command, key) in steps {
            self.decide(Actor::Device(Zero), command, key);
            self.turn();
        }
    }

    /// Gives a command of the kit's own; nobody waits for the answer.
    pub(super) fn decide(&mut self, actor: Actor, command: Command, key: CommandKey) {
        self.pace.ticket += 1;
        let ticket = Ticket(self.pace.ticket);
        self.decide_as(ticket, actor, None, command, key);
    }

    /// As `decide`, for a ticket of the engine's.
    pub(super) fn decide_as(
        &mut self,
        ticket: Ticket,
        actor: Actor,
        event: Option<OpId>,
        command: Command,
        key: CommandKey,
    ) {
        self.tell_time();
        let (wall_ms, quality) = self.standing.time(self.engine.ledger().floor_ms);
        // What a terminal tells between two events is recorded at the newest.
        let event = event.or(self.standing.event).or_else(|| self.engine.ledger().events.keys().last().copied());
        let asked = Asked { command, event, actor, key, wall_ms, quality };
        self.pace.reported = true;
        self.engine.handle(Input::Command(ticket, Box::new(asked)));
        self.pump();
    }

    /// Whether this program drives a device now.
    fn drives(&self, device: OpId) -> bool {
        self.terminals.shown.iter().any(|shown| shown.device == device)
    }

    /// Names the terminal at which a card is to be charged: one that this program drives.
    pub(super) fn at_terminal(&self, command: &mut Command) -> Result<(), Refusal> {
        let only = self.terminals.shown.last().map(|shown| shown.device);
        let name = |device: &mut Option<OpId>| match (*device, only) {
            (Some(named), _) if self.drives(named) => Ok(()),
            (Some(named), _) => Err(PaymentRefusal::UnknownDevice(named.text()).into()),
            (None, Some(only)) => {
                *device = Some(only);
                Ok(())
            }
            (None, None) => Err(PaymentRefusal::NoTerminal.into()),
        };
        match command {
            Command::BeginPayment { device, .. } => name(device),
            Command::PlaceOrder(request) => {
                let mut cards = request.tenders.iter_mut().filter_map(|tender| match tender {
                    TenderRequest::Card { device, .. } => Some(device),
                    TenderRequest::Cash { .. } | TenderRequest::CardExternal { .. } => None,
                });
                cards.try_for_each(name)
            }
            _ => Ok(()),
        }
    }

    /// A wish of the crew's about a device; whether there is such a device here.
    pub(super) fn wish(&mut self, device: OpId, wish: DeviceWish) -> bool {
        let input = match wish {
            DeviceWish::Stop => DeviceInput::Stop,
            DeviceWish::AskAgain => DeviceInput::AskAgain,
        };
        let known = self.drives(device);
        if known {
            self.engine.handle(Input::Device(device, self.terminals.now_ms(), input));
            self.pump();
            self.end_reports();
        }
        known
    }

    /// Carries out what the engine wants of a device.
    pub(super) fn device(&mut self, device: OpId, output: DeviceOutput) {
        if self.terminals.carry_out(device, output) {
            self.publish(Update::Device(device));
        }
    }

    /// Hears what terminals have told, and lets time pass for them.
    pub(super) fn work_terminals(&mut self) {
        while let Ok((device, event)) = self.terminals.events.try_recv() {
            let (input, news) = self.terminals.hear(device, event);
            if news {
                self.publish(Update::Device(device));
            }
            if let Some(input) = input {
                self.engine.handle(Input::Device(device, self.terminals.now_ms(), input));
                self.pump();
                self.end_reports();
            }
        }
        while let Some((at_ms, device)) = self.engine.poll_timeout() {
            let now_ms = self.terminals.now_ms();
            if at_ms > now_ms {
                break;
            }
            self.engine.handle(Input::Device(device, now_ms, DeviceInput::Tick));
            self.pump();
            self.end_reports();
        }
    }

    /// Says how late it is to whoever works a terminal.
    pub(super) fn tell_time(&mut self) {
        self.engine.tell_time(self.terminals.now_ms());
    }

    /// How long the loop may rest before a terminal or an answer wants to know that time has passed.
    pub(super) fn rest(&self, most: Duration) -> Duration {
        let device = self.engine.poll_timeout().map(|(at_ms, _)| at_ms);
        let Some(at_ms) = device.into_iter().chain(self.engine.poll_watch()).min() else { return most };
        Duration::from_millis(at_ms.saturating_sub(self.terminals.now_ms())).min(most)
    }

    /// Lets terminals go.
    pub(super) fn part(&mut self) {
        std::mem::replace(&mut self.terminals, Terminals::none()).stop();
    }

    /// The currency of the event that sales go to, else of the newest.
    fn currency(&self) -> Option<Currency> {
        let events = &self.engine.ledger().events;
        let event = self.standing.event.and_then(|id| events.get(&id)).or_else(|| events.values().last());
        event.map(|event| event.opened.currency)
    }
}

fn label(device: &Device) -> String {
    device.label.clone().unwrap_or_else(|| "terminal".to_owned())
}

fn profile(departures: &[Departure]) -> Profile {
    let mut profile = Profile::default();
    for departure in departures {
        match departure {
            Departure::NoAutoReversal => profile.unanswered = Unanswered::Declined,
            Departure::BareRepeat => profile.repeat = Repeat::Bare,
            Departure::LastOnly => profile.reversal = ReversalReach::LastOnly,
        }
    }
    profile
}

fn driver(device: &Device, currency: Currency) -> Box<dyn Driver + Send> {
    match device.url.protocol() {
        Protocol::Telium => {
            let detail = telium::codec::Detail::default();
            Box::new(telium::ecr::Ecr::new(telium::ecr::Config { till: TELIUM_TILL, currency, detail }))
        }
        Protocol::Zvt => {
            let framing = match device.url.address() {
                Address::Tcp { .. } => zvt::carrier::Framing::Tcp,
                Address::Serial { .. } => zvt::carrier::Framing::Serial,
            };
            let (profile, password) = (profile(&device.departures), device.password.unwrap_or(0));
            let config = zvt::ecr::Config { framing, password, currency, profile, message_ids: false };
            Box::new(zvt::ecr::Ecr::new(config))
        }
    }
}
