//! TCP links on this machine.

use crate::told::{Told, runtime, start};
use fieldkit_ports::{DeviceUrl, LinkNumber, Plan, Port, PortEvent};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;
use tokio::runtime::Runtime;

fn listen(address: &str) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

/// Takes a link; fails where none comes.
fn accept(listener: &TcpListener) -> TcpStream {
    let listener = listener.try_clone().expect("a second handle");
    let (sender, receiver) = channel();
    std::thread::spawn(move || sender.send(listener.accept()));
    receiver.recv_timeout(Duration::from_secs(10)).expect("a link comes").expect("it is open").0
}

fn call(runtime: &Runtime, address: SocketAddr, limit: impl FnOnce(&mut Plan)) -> (Port, Told) {
    let url = DeviceUrl::parse(&format!("zvt+tcp://{address}")).expect("a good URL");
    let mut plan = Plan::new("test", url.address().clone());
    limit(&mut plan);
    start(runtime, plan)
}

fn up(told: &Told) -> (LinkNumber, String) {
    let (found, _) = told.find(|event| match event {
        PortEvent::Up { link, at, .. } => Some((*link, at.clone())),
        _ => None,
    });
    found
}

#[test]
fn a_peer_that_hangs_up_and_comes_back_is_called_again() {
    let (listener, address) = listen("127.0.0.1:0");
    let runtime = runtime();
    let (port, told) = call(&runtime, address, |_| ());
    let mut peer = accept(&listener);
    let (link, at) = up(&told);
    assert_eq!(at, address.to_string());
    port.send(link, b"06 00".to_vec()).expect("there is room");
    let mut heard = [0; 5];
    peer.read_exact(&mut heard).expect("it arrives");
    assert_eq!(&heard, b"06 00");
    peer.write_all(b"80 00 00").expect("the port reads");
    told.find(|event| matches!(event, PortEvent::Bytes(bytes) if bytes == b"80 00 00").then_some(()));

    drop((peer, listener));
    let (why, after) = told.down();
    assert_eq!(why, "the other side hung up");
    assert!(after < Duration::from_secs(2), "it took {after:?}");
    let (why, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some(why.whole()),
        _ => None,
    });
    assert!(why.starts_with(&format!("{address} cannot be reached: Connection refused")), "{why}");

    let (listener, _) = listen(&address.to_string());
    let (next, after) = told.up();
    assert!(next > link && after < Duration::from_millis(2_500), "it took {after:?}");
    let mut peer = accept(&listener);
    port.send(next, b"x".to_vec()).expect("there is room");
    peer.read_exact(&mut heard[..1]).expect("it arrives");
}

#[test]
fn a_peer_that_hangs_up_at_once_is_not_called_without_rest() {
    let (listener, address) = listen("127.0.0.1:0");
    let runtime = runtime();
    let (_port, told) = call(&runtime, address, |_| ());
    let (sender, calls) = channel();
    std::thread::spawn(move || {
        while let Ok((peer, _)) = listener.accept() {
            drop(peer);
            let _ = sender.send(std::time::Instant::now());
        }
    });
    let times: Vec<_> = (0..5).map(|_| calls.recv_timeout(Duration::from_secs(10)).expect("it calls again")).collect();
    // 250, 500, 1,000 and 2,000 ms; without growing rests it would be 1,000 ms in all.
    let span = times[4] - times[0];
    assert!(span > Duration::from_millis(2_500), "{span:?}");
    told.down();
}

#[test]
fn a_peer_that_reads_nothing_is_let_go() {
    let (listener, address) = listen("127.0.0.1:0");
    let runtime = runtime();
    let (port, told) = call(&runtime, address, |plan| plan.limits.write_ms_max = 300);
    let _peer = accept(&listener);
    let (link, _) = up(&told);
    // More than the kernel's buffers of both ends hold.
    port.send(link, vec![0; 32 << 20]).expect("there is room");
    let (why, _) = told.down();
    assert!(why.starts_with("the device took no bytes for 300 ms; "), "{why}");
}

#[test]
fn a_peer_that_does_not_exist_is_told_once() {
    let (listener, address) = listen("127.0.0.1:0");
    drop(listener);
    let runtime = runtime();
    let (_port, told) = call(&runtime, address, |_| ());
    let (hint, _) = told.find(|event| match event {
        PortEvent::OpenFailed { why, .. } => Some(why.hint()),
        _ => None,
    });
    assert_eq!(hint, "check that the device is on and in this network, and its address");
    told.nothing_for(Duration::from_secs(1));
}
