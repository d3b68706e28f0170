// The echo app (test/apps/echo.cjs) as a Go service: `service <socket>`, or $PORT without one.
package main

import (
	"crypto/sha1"
	"encoding/base64"
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

// Sends every frame of a WebSocket back (RFC 6455); a client's short ones, masked, in one piece.
func echoFrames(response http.ResponseWriter, request *http.Request) {
	connection, buffered, err := response.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	defer connection.Close()
	key := request.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
	sum := sha1.Sum([]byte(key))
	accept := base64.StdEncoding.EncodeToString(sum[:])
	const answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n" +
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n"
	fmt.Fprintf(connection, answer, accept)
	head := make([]byte, 6)
	for {
		if _, err := io.ReadFull(buffered, head); err != nil || head[1]&0x7f > 125 {
			return
		}
		frame := make([]byte, 2+int(head[1]&0x7f))
		frame[0], frame[1] = head[0], head[1]&0x7f
		if _, err := io.ReadFull(buffered, frame[2:]); err != nil {
			return
		}
		for index := range frame[2:] {
			frame[2+index] ^= head[2+index%4]
		}
		connection.Write(frame)
	}
}

func handle(response http.ResponseWriter, request *http.Request) {
	if request.URL.Path == "/ws" {
		echoFrames(response, request)
		return
	}
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
