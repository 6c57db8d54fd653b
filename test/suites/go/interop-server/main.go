// gRPC's own interop service as grpc-go has it, on loopback ports that the system chooses: one plain, one TLS. Says
// where in a line of JSON, and ends when its standard input does.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/interop"
	testing "google.golang.org/grpc/interop/grpc_testing"
)

func main() {
	cert := flag.String("cert", "", "certificate of the TLS port (PEM)")
	key := flag.String("key", "", "its key (PEM)")
	flag.Parse()
	tls, err := credentials.NewServerTLSFromFile(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]any{
		"ready": true,
		"plain": serve(),
		"tls":   serve(grpc.Creds(tls)),
	})
	io.Copy(io.Discard, os.Stdin)
}

func serve(options ...grpc.ServerOption) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	testing.RegisterTestServiceServer(server, interop.NewTestServer())
	go func() { log.Fatal(server.Serve(listener)) }()
	return listener.Addr().String()
}
