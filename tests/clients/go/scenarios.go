package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

var scenarios = []scenario{
	{"server_info", serverInfo},
	{"publish_subscribe", publishSubscribe},
	{"wildcards", wildcards},
	{"queue_group", queueGroup},
	{"request_reply", requestReply},
	{"no_responders", noResponders},
	{"headers", headers},
	{"drain_subscription", drainSubscription},
	{"drain_connection", drainConnection},
	{"reconnect", reconnect},
	{"auto_unsubscribe", autoUnsubscribe},
	{"max_payload_in_client", maxPayloadInClient},
	{"max_payload_in_server", maxPayloadInServer},
	{"large_payload", largePayload},
	{"fan_out", fanOut},
	{"flush_orders", flushOrders},
	{"user_and_password", userAndPassword},
	{"token", token},
	{"lame_duck", lameDuck},
	{"name_in_connz", nameInConnz},
}

func (c *check) connectTo(s *server, options ...nats.Option) *nats.Conn {
	nc, err := nats.Connect(s.url(), append([]nats.Option{nats.Timeout(stepTime)}, options...)...)
	c.ok(err)
	return nc
}

func (c *check) connect(options ...nats.Option) *nats.Conn {
	return c.connectTo(c.server, options...)
}

func (c *check) flush(connections ...*nats.Conn) {
	for _, nc := range connections {
		c.ok(nc.FlushTimeout(stepTime))
	}
}

func (c *check) subscribe(nc *nats.Conn, subject string) *nats.Subscription {
	sub, err := nc.SubscribeSync(subject)
	c.ok(err)
	return sub
}

func (c *check) publish(nc *nats.Conn, subject string, payloads ...string) {
	for _, p := range payloads {
		c.ok(nc.Publish(subject, []byte(p)))
	}
}

func (c *check) next(sub *nats.Subscription) *nats.Msg {
	message, err := sub.NextMsg(stepTime)
	c.ok(err)
	return message
}

// receives checks that exactly these messages are there or come, in that order.
func (c *check) receives(sub *nats.Subscription, expected ...string) {
	for i, payload := range expected {
		got := string(c.next(sub).Data)
		c.that(got == payload, "message %d of %s is %q, not %q", i, sub.Subject, got, payload)
	}
	if sub.IsValid() {
		pending, _, err := sub.Pending()
		c.ok(err)
		c.that(pending == 0, "%s got %d messages too many", sub.Subject, pending)
	}
}

func (c *check) pending(sub *nats.Subscription) int {
	pending, _, err := sub.Pending()
	c.ok(err)
	return pending
}

func (c *check) hasNoResponders(nc *nats.Conn, subject string) {
	_, err := nc.Request(subject, nil, stepTime)
	c.that(errors.Is(err, nats.ErrNoResponders), "request to %s: %v", subject, err)
}

func numbers(from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, strconv.Itoa(i))
	}
	return all
}

func serverInfo(c *check) {
	nc := c.connect()
	defer nc.Close()
	c.that(nc.ConnectedServerVersion() == "2.14.5", "version %s", nc.ConnectedServerVersion())
	c.that(nc.ConnectedServerId() != "" && nc.ConnectedServerName() == nc.ConnectedServerId(), "name and id")
	c.that(nc.HeadersSupported(), "no headers")
	c.that(nc.MaxPayload() == 1<<20, "max payload %d", nc.MaxPayload())
	ip, err := nc.GetClientIP()
	c.ok(err)
	c.that(ip.String() == "127.0.0.1", "client ip %v", ip)
	id, err := nc.GetClientID()
	c.ok(err)
	c.that(id > 0, "client id %d", id)
	_, err = nc.RTT()
	c.ok(err)
}

func publishSubscribe(c *check) {
	publisher, subscriber := c.connect(), c.connect()
	defer publisher.Close()
	defer subscriber.Close()
	sub := c.subscribe(subscriber, "greet")
	c.flush(subscriber)
	var sent []string
	for _, n := range numbers(0, 10) {
		sent = append(sent, "hello "+n)
	}
	sent = append(sent, "")
	c.publish(publisher, "greet", sent...)
	c.receives(sub, sent...)
}

