//! `up`: the till is open until a signal says otherwise.
//!
//! Promises: what can be refused is refused before the journal is opened; `READY http://…` is printed once pages are
//! served; SIGTERM and SIGINT end it in order — no new requests, running ones finish, the journal is closed.
//! Limits: a request's head within 5 s, 512 connections at once.
//! Absent on purpose: serving other machines (loopback only, so far).

use crate::cli::{Common, Up};
use crate::client::SOCKET;
use crate::commands::{Usage, data_dir};
use crate::kit::{Running, Settings};
use crate::say::{self, Exit};
use crate::{config, devices};
use anyhow::{Context, Result, bail};
use axum::Router;
use fieldkit_http::Policy;
use fieldkit_http::desk::Update;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, watch};

/// A request's head must be here within this time.
const HEAD_TIMEOUT_S: u64 = 5;
/// Most connections at once.
const CONNECTIONS_MAX: usize = 512;
/// Running requests have this long to finish after a stop signal.
const STOP_GRACE_MS_MAX: u64 = 5_000;

/// `up`
pub async fn up(common: &Common, options: &Up) -> Result<Exit> {
    if fieldkit_http::PAGE_IS_STUB && !options.api_only {
        bail!("this build has no till page; run scripts/web and build again, or say --api-only");
    }
    let data = data_dir(common)?;
    let devices = devices::chosen(&config::load(&data)?, &options.devices)?;
    let listener = bind(&options.listen).await?;
    let mut settings = Settings::new(common, data);
    settings.devices = devices;
    run(&settings, listener, |_| {}).await
}

/// Binds a loopback address.
pub async fn bind(listen: &str) -> Result<TcpListener> {
    let address: SocketAddr =
        listen.parse().map_err(|_| Usage(format!("{listen:?} is not of the form 127.0.0.1:8080")))?;
    if !address.ip().is_loopback() {
        return Err(Usage(format!("{listen} can be reached from other machines; only loopback is served")).into());
    }
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot serve on {listen}: the port is taken or not allowed; choose another with --listen")
    })
}

/// Keeps what is in memory out of core dumps: bytes of a terminal are there before card numbers are masked.
fn leave_no_core() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // The limit is for dumps into files, the other for dumps into programs.
    let kept = setrlimit(Resource::Core, none).and(set_dumpable_behavior(DumpableBehavior::NotDumpable));
    if let Err(error) = kept {
        tracing::warn!("a crash may leave a core dump: {error}");
    }
}

/// Opens the kit, serves, and stops in order.
pub async fn run(settings: &Settings, listener: TcpListener, ready: impl FnOnce(&str)) -> Result<Exit> {
    leave_no_core();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut running = Running::start_when_free(&settings.watched()).await?;
    crate::known::remember(&settings.data);
    let address = listener.local_addr()?;
    let socket_path = settings.data.join(SOCKET);
    let socket = bind_socket(&socket_path)?;
    let browser = running.router(Policy::loopback());
    let program = running.router(Policy::Socket);
    let (stop, stopped) = watch::channel(false);
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let tcp = tokio::spawn(accept_tcp(listener, browser, permits.clone(), stopped.clone()));
    let unix = tokio::spawn(accept_unix(socket, program, permits.clone(), stopped));
    let url = format!("http://localhost:{}/", address.port());
    say::line(&format!("READY {url}"));
    ready(&url);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        _ = running.ended.wait_for(|ended| *ended) => {}
    }
    let forked = *running.ended.borrow();
    tracing::info!("stopping: finishing what is under way");
    // Receivers that are gone have stopped already.
    let _ = running.desk.updates.send(Update::Stopping);
    let _ = stop.send(true);
    let _ = tokio::join!(tcp, unix);
    let all = u32::try_from(CONNECTIONS_MAX).unwrap_or(u32::MAX);
    let grace = Duration::from_millis(STOP_GRACE_MS_MAX);
    if tokio::time::timeout(grace, permits.acquire_many(all)).await.is_err() {
        tracing::warn!("some connections did not end in time and were cut");
    }
    tokio::task::spawn_blocking(move || running.stop()).await?;
    if let Err(error) = std::fs::remove_file(&socket_path) {
        tracing::debug!("the socket file was gone: {error}");
    }
    if forked {
        say::talk("error: two histories of one kit came together");
        say::talk("hint: start the kit again; it counts both and goes on");
        return Ok(Exit::Failed);
    }
    Ok(Exit::Fine)
}

fn bind_socket(path: &Path) -> Result<UnixListener> {
    // The directory's lock is ours by now, so a socket that is still there is a leftover.
    if path.exists() {
        std::fs::remove_file(path).with_context(|| format!("cannot remove the old {}", path.display()))?;
    }
    let socket = UnixListener::bind(path)
        .with_context(|| format!("cannot make the socket {}; its path may have at most 107 bytes", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(socket)
}

async fn accept_tcp(listener: TcpListener, router: Router, permits: Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                // A stream that cannot be told to send at once still works.
                let _ = stream.set_nodelay(true);
                serve_one(stream, router.clone(), permits.clone(), stop.clone());
            }
            Err(error) => pause_after(&error).await,
        }
    }
}

async fn accept_unix(listener: UnixListener, router: Router, permits: Arc<Semaphore>, mut stop: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => serve_one(stream, router.clone(), permits.clone(), stop.clone()),
            Err(error) => pause_after(&error).await,
        }
    }
}

/// Too many open files: connections wait in the kernel's queue until some are closed; the open pages go on selling.
async fn pause_after(error: &std::io::Error) {
    tracing::error!("cannot take a new connection: {error}; open pages go on");
    tokio::time::sleep(Duration::from_millis(200)).await;
}

fn serve_one<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    router: Router,
    permits: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let Ok(permit) = permits.try_acquire_owned() else {
        tracing::warn!("more than {CONNECTIONS_MAX} connections; a new one was closed");
        return;
    };
    tokio::spawn(async move {
        let mut builder = hyper::server::conn::http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(HEAD_TIMEOUT_S));
        let service = TowerToHyperService::new(router);
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = stop.changed() => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(Duration::from_millis(STOP_GRACE_MS_MAX), connection).await.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!("a connection ended: {error}");
        }
        drop(permit);
    });
}
