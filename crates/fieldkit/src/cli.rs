//! The command line: every command, its options, its help with examples.
//!
//! Promises: names and options stay, or change with a decision record; data goes to stdout, talk to stderr.
//! Absent on purpose: what commands do (`commands`).

mod kits;

pub use kits::{Join, Rights, Sync};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Run a stall: sell, count, reconcile — with no network, no account, no hardware.
#[derive(Debug, Parser)]
#[command(name = "fieldkit", version, arg_required_else_help = true, disable_help_subcommand = true)]
#[command(after_help = "Try it in one command:  fieldkit demo
Exit codes: 0 fine, 1 failed or refused, 2 usage, 3 discrepancies found, 4 outcome unknown (do not repeat with a new key)")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Keep everything in this directory
    ///
    /// Default: $XDG_DATA_HOME/fieldkit, else ~/.local/share/fieldkit.
    #[arg(long, global = true, env = "FIELDKIT_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Print one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Keep a second copy of every sale here: a stick or a second disk, or `off`
    #[arg(long, global = true, env = "FIELDKIT_BLACK_BOX", value_name = "DIR|off")]
    pub black_box: Option<String>,
}

/// How a write is repeated.
#[derive(Debug, Clone, Args)]
pub struct Repeat {
    /// Repeat a write safely: the key that it printed first
    #[arg(long, value_name = "KEY")]
    pub idempotency_key: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a stall with example goods, to try everything
    #[command(after_help = "Example:\n  fieldkit demo\n  fieldkit demo --listen 127.0.0.1:9000")]
    Demo(Demo),
    /// Make the organisation, this kit and a first event
    #[command(after_help = "Example:\n  fieldkit init --name \"Corner Stall\" --currency EUR --tax 19%")]
    Init(Init),
    /// Open the till and serve until stopped
    #[command(
        after_help = "Examples:\n  fieldkit up --listen 127.0.0.1:8080\n  fieldkit up --device terminal=zvt+tcp://192.168.1.5:20007"
    )]
    Up(Up),
    /// Create, choose, close or list events
    #[command(subcommand)]
    Event(Event),
    /// Take over a catalogue file, or add and change items
    #[command(subcommand)]
    Catalog(Catalog),
    /// List items with price and stock, change the stock of one, or see who holds limited goods
    #[command(
        after_help = "Examples:\n  fieldkit stock\n  fieldkit stock --set MUG=12 --reason counted\n  fieldkit stock --change MUG=-1 --reason damaged\n  fieldkit stock pool PIN"
    )]
    Stock(Stock),
    /// Sell
    #[command(
        after_help = "Examples:\n  fieldkit sell --line MUG=2 --tender cash=20.00\n  fieldkit sell --line MUG=1 --tender card\n  fieldkit sell --line MUG=2 --tender cash=5 --tender card\n  fieldkit sell --line MUG=1 --tender card-external=12.50:TAAA4X9KQ2\n  fieldkit sell --line MUG=1 --line TEE-M=1 --discount 10% --discount-reason friend --tender cash=40"
    )]
    Sell(Sell),
    /// List orders, or show one
    #[command(after_help = "Examples:\n  fieldkit orders\n  fieldkit orders 17")]
    Orders(Orders),
    /// List payments: cash, cards, readers of your own; or finish one that is open
    #[command(
        after_help = "Examples:\n  fieldkit payments --limit 20\n  fieldkit payments begin ORDER\n  fieldkit payments settle ORDER --tender cash=20\n  fieldkit payments cancel ORDER --reason \"the buyer left\"\n  fieldkit payments close ORDER PAYMENT --charged no --evidence \"not in the terminal's journal\"\n  fieldkit payments foreign"
    )]
    Payments(Payments),
    /// Give goods and money back, void an order, or undo either
    #[command(
        after_help = "Examples:\n  fieldkit refund --order 17 --reason \"wrong size\"\n  fieldkit refund --order 17 --line 1=1 --reason damaged --no-restock\n  fieldkit refund --order 17 --void --reason mistyped\n  fieldkit refund --undo REFUND_ID"
    )]
    Refund(Refund),
    /// Open or count the drawer, put cash in or take it out
    #[command(subcommand)]
    Cash(Cash),
    /// Let several kits sell together: ask, admit, finish
    #[command(subcommand)]
    Join(Join),
    /// Exchange what kits know, by files
    #[command(subcommand)]
    Sync(Sync),
    /// Move limited goods between kits
    #[command(subcommand)]
    Rights(Rights),
    /// Find devices, give them roles, list them, ask or stop them
    #[command(subcommand)]
    Device(Device),
    /// Say how the kit is: event, durability, devices, clock
    Status(Status),
    /// Check every op, every chain, every head; or a receipt
    #[command(
        after_help = "Examples:\n  fieldkit verify\n  fieldkit verify /media/stick/copy\n  fieldkit verify --receipt 'TOKEN'\n  fieldkit verify --receipt 'TOKEN' --key kit.json"
    )]
    Verify(Verify),
    /// Show public keys, or check the recovery words
    Keys(Keys),
    /// Play a device that is not there, to try and to test a till
    #[command(subcommand)]
    Simulate(Simulate),
    /// Print shell completions
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write man pages into a directory
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// `demo`
#[derive(Debug, Args)]
pub struct Demo {
    /// Serve here; the next free port is taken where this one is not
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: String,
    /// Do not open a browser
    #[arg(long)]
    pub no_open: bool,
    /// Forget an earlier demo first
    #[arg(long)]
    pub fresh: bool,
}

