// Runs h2spec, strict, with a client certificate where one is given (its own command line has no flag for that), and
// prints each case's result as a line of JSON after h2spec's own report.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

type line struct {
	Check   string  `json:"check"`
	Ok      bool    `json:"ok"`
	Detail  string  `json:"detail,omitempty"`
	Seconds float64 `json:"seconds"`
}

func main() {
	c := config.Config{Strict: true, Insecure: true}
	flag.StringVar(&c.Host, "host", "127.0.0.1", "host, also in :authority and the server name")
	flag.IntVar(&c.Port, "port", 0, "port")
	flag.StringVar(&c.Path, "path", "/", "path of the requests")
	flag.BoolVar(&c.TLS, "tls", false, "over TLS, with ALPN h2")
	flag.StringVar(&c.CertFile, "cert", "", "client certificate (PEM)")
	flag.StringVar(&c.CertKeyFile, "key", "", "its key (PEM)")
	flag.DurationVar(&c.Timeout, "timeout", 2*time.Second, "how long a case waits for an event")
	flag.IntVar(&c.MaxHeaderLen, "max-header-length", 4000, "longest header that is sent")
	flag.BoolVar(&c.Verbose, "verbose", false, "print the frames")
	flag.Parse()
	c.Sections = flag.Args()

	groups := []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()}
	for _, group := range groups {
		group.Test(&c)
	}
	fmt.Println()
	output := json.NewEncoder(os.Stdout)
	for _, group := range groups {
		report(output, group)
	}
}

func report(output *json.Encoder, group *spec.TestGroup) {
	cases := append(append([]*spec.TestCase{}, group.Tests...), group.StrictTests...)
	for _, one := range cases {
		if one.Result == nil {
			continue
		}
		name := fmt.Sprintf("%s/%d %s", group.ID(), one.Result.Sequence, one.Desc)
		wrong := detail(one)
		output.Encode(line{Check: name, Ok: wrong == "", Detail: wrong, Seconds: one.Result.Duration.Seconds()})
	}
	for _, below := range group.Groups {
		report(output, below)
	}
}

// What was wrong; empty where nothing was.
func detail(one *spec.TestCase) string {
	var wrong *spec.TestError
	switch {
	case one.Result.Error == nil:
		return ""
	case one.Result.Skipped:
		return "skipped"
	case errors.As(one.Result.Error, &wrong):
		// h2spec looks for a bare errno, which Go has come to wrap: it takes a connection that was reset for one that
		// is not closed.
		closes := slices.Contains(wrong.Expected, spec.ExpectedConnectionClosed)
		if closes && strings.HasSuffix(wrong.Actual, syscall.ECONNRESET.Error()) {
			return ""
		}
		return fmt.Sprintf("expected %s, got %s", strings.Join(wrong.Expected, " or "), wrong.Actual)
	default:
		return one.Result.Error.Error()
	}
}
