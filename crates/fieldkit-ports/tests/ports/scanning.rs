//! What is found in trees of the kernel's tables.

use crate::tree::{Stick, Tree};
use fieldkit_ports::holder::{Holder, holders};
use fieldkit_ports::identity::Identity;
use fieldkit_ports::known::known;
use fieldkit_ports::scan::{Found, Roots, Usb, identity_at, scan};
use fieldkit_ports::url::Role;
use std::path::Path;

const CH340: Stick = Stick { name: "ttyUSB0", socket: "1-2.3", ids: ("1a86", "7523"), serial: None, interface: "00" };

/// Name and identity of each.
fn listed(tree: &Tree) -> Vec<(String, String)> {
    let found = scan(&tree.roots()).expect("a tree");
    let text = |found: &Found| found.identity.as_ref().map(Identity::to_string).unwrap_or_default();
    found.iter().map(|found| (found.name.clone(), text(found))).collect()
}

fn check(tree: &Tree, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    assert_eq!(listed(tree), expected);
}

#[test]
fn a_device_is_told_with_all_that_it_says() {
    let tree = Tree::new();
    tree.plug(Stick::ftdi("ttyUSB0", "1-1", "KIT0001"));
    let usb = Usb {
        vendor: 0x0403,
        product: 0x6001,
        serial: Some("KIT0001".to_owned()),
        product_name: Some("USB[31m Serial".to_owned()),
        manufacturer: Some("Maker".to_owned()),
        socket: "1-1".to_owned(),
        interface: 0,
    };
    let expected = Found {
        name: "ttyUSB0".to_owned(),
        path: tree.dev("ttyUSB0"),
        driver: Some("ftdi_sio".to_owned()),
        identity: Identity::from_text("usb:0403:6001:KIT0001"),
        known: known(0x0403, 0x6001),
        usb: Some(usb),
        console: false,
    };
    assert_eq!(scan(&tree.roots()).expect("a tree"), [expected]);
}

#[test]
fn devices_come_in_order_and_only_real_ones() {
    let tree = Tree::new();
    tree.plug(Stick::ftdi("ttyUSB10", "1-4", "C"));
    tree.plug(Stick::ftdi("ttyUSB9", "1-3", "B"));
    tree.plug(Stick { ids: ("0b00", "0001"), ..Stick::ftdi("ttyACM0", "1-2", "A") });
    tree.onboard("ttyS0", "4");
    tree.onboard("ttyS1", "0");
    tree.virtual_terminal("tty1");
    check(
        &tree,
        &[
            ("ttyACM0", "usb:0b00:0001:A"),
            ("ttyS0", ""),
            ("ttyUSB9", "usb:0403:6001:B"),
            ("ttyUSB10", "usb:0403:6001:C"),
        ],
    );
    let found = scan(&tree.roots()).expect("a tree");
    let told: Vec<_> = found.iter().map(|found| (found.driver.as_deref(), found.console)).collect();
    assert_eq!(told[..2], [(Some("cdc_acm"), false), (Some("serial8250"), true)]);
    assert_eq!(found[0].known.map(|known| known.could_be), Some(&[Role::Terminal][..]));
}

#[test]
fn a_device_without_a_number_is_known_by_its_socket() {
    let tree = Tree::new();
    tree.plug(CH340);
    check(&tree, &[("ttyUSB0", "usb:1a86:7523@1-2.3")]);
}

#[test]
fn a_number_carried_twice_tells_nothing() {
    let tree = Tree::new();
    tree.plug(Stick::ftdi("ttyUSB0", "1-1", "0001"));
    tree.plug(Stick::ftdi("ttyUSB1", "1-2", "0001"));
    tree.plug(Stick::ftdi("ttyUSB2", "1-3", "0002"));
    check(
        &tree,
        &[("ttyUSB0", "usb:0403:6001@1-1"), ("ttyUSB1", "usb:0403:6001@1-2"), ("ttyUSB2", "usb:0403:6001:0002")],
    );
}