func wildcards(c *check) {
	nc := c.connect()
	defer nc.Close()
	star, rest, literal := c.subscribe(nc, "w.*.b"), c.subscribe(nc, "w.>"), c.subscribe(nc, "w.a.b")
	for _, subject := range []string{"w.a.b", "w.x.b", "w.a", "w", "w.a.b.c"} {
		c.publish(nc, subject, subject)
	}
	c.flush(nc)
	c.receives(star, "w.a.b", "w.x.b")
	c.receives(rest, "w.a.b", "w.x.b", "w.a", "w.a.b.c")
	c.receives(literal, "w.a.b")
}

func queueGroup(c *check) {
	var members []*nats.Conn
	var shares []*nats.Subscription
	for range 3 {
		nc := c.connect()
		defer nc.Close()
		share, err := nc.QueueSubscribeSync("work", "workers")
		c.ok(err)
		members, shares = append(members, nc), append(shares, share)
	}
	everything := c.subscribe(members[0], "work")
	c.flush(members...)
	publisher := c.connect()
	defer publisher.Close()
	c.publish(publisher, "work", numbers(0, 300)...)
	c.flush(publisher)
	c.flush(members...)
	var taken []int
	for _, share := range shares {
		count := c.pending(share)
		c.that(count > 0, "a member got nothing")
		for range count {
			n, err := strconv.Atoi(string(c.next(share).Data))
			c.ok(err)
			taken = append(taken, n)
		}
	}
	slices.Sort(taken)
	c.that(len(taken) == 300, "%d messages for the group", len(taken))
	for i, n := range taken {
		c.that(i == n, "message %d is at %d", n, i)
	}
	c.receives(everything, numbers(0, 300)...)
}

func requestReply(c *check) {
	service, client := c.connect(), c.connect()
	defer service.Close()
	defer client.Close()
	_, err := service.Subscribe("double", func(m *nats.Msg) { m.Respond(append(m.Data, m.Data...)) })
	c.ok(err)
	c.flush(service)
	results := make(chan error, 50)
	for _, n := range numbers(0, 50) {
		go func() {
			reply, err := client.Request("double", []byte(n), stepTime)
			if err == nil && string(reply.Data) != n+n {
				err = fmt.Errorf("%q answered with %q", n, reply.Data)
			}
			results <- err
		}()
	}
	for range 50 {
		c.ok(<-results)
	}
	old := c.connect(nats.UseOldRequestStyle())
	defer old.Close()
	reply, err := old.Request("double", []byte("x"), stepTime)
	c.ok(err)
	c.that(string(reply.Data) == "xx", "reply %q", reply.Data)
}

func noResponders(c *check) {
	nc := c.connect()
	defer nc.Close()
	c.hasNoResponders(nc, "nobody.here")
}

func headers(c *check) {
	publisher, subscriber := c.connect(), c.connect()
	defer publisher.Close()
	defer subscriber.Close()
	sub := c.subscribe(subscriber, "headers")
	c.flush(subscriber)
	sent := nats.Header{
		"Many":   []string{"one", "two"},
		"X-Case": []string{"upper"},
		"x-case": []string{"lower"},
		"Utf":    []string{"grün"},
	}
	c.ok(publisher.PublishMsg(&nats.Msg{Subject: "headers", Header: sent, Data: []byte("body")}))
	only := nats.Header{"Only": []string{"header"}}
	c.ok(publisher.PublishMsg(&nats.Msg{Subject: "headers", Header: only}))
	c.publish(publisher, "headers", "plain")
	first, second, third := c.next(sub), c.next(sub), c.next(sub)
	c.that(string(first.Data) == "body", "body %q", first.Data)
	c.that(len(first.Header) == len(sent), "headers %v", first.Header)
	for name, values := range sent {
		c.that(slices.Equal(first.Header[name], values), "headers %v", first.Header)
	}
	c.that(len(second.Data) == 0 && second.Header.Get("Only") == "header", "second %v", second)
	c.that(string(third.Data) == "plain" && len(third.Header) == 0, "third %v", third)
}

func drainSubscription(c *check) {
	publisher, subscriber := c.connect(), c.connect()
	defer publisher.Close()
	defer subscriber.Close()
	var lock sync.Mutex
	var got []string
	begun := make(chan struct{})
	sub, err := subscriber.Subscribe("drain.sub", func(m *nats.Msg) {
		lock.Lock()
		defer lock.Unlock()
		if got = append(got, string(m.Data)); len(got) == 1 {
			close(begun)
		}
	})
	c.ok(err)
	drained := make(chan struct{})
	sub.SetClosedHandler(func(string) { close(drained) })
	c.flush(subscriber)
	c.publish(publisher, "drain.sub", numbers(0, 500)...)
	c.flush(publisher)
	wait(c, "first message", begun)
	c.ok(sub.Drain())
	wait(c, "end of the drain", drained)
	lock.Lock()
	defer lock.Unlock()
	c.that(slices.Equal(got, numbers(0, 500)), "%d messages", len(got))
	c.hasNoResponders(publisher, "drain.sub")
	c.flush(subscriber)
}

