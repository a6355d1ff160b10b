//! What a client does, and what it must see.

use crate::Tally;
use crate::server::{Failure, STEP, Server};
use async_nats::{
    Client, ConnectErrorKind, ConnectOptions, Event, HeaderMap, Message, PublishErrorKind,
    RequestErrorKind, Subscriber,
};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::unconstrained;
use tokio::time::timeout;

type Outcome = Result<(), Failure>;

/// Ends the scenario when a condition does not hold.
macro_rules! check {
    ($condition:expr) => {
        check!($condition, "not so: {}", stringify!($condition))
    };
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}

macro_rules! run_each {
    ($tally:ident, $server:ident, $($scenario:ident),+) => {
        $($tally.run(stringify!($scenario), $scenario($server)).await;)+
    };
}

/// Runs every scenario against one shared server.
pub async fn run_all(server: &Server, tally: &mut Tally) {
    run_each!(
        tally,
        server,
        server_info,
        publish_subscribe,
        wildcards,
        queue_group,
        request_reply,
        no_responders,
        headers,
        drain_subscription,
        drain_connection,
        reconnect,
        auto_unsubscribe,
        max_payload_in_client,
        max_payload_in_server,
        large_payload,
        fan_out,
        flush_orders,
        user_and_password,
        token,
        lame_duck,
        name_in_connz
    );
}

async fn connect(server: &Server) -> Result<Client, Failure> {
    connect_with(server, ConnectOptions::new()).await
}

async fn connect_with(server: &Server, options: ConnectOptions) -> Result<Client, Failure> {
    let options = options.connection_timeout(STEP).request_timeout(Some(STEP));
    Ok(options.connect(server.url()).await?)
}

/// Returns when the server has processed all that this client sent, and this client has received
/// all that was sent to it before. A message to oneself: `flush` of this library ends when the
/// socket has the bytes.
async fn settle(client: &Client) -> Outcome {
    let inbox = client.new_inbox();
    let mut sub = client.subscribe(inbox.clone()).await?;
    client.publish(inbox, "settled".into()).await?;
    next(&mut sub).await?;
    Ok(())
}