#[test]
fn lines_of_one_device_are_told_apart() {
    let tree = Tree::new();
    let first = Stick { ids: ("0403", "6010"), ..Stick::ftdi("ttyUSB0", "1-1", "KIT0001") };
    tree.plug(first);
    tree.plug(Stick { name: "ttyUSB1", interface: "01", ..first });
    check(&tree, &[("ttyUSB0", "usb:0403:6010:KIT0001"), ("ttyUSB1", "usb:0403:6010:KIT0001/1")]);
}

#[test]
fn a_device_that_was_pulled_out_is_not_listed() {
    let tree = Tree::new();
    let (one, other) = (Stick::ftdi("ttyUSB0", "1-1", "A"), Stick::ftdi("ttyUSB1", "1-2", "B"));
    tree.plug(one);
    tree.plug(other);
    tree.unplug(one);
    check(&tree, &[("ttyUSB1", "usb:0403:6001:B")]);
}

#[test]
fn a_path_leads_to_its_device_over_links() {
    let tree = Tree::new();
    tree.plug(CH340);
    std::fs::write(tree.dev("ttyUSB0"), "").expect("a stand-in for the line");
    std::fs::create_dir_all(tree.dev("serial/by-path")).expect("a directory");
    tree.link(Path::new("../../ttyUSB0"), &tree.dev("serial/by-path/x"));
    tree.link(&tree.dev("serial/by-path/x"), &tree.dev("terminal"));
    let identity = |name: &str| identity_at(&tree.roots(), &tree.dev(name)).map(|found| found.to_string());
    for name in ["ttyUSB0", "serial/by-path/x", "terminal"] {
        assert_eq!(identity(name).as_deref(), Some("usb:1a86:7523@1-2.3"), "{name}");
    }
    assert_eq!(identity("ttyUSB1"), None);
    tree.link(&tree.dev("loop"), &tree.dev("loop"));
    assert_eq!(identity("loop"), None);
}

#[test]
fn text_of_a_stranger_is_cut() {
    let tree = Tree::new();
    let long = "9".repeat(1_000);
    tree.plug(Stick { serial: Some(&long), ..CH340 });
    let found = scan(&tree.roots()).expect("a tree");
    let serial = found[0].usb.as_ref().and_then(|usb| usb.serial.clone()).expect("a number");
    assert_eq!(serial.len(), 128);
    let identity = found[0].identity.clone().expect("an identity");
    assert_eq!(Identity::from_text(&identity.to_string()), Some(identity));
}

#[test]
fn a_machine_without_the_tables_says_so() {
    let roots = Roots { sys: "/nowhere".into(), ..Roots::default() };
    let error = scan(&roots).expect_err("there is no such directory");
    assert_eq!(error.to_string(), "cannot list serial devices: /nowhere/class/tty cannot be read");
    assert_eq!(identity_at(&roots, Path::new("/dev/null")), None);
}

#[test]
fn the_programs_that_hold_a_device_are_named() {
    let tree = Tree::new();
    let roots = tree.roots();
    std::fs::write(tree.dev("ttyUSB0"), "").expect("a stand-in for the line");
    std::fs::write(tree.dev("ttyUSB1"), "").expect("another");
    for (process, name, device) in
        [("77", "ModemManager\n", "ttyUSB0"), ("8", "cat\n", "ttyUSB0"), ("9", "vi\n", "ttyUSB1")]
    {
        let fds = roots.proc.join(process).join("fd");
        std::fs::create_dir_all(&fds).expect("a directory");
        std::fs::write(roots.proc.join(process).join("comm"), name).expect("a file");
        tree.link(&tree.dev(device).canonicalize().expect("it is there"), &fds.join("3"));
        tree.link(&tree.dev(device).canonicalize().expect("it is there"), &fds.join("4"));
    }
    tree.link(Path::new("ttyUSB0"), &tree.dev("terminal"));
    let told: Vec<String> = holders(&roots, &tree.dev("terminal")).iter().map(Holder::to_string).collect();
    assert_eq!(told, ["cat (process 8)", "ModemManager (process 77)"]);
    assert!(holders(&roots, &tree.dev("terminal"))[1].hint().contains("70-fieldkit.rules"));
    assert_eq!(holders(&roots, &tree.dev("ttyUSB2")), []);
}
