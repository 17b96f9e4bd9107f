//! The drawer beside the event: it is counted before an event is closed, and can be counted afterwards all the same;
//! cash taken while it was not open stands apart.

use crate::world::{Move, Terms, Wish, World};
use fieldkit_core::author::Draft;
use fieldkit_core::body::{Body, Direction, DrawerCounted, Prices};
use fieldkit_core::decide::Command;
use fieldkit_core::event::{Drawer, EventState};
use fieldkit_core::id::Space;
use fieldkit_core::money::Currency;
use fieldkit_core::op::{Account, Posting, Unit};
use fieldkit_core::refusal::Refusal;

fn world(kits: u8) -> World {
    World::new(kits, Terms { currency: "EUR", prices: Prices::Inclusive })
}

impl World {
    /// Gives a command of the owner's at the event.
    fn give(&mut self, kit: usize, command: Command) -> Result<(), Refusal> {
        let (event, owner) = (self.event, self.owner);
        self.kits[kit].wall_ms += 1_000;
        self.kits[kit].run(&command, Some(event), owner).map(|_| ())
    }

    fn drawer(&self, kit: usize) -> &Drawer {
        let stream = self.kits[kit].author.stream(&Space::Event(self.event));
        &self.kits[kit].ledger.events[&self.event].drawers[&stream]
    }
}

fn count(counted: i64) -> Command {
    Command::CountDrawer { counted, note: String::new() }
}

#[test]
fn an_event_is_not_closed_over_an_open_drawer() {
    let mut world = world(1);
    world.give(0, Command::OpenDrawer { amount: 5_000 }).expect("the drawer opens");
    let refused = world.give(0, Command::CloseEvent);
    assert_eq!(refused, Err(Refusal::DrawerUncounted("Harbour market".to_owned())));
    world.give(0, count(5_000)).expect("the drawer is counted");
    world.give(0, Command::CloseEvent).expect("then the event closes");
}

#[test]
fn a_drawer_can_be_counted_after_another_kit_closed_the_event() {
    let mut world = world(2);
    world.give(0, Command::OpenDrawer { amount: 5_000 }).expect("the drawer opens");
    world.give(1, Command::CloseEvent).expect("the other kit has no drawer open");
    world.sync_all();
    let event = &world.kits[0].ledger.events[&world.event];
    assert_eq!(event.state(), EventState::Closed);
    let name = || "Harbour market".to_owned();
    let out = Command::MoveCash { direction: Direction::Out, amount: 100, reason: "bank".to_owned() };
    assert_eq!(world.give(0, out), Err(Refusal::EventClosed(name())));
    world.give(0, count(5_000)).expect("what is in the drawer is counted");
    assert_eq!((world.drawer(0).opened_ms, world.drawer(0).expected.0), (None, 0));
    assert_eq!(world.give(0, count(5_000)), Err(Refusal::DrawerClosed), "once");
    assert_eq!(world.give(0, Command::OpenDrawer { amount: 1 }), Err(Refusal::EventClosed(name())));
}

fn sell(world: &mut World) {
    let sale = Wish::Sell { lines: vec![(0, 1, 0)], off: 0, extra: 0 };
    world.step(0, &Move::Do(sale)).expect("a mug for 14.50");
}

#[test]
fn cash_taken_before_the_opening_is_not_expected_in_the_drawer() {
    let mut world = world(1);
    sell(&mut world);
    world.give(0, Command::OpenDrawer { amount: 5_000 }).expect("the drawer opens");
    let sums = |world: &World| (world.drawer(0).expected.0, world.drawer(0).while_closed.0);
    assert_eq!(sums(&world), (5_000, 1_450), "the crew counted what they opened with");
    sell(&mut world);
    world.give(0, count(6_450)).expect("opening cash and one sale, to the cent");
    sell(&mut world);
    assert_eq!(sums(&world), (0, 2_900));
}

#[test]
fn a_count_that_took_earlier_cash_along_leaves_none_behind() {
    // So counts were written before cash outside a session stood apart: 50.00 and 14.50 expected, all of it posted.
    let mut world = world(1);
    sell(&mut world);
    world.give(0, Command::OpenDrawer { amount: 5_000 }).expect("the drawer opens");
    let unit = Unit::Money(Currency::from_code("EUR").expect("EUR is in ISO 4217"));
    let postings = vec![
        Posting { account: Account::CASH, unit, amount: -6_450 },
        Posting { account: Account::CASH_MOVED, unit, amount: 6_450 },
    ];
    let body = Body::DrawerCounted(DrawerCounted { counted: 6_450, expected: 6_450, note: String::new() });
    let (draft, owner) = (Draft::new(Space::Event(world.event), body).moving(postings), world.owner);
    world.kits[0].write(vec![draft], owner);
    assert_eq!((world.drawer(0).expected.0, world.drawer(0).while_closed.0), (0, 0));
}