/// `init`
#[derive(Debug, Args)]
pub struct Init {
    /// What the stall is called
    #[arg(long)]
    pub name: String,
    /// ISO 4217 currency of the first event
    #[arg(long, default_value = "EUR")]
    pub currency: String,
    /// What the kit is called
    #[arg(long, default_value = "kit 1")]
    pub label: String,
    /// Name of the first event; default: the stall's name
    #[arg(long)]
    pub event: Option<String>,
    /// Configuration file to use as this kit's kit.toml
    #[arg(long, value_name = "FILE")]
    pub kit: Option<PathBuf>,
    /// Settings of the event
    #[command(flatten)]
    pub settings: EventSettings,
}

/// What an event needs to know.
#[derive(Debug, Clone, Args)]
pub struct EventSettings {
    /// IANA time zone; default: the machine's
    #[arg(long)]
    pub zone: Option<String>,
    /// When a business day begins
    #[arg(long, default_value = "04:00", value_name = "HH:MM")]
    pub day_cutover: String,
    /// Seller's name on receipts
    #[arg(long, default_value = "")]
    pub seller: String,
    /// Seller's address on receipts
    #[arg(long, default_value = "")]
    pub address: String,
    /// Seller's tax number on receipts
    #[arg(long, default_value = "")]
    pub tax_id: String,
    /// A tax rate, the default first: 19% or ID=19% or ID=19%=NAME (or parts per million: 190000)
    #[arg(long = "tax", value_name = "RATE")]
    pub taxes: Vec<String>,
    /// Whether prices contain tax
    #[arg(long, value_enum, default_value = "inclusive")]
    pub prices: PricesArg,
    /// For practice only: its own series, never in real totals
    #[arg(long)]
    pub training: bool,
}

/// Whether prices contain tax.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PricesArg {
    /// Prices contain tax.
    Inclusive,
    /// Tax comes on top.
    Exclusive,
}

/// `up`
#[derive(Debug, Args)]
pub struct Up {
    /// Serve the till here (loopback only)
    #[arg(long, env = "FIELDKIT_LISTEN", default_value = "127.0.0.1:8080", value_name = "HOST:PORT")]
    pub listen: String,
    /// Attach a device: ROLE=URL; instead of the one of this role in kit.toml
    #[arg(long = "device", value_name = "ROLE=URL")]
    pub devices: Vec<String>,
    /// Serve without the till page, API only
    #[arg(long)]
    pub api_only: bool,
}

