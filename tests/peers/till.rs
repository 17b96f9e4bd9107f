//! Another maker's till (the package `zvt`) drives our simulated terminal, over a pipe in memory.

use fieldkit_core::money::{Currency, Money};
use fieldkit_drivers::terminal::Profile;
use fieldkit_drivers::terminal_peer::{Entry, Event, Fault, Numbers, Peer, PeerInput, PeerOutput};
use fieldkit_drivers::zvt::carrier::Framing;
use fieldkit_drivers::zvt::peer::{Config, Terminal};
use futures_util::StreamExt;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use zvt::sequences::{self, Sequence, read_packet_async, write_with_ack_async};
// The macro below writes paths of this name.
use zvt as zvt_builder;
use zvt::{Zvt, ZvtParser, ZvtSerializer, encoding, length, packets};

/// A payment, which the package lacks; in its own words.
#[derive(Debug, PartialEq, Zvt)]
#[zvt_control_field(class = 0x06, instr = 0x01)]
struct Authorise {
    #[zvt_bmp(number = 0x04, length = length::Fixed<6>, encoding = encoding::Bcd)]
    amount: usize,
    #[zvt_bmp(number = 0x49, length = length::Fixed<2>, encoding = encoding::Bcd)]
    currency: usize,
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("EUR is in ISO 4217")
}

fn config() -> Config {
    Config {
        framing: Framing::Tcp,
        terminal_id: "52523535".to_owned(),
        currency: euro(),
        profile: Profile::default(),
        numbers: Numbers { receipt: 230, trace: 974 },
        epoch_s: 1_795_268_000,
        buyer_ms: 5,
        counts: false,
        message_ids: false,
        numbers_restart: false,
    }
}

fn terminal() -> Terminal {
    Terminal::new(config(), &[])
}

/// Moves bytes and time until the till hangs up; the terminal's journal.
async fn serve(mut terminal: Terminal, mut pipe: DuplexStream) -> Vec<Entry> {
    let (begin, mut journal, mut buffer) = (Instant::now(), Vec::new(), [0; 512]);
    let now_ms = || u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX);
    terminal.handle(0, PeerInput::LinkUp);
    loop {
        while let Some(output) = terminal.poll_output() {
            match output {
                PeerOutput::Send(bytes) => pipe.write_all(&bytes).await.expect("the till reads"),
                PeerOutput::Journal(entry) => {
                    journal.push(entry);
                    terminal.handle(now_ms(), PeerInput::Journalled);
                }
                PeerOutput::CloseLink => return journal,
            }
        }
        let wait_ms = terminal.poll_timeout().map_or(60_000, |due_ms| due_ms.saturating_sub(now_ms()));
        match tokio::time::timeout(Duration::from_millis(wait_ms), pipe.read(&mut buffer)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return journal,
            Ok(Ok(count)) => terminal.handle(now_ms(), PeerInput::Bytes(buffer[..count].to_vec())),
            Err(_) => terminal.handle(now_ms(), PeerInput::Tick),
        }
    }
}

/// What the till heard in a dialogue.
async fn dialogue<S>(input: &S::Input, pipe: &mut DuplexStream) -> Vec<S::Output>
where
    S: Sequence,
    S::Input: ZvtSerializer + Send + Sync,
    encoding::Default: encoding::Encoding<S::Input>,
{
    let told = S::into_stream(input, pipe).collect::<Vec<_>>().await;
    told.into_iter().map(|told| told.expect("the till understands")).collect()
}

/// A payment as the package would do it: each message is acknowledged, until the end.
async fn authorise(amount: usize, pipe: &mut DuplexStream) -> Vec<sequences::AuthorizationResponse> {
    use sequences::AuthorizationResponse as Told;
    let mut told = Vec::new();
    tokio::pin!(pipe);
    write_with_ack_async(&Authorise { amount, currency: 978 }, &mut pipe).await.expect("the terminal accepts");
    loop {
        let bytes = read_packet_async(&mut pipe).await.expect("the terminal speaks");
        told.push(Told::zvt_parse(&bytes).expect("the till understands"));
        pipe.write_all(&packets::Ack {}.zvt_serialize()).await.expect("the terminal reads");
        if matches!(told.last(), Some(Told::CompletionData(_) | Told::Abort(_))) {
            return told;
        }
    }
}

fn register() -> packets::Registration {
    packets::Registration { password: 0, config_byte: 0x1e, currency: Some(978), tlv: None }
}

