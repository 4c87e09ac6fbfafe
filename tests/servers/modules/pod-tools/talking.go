package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

func serve(arguments []string) error {
	http.HandleFunc("/", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "hello") })
	http.HandleFunc("/metrics", func(answer http.ResponseWriter, _ *http.Request) { fmt.Fprintln(answer, "greetings 7") })
	failed := make(chan error)
	go func() { failed <- http.ListenAndServe(":"+arguments[0], nil) }()
	select {
	case err := <-failed:
		return err
	case <-stopped():
		return nil
	}
}

func fetch(arguments []string) error {
	trusting := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := http.Client{Transport: trusting, Timeout: 20 * time.Second}
	answer, err := client.Get(arguments[0])
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	fmt.Println(answer.Status)
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func hear(arguments []string) error {
	server, err := net.Listen("tcp", ":"+arguments[0])
	if err != nil {
		return err
	}
	connection, err := server.Accept()
	if err != nil {
		return err
	}
	defer connection.Close()
	line, err := bufio.NewReader(connection).ReadString('\n')
	fmt.Print(line)
	return err
}

func tell(arguments []string) error {
	address := net.JoinHostPort(arguments[0], arguments[1])
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			defer connection.Close()
			_, err = fmt.Fprintln(connection, arguments[2])
			return err
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}
