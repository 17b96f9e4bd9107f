//! What URLs mean, and what is said about those that mean nothing.

use super::*;

/// The canonical text, or what is said.
fn check(text: &str, expected: &str) {
    let found = DeviceUrl::parse(text).map_or_else(|error| error.to_string(), |url| url.to_string());
    assert_eq!(found, expected, "{text}");
}

/// Reads as it prints.
fn same(text: &str) {
    check(text, text);
}

#[test]
fn urls_read_as_they_print() {
    same("zvt+tcp://192.168.1.5:20007");
    same("zvt+tcp://terminal-1.local:1");
    same("zvt+tcp://[fe80::1%eth0]:65535");
    same("zvt+serial:/dev/ttyUSB0");
    same("zvt+serial:/dev/serial/by-id/usb-FTDI_FT232R_A-if00-port0?baud=115200");
    same("telium:/dev/ttyACM0?frame=7E1&dtr=off");
    same("telium:usb:0403:6001:KIT0001?frame=7E1");
    same("telium:usb:1a86:7523@1-2.3/1?dtr=on");
    same("telium:/tmp/a b%3fc%25d");
}

#[test]
fn what_is_built_in_is_not_printed() {
    check("zvt+tcp://10.0.0.1", "zvt+tcp://10.0.0.1:20007");
    check("zvt+tcp://10.0.0.1:20007/", "zvt+tcp://10.0.0.1:20007");
    check("zvt+serial:/dev/ttyUSB0?baud=9600&frame=8n2", "zvt+serial:/dev/ttyUSB0");
    check("zvt+serial:/dev/ttyUSB0?frame=8N1", "zvt+serial:/dev/ttyUSB0?frame=8N1");
    let here = std::path::absolute("x/tty").expect("there is a working directory");
    check("telium:./x/tty", &format!("telium:{}", here.display()));
}

#[test]
fn settings_are_the_protocols_own() {
    let settings = |text: &str| match DeviceUrl::parse(text).expect("a good URL").address {
        Address::Serial { settings, .. } => (settings.baud(), settings.frame().to_string(), settings.dtr()),
        Address::Tcp { .. } => unreachable!("a serial URL"),
    };
    assert_eq!(settings("zvt+serial:/dev/a"), (9_600, "8N2".to_owned(), Signal::AsFound));
    assert_eq!(settings("telium:/dev/a"), (9_600, "8N1".to_owned(), Signal::AsFound));
    assert_eq!(settings("telium:/dev/a?frame=7E1&baud=19200&dtr=on"), (19_200, "7E1".to_owned(), Signal::On));
}

#[test]
fn refusals_name_what_is_near() {
    check("zvt+tpc://h:1", "there is no device URL that begins with zvt+tpc:; the nearest is zvt+tcp:");
    check("teleum:/dev/a", "there is no device URL that begins with teleum:; the nearest is telium:");
    check("/dev/ttyUSB0", "\"/dev/ttyUSB0\" is no device URL: those look like zvt+tcp://HOST:PORT or telium:PATH");
    check("telium:/dev/a?boud=9600", "there is no setting \"boud\" of a serial line; the nearest is baud");
    let role = Role::parse("terminl").expect_err("a wrong name");
    assert_eq!(role.to_string(), "there is no device role \"terminl\"; the nearest is terminal");
}

#[test]
fn refusals_say_what_was_expected() {
    for text in [
        "zvt+tcp:/dev/a",
        "zvt+tcp://",
        "zvt+tcp://h:",
        "zvt+tcp://h:0",
        "zvt+tcp://h:65536",
        "zvt+tcp://h:+1",
        "zvt+tcp://h/x",
        "zvt+tcp://a b:1",
        "zvt+tcp://[::1",
        "zvt+tcp://[::1]x",
        "zvt+tcp://user@h:1",
    ] {
        check(text, &format!("{text:?} is not of the form zvt+tcp://HOST:PORT"));
    }
    for text in ["telium:", "telium://h:1"] {
        check(text, &format!("{text:?} is not of the form telium:PATH"));
    }
    check("telium:ttyUSB0", "\"ttyUSB0\" is no absolute path; did you mean /dev/ttyUSB0?");
    check("telium:usb:0403:6001", "\"usb:0403:6001\" is not of the form usb:VVVV:PPPP:SERIAL or usb:VVVV:PPPP@SOCKET");
    let bounds =
        format!("baud=0 cannot be: a number from {} to {}", crate::address::BAUD_MIN, crate::address::BAUD_MAX);
    check("telium:/dev/a?baud=0", &bounds);
    check("telium:/dev/a?baud=fast", "baud=fast cannot be: a number from 50 to 4000000");
    check("telium:/dev/a?frame=9N1", "frame=9N1 cannot be: 7 or 8, then N, E or O, then 1 or 2, such as 8N1");
    check("telium:/dev/a?dtr", "dtr= cannot be: on or off");
}

#[test]
fn schemes_of_the_plan_are_known() {
    let planned = [
        "nut://h:3493/ups",
        "megatec:/dev/a",
        "modbus:/dev/a?unit=1",
        "8a:/dev/a",
        "kerong:/dev/a",
        "bridge:/dev/a",
        "lcus:/dev/a",
        "line:/dev/a",
        "escpos:/dev/a",
        "escpos+tcp://h:9100",
    ];
    for text in planned {
        let scheme = text.split(':').next().expect("a scheme");
        check(text, &format!("{scheme}: is not supported yet"));
    }
}

#[test]
fn a_device_keeps_to_its_role() {
    let refusal = |role, text| DeviceUrl::parse_for(role, text).expect_err("another role").to_string();
    assert_eq!(refusal(Role::Locker, "telium:/dev/a"), "telium: is for the role terminal, not locker");
    assert_eq!(refusal(Role::Terminal, "lcus:/dev/a"), "lcus: is for the role relay, not terminal");
    assert!(DeviceUrl::parse_for(Role::Terminal, "telium:/dev/a").is_ok());
}

#[test]
fn a_found_device_gets_a_url() {
    assert_eq!(serial_schemes(Role::Terminal).collect::<Vec<_>>(), ["zvt+serial", "telium"]);
    assert_eq!(serial_schemes(Role::Relay).count(), 0);
    let path = Place::Path("/dev/a?b".into());
    assert_eq!(serial_url("telium", &path).expect("a good URL").to_string(), "telium:/dev/a%3fb");
}