#[tokio::test]
async fn a_foreign_till_works_a_day_with_our_terminal() {
    let (mut pipe, other) = tokio::io::duplex(64);
    let terminal = tokio::spawn(serve(terminal(), other));

    let told = dialogue::<sequences::Registration>(&register(), &mut pipe).await;
    let sequences::RegistrationResponse::CompletionData(ours) = &told[0];
    assert_eq!((ours.terminal_id, ours.currency, ours.status_byte), (Some(52_523_535), Some(978), Some(0)));

    let enquiry = packets::StatusEnquiry { password: None, service_byte: None, tlv: None };
    assert_eq!(dialogue::<sequences::StatusEnquiry>(&enquiry, &mut pipe).await.len(), 1);
    let diagnosis = packets::Diagnosis { tlv: None };
    assert_eq!(dialogue::<sequences::Diagnosis>(&diagnosis, &mut pipe).await.len(), 1);

    for (amount, receipt) in [(950, 231), (1_010, 232)] {
        use sequences::AuthorizationResponse as Told;
        let told = authorise(amount, &mut pipe).await;
        let shown = told.iter().filter(|told| matches!(told, Told::IntermediateStatusInformation(_))).count();
        assert_eq!(shown, 2, "{told:?}");
        let result = told.iter().find_map(|told| match told {
            Told::StatusInformation(result) => Some(result),
            _ => None,
        });
        let result = result.expect("a result");
        assert_eq!((result.result_code, result.amount, result.currency), (Some(0), Some(amount), Some(978)));
        assert_eq!((result.receipt_no, result.trace_number), (Some(receipt), Some(receipt + 744)));
        assert_eq!((result.terminal_id, result.date), (Some(52_523_535), Some(1_121)));
        assert_eq!(result.card_name.as_deref(), Some("Mastercard"));
    }

    let told = dialogue::<sequences::EndOfDay>(&packets::EndOfDay { password: 0 }, &mut pipe).await;
    let sequences::EndOfDayResponse::StatusInformation(day) = &told[0] else { panic!("{told:?}") };
    let totals = day.single_amounts.as_ref().expect("totals");
    assert_eq!((day.amount, totals.eurocard.num, totals.eurocard.total), (Some(1_960), 2, 1_960));
    assert_eq!((totals.receipt_no_start, totals.receipt_no_end), (231, 232));
    assert!(matches!(told[1], sequences::EndOfDayResponse::CompletionData(_)));

    drop(pipe);
    let journal = terminal.await.expect("the terminal ends well");
    let events: Vec<Event> = journal.iter().map(|entry| entry.event).collect();
    let expected = [Event::Approved, Event::Committed, Event::Approved, Event::Committed, Event::EndOfDay];
    assert_eq!(events, expected);
    assert_eq!(journal.last().map(|entry| entry.amount), Some(Money::new(1_960, euro())));
}

#[tokio::test]
async fn a_foreign_till_hears_of_a_no() {
    let (mut pipe, other) = tokio::io::duplex(64);
    let mut machine = terminal();
    machine.handle(0, PeerInput::Fault(Fault::Decline(0x05)));
    let terminal = tokio::spawn(serve(machine, other));
    dialogue::<sequences::Registration>(&register(), &mut pipe).await;
    let told = authorise(950, &mut pipe).await;
    let Some(sequences::AuthorizationResponse::Abort(abort)) = told.last() else { panic!("{told:?}") };
    assert_eq!(abort.error, 0x05);
    drop(pipe);
    let journal = terminal.await.expect("the terminal ends well");
    assert_eq!(journal.iter().map(|entry| entry.event).collect::<Vec<_>>(), [Event::Declined]);
}

#[tokio::test]
async fn a_foreign_till_that_hangs_up_has_its_payment_taken_back() {
    let (mut pipe, other) = tokio::io::duplex(64);
    let terminal = tokio::spawn(serve(terminal(), other));
    {
        let pipe = &mut pipe;
        tokio::pin!(pipe);
        write_with_ack_async(&Authorise { amount: 950, currency: 978 }, &mut pipe).await.expect("accepted");
        let result = read_packet_async(&mut pipe).await.expect("a result");
        assert_eq!(result[..2], [0x04, 0x0f], "nothing is shown before a registration");
    }
    drop(pipe);
    let journal = terminal.await.expect("the terminal ends well");
    assert_eq!(journal.iter().map(|entry| entry.event).collect::<Vec<_>>(), [Event::Approved]);
    // The terminal was switched off there; started again it takes back what nobody acknowledged.
    let back = Terminal::new(config(), &journal).poll_output();
    assert!(matches!(back, Some(PeerOutput::Journal(entry)) if entry.event == Event::AutoReversed));
}
