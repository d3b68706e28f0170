// The echo app (test/apps/echo.cjs) as a Go service: `service <socket>`, or $PORT without one.
package main

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

var worker = strconv.Itoa(os.Getpid())

func number(request *http.Request, name string, fallback int) int {
	if value, err := strconv.Atoi(request.URL.Query().Get(name)); err == nil {
		return value
	}
	return fallback
}

func handle(response http.ResponseWriter, request *http.Request) {
	hash := sha1.New()
	io.Copy(hash, request.Body)
	sum := hex.EncodeToString(hash.Sum(nil))[:16]
	id := request.Header.Get("X-Id")
	if id == "" {
		id = request.URL.Query().Get("id")
	}
	head := response.Header()
	head.Set("X-Id", id)
	head.Set("X-Worker", worker)
	head.Set("X-Hash", sum)
	switch request.URL.Path {
	case "/download":
		bytes := number(request, "bytes", 65536)
		line := id + "\n"
		io.WriteString(response, strings.Repeat(line, bytes/len(line)+1)[:bytes])
		return
	case "/trailer":
		head.Set("Trailer", "X-Sum")
		io.WriteString(response, "body")
		head.Set("X-Sum", "12")
		return
	case "/sse":
		head.Set("Content-Type", "text/event-stream")
		for count := 0; request.Context().Err() == nil; count++ {
			fmt.Fprintf(response, "data: %s %d\n\n", id, count)
			response.(http.Flusher).Flush()
			time.Sleep(time.Duration(number(request, "ms", 100)) * time.Millisecond)
		}
		return
	case "/slow":
		time.Sleep(time.Duration(number(request, "ms", 100)) * time.Millisecond)
	}
	fmt.Fprintf(response, "id=%s hash=%s worker=%s\n", id, sum, worker)
}

func main() {
	network, address := "tcp", "127.0.0.1:"+os.Getenv("PORT")
	if len(os.Args) > 1 {
		network, address = "unix", os.Args[1]
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		panic(err)
	}
	panic(http.Serve(listener, http.HandlerFunc(handle)))
}
