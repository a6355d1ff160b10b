// Command client-checks runs nats.go against the server.
package main

import (
	"fmt"
	"os"
	"time"
)

// How long a scenario may take.
const scenarioTime = 40 * time.Second

type scenario struct {
	name string
	run  func(*check)
}

// check is one run of a scenario; its first failure ends it.
type check struct {
	server *server
}

type failure struct{ text string }

func (c *check) failf(format string, args ...any) {
	panic(failure{fmt.Sprintf(format, args...)})
}

// ok ends the scenario when there is an error.
func (c *check) ok(err error) {
	if err != nil {
		c.failf("%v", err)
	}
}

// that ends the scenario when the condition does not hold.
func (c *check) that(condition bool, format string, args ...any) {
	if !condition {
		c.failf(format, args...)
	}
}

// wait ends the scenario when nothing comes.
func wait[T any](c *check, what string, from <-chan T) T {
	select {
	case value := <-from:
		return value
	case <-time.After(stepTime):
		c.failf("never happened: %s", what)
		panic("unreachable")
	}
}

func (s scenario) result(shared *server) error {
	result := make(chan error, 1)
	go func() {
		defer func() {
			switch cause := recover().(type) {
			case nil:
				result <- nil
			case failure:
				result <- fmt.Errorf("%s", cause.text)
			default:
				panic(cause)
			}
		}()
		s.run(&check{shared})
	}()
	select {
	case err := <-result:
		return err
	case <-time.After(scenarioTime):
		return fmt.Errorf("took too long")
	}
}

func main() {
	os.Exit(runAll())
}

func runAll() int {
	shared, err := startServer("-m", "-1")
	if err != nil {
		fmt.Println("not ok go start:", err)
		fmt.Println("go: 0 passed, 1 failed")
		return 1
	}
	defer shared.kill()
	passed, failed := 0, 0
	for _, s := range scenarios {
		began := time.Now()
		if err := s.result(shared); err != nil {
			failed++
			fmt.Printf("not ok go %s: %v\n", s.name, err)
		} else {
			passed++
			fmt.Printf("ok go %s (%d ms)\n", s.name, time.Since(began).Milliseconds())
		}
	}
	fmt.Printf("go: %d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}
