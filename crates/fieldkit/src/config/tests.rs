//! What a `kit.toml` means, what is said about a wrong one, and what a change leaves alone.

use super::*;

/// The whole chain of what is said about a file.
fn refusal(text: &str) -> String {
    let error = parse(text, Path::new("kit.toml")).expect_err("it is wrong");
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let said = refusal(text);
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in:\n{said}");
    }
}

fn device(role: Role, url: &str, label: Option<&str>) -> Device {
    let url = DeviceUrl::parse_for(role, url).expect("a good URL");
    Device::new(url, label.map(str::to_owned)).expect("a good label")
}

#[test]
fn an_unknown_name_is_refused_with_its_place_and_the_nearest() {
    says(
        "listen = \"127.0.0.1:1\"\nblak_box = \"off\"\n",
        &["blak_box", "line 2", "`black_box`", "did you mean black_box?"],
    );
    says("[device]\nterminal = \"telium:/dev/a\"\n", &["line 1", "did you mean devices?"]);
}

#[test]
fn devices_are_read_in_both_forms() {
    let text = "[devices]\nterminal = { url = \"telium:usb:0403:6001:A?frame=7E1\", label = \"left\" }\n";
    let found = parse(text, Path::new("kit.toml")).expect("a good file").devices;
    let expected = device(Role::Terminal, "telium:usb:0403:6001:A?frame=7E1", Some("left"));
    assert_eq!(found, BTreeMap::from([(Role::Terminal, expected)]));
    let found = parse("devices.terminal = \"zvt+tcp://h\"", Path::new("kit.toml")).expect("a good file").devices;
    assert_eq!(found[&Role::Terminal], device(Role::Terminal, "zvt+tcp://h:20007", None));
    assert_eq!(parse("", Path::new("kit.toml")).expect("an empty file").devices, BTreeMap::new());
}

#[test]
fn wrong_devices_are_refused_with_their_place() {
    let with = |line: &str| format!("listen = \"127.0.0.1:1\"\n[devices]\n{line}\n");
    says(&with("terminl = \"telium:/dev/a\""), &["line 3", "\"terminl\"", "the nearest is terminal"]);
    says(&with("terminal = \"teleum:/dev/a\""), &["line 3", "the nearest is telium:"]);
    says(&with("terminal = { url = \"teleum:/dev/a\" }"), &["line 3", "the nearest is telium:"]);
    says(&with("relay = \"lcus:/dev/a\""), &["line 3", "lcus: is not supported yet"]);
    says(&with("locker = \"telium:/dev/a\""), &["line 3", "is for the role terminal, not locker"]);
    says(&with("terminal = { url = \"telium:/dev/a\", lable = \"x\" }"), &["line 3", "`lable`", "`label`"]);
    says(&with("terminal = { label = \"x\" }"), &["line 3", "missing field `url`"]);
    says(&with("terminal = 7"), &["line 3", "a device URL, or a table"]);
    says(&with("terminal = { url = \"telium:/dev/a\", label = \"\" }"), &["line 3", "1 to 60 characters"]);
    says("devices = 7", &["line 1", "a table of devices by role"]);
    let zvt = |more: &str| with(&format!("terminal = {{ url = \"zvt+tcp://h:1\", {more} }}"));
    says(&zvt("profile = [\"last-onyl\"]"), &["line 3", "the nearest is last-only"]);
    says(&zvt("password = \"12\""), &["line 3", "six digits"]);
    says(&with("terminal = { url = \"telium:/dev/a\", password = \"123456\" }"), &["line 3", "ZVT does"]);
}