func drainConnection(c *check) {
	publisher, listener := c.connect(), c.connect()
	defer publisher.Close()
	defer listener.Close()
	closed := make(chan struct{})
	worker := c.connect(nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	_, err := worker.Subscribe("drain.work", func(m *nats.Msg) { worker.Publish("drain.done", m.Data) })
	c.ok(err)
	done := c.subscribe(listener, "drain.done")
	c.flush(worker, listener)
	c.publish(publisher, "drain.work", numbers(0, 500)...)
	c.flush(publisher)
	c.ok(worker.Drain())
	wait(c, "end of the drain", closed)
	c.receives(done, numbers(0, 500)...)
}

func reconnect(c *check) {
	s, err := startServer()
	c.ok(err)
	defer s.kill()
	disconnected, reconnected := make(chan error, 1), make(chan struct{}, 1)
	nc := c.connectTo(s,
		nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) { disconnected <- err }),
		nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
	defer nc.Close()
	plain, wild := c.subscribe(nc, "again.plain"), c.subscribe(nc, "again.*")
	member, err := nc.QueueSubscribeSync("again.plain", "q")
	c.ok(err)
	limited := c.subscribe(nc, "again.plain")
	c.ok(limited.AutoUnsubscribe(3))
	c.publish(nc, "again.plain", "before")
	for _, sub := range []*nats.Subscription{plain, wild, member, limited} {
		c.receives(sub, "before")
	}
	s.kill()
	wait(c, "disconnection", disconnected)
	// What is published now waits in the client for the connection.
	c.publish(nc, "again.plain", "meanwhile")
	c.ok(s.start())
	wait(c, "reconnection", reconnected)
	c.flush(nc)
	other := c.connectTo(s)
	defer other.Close()
	c.publish(other, "again.plain", numbers(0, 5)...)
	c.flush(other, nc)
	after := append([]string{"meanwhile"}, numbers(0, 5)...)
	for _, sub := range []*nats.Subscription{plain, wild, member} {
		c.receives(sub, after...)
	}
	// One of its three messages came before the restart.
	c.receives(limited, "meanwhile", "0")
	_, err = limited.NextMsg(stepTime)
	c.that(err != nil && !errors.Is(err, nats.ErrTimeout), "a limited subscription goes on: %v", err)
}

func autoUnsubscribe(c *check) {
	publisher, subscriber := c.connect(), c.connect()
	defer publisher.Close()
	defer subscriber.Close()
	atOnce, later := c.subscribe(subscriber, "limited.a"), c.subscribe(subscriber, "limited.b")
	c.ok(atOnce.AutoUnsubscribe(10))
	c.flush(subscriber)
	c.publish(publisher, "limited.b", numbers(0, 3)...)
	c.flush(publisher, subscriber)
	c.ok(later.AutoUnsubscribe(5))
	c.flush(subscriber)
	c.publish(publisher, "limited.a", numbers(0, 25)...)
	c.publish(publisher, "limited.b", numbers(3, 28)...)
	c.flush(publisher, subscriber)
	c.receives(atOnce, numbers(0, 10)...)
	c.receives(later, numbers(0, 5)...)
	for _, sub := range []*nats.Subscription{atOnce, later} {
		_, err := sub.NextMsg(stepTime)
		c.that(err != nil && !errors.Is(err, nats.ErrTimeout), "%s goes on: %v", sub.Subject, err)
		c.hasNoResponders(publisher, sub.Subject)
	}
}

func maxPayloadInClient(c *check) {
	nc := c.connect()
	defer nc.Close()
	err := nc.Publish("big", make([]byte, nc.MaxPayload()+1))
	c.that(errors.Is(err, nats.ErrMaxPayload), "%v", err)
	c.flush(nc)
}

func maxPayloadInServer(c *check) {
	answer, err := c.server.raw("CONNECT {\"verbose\":false}\r\nPUB big 1048577\r\n")
	c.ok(err)
	c.that(strings.HasPrefix(answer, "INFO "), "answer %q", answer)
	c.that(strings.HasSuffix(answer, "-ERR 'Maximum Payload Violation'\r\n"), "answer %q", answer)
}

