package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// How long one thing that must happen may take.
const stepTime = 15 * time.Second

var (
	clientPort  = regexp.MustCompile(`Listening for client connections on \S*:(\d+)`)
	monitorPort = regexp.MustCompile(`Starting http monitor on \S*:(\d+)`)
)

// server is a server process on a port of its own, which it keeps when it is started again.
type server struct {
	args        []string
	port        int
	monitorPort int
	process     *exec.Cmd
}

// startServer starts a server with these arguments.
func startServer(args ...string) (*server, error) {
	s := &server{args: args, port: -1}
	return s, s.start()
}

// start runs the process and waits until it says that it is ready.
func (s *server) start() error {
	args := append([]string{"-a", "127.0.0.1"}, s.args...)
	s.process = exec.Command(os.Getenv("NATS_SERVER_BIN"), append(args, "-p", strconv.Itoa(s.port))...)
	output, err := s.process.StderrPipe()
	if err != nil {
		return err
	}
	if err := s.process.Start(); err != nil {
		return err
	}
	ready := make(chan error, 1)
	go func() {
		ready <- s.readUntilReady(output)
		// The pipe is emptied, or else the server would wait for us when it logs much.
		io.Copy(io.Discard, output)
	}()
	select {
	case err = <-ready:
	case <-time.After(stepTime):
		err = errors.New("the server did not become ready")
	}
	if err != nil {
		s.kill()
	}
	return err
}

func (s *server) readUntilReady(output io.Reader) error {
	lines := bufio.NewScanner(output)
	var seen []string
	for lines.Scan() {
		line := lines.Text()
		seen = append(seen, line)
		if found := clientPort.FindStringSubmatch(line); found != nil {
			s.port, _ = strconv.Atoi(found[1])
		}
		if found := monitorPort.FindStringSubmatch(line); found != nil {
			s.monitorPort, _ = strconv.Atoi(found[1])
		}
		if strings.Contains(line, "Server is ready") {
			return nil
		}
	}
	return fmt.Errorf("the server ended: %s", strings.Join(seen, "\n"))
}

// kill ends the server at once, as a crash would.
func (s *server) kill() {
	if s.process != nil && s.process.Process != nil {
		s.process.Process.Kill()
		s.process.Wait()
		s.process = nil
	}
}

// lameDuck asks the server to leave gracefully.
func (s *server) lameDuck() error {
	return s.process.Process.Signal(syscall.SIGUSR2)
}

func (s *server) url() string {
	return fmt.Sprintf("nats://127.0.0.1:%d", s.port)
}

// raw sends bytes over a plain socket and returns what comes back until the server closes.
func (s *server) raw(data string) (string, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), stepTime)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(stepTime))
	if _, err := io.WriteString(conn, data); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}