#[test]
fn a_change_leaves_the_rest_of_the_file_alone() {
    let check = |before: &str, device: &Device, after: &str| {
        let changed = with_device(before, device).expect("a good file");
        assert_eq!(changed, after);
        let read = parse(&changed, Path::new("kit.toml")).expect("a good file");
        assert_eq!(read.devices.get(&device.role()), Some(device));
    };
    let plain = device(Role::Terminal, "zvt+tcp://10.0.0.5:20007", None);
    check("", &plain, "[devices]\nterminal = \"zvt+tcp://10.0.0.5:20007\"\n");
    check(
        "# a\nlisten = \"127.0.0.1:1\" # b\n# c",
        &plain,
        "# a\nlisten = \"127.0.0.1:1\" # b\n# c\n\n[devices]\nterminal = \"zvt+tcp://10.0.0.5:20007\"\n",
    );
    let labelled = device(Role::Terminal, "telium:/dev/a", Some("left \"one\""));
    check(
        "# Ours.\nlisten = \"127.0.0.1:1\" # here\n\n[devices] # these\nterminal = \"zvt+tcp://h:1\" # old\n",
        &labelled,
        "# Ours.\nlisten = \"127.0.0.1:1\" # here\n\n[devices] # these\nterminal = { url = \"telium:/dev/a\", label = 'left \"one\"' }\n",
    );
    check(
        "devices.terminal = \"zvt+tcp://h:1\"\nlisten = \"127.0.0.1:1\"\n",
        &plain,
        "devices.terminal = \"zvt+tcp://10.0.0.5:20007\"\nlisten = \"127.0.0.1:1\"\n",
    );
    let profile = ["last-only".to_owned(), "no-auto-reversal".to_owned(), "last-only".to_owned()];
    let odd = plain.clone().with(&profile, Some("000123")).expect("a ZVT terminal");
    check(
        "",
        &odd,
        "[devices]\nterminal = { url = \"zvt+tcp://10.0.0.5:20007\", profile = [\"no-auto-reversal\", \"last-only\"], password = \"000123\" }\n",
    );
    check("devices = {}\n", &plain, "devices = { terminal = \"zvt+tcp://10.0.0.5:20007\" }\n");
}

#[test]
fn a_file_that_is_not_understood_is_not_written() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join(FILE);
    for wrong in ["listen = [\n", "devices = 7\n", "blak_box = \"off\"\n"] {
        std::fs::write(&path, wrong).expect("a file");
        set_device(dir.path(), &device(Role::Terminal, "telium:/dev/a", None)).expect_err("it is wrong");
        assert_eq!(std::fs::read_to_string(&path).expect("it is there"), wrong);
    }
}

#[test]
fn a_written_file_keeps_its_readers_and_its_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let dir = tempfile::tempdir().expect("a directory");
    let real = dir.path().join("real.toml");
    std::fs::write(&real, "# mine\n").expect("a file");
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    let path = dir.path().join(FILE);
    symlink("real.toml", &path).expect("a link");
    set_device(dir.path(), &device(Role::Terminal, "telium:/dev/a", None)).expect("it is right");
    assert!(path.symlink_metadata().expect("it is there").is_symlink());
    assert_eq!(real.metadata().expect("it is there").permissions().mode() & 0o777, 0o640);
    assert_eq!(
        std::fs::read_to_string(&real).expect("it is there"),
        "# mine\n\n[devices]\nterminal = \"telium:/dev/a\"\n"
    );
    let names: Vec<_> =
        std::fs::read_dir(dir.path()).expect("it is there").map(|entry| entry.expect("a name").file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_second_copy_is_remembered_before_everything_else() {
    let home = tempfile::tempdir().expect("a directory");
    let data = home.path();
    std::fs::write(data.join(FILE), "# mine\nlisten = \"127.0.0.1:1\"\n").expect("written");
    remember_black_box(data, "/media/a \"b\" \\c").expect("remembered");
    let config = load(data).expect("it can be read");
    assert_eq!(config.black_box.as_deref(), Some("/media/a \"b\" \\c"));
    assert_eq!(config.listen.as_deref(), Some("127.0.0.1:1"));
    remember_black_box(data, "/media/a \"b\" \\c").expect("the same again changes nothing");
    let error = remember_black_box(data, "off").expect_err("it says something else");
    assert!(error.to_string().contains("kit.toml says black_box"), "{error}");
    let text = std::fs::read_to_string(data.join(FILE)).expect("it can be read");
    assert!(text.starts_with("black_box = ") && text.contains("# mine\n"), "{text}");
}
