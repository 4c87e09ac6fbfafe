// Command pod-tools is what the small images of the tests' node hold. What it does follows from its name:
//
//	pause          waits until it is told to stop: the process that holds a pod's network
//	nslookup HOST  asks DNS through the pod's search domains, which busybox's nslookup does not
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	switch name := filepath.Base(os.Args[0]); {
	case name == "pause":
		pause()
	case name == "nslookup" && len(os.Args) == 2:
		lookUp(os.Args[1])
	default:
		fmt.Fprintln(os.Stderr, "called pause, or nslookup HOST")
		os.Exit(2)
	}
}

func pause() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM, syscall.SIGINT)
	// Of pods that share their processes it is the first, which buries the others.
	signal.Ignore(syscall.SIGCHLD)
	<-told
}

func lookUp(host string) {
	limit, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(limit, host)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, address := range addresses {
		fmt.Println("Name:", host, "Address:", address)
	}
}