async fn next(sub: &mut Subscriber) -> Result<Message, Failure> {
    Ok(timeout(STEP, sub.next()).await?.ok_or("the subscription has ended")?)
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

/// What is there already.
fn received(sub: &mut Subscriber) -> Vec<String> {
    let mut all = Vec::new();
    // Unconstrained, because the runtime makes a task that reads many at once pause.
    while let Some(Some(message)) = unconstrained(sub.next()).now_or_never() {
        all.push(text(&message));
    }
    all
}

/// What comes until the subscription ends.
async fn until_end(sub: &mut Subscriber) -> Result<Vec<String>, Failure> {
    let mut all = Vec::new();
    while let Some(message) = timeout(STEP, sub.next()).await? {
        all.push(text(&message));
    }
    Ok(all)
}

fn numbers(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

async fn publish(client: &Client, subject: &str, payloads: &[String]) -> Outcome {
    for payload in payloads {
        client.publish(subject.to_owned(), payload.clone().into()).await?;
    }
    Ok(())
}

async fn has_no_responders(client: &Client, subject: &str) -> Outcome {
    match client.request(subject.to_owned(), Bytes::new()).await {
        Err(e) if e.kind() == RequestErrorKind::NoResponders => Ok(()),
        other => Err(format!("request to {subject}: {other:?}").into()),
    }
}

/// Options that tell of events, and the events.
fn watched() -> (ConnectOptions, UnboundedReceiver<Event>) {
    let (tell, events) = unbounded_channel();
    let options = ConnectOptions::new()
        .reconnect_delay_callback(|_| Duration::from_millis(100))
        .event_callback(move |event| {
            let _ = tell.send(event);
            async {}
        });
    (options, events)
}

async fn wait_for(events: &mut UnboundedReceiver<Event>, wanted: &Event) -> Outcome {
    let found = async {
        while let Some(event) = events.recv().await {
            if event == *wanted {
                return Ok(());
            }
        }
        Err(format!("no event {wanted}").into())
    };
    timeout(STEP, found).await.map_err(|_| format!("no event {wanted}"))?
}

async fn server_info(server: &Server) -> Outcome {
    let client = connect(server).await?;
    let info = client.server_info();
    check!(info.version == "2.14.5", "version {}", info.version);
    check!(client.is_server_compatible(2, 14, 5));
    check!(!client.is_server_compatible(2, 15, 0));
    check!(info.proto == 1 && info.headers && info.client_id > 0);
    check!(info.max_payload == 1_048_576 && client.max_payload() == 1_048_576);
    check!(i32::from(info.port) == server.port && info.client_ip == "127.0.0.1");
    check!(!info.server_id.is_empty() && info.server_name == info.server_id);
    settle(&client).await
}

async fn publish_subscribe(server: &Server) -> Outcome {
    let (publisher, subscriber) = (connect(server).await?, connect(server).await?);
    let mut sub = subscriber.subscribe("greet").await?;
    settle(&subscriber).await?;
    let mut sent: Vec<String> = (0..10).map(|i| format!("hello {i}")).collect();
    sent.push(String::new());
    publish(&publisher, "greet", &sent).await?;
    for expected in sent {
        let got = text(&next(&mut sub).await?);
        check!(got == expected, "{got:?} instead of {expected:?}");
    }
    Ok(())
}

async fn wildcards(server: &Server) -> Outcome {
    let client = connect(server).await?;
    let mut star = client.subscribe("w.*.b").await?;
    let mut rest = client.subscribe("w.>").await?;
    let mut literal = client.subscribe("w.a.b").await?;
    for subject in ["w.a.b", "w.x.b", "w.a", "w", "w.a.b.c"] {
        client.publish(subject, subject.into()).await?;
    }
    settle(&client).await?;
    check!(received(&mut star) == ["w.a.b", "w.x.b"]);
    check!(received(&mut rest) == ["w.a.b", "w.x.b", "w.a", "w.a.b.c"]);
    check!(received(&mut literal) == ["w.a.b"]);
    Ok(())
}

async fn queue_group(server: &Server) -> Outcome {
    let mut members = Vec::new();
    for _ in 0..3 {
        let client = connect(server).await?;
        let sub = client.queue_subscribe("work", "workers".into()).await?;
        members.push((client, sub));
    }
    let mut everything = members[0].0.subscribe("work").await?;
    for (client, _) in &members {
        settle(client).await?;
    }
    let publisher = connect(server).await?;
    publish(&publisher, "work", &numbers(0..300)).await?;
    settle(&publisher).await?;
    let mut taken: Vec<u32> = Vec::new();
    for (client, sub) in &mut members {
        settle(client).await?;
        let share = received(sub);
        check!(!share.is_empty(), "a member got nothing");
        for n in share {
            taken.push(n.parse()?);
        }
    }
    taken.sort_unstable();
    check!(taken == (0..300).collect::<Vec<_>>(), "the group got {} messages", taken.len());
    check!(received(&mut everything) == numbers(0..300));
    Ok(())
}

/// Answers every request with what `answer` makes of it.
async fn serve(client: &Client, subject: &str, answer: fn(Bytes) -> Bytes) -> Outcome {
    let mut requests = client.subscribe(subject.to_owned()).await?;
    settle(client).await?;
    let client = client.clone();
    tokio::spawn(async move {
        while let Some(request) = requests.next().await {
            if let Some(reply) = request.reply
                && client.publish(reply, answer(request.payload)).await.is_err()
            {
                break;
            }
        }
    });
    Ok(())
}

async fn request_reply(server: &Server) -> Outcome {
    let (service, client) = (connect(server).await?, connect(server).await?);
    serve(&service, "double", |payload| payload.repeat(2).into()).await?;
    let requests = numbers(0..50).into_iter().map(|n| {
        let client = client.clone();
        tokio::spawn(async move {
            let reply = client.request("double", n.clone().into()).await?;
            check!(text(&reply) == n.repeat(2), "{n:?} answered with {reply:?}");
            Outcome::Ok(())
        })
    });
    for request in requests.collect::<Vec<_>>() {
        request.await??;
    }
    let own = async_nats::Request::new().payload("x".into()).inbox(client.new_inbox());
    check!(text(&client.send_request("double", own).await?) == "xx");
    Ok(())
}

async fn no_responders(server: &Server) -> Outcome {
    has_no_responders(&connect(server).await?, "nobody.here").await
}

async fn headers(server: &Server) -> Outcome {
    let (publisher, subscriber) = (connect(server).await?, connect(server).await?);
    let mut sub = subscriber.subscribe("headers").await?;
    settle(&subscriber).await?;
    let mut sent = HeaderMap::new();
    sent.append("Many", "one");
    sent.append("Many", "two");
    sent.append("X-Case", "upper");
    sent.append("x-case", "lower");
    sent.append("Utf", "grün");
    publisher.publish_with_headers("headers", sent.clone(), "body".into()).await?;
    let mut only = HeaderMap::new();
    only.insert("Only", "header");
    publisher.publish_with_headers("headers", only.clone(), Bytes::new()).await?;
    publisher.publish("headers", "plain".into()).await?;
    let (first, second) = (next(&mut sub).await?, next(&mut sub).await?);
    let third = next(&mut sub).await?;
    check!(text(&first) == "body" && first.headers == Some(sent), "first {first:?}");
    check!(text(&second).is_empty() && second.headers == Some(only), "second {second:?}");
    check!(text(&third) == "plain" && third.headers.is_none(), "third {third:?}");
    Ok(())
}

async fn drain_subscription(server: &Server) -> Outcome {
    let (publisher, subscriber) = (connect(server).await?, connect(server).await?);
    let mut sub = subscriber.subscribe("drain.sub").await?;
    settle(&subscriber).await?;
    publish(&publisher, "drain.sub", &numbers(0..500)).await?;
    settle(&publisher).await?;
    sub.drain().await?;
    let got = until_end(&mut sub).await?;
    check!(got == numbers(0..500), "{} messages", got.len());
    has_no_responders(&publisher, "drain.sub").await?;
    settle(&subscriber).await
}

async fn drain_connection(server: &Server) -> Outcome {
    let (publisher, listener) = (connect(server).await?, connect(server).await?);
    let (options, mut events) = watched();
    let worker = connect_with(server, options).await?;
    let mut work = worker.subscribe("drain.work").await?;
    let mut done = listener.subscribe("drain.done").await?;
    settle(&worker).await?;
    settle(&listener).await?;
    publish(&publisher, "drain.work", &numbers(0..500)).await?;
    settle(&publisher).await?;
    publish(&worker, "drain.done", &numbers(0..500)).await?;
    worker.drain().await?;
    // Neither what was on its way to the connection nor what it had to send is lost.
    let got = until_end(&mut work).await?;
    check!(got == numbers(0..500), "{} messages received", got.len());
    wait_for(&mut events, &Event::Closed).await?;
    for expected in numbers(0..500) {
        let got = text(&next(&mut done).await?);
        check!(got == expected, "{got} instead of {expected} was sent");
    }
    has_no_responders(&publisher, "drain.work").await
}

async fn reconnect(_: &Server) -> Outcome {
    let mut server = Server::start(&[]).await?;
    let (options, mut events) = watched();
    let client = connect_with(&server, options).await?;
    wait_for(&mut events, &Event::Connected).await?;
    let mut plain = client.subscribe("again.plain").await?;
    let mut wild = client.subscribe("again.*").await?;
    let mut member = client.queue_subscribe("again.plain", "q".into()).await?;
    let mut limited = client.subscribe("again.plain").await?;
    limited.unsubscribe_after(3).await?;
    client.publish("again.plain", "before".into()).await?;
    settle(&client).await?;
    for sub in [&mut plain, &mut wild, &mut member, &mut limited] {
        check!(received(sub) == ["before"]);
    }
    server.kill().await?;
    wait_for(&mut events, &Event::Disconnected).await?;
    server.start_again().await?;
    wait_for(&mut events, &Event::Connected).await?;
    settle(&client).await?;
    let other = connect(&server).await?;
    publish(&other, "again.plain", &numbers(0..5)).await?;
    settle(&other).await?;
    settle(&client).await?;
    for sub in [&mut plain, &mut wild, &mut member] {
        let got = received(sub);
        check!(got == numbers(0..5), "after the restart {got:?}");
    }
    // One of its three messages came before the restart.
    let got = until_end(&mut limited).await?;
    check!(got == numbers(0..2), "limited subscription after the restart {got:?}");
    client.publish("again.plain", "mine".into()).await?;
    check!(text(&next(&mut plain).await?) == "mine");
    Ok(())
}

async fn auto_unsubscribe(server: &Server) -> Outcome {
    let (publisher, subscriber) = (connect(server).await?, connect(server).await?);
    let mut at_once = subscriber.subscribe("limited.a").await?;
    at_once.unsubscribe_after(10).await?;
    let mut later = subscriber.subscribe("limited.b").await?;
    settle(&subscriber).await?;
    publish(&publisher, "limited.b", &numbers(0..3)).await?;
    settle(&publisher).await?;
    settle(&subscriber).await?;
    later.unsubscribe_after(5).await?;
    settle(&subscriber).await?;
    publish(&publisher, "limited.a", &numbers(0..25)).await?;
    publish(&publisher, "limited.b", &numbers(3..28)).await?;
    settle(&publisher).await?;
    check!(until_end(&mut at_once).await? == numbers(0..10));
    check!(until_end(&mut later).await? == numbers(0..5));
    has_no_responders(&publisher, "limited.a").await?;
    has_no_responders(&publisher, "limited.b").await
}

async fn max_payload_in_client(server: &Server) -> Outcome {
    let client = connect(server).await?;
    let too_big = vec![0; client.max_payload() + 1];
    let error = client.publish("big", too_big.into()).await.err().ok_or("accepted")?;
    check!(error.kind() == PublishErrorKind::MaxPayloadExceeded, "{error}");
    settle(&client).await
}

async fn max_payload_in_server(server: &Server) -> Outcome {
    let answer = server.raw("CONNECT {\"verbose\":false}\r\nPUB big 1048577\r\n").await?;
    check!(answer.starts_with("INFO "), "answer {answer:?}");
    check!(answer.ends_with("-ERR 'Maximum Payload Violation'\r\n"), "answer {answer:?}");
    Ok(())
}

async fn large_payload(server: &Server) -> Outcome {
    let (service, client) = (connect(server).await?, connect(server).await?);
    serve(&service, "echo.large", |payload| payload).await?;
    let body: Bytes = (0..client.max_payload()).map(|i| (i * 7 % 251) as u8).collect();
    for _ in 0..5 {
        let reply = client.request("echo.large", body.clone()).await?;
        check!(reply.payload == body, "the payload changed");
    }
    Ok(())
}

async fn fan_out(server: &Server) -> Outcome {
    let mut receivers = Vec::new();
    for _ in 0..50 {
        let client = connect(server).await?;
        let sub = client.subscribe("fan.out").await?;
        settle(&client).await?;
        receivers.push((client, sub));
    }
    let publisher = connect(server).await?;
    publish(&publisher, "fan.out", &numbers(0..1000)).await?;
    settle(&publisher).await?;
    for (client, sub) in &mut receivers {
        settle(client).await?;
        let got = received(sub);
        check!(got == numbers(0..1000), "{} messages", got.len());
    }
    Ok(())
}

async fn flush_orders(server: &Server) -> Outcome {
    let (publisher, subscriber) = (connect(server).await?, connect(server).await?);
    let mut sub = subscriber.subscribe("flushed").await?;
    settle(&subscriber).await?;
    for round in 0..20 {
        publish(&publisher, "flushed", &numbers(0..100)).await?;
        // What was processed for the publisher is on its way to the subscriber before anything
        // that the subscriber asks for afterwards.
        settle(&publisher).await?;
        settle(&subscriber).await?;
        let got = received(&mut sub);
        check!(got == numbers(0..100), "{} messages in round {round}", got.len());
    }
    Ok(())
}

async fn refused(server: &Server, options: ConnectOptions) -> Outcome {
    match options.connection_timeout(STEP).connect(server.url()).await {
        Err(e) if e.kind() == ConnectErrorKind::AuthorizationViolation => Ok(()),
        other => Err(format!("expected a refusal: {:?}", other.map(|_| ())).into()),
    }
}

async fn round_trip(client: Client) -> Outcome {
    let mut sub = client.subscribe("own").await?;
    client.publish("own", "mine".into()).await?;
    check!(text(&next(&mut sub).await?) == "mine");
    Ok(())
}

async fn user_and_password(_: &Server) -> Outcome {
    let server = Server::start(&["--user", "derek", "--pass", "s3cr3t"]).await?;
    let with = |user: &str, password: &str| {
        ConnectOptions::with_user_and_password(user.into(), password.into())
    };
    round_trip(connect_with(&server, with("derek", "s3cr3t")).await?).await?;
    refused(&server, with("derek", "wrong")).await?;
    refused(&server, with("other", "s3cr3t")).await?;
    refused(&server, ConnectOptions::new()).await
}

async fn token(_: &Server) -> Outcome {
    let server = Server::start(&["--auth", "t0k3n"]).await?;
    let with = |token: &str| ConnectOptions::with_token(token.into());
    round_trip(connect_with(&server, with("t0k3n")).await?).await?;
    refused(&server, with("wrong")).await?;
    refused(&server, ConnectOptions::new()).await
}

async fn lame_duck(_: &Server) -> Outcome {
    let server = Server::start(&[]).await?;
    let (options, mut events) = watched();
    let client = connect_with(&server, options).await?;
    server.lame_duck().await?;
    wait_for(&mut events, &Event::LameDuckMode).await?;
    // The connection serves until the server ends it.
    round_trip(client).await
}

async fn name_in_connz(server: &Server) -> Outcome {
    let client = connect_with(server, ConnectOptions::new().name("rust sees itself")).await?;
    settle(&client).await?;
    let answer = server.monitor("/connz").await?;
    check!(answer.contains("\"name\": \"rust sees itself\""), "connz {answer}");
    check!(answer.contains("\"lang\": \"rust\""), "connz {answer}");
    let cid = format!("\"cid\": {},", client.server_info().client_id);
    check!(answer.contains(&cid), "connz {answer}");
    Ok(())
}
