// A Go service that leaks: it remembers every visitor. Cofferdam replaces it before that hurts.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

var (
	lock     sync.Mutex
	visitors [][]byte
)

func visit(response http.ResponseWriter, request *http.Request) {
	lock.Lock()
	visitors = append(visitors, bytes.Repeat([]byte{1}, 8*1024))
	count := len(visitors)
	lock.Unlock()
	fmt.Fprintf(response, "visitor %d of process %d\n", count, os.Getpid())
}

func main() {
	// The socket that Cofferdam names, or without it a port, as one starts it by hand.
	network, address := "tcp", "127.0.0.1:"+os.Getenv("PORT")
	if len(os.Args) > 1 {
		network, address = "unix", os.Args[1]
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(visit), ReadHeaderTimeout: 10 * time.Second}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-stopped.Done()
		// By then Cofferdam has taken every request away: there is nothing to wait for.
		server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