func largePayload(c *check) {
	service, client := c.connect(), c.connect()
	defer service.Close()
	defer client.Close()
	_, err := service.Subscribe("echo.large", func(m *nats.Msg) { m.Respond(m.Data) })
	c.ok(err)
	c.flush(service)
	body := make([]byte, client.MaxPayload())
	for i := range body {
		body[i] = byte(i * 7 % 251)
	}
	for range 5 {
		reply, err := client.Request("echo.large", body, stepTime)
		c.ok(err)
		c.that(bytes.Equal(reply.Data, body), "the payload changed")
	}
}

func fanOut(c *check) {
	var receivers []*nats.Conn
	var subs []*nats.Subscription
	for range 50 {
		nc := c.connect()
		defer nc.Close()
		receivers, subs = append(receivers, nc), append(subs, c.subscribe(nc, "fan.out"))
	}
	c.flush(receivers...)
	publisher := c.connect()
	defer publisher.Close()
	c.publish(publisher, "fan.out", numbers(0, 1000)...)
	c.flush(publisher)
	c.flush(receivers...)
	for _, sub := range subs {
		c.receives(sub, numbers(0, 1000)...)
	}
}

func flushOrders(c *check) {
	publisher, subscriber := c.connect(), c.connect()
	defer publisher.Close()
	defer subscriber.Close()
	sub := c.subscribe(subscriber, "flushed")
	c.flush(subscriber)
	for round := 1; round <= 20; round++ {
		c.publish(publisher, "flushed", numbers(0, 100)...)
		// What was published before a flush is on its way to the subscriber before its own flush.
		c.flush(publisher, subscriber)
		c.that(c.pending(sub) == round*100, "%d messages in round %d", c.pending(sub), round)
	}
}

func (c *check) refuses(s *server, options ...nats.Option) {
	nc, err := nats.Connect(s.url(), append(options, nats.Timeout(stepTime))...)
	if err == nil {
		nc.Close()
	}
	c.that(errors.Is(err, nats.ErrAuthorization), "expected a refusal: %v", err)
}

func (c *check) roundTrip(nc *nats.Conn) {
	defer nc.Close()
	sub := c.subscribe(nc, "own")
	c.publish(nc, "own", "mine")
	c.receives(sub, "mine")
}

func userAndPassword(c *check) {
	s, err := startServer("--user", "derek", "--pass", "s3cr3t")
	c.ok(err)
	defer s.kill()
	c.roundTrip(c.connectTo(s, nats.UserInfo("derek", "s3cr3t")))
	c.refuses(s, nats.UserInfo("derek", "wrong"))
	c.refuses(s, nats.UserInfo("other", "s3cr3t"))
	c.refuses(s)
}

func token(c *check) {
	s, err := startServer("--auth", "t0k3n")
	c.ok(err)
	defer s.kill()
	c.roundTrip(c.connectTo(s, nats.Token("t0k3n")))
	c.refuses(s, nats.Token("wrong"))
	c.refuses(s)
}

func lameDuck(c *check) {
	s, err := startServer()
	c.ok(err)
	defer s.kill()
	told := make(chan struct{}, 1)
	nc := c.connectTo(s, nats.LameDuckModeHandler(func(*nats.Conn) { told <- struct{}{} }))
	c.ok(s.lameDuck())
	wait(c, "lame duck notice", told)
	// The connection serves until the server ends it.
	c.roundTrip(nc)
}

func nameInConnz(c *check) {
	nc := c.connect(nats.Name("go sees itself"))
	defer nc.Close()
	c.flush(nc)
	browser := http.Client{Timeout: stepTime}
	response, err := browser.Get(fmt.Sprintf("http://127.0.0.1:%d/connz", c.server.monitorPort))
	c.ok(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	c.ok(err)
	var connz struct {
		Connections []struct {
			Cid  uint64 `json:"cid"`
			Name string `json:"name"`
			Lang string `json:"lang"`
		} `json:"connections"`
	}
	c.ok(json.Unmarshal(body, &connz))
	id, err := nc.GetClientID()
	c.ok(err)
	for _, connection := range connz.Connections {
		if connection.Cid == id {
			c.that(connection.Name == "go sees itself" && connection.Lang == "go", "%+v", connection)
			return
		}
	}
	c.failf("connection %d is not in %s", id, body)
}
