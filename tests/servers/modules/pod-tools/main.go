// Command pod-tools is what the small images of the tests' node hold beside a shell. What it does follows from the
// name that it is called by.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const patience = 60 * time.Second

// tools by name, with their arguments.
var tools = map[string]struct {
	arguments string
	run       func([]string) error
}{
	"pause":    {"", pause},              // waits until it is told to stop: the process that holds a pod's network
	"sleep":    {"SECONDS", sleep},       //
	"seq":      {"LAST", seq},            // numbers from 1
	"nslookup": {"HOST", lookUp},         // asks DNS through the pod's search domains
	"serve":    {"PORT", serve},          // says hello over HTTP, and at /metrics that it did
	"fetch":    {"URL", fetch},           // status and content; trusts any certificate
	"hear":     {"PORT", hear},           // prints the first line that somebody tells it
	"tell":     {"HOST PORT LINE", tell}, // until it was heard
}

func main() {
	name := filepath.Base(os.Args[0])
	tool, known := tools[name]
	if !known {
		fail(fmt.Errorf("%s is none of the tools", name))
	}
	if given := os.Args[1:]; len(given) != len(strings.Fields(tool.arguments)) {
		fail(fmt.Errorf("usage: %s %s", name, tool.arguments))
	}
	if err := tool.run(os.Args[1:]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func pause([]string) error {
	// Of pods that share their processes it is the first, which buries the others.
	signal.Ignore(syscall.SIGCHLD)
	<-stopped()
	return nil
}

func stopped() <-chan os.Signal {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	return told
}

func sleep(arguments []string) error {
	seconds, err := strconv.ParseFloat(arguments[0], 64)
	if err != nil {
		return err
	}
	time.Sleep(time.Duration(seconds * float64(time.Second)))
	return nil
}

func seq(arguments []string) error {
	last, err := strconv.Atoi(arguments[0])
	for number := 1; number <= last; number++ {
		fmt.Println(number)
	}
	return err
}

func lookUp(arguments []string) error {
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(limit, arguments[0])
	for _, address := range addresses {
		fmt.Println("Name:", arguments[0], "Address:", address)
	}
	return err
}
