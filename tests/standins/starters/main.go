// A web server that takes its socket as Server::Starter's listener package for
// Go does: SERVER_STARTER_PORT, net.FileListener.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

var version = "none" // set by the linker

func inherited() (net.Listener, error) {
	spec := os.Getenv("SERVER_STARTER_PORT")
	if spec == "" {
		return nil, fmt.Errorf("no listening target")
	}
	first := strings.Split(spec, ";")[0]
	pair := strings.Split(first, "=")
	fd, err := strconv.ParseUint(strings.TrimSpace(pair[1]), 10, 0)
	if err != nil {
		return nil, fmt.Errorf("%q is no listening target: %w", first, err)
	}
	return net.FileListener(os.NewFile(uintptr(fd), pair[0]))
}

func answer(conn net.Conn, stopping *atomic.Bool) {
	defer conn.Close()
	requests := bufio.NewReader(conn)
	for last := false; !last; {
		for {
			line, err := requests.ReadString('\n')
			if err != nil {
				return
			}
			line = strings.ToLower(strings.TrimSpace(line))
			if line == "connection: close" {
				last = true
			}
			if line == "" {
				break
			}
		}
		connection := "keep-alive"
		if last = last || stopping.Load(); last {
			connection = "close"
		}
		fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: %s\r\n\r\n%s\n",
			len(version)+1, connection, version)
	}
}

func main() {
	listener, err := inherited()
	if err != nil {
		log.Fatal(err)
	}
	var stopping atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		<-signals
		stopping.Store(true)
		listener.Close()
	}()
	var open sync.WaitGroup
	for {
		conn, err := listener.Accept()
		if err != nil {
			break
		}
		open.Add(1)
		go func() {
			defer open.Done()
			answer(conn, &stopping)
		}()
	}
	open.Wait()
}