/// `event`
#[derive(Debug, Subcommand)]
pub enum Event {
    /// Create an event; sales go to it from now on
    #[command(
        after_help = "Example:\n  fieldkit event create --name \"Winter market\" --zone Europe/Berlin --tax standard=19% --clone"
    )]
    Create {
        /// What it is called
        #[arg(long)]
        name: String,
        /// ISO 4217 currency; default: the current event's
        #[arg(long)]
        currency: Option<String>,
        /// Begin with the catalogue of the current event, or of EVENT, by its id or name
        #[arg(long, value_name = "EVENT", num_args = 0..=1, default_missing_value = "")]
        clone: Option<String>,
        /// Settings
        #[command(flatten)]
        settings: EventSettings,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Let sales go to an open event
    Open {
        /// Its id, or its name where only one has it
        event: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Close an event; default: the current one
    Close {
        /// Its id, or its name where only one has it
        event: Option<String>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// List events
    List,
}

/// `catalog`
#[derive(Debug, Subcommand)]
pub enum Catalog {
    /// Take over a Shopify product CSV
    #[command(after_help = "Example:\n  fieldkit catalog import products.csv")]
    Import {
        /// The file
        file: PathBuf,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Add an item or change one
    #[command(
        after_help = "Examples:\n  fieldkit catalog set MUG --name Mug --price 12.50 --count 20\n  fieldkit catalog set MUG --price 11"
    )]
    Set {
        /// Its SKU
        sku: String,
        /// Its name
        #[arg(long)]
        name: Option<String>,
        /// Its price, such as 12.50
        #[arg(long)]
        price: Option<String>,
        /// Its tax rate's id
        #[arg(long)]
        tax_rate: Option<String>,
        /// Its barcode
        #[arg(long)]
        barcode: Option<String>,
        /// Type the price at the till
        #[arg(long)]
        open_price: Option<bool>,
        /// What happens at zero: soft sells on, hard refuses and names who has more
        #[arg(long, value_parser = ["soft", "hard", "uncounted"])]
        limit: Option<String>,
        /// Units at hand, for a new item
        #[arg(long)]
        count: Option<i64>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
}

/// `stock`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Stock {
    /// Set the count of an item: SKU=COUNT
    #[arg(long, value_name = "SKU=COUNT", conflicts_with = "change")]
    pub set: Option<String>,
    /// Change the stock of an item: SKU=+N or SKU=-N
    #[arg(long, value_name = "SKU=±N", allow_hyphen_values = true)]
    pub change: Option<String>,
    /// Why
    #[arg(long, default_value = "counted", value_parser = ["delivered", "counted", "found", "damaged", "lost"])]
    pub reason: String,
    /// Its key
    #[command(flatten)]
    pub repeat: Repeat,
    /// What to do instead
    #[command(subcommand)]
    pub command: Option<StockCommand>,
}

/// `stock …`
#[derive(Debug, Subcommand)]
pub enum StockCommand {
    /// Say who holds how many of a limited item, how many are sold, how many rest
    #[command(after_help = "Example:\n  fieldkit stock pool PIN")]
    Pool {
        /// Its SKU
        sku: String,
    },
}

/// `sell`
#[derive(Debug, Args)]
pub struct Sell {
    /// A line: SKU=QUANTITY
    #[arg(long = "line", value_name = "SKU=QTY", required = true)]
    pub lines: Vec<String>,
    /// Price of an open-price item: SKU=AMOUNT
    #[arg(long = "price", value_name = "SKU=AMOUNT")]
    pub prices: Vec<String>,
    /// Discount on a line: SKU=AMOUNT or SKU=PERCENT%
    #[arg(long = "line-discount", value_name = "SKU=AMOUNT|%")]
    pub line_discounts: Vec<String>,
    /// Discount on the order: AMOUNT or PERCENT%
    #[arg(long, value_name = "AMOUNT|%")]
    pub discount: Option<String>,
    /// Why there is a discount
    #[arg(long, default_value = "")]
    pub discount_reason: String,
    /// What the buyer gives: cash=AMOUNT, card, card=AMOUNT, or card-external=AMOUNT:REFERENCE
    ///
    /// card charges a terminal of this kit, for what is left to pay where no amount is given. card-external is a reader of
    /// your own beside the till: charge it there, then give its reference or the card's last four digits.
    #[arg(long = "tender", value_name = "KIND=AMOUNT", required = true)]
    pub tenders: Vec<String>,
    /// Place of sale
    #[arg(long, default_value = "cli")]
    pub till: String,
    /// Campaign that brought the buyer
    #[arg(long, default_value = "")]
    pub campaign: String,
    /// How long a card is waited for
    #[command(flatten)]
    pub waiting: Waiting,
    /// Its key
    #[command(flatten)]
    pub repeat: Repeat,
}

/// How long a card is waited for.
#[derive(Debug, Clone, Args)]
pub struct Waiting {
    /// Do not wait for the card; `fieldkit orders ORDER` says what became of it
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
    /// Wait at most so long for the card; then the order stays open, and the exit code is 4
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub wait: u64,
}

/// `orders`
#[derive(Debug, Args)]
pub struct Orders {
    /// One order: its id or receipt number
    pub order: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100_000)]
    pub limit: u32,
}

/// `payments`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Payments {
    /// At most so many
    #[arg(long, default_value_t = 100_000)]
    pub limit: u32,
    /// What to do instead of listing them
    #[command(subcommand)]
    pub command: Option<PaymentsCommand>,
}

/// `payments …`
#[derive(Debug, Subcommand)]
pub enum PaymentsCommand {
    /// Charge a card for an order that waits, and wait for the outcome
    #[command(
        after_help = "Examples:\n  fieldkit payments begin ORDER\n  fieldkit payments begin ORDER --amount 12.50"
    )]
    Begin {
        /// The order's id
        order: String,
        /// What to charge; default: the part that comes next
        #[arg(long)]
        amount: Option<String>,
        /// How long the card is waited for
        #[command(flatten)]
        waiting: Waiting,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Take cash, or a reader of your own, for what is left to pay of an order
    #[command(
        after_help = "Examples:\n  fieldkit payments settle ORDER --tender cash=20\n  fieldkit payments settle ORDER --tender card-external=12.50:TAAA4X9KQ2"
    )]
    Settle {
        /// The order's id
        order: String,
        /// What the buyer gives: cash=AMOUNT or card-external=AMOUNT:REFERENCE
        #[arg(long = "tender", value_name = "KIND=AMOUNT", required = true)]
        tenders: Vec<String>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Give an order up that waits for its payment
    #[command(after_help = "Example:\n  fieldkit payments cancel ORDER --reason \"the buyer left\"")]
    Cancel {
        /// The order's id
        order: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Close a payment whose outcome no terminal can tell, after a look at the terminal's journal or receipt
    #[command(
        after_help = "Examples:\n  fieldkit payments close ORDER PAYMENT --charged yes --evidence \"slip 231\"\n  fieldkit payments close ORDER PAYMENT --charged no --evidence \"not in the terminal's journal\""
    )]
    Close {
        /// The order's id
        order: String,
        /// The payment's id
        payment: String,
        /// Whether the card was charged
        #[arg(long, value_enum)]
        charged: ChargedArg,
        /// Where that was seen
        #[arg(long, value_name = "TEXT")]
        evidence: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Undo a charge that did not pay its order; one that did is undone with `refund --void`
    #[command(after_help = "Example:\n  fieldkit payments reverse ORDER PAYMENT --reason \"the buyer pays in cash\"")]
    Reverse {
        /// The order's id
        order: String,
        /// The payment's id
        payment: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// List charges on a terminal that belong to no order, or clear one up
    #[command(
        after_help = "Examples:\n  fieldkit payments foreign\n  fieldkit payments foreign --settle ID --note \"sold by hand before the kit ran\""
    )]
    Foreign {
        /// Clear this one up
        #[arg(long, value_name = "ID", requires = "note", conflicts_with = "event")]
        settle: Option<String>,
        /// What it was
        #[arg(long, value_name = "TEXT", requires = "settle")]
        note: Option<String>,
        /// Of which event, by id or name, also of a closed one; default: the one that is open
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
}

/// Whether a card was charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ChargedArg {
    /// It was.
    Yes,
    /// It was not.
    No,
}

/// `refund`
#[derive(Debug, Args)]
pub struct Refund {
    /// The order: its id or receipt number
    #[arg(long, required_unless_present = "undo")]
    pub order: Option<String>,
    /// What comes back: LINE=QUANTITY; default: all that is left
    #[arg(long = "line", value_name = "LINE=QTY")]
    pub lines: Vec<String>,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
    /// Do not put the units back on sale
    #[arg(long)]
    pub no_restock: bool,
    /// Give cash back for an order that was paid by card
    #[arg(long)]
    pub cash: bool,
    /// Void the whole order instead
    #[arg(long, conflicts_with_all = ["lines", "cash"])]
    pub void: bool,
    /// Undo this refund or void
    #[arg(long, value_name = "REFUND", conflicts_with_all = ["order", "lines", "void", "cash"])]
    pub undo: Option<String>,
    /// Its key
    #[command(flatten)]
    pub repeat: Repeat,
}

/// `cash`
#[derive(Debug, Subcommand)]
pub enum Cash {
    /// Open the drawer with its opening cash
    Open {
        /// Amount, such as 100.00
        amount: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Count the drawer and end its session
    Count {
        /// Amount found
        amount: String,
        /// A word on a difference
        #[arg(long, default_value = "")]
        note: String,
        /// Whose drawer, by id or name, also of a closed event; default: the one that is open
        #[arg(long, value_name = "EVENT")]
        event: Option<String>,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Put cash in
    In {
        /// Amount
        amount: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Take cash out
    Out {
        /// Amount
        amount: String,
        /// Why
        #[arg(long)]
        reason: String,
        /// Its key
        #[command(flatten)]
        repeat: Repeat,
    },
    /// Show the drawer
    Show,
}

/// `device`
#[derive(Debug, Subcommand)]
pub enum Device {
    /// List the serial devices of this machine; nothing is sent to any of them
    Scan,
    /// Give a device a role, in kit.toml
    ///
    /// A device from the scan is remembered by its USB identity, whatever it is called tomorrow.
    #[command(
        after_help = "Examples:\n  fieldkit device add terminal=zvt+tcp://192.168.1.5:20007\n  fieldkit device add terminal=telium:/dev/ttyUSB0 --label \"counter left\"\n  fieldkit device add terminal --from-scan 2 --protocol telium"
    )]
    Add(DeviceAdd),
    /// List the devices of kit.toml, whether they are there, and their links
    List,
    /// Ask a terminal once more for its last transaction; nothing is charged
    #[command(after_help = "Examples:\n  fieldkit device ask\n  fieldkit device ask \"counter left\"")]
    Ask {
        /// Its label or id; default: the only terminal
        #[arg(value_name = "LABEL|ID")]
        device: Option<String>,
    },
    /// Stop what runs on a terminal, if that is still possible
    #[command(after_help = "Example:\n  fieldkit device stop")]
    Stop {
        /// Its label or id; default: the only terminal
        #[arg(value_name = "LABEL|ID")]
        device: Option<String>,
    },
}

/// `device add`
#[derive(Debug, Args)]
pub struct DeviceAdd {
    /// The role and where the device is; the role alone with --from-scan
    #[arg(value_name = "ROLE=URL|ROLE")]
    pub device: String,
    /// Take the device with this number in `fieldkit device scan`
    #[arg(long, value_name = "N")]
    pub from_scan: Option<u32>,
    /// What the device from the scan speaks, such as telium
    #[arg(long, value_name = "NAME", requires = "from_scan")]
    pub protocol: Option<String>,
    /// What the crew calls it
    #[arg(long, value_name = "NAME")]
    pub label: Option<String>,
    /// How a ZVT terminal departs from the paper: no-auto-reversal, bare-repeat, last-only; may be given several times
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
    /// The till's password at a ZVT terminal
    #[arg(long, value_name = "SIX DIGITS")]
    pub password: Option<String>,
    /// Take the place of the device that has the role now
    #[arg(long)]
    pub replace: bool,
}

/// `status`
#[derive(Debug, Args)]
pub struct Status {
    /// Check the mark of the last printed or shown receipt, such as 52-Q4TM
    #[arg(long, value_name = "MARK")]
    pub slip: Option<String>,
}

/// `verify`
#[derive(Debug, Args)]
pub struct Verify {
    /// A data directory, or a black box: its directory or its file; default: --data
    pub dir: Option<PathBuf>,
    /// A receipt's token instead: the text inside its QR
    #[arg(long)]
    pub receipt: Option<String>,
    /// File with the kit's public key (`fieldkit keys --public --json`); default: this kit's own
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// `keys`
#[derive(Debug, Args)]
pub struct Keys {
    /// Print the public keys that verify receipts and claims
    #[arg(long)]
    pub public: bool,
    /// Check recovery words read from standard input
    #[arg(long)]
    pub check_words: bool,
}

/// `simulate`
#[derive(Debug, Subcommand)]
#[command(after_help = "Not there yet: ups, locker, relay, scanner, printer")]
pub enum Simulate {
    /// Play a card terminal, with a journal of its own and faults on command
    ///
    /// It prints `READY URL` once a till can find it, with the URL that `--device terminal=URL` takes, and runs until
    /// SIGTERM. Its journal knows each payment before the till hears of it; started on the same journal again, it remembers.
    #[command(after_long_help = crate::simulate::terminal_help())]
    Terminal(SimulateTerminal),
    /// Any other device.
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// `simulate terminal`
#[derive(Debug, Args)]
pub struct SimulateTerminal {
    /// What it speaks
    #[arg(long, value_enum, default_value = "zvt")]
    pub protocol: TerminalProtocol,
    /// Where a till finds it
    #[command(flatten)]
    pub place: SimulatedPlace,
    /// Keep what happens in this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub journal: PathBuf,
    /// Let this go wrong: a line for each payment, reversal and refund, in their order
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Its number
    #[arg(long, value_name = "DIGITS", default_value = "52523535", value_parser = eight_digits)]
    pub terminal_id: String,
    /// ISO 4217 currency of its cards
    #[arg(long, default_value = "EUR")]
    pub currency: String,
    /// How it departs from the paper; may be given several times
    #[arg(long = "profile", value_enum, value_name = "NAME")]
    pub profiles: Vec<TerminalProfile>,
    /// First receipt number of a new journal
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9999))]
    pub receipt_start: u32,
    /// How long a buyer takes with the card, in milliseconds
    #[arg(long, value_name = "N", default_value_t = 400)]
    pub buyer_ms: u64,
    /// Count results (tag 1F1F), and take the last one back from a till that has missed it
    #[arg(long)]
    pub counts: bool,
    /// Number messages (tag 1F73)
    #[arg(long)]
    pub message_ids: bool,
    /// Begin receipt numbers anew after an end of day
    #[arg(long)]
    pub restart_numbers: bool,
}

/// Where a till finds a simulated device.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct SimulatedPlace {
    /// Make this path a link to a fresh pseudo-terminal
    #[arg(long, value_name = "PATH")]
    pub pty: Option<PathBuf>,
    /// Listen here; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    pub tcp: Option<String>,
}

/// What a terminal speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TerminalProtocol {
    /// ZVT (Germany, Austria), over TCP or a line
    Zvt,
    /// Telium protocol E (France), over a line
    Telium,
}

/// How a terminal departs from the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TerminalProfile {
    /// Not at all
    Standard,
    /// A payment that nobody acknowledged becomes declined, without a reversal
    NoAutoReversal,
    /// Asked for the last transaction, it says that it is done and nothing else
    BareRepeat,
    /// A reversal takes back the last payment, whatever number it names
    LastOnly,
}

fn eight_digits(text: &str) -> Result<String, String> {
    let fits = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("a terminal's number has eight digits".to_owned()) }
}
